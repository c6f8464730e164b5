"""How right a map is about a thing's parts, whose effects are known: orders, choices of parts, and other questions.

After FunnyBirds (Hesse, Schaub-Meyer, Roth 2023, section 4), but by ranks alone: no threshold says which parts count as
important. A part counts the map inside its mask and one pixel around it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

import torch
from torch import Tensor

from layerscope.attribution.checks import rank_correlation
from layerscope.faithfulness.cases import ASKED, BACKGROUND, OTHER, Case, orders
from layerscope.faithfulness.causes import LEAST_PARTS, part_rank, reach, shapley_values
from layerscope.faithfulness.measures.measure import Answers, Measure, Values
from layerscope.faithfulness.part_game import Coalition, PartGame

MEASURES = (
    Measure(
        "density_rank",
        "part density",
        "high",
        "Rank correlation of a map's mean in each part with the part's exact Shapley value per pixel, every choice of "
        "the parts rendered: 1 is the exact order, 0 none. An even map gets 0, and so does one whose pixels are "
        "shuffled: sums, as part rank takes them, grow with a part's size whatever the map knows.",
        "causes",
    ),
    Measure(
        "part_rank",
        "part rank",
        "high",
        "Rank correlation of a map's sums in the parts with the true effects of the parts, each found by rendering "
        "the scene without it (single deletion in FunnyBirds): 1 is the exact order, 0 none, −1 the opposite.",
        "causes",
    ),
    Measure(
        "shapley_rank",
        "Shapley rank",
        "high",
        "The same with the parts' exact Shapley values: the mean share of each over all choices of the others. They "
        "differ from single effects where parts stand in for each other.",
        "causes",
    ),
    Measure(
        "cosine",
        "cosine",
        "high",
        "Cosine between a map's sums in the parts and their true effects, so that strong parts count more, less "
        "what random maps of positive values get in the same scene: 0 is chance.",
        "causes",
    ),
    Measure(
        "preservation",
        "preservation",
        "high",
        "With only the parts rendered that the map names first, how high the score is among all choices of as many "
        "parts: 1 is the best choice, 0 the worst, the mean over all numbers of parts.",
        "causes",
    ),
    Measure(
        "deletion_check",
        "deletion check",
        "high",
        "Without the parts that the map names first, how low the score is among all choices of as many parts: 1 is "
        "the choice that hurts most, 0 the one that hurts least.",
        "causes",
    ),
    Measure(
        "sufficient",
        "sufficient",
        "high",
        "Of the smallest set of parts that is enough for the label, the share that is among as many parts that the map "
        "names first; of several such sets the one that fits best.",
        "causes",
    ),
    Measure(
        "target",
        "target",
        "high",
        "Whether a map is of its class: part density of the difference between the maps for the label and for another "
        "class, against the difference between the parts' Shapley values for the two; 0 for a map that is the same.",
        "causes",
        (ASKED, OTHER),
    ),
    Measure(
        "swap",
        "swap",
        "high",
        "The same difference of maps, per pixel, against what happens to the margin between the two classes when each "
        "part is replaced by that of the other class, in scenes where at least three parts can be.",
        "causes",
        (ASKED, OTHER),
    ),
    Measure(
        "background",
        "background",
        "high",
        "Cosine between a map's sums in the parts on this background and on the one of several others that changes the "
        "score least: 1 is a map that does not care.",
        "causes",
        (ASKED, BACKGROUND),
    ),
)

_SAME = 1e-5
"""Of their size: scores that differ by less differ by rounding alone."""


def judge(case: Case, answers: Answers) -> Values:
    """Measures of MEASURES; nothing where the parts of the case are not known."""
    if case.game is None or ASKED not in answers:
        return {}
    return {**_ranks(case, answers[ASKED]), **_choices(case, answers[ASKED]), **_asked_again(case, case.game, answers)}


def sums(values: Tensor, masks: Tensor) -> Tensor:
    """float64 [parts]: a map's [height, width] sums around the parts [parts, height, width]."""
    return (reach(masks) * values.detach().double().cpu()).sum((1, 2))


def _ranks(case: Case, values: Tensor) -> Values:
    game, effects = case.game, case.effects
    assert game is not None
    assert effects is not None
    known = part_rank(values, effects) if orders(effects) else None
    here, size, shares = sums(values, game.masks)[: game.players], _sizes(game), _shares(game, case.asked.target)
    return {
        "density_rank": _correlation(here / size, shares / size),
        "part_rank": math.nan if known is None else known.spearman,
        "cosine": math.nan if known is None else known.cosine - case.chance,
        "shapley_rank": _correlation(here, shares),
    }


def _choices(case: Case, values: Tensor) -> Values:
    game = case.game
    assert game is not None
    here = sums(values, game.masks[: game.players]).tolist()
    scores, everyone = game.of(case.asked.target), frozenset(range(game.players))
    first = [_first(here, size) for size in range(1, game.players)]
    return {
        "preservation": _mean([_mean([_place(scores, chosen) for chosen in alike]) for alike in first]),
        "deletion_check": _mean(
            [1 - _mean([_place(scores, everyone - chosen) for chosen in alike]) for alike in first]
        ),
        "sufficient": _overlap(game, here, case.asked.target),
    }


def _first(here: Sequence[float], size: int) -> list[Coalition]:
    """The parts with the largest sums; where sums are the same, every choice of as many, so that none is favoured."""
    least = sorted(here, reverse=True)[size - 1]
    sure = frozenset(part for part, found in enumerate(here) if found > least)
    tied = [part for part, found in enumerate(here) if found == least]
    return [sure | frozenset(more) for more in combinations(tied, size - len(sure))]


def _place(scores: dict[Coalition, float], chosen: Coalition) -> float:
    """Where a choice's score lies between the worst, 0, and the best, 1, of its size; NaN where all are the same."""
    alike = [score for kept, score in scores.items() if len(kept) == len(chosen)]
    low, high = min(alike), max(alike)
    return (scores[chosen] - low) / (high - low) if high - low > _SAME * max(abs(low), abs(high)) else math.nan


def _overlap(game: PartGame, here: Sequence[float], label: int) -> float:
    """NaN where the network predicts another class, or needs none of the parts, or all."""
    if int(game.whole.argmax()) != label:
        return math.nan
    sets = game.sufficient(label)
    size = len(sets[0]) if sets else 0
    if not 0 < size < game.players:
        return math.nan
    return _mean([max(len(one & chosen) for one in sets) / size for chosen in _first(here, size)])


def _asked_again(case: Case, game: PartGame, answers: Answers) -> Values:
    found = {}
    here = sums(answers[ASKED], game.masks)
    if OTHER in answers:
        label, other = case.asked.target, case.questions[OTHER].target
        difference, size = here - sums(answers[OTHER], game.masks), _sizes(game)
        players, shares = slice(game.players), _shares(game, label) - _shares(game, other)
        found["target"] = _correlation(difference[players] / size, shares / size)
        found["swap"] = _swapped(game, difference, label, other)
    if BACKGROUND in answers:
        there = sums(answers[BACKGROUND], game.masks)
        size = here.norm() * there.norm()
        found["background"] = float(here @ there / size) if size > 0 else 0.0
    return found


def _correlation(found: Tensor, truth: Tensor) -> float:
    """Rank correlation, 0 for values that order nothing; NaN where the truth has no order to find."""
    if len(truth) < LEAST_PARTS or float(truth.max() - truth.min()) <= _SAME * float(truth.abs().max()):
        return math.nan
    size = found.abs().max()
    return rank_correlation((found / size).round(decimals=9), truth) or 0.0 if size > 0 else 0.0


def _swapped(game: PartGame, difference: Tensor, label: int, other: int) -> float:
    swapped = sorted(game.swaps) if game.donor == other else []
    if not swapped:
        return math.nan
    logits = torch.stack([game.swaps[part] for part in swapped])
    fall = (game.whole[label] - game.whole[other]) - (logits[:, label] - logits[:, other])
    size = reach(game.masks[swapped]).sum((1, 2))
    return _correlation(difference[swapped] / size, fall / size)


def _sizes(game: PartGame) -> Tensor:
    """float64 [players]: the pixels where a map counts for each."""
    return reach(game.masks[: game.players]).sum((1, 2))


def _shares(game: PartGame, target: int) -> Tensor:
    """float64 [players]: Shapley values for a class."""
    return torch.tensor(shapley_values(game.of(target), game.players), dtype=torch.float64)


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return math.fsum(known) / len(known) if known else math.nan
