"""What a gallery will take, before it is made: units, steps and canvas of each layer, and the time, measured here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from layerscope.capture.layers import Layer
from layerscope.capture.units import Unit
from layerscope.figures.words import plural
from layerscope.given import path_to, progress_to, whole_number
from layerscope.models.model import VisionModel
from layerscope.names import slug
from layerscope.objectives import Objective
from layerscope.records import Store
from layerscope.studies.chunks import batches_of
from layerscope.studies.crew import checked_workers
from layerscope.studies.gallery import CHUNK, jobs_of
from layerscope.studies.manifest import SCHEMA, known, network_facts
from layerscope.studies.outcome_cards import MOVED, OTHER_PICTURES, seeds_of
from layerscope.studies.planned_loads import picked_loads
from layerscope.studies.planned_naturals import NaturalCosts, NaturalImages
from layerscope.studies.selection import asked_for, choose_units
from layerscope.synthesis import cost
from layerscope.synthesis.checks import checked_model
from layerscope.synthesis.cost import Load, Rates
from layerscope.synthesis.recipes import Recipe, default_objective, recipe_for
from layerscope.types import Progress, no_progress

_Wanted = list[tuple[Layer, list[int]]]


@dataclass(frozen=True)
class PlannedLayer:
    """The pictures of one layer. found: units that are there already; the seconds are of those that are not.

    picture_seconds: core-seconds of the pictures; card_seconds: of their outcome cards. chunks: in which they are made.
    """

    layer: str
    units: int
    found: int
    recipe: Recipe
    load: Load
    picture_seconds: float
    card_seconds: float
    chunks: int

    @property
    def core_seconds(self) -> float:
        return self.picture_seconds + self.card_seconds

    def facts(self) -> dict[str, Any]:
        """As JSON; macs: multiply-accumulates of one step of one picture, forward and backward."""
        recipe = self.recipe
        return {
            "layer": self.layer,
            "units": self.units,
            "found": self.found,
            "picture": recipe.view,
            "canvas": recipe.wander.canvas,
            "shown": recipe.shown,
            "steps": recipe.steps,
            "batch": recipe.together,
            "macs": self.load.macs,
            "core_seconds": round(self.core_seconds, 3),
            "card_core_seconds": round(self.card_seconds, 3),
        }


@dataclass(frozen=True)
class GalleryPlan:
    """What a gallery will take. natural_seconds: core-seconds of looking at natural images; opening_seconds: of opening
    them, which is done in this process.

    seeds: pictures of each unit. workers: processes that share all else; None where this one makes all.
    """

    network: str
    recipe: str
    seeds: int
    rows: tuple[PlannedLayer, ...]
    natural_seconds: float
    opening_seconds: float
    rates: Rates
    workers: int | None = None

    @property
    def core_seconds(self) -> float:
        """Of one core (on a GPU: of the device), all in all."""
        return self.opening_seconds + self._shared

    @property
    def _shared(self) -> float:
        """Of what workers share."""
        return self.natural_seconds + sum(row.core_seconds for row in self.rows)

    @property
    def seconds(self) -> float:
        """By the clock, where nothing else runs."""
        if self.workers is None:
            return self.core_seconds / self.rates.cores
        calls = sum(row.chunks for row in self.rows)
        return self.opening_seconds + self._shared / max(min(self.workers, calls), 1)

    def facts(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "network": self.network,
            "recipe": self.recipe,
            "seeds": self.seeds,
            "layers": [row.facts() for row in self.rows],
            "natural_core_seconds": round(self.opening_seconds + self.natural_seconds, 3),
            "core_seconds": round(self.core_seconds, 3),
            "core_hours": round(self.core_seconds / 3600, 4),
            "seconds": round(self.seconds, 3),
            "workers": self.workers,
            "rates": asdict(self.rates),
        }

    @property
    def words(self) -> str:
        """All of it in a line."""
        units, found = sum(row.units for row in self.rows), sum(row.found for row in self.rows)
        there = f", {found:,} of them there already" if found else ""
        where = "in this process" if self.workers is None else f"on {plural(self.workers, 'worker')}"
        core, clock = duration(self.core_seconds), duration(self.seconds)
        wanted = f"{plural(units, 'unit')} of {plural(len(self.rows), 'layer')}"
        return f"{wanted}{there}: {core} of one core, about {clock} {where}"

    def __repr__(self) -> str:
        return f"GalleryPlan({self.network!r}: {self.words})"

    def _repr_html_(self) -> str:
        """A table of the layers."""
        from layerscope.figures.value_cards import table_card

        rows = [[str(cell) for cell in row.values()] for row in self.table()]
        return table_card(repr(self), {}, list(self.table()[0]), rows, range(1, len(self.table()[0])))

    def table(self) -> list[dict[str, Any]]:
        """A row for each layer as it is shown, and one for the natural images."""
        shown = [
            {
                "layer": row.layer,
                "units": row.units,
                "made": row.found,
                "picture": f"{row.recipe.view} px",
                "canvas": f"{row.recipe.wander.canvas} px",
                "steps": row.recipe.steps,
                "batch": row.recipe.together,
                "core time": duration(row.core_seconds),
            }
            for row in self.rows
        ]
        if natural := self.opening_seconds + self.natural_seconds:
            blank = dict.fromkeys(shown[0])
            shown.append({**blank, "layer": "natural images", "core time": duration(natural)})
        return shown


def gallery_plan(
    model: VisionModel,
    units: str | Sequence[str] = "*",
    out: str | Path = "outputs/gallery",
    *,
    recipe: str = "standard",
    seed: int = 0,
    probe: str | Path | None = "menagerie",
    seeds: int | None = None,
    workers: int | None = None,
    on_progress: Progress = no_progress,
) -> GalleryPlan:
    """What `gallery` with the same arguments will take; some seconds of measuring, and nothing is written.

    The work of each picture is counted, and its time predicted from a few real steps at an early and a deep layer.
    What is in `out` already costs nothing: what a gallery would find there, if the probe's images are the same as then,
    of which only name and number are looked at.
    workers: processes that share the work; None: this process. Raises what `gallery` raises for its arguments.
    """
    checked_model(model)
    progress_to(on_progress)
    asked, out, seed = asked_for(units), path_to("out", out), whole_number("seed", seed, 0)
    seeds, workers = seeds_of(recipe, seeds), checked_workers(workers)
    naturals = None if probe is None else NaturalImages.of(probe, model)
    on_progress(0, 3, "counting the work")
    facts = {"recipe": recipe, "seed": seed, "seeds": seeds}
    wanted = choose_units(model, asked)
    every = _asked(model, wanted, recipe, _found(model, wanted, out, facts, naturals))
    todo = [one for one in every if one.missing]
    on_progress(1, 3, "timing a few steps")
    rates = cost.calibrate(model, _samples(model, todo), None if workers is None else 1) if todo else cost.TYPICAL
    on_progress(2, 3, "timing natural images")
    shown = naturals.timed(model, [one.layer for one in todo]) if naturals and todo else None
    on_progress(3, 3, "timing natural images")
    batches = batches_of([(len(one.missing), one.recipe.together) for one in todo], workers)
    rows = tuple(one.planned(rates, seeds, shown, batches) for one in every)
    looking = shown.looking({one.layer.name: len(one.missing) for one in todo}) if shown else 0.0
    return GalleryPlan(model.name, recipe, seeds, rows, looking, shown.opening if shown else 0.0, rates, workers)


def duration(seconds: float) -> str:
    """Seconds as people say them: "8 s", "3.5 min", "12 h"."""
    for size, name in ((3600, "h"), (60, "min")):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.{1 if seconds < 10 * size else 0}f} {name}"
    return f"{seconds:.{1 if seconds < 10 else 0}f} s"


@dataclass(frozen=True)
class _Asked:
    """The units of one layer that are asked for, and those that are not there yet."""

    layer: Layer
    units: list[int]
    missing: list[int]
    recipe: Recipe
    load: Load

    def planned(self, rates: Rates, seeds: int, shown: NaturalCosts | None, batches: int) -> PlannedLayer:
        """With the time of its pictures and their cards, in the chunks that a gallery makes them in."""
        units, most = len(self.missing), min(CHUNK, batches * self.recipe.together)
        chunks = [min(most, units - start) for start in range(0, units, most)]
        calls = [*chunks * seeds, *([OTHER_PICTURES] if chunks and seeds > 1 else [])]
        pictures = sum(rates.call(self.load, self.recipe, size) for size in calls)
        forwards = (seeds if shown else 0) + (seeds * (1 + MOVED) if seeds > 1 else 0)
        per_mac = shown.per_mac if shown else rates.per_mac  # cards are made in the network's own precision
        cards = units * forwards * per_mac * self.load.macs / 2
        cards += shown.compared(self.layer.name, units) if shown else 0.0
        found = len(self.units) - units
        return PlannedLayer(
            self.layer.name, len(self.units), found, self.recipe, self.load, pictures, cards, len(chunks)
        )


def _asked(model: VisionModel, wanted: _Wanted, recipe: str, found: set[tuple[str, int]]) -> list[_Asked]:
    made = [
        (recipe_for(recipe, layer, model), default_objective(Unit(layer.name, indices[0]), model).layers)
        for layer, indices in wanted
    ]
    return [
        _Asked(layer, indices, [one for one in indices if (layer.name, one) not in found], fits, load)
        for (layer, indices), (fits, load) in zip(wanted, picked_loads(model, made), strict=True)
    ]


def _samples(model: VisionModel, todo: list[_Asked]) -> list[tuple[Recipe, Load, list[Objective]]]:
    """What is timed: the layers with the least and the most work per step, and the one nearest to the middle."""

    def step(one: _Asked) -> float:
        return cost.TYPICAL.step(one.load)

    least, most = (pick(todo, key=step) for pick in (min, max))
    middle = min(todo, key=lambda one: abs(step(one) - (step(least) + step(most)) / 2))
    return [
        (one.recipe, one.load, [default_objective(Unit(one.layer.name, at), model) for at in _some(one)])
        for one in ({one.layer.name: one for one in (least, middle, most)}).values()
    ]


def _some(asked: _Asked) -> list[int]:
    return asked.units[: asked.recipe.together]


def _found(
    model: VisionModel, wanted: _Wanted, out: Path, facts: dict[str, Any], naturals: NaturalImages | None
) -> set[tuple[str, int]]:
    """Layer and number of those wanted whose records are there, by the keys that a gallery in `out` gives them now.

    The images of the probe are not read: their fingerprint is taken from the gallery that has as many of that name.
    """
    alike = {"schema": SCHEMA, "layerscope": version("layerscope"), "network": network_facts(model), **facts}
    images = naturals and (naturals.name, naturals.count)
    found = set()
    for path in sorted(out.glob(f"{slug(model.name)}*/gallery.json")):
        manifest, store = known(path), Store(path.parent)
        seen = manifest.get("probe")
        if {name: manifest.get(name) for name in alike} != alike or (seen and (seen["name"], seen["images"])) != images:
            continue
        jobs = jobs_of(model, wanted, **facts, probe=seen and seen["fingerprint"])
        found |= {(job.layer.name, job.unit.index) for job in jobs if store.path(job.key).is_file()}
    return found
