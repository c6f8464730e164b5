"""Shapley values and LIME: against literal float64 references and networks whose pieces are known to add up."""

from __future__ import annotations

from itertools import permutations, product
from math import comb, exp, sqrt

import numpy as np
import pytest
import torch
from captum.attr import ShapleyValues
from provable import (
    by_patch,
    check_alone,
    check_rude,
    check_seeded,
    check_traceless,
    double_model,
    effects_of_patches,
    linear_model,
    patch_model,
    patches,
    slopes,
)
from small_nets import SmallNet, seeded, small_model
from tasks import found, pictures
from torch import Tensor

from layerscope.attribution.coalitions import METHODS, _choices, kernel_shap, lime, shapley_sampling
from layerscope.attribution.superpixels import superpixels
from layerscope.errors import InputError
from layerscope.models.model import VisionModel, wrap

IMAGES = pictures(3)
PRECISE, REFERENCES = pictures(2, dtype=torch.float64), pictures(2, seed=1, dtype=torch.float64)
SMALL, OTHERS = pictures(2, 16, dtype=torch.float64), pictures(2, 16, seed=1, dtype=torch.float64)
FOUR = patches(32, 16)
RUNS = [method.run for method in METHODS]
FEW = {
    shapley_sampling: {"segments": 9, "samples": 3},
    kernel_shap: {"segments": 9, "samples": 32},
    lime: {"segments": 9, "samples": 32},
}


def score(model: VisionModel, image: Tensor, target: int = 1) -> float:
    with torch.no_grad():
        return float(model(image[None])[0, target])


def shapley_by_hand(model: VisionModel, image: Tensor, reference: Tensor, numbers: Tensor) -> list[float]:
    """The mean gain of each piece over all orders."""
    pieces = int(numbers.max()) + 1
    gains, orders = [0.0] * pieces, list(permutations(range(pieces)))
    for order in orders:
        for piece, gain in gains_of(model, image, reference, numbers, order).items():
            gains[piece] += gain / len(orders)
    return gains


def gains_of(model, image, reference, numbers, order) -> dict[int, float]:
    shown, gains = reference.clone(), {}
    for piece in order:
        before = score(model, shown)
        shown = torch.where(numbers == piece, image, shown)
        gains[piece] = score(model, shown) - before
    return gains


# --- Shapley values


def test_shapley_sampling_is_the_mean_gain_over_its_orders():
    model, options = double_model(), {"segments": FOUR, "samples": 3}
    result = found(shapley_sampling, model, PRECISE, "cat", baseline=REFERENCES, seed=5, options=options)
    generator = torch.Generator().manual_seed(5)
    first, second = (torch.randperm(4, generator=generator).tolist() for _ in range(2))
    for image, reference, value in zip(PRECISE, REFERENCES, result.values, strict=True):
        each = [gains_of(model, image, reference, FOUR, order) for order in (first, first[::-1], second)]
        wanted = torch.tensor([sum(gains[piece] for gains in each) / 3 for piece in range(4)], dtype=torch.float64)
        torch.testing.assert_close(by_patch(value[None], FOUR)[0], wanted, rtol=1e-9, atol=1e-12)
        assert all(value[0][piece == FOUR].unique().numel() == 1 for piece in range(4))


def test_shapley_sampling_comes_near_to_shapley_values():
    model = double_model()
    exact = [shapley_by_hand(model, *pair, FOUR) for pair in zip(PRECISE, REFERENCES, strict=True)]
    errors = []
    for samples in (1, 400):
        options = {"segments": FOUR, "samples": samples}
        result = found(shapley_sampling, model, PRECISE, "cat", baseline=REFERENCES, options=options)
        errors.append((by_patch(result.values, FOUR) - torch.tensor(exact, dtype=torch.float64)).norm())
    assert errors[1] < 0.03 * torch.tensor(exact).norm()
    assert errors[1] < errors[0] / 5


@pytest.mark.parametrize("samples", [14, 4000])
def test_kernel_shap_is_exact_where_all_choices_are_taken(samples):
    model, options = double_model(), {"segments": FOUR, "samples": samples}
    result = found(kernel_shap, model, PRECISE, "cat", baseline=REFERENCES, options=options)
    for image, reference, value in zip(PRECISE, REFERENCES, result.values, strict=True):
        wanted = torch.tensor(shapley_by_hand(model, image, reference, FOUR), dtype=torch.float64)
        torch.testing.assert_close(by_patch(value[None], FOUR)[0], wanted, rtol=1e-8, atol=1e-11)


def test_kernel_shap_is_the_shapley_values_of_captum():
    model = small_model()
    inputs, references = model.normalise(IMAGES), model.normalise(IMAGES * 0)
    wanted = ShapleyValues(model.module).attribute(inputs, references, target=1, feature_mask=FOUR[None, None])
    values = found(kernel_shap, model, IMAGES, "cat", baseline="black", options={"segments": FOUR}).values
    torch.testing.assert_close((values * 256).expand_as(wanted), wanted, rtol=1e-3, atol=1e-5)


def test_kernel_shap_comes_near_from_a_sample():
    model, places = double_model(), torch.arange(32) // 11
    numbers = places[:, None] * 3 + places  # 9 pieces, 510 choices
    few, many, every = (
        found(
            kernel_shap, model, PRECISE, "cat", baseline=REFERENCES, options={"segments": numbers, "samples": samples}
        )
        for samples in (20, 500, 510)
    )
    assert (many.values - every.values).norm() < 0.1 * every.values.norm()
    assert (many.values - every.values).norm() < 0.3 * (few.values - every.values).norm()


@pytest.mark.parametrize("run", [shapley_sampling, kernel_shap])
def test_shapley_values_add_up(run):
    model = double_model()
    result = found(run, model, PRECISE, "cat", baseline=REFERENCES, options={"segments": 12, "samples": 25})
    differences = (model(PRECISE) - model(REFERENCES))[:, 1].detach()
    torch.testing.assert_close(result.expected, differences, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(result.values.sum((1, 2, 3)), differences, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("number", [2, 5])
def test_all_choices_are_weighed_by_the_shapley_kernel(number):
    kept, weights = _choices(number, 1000, torch.Generator())
    some = [one for one in product((False, True), repeat=number) if 0 < sum(one) < number]
    assert sorted(map(tuple, kept.tolist())) == sorted(some)
    for one, weight in zip(kept.tolist(), weights.tolist(), strict=True):
        size = sum(one)
        assert weight == pytest.approx((number - 1) / (comb(number, size) * size * (number - size)))


def test_drawn_choices_follow_the_shapley_kernel_in_pairs():
    number, samples = 12, 4000
    kept, weights = _choices(number, samples, torch.Generator().manual_seed(0))
    assert kept.shape == (samples, number)
    assert (weights == 1).all()
    assert (kept[0::2] == ~kept[1::2]).all()
    sizes = kept.sum(1)
    kernel = torch.tensor([0.0] + [1 / (size * (number - size)) for size in range(1, number)])
    shares = sizes.bincount(minlength=number).float() / samples
    torch.testing.assert_close(shares, kernel / kernel.sum(), rtol=0, atol=0.03)
    torch.testing.assert_close(kept.float().mean(0), torch.full((number,), 0.5), rtol=0, atol=1e-6)


# --- LIME


def lime_by_hand(
    model: VisionModel, image: Tensor, reference: Tensor, numbers: Tensor, kept: Tensor, width: float, ridge: float
) -> list[float]:
    """From the normal equations."""
    rows, outputs, weights = [], [], []
    for one in kept.tolist():
        shown = reference.clone()
        for piece, there in enumerate(one):
            if there:
                shown = torch.where(numbers == piece, image, shown)
        cosine = sum(one) / sqrt(len(one) * sum(one)) if any(one) else 0.0
        rows.append([1.0, *map(float, one)])
        outputs.append(score(model, shown))
        weights.append(exp(-((1 - cosine) ** 2) / (2 * width**2)))
    design, scale = np.array(rows), np.diag(weights)
    penalty = np.diag([0.0] + [ridge] * kept.shape[1])
    left, right = design.T @ scale @ design + penalty, design.T @ scale @ np.array(outputs)
    return list(np.linalg.solve(left, right)[1:])


@pytest.mark.parametrize(("width", "ridge"), [(0.25, 0.0), (0.5, 2.0)])
def test_lime_is_weighted_least_squares(width, ridge):
    model, options = double_model(), {"segments": FOUR, "samples": 20, "width": width, "ridge": ridge}
    result = found(lime, model, PRECISE, "cat", baseline=REFERENCES, seed=4, options=options)
    kept = torch.rand(20, 4, generator=torch.Generator().manual_seed(4)) < 0.5
    kept[0] = True
    for image, reference, value in zip(PRECISE, REFERENCES, result.values, strict=True):
        wanted = lime_by_hand(model, image, reference, FOUR, kept, width, ridge)
        torch.testing.assert_close(
            by_patch(value[None], FOUR)[0], torch.tensor(wanted, dtype=torch.float64), rtol=1e-8, atol=1e-11
        )
    assert result.expected is None


# --- what is a sum over pieces is found exactly


@pytest.mark.parametrize("run", RUNS)
def test_a_sum_over_patches_is_found_exactly(run):
    model = patch_model()
    wanted = effects_of_patches(model, SMALL, OTHERS)
    options = {"segments": patches(), "samples": 10}  # too few for KernelSHAP to take all
    values = found(run, model, SMALL, "cat", baseline=OTHERS, options=options).values
    torch.testing.assert_close(by_patch(values, patches()), wanted, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("run", RUNS)
def test_a_linear_network_is_explained_exactly_from_fewer_choices_than_there_are(run):
    model = linear_model()
    shares = slopes(model) * (SMALL - OTHERS)
    values = found(run, model, SMALL, "owl", baseline=OTHERS, options={"segments": 16, "samples": 60}).values
    for image, share, value in zip(SMALL, shares, values, strict=True):
        pieces = superpixels(image, 16)
        wanted = by_patch(share[None], pieces)
        torch.testing.assert_close(by_patch(value[None], pieces), wanted, rtol=1e-8, atol=1e-10)


# --- what holds for all


@pytest.mark.parametrize("run", RUNS)
def test_an_image_does_not_depend_on_its_company(run):
    check_alone(run, IMAGES, **FEW[run])


@pytest.mark.parametrize("run", RUNS)
def test_nothing_is_left_behind(run):
    check_traceless(run, IMAGES, **FEW[run])


@pytest.mark.parametrize("run", RUNS)
def test_frozen_networks_that_work_in_place(run):
    check_rude(run, pictures(2, 16), **FEW[run])


@pytest.mark.parametrize("run", RUNS)
def test_another_seed_draws_others(run):
    check_seeded(run, IMAGES, **FEW[run])


@pytest.mark.parametrize("run", RUNS)
def test_a_single_piece_has_it_all(run):
    model, one = small_model(), torch.zeros(32, 32, dtype=torch.uint8)
    values = found(run, model, IMAGES, "cat", baseline="black", options={"segments": one}).values
    difference = (model(IMAGES) - model(IMAGES * 0))[:, 1].detach()
    torch.testing.assert_close(values.sum((1, 2, 3)), difference, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("run", RUNS)
def test_one_channel_and_oblong_images(run):
    model = wrap(seeded(SmallNet(1)), input_size=32, mean=(0.5,), std=(0.5,), name="grey")
    result = found(run, model, pictures(2, 32, channels=1)[..., :20], 1, baseline="blur", options=FEW[run])
    assert result.values.shape == (2, 1, 32, 20)


@pytest.mark.parametrize(
    ("run", "options", "words"),
    [
        (shapley_sampling, {"samples": 0}, "samples=0; it has to be a whole number of at least 1"),
        (kernel_shap, {"samples": 17, "segments": 9}, "samples=17; it has to be a whole number of at least 18"),
        (kernel_shap, {"samples": 100.5}, "samples=100.5; it has to be a whole number of at least 1"),
        (lime, {"samples": 9, "segments": 9}, "samples=9; it has to be a whole number of at least 10"),
        (lime, {"width": 0.0}, "width=0.0; it has to be a number of at least 0.001"),
        (lime, {"ridge": -1.0}, "ridge=-1.0; it has to be a number of at least 0"),
        (lime, {"segments": torch.zeros(3, 32)}, r"segments of shape \(3, 32\) and dtype torch.float32"),
    ],
)
def test_options_that_make_no_sense(run, options, words):
    with pytest.raises(InputError, match=f"^{words}"):
        found(run, small_model(), IMAGES, "cat", baseline="blur", options=options)


def test_methods_say_what_they_are():
    assert [method.name for method in METHODS] == [run.__name__ for run in RUNS]
    assert [method.claims for method in METHODS] == ["difference", "difference", None]
