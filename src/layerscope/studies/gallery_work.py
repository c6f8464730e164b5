"""The work of a gallery: its units in chunks, whose pictures and outcome cards are made together by a crew."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from layerscope.capture.layers import Layer
from layerscope.capture.units import Unit
from layerscope.errors import WorkerError
from layerscope.models.model import VisionModel
from layerscope.objectives import Objective
from layerscope.studies.chunks import batches_of, in_chunks
from layerscope.studies.crew import Crew
from layerscope.studies.exemplars import Naturals
from layerscope.studies.natural_paths import NaturalPaths, natural_paths
from layerscope.studies.outcome_cards import Controls, OtherPictures, cards_of, other_pictures
from layerscope.synthesis.ascent import maximise
from layerscope.synthesis.outcome import Synthesis
from layerscope.synthesis.recipes import Recipe

Card = dict[str, Any]
Lost = list[tuple[list["Job"], WorkerError]]
"""Chunks that were given up, and why."""


@dataclass(frozen=True)
class Job:
    """One unit to show: its layer, its objective, the recipe of its picture, and the key of its record."""

    unit: Unit
    layer: Layer
    objective: Objective
    recipe: Recipe
    key: str


def in_turn(
    jobs: Sequence[Job], sooner: Sequence[tuple[Layer, list[int]]], workers: int | None, most: int
) -> list[list[Job]]:
    """The jobs in chunks of at most `most`; those that are wanted sooner come first, batch by batch."""
    early = {(layer.name, index) for layer, indices in sooner for index in indices}
    order: tuple[list[Job], list[Job]] = ([], [])
    for job in jobs:
        order[(job.layer.name, job.unit.index) not in early].append(job)
    layers = {job.layer.name: job.recipe.together for job in order[1]}
    units = Counter(map(_layer, order[1]))
    counts = [(units[name], together) for name, together in layers.items()]
    batches = batches_of(counts, workers)
    return [
        *in_chunks(order[0], _layer, lambda job: min(most, job.recipe.together)),
        *in_chunks(order[1], _layer, lambda job: min(most, batches * job.recipe.together)),
    ]


def chunks_made(
    crew: Crew, chunks: Sequence[list[Job]], seeds: range, naturals: Mapping[str, Naturals]
) -> Iterator[tuple[list[Job], Synthesis, list[Card]]]:
    """Chunks with the pictures of their first seed and their cards, as they are ready.

    naturals: by layer; empty for none. WorkerError, after all others, for chunks that were given up, or for which what
    their cards are measured against was.
    """
    lost: Lost = []
    work = _asked(crew, chunks, seeds, naturals, lost)
    for chunk, (pictures, cards) in crew.all_made(_pictures_and_cards, work, _named, lost):
        yield chunk, pictures, cards


def _asked(
    crew: Crew, chunks: Sequence[list[Job]], seeds: range, naturals: Mapping[str, Naturals], lost: Lost
) -> Iterator[tuple[list[Job], tuple[Any, ...]]]:
    """What `_pictures_and_cards` is given for each chunk; what cards are measured against is made on the way, and where
    that was given up, the chunk goes to `lost`."""
    others: dict[str, OtherPictures | WorkerError | None] = {}
    for chunk, natural in zip(chunks, _natural(crew, chunks, seeds[0], naturals), strict=True):
        layer, recipe = chunk[0].layer, chunk[0].recipe
        if layer.name not in others:
            others[layer.name] = _others(crew, layer, recipe, seeds)
        beside = others[layer.name]
        if isinstance(natural, WorkerError):
            lost.append((chunk, natural))
        elif isinstance(beside, WorkerError):
            lost.append((chunk, beside))
        else:
            controls = Controls(natural, beside)
            yield chunk, (layer, _units(chunk), [job.objective for job in chunk], recipe, seeds, controls)


def _others(crew: Crew, layer: Layer, recipe: Recipe, seeds: range) -> OtherPictures | WorkerError | None:
    """Of several seeds, pictures of other units of the layer, or why they were given up."""
    if len(seeds) < 2:
        return None
    ((_, done),) = crew.each(other_pictures, [(layer.name, (layer, recipe, seeds[0]))])
    try:
        found: OtherPictures = done.result()
    except WorkerError as error:
        return error
    return found


def _natural(
    crew: Crew, chunks: Sequence[list[Job]], seed: int, naturals: Mapping[str, Naturals]
) -> Iterator[NaturalPaths | WorkerError | None]:
    if not naturals:
        yield from [None] * len(chunks)
        return
    yield from natural_paths(crew, ((naturals[chunk[0].layer.name], _units(chunk)) for chunk in chunks), seed)


def _pictures_and_cards(
    model: VisionModel,
    layer: Layer,
    units: list[int],
    objectives: list[Objective],
    recipe: Recipe,
    seeds: range,
    controls: Controls,
) -> tuple[Synthesis, list[Card]]:
    """What a worker does."""
    made = [maximise(model, objectives, recipe=recipe, seed=seed) for seed in seeds]
    return made[0], cards_of(model, layer, units, [one.images for one in made], recipe, seeds[0], controls)


def _named(chunk: Sequence[Job]) -> str:
    return f"{chunk[0].unit} to {chunk[-1].unit.index}"


def _units(chunk: Sequence[Job]) -> list[int]:
    return [job.unit.index for job in chunk]


def _layer(job: Job) -> str:
    return job.layer.name
