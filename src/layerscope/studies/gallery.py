"""Galleries: for each unit a synthetic picture and, beside it, the natural images that excite it most.

Each unit is one record, named by all that it depends on, so a gallery that was stopped goes on where it was.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from layerscope.capture.layers import Layer
from layerscope.capture.units import Unit
from layerscope.figures.galleries import layers_of
from layerscope.figures.source import opened
from layerscope.figures.words import plural
from layerscope.given import path_to, progress_to, whole_number
from layerscope.models.model import VisionModel
from layerscope.records import Store, content_key
from layerscope.studies.crew import Crew
from layerscope.studies.exemplars import Naturals, find_naturals
from layerscope.studies.gallery_records import record_of
from layerscope.studies.gallery_work import Job, chunks_made, in_turn
from layerscope.studies.identity import common_facts
from layerscope.studies.manifest import check_place, manifest_of, write_manifest
from layerscope.studies.outcome_cards import CARD, seeds_of
from layerscope.studies.probe import Probe, named_probe, open_probe
from layerscope.studies.selection import asked_for, choose_units
from layerscope.synthesis.checks import checked_model
from layerscope.synthesis.cost import shares
from layerscope.synthesis.recipes import default_objective, recipe_for
from layerscope.types import Counted, Progress, no_progress

CHUNK = 128
"""Units whose pictures are made in one go, at most: what a killed gallery loses of each worker."""


@dataclass(frozen=True)
class Gallery:
    """A gallery on disk. made: units that this call made; found: units that were there already."""

    folder: Path
    network: str
    layers: tuple[str, ...]
    made: int
    found: int
    seconds: float

    @cached_property
    def units(self) -> tuple[dict[str, Any], ...]:
        """A row for each unit that is made, layer by layer: all facts of its record, as "layer", "unit", "score",
        "control", "natural", "ratio" and "status"."""
        with opened("gallery", self.folder) as report:
            return tuple(record.facts for layer in layers_of(report) for record in layer.records())

    def __repr__(self) -> str:
        shown = f"{plural(self.made + self.found, 'unit')} of {plural(len(self.layers), 'layer')}"
        return f"Gallery({self.network!r}: {shown}, {self.made} made now; in {str(self.folder)!r})"

    def _repr_html_(self) -> str:
        """Twelve units of each layer, evenly spaced, with their ratios."""
        from layerscope.figures.cards import gallery_card

        return gallery_card(self)


def gallery(
    model: VisionModel,
    units: str | Sequence[str] = "*",
    out: str | Path = "outputs/gallery",
    *,
    recipe: str = "standard",
    seed: int = 0,
    probe: str | Path | None = "menagerie",
    seeds: int | None = None,
    first: Sequence[str] = (),
    executor: Executor | None = None,
    on_progress: Progress = no_progress,
) -> Gallery:
    """Make the gallery of `model` in a folder of its own below `out`; what is there already is not made again.

    units: layer patterns ("layer4.*"; of what they match, convolutions and the final logits are shown, or all where
    there are none; with a "/" in them, results of functions between modules: "layer4.*/add"), exact layer names, or
    units ("layer4.1.conv2:37"). recipe: "draft", "standard" or "fine". probe: "menagerie", a folder of class folders,
    or None for no natural images. seeds: of how many seeds, from `seed` on, pictures are made, to measure whether they
    agree; the first is shown (default: 3 for "fine", else 1). first: those of the units that are made before the
    others, named as in `units`. executor: runs the chunks, by default here.
    Raises UnknownNameError for layers, units and recipes that do not exist, StorageError where `out` cannot be written,
    and WorkerError, after all others were made, for chunks that end their workers each time.
    """
    checked_model(model)
    progress_to(on_progress)
    began, asked, before = time.perf_counter(), asked_for(units), asked_for(first or (), "first")
    out, seed = path_to("out", out), whole_number("seed", seed, 0)
    probe = None if probe is None else named_probe(probe)
    wanted, sooner = choose_units(model, asked), choose_units(model, before) if before else []
    recipe_for(recipe, None, model)  # an unknown name is said before any work
    seeds = seeds_of(recipe, seeds)
    check_place(out, model.name)
    crew = Crew.of(model, executor)
    shown = None if probe is None else open_probe(probe, model, on_progress=on_progress)
    jobs = jobs_of(model, wanted, recipe, seed, seeds, shown.fingerprint if shown else None)
    listed = [(job.layer, job.unit.index, job.key) for job in jobs]
    manifest = manifest_of(
        model, listed, asked=asked, recipe=recipe, seed=seed, seeds=seeds, probe=shown, probe_spec=probe
    )
    folder = write_manifest(out, manifest)
    store = Store(folder)
    todo = [job for job in jobs if store.find(job.key) is None]
    naturals = _naturals(crew, todo, shown, on_progress)
    tell = _counting(model, jobs, todo, on_progress)
    chunks = in_turn(todo, sooner, crew.size, CHUNK)
    for chunk, made, cards in chunks_made(crew, chunks, range(seed, seed + seeds), naturals):
        natural = naturals.get(chunk[0].layer.name)
        for place, job in enumerate(chunk):
            store.write(job.key, *record_of(model, job, made, place, natural, cards[place], seed))
        tell(chunk)
    names = tuple(dict.fromkeys(job.layer.name for job in jobs))
    return Gallery(folder, model.name, names, len(todo), len(jobs) - len(todo), time.perf_counter() - began)


def _counting(
    model: VisionModel, jobs: list[Job], todo: list[Job], on_progress: Progress
) -> Callable[[list[Job]], None]:
    """Says how many units are there, and their share of the work, at once and each time that it is told of more."""
    layers = {job.layer.name: (job.recipe, job.objective.layers) for job in jobs if todo}
    work = dict(zip(layers, shares(model, list(layers.values())), strict=True))
    left = {job.key: work[job.layer.name] for job in todo}
    whole = sum(work[job.layer.name] for job in jobs if todo)

    def tell(made: list[Job], layer: str | None = None) -> None:
        for job in made:
            del left[job.key]
        done = Counted(len(jobs) - len(left), 1 - sum(left.values()) / whole)
        on_progress(done, len(jobs), layer or made[-1].layer.name)

    if todo:
        tell([], todo[0].layer.name)
    return tell


def jobs_of(
    model: VisionModel, wanted: list[tuple[Layer, list[int]]], recipe: str, seed: int, seeds: int, probe: str | None
) -> list[Job]:
    """The units of a gallery with the keys of their records. probe: the fingerprint of its natural images, if any."""
    jobs, facts = [], common_facts(model, seed, probe) | {"seeds": seeds, "card": CARD}
    for layer, indices in wanted:
        made = recipe_for(recipe, layer, model)
        for index in indices:
            unit = Unit(layer.name, index)
            objective = default_objective(unit, model)
            key = content_key(**facts, unit=str(unit), objective=str(objective), recipe=dataclasses.asdict(made))
            jobs.append(Job(unit, layer, objective, made, key))
    return jobs


def _naturals(crew: Crew, todo: list[Job], probe: Probe | None, on_progress: Progress) -> dict[str, Naturals]:
    layers = list({job.layer.name: job.layer for job in todo}.values())
    if probe is None or not layers:
        return {}
    return find_naturals(crew.model, layers, probe, on_progress, workers=crew.workers)
