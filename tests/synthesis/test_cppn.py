"""The picture of a small network, against the same computed point by point."""

from __future__ import annotations

import math

import pytest
import torch

from layerscope.models.spectrum import Spectrum
from layerscope.synthesis.cppn import DEPTH, WIDTH, Cppn
from layerscope.synthesis.images import Contrast, round_window


def made(height: int, width: int, view: int) -> Cppn:
    return Cppn(Contrast(Spectrum.natural(3).colour, round_window(height, width, view, 0.0), 0.2), view)


def test_each_pixel_is_the_network_at_its_coordinates() -> None:
    images = made(7, 9, view=5)
    parameters = torch.stack([images.init(torch.Generator().manual_seed(i)) for i in range(2)])
    planes = images.planes(parameters)
    for picture, row, column in ((0, 3, 4), (1, 0, 0), (1, 6, 2)):
        left = parameters[picture].double().tolist()
        values = [(column - 4) / 4 * 2 * math.sqrt(3), (row - 3) / 4 * 2 * math.sqrt(3)]
        for layer in range(DEPTH + 1):
            width = 3 if layer == DEPTH else WIDTH
            weights, left = left[: len(values) * width], left[len(values) * width :]
            values = [sum(value * weights[i * width + j] for i, value in enumerate(values)) for j in range(width)]
            if layer < DEPTH:
                bent = [math.atan(value) for value in values]
                values = [b / 0.67 for b in bent] + [b * b / 0.6 for b in bent]
        assert planes[picture, :, row, column].tolist() == pytest.approx(values, abs=1e-4)
        assert not left


def test_a_larger_view_shows_the_same_picture() -> None:
    small, large = made(9, 9, view=9), made(33, 33, view=33)
    parameters = small.init(torch.Generator().manual_seed(0))[None]
    torch.testing.assert_close(large.planes(parameters)[..., ::4, ::4], small.planes(parameters), atol=1e-4, rtol=1e-4)


def test_activations_keep_their_size_through_the_layers() -> None:
    images = made(32, 32, view=32)
    parameters = torch.stack([images.init(torch.Generator().manual_seed(i)) for i in range(16)])
    assert 0.3 < float(images.planes(parameters).square().mean().sqrt()) < 3
