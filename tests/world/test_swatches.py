"""Swatches: nothing but one texture, and the same whatever else is painted."""

from __future__ import annotations

import pytest
import torch

from layerscope.errors import InputError, UnknownNameError
from layerscope.world.swatches import swatches
from layerscope.world.textures import TEXTURE_NAMES


def test_a_swatch_depends_on_its_texture_and_seed_alone() -> None:
    many = swatches([*TEXTURE_NAMES, *TEXTURE_NAMES], [*range(13), *range(13)], 40)
    assert many.shape == (26, 3, 40, 40)
    assert many.dtype == torch.float32
    assert 0 <= many.min() < 0.2 < 0.8 < many.max() <= 1
    assert torch.equal(many[:13], many[13:])
    for number in (0, 5, 12):
        assert torch.equal(swatches([TEXTURE_NAMES[number]], [number], 40)[0], many[number])
    assert not torch.equal(swatches(["dots"], [1], 40), swatches(["dots"], [2], 40))


def test_textures_of_one_seed_share_their_colours() -> None:
    """Every pixel lies on the segment between the same two colours."""
    for seed in range(4):
        shown = swatches(["dots", "checker", "brick", "stripes"], [seed] * 4, 48).double()
        pixels = shown.transpose(0, 1).reshape(3, -1).T
        strength = torch.linalg.svdvals(pixels - pixels.mean(0))
        assert strength[1] < 1e-4 * strength[0]
        ends = [(one.amin((1, 2)), one.amax((1, 2))) for one in shown]
        for low, high in ends[1:]:
            assert (low - ends[0][0]).abs().max() < 0.04  # the mortar of bricks is not quite the second colour
            assert (high - ends[0][1]).abs().max() < 0.04  # the mortar of bricks is not quite the second colour


def test_the_whole_swatch_is_painted_and_alike_everywhere() -> None:
    shown = swatches(["checker"] * 30, range(30), 64).mean(1)
    quarters = shown.unflatten(2, (2, 32)).unflatten(1, (2, 32)).var((2, 4)).mean(0)
    assert quarters.min() > 0.8 * quarters.max()


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="no texture 'dot'; nearest: dots"):
        swatches(["dot"], [0])
    with pytest.raises(InputError, match="2 textures, 1 seeds and size 64; give one seed per texture"):
        swatches(["dots", "fur"], [0])
    with pytest.raises(InputError, match="0 textures"):
        swatches([], [])
