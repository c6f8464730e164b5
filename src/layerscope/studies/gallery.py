"""Galleries: for each unit a synthetic picture and, beside it, the natural images that excite it most.

Each unit is one record, named by all that it depends on, so a gallery that was stopped goes on where it was.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future, as_completed
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layerscope.capture.layers import Layer
from layerscope.capture.units import Unit
from layerscope.models.model import VisionModel
from layerscope.objectives import Objective
from layerscope.records import Store, content_key, write_whole
from layerscope.studies.exemplars import Naturals, find_naturals
from layerscope.studies.probe import Probe, open_probe
from layerscope.studies.selection import choose_units
from layerscope.synthesis.ascent import maximise
from layerscope.synthesis.outcome import Synthesis
from layerscope.synthesis.recipes import default_objective, recipe_for
from layerscope.types import Progress, no_progress

SCHEMA = 1
FAINT = 0.5  # of the strongest natural activation: a picture below it shows little of its unit
CHUNK = 32  # units whose pictures are made in one go: what a killed gallery loses at most


@dataclass(frozen=True)
class Gallery:
    """A gallery on disk. made: units that this call made; found: units that were there already."""

    folder: Path
    network: str
    layers: tuple[str, ...]
    made: int
    found: int
    seconds: float


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
    executor: Executor | None = None,
    on_progress: Progress = no_progress,
) -> Gallery:
    """Make the gallery of `model` in `<out>/<network>`; what is there already is not made again.

    units: layer patterns ("layer4.*"; of what they match, convolutions and the final logits are shown, or all where
    there are none), exact layer names, or units ("layer4.1.conv2:37"). recipe: "draft", "standard" or "fine". probe:
    "menagerie", a folder of class folders, or None for no natural images. executor: runs the chunks, by default here.
    Raises UnknownNameError for layers, units and recipes that do not exist, StorageError where `out` cannot be written.
    """
    began, wanted = time.perf_counter(), choose_units(model, [units] if isinstance(units, str) else units)
    recipe_for(recipe, None, model)  # an unknown name is said before any work
    folder = Path(out) / folder_name(model.name)
    store, shown = Store(folder), None if probe is None else open_probe(probe, model, on_progress=on_progress)
    jobs = _jobs(model, wanted, recipe, seed, shown)
    write_whole(folder / "gallery.json", _manifest(model, jobs, recipe, seed, shown, units, probe))
    todo = [job for job in jobs if store.find(job.key) is None]
    naturals = _naturals(model, todo, shown, on_progress)
    done = len(jobs) - len(todo)
    for chunk, synthesis in _made(model, todo, recipe, seed, executor):
        for place, job in enumerate(chunk):
            natural = naturals.get(job.layer.name)
            store.write(job.key, *_record(model, job, synthesis, place, natural, recipe, seed))
        done += len(chunk)
        on_progress(done, len(jobs), chunk[-1].layer.name)
    names = tuple(dict.fromkeys(job.layer.name for job in jobs))
    return Gallery(folder, model.name, names, len(todo), len(jobs) - len(todo), time.perf_counter() - began)


def folder_name(name: str) -> str:
    """A network's name as the name of a folder: letters, digits, dots, dashes and underscores."""
    return (
        "".join(char if char.isascii() and (char.isalnum() or char in "._-") else "-" for char in name)[:80].strip(".")
        or "network"
    )


def _jobs(
    model: VisionModel, wanted: list[tuple[Layer, list[int]]], recipe: str, seed: int, probe: Probe | None
) -> list[_Job]:
    jobs = []
    for layer, indices in wanted:
        made = dataclasses.asdict(recipe_for(recipe, layer, model))
        for index in indices:
            unit = Unit(layer.name, index)
            objective = default_objective(unit, model)
            key = content_key(
                schema=SCHEMA,
                layerscope=version("layerscope"),
                network=model.fingerprint,
                unit=str(unit),
                objective=str(objective),
                recipe=made,
                seed=seed,
                probe=probe.fingerprint if probe else None,
            )
            jobs.append(_Job(unit, layer, objective, key))
    return jobs


def _naturals(model: VisionModel, todo: list[_Job], probe: Probe | None, on_progress: Progress) -> dict[str, Naturals]:
    layers = list({job.layer.name: job.layer for job in todo}.values())
    return find_naturals(model, layers, probe, on_progress) if probe and layers else {}


def _made(
    model: VisionModel, todo: list[_Job], recipe: str, seed: int, executor: Executor | None
) -> Iterator[tuple[list[_Job], Synthesis]]:
    """Chunks of one layer each, as they are ready."""
    chunks = list(_chunks(todo))
    if executor is None:
        for chunk in chunks:
            yield chunk, _synthesise(model, [job.objective for job in chunk], recipe, seed)
        return
    waiting: dict[Future[Synthesis], list[_Job]] = {
        executor.submit(_synthesise, model, [job.objective for job in chunk], recipe, seed): chunk for chunk in chunks
    }
    for future in as_completed(waiting):
        yield waiting[future], future.result()


def _chunks(jobs: list[_Job]) -> Iterator[list[_Job]]:
    by_layer: dict[str, list[_Job]] = {}
    for job in jobs:
        by_layer.setdefault(job.layer.name, []).append(job)
    for members in by_layer.values():
        yield from (members[start : start + CHUNK] for start in range(0, len(members), CHUNK))


def _synthesise(model: VisionModel, objectives: list[Objective], recipe: str, seed: int) -> Synthesis:
    """What travels to a worker: no closures, only values."""
    return maximise(model, objectives, recipe=recipe, seed=seed)


def _record(
    model: VisionModel, job: _Job, synthesis: Synthesis, place: int, natural: Naturals | None, recipe: str, seed: int
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Facts and arrays of one unit's record; nothing in it depends on when or with whom it was made."""
    index, score = job.unit.index, float(synthesis.scores[place])
    strongest = natural.best(index, str(job.objective).split()[0]) if natural else None
    ratio = score / strongest if strongest is not None and strongest > 0 else None
    status, note = _verdict(synthesis.status[place], synthesis.notes[place], ratio)
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


def _verdict(status: str, note: str, ratio: float | None) -> tuple[str, str]:
    """A settled ascent may have settled far below what the unit can do; natural images tell."""
    if status == "converged" and ratio is not None and ratio < FAINT:
        return "weak", f"reaches {ratio:.0%} of what a natural image reaches: it settled on a small optimum"
    return status, note


def _label(model: VisionModel, job: _Job) -> str | None:
    """The class that a unit of the output stands for."""
    of_output = str(job.objective).startswith("logit ")
    return model.class_names[job.unit.index] if of_output and model.class_names else None


def _manifest(
    model: VisionModel,
    jobs: list[_Job],
    recipe: str,
    seed: int,
    probe: Probe | None,
    units: str | Sequence[str],
    spec: str | None,
) -> bytes:
    layers: dict[str, dict[str, Any]] = {}
    for job in jobs:
        facts = {
            name: getattr(job.layer, name) for name in ("name", "kind", "shape", "units", "stride", "receptive_field")
        }
        entry = layers.setdefault(job.layer.name, {**facts, "keys": [], "indices": []})
        entry["keys"].append(job.key)
        entry["indices"].append(job.unit.index)
    chosen = units if isinstance(units, str) else list(units)
    manifest = {
        "schema": SCHEMA,
        "kind": "gallery",
        "layerscope": version("layerscope"),
        "network": {
            "name": model.name,
            "spec": model.spec,
            "weights": model.weights,
            "fingerprint": model.fingerprint,
            "input_size": model.input_size,
            "class_names": list(model.class_names) if model.class_names else None,
            "card": dict(model.card),
        },
        "recipe": recipe,
        "seed": seed,
        "probe": {"name": probe.name, "images": len(probe.data), "classes": list(probe.data.class_names)}
        if probe
        else None,
        "layers": list(layers.values()),
        "command": _command(model, chosen, recipe, seed, spec),
    }
    return json.dumps(manifest, indent=1, sort_keys=True, default=str).encode()


def _command(model: VisionModel, units: str | list[str], recipe: str, seed: int, probe: str | None) -> str:
    """The line of Python that makes the gallery again, where `load_model` can open the network."""
    weights = f", weights={model.weights!r}" if model.weights else ""
    opening = "model" if model.spec is None else f"ls.load_model({model.spec!r}{weights})"
    return f"import layerscope as ls; ls.gallery({opening}, {units=}, {recipe=}, {seed=}, {probe=})"
