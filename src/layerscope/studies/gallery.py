"""Galleries: for each unit a synthetic picture and, beside it, the natural images that excite it most.

Each unit is one record, named by all that it depends on, so a gallery that was stopped goes on where it was.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, as_completed
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from layerscope.capture.evaluating import evaluating
from layerscope.capture.hooks import capture
from layerscope.capture.layers import Layer
from layerscope.capture.units import Unit
from layerscope.errors import InputError, WorkerError
from layerscope.figures.galleries import layers_of
from layerscope.figures.source import opened
from layerscope.models.model import VisionModel
from layerscope.objectives import Objective
from layerscope.passes.elsewhere import Shared, received, send
from layerscope.records import Store, content_key
from layerscope.studies.exemplars import Naturals, find_naturals
from layerscope.studies.manifest import SCHEMA, manifest_of, write_manifest
from layerscope.studies.outcome_cards import CARD, OutcomeCards, seeds_of
from layerscope.studies.probe import Probe, open_probe
from layerscope.studies.selection import choose_units
from layerscope.synthesis.ascent import maximise
from layerscope.synthesis.cost import shares
from layerscope.synthesis.outcome import Synthesis, beside_natural
from layerscope.synthesis.recipes import default_objective, recipe_for
from layerscope.types import Counted, Progress, no_progress

CHUNK = 32  # units whose pictures are made in one go: what a killed gallery loses at most
EARLY_CHUNK = 8  # of those that are wanted sooner: all processes take part in them


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
        shown = f"{self.made + self.found} units of {len(self.layers)} layers"
        return f"Gallery({self.network!r}: {shown}, {self.made} made now; in {str(self.folder)!r})"

    def _repr_html_(self) -> str:
        """Twelve units of each layer, evenly spaced, with their ratios."""
        from layerscope.figures.cards import gallery_card

        return gallery_card(self)


@dataclass(frozen=True)
class _Job:
    """One unit to show: its layer, its objective, and the key of its record."""

    unit: Unit
    layer: Layer
    objective: Objective
    key: str


def gallery(
    model: VisionModel,
    units: str | Sequence[str] = "*",
    out: str | Path = "outputs/gallery",
    *,
    recipe: str = "standard",
    seed: int = 0,
    probe: str | None = "menagerie",
    seeds: int | None = None,
    first: Sequence[str] = (),
    executor: Executor | None = None,
    on_progress: Progress = no_progress,
) -> Gallery:
    """Make the gallery of `model` in a folder of its own below `out`; what is there already is not made again.

    units: layer patterns ("layer4.*"; of what they match, convolutions and the final logits are shown, or all where
    there are none), exact layer names, or units ("layer4.1.conv2:37"). recipe: "draft", "standard" or "fine". probe:
    "menagerie", a folder of class folders, or None for no natural images. seeds: of how many seeds, from `seed` on,
    pictures are made, to measure whether they agree; the first is shown (default: 3 for "fine", else 1). first: those
    of the units that are made before the others, named as in `units`. executor: runs the chunks, by default here.
    Raises UnknownNameError for layers, units and recipes that do not exist, StorageError where `out` cannot be written,
    and WorkerError, after all others were made, for chunks that end their workers each time.
    """
    if not isinstance(model, VisionModel):
        raise InputError(f"a {type(model).__name__} is no VisionModel; open it with load_model, or wrap(module)")
    began, asked = time.perf_counter(), [units] if isinstance(units, str) else list(units)
    wanted, sooner = choose_units(model, asked), choose_units(model, first) if first else []
    recipe_for(recipe, None, model)  # an unknown name is said before any work
    seeds = seeds_of(recipe, seeds)
    network = None if executor is None else send(model, executor)
    shown = None if probe is None else open_probe(probe, model, on_progress=on_progress)
    jobs = _jobs(model, wanted, recipe, seed, seeds, shown)
    listed = [(job.layer, job.unit.index, job.key) for job in jobs]
    manifest = manifest_of(
        model, listed, asked=asked, recipe=recipe, seed=seed, seeds=seeds, probe=shown, probe_spec=probe
    )
    folder = write_manifest(Path(out), manifest)
    store = Store(folder)
    todo = [job for job in jobs if store.find(job.key) is None]
    naturals = _naturals(model, todo, shown, on_progress, executor, network)
    tell, cards = _counting(model, jobs, todo, recipe, on_progress), OutcomeCards(model, recipe, seed)
    for chunk, made in _made(model, network, _in_turn(todo, sooner), recipe, range(seed, seed + seeds), executor):
        natural = naturals.get(chunk[0].layer.name)
        told = cards.of(chunk[0].layer, [job.unit.index for job in chunk], [one.images for one in made], natural)
        for place, job in enumerate(chunk):
            store.write(job.key, *_record(model, job, made[0], place, natural, told[place], recipe, seed))
        tell(chunk)
    names = tuple(dict.fromkeys(job.layer.name for job in jobs))
    return Gallery(folder, model.name, names, len(todo), len(jobs) - len(todo), time.perf_counter() - began)


def _counting(
    model: VisionModel, jobs: list[_Job], todo: list[_Job], recipe: str, on_progress: Progress
) -> Callable[[list[_Job]], None]:
    """Says how many units are there, and their share of the work, at once and each time that it is told of more."""
    layers = {job.layer.name: (recipe_for(recipe, job.layer, model), job.objective.layers) for job in jobs if todo}
    work = dict(zip(layers, shares(model, list(layers.values())), strict=True))
    left = {job.key: work[job.layer.name] for job in todo}
    whole = sum(work[job.layer.name] for job in jobs if todo)

    def tell(made: list[_Job], layer: str | None = None) -> None:
        for job in made:
            del left[job.key]
        done = Counted(len(jobs) - len(left), 1 - sum(left.values()) / whole)
        on_progress(done, len(jobs), layer or made[-1].layer.name)

    if todo:
        tell([], todo[0].layer.name)
    return tell


def _jobs(
    model: VisionModel, wanted: list[tuple[Layer, list[int]]], recipe: str, seed: int, seeds: int, probe: Probe | None
) -> list[_Job]:
    jobs, facts = [], _common_facts(model, seed, probe) | {"seeds": seeds, "card": CARD}
    for layer, indices in wanted:
        made = dataclasses.asdict(recipe_for(recipe, layer, model))
        for index in indices:
            unit = Unit(layer.name, index)
            objective = default_objective(unit, model)
            key = content_key(**facts, unit=str(unit), objective=str(objective), recipe=made)
            jobs.append(_Job(unit, layer, objective, key))
    return jobs


def _common_facts(model: VisionModel, seed: int, probe: Probe | None) -> dict[str, Any]:
    """What every picture of a gallery depends on."""
    return {
        "schema": SCHEMA,
        "layerscope": version("layerscope"),
        "network": model.fingerprint,
        "behaviour": _behaviour(model),
        "spectrum": model.card.get("spectrum"),
        "seed": seed,
        "probe": probe.fingerprint if probe else None,
    }


def _behaviour(model: VisionModel) -> list[str]:
    """What the network makes of noise, in two digits: a changed forward of the same weights is another network."""
    shape = (2, model.channels, model.input_size, model.input_size)
    some = next(iter(model.module.parameters()), torch.empty(0))
    noise = torch.rand(shape, generator=torch.Generator().manual_seed(0)).to(some.device, some.dtype)
    with evaluating(model.module), capture(model, "") as activations:
        model(noise)
    output = activations[""].double()
    return [f"{value:.2g}" for value in (output.mean(), output.abs().mean(), output.amin(), output.amax())]


def _naturals(
    model: VisionModel,
    todo: list[_Job],
    probe: Probe | None,
    on_progress: Progress,
    executor: Executor | None,
    network: Shared | None,
) -> dict[str, Naturals]:
    layers = list({job.layer.name: job.layer for job in todo}.values())
    if probe is None or not layers:
        return {}
    return find_naturals(model, layers, probe, on_progress, executor=executor, network=network)


def _made(
    model: VisionModel,
    network: Shared | None,
    work: list[list[_Job]],
    recipe: str,
    seeds: range,
    executor: Executor | None,
) -> Iterator[tuple[list[_Job], list[Synthesis]]]:
    """Chunks of one layer each with the pictures of each seed, as they are ready; WorkerError, after all others, for
    those that were given up."""
    chunks = [(chunk, [job.objective for job in chunk]) for chunk in work]
    if executor is None or network is None:
        for chunk, objectives in chunks:
            yield chunk, [maximise(model, objectives, recipe=recipe, seed=seed) for seed in seeds]
        return
    waiting = {executor.submit(_elsewhere, network, objectives, recipe, seeds): chunk for chunk, objectives in chunks}
    lost: list[tuple[list[_Job], WorkerError]] = []
    for future in as_completed(waiting):
        chunk = waiting.pop(future)  # whose pictures are not kept any longer than it takes to write them
        try:
            made = future.result()
        except WorkerError as error:
            lost.append((chunk, error))
        else:
            yield chunk, made
    if lost:
        named = ", ".join(f"{chunk[0].unit} to {chunk[-1].unit.index}" for chunk, _ in lost[:3])
        more = f" and {len(lost) - 3} more chunks" if len(lost) > 3 else ""
        raise WorkerError(f"{named}{more} could not be made: {lost[0][1]}; all others are kept")


def _elsewhere(network: Shared, objectives: list[Objective], recipe: str, seeds: range) -> list[Synthesis]:
    """What a worker does: only values travel to it."""
    return [maximise(received(network), objectives, recipe=recipe, seed=seed) for seed in seeds]


def _in_turn(jobs: list[_Job], sooner: list[tuple[Layer, list[int]]]) -> list[list[_Job]]:
    """The jobs in chunks; those that are wanted sooner come first, in small ones."""
    early = {(layer.name, index) for layer, indices in sooner for index in indices}
    order: tuple[list[_Job], list[_Job]] = ([], [])
    for job in jobs:
        order[(job.layer.name, job.unit.index) not in early].append(job)
    return [*_chunks(order[0], EARLY_CHUNK), *_chunks(order[1], CHUNK)]


def _chunks(jobs: list[_Job], size: int) -> Iterator[list[_Job]]:
    """Chunks of one layer each."""
    by_layer: dict[str, list[_Job]] = {}
    for job in jobs:
        by_layer.setdefault(job.layer.name, []).append(job)
    for members in by_layer.values():
        yield from (members[start : start + size] for start in range(0, len(members), size))


def _record(
    model: VisionModel,
    job: _Job,
    synthesis: Synthesis,
    place: int,
    natural: Naturals | None,
    card: dict[str, Any],
    recipe: str,
    seed: int,
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Facts and arrays of one unit's record; nothing in it depends on when or with whom it was made."""
    index, score = job.unit.index, float(synthesis.scores[place])
    strongest = natural.peaks.best(index, str(job.objective)) if natural else None
    ratio, status, note = beside_natural(score, strongest, synthesis.status[place], synthesis.notes[place])
    facts: dict[str, Any] = {
        "schema": SCHEMA,
        "kind": "unit",
        "network": model.name,
        "layer": job.layer.name,
        "unit": index,
        "label": _label(model, job),
        "objective": str(job.objective),
        "score": score,
        "control": float(synthesis.controls[place]),
        "natural": strongest,
        "ratio": ratio,
        "saturated": float(synthesis.saturated[place]),
        "status": status,
        "note": note,
        "card": card,
        "recipe": dataclasses.asdict(recipe_for(recipe, job.layer, model)),
        "seed": seed,
        "exemplars": natural.facts(index) if natural else [],
    }
    arrays: dict[str, NDArray[Any]] = {
        "picture": np.asarray(synthesis.images[place], dtype=np.uint8),
        "trace": np.asarray(synthesis.trace[place], dtype=np.float32),
        "exemplars": natural.strip(index) if natural else np.zeros(0, dtype=np.uint8),
    }
    return facts, arrays


def _label(model: VisionModel, job: _Job) -> str | None:
    """The class that a unit of the output stands for."""
    of_output = str(job.objective).startswith("logit ")
    return model.class_names[job.unit.index] if of_output and model.class_names else None
