"""Parametrisations: pictures in [0, 1] with one contrast, each of its own parameters."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from layerscope.models.spectrum import Spectrum, power_law
from layerscope.synthesis.images import Contrast, Fourier, Parametrisation, PhaseOnly, Pixels, round_window

KINDS = ("pixels", "fourier", "capped", "phase")
SIZES = ((16, 16), (17, 23), (15, 16))


def made(kind: str, size: tuple[int, int] = (16, 16), channels: int = 3, rms: float = 0.2) -> Parametrisation:
    spectrum = Spectrum.natural(channels)
    window = round_window(*size, view=12, depth=0.8)
    contrast = Contrast(spectrum.colour, window, rms)
    magnitude = power_law(*size, [1.25] * channels)
    if kind == "pixels":
        return Pixels(contrast)
    return (
        PhaseOnly(contrast, magnitude)
        if kind == "phase"
        else Fourier(contrast, magnitude, 1.5 if kind == "capped" else 0)
    )


def drawn(images: Parametrisation, count: int = 4) -> Tensor:
    return torch.stack([images.init(torch.Generator().manual_seed(i)) for i in range(count)])


@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", KINDS)
def test_images_have_any_size_and_channels(kind: str, size: tuple[int, int], channels: int) -> None:
    images = made(kind, size, channels)
    rendered = images.render(drawn(images))
    assert rendered.shape == (4, channels, *size)
    assert rendered.dtype == torch.float32
    assert 0 <= rendered.min() < 0.5 < rendered.max() <= 1


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("kind", ["pixels", "fourier", "capped"])
def test_contrast_is_fixed_whatever_the_parameters(kind: str, scale: float) -> None:
    images = made(kind, rms=0.3)
    values = ((images.render(drawn(images).mul(scale)).double() - 0.5) * 2).atanh() / 2
    expected = 0.3 * images.contrast.window.square().mean().sqrt()
    assert values.square().mean((1, 2, 3)).sqrt().tolist() == pytest.approx([float(expected)] * 4, rel=2e-3)


def test_contrast_in_float64_step_by_step() -> None:
    colour, window = torch.rand(3, 3).double(), round_window(6, 5, 4, 0.5).double()
    planes = torch.randn(2, 3, 6, 5, generator=torch.Generator().manual_seed(0)).double()
    for image, got in zip(planes, Contrast(colour, window, 0.25, flatten=0.5)(planes), strict=True):
        values = torch.einsum("ca,ahw->chw", colour, image)
        values = (values - values.mean() / 2) * window
        values = values / values.square().mean().sqrt() * window.square().mean().sqrt() * 0.25
        torch.testing.assert_close(got, 0.5 + 0.5 * torch.tanh(2 * values), atol=1e-6, rtol=1e-6)


def test_phase_only_keeps_its_magnitudes() -> None:
    images = made("phase", (16, 16))
    spectra = torch.fft.rfft2(images.planes(drawn(images)), norm="ortho").abs()
    inner = slice(1, 8)  # the first and last column of a real transform are bound to be symmetric
    torch.testing.assert_close(spectra[..., inner], images.magnitude[..., inner].expand_as(spectra[..., inner]))


def test_a_cap_bounds_the_strongest_frequency() -> None:
    images = made("capped")
    parameters = drawn(images)
    parameters[:, 0, 3, 2] = 50.0
    free, capped = (torch.fft.rfft2(made(kind).planes(parameters)).abs()[:, 0] for kind in ("fourier", "capped"))
    share = [float(s[0, 3, 2] / s[0].sum()) for s in (free, capped)]
    assert share[1] < share[0] / 4


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_depends_on_its_own_parameters_alone(kind: str) -> None:
    images = made(kind, (17, 23))
    parameters = drawn(images, 8)
    whole = images.render(parameters)
    order = torch.tensor([5, 2, 7, 0, 1, 3, 4, 6])
    assert torch.equal(images.render(parameters[order]), whole[order])


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_those_of_finite_differences(kind: str) -> None:
    images = made(kind, (7, 6))
    images.contrast = Contrast(images.contrast.colour.double(), images.contrast.window.double(), images.contrast.rms)
    if isinstance(images, Fourier | PhaseOnly):
        images.magnitude = images.magnitude.double()
    if isinstance(images, Fourier):
        images.cap = 0  # its bound is a constant to the gradient, by design
    parameters = drawn(images, 1).double().requires_grad_(True)
    assert torch.autograd.gradcheck(images.render, [parameters], atol=1e-5)


def test_the_window_is_full_inside_and_faint_outside() -> None:
    window = round_window(40, 40, view=20, depth=0.8)
    assert window[20, 20] == 1
    assert window[0, 0] == pytest.approx(0.2)
    assert window[20, 20 + 6] == 1
    assert 0.2 < window[20, 20 + 9] < 1
    assert torch.equal(round_window(5, 7, view=5, depth=0.0), torch.ones(5, 7))


def test_phases_start_all_around() -> None:
    phases = made("phase").init(torch.Generator().manual_seed(0))
    assert -math.pi <= phases.min() < -3 < 3 < phases.max() <= math.pi
