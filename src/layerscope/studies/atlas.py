"""The activation atlas of a layer: what it tells apart in many images, as one map of pictures.

Carter et al. 2019, "Activation Atlas" (Distill). One activation vector per probe image is laid out in the plane; each
cell of a grid over it shows a picture of the mean of its vectors, measured against them. Layout and cells are records,
named by all that they depend on, so an atlas that was stopped goes on where it was.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from layerscope import objectives
from layerscope.capture.layers import Layer
from layerscope.figures.words import plural
from layerscope.given import path_to, progress_to, whole_number
from layerscope.models.model import VisionModel
from layerscope.names import slug
from layerscope.objectives import Objective
from layerscope.records import Record, Store, check_writable, content_key, write_whole
from layerscope.studies.atlas_layout import chosen_method
from layerscope.studies.atlas_records import CellRecords, laid_out, manifest_of
from layerscope.studies.crew import Crew
from layerscope.studies.identity import common_facts
from layerscope.studies.manifest import known
from layerscope.studies.probe import LARGEST_SEED, named_probe, open_probe
from layerscope.synthesis.ascent import maximise
from layerscope.synthesis.checks import checked_model
from layerscope.synthesis.outcome import Synthesis
from layerscope.synthesis.recipes import Recipe, recipe_for
from layerscope.types import Progress, no_progress

CHUNK = 16
"""Cells whose pictures are made in one go, or as many as climb together where those are more, since a batch that is not
full costs as much: what a killed atlas loses of each worker at most."""
MANIFEST = "atlas.json"
GRID, LEAST = 10, 5
LARGEST_GRID = 64


@dataclass(frozen=True)
class Atlas:
    """An atlas on disk. layout: how the vectors were laid out and how well. made: cells that this call made; found:
    cells that were there already."""

    folder: Path
    network: str
    layer: str
    layout: dict[str, Any]
    made: int
    found: int
    seconds: float

    @cached_property
    def cells(self) -> tuple[dict[str, Any], ...]:
        """A row for each cell in reading order: all facts of its record, as "row", "column", "activations", "cosine",
        "other" (the control), "rank", "classes", "attributed" and "status"."""
        store = Store(self.folder)
        listed = known(self.folder / MANIFEST).get("cells", ())
        records = (store.find(cell["key"]) for cell in listed)
        return tuple(record.facts for record in records if record is not None)

    def __repr__(self) -> str:
        shown = f"{plural(self.made + self.found, 'cell')} of {self.layer}, {self.made} made now"
        return f"Atlas({self.network!r}: {shown}; in {str(self.folder)!r})"

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        """The map, as `figures.atlas` draws it."""
        from layerscope.figures.atlas_plot import atlas as drawn

        return drawn(self)._repr_png_()


@dataclass(frozen=True, eq=False)
class _Job:
    place: int
    objective: Objective
    key: str


def atlas(
    model: VisionModel,
    layer: str,
    out: str | Path = "outputs/atlas",
    *,
    grid: int = GRID,
    least: int = LEAST,
    probe: str | Path = "menagerie",
    recipe: str = "standard",
    seed: int = 0,
    layout: str | None = None,
    executor: Executor | None = None,
    on_progress: Progress = no_progress,
) -> Atlas:
    """Make the atlas of a layer in a folder of its own below `out`; what is there already is not made again.

    layer: its name; tokens are taken from the square of patches, of layers without positions each image gives its one
    vector. grid: cells in a row and in a column, 2 to 64. least: vectors that a cell needs to be shown. probe:
    "menagerie", or a folder of class folders. recipe: "draft", "standard" or "fine". seed: from 0 to 2^32 - 1. layout:
    "umap" or "pca+t-sne"; by default UMAP where umap-learn is installed. executor: shows the probe's images to the
    network, in chunks, and makes the pictures, by default here; the layout is made here, and the bytes are the same
    whoever does the rest.
    Raises UnknownNameError for layers, recipes and layouts that do not exist, InputError for fewer than 32 vectors that
    are not zero or no cell with enough of them, StorageError, before any work, where `out` cannot be written, and
    WorkerError, after all others were made, for cells that end their workers each time.
    """
    checked_model(model)
    progress_to(on_progress)
    began, of = time.perf_counter(), model.layer(layer)
    grid, least = whole_number("grid", grid, 2, LARGEST_GRID), whole_number("least", least, 1)
    seed, out, probe = whole_number("seed", seed, 0, LARGEST_SEED), path_to("out", out), named_probe(probe)
    drawn = recipe_for(recipe, of, model)
    method = chosen_method(layout)
    check_writable(_home(out, model, of) / MANIFEST)
    crew = Crew.of(model, executor)
    shown = open_probe(probe, model, on_progress=on_progress)
    asked = {"grid": grid, "least": least, "recipe": recipe, "seed": seed, "probe": probe, "layout": method[0]}
    shared = common_facts(model, seed, shown.fingerprint)
    key = content_key(
        kind="atlas", layer=of.name, grid=grid, least=least, layout=method, recipe=dataclasses.asdict(drawn), **shared
    )
    folder = _folder_of(out, model, of, key)
    store = Store(folder)
    record = store.find(key) or store.write(key, *laid_out(crew, of, shown, asked, method[0], on_progress))
    jobs = list(_jobs(of, record))
    manifest = manifest_of(model, of, record, [job.key for job in jobs], shown, asked)
    write_whole(folder / MANIFEST, json.dumps(manifest, indent=1).encode())
    todo = [job for job in jobs if store.find(job.key) is None]
    done, total = len(jobs) - len(todo), len(jobs)
    told = CellRecords(model, of, record, shown, recipe, seed)
    work = ((some, ([job.objective for job in some], drawn, seed)) for some in _chunks(todo, drawn.together))
    for chunk, synthesis in crew.all_made(_pictures, work, partial(_named, record)):
        for row, job in enumerate(chunk):
            store.write(job.key, *told.of(job.place, synthesis, row))
        done += len(chunk)
        on_progress(done, total, of.name)
    seconds = time.perf_counter() - began
    return Atlas(folder, model.name, of.name, record.facts["layout"], len(todo), total - len(todo), seconds)


def _home(out: Path, model: VisionModel, layer: Layer) -> Path:
    return out / slug(model.name) / slug(layer.name)


def _folder_of(out: Path, model: VisionModel, layer: Layer, key: str) -> Path:
    """One folder per network and layer; where its manifest names another key, one with the key in its name."""
    folder = _home(out, model, layer)
    before = known(folder / MANIFEST).get("key")
    return folder if before in (None, key) else folder.with_name(f"{folder.name}-{key[:8]}")


def _jobs(layer: Layer, record: Record) -> Iterator[_Job]:
    for place, direction in enumerate(record.arrays["directions"]):
        key = content_key(atlas=record.key, place=place, direction=hashlib.sha256(direction.tobytes()).hexdigest())
        yield _Job(place, objectives.direction(layer.name, direction.tolist()), key)


def _chunks(jobs: Sequence[_Job], together: int) -> Iterator[list[_Job]]:
    size = max(CHUNK, together)
    yield from (list(jobs[start : start + size]) for start in range(0, len(jobs), size))


def _named(record: Record, chunk: Sequence[_Job]) -> str:
    """Cells by row and column."""
    (row, column, _), (last_row, last_column, _) = (record.facts["cells"][chunk[end].place] for end in (0, -1))
    return f"cells {row},{column} to {last_row},{last_column} of {record.facts['layer']}"


def _pictures(model: VisionModel, wanted: list[Objective], recipe: Recipe, seed: int) -> Synthesis:
    """What a worker does."""
    return maximise(model, wanted, recipe=recipe, seed=seed)
