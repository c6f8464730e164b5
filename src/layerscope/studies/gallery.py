"""Galleries: for each unit a synthetic picture and, beside it, the natural images that excite it most.

Each unit is one record, named by all that it depends on, so a gallery that was stopped goes on where it was.
"""

from __future__ import annotations

import dataclasses
import pickle
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, as_completed
from dataclasses import dataclass
from functools import cached_property, lru_cache
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
from layerscope.errors import InputError
from layerscope.figures.galleries import layers_of
from layerscope.figures.source import opened
from layerscope.models.model import VisionModel
from layerscope.objectives import Objective
from layerscope.records import Store, content_key
from layerscope.studies.exemplars import Naturals, find_naturals
from layerscope.studies.manifest import SCHEMA, manifest_of, write_manifest
from layerscope.studies.probe import Probe, open_probe
from layerscope.studies.selection import choose_units
from layerscope.synthesis.ascent import maximise
from layerscope.synthesis.outcome import Synthesis, beside_natural
from layerscope.synthesis.recipes import default_objective, recipe_for
from layerscope.types import Progress, no_progress

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
    first: Sequence[str] = (),
    executor: Executor | None = None,
    on_progress: Progress = no_progress,
) -> Gallery:
    """Make the gallery of `model` in a folder of its own below `out`; what is there already is not made again.

    units: layer patterns ("layer4.*"; of what they match, convolutions and the final logits are shown, or all where
    there are none), exact layer names, or units ("layer4.1.conv2:37"). recipe: "draft", "standard" or "fine". probe:
    "menagerie", a folder of class folders, or None for no natural images. first: those of the units that are made
    before the others, named as in `units`. executor: runs the chunks, by default here. Raises UnknownNameError for
    layers, units and recipes that do not exist, StorageError where `out` cannot be written.
    """
    if not isinstance(model, VisionModel):
        raise InputError(f"a {type(model).__name__} is no VisionModel; open it with load_model, or wrap(module)")
    began, asked = time.perf_counter(), [units] if isinstance(units, str) else list(units)
    wanted, sooner = choose_units(model, asked), choose_units(model, first) if first else []
    recipe_for(recipe, None, model)  # an unknown name is said before any work
    packed = None if executor is None else _packed(model)
    shown = None if probe is None else open_probe(probe, model, on_progress=on_progress)
    jobs = _jobs(model, wanted, recipe, seed, shown)
    listed = [(job.layer, job.unit.index, job.key) for job in jobs]
    manifest = manifest_of(model, listed, asked=asked, recipe=recipe, seed=seed, probe=shown, probe_spec=probe)
    folder = write_manifest(Path(out), manifest)
    store = Store(folder)
    todo = [job for job in jobs if store.find(job.key) is None]
    naturals = _naturals(model, todo, shown, on_progress)
    done = len(jobs) - len(todo)
    for chunk, synthesis in _made(model, packed, _in_turn(todo, sooner), recipe, seed, executor):
        for place, job in enumerate(chunk):
            natural = naturals.get(job.layer.name)
            store.write(job.key, *_record(model, job, synthesis, place, natural, recipe, seed))
        done += len(chunk)
        on_progress(done, len(jobs), chunk[-1].layer.name)
    names = tuple(dict.fromkeys(job.layer.name for job in jobs))
    return Gallery(folder, model.name, names, len(todo), len(jobs) - len(todo), time.perf_counter() - began)


def _packed(model: VisionModel) -> bytes:
    """The network as bytes for other processes. Left to itself, torch would move the user's weights into shared memory.

    Networks of a file that was run, or made of local classes, cannot be found again elsewhere: InputError.
    """
    try:
        return pickle.dumps(model)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise InputError(
            f"{model.name!r} cannot be sent to other processes ({error}); use the engine 'local', "
            "or define the network in an installed module"
        ) from None


@lru_cache(maxsize=1)
def _unpacked(packed: bytes) -> VisionModel:
    model: VisionModel = pickle.loads(packed)
    return model


def _jobs(
    model: VisionModel, wanted: list[tuple[Layer, list[int]]], recipe: str, seed: int, probe: Probe | None
) -> list[_Job]:
    jobs, facts = [], _common_facts(model, seed, probe)
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


def _naturals(model: VisionModel, todo: list[_Job], probe: Probe | None, on_progress: Progress) -> dict[str, Naturals]:
    layers = list({job.layer.name: job.layer for job in todo}.values())
    return find_naturals(model, layers, probe, on_progress) if probe and layers else {}


def _made(
    model: VisionModel, packed: bytes | None, work: list[list[_Job]], recipe: str, seed: int, executor: Executor | None
) -> Iterator[tuple[list[_Job], Synthesis]]:
    """Chunks of one layer each, as they are ready."""
    chunks = [(chunk, [job.objective for job in chunk]) for chunk in work]
    if executor is None or packed is None:
        for chunk, objectives in chunks:
            yield chunk, maximise(model, objectives, recipe=recipe, seed=seed)
        return
    waiting = {executor.submit(_elsewhere, packed, objectives, recipe, seed): chunk for chunk, objectives in chunks}
    for future in as_completed(waiting):
        yield waiting[future], future.result()


def _elsewhere(packed: bytes, objectives: list[Objective], recipe: str, seed: int) -> Synthesis:
    """What a worker does: only values travel to it."""
    return maximise(_unpacked(packed), objectives, recipe=recipe, seed=seed)


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
    model: VisionModel, job: _Job, synthesis: Synthesis, place: int, natural: Naturals | None, recipe: str, seed: int
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
