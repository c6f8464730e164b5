"""How right a map is about one rendered scene, whose causes are known: each measure with the direction that is better.

Every measure is of ranks, shares or areas; none has a threshold. They are to be read beside the same measures of maps
that know nothing (`faithfulness.controls`), of the exact answer and of its negative.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from layerscope.errors import InputError
from layerscope.faithfulness.causes import LEAST_PARTS, PartEffect, SceneEffects, part_rank, reach, true_effects
from layerscope.faithfulness.controls import controls
from layerscope.faithfulness.curves import deletion_insertion
from layerscope.faithfulness.scoring import ScoreOf
from layerscope.world import Scenes

STEPS = 10
"""Blocks of pixels in which deletion and insertion change an image."""
RANDOM_MAPS = 8
"""Random maps whose mean cosine is what chance gets in a scene."""

Better = Literal["high", "low"]


@dataclass(frozen=True)
class Measure:
    """One measure, as data.

    Attributes:
        name: its key in rows and records.
        title: as tables call it.
        better: which way is better.
        words: what it is, and what its ends mean, in one sentence.
        causal: whether it needs the true causes, which only a rendered scene has.
    """

    name: str
    title: str
    better: Better
    words: str
    causal: bool = False


MEASURES: dict[str, Measure] = {
    measure.name: measure
    for measure in (
        Measure(
            "part_rank",
            "part rank",
            "high",
            "Rank correlation of a map's sums in the parts with the true effects of the parts, each found by rendering "
            "the scene without it: 1 is the exact order, 0 none, −1 the opposite.",
            causal=True,
        ),
        Measure(
            "cosine",
            "cosine",
            "high",
            "Cosine between a map's sums in the parts and their true effects, so that strong parts count more, less "
            "what random maps of positive values get in the same scene: 0 is chance.",
            causal=True,
        ),
        Measure(
            "mass",
            "mass",
            "high",
            "Share of the evidence for the label that lies on the thing, over the thing's share of the image: 1 is an "
            "even map, 0 also one without evidence for it.",
        ),
        Measure(
            "deletion",
            "deletion",
            "low",
            "Area under the score while the pixels named first are blurred; 0 is the score of the blurred image, 1 "
            "that of the image.",
        ),
        Measure(
            "insertion",
            "insertion",
            "high",
            "Area under the score while the pixels named first are put into the blurred image; on the same scale.",
        ),
        Measure(
            "redrawn",
            "redrawn",
            "low",
            "Size of the rank correlation with the map of the same network whose top layers were drawn anew: near 1, "
            "the map does not notice what was learned there.",
        ),
        Measure("seconds", "seconds", "low", "Processor seconds for one image on this machine, checks not counted."),
    )
}
"""What is measured of an attribution method, the headline first."""

JUDGED = ("part_rank", "cosine", "mass", "deletion", "insertion")
"""Those that `judge` gives for a single map; the others are of the method that made it."""


@dataclass(frozen=True, eq=False)
class Case:
    """One scene with all that a map of it is judged by.

    Attributes:
        image: float32 [3, size, size] in [0, 1].
        thing: bool [size, size], where the thing is seen.
        effects: what each part does to the score.
        score: what is explained.
        chance: mean cosine of random maps of positive values.
        seed: of the scene.
    """

    image: Tensor
    thing: Tensor
    effects: SceneEffects
    score: ScoreOf
    chance: float
    seed: int


def case_of(score: ScoreOf, scene: Scenes, *, input_size: int | None = None, batch: int = 64) -> Case | None:
    """The case of one scene, or None where it says nothing: fewer than LEAST_PARTS parts are seen, or all do the same.

    Raises InputError for more than one scene, and as `true_effects` does.
    """
    if len(scene.seeds) != 1:
        raise InputError(f"{len(scene.seeds)} scenes for one case; give one, as scenes.one(0)")
    (effects,) = true_effects(score, scene, others=1, exact_up_to=0, input_size=input_size, batch=batch)
    seen = _seen(effects)
    if len(seen) < LEAST_PARTS or len({part.effect for part in seen}) == 1:
        return None
    image, seed = scene.images[0], scene.seeds[0]
    random = [controls(image, RANDOM_MAPS * seed + draw + 1)["random"].abs() for draw in range(RANDOM_MAPS)]
    chance = math.fsum(_rank(values, effects)[1] for values in random) / RANDOM_MAPS
    return Case(image, scene.thing[0].bool(), effects, score, chance, seed)


def judge(maps: Mapping[str, Tensor], case: Case, batch: int = 64) -> dict[str, dict[str, float]]:
    """By map, then by measure of JUDGED; NaN where an area has no scale, as in `Curve`.

    maps: by name, each signed [size, size]; positive values speak for the score. Raises InputError for maps of another
    shape or with values that are not finite.
    """
    curves = deletion_insertion(case.score, case.image, maps, steps=STEPS, batch=batch).of
    found = {}
    for name, values in maps.items():
        (spearman, cosine), curve = _rank(values, case.effects), curves[name]
        mass = mass_over_area(values, case.thing)
        areas = [math.nan if area is None else area for area in (curve.deletion_area, curve.insertion_area)]
        found[name] = dict(zip(JUDGED, (spearman, cosine - case.chance, mass, *areas), strict=True))
    return found


def pinned(case: Case) -> dict[str, Tensor]:
    """The maps that every method is read beside, each [size, size]: the controls, the exact answer and its negative."""
    exact = exact_answer(case.effects)
    return {**controls(case.image, case.seed), "inverted": -exact, "exact": exact}


def exact_answer(effects: SceneEffects) -> Tensor:
    """The smallest map (by its squares) whose sum around each part that is seen is that part's true effect.

    float64 [height, width]; Raises InputError where no part is seen.
    """
    seen = _seen(effects)
    if not seen:
        raise InputError("no part of the thing is seen, so that there is no answer; give another scene")
    around = reach(seen)
    flat = around.flatten(1)
    truth = torch.tensor([part.effect for part in seen], dtype=torch.float64)
    weights = torch.linalg.pinv(flat @ flat.T) @ truth
    answer: Tensor = (weights @ flat).view(around.shape[1:])
    return answer


def mass_over_area(values: Tensor, thing: Tensor) -> float:
    """Share of a map's positive values inside a mask, over the mask's share of the pixels; 0 without positive values.

    values: [height, width]. thing: bool [height, width], true somewhere.
    """
    positive = values.detach().double().cpu().clamp(min=0)
    total = positive.sum()
    return float(positive[thing].sum() / total / thing.double().mean()) if total > 0 else 0.0


def _seen(effects: SceneEffects) -> list[PartEffect]:
    return [part for part in effects.parts if part.pixels]


def _rank(values: Tensor, effects: SceneEffects) -> tuple[float, float]:
    found = part_rank(values, effects)
    assert found is not None  # `case_of` leaves such scenes out
    return found.spearman, found.cosine
