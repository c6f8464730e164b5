"""How right a map is about a thing's parts, whose effects are known: orders, choices of parts, and other questions.

After FunnyBirds (Hesse, Schaub-Meyer, Roth 2023, section 4), but by ranks alone: no threshold says which parts count as
important. A part counts the map inside its mask and one pixel around it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from layerscope.attribution.checks import rank_correlation
from layerscope.faithfulness.cases import ASKED, BACKGROUND, OTHER, Case, orders
from layerscope.faithfulness.causes import LEAST_PARTS, part_rank, reach
from layerscope.faithfulness.measures.measure import Answers, Measure, Values
from layerscope.faithfulness.part_game import Coalition, PartGame

MEASURES = (
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
        "The same with the parts' exact Shapley values: the mean share of each over all choices of the others, every "
        "one of them rendered. They differ from single effects where parts stand in for each other.",
        "causes",
    ),
    Measure(
        "beyond_size",
        "beyond size",
        "high",
        "Part rank less what the parts' sizes tell: the partial rank correlation of sums and effects given the parts' "
        "areas, in scenes of four parts or more. An even map gets 0.",
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
        "Whether a map is of its class: rank correlation of the difference between the maps for the label and for "
        "another one with the difference between the parts' effects on the two; 0 for a map that is the same for all.",
        "causes",
        (ASKED, OTHER),
    ),
    Measure(
        "swap",
        "swap",
        "high",
        "The same difference of maps against what happens to the margin between the two classes when each part is "
        "replaced by that of the other class, in scenes where at least three parts can be.",
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
    here = sums(values, game.masks)
    truth = game.whole[case.asked.target] - game.dropped[:, case.asked.target]
    players = effects.parts[: game.players]
    shares = torch.tensor([part.shapley for part in players], dtype=torch.float64)
    return {
        "part_rank": math.nan if known is None else known.spearman,
        "cosine": math.nan if known is None else known.cosine - case.chance,
        "shapley_rank": _correlation(here[: game.players], shares),
        "beyond_size": _partial(here, truth, reach(game.masks).sum((1, 2))),
    }


def _choices(case: Case, values: Tensor) -> Values:
    game = case.game
    assert game is not None
    order = sums(values, game.masks[: game.players]).argsort(descending=True, stable=True).tolist()
    scores, everyone = game.of(case.asked.target), frozenset(order)
    sizes = range(1, game.players)
    kept = [_place(scores, frozenset(order[:size])) for size in sizes]
    gone = [1 - _place(scores, everyone - frozenset(order[:size])) for size in sizes]
    return {
        "preservation": _mean(kept),
        "deletion_check": _mean(gone),
        "sufficient": _overlap(game, order, case.asked.target),
    }


def _place(scores: dict[Coalition, float], chosen: Coalition) -> float:
    """Where a choice's score lies between the worst, 0, and the best, 1, of its size; NaN where all are the same."""
    alike = [score for kept, score in scores.items() if len(kept) == len(chosen)]
    low, high = min(alike), max(alike)
    return (scores[chosen] - low) / (high - low) if high - low > _SAME * max(abs(low), abs(high)) else math.nan


def _overlap(game: PartGame, order: Sequence[int], label: int) -> float:
    """NaN where the network predicts another class, or needs none of the parts."""
    if int(game.whole.argmax()) != label:
        return math.nan
    sets = game.sufficient(label)
    size = len(sets[0]) if sets else 0
    return max(len(one & set(order[:size])) for one in sets) / size if 0 < size < game.players else math.nan


def _asked_again(case: Case, game: PartGame, answers: Answers) -> Values:
    found = {}
    here = sums(answers[ASKED], game.masks)
    if OTHER in answers:
        label, other = case.asked.target, case.questions[OTHER].target
        difference = here - sums(answers[OTHER], game.masks)
        margin, margins = game.whole[label] - game.whole[other], game.dropped[:, label] - game.dropped[:, other]
        found["target"] = _correlation(difference, margin - margins)
        swapped = sorted(game.swaps) if game.donor == other else []
        fall = [margin - (game.swaps[part][label] - game.swaps[part][other]) for part in swapped]
        found["swap"] = _correlation(difference[swapped], torch.stack(fall)) if fall else math.nan
    if BACKGROUND in answers:
        there = sums(answers[BACKGROUND], game.masks)
        size = here.norm() * there.norm()
        found["background"] = float(here @ there / size) if size > 0 else 0.0
    return found


def _correlation(found: Tensor, truth: Tensor) -> float:
    """Rank correlation, 0 for values that order nothing; NaN where the truth has no order to find."""
    if len(truth) < LEAST_PARTS or float(truth.max() - truth.min()) <= _SAME * float(truth.abs().max()):
        return math.nan
    return rank_correlation(found, truth) or 0.0


def _partial(found: Tensor, truth: Tensor, given: Tensor) -> float:
    """Partial rank correlation (Kendall 1942); NaN for fewer than four parts, or where size alone orders the truth."""
    if len(truth) <= LEAST_PARTS or math.isnan(known := _correlation(given, truth)) or abs(known) > 1 - 1e-9:
        return math.nan
    direct, size = _correlation(found, truth), rank_correlation(found, given) or 0.0
    rest = (1 - known**2) * (1 - size**2)
    return (direct - known * size) / math.sqrt(rest) if rest > 1e-9 else 0.0


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return math.fsum(known) / len(known) if known else math.nan
