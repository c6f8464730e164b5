"""True effects: equal to what was planted, and to slow re-rendering one by one."""

from __future__ import annotations

from itertools import permutations

import pytest
import torch
from known_scenes import known_coalitions, played, widened
from scipy.stats import spearmanr

from layerscope.errors import InputError
from layerscope.faithfulness.causes import PartEffect, SceneEffects, part_rank, reach, true_effects
from layerscope.world import PART_NAMES, MoveDistractors, NewBackground, RemovePart, SwapTexture, part_names, render

TURTLE = part_names("turtle")
WORTH = dict(zip(TURTLE, (0.5, -0.25, 2.0, 0.125, 4.0), strict=True))


@pytest.fixture(scope="module")
def turtle():
    return render(1, seed=3, things="turtle", size=48)


@pytest.fixture(scope="module")
def known(turtle):
    found = known_coalitions(turtle)
    assert len(found) == 2 ** len(TURTLE)  # every removal is seen
    return found


def literal_shapley(game, names):
    """The mean over all orders in which the parts could come."""
    shares, orders = dict.fromkeys(names, 0.0), list(permutations(names))
    for order in orders:
        for place, name in enumerate(order):
            shares[name] += game(frozenset(order[: place + 1])) - game(frozenset(order[:place]))
    return {name: share / len(orders) for name, share in shares.items()}


def additive(kept):
    return 7.0 + sum(WORTH[name] for name in kept)


def test_of_an_additive_score_drop_and_shapley_are_what_was_planted(turtle, known):
    (found,) = true_effects(played(known, additive), turtle)
    assert found.score == additive(TURTLE)
    assert [part.part for part in found.parts] == list(TURTLE)
    for part in found.parts:
        assert part.effect == pytest.approx(WORTH[part.part], abs=1e-12)
        assert part.shapley == pytest.approx(WORTH[part.part], abs=1e-12)
    assert found.note == ""


GAMES = {
    "both": lambda kept: 3.0 * ({"leg", "shell"} <= kept),
    "either": lambda kept: 2.0 * bool({"head", "eye", "tail"} & kept),
    "curved": lambda kept: (1 + sum(WORTH[name] for name in kept)) ** 3,
    "odd": lambda kept: float(len(kept) % 2),
}


@pytest.mark.parametrize("name", GAMES)
def test_where_parts_interact_shapley_values_are_the_mean_over_all_orders(turtle, known, name):
    game = GAMES[name]
    (found,) = true_effects(played(known, game), turtle)
    literal, everything = literal_shapley(game, TURTLE), frozenset(TURTLE)
    for part in found.parts:
        assert part.shapley == pytest.approx(literal[part.part], abs=1e-9)
        assert part.effect == pytest.approx(game(everything) - game(everything - {part.part}), abs=1e-9)
    assert sum(part.shapley for part in found.parts) == pytest.approx(game(everything) - game(frozenset()), abs=1e-9)


def test_parts_that_need_each_other_share_their_worth(turtle, known):
    (found,) = true_effects(played(known, GAMES["both"]), turtle)
    effects = {part.part: (part.effect, pytest.approx(part.shapley)) for part in found.parts}
    assert effects == {"leg": (3, 1.5), "shell": (3, 1.5), "tail": (0, 0), "head": (0, 0), "eye": (0, 0)}


def red_where(mask):
    """Mean red inside a mask: a score of real pixels."""
    return lambda images: images[:, 0, mask].double().mean(1)


def test_effects_of_pixels_are_those_of_rendering_again(turtle):
    score = red_where(turtle.part[0] == PART_NAMES.index("shell"))
    (found,) = true_effects(score, turtle, others=2)
    whole = score(turtle.images).item()
    for part in found.parts:
        assert part.effect == pytest.approx(whole - score(turtle.again(RemovePart(part.part)).images).item(), abs=1e-12)
    for effects, change in ((found.backgrounds, NewBackground), (found.distractors, MoveDistractors)):
        assert effects == pytest.approx([whole - score(turtle.again(change(seed)).images).item() for seed in (1, 2)])
    assert found.background == pytest.approx(sum(found.backgrounds) / 2)
    assert found.distractor == pytest.approx(sum(found.distractors) / 2)
    assert found.renders == 2 ** len(TURTLE) + 4
    assert max(abs(part.effect) for part in found.parts) > 0.02


def test_a_score_of_the_background_alone_gives_parts_nothing():
    scene = render(1, seed=9, things="owl", size=48)
    around = torch.nn.functional.max_pool2d(scene.thing[:, None].float(), 25, 1, 12)[0, 0] == 0  # no shadow falls there
    assert around.sum() > 50
    (found,) = true_effects(red_where(around), scene)
    assert [(part.effect, part.shapley) for part in found.parts] == [(0, 0)] * len(part_names("owl"))
    assert max(map(abs, found.backgrounds)) > 0.01
    assert part_rank(torch.rand(48, 48), found) is None  # there is no order to find


def test_of_many_parts_each_is_removed_but_no_shapley_values_are_made():
    scene = render(1, seed=3, things="horse", size=32)
    (found,) = true_effects(lambda images: images.mean((1, 2, 3)), scene, others=1)
    assert found.note == (
        "no Shapley values: horse has 10 parts, which takes 1024 re-renders, and they are computed for up to 6 parts"
    )
    assert found.renders == 1 + 10 + 2
    assert {part.shapley for part in found.parts} == {None}
    assert max(abs(part.effect) for part in found.parts) > 0
    (fewer,) = true_effects(lambda images: images.mean((1, 2, 3)), scene, others=1, exact_up_to=10, batch=512)
    assert fewer.note == ""
    assert [part.effect for part in fewer.parts] == [part.effect for part in found.parts]
    assert sum(part.shapley for part in fewer.parts) != 0


def test_masks_are_what_is_seen_and_hidden_parts_are_listed_empty():
    scenes = render(6, seed=2, things="tree", size=32)
    found = true_effects(lambda images: images.mean((1, 2, 3)), scenes, others=1)
    for number, effects in enumerate(found):
        for part in effects.parts:
            assert torch.equal(part.mask, scenes.part[number] == PART_NAMES.index(part.part))
            assert part.pixels == part.mask.sum()
    unripe = [effects.parts[2] for effects in found if effects.parts[2].pixels == 0]
    assert unripe
    assert {(part.part, part.effect) for part in unripe} == {("fruit", 0.0)}


def test_a_batch_is_its_scenes_one_by_one():
    scenes = render(3, seed=5, size=32, things=("cup", "umbrella", "cup"), part_dropout=1.0)
    score = lambda images: images[:, 1].mean((1, 2))  # noqa: E731
    together = true_effects(score, scenes, batch=5)
    for number, effects in enumerate(together):
        (alone,) = true_effects(score, scenes.one(number))
        assert [part.effect for part in alone.parts] == pytest.approx([part.effect for part in effects.parts], abs=1e-6)
        assert alone.score == pytest.approx(score(scenes.images)[number].item(), abs=1e-6)
        assert alone.backgrounds == pytest.approx(effects.backgrounds, abs=1e-6)


# --- ranks


def planted(effects, size=20):
    """Parts in squares of 4 x 4, four pixels apart, without a scene."""
    parts = []
    for number, effect in enumerate(effects):
        mask = torch.zeros(size, size, dtype=torch.bool)
        row, column = 8 * (number // 2) + 1, 8 * (number % 2) + 1
        if effect is not None:
            mask[row : row + 4, column : column + 4] = True
        parts.append(PartEffect(str(number), mask, effect or 0.0, None))
    return SceneEffects(0.0, tuple(parts), (), (), 0, "")


def test_the_ranks_are_those_of_scipy_on_masks_one_pixel_wider(turtle, known):
    (effects,) = true_effects(played(known, additive), turtle)
    values = torch.randn(48, 48, generator=torch.Generator().manual_seed(0))
    sums = [sum(values[place].item() for place in widened(part.mask)) for part in effects.parts]
    found, truth = part_rank(values, effects), [part.effect for part in effects.parts]
    assert found.spearman == pytest.approx(spearmanr(sums, truth).statistic, abs=1e-12)
    dot = sum(a * b for a, b in zip(sums, truth, strict=True))
    sizes = sum(a * a for a in sums) ** 0.5 * sum(b * b for b in truth) ** 0.5
    assert found.cosine == pytest.approx(dot / sizes, abs=1e-9)
    assert found.parts == 5


def test_a_part_reaches_one_pixel_further_also_across_corners_and_up_to_the_border():
    masks = torch.rand(4, 9, 12, generator=torch.Generator().manual_seed(0)) < 0.1
    masks[0], masks[1, 0, 0], masks[1, 8, 11] = False, True, True
    found = reach(masks)
    assert found.dtype == torch.float64
    assert found.shape == masks.shape
    for mask, around in zip(masks, found, strict=True):
        assert [(row, column) for row, column in around.nonzero().tolist()] == widened(mask)
        assert set(around.unique().tolist()) <= {0.0, 1.0}


def test_ties_share_their_rank_as_in_scipy():
    effects = planted([1.0, 2.0, 2.0, -1.0])
    values = sum(part.mask * sign for part, sign in zip(effects.parts, (3.0, 3.0, 1.0, -2.0), strict=True))
    expected = spearmanr([3, 3, 1, -2], [1, 2, 2, -1]).statistic
    assert part_rank(values, effects).spearman == pytest.approx(expected, abs=1e-12)


def test_the_true_map_is_right_and_its_negative_wrong_in_every_way():
    effects = planted([3.0, -1.0, 0.5, 2.0])
    truth = sum(part.mask * part.effect for part in effects.parts)
    right, wrong = part_rank(truth, effects), part_rank(-truth, effects)
    assert (right.spearman, right.cosine) == (pytest.approx(1), pytest.approx(1))
    assert (wrong.spearman, wrong.cosine) == (pytest.approx(-1), pytest.approx(-1))
    unsigned = part_rank(truth.abs(), effects)
    assert unsigned.spearman < 1
    assert unsigned.cosine < 1


def test_a_map_that_orders_nothing_scores_nothing():
    effects = planted([3.0, -1.0, 0.5])
    nothing = part_rank(torch.zeros(20, 20), effects)
    assert (nothing.spearman, nothing.cosine, nothing.parts) == (0, 0, 3)
    assert part_rank(torch.ones(20, 20), effects).spearman == 0


def test_two_parts_are_too_few_for_an_order():
    assert part_rank(torch.rand(20, 20), planted([1.0, 2.0])) is None
    assert part_rank(torch.rand(20, 20), planted([1.0, 2.0, None])) is None
    assert part_rank(torch.rand(20, 20), planted([1.0, 2.0, 0.5])) is not None
    assert part_rank(torch.rand(20, 20), planted([1.0, 1.0, 1.0])) is None


def test_what_cannot_be_measured_is_said(turtle):
    mean = lambda images: images.mean((1, 2, 3))  # noqa: E731
    with pytest.raises(InputError, match=r"scenes of 48 px for a network of 64 px; render them with size=64"):
        true_effects(mean, turtle, input_size=64)
    with pytest.raises(
        InputError, match=r"scenes that were changed already \(without leg\); give them as first rendered"
    ):
        true_effects(mean, turtle.again(RemovePart("leg")))
    with pytest.raises(InputError, match=r"changed already \(with dots texture on its shell\)"):
        true_effects(mean, turtle.variants([SwapTexture("dots", "shell")]))
    with pytest.raises(InputError, match="a Tensor is no scene; give scenes of layerscope"):
        true_effects(mean, turtle.images)
    with pytest.raises(InputError, match="others=0"):
        true_effects(mean, turtle, others=0)
    with pytest.raises(InputError, match=r"others=1\.5; it has to be a whole number of at least 1"):
        true_effects(mean, turtle, others=1.5)
    with pytest.raises(InputError, match="exact_up_to='a'; it has to be a whole number of at least 0"):
        true_effects(mean, turtle, exact_up_to="a")
    with pytest.raises(InputError, match="score gave"):
        true_effects(lambda images: images.mean((2, 3)), turtle)
    with pytest.raises(InputError, match=r"a map of shape \(3, 20, 20\) for scenes of \(20, 20\)"):
        part_rank(torch.zeros(3, 20, 20), planted([1.0, 2.0, 3.0]))
    with pytest.raises(InputError, match="give finite"):
        part_rank(torch.full((20, 20), float("nan")), planted([1.0, 2.0, 3.0]))
