"""The colours and frequencies of images are measured as they were made."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from layerscope.errors import InputError
from layerscope.models.spectrum import Spectrum, power_law


def coloured_noise(slope: float, axes: Tensor, count: int = 60, side: int = 64) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(count, axes.shape[1], side, side // 2 + 1, 2, generator=generator)
    planes = torch.fft.irfft2(
        torch.view_as_complex(noise) * power_law(side, side, [slope] * axes.shape[1]), s=(side, side)
    )
    planes = planes / planes.std() * 0.05
    return 0.4 + torch.einsum("ca,bahw->bchw", axes, planes)


AXES = torch.tensor([[0.6, 0.3, 0.0], [0.6, -0.3, 0.0], [0.6, 0.0, 0.1]])


def test_of_images_finds_slope_mean_and_colour_axes() -> None:
    spectrum = Spectrum.of(coloured_noise(1.6, AXES))
    assert spectrum.slopes() == pytest.approx([1.6] * 3, abs=0.08)
    assert spectrum.mean.tolist() == pytest.approx([0.4] * 3, abs=0.01)
    first = spectrum.colour[:, 0] / spectrum.colour[:, 0].norm()
    assert first.tolist() == pytest.approx([3**-0.5] * 3, abs=0.05)
    lengths = spectrum.colour.norm(dim=0)
    assert lengths[0] == pytest.approx(1)
    assert lengths[0] > lengths[1] > lengths[2] > 0


def test_of_images_with_other_channels_and_odd_sizes() -> None:
    images = torch.rand(8, 4, 21, 33, generator=torch.Generator().manual_seed(0))
    spectrum = Spectrum.of(images)
    assert spectrum.colour.shape == (4, 4)
    assert spectrum.resized(30, 17).shape == (4, 30, 9)
    assert spectrum.resized(30, 17).isfinite().all()


@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 3, 8, 8)])
def test_of_too_few_images_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="a spectrum is measured on images"):
        Spectrum.of(torch.rand(shape))


@pytest.mark.parametrize("size", [(64, 64), (80, 80), (47, 33), (128, 96)])
def test_resizing_keeps_the_magnitude_per_frequency(size: tuple[int, int]) -> None:
    resized = Spectrum.natural(3).resized(*size)
    wanted = power_law(*size, [1.3] * 3)
    assert resized.shape == wanted.shape
    rows = torch.fft.fftfreq(size[0]).abs()[:, None]
    high = (rows.square() + torch.fft.rfftfreq(size[1]).square()).sqrt() > 0.05
    ratio = (resized / wanted)[:, high]
    assert ratio.std() / ratio.mean() < 0.03


def test_the_defaults() -> None:
    photographs = Spectrum.natural(3)
    assert photographs.chromatic()
    assert photographs.colour[:, 0].min() > 0  # the first axis is light and dark
    assert torch.equal(Spectrum.natural(1).colour, torch.ones(1, 1))
    assert not Spectrum.natural(5).chromatic()


def test_a_card_may_tell_the_spectrum() -> None:
    card = {"spectrum": {"colour": AXES.tolist(), "mean": [0.5, 0.4, 0.3], "slopes": [1.0, 2.0, 2.0]}}
    spectrum = Spectrum.from_card(card, 3)
    assert spectrum.mean.tolist() == pytest.approx([0.5, 0.4, 0.3])
    assert spectrum.slopes() == pytest.approx([1.0, 2.0, 2.0], abs=1e-3)
    assert torch.equal(Spectrum.from_card({}, 3).colour, Spectrum.natural(3).colour)
    with pytest.raises(InputError, match="colour axes"):
        Spectrum.from_card(card, 1)
