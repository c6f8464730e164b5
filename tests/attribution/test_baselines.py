"""What images are compared with."""

from __future__ import annotations

import pytest
import torch
from small_nets import small_model

from layerscope.attribution.baselines import BASELINES, baseline_images, blurred
from layerscope.errors import InputError, UnknownNameError

IMAGES = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", BASELINES)
def test_every_baseline_is_one_finite_image_each_and_keeps_the_images(name):
    before = IMAGES.clone()
    made = baseline_images(IMAGES, small_model(), name)
    assert made.shape == IMAGES.shape
    assert made.min() >= 0
    assert made.max() <= 1
    assert torch.equal(IMAGES, before)
    made.zero_()  # its own memory
    assert torch.equal(IMAGES, before)


def test_flat_colours():
    model = small_model()
    assert baseline_images(IMAGES, model, "black").eq(0).all()
    assert baseline_images(IMAGES, model, "white").eq(1).all()
    assert model.normalise(baseline_images(IMAGES, model, "mean")).abs().max() < 1e-6
    own = baseline_images(IMAGES, model, "own mean")
    assert torch.allclose(own[1, 2], IMAGES[1, 2].mean().expand(32, 32))


def test_blur_is_a_gaussian_of_a_sixteenth_of_the_side():
    point = torch.zeros(1, 1, 65, 65)
    point[0, 0, 32, 32] = 1
    profile = blurred(point)[0, 0].sum(0).double()
    places = torch.arange(65).double() - 32
    assert profile.sum().item() == pytest.approx(1, abs=1e-5)
    assert (profile * places**2).sum().sqrt().item() == pytest.approx(65 / 16, rel=0.05)  # cut off at 3 deviations


def test_blur_of_tiny_and_of_flat_images():
    assert torch.allclose(blurred(torch.full((1, 3, 9, 9), 0.3)), torch.tensor(0.3))
    tiny = torch.rand(1, 3, 2, 2)
    assert torch.allclose(blurred(tiny), tiny.mean((2, 3), keepdim=True).expand_as(tiny))


def test_given_images_broadcast():
    model, given = small_model(), torch.rand(1, 3, 1, 1)
    assert torch.equal(baseline_images(IMAGES, model, given), given.expand_as(IMAGES))


@pytest.mark.parametrize(
    ("given", "kind", "words"),
    [
        ("grey", UnknownNameError, "no baseline 'grey'"),
        (torch.zeros(3, 3, 32, 32), InputError, "does not fit images of (2, 3, 32, 32)"),
        (torch.full((1, 3, 32, 32), torch.nan), InputError, "not finite"),
        (0, InputError, "baseline is a int; give one of blur, black"),
    ],
)
def test_baselines_that_are_none(given, kind, words):
    with pytest.raises(kind) as error:
        baseline_images(IMAGES, small_model(), given)
    assert words in str(error.value)
