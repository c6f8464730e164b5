"""Sums of levels, each enlarged."""

from __future__ import annotations

import torch

from layerscope.models.spectrum import Spectrum
from layerscope.synthesis.images import Contrast, round_window
from layerscope.synthesis.pyramid import Pyramid


def made(height: int, width: int) -> Pyramid:
    return Pyramid(Contrast(Spectrum.natural(3).colour, round_window(height, width, 8, 0.0), 0.2))


def test_levels_are_halved_and_rounded_up() -> None:
    assert made(17, 30).sizes == [(17, 30), (9, 15), (5, 8), (3, 4)]
    assert made(4, 4).sizes == [(4, 4)]


def test_only_the_finest_level_has_single_pixels_and_a_coarse_one_covers_a_share_of_the_picture() -> None:
    images = made(16, 16)
    size = images.init(torch.Generator().manual_seed(0)).numel()
    assert size == 3 * (16 * 16 + 8 * 8 + 4 * 4)
    one = torch.zeros(2, size)
    one[0, 16 * 5 + 3] = 1.0  # the finest level, first axis, row 5, column 3
    one[1, 3 * (256 + 64) + 4 * 1 + 2] = 1.0  # the coarsest, first axis, row 1, column 2
    fine, coarse = images.planes(one)
    assert fine[0, 5, 3] == 1
    assert fine.abs().sum() == 1
    assert float(coarse[0].sum()) > 10  # of 4 x 4 pixels each
    row, column = divmod(int(coarse[0].argmax()), 16)
    assert 4 <= row < 8
    assert 8 <= column < 12
    assert not coarse[1:].any()


def test_a_constant_level_is_constant() -> None:
    images = made(15, 22)
    parameters = torch.zeros(1, images.init(torch.Generator().manual_seed(0)).numel())
    parameters[:, -3 * images.sizes[-1][0] * images.sizes[-1][1] :] = 2.0
    torch.testing.assert_close(images.planes(parameters), torch.full((1, 3, 15, 22), 2.0))
