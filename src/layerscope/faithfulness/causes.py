"""Causal truth: what each part of a rendered scene does to a score, found by rendering the scene without it.

The idea is that of FunnyBirds (Hesse, Schaub-Meyer, Roth 2023). Changes are re-renders, never holes in pixels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import torch
import torch.nn.functional as F
from torch import Tensor

from layerscope.attribution.checks import rank_correlation
from layerscope.attribution.task import count
from layerscope.errors import InputError
from layerscope.faithfulness.scoring import ScoreOf, check_batch, check_scenes, rendered, scored
from layerscope.world import PART_NAMES, MoveDistractors, NewBackground, RemoveParts, Scenes, part_names
from layerscope.world.interventions import Change

LEAST_PARTS = 3
"""Visible parts below which an order of parts says nothing."""


@dataclass(frozen=True, eq=False)
class PartEffect:
    """What one part does.

    Attributes:
        part: its name.
        mask: bool [height, width], where it is seen in the scene; empty where other things hide it.
        effect: score of the scene less that of the scene without the part.
        shapley: its exact Shapley value among the thing's parts (Shapley 1953), or None where there are too many.
    """

    part: str
    mask: Tensor
    effect: float
    shapley: float | None

    @property
    def pixels(self) -> int:
        """How many pixels show it."""
        return int(self.mask.sum())


@dataclass(frozen=True, eq=False)
class SceneEffects:
    """What each cause in one scene does to its score.

    Attributes:
        score: of the scene.
        parts: of the thing, back to front, whether they are seen or not.
        backgrounds: score of the scene less that of the scene on another background, for several.
        distractors: the same with the distractors moved elsewhere.
        renders: how many scenes were rendered for it.
        note: why there are no Shapley values; "" where there are.
    """

    score: float
    parts: tuple[PartEffect, ...]
    backgrounds: tuple[float, ...]
    distractors: tuple[float, ...]
    renders: int
    note: str

    @property
    def background(self) -> float:
        """Mean effect of this background in place of another one."""
        return math.fsum(self.backgrounds) / len(self.backgrounds)

    @property
    def distractor(self) -> float:
        """Mean effect of these places of the distractors rather than others."""
        return math.fsum(self.distractors) / len(self.distractors)


@dataclass(frozen=True)
class PartRank:
    """How well a map's sums inside the parts agree with the parts' true effects, over the parts that are seen.

    Attributes:
        spearman: rank correlation, in [-1, 1]; 0 for a map with equal sums in all parts, which orders nothing.
        cosine: between the two as vectors, so that parts count by their effect. Where all effects have one sign, a
            random positive map has a high cosine too: compare it with a control's.
        parts: how many are seen.
    """

    spearman: float
    cosine: float
    parts: int


def true_effects(
    score: ScoreOf,
    scenes: Scenes,
    *,
    others: int = 3,
    exact_up_to: int = 6,
    input_size: int | None = None,
    batch: int = 64,
) -> tuple[SceneEffects, ...]:
    """The true effects in each scene, by re-rendering it.

    Args:
        score: of float32 images [n, 3, size, size] in [0, 1], the same for all scenes.
        scenes: as first rendered.
        others: how many other backgrounds, and other places of the distractors, to take the mean over.
        exact_up_to: parts of a thing up to which Shapley values are computed, from 2 ** parts re-renders.
        input_size: of the network behind the score, in pixels; scenes of another size are refused.
        batch: most images to score at once.

    Raises InputError for scenes of another size, changed scenes, scores that are not one finite number per image, and
    counts that are no whole numbers.
    """
    check_batch(batch)
    check_scenes(scenes, input_size)
    count("others", others)
    count("exact_up_to", exact_up_to, least=0)
    return tuple(_effects(score, scenes.one(number), others, exact_up_to, batch) for number in range(len(scenes.seeds)))


def _effects(score: ScoreOf, scene: Scenes, others: int, exact_up_to: int, batch: int) -> SceneEffects:
    thing = scene.recipe.things[0]
    names = part_names(thing)
    exact = len(names) <= exact_up_to
    coalitions = _coalitions(len(names), exact)
    removals = [RemoveParts([names[part] for part in range(len(names)) if part not in kept]) for kept in coalitions]
    elsewhere: list[Change] = [NewBackground(seed) for seed in range(1, others + 1)]
    elsewhere += [MoveDistractors(seed) for seed in range(1, others + 1)]
    scores = scored(score, rendered(scene.variants([*removals, *elsewhere]), batch))
    whole = scores[0].item()
    value = dict(zip(coalitions, scores[: len(coalitions)].tolist(), strict=True))
    everything = frozenset(range(len(names)))
    shares = shapley_values(value, len(names)) if exact else [None] * len(names)
    parts = tuple(
        PartEffect(name, scene.part[0] == PART_NAMES.index(name), whole - value[everything - {index}], shares[index])
        for index, name in enumerate(names)
    )
    effects = (whole - scores[len(coalitions) :]).tolist()
    note = "" if exact else _too_many(thing, len(names), exact_up_to)
    return SceneEffects(whole, parts, tuple(effects[:others]), tuple(effects[others:]), len(scores), note)


def _coalitions(parts: int, exact: bool) -> list[frozenset[int]]:
    """Which parts are there: all of them first, then all but one, and if `exact` every other choice."""
    least = 0 if exact else parts - 1
    return [frozenset(kept) for size in range(parts, least - 1, -1) for kept in combinations(range(parts), size)]


def shapley_values(value: Mapping[frozenset[int], float], parts: int) -> list[float]:
    """Of each part, the mean of what it adds over all orders in which the parts could come, from every coalition."""
    shares = [0.0] * parts
    for kept, with_part in value.items():
        weight = 1 / (parts * math.comb(parts - 1, len(kept) - 1)) if kept else 0.0
        for part in kept:
            shares[part] += weight * (with_part - value[kept - {part}])
    return shares


def _too_many(thing: str, parts: int, exact_up_to: int) -> str:
    return (
        f"no Shapley values: {thing} has {parts} parts, which takes {2**parts} re-renders, "
        f"and they are computed for up to {exact_up_to} parts"
    )


def part_rank(values: Tensor, effects: SceneEffects) -> PartRank | None:
    """How well a signed map [height, width] orders the parts as their true effects do.

    A part counts the map inside its mask and one pixel around it, since edges carry evidence too. None where fewer than
    LEAST_PARTS parts are seen, or where all of them have the same effect, so that there is no order to find.
    Raises InputError for a map of another shape, or with values that are not finite.
    """
    seen = [part for part in effects.parts if part.pixels]
    if len(seen) < LEAST_PARTS:
        return None
    values = values.detach().double().cpu()
    masks = reach(torch.stack([part.mask for part in seen]))
    if values.shape != masks.shape[1:] or not values.isfinite().all():
        raise InputError(
            f"a map of shape {tuple(values.shape)} for scenes of {tuple(masks.shape[1:])}; give finite [height, width]"
        )
    sums, truth = (masks * values).sum((1, 2)), torch.tensor([part.effect for part in seen], dtype=torch.float64)
    if (truth == truth[0]).all():
        return None
    return PartRank(rank_correlation(sums, truth) or 0.0, _cosine(sums, truth), len(seen))


def reach(masks: Tensor) -> Tensor:
    """Where a map counts for each part [parts, height, width]: float64, 1 in its mask and one pixel around, else 0."""
    return F.max_pool2d(masks[:, None].double(), 3, 1, 1)[:, 0]


def _cosine(first: Tensor, second: Tensor) -> float:
    """0 where one of them is zero."""
    size = first.norm() * second.norm()
    return (first @ second / size).item() if size > 0 else 0.0
