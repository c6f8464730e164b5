"""Pictures that start from an image: exactly it, of any size and number of channels."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from small_nets import SmallNet, seeded
from torch import Tensor

import layerscope.objectives as ob
from layerscope.errors import InputError
from layerscope.models.model import VisionModel, wrap
from layerscope.models.spectrum import Spectrum, power_law
from layerscope.synthesis.ascent import maximise
from layerscope.synthesis.images import Contrast, round_window
from layerscope.synthesis.outcome import to_bytes
from layerscope.synthesis.recipes import Recipe
from layerscope.synthesis.seeded import Seeded, on_canvas

STILL = Recipe("still", "seeded", steps=1, lr=0.0)


def bytes_of(count: int, channels: int, size: int) -> Tensor:
    """Random bytes, black and white among them."""
    generator = torch.Generator().manual_seed(size)
    values = torch.randint(-40, 296, (count, channels, size, size), generator=generator)
    return values.clamp(0, 255).to(torch.uint8)


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 6])
@pytest.mark.parametrize("size", [16, 33])
def test_the_start_is_the_image_to_the_byte(channels: int, size: int) -> None:
    images = bytes_of(2, channels, size)
    model = wrap(seeded(SmallNet(channels)), input_size=size, mean=[0.5] * channels, std=[0.25] * channels)
    recipe = dataclasses.replace(STILL, view=size)
    art = maximise(model, [ob.channel("conv2:1")] * 2, recipe=recipe, starts=images / 255)
    assert np.abs(art.images.astype(int) - images.permute(0, 2, 3, 1).numpy().astype(int)).max() == 0
    assert art.scores.tolist() == art.controls.tolist()


def test_colour_axes_that_span_no_colours_are_replaced() -> None:
    flat = Contrast(torch.tensor([[1.0, 0.0, 0.0]] * 3), round_window(8, 8, 8, 0.0), 0.2)
    images = Seeded(flat, power_law(8, 8, [1.0] * 3))
    start = bytes_of(1, 3, 8)
    again = images.render(images.init(torch.Generator(), start[0] / 255)[None])
    assert torch.equal(to_bytes(again), start)


def test_contrast_is_not_renormalised() -> None:
    faint = torch.full((1, 3, 8, 8), 0.5)
    faint[:, :, 3, 3] = 0.52
    images = Seeded(Contrast(Spectrum.natural(3).colour, round_window(8, 8, 8, 1.0), 0.3), power_law(8, 8, [1.0] * 3))
    again = images.render(images.init(torch.Generator(), faint[0])[None])
    torch.testing.assert_close(again, faint, atol=1e-5, rtol=0)


def test_the_canvas_continues_the_image_by_its_mirror_image() -> None:
    image = torch.arange(9.0).view(1, 1, 3, 3)
    grown = on_canvas(image, 7)[0, 0]
    assert grown[3].tolist() == [5, 4, 3, 4, 5, 4, 3]
    assert grown[:, 3].tolist() == [7, 4, 1, 4, 7, 4, 1]
    assert on_canvas(image, 11)[0, 0, 5].tolist() == [5, 5, 5, 4, 3, 4, 5, 4, 3, 3, 3]


def test_an_image_of_another_size_is_refused(model: VisionModel) -> None:
    recipe = dataclasses.replace(STILL, view=32)
    for side, channels in ((31, 3), (32, 1)):
        with pytest.raises(InputError, match=rf"an image of \[{channels}, \d+, \d+\] cannot start a picture of \[3, "):
            maximise(model, ["conv2:1"], recipe=recipe, starts=torch.rand(1, channels, side, side))
