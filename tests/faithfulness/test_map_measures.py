"""Measures of maps by parts: each equals a slow literal one, and is right where the answer is known."""

from __future__ import annotations

import math
from itertools import combinations, permutations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from known_scenes import (
    SIDE,
    additive,
    blocks,
    literal_shapley,
    literal_sums,
    on_blocks,
    planted_case,
    planted_game,
    random_game,
    subsets,
    widened,
)
from scipy.stats import spearmanr

from layerscope.faithfulness.cases import (
    ASKED,
    BACKGROUND,
    OTHER,
    RANDOM_MAPS,
    exact_answer,
    exact_shares,
)
from layerscope.faithfulness.controls import controls
from layerscope.faithfulness.intervals import Mean, mean_over_images
from layerscope.faithfulness.measures import by_parts

PARTS = 5
GAMES = range(24)


def drawn(seed: int) -> torch.Tensor:
    return torch.randn(SIDE, SIDE, generator=torch.Generator().manual_seed(seed))


def additive_games(classes: int = 3):
    """Games whose parts do the same whatever the others do, with different effects for each class."""
    for seed in GAMES:
        effects = np.random.default_rng(500 + seed).normal(size=(classes, PARTS))
        yield seed, planted_game(*(additive(*row) for row in effects))


def answers_of(game, asked: int, other: int) -> dict[str, torch.Tensor]:
    return {ASKED: exact_answer(game.effects(asked)), OTHER: exact_answer(game.effects(other))}


def means(name: str, answer) -> Mean:
    """Over additive games: `answer` gives the answers of a game."""
    games = additive_games()
    return mean_over_images(
        [by_parts.judge(planted_case(game, seed=seed, other=1), answer(seed, game))[name] for seed, game in games]
    )


# --- slow references


def cosine(one, other) -> float:
    return float(np.dot(one, other) / np.linalg.norm(one) / np.linalg.norm(other))


def place(scores: dict[frozenset[int], float], chosen: set[int]) -> float:
    alike = [score for kept, score in scores.items() if len(kept) == len(chosen)]
    return (scores[frozenset(chosen)] - min(alike)) / (max(alike) - min(alike))


def overlap(logits, order: list[int], label: int) -> float:
    everything = frozenset(range(PARTS))
    if max(range(3), key=lambda one: logits[everything][one]) != label:
        return math.nan
    for size in range(PARTS):
        enough = [
            set(kept)
            for kept in combinations(range(PARTS), size)
            if max(range(3), key=lambda one, kept=kept: logits[frozenset(kept)][one]) == label
        ]
        if enough:
            return max(len(one & set(order[:size])) for one in enough) / size if size else math.nan
    return math.nan


@pytest.mark.parametrize("seed", GAMES)
def test_every_measure_by_parts_is_a_literal_one(seed):
    game = random_game(seed)
    case = planted_case(game, seed=seed, other=1, background=0)
    maps = [drawn(100 * seed + number) for number in range(3)]
    found = by_parts.judge(case, dict(zip((ASKED, OTHER, BACKGROUND), maps, strict=True)))
    logits = {kept: game.values[kept].tolist() for kept in subsets(range(PARTS))}
    scores, everything = {kept: row[0] for kept, row in logits.items()}, set(range(PARTS))
    here, other, there = (literal_sums(values, blocks(PARTS)) for values in maps)
    without = [logits[frozenset(everything - {part})] for part in range(PARTS)]
    whole = logits[frozenset(everything)]
    effects = [whole[0] - row[0] for row in without]
    order = sorted(range(PARTS), key=lambda part: -here[part])
    random = [controls(case.asked.image, RANDOM_MAPS * seed + draw + 1)["random"].abs() for draw in range(RANDOM_MAPS)]
    chance = sum(cosine(literal_sums(values, blocks(PARTS)), effects) for values in random) / RANDOM_MAPS
    difference = [one - two for one, two in zip(here, other, strict=True)]
    margins = literal_shapley(lambda kept: logits[kept][0] - logits[kept][1], PARTS)
    swapped = [(whole[0] - whole[1]) - float(game.swaps[part][0] - game.swaps[part][1]) for part in range(PARTS)]
    assert found["part_rank"] == pytest.approx(spearmanr(here, effects).statistic, abs=1e-9)
    shares = literal_shapley(scores.__getitem__, PARTS)
    assert found["shapley_rank"] == pytest.approx(spearmanr(here, shares).statistic, abs=1e-9)
    sizes = np.array([len(widened(mask)) for mask in blocks(PARTS)])
    assert found["density_rank"] == pytest.approx(spearmanr(here / sizes, shares / sizes).statistic, abs=1e-9)
    assert found["cosine"] == pytest.approx(cosine(here, effects) - chance, abs=1e-9)
    kept = [place(scores, set(order[:size])) for size in range(1, PARTS)]
    gone = [1 - place(scores, everything - set(order[:size])) for size in range(1, PARTS)]
    assert found["preservation"] == pytest.approx(sum(kept) / 4, abs=1e-9)
    assert found["deletion_check"] == pytest.approx(sum(gone) / 4, abs=1e-9)
    assert found["sufficient"] == pytest.approx(overlap(logits, order, 0), nan_ok=True)
    assert found["target"] == pytest.approx(spearmanr(difference / sizes, margins / sizes).statistic, abs=1e-9)
    assert found["swap"] == pytest.approx(spearmanr(difference / sizes, swapped / sizes).statistic, abs=1e-9)
    assert found["background"] == pytest.approx(cosine(here, there), abs=1e-9)


def test_some_of_these_games_have_sufficient_sets():
    found = [overlap({kept: row.tolist() for kept, row in random_game(seed).values.items()}, [], 0) for seed in GAMES]
    assert sum(not math.isnan(one) for one in found) >= 4


# --- known answers


RIGHT = {"density_rank": 1, "part_rank": 1, "shapley_rank": 1, "preservation": 1, "deletion_check": 1, "target": 1}


def test_of_additive_parts_the_exact_answer_is_best_and_its_negative_worst():
    for seed, game in additive_games():
        case, answers = planted_case(game, seed=seed, other=1), answers_of(game, 0, 1)
        right, wrong = (
            by_parts.judge(case, answers),
            by_parts.judge(case, {name: -values for name, values in answers.items()}),
        )
        shares = by_parts.judge(case, {ASKED: exact_shares(game.effects(0))})
        for name, best in RIGHT.items():
            assert right[name] == pytest.approx(best, abs=1e-9), name
            assert wrong[name] == pytest.approx(0 if name in ("preservation", "deletion_check") else -1, abs=1e-9), name
        assert shares["shapley_rank"] == pytest.approx(1)
        assert right["cosine"] == pytest.approx(1 - case.chance)
        assert wrong["cosine"] == pytest.approx(-1 - case.chance)


@pytest.mark.parametrize(
    ("name", "chance"),
    [
        ("density_rank", 0),
        ("part_rank", 0),
        ("shapley_rank", 0),
        ("preservation", 0.5),
        ("deletion_check", 0.5),
        ("target", 0),
    ],
)
def test_a_random_map_gets_chance_and_the_exact_one_more(name, chance):
    """A shuffled right map is a random one; a flipped one is worse than random."""

    def shuffled(seed, game):
        order = torch.randperm(SIDE * SIDE, generator=torch.Generator().manual_seed(seed))
        return {key: one.flatten()[order].view(SIDE, SIDE) for key, one in answers_of(game, 0, 1).items()}

    random = means(name, lambda seed, _: {ASKED: drawn(seed), OTHER: drawn(seed + 1000)})
    mixed = means(name, shuffled)
    flipped = means(name, lambda _, game: {key: -one for key, one in answers_of(game, 0, 1).items()})
    right = means(name, lambda _, game: answers_of(game, 0, 1))
    assert random.low < chance < random.high
    assert flipped.high < min(mixed.low, random.low)
    assert right.low > max(mixed.high, random.high)


@pytest.mark.parametrize(
    "name", ["density_rank", "part_rank", "shapley_rank", "preservation", "deletion_check", "target"]
)
def test_a_method_that_explains_the_next_class_falls(name):
    """The target off by one: the next class's effects have nothing to do with those that are asked about."""
    missed = means(name, lambda _, game: answers_of(game, 1, 2))
    assert missed.high < 0.8
    assert means(name, lambda _, game: answers_of(game, 0, 1)).value == pytest.approx(1)


def test_an_even_map_says_nothing_per_pixel_and_nothing_of_its_target():
    told = []
    for seed, game in additive_games():
        even = torch.ones(SIDE, SIDE)
        found = by_parts.judge(planted_case(game, seed=seed, other=1), {ASKED: even, OTHER: even})
        assert found["density_rank"] == 0
        assert found["target"] == 0
        told.append(abs(found["part_rank"]))
    assert sum(told) / len(told) > 0.3  # which size alone may well tell


def test_parts_that_stand_in_for_each_other_worked_out_by_hand():
    """Part 0 or part 1 is worth 10, part 2 is worth 1; the other class has 5 throughout."""
    game = planted_game(lambda kept: 10.0 * bool({0, 1} & kept) + (2 in kept), lambda _: 5.0, parts=3)
    case = planted_case(game)
    assert [(part.effect, pytest.approx(part.shapley)) for part in case.effects.parts] == [(0, 5), (0, 5), (1, 1)]
    by_order = {  # preservation of one and of two parts, the same for deletion, what is sufficient
        (3, 2, 1): ((1 + 0) / 2, (0 + 1) / 2, 1),  # {0}: 10 of 1..10, {0, 1}: 10 of 10..11; {1, 2} left: 11, {2}: 1
        (3, 1, 2): ((1 + 1) / 2, (0 + 0) / 2, 1),  # {0}, {0, 2}: 11; {1, 2} left: 11, {1}: 10
        (1, 2, 3): ((0 + 1) / 2, (1 + 0) / 2, 0),  # {2}: 1, {1, 2}: 11; {0, 1} left: 10 of 10..11, {0}: 10
    }
    for sums, expected in by_order.items():
        found = by_parts.judge(case, {ASKED: on_blocks(sums)})
        assert [found[name] for name in ("preservation", "deletion_check", "sufficient")] == pytest.approx(expected)
    first = by_parts.judge(case, {ASKED: on_blocks((5.0, 5.0, 1.0))})
    assert first["shapley_rank"] == pytest.approx(1)
    assert first["part_rank"] == pytest.approx(-1)


def test_what_has_no_answer_is_not_a_number():
    nothing = by_parts.judge(
        planted_case(planted_game(additive(0, 0, 0, 0), additive(1, 1, 1, 1), parts=4)), {ASKED: drawn(0)}
    )
    for name in ("part_rank", "shapley_rank", "density_rank", "cosine", "preservation", "deletion_check", "sufficient"):
        assert math.isnan(nothing[name]), name
    sufficient = {
        "another class is predicted": planted_game(additive(1, 2, 3), additive(9, 9, 9), parts=3),
        "none of the parts is needed": planted_game(additive(1, 2, 3, start=1), additive(0, 0, 0), parts=3),
        "all of them are": planted_game(lambda kept: float(len(kept) == 3), lambda _: 0.5, parts=3),
    }
    for words, game in sufficient.items():
        assert math.isnan(by_parts.judge(planted_case(game), {ASKED: on_blocks((1, 2, 3))})["sufficient"]), words
    two = by_parts.judge(planted_case(planted_game(additive(1, 2), parts=2)), {ASKED: on_blocks((1, 2))})
    assert math.isnan(two["part_rank"])
    assert two["preservation"] == 1  # one of two parts can be the better choice
    three = by_parts.judge(planted_case(planted_game(additive(1, 2, 4), parts=3)), {ASKED: on_blocks((1, 2, 3))})
    assert three["part_rank"] == pytest.approx(1)
    assert not math.isnan(three["density_rank"])
    assert math.isnan(two["density_rank"])


def test_swaps_count_only_for_the_class_they_came_from_and_from_three_on():
    swaps = {part: (float(part), 0.0, 0.0) for part in range(PARTS)}
    worths = [additive(*row) for row in ((3, 1, 4, 1.5, 9), (2, 6, 5, 3, 5.5), (1, 0, 0, 0, 0))]
    answers = {ASKED: on_blocks((5, 4, 3, 2, 1)), OTHER: on_blocks((0, 0, 0, 0, 0))}
    for donor, some, expected in ((1, 5, 1.0), (2, 5, math.nan), (1, 2, math.nan), (1, 0, math.nan)):
        game = planted_game(*worths, swaps={part: swaps[part] for part in range(some)}, donor=donor)
        found = by_parts.judge(planted_case(game, other=1), answers)["swap"]
        assert found == pytest.approx(expected, nan_ok=True)


def test_ties_share_their_rank():
    game = planted_game(additive(1, 2, 2, -1, 0))
    found = by_parts.judge(planted_case(game), {ASKED: on_blocks((3, 3, 1, -2, 1))})
    assert found["part_rank"] == pytest.approx(spearmanr([3, 3, 1, -2, 1], [1, 2, 2, -1, 0]).statistic, abs=1e-12)


def test_parts_that_a_map_does_not_tell_apart_count_in_every_order():
    """An empty map, as of a ReLU, gets what choices get on average: no part is favoured for its size or place."""
    game = random_game(3)
    case, scores = planted_case(game), game.of(0)
    for sums, orders in (
        ((0,) * 5, permutations(range(5))),
        ((0, 2, 0, 3, 0), ((3, 1, *o) for o in permutations((0, 2, 4)))),
    ):
        kept, gone = [], []
        for order in orders:
            for size in range(1, PARTS):
                kept.append(place(scores, set(order[:size])))
                gone.append(1 - place(scores, set(order[size:])))
        found = by_parts.judge(case, {ASKED: on_blocks(sums)})
        assert found["preservation"] == pytest.approx(sum(kept) / len(kept))
        assert found["deletion_check"] == pytest.approx(sum(gone) / len(gone))
    game = planted_game(lambda kept: 2.0 * (4 in kept), additive(0, 0, 0, 0, 0, start=1))
    assert by_parts.judge(planted_case(game), {ASKED: on_blocks((0,) * 5)})["sufficient"] == pytest.approx(1 / 5)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6), scale=st.floats(1e-3, 1e3))
def test_by_parts_only_the_order_and_the_direction_count(seed, scale):
    case = planted_case(random_game(seed), seed=seed, other=1, background=0)
    answers = {name: drawn(seed + number).double() for number, name in enumerate((ASKED, OTHER, BACKGROUND))}
    one = by_parts.judge(case, answers)
    other = by_parts.judge(case, {name: scale * values for name, values in answers.items()})
    negative = by_parts.judge(case, {name: -values for name, values in answers.items()})
    assert set(one) == {measure.name for measure in by_parts.MEASURES}
    assert other == pytest.approx(one, abs=1e-9, nan_ok=True)
    for name in ("part_rank", "shapley_rank", "density_rank", "target", "swap"):
        assert negative[name] == pytest.approx(-one[name], abs=1e-9, nan_ok=True)
    assert negative["background"] == pytest.approx(one["background"], abs=1e-9)
    assert all(0 <= one[name] <= 1 for name in ("preservation", "deletion_check"))
