"""Gradient methods against literal float64 references, on networks whose answer is known, and alone in their batch."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from provable import (
    check_alone,
    check_rude,
    check_seeded,
    check_traceless,
    double_model,
    linear_model,
    slopes,
)
from small_nets import small_model
from tasks import found, pictures
from torch import Tensor, nn

from layerscope.attribution.gradients import (
    METHODS,
    gradient_shap,
    input_x_gradient,
    integrated_gradients,
    saliency,
    smoothgrad,
    vargrad,
)
from layerscope.attribution.score import Score
from layerscope.errors import InputError
from layerscope.models.model import VisionModel, wrap

IMAGES = pictures(3)
PRECISE = pictures(2, dtype=torch.float64)
RUNS = [method.run for method in METHODS]
RANDOM = [smoothgrad, vargrad, gradient_shap]


def gradient(model: VisionModel, image: Tensor, target: int = 1) -> Tensor:
    """Of one image [channel, height, width], literally."""
    image = image.clone().requires_grad_()
    mean, std = (image.new_tensor(values).view(-1, 1, 1) for values in (model.mean, model.std))
    score = model.module(((image - mean) / std)[None])[0, target]
    return torch.autograd.grad(score, image)[0]


def grey(images: Tensor, value: float = 0.3) -> Tensor:
    return torch.full_like(images, value)


# --- against literal references


def test_saliency_is_the_signed_gradient():
    model = double_model()
    values = found(saliency, model, PRECISE, "cat").values
    for image, value in zip(PRECISE, values, strict=True):
        torch.testing.assert_close(value, gradient(model, image), rtol=1e-12, atol=1e-15)
    assert (values < 0).any()
    assert (values > 0).any()


def test_saliency_is_what_a_small_step_does():
    model, step = double_model(), 1e-6
    values = found(saliency, model, PRECISE[:1], "cat").values
    for place in [(0, 3, 5), (1, 20, 31), (2, 17, 0)]:
        moved = PRECISE[:1].clone()
        moved[0][place] += step
        with torch.no_grad():
            slope = float((model(moved) - model(PRECISE[:1]))[0, 1]) / step
        assert float(values[0][place]) == pytest.approx(slope, rel=1e-5, abs=1e-8)


def test_input_x_gradient_is_the_product():
    model = double_model()
    values = found(input_x_gradient, model, PRECISE, "cat").values
    for image, value in zip(PRECISE, values, strict=True):
        torch.testing.assert_close(value, image * gradient(model, image), rtol=1e-12, atol=1e-15)


def test_integrated_gradients_is_the_gauss_legendre_sum():
    model, baseline = double_model(), grey(PRECISE)
    options = {"steps": 7, "most_steps": 7}
    values = found(integrated_gradients, model, PRECISE, "cat", baseline=baseline, options=options).values
    places, weights = np.polynomial.legendre.leggauss(7)
    for image, reference, value in zip(PRECISE, baseline, values, strict=True):
        total = torch.zeros_like(image)
        for place, weight in zip(places, weights, strict=True):
            total += weight / 2 * gradient(model, reference + (place + 1) / 2 * (image - reference))
        # the weights are float32 in Captum
        torch.testing.assert_close(value, (image - reference) * total, rtol=1e-6, atol=1e-9)


def test_smoothgrad_and_vargrad_are_mean_and_variance_under_the_same_noise():
    model = double_model()
    options = {"samples": 5, "noise": 0.2}
    generator = torch.Generator().manual_seed(3)
    noises = [torch.randn(1, 3, 32, 32, generator=generator)[0].double() * 0.2 for _ in range(5)]
    for number, image in enumerate(PRECISE):
        gradients = torch.stack([gradient(model, image + noise) for noise in noises])
        for run, wanted in ((smoothgrad, gradients.mean(0)), (vargrad, gradients.var(0, unbiased=False))):
            value = found(run, model, PRECISE, "cat", seed=3, batch=4, options=options).values[number]
            torch.testing.assert_close(value, wanted, rtol=1e-10, atol=1e-14)


def test_gradient_shap_is_the_mean_over_places_and_noise():
    model, baseline = double_model(), grey(PRECISE)
    options = {"samples": 5, "noise": 0.2}
    generator = torch.Generator().manual_seed(3)
    places = (torch.arange(5) + torch.rand(5, generator=generator, dtype=torch.float64)) / 5
    noises = [torch.randn(1, 3, 32, 32, generator=generator)[0].double() * 0.2 for _ in range(5)]
    values = found(gradient_shap, model, PRECISE, "cat", baseline=baseline, seed=3, options=options).values
    for image, reference, value in zip(PRECISE, baseline, values, strict=True):
        path = [reference + noise + place * (image - reference) for place, noise in zip(places, noises, strict=True)]
        wanted = (image - reference) * torch.stack([gradient(model, point) for point in path]).mean(0)
        torch.testing.assert_close(value, wanted, rtol=1e-10, atol=1e-14)


def test_gradient_shap_comes_near_to_integrated_gradients_without_noise():
    model, baseline = double_model(), grey(PRECISE)
    few, many = (
        found(gradient_shap, model, PRECISE, "cat", baseline=baseline, options={"samples": samples, "noise": 0.0})
        for samples in (4, 256)
    )
    exact = found(integrated_gradients, model, PRECISE, "cat", baseline=baseline, options={"tolerance": 1e-4})
    assert (many.values - exact.values).norm() < 0.02 * exact.values.norm()
    assert (many.values - exact.values).norm() < 0.1 * (few.values - exact.values).norm()


# --- on a linear network every method is exact


@pytest.mark.parametrize("run", RUNS)
def test_a_linear_network_is_explained_exactly(run):
    model = linear_model()
    images, slope = pictures(2, 16, dtype=torch.float64), slopes(model)
    baseline = pictures(2, 16, seed=1, dtype=torch.float64)
    wanted = {
        saliency: slope.expand_as(images),
        smoothgrad: slope.expand_as(images),
        vargrad: torch.zeros_like(images),
        input_x_gradient: slope * images,
        integrated_gradients: slope * (images - baseline),
        gradient_shap: slope * (images - baseline),
    }[run]
    result = found(run, model, images, "owl", baseline=baseline)
    # the weights of the integral are float32 in Captum
    torch.testing.assert_close(result.values, wanted, rtol=3e-7 if run is integrated_gradients else 1e-9, atol=1e-12)
    if run in (integrated_gradients, gradient_shap):
        differences = (model(images) - model(baseline)).detach()[:, 0]
        torch.testing.assert_close(result.expected, differences, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(result.values.sum((1, 2, 3)), differences, rtol=1e-6, atol=1e-9)
    else:
        assert result.expected is None


# --- steps of the integral


class Cliff(nn.Module):
    """The mean brightness, and where that passes 0.5 a cliff: hard to integrate over."""

    def forward(self, x: Tensor) -> Tensor:
        bright = x.mean((1, 2, 3))
        return torch.stack([bright + torch.sigmoid(400 * (bright - 0.5)), bright], dim=1)


def cliff() -> VisionModel:
    return wrap(Cliff(), input_size=8, mean=(0.0,) * 3, std=(1.0,) * 3, name="cliff")


def test_steps_double_until_the_values_add_up_and_only_where_they_do_not():
    model, seen = cliff(), list[int]()
    model.module.register_forward_hook(lambda part, inputs, output: seen.append(len(output)))
    images = torch.stack([torch.full((3, 8, 8), value) for value in (0.4, 0.83)])  # the first never meets the cliff
    options = {"steps": 8, "most_steps": 512, "tolerance": 0.01}
    result = found(integrated_gradients, model, images, 0, baseline=torch.zeros(1), options=options)
    total, expected = result.values.sum((1, 2, 3)), result.expected
    assert ((total - expected).abs() <= 0.01 * expected.abs()).all()
    assert result.own_notes[0] == ()
    (note,) = result.own_notes[1]
    taken = int(note.removeprefix("It took ").partition(" ")[0])
    assert note == f"It took {taken} steps, more than 8, to add up."
    first = 2 * 2 + 2 * 8  # images and baselines, and 8 steps for both
    assert sum(seen) == first + sum(8 * 2**n for n in range(1, 10) if 8 * 2**n <= taken)


def test_what_does_not_add_up_in_the_end_is_said():
    images = torch.full((1, 3, 8, 8), 0.83)
    options = {"steps": 4, "most_steps": 8, "tolerance": 1e-4}
    result = found(integrated_gradients, cliff(), images, 0, baseline=torch.zeros(1), options=options)
    gap = float((result.values.sum() - result.expected).abs() / result.expected.abs())
    assert gap > 1e-4
    assert result.own_notes == ((f"It does not add up after 8 steps: the gap is {gap:.2g}; most_steps= allows more.",),)


def test_a_batch_smaller_than_the_steps_gives_the_same_integral():
    runs = [
        found(integrated_gradients, double_model(), PRECISE, "cat", baseline="blur", batch=batch).values
        for batch in (1, 5, 64)
    ]
    for one, other in pairwise(runs):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-9)


def test_no_more_images_than_the_batch_are_run_at_once():
    for run in RUNS:
        model, most = small_model(), []
        handle = model.module.register_forward_pre_hook(lambda module, args, most=most: most.append(len(args[0])))
        found(run, model, IMAGES, "cat", baseline="blur", batch=2)
        handle.remove()
        assert max(most) == 2, run.__name__


# --- what holds for all


@pytest.mark.parametrize("run", RUNS)
def test_an_image_does_not_depend_on_its_company(run):
    check_alone(run, IMAGES)


@pytest.mark.parametrize("run", RUNS)
def test_nothing_is_left_behind(run):
    check_traceless(run, IMAGES)


@pytest.mark.parametrize("run", RUNS)
def test_frozen_networks_that_work_in_place(run):
    check_rude(run, pictures(2, 16))


@pytest.mark.parametrize("run", RUNS)
def test_weights_have_no_gradients_meanwhile(run, monkeypatch):
    model, flags = small_model(), []
    score = Score.__call__

    def watched(self: Score, images: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            flags.extend(weight.requires_grad for weight in model.module.parameters())
        return score(self, images)

    monkeypatch.setattr(Score, "__call__", watched)
    found(run, model, IMAGES, "cat", baseline="blur")
    assert set(flags) == {False}
    assert all(weight.requires_grad for weight in model.module.parameters())


@pytest.mark.parametrize("run", RANDOM)
def test_another_seed_draws_other_noise(run):
    check_seeded(run, IMAGES)


@pytest.mark.parametrize("run", RUNS)
def test_values_are_of_the_images(run):
    result = found(run, small_model(), IMAGES, "cat", baseline="blur")
    assert result.values.shape == IMAGES.shape
    assert result.values.dtype == IMAGES.dtype
    assert not result.values.requires_grad


class Detached(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.detach().mean((2, 3))


class Beside(nn.Module):
    """Its score needs a gradient, but not that of the image."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))

    def forward(self, x: Tensor) -> Tensor:
        return x.detach().mean((2, 3)) * self.weight


@pytest.mark.parametrize("module", [Detached(), Beside()])
@pytest.mark.parametrize("run", RUNS)
def test_a_score_without_a_gradient_is_one_line(run, module):
    model = wrap(module, input_size=8, name="stubborn")
    message = (
        r"^'logit 1' has no gradient at the image: 'stubborn' leaves it on the way; use a method without gradients"
    )
    with pytest.raises(InputError, match=message):
        found(run, model, pictures(1, 8), 1, baseline="blur")


class Broken(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        raise RuntimeError("out of order")


@pytest.mark.parametrize("run", [saliency, input_x_gradient, smoothgrad])
def test_what_the_network_raises_stays(run):
    with pytest.raises(RuntimeError, match="out of order"):
        found(run, wrap(Broken(), input_size=8, name="broken"), pictures(1, 8), 1, baseline="blur")


@pytest.mark.parametrize(
    ("run", "options", "words"),
    [
        (smoothgrad, {"samples": 0}, "samples=0; it has to be a whole number of at least 1"),
        (smoothgrad, {"samples": 2.5}, "samples=2.5; it has to be a whole number of at least 1"),
        (vargrad, {"noise": -0.1}, "noise=-0.1; it has to be a number of at least 0"),
        (gradient_shap, {"samples": True}, "samples=True; it has to be a whole number"),
        (gradient_shap, {"noise": float("nan")}, "noise=nan; it has to be a number of at least 0"),
        (integrated_gradients, {"steps": 0}, "steps=0; it has to be a whole number of at least 1"),
        (
            integrated_gradients,
            {"steps": 64, "most_steps": 8},
            "most_steps=8; it has to be a whole number of at least 64",
        ),
    ],
)
def test_options_that_make_no_sense(run, options, words):
    with pytest.raises(InputError, match=f"^{words}"):
        found(run, small_model(), IMAGES, "cat", baseline="blur", options=options)


def test_methods_say_what_they_are():
    names = [method.name for method in METHODS]
    assert names == [run.__name__ for run in RUNS]
    assert {method.name for method in METHODS if method.claims} == {"integrated_gradients", "gradient_shap"}
    assert all(("baseline" in method.needs) == (method.claims is not None) for method in METHODS)
