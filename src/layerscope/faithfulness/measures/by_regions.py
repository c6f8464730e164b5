"""How right a map is about where the evidence lies: on the thing, off the distractors, on a mark that decides."""

from __future__ import annotations

import math
from typing import TypeGuard

import torch
from scipy.stats import rankdata
from torch import Tensor

from layerscope.faithfulness.cases import ASKED, MARKED, PATCH, UNMARKED, Case
from layerscope.faithfulness.measures.measure import Answers, Measure, Values

MEASURES = (
    Measure(
        "mass",
        "mass",
        "high",
        "Share of the evidence for the label that lies on the thing, over the thing's share of the image: 1 is an "
        "even map, 0 also one without evidence for it.",
        "masks",
    ),
    Measure(
        "pointing",
        "pointing",
        "high",
        "The pointing game (Zhang et al. 2016): the share of images where the map is largest on the thing.",
        "masks",
    ),
    Measure(
        "distractors",
        "distractors",
        "low",
        "Size of the map on distractors, which hardly matter, over its mean size: 0 is a map that leaves them alone, 1 "
        "an even one.",
        "causes",
    ),
    Measure(
        "independence",
        "independence",
        "low",
        "Size of the map on a patch that was put into the image and found to leave the score unchanged, over its mean "
        "size (input independence; Yang, Kim 2019): 0 is right, 1 an even map.",
        "causes",
        (PATCH,),
    ),
    Measure(
        "shortcut",
        "shortcut",
        "high",
        "In a network whose label a planted mark decides: the chance that a pixel of the mark has a larger value than "
        "one elsewhere (area under the ROC curve): 1 shows the shortcut, .5 is chance.",
        "causes",
        (MARKED,),
    ),
    Measure(
        "contrast",
        "contrast",
        "high",
        "The same less what the method says of the same image and class in the network that does not use the mark "
        "(model contrast; Yang, Kim 2019): 0 for a map that does not notice whose it is.",
        "causes",
        (MARKED, UNMARKED),
    ),
)


def judge(case: Case, answers: Answers) -> Values:
    """Measures of MEASURES; those whose region the case does not know are missing."""
    found = {}
    if ASKED in answers and _some(case.thing):
        found["mass"] = mass_over_area(answers[ASKED], case.thing)
        found["pointing"] = pointing(answers[ASKED], case.thing)
    if ASKED in answers and _some(case.clutter):
        found["distractors"] = density(answers[ASKED], case.clutter)
    if PATCH in answers and _some(case.patch):
        found["independence"] = density(answers[PATCH], case.patch)
    if MARKED in answers and _some(case.mark):
        found["shortcut"] = told_apart(answers[MARKED], case.mark)
        if UNMARKED in answers:
            found["contrast"] = found["shortcut"] - told_apart(answers[UNMARKED], case.mark)
    return found


def mass_over_area(values: Tensor, region: Tensor) -> float:
    """Share of a map's positive values inside a mask, over the mask's share of the pixels; 0 without positive values.

    values: [height, width]. region: bool [height, width], true somewhere.
    """
    positive = values.detach().double().cpu().clamp(min=0)
    total = positive.sum()
    return float(positive[region].sum() / total / region.double().mean()) if total > 0 else 0.0


def pointing(values: Tensor, region: Tensor) -> float:
    """Whether a map [height, width] is largest inside the mask; of several largest values, the share that is inside."""
    largest = values == values.max()
    return float((largest & region).sum() / largest.sum())


def density(values: Tensor, region: Tensor) -> float:
    """Mean size of a map [height, width] in the mask, over its mean size; NaN for an empty map."""
    size = values.detach().double().cpu().abs()
    whole = size.mean()
    return float(size[region].mean() / whole) if whole > 0 else math.nan


def told_apart(values: Tensor, region: Tensor) -> float:
    """The chance that a value inside the mask is larger than one outside of it, ties counting half.

    values: [height, width]. region: bool [height, width], true somewhere and false somewhere. By the ranks (Mann,
    Whitney 1947).
    """
    ranks = torch.from_numpy(rankdata(values.detach().double().cpu().flatten().numpy()))
    inside = region.flatten()
    count, rest = int(inside.sum()), int((~inside).sum())
    return float((ranks[inside].sum() - count * (count + 1) / 2) / (count * rest))


def _some(region: Tensor | None) -> TypeGuard[Tensor]:
    return region is not None and bool(region.any()) and not bool(region.all())
