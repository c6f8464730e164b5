"""Provable networks: effects by their weights alone, in float64, against those that rendering and running finds."""

from __future__ import annotations

import copy
import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from layerscope.attribution.methods import attribute
from layerscope.errors import InputError, UnknownNameError
from layerscope.faithfulness.cases import ASKED, PATCH, Case
from layerscope.faithfulness.causes import reach
from layerscope.faithfulness.explainers import of_control
from layerscope.faithfulness.measures import by_parts, by_regions
from layerscope.faithfulness.measures.measure import Answers, Values
from layerscope.faithfulness.tiers.board_cases import MEAN, PARTS, STD, board_case
from layerscope.faithfulness.tiers.catalogue import TIERS, tier
from layerscope.faithfulness.tiers.detectors import LARGE, WEIGHTS
from layerscope.faithfulness.tiers.stimuli import Board, corners, mottled, tiles
from layerscope.faithfulness.tiers.tier import Tier, precise
from layerscope.models.model import VisionModel

CASES = 6
SMALL = ("linear", "additive", "template", "background")
BOARDS = SMALL[:3]
Tiers = dict[str, Tier]


@pytest.fixture(scope="module")
def tiers() -> Tiers:
    return {name: tier(name, CASES, seed=3) for name in SMALL}


def judge(case: Case, answers: Answers) -> Values:
    return {**by_parts.judge(case, answers), **by_regions.judge(case, answers)}


def games(found: Tier) -> list[tuple[Case, Tensor, Tensor]]:
    """Each case with its effects by single removal and by Shapley's value, float64 [parts]."""
    told = []
    for case in found.cases:
        assert case.effects is not None
        drops = torch.tensor([part.effect for part in case.effects.parts], dtype=torch.float64)
        shares = torch.tensor([part.shapley for part in case.effects.parts], dtype=torch.float64)
        told.append((case, drops, shares))
    return told


def pixel_weights(model: VisionModel) -> Tensor:
    """What each pixel of an image in [0, 1] adds to each logit of the linear network: float64 [classes, 3, 64, 64]."""
    state = {name: weight.double() for name, weight in model.module.state_dict().items()}
    above = state["logits.weight"].view(-1, 3, 32, 32)
    return F.conv_transpose2d(above, state["conv.weight"], stride=2, padding=1) / STD


def test_linear_effects_are_weights_times_what_the_tile_changes(tiers: Tiers) -> None:
    model, generator = tiers["linear"].model, torch.Generator().manual_seed(11)
    weights = pixel_weights(model)
    for seed in range(3):
        board = Board(mottled(generator), tiles(PARTS, 2, generator), tuple(corners(PARTS, generator)))
        case = board_case(model, precise(model), board, seed)
        assert case.effects is not None
        image = board.image(range(PARTS))
        assert torch.equal(case.asked.image, image)
        for part, effect in enumerate(case.effects.parts):
            less = board.image(one for one in range(PARTS) if one != part)
            told = float((weights[case.asked.target] * (image.double() - less.double())).sum())
            assert effect.effect == pytest.approx(told, rel=1e-9)
            assert effect.shapley == pytest.approx(told, rel=1e-9)


def test_linear_logits_are_weighted_sums(tiers: Tiers) -> None:
    weights = pixel_weights(tiers["linear"].model)
    for case in tiers["linear"].cases:
        assert case.game is not None
        told = (weights * (case.asked.image.double() - MEAN)).sum((1, 2, 3))
        torch.testing.assert_close(case.game.whole, told, rtol=1e-9, atol=1e-9)


def test_additive_effects_are_the_weights_of_the_tiles(tiers: Tiers) -> None:
    state = tiers["additive"].model.module.state_dict()
    filters, table = state["conv.weight"].double(), state["logits.weight"].double() / 16**2
    for case, drops, shares in games(tiers["additive"]):
        assert case.game is not None
        for part, mask in enumerate(case.game.masks):
            tile = case.asked.image[:, mask].double().view(3, 10, 10)
            kind = int((filters * (tile - MEAN)).sum((1, 2, 3)).argmax())
            assert drops[part] == pytest.approx(float(table[case.asked.target, kind]), rel=1e-5)
            assert min(abs(drops[part] - weight) for weight in WEIGHTS) < 1e-5
        torch.testing.assert_close(shares, drops, rtol=1e-9, atol=1e-9)
        empty = case.game.values[frozenset()][case.asked.target]
        assert empty == 0
        for kept, logits in case.game.values.items():
            assert float(logits[case.asked.target]) == pytest.approx(float(drops[sorted(kept)].sum()), abs=1e-9)


@pytest.mark.parametrize("name", ["additive", "template"])
def test_tiles_do_the_same_under_noise_and_on_another_ground(tiers: Tiers, name: str) -> None:
    for case, drops, _ in games(tiers[name]):
        assert case.game is not None
        for key, near in {"background": 1e-6, "patch": 1e-6, "noise0": 0.1, "noise2": 0.1}.items():
            exact = case.questions[key].exact
            assert exact is not None
            torch.testing.assert_close((exact * case.game.masks).sum((1, 2)), drops, rtol=near, atol=1e-6)


def test_effects_differ_and_have_both_signs(tiers: Tiers) -> None:
    for name in ("linear", "additive"):
        every = torch.stack([drops for _, drops, _ in games(tiers[name])])
        assert all(len(set(drops.tolist())) == len(drops) for drops in every), name
        assert (every > 0).any(), name
        assert (every < 0).any(), name


def test_decoys_do_nothing_at_all(tiers: Tiers) -> None:
    for case, drops, _ in games(tiers["template"]):
        assert case.game is not None
        assert drops[0] == pytest.approx(LARGE, rel=1e-5)
        assert (drops[1:] == 0).all()
        for kept, logits in case.game.values.items():
            assert torch.equal(logits, case.game.values[kept & {0}])
        assert case.thing is not None
        assert torch.equal(case.thing, case.game.masks[0])


def test_nothing_in_the_middle_counts_for_the_background(tiers: Tiers) -> None:
    found = tiers["background"]
    for case, drops, _ in games(found):
        assert case.game is not None
        assert case.game.names[0] == "ground"
        assert drops[0] > 1
        assert (drops[1:] == 0).all()
        scrambled = case.asked.image.clone()
        scrambled[:, 16:48, 16:48] = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(case.seed))
        with torch.no_grad():
            one, other = found.model(torch.stack([case.asked.image, scrambled]))
        assert torch.equal(one, other)
        assert case.asked.exact is not None
        assert not case.asked.exact[16:48, 16:48].any()


def test_the_label_is_that_of_the_background(tiers: Tiers) -> None:
    for case, _, _ in games(tiers["background"]):
        assert case.game is not None
        assert int(case.game.whole.argmax()) == case.asked.target


@pytest.mark.parametrize("name", ["additive", "template", "background"])
def test_the_patch_leaves_the_score_unchanged(tiers: Tiers, name: str) -> None:
    for case in tiers[name].cases:
        question, patch = case.questions[PATCH], case.patch
        assert patch is not None
        assert patch.any()
        changed = (question.image != case.asked.image).any(0)
        assert changed.any()
        assert not (changed & ~patch).any()
        with torch.no_grad():
            plain, patched = question.score(torch.stack([case.asked.image, question.image]))
        assert torch.equal(plain, patched)
        assert question.exact is not None
        assert not question.exact[patch].any()


@pytest.mark.parametrize("name", SMALL)
def test_the_exact_answer_is_best_by_every_measure_of_causes(tiers: Tiers, name: str) -> None:
    best = {
        "part_rank": 1.0, "shapley_rank": 1.0, "preservation": 1.0, "deletion_check": 1.0, "target": 1.0,
        "pointing": 1.0, "distractors": 0.0, "independence": 0.0,
    }  # fmt: skip
    seen = set()
    for case in tiers[name].cases:
        answers = {key: one.exact for key, one in case.questions.items() if one.exact is not None}
        assert set(answers) == set(case.questions)
        found = judge(case, answers)
        for measure, value in best.items():
            if not math.isnan(found.get(measure, math.nan)):
                seen.add(measure)
                assert found[measure] == pytest.approx(value, abs=1e-9), measure
        inverted = judge(case, {ASKED: -answers[ASKED]})
        assert inverted["part_rank"] == pytest.approx(-1)
    assert tiers[name].measure in seen


@pytest.mark.parametrize("name", SMALL)
def test_the_exact_answer_beats_a_random_map(tiers: Tiers, name: str) -> None:
    measure, found = tiers[name].measure, []
    for case in tiers[name].cases:
        told = []
        for control in ("exact", "random"):
            maps = of_control(control)(list(case.questions.values()))
            answers = {key: one for key, one in zip(case.questions, maps, strict=True) if one is not None}
            told.append(judge(case, answers)[measure])
        found.append(told[0] - told[1])
    assert abs(math.fsum(found)) / len(found) > 0.5


@pytest.mark.parametrize("name", BOARDS)
def test_tiles_are_apart_and_images_in_range(tiers: Tiers, name: str) -> None:
    for case in tiers[name].cases:
        assert case.game is not None
        assert reach(case.game.masks).sum(0).max() == 1
        for question in case.questions.values():
            assert question.image.dtype == torch.float32
            assert 0 <= float(question.image.min()) < float(question.image.max()) <= 1


def test_the_other_ways_of_asking(tiers: Tiers) -> None:
    asked = {"asked", "other", "noise0", "noise1", "noise2"}
    more = {
        "linear": {"background", "redrawn"},
        "additive": {"background", "patch"},
        "template": {"background", "patch"},
        "background": {"patch", "redrawn"},
    }
    assert {name: set(found.cases[0].questions) for name, found in tiers.items()} == {
        name: asked | some for name, some in more.items()
    }
    for found in tiers.values():
        case = found.cases[0]
        assert case.questions["other"].target != case.asked.target
        assert (case.questions["noise0"].image - case.asked.image).abs().max() <= 0.0201
        if "redrawn" in case.questions:
            assert case.questions["redrawn"].model.fingerprint != found.model.fingerprint


@pytest.mark.parametrize(
    ("name", "method"), [*itertools.product(SMALL, ("deeplift", "lrp", "grad_cam", "guided_backprop"))]
)
def test_methods_draw_maps_of_every_network(tiers: Tiers, name: str, method: str) -> None:
    found = tiers[name]
    asked = [case.asked for case in found.cases[:2]]
    images, targets = torch.stack([one.image for one in asked]), [one.target for one in asked]
    if (name, method) == ("linear", "guided_backprop"):
        with pytest.raises(InputError, match="no rectifier"):
            attribute(found.model, images, targets, method, checks=False)
        return
    maps = attribute(found.model, images, targets, method, checks=False).maps
    assert all(values.shape == (64, 64) and values.isfinite().all() and values.any() for values in maps)


@pytest.mark.parametrize("name", SMALL)
def test_a_tier_depends_on_its_seed_alone(tiers: Tiers, name: str) -> None:
    torch.manual_seed(5)
    state = torch.get_rng_state()
    again, other = tier(name, CASES, seed=3), tier(name, CASES, seed=4)
    assert torch.equal(state, torch.get_rng_state())
    assert again.model.fingerprint == tiers[name].model.fingerprint
    for first, second in zip(tiers[name].cases, again.cases, strict=True):
        for key, question in first.questions.items():
            assert torch.equal(question.image, second.questions[key].image)
    assert not torch.equal(other.cases[0].asked.image, again.cases[0].asked.image)


def test_the_networks_are_left_as_they_are(tiers: Tiers) -> None:
    for found in tiers.values():
        assert not found.model.module.training
        weights = copy.deepcopy(found.model.module).state_dict().values()
        assert all(weight.dtype == torch.float32 for weight in weights)


def test_tiers_that_do_not_exist() -> None:
    assert set(TIERS) == {*SMALL, "mark", "texture"}
    with pytest.raises(UnknownNameError, match="no provable network 'liner'"):
        tier("liner")
    with pytest.raises(InputError, match="cases"):
        tier("linear", 0)
    with pytest.raises(InputError, match="seed"):
        tier("linear", 1, -1)
