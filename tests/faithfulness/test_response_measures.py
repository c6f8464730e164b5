"""Infidelity, max-sensitivity and redrawn layers: equal to Captum's, to slow literal ones, and right where it is known."""

from __future__ import annotations

import gc
import math
import weakref

import numpy as np
import pytest
import torch
from captum.metrics import infidelity as captum_infidelity
from captum.metrics import sensitivity_max
from scipy.optimize import minimize_scalar
from scipy.stats import spearmanr
from small_nets import small_model
from torch import Tensor, nn

from layerscope.attribution.baselines import blurred
from layerscope.attribution.checks import redrawn
from layerscope.errors import InputError
from layerscope.faithfulness.cases import ASKED, NOISE, NOISES, REDRAWN, Case, Question
from layerscope.faithfulness.explainers import of_method
from layerscope.faithfulness.measures import by_response
from layerscope.faithfulness.measures.by_response import (
    GREY,
    MEASURES,
    NOISY,
    SQUARES,
    infidelity,
    judge,
    max_sensitivity,
    noisy,
    shifted,
    without_detail,
)
from layerscope.models.model import wrap

SIZE = 24
CHANGES = {"infidelity": shifted, "infidelity_blur": without_detail}


def drawn(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class Planted(nn.Module):
    """One class, whose score is linear in the pixels, or bends; counts its images."""

    def __init__(self, bend: float = 0.0) -> None:
        super().__init__()
        self.weights, self.bend, self.images = drawn(3, 3, SIZE, SIZE), bend, 0

    def forward(self, images: Tensor) -> Tensor:
        self.images += len(images)
        sums = (images.double() * self.weights).sum((1, 2, 3))
        return (sums + self.bend * torch.sin(sums))[:, None]


def planted_case(module: nn.Module, seed: int = 5) -> Case:
    model = wrap(module.eval(), SIZE, mean=(0.0,) * 3, std=(1.0,) * 3, class_names=["only"], name="planted")
    return Case({ASKED: Question(model, drawn(1, 3, SIZE, SIZE).sigmoid().float(), 0)}, seed=seed)


def literal(score, image: Tensor, values: Tensor, changed, seed: int) -> float:
    """As the paper tells it, square by square and pixel by pixel, with a scale that is searched for."""
    taken, images = changed(image, seed)
    said, done = [], []
    for amount, other in zip(taken[:, 0], images, strict=True):
        said.append(sum((amount[y, x] * values[y, x]).item() for y in range(SIZE) for x in range(SIZE)))
        done.append((score(image[None]) - score(other[None])).item())
    said, done = np.array(said), np.array(done)
    best = minimize_scalar(lambda scale: np.mean((scale * said - done) ** 2), options={"xtol": 1e-12})
    return best.fun / np.mean(done**2) if best.x > 0 else 1.0


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("seed", [0, 1])
def test_infidelity_is_that_of_a_slow_loop_with_the_best_scale(name, seed):
    case = planted_case(Planted(bend=2.0), seed)
    values = drawn(8 + seed, SIZE, SIZE)
    both = [literal(case.asked.score, case.asked.image, one, CHANGES[name], seed) for one in (values, -values)]
    assert max(both) == 1  # one of the two foretells the opposite
    assert 0.05 < min(both) < 1
    found = [judge(case, {ASKED: one})[name] for one in (values, -values)]
    assert found == pytest.approx(both, rel=1e-9)


def test_infidelity_is_captums_over_the_mean_square_of_the_changes_in_three_channels():
    """However a map is shared out over the channels, since the same is taken from all of them."""
    case = planted_case(Planted(bend=2.0))
    image, values = case.asked.image, drawn(8, SIZE, SIZE)
    taken, images = shifted(image, case.seed)
    changes = case.asked.score(image[None]) - case.asked.score(images)
    for shares in (torch.full((3,), 1 / 3), torch.tensor([2.0, -1.5, 0.5])):
        theirs = captum_infidelity(
            case.asked.score,
            lambda _: (taken.expand(-1, 3, -1, -1), images),
            image[None],
            values * shares[:, None, None].double()[None],
            n_perturb_samples=SQUARES,
            normalize=True,
        )
        ours = min(judge(case, {ASKED: one})["infidelity"] for one in (values, -values))
        assert ours == pytest.approx(theirs.item() / changes.square().mean().item(), rel=1e-6)


@pytest.mark.parametrize("scale", [1.0, 1e-6, 300.0])
def test_what_a_map_has_to_say_gets_0_at_any_scale_and_its_negative_1(scale):
    case = planted_case(Planted())
    image, weights = case.asked.image, case.asked.model.module.weights
    assert judge(case, {ASKED: scale * weights.sum(0)})["infidelity"] < 1e-9
    detail = image - blurred(image[None])[0]
    assert judge(case, {ASKED: scale * (weights * detail).sum(0)})["infidelity_blur"] < 1e-9
    assert judge(case, {ASKED: -scale * weights.sum(0)})["infidelity"] == 1
    assert judge(case, {ASKED: -scale * (weights * detail).sum(0)})["infidelity_blur"] == 1


def test_each_of_the_two_is_wrong_about_the_other():
    case = planted_case(Planted())
    image, weights = case.asked.image, case.asked.model.module.weights
    gradient, shares = weights.sum(0), (weights * (image - blurred(image[None])[0])).sum(0)
    assert judge(case, {ASKED: shares})["infidelity"] > 0.3
    assert judge(case, {ASKED: gradient})["infidelity_blur"] > 0.3


def test_an_empty_map_gets_1_and_a_score_that_never_changes_nothing():
    case = planted_case(Planted(bend=2.0))
    assert [judge(case, {ASKED: torch.zeros(SIZE, SIZE)})[name] for name in CHANGES] == [1.0, 1.0]
    constant = Planted()
    constant.weights = torch.zeros_like(constant.weights)
    found = judge(planted_case(constant), {ASKED: torch.ones(SIZE, SIZE)})
    assert all(math.isnan(found[name]) for name in CHANGES)


def test_the_gradient_of_a_smooth_score_beats_random_maps():
    case = planted_case(Planted(bend=0.2))
    image = case.asked.image.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(case.asked.score(image[None]).sum(), image)
    by_seed = [judge(case, {ASKED: drawn(seed, SIZE, SIZE)})["infidelity"] for seed in range(20, 28)]
    assert judge(case, {ASKED: gradient.sum(0)})["infidelity"] < 0.1 < min(by_seed)


@pytest.mark.parametrize("changed", CHANGES.values())
def test_what_is_taken_is_the_same_in_all_channels_of_one_square(changed):
    image = drawn(2, 3, SIZE, 30).sigmoid()
    taken, images = changed(image, 4)
    assert taken.shape == (SQUARES, 1, SIZE, 30)
    assert images.shape == (SQUARES, *image.shape)
    inside = taken != 0
    assert (inside.sum((1, 2, 3)) == (SIZE // 4) ** 2).all()
    assert inside.any(3).sum(2).unique().tolist() == [SIZE // 4]
    assert inside.any(0).float().mean() > 0.4  # anywhere
    assert ((images != image) == inside).all()
    assert not torch.equal(changed(image, 5)[0], taken)
    if changed is shifted:
        torch.testing.assert_close((image - images).double(), taken.expand_as(images))
        assert taken.unique().tolist() == [-GREY, 0.0, GREY]
    else:
        torch.testing.assert_close(images, torch.where(inside, blurred(image[None]), image), rtol=0, atol=0)
        assert taken.unique().tolist() == [0.0, 1.0]


@pytest.mark.parametrize("changed", CHANGES.values())
def test_squares_reach_every_border_and_fit_into_the_smallest_image(changed):
    covered = torch.stack([changed(torch.ones(3, 8, 12), seed)[0] != 0 for seed in range(8)]).any(0).any(0)[0]
    assert covered.all()
    assert (changed(torch.ones(3, 1, 1), 0)[0] != 0).all()


def test_scores_are_read_once_for_all_maps_of_a_case_and_do_not_outlive_it():
    module = Planted(bend=2.0)
    case = planted_case(module)
    before = module.images
    for seed in range(5):
        judge(case, {ASKED: drawn(seed, SIZE, SIZE)})
    assert module.images - before == len(CHANGES) * (SQUARES + 1)
    alone, known = weakref.ref(case), len(by_response._SCORES)
    del case
    gc.collect()
    assert alone() is None
    assert len(by_response._SCORES) == known - 1


def test_scores_that_are_not_finite_are_refused():
    module = Planted()
    module.weights = module.weights / 0
    with pytest.raises(InputError, match="not finite"):
        judge(planted_case(module), {ASKED: torch.ones(SIZE, SIZE)})


def test_max_sensitivity_is_captums_on_the_same_draws():
    image = drawn(1, 3, SIZE, SIZE).sigmoid()
    images = torch.stack([noisy(image, draw, 7) for draw in range(NOISES)])

    def explain(some):
        """A tuple for a tuple, as attribution methods of Captum's do; its measure relies on it."""
        return (explain(some[0]),) if isinstance(some, tuple) else torch.sin(20 * some).sum(1, keepdim=True)

    theirs = sensitivity_max(explain, image[None], lambda _: images, n_perturb_samples=NOISES)
    maps = explain(images)[:, 0]
    answers = {ASKED: explain(image[None])[0, 0], **{f"{NOISE}{draw}": maps[draw] for draw in range(NOISES)}}
    ours = max_sensitivity(answers[ASKED], list(maps))
    slow = max(math.sqrt(((one - answers[ASKED]) ** 2).sum()) for one in maps) / math.sqrt((answers[ASKED] ** 2).sum())
    assert ours == pytest.approx(theirs.item(), rel=1e-12)
    assert ours == pytest.approx(slow, rel=1e-12)
    assert judge(planted_case(Planted()), answers)["max_sensitivity"] == ours


def test_max_sensitivity_of_empty_maps_and_missing_answers():
    one, none = torch.ones(4, 4), torch.zeros(4, 4)
    assert max_sensitivity(one, [one, none, one]) == 1
    assert max_sensitivity(one, [one] * 3) == 0
    assert math.isnan(max_sensitivity(none, [one] * 3))
    assert math.isnan(max_sensitivity(one, [one, one * math.nan, one]))
    assert math.isnan(max_sensitivity(one, [one, one, one * math.inf]))
    assert math.isnan(max_sensitivity(one * math.inf, [one] * 3))
    assert "max_sensitivity" not in judge(
        planted_case(Planted()), {ASKED: torch.ones(SIZE, SIZE), f"{NOISE}0": torch.ones(SIZE, SIZE)}
    )


def test_noise_is_even_the_same_for_a_draw_and_within_what_images_may_be():
    image = torch.full((3, 50, 50), 0.5)
    noises = [noisy(image, draw, seed) - image for seed in range(2) for draw in range(NOISES)]
    for noise in noises:
        assert noise.abs().max() <= NOISY + 1e-7
        assert noise.std().item() == pytest.approx(NOISY / 3**0.5, rel=0.05)
    assert len({noise.sum().item() for noise in noises}) == len(noises)
    torch.testing.assert_close(noisy(image, 1, 0), image + noises[1], rtol=0, atol=1e-7)
    assert noisy(torch.ones(3, 9, 9), 0).amax() == 1
    assert noisy(torch.zeros(3, 9, 9).double(), 0).amin() == 0


def test_redrawn_is_the_size_of_spearmans_correlation():
    model = small_model()
    asked = Question(model, drawn(1, 3, 32, 32).sigmoid().float(), 2)
    other = Question(wrap(redrawn(model.module), 32, class_names=model.class_names), asked.image, 2)
    ours, theirs = of_method("saliency")([asked, other])
    case = Case({ASKED: asked, REDRAWN: other})
    found = judge(case, {ASKED: ours, REDRAWN: theirs})["redrawn"]
    assert found == pytest.approx(abs(spearmanr(ours.flatten(), theirs.flatten()).statistic), rel=1e-9)
    assert found < 0.9
    assert judge(case, {ASKED: ours, REDRAWN: -ours})["redrawn"] == pytest.approx(1)
    assert math.isnan(judge(case, {ASKED: ours, REDRAWN: torch.zeros_like(ours)})["redrawn"])


def test_measures_are_those_that_are_judged():
    case = planted_case(Planted())
    values = torch.ones(SIZE, SIZE)
    questions = {name for measure in MEASURES for name in measure.questions}
    assert set(judge(case, dict.fromkeys(questions, values))) == {measure.name for measure in MEASURES}
    assert judge(case, {REDRAWN: values}) == {}
    assert {measure.needs for measure in MEASURES} == {"nothing"}
    assert {measure.better for measure in MEASURES} == {"low"}


def test_infidelity_of_known_numbers():
    """Two squares of one pixel: the map says 1 and 2, the score falls by 2 and 1: 1 - (2 + 2)^2 / (5 * 5)."""
    taken = torch.eye(2, dtype=torch.float64).view(2, 1, 1, 2)
    scores = torch.tensor([5.0, 3.0, 4.0], dtype=torch.float64)
    assert infidelity(torch.tensor([[1.0, 2.0]]), taken, scores) == pytest.approx(1 - 16 / 25)
