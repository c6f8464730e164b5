"""Pictures that are shown larger than they are."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from small_nets import SmallNet, seeded
from torch import Tensor, nn

import layerscope.objectives as ob
from layerscope.models.model import VisionModel, wrap
from layerscope.synthesis.ascent import maximise
from layerscope.synthesis.recipes import Recipe, at_size

RECIPE = Recipe("of the test", "fourier", view=128, magnify=1.75, steps=3)


class Measuring(SmallNet):
    def forward(self, x: Tensor) -> Tensor:
        _SEEN.add(tuple(x.shape[2:]))
        return super().forward(x)


_SEEN: set[tuple[int, ...]] = set()


def test_a_picture_of_128_is_shown_at_224() -> None:
    model = wrap(seeded(Measuring()), 224)
    model.layers()
    _SEEN.clear()
    art = maximise(model, ["conv3:1", "conv3:2"], recipe=dataclasses.replace(RECIPE, together=2))
    assert art.images.shape == (2, 128, 128, 3)
    assert {(224, 224)} == _SEEN


def test_scores_and_controls_are_of_the_enlarged_picture(model: VisionModel) -> None:
    recipe = dataclasses.replace(RECIPE, view=20, magnify=1.6)
    art = maximise(model, [ob.channel("conv3:1"), ob.logit("owl")], recipe=recipe, frames=2)
    assert art.frames is not None
    for pictures, scores in ((art.images, art.scores), (art.frames[:, 0], art.controls)):
        shown = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
        enlarged = F.interpolate(shown, size=(32, 32), mode="bilinear", align_corners=False)
        values = []
        handle = model.module.conv3.register_forward_hook(lambda _, __, output, to=values: to.append(output.clone()))
        with torch.no_grad():
            logits = model(enlarged)
        handle.remove()
        assert scores[0] == pytest.approx(float(values[0][0, 1].mean()), abs=1e-5)
        assert scores[1] == pytest.approx(float(logits[1, 0]), abs=1e-5)


def test_what_is_climbed_is_enlarged_as_what_is_scored(model: VisionModel) -> None:
    """Without transforms, the first step climbs from what the start scores."""
    still = dataclasses.replace(RECIPE, view=20, magnify=1.6, rotate=0.0, scale=(1.0, 1.0), shift=0.0, steps=1)
    art = maximise(model, [ob.channel("conv3:1"), ob.channel("conv3:4")], recipe=still)
    np.testing.assert_allclose(art.trace[:, 0], art.controls, atol=0.02)


class OneSize(nn.Module):
    def __init__(self, side: int) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 2, 3, padding=1), nn.Linear(2 * side * side, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.conv(x).relu().flatten(1))


@pytest.mark.parametrize(("side", "magnify", "view"), [(32, 2.0, 16), (32, 3.0, 11), (33, 1.75, 19)])
def test_networks_that_take_one_size_get_it(side: int, magnify: float, view: int) -> None:
    model = wrap(seeded(OneSize(side)), side)
    art = maximise(model, ["fc:1"], recipe=dataclasses.replace(RECIPE, view=5, magnify=magnify, steps=2))
    assert art.images.shape == (1, view, view, 3)


@pytest.mark.parametrize("side", range(20, 300, 7))
@pytest.mark.parametrize("magnify", [0.5, 1.0, 1.1, 1.75, 3.0, 7.3])
def test_at_a_size_the_network_is_shown_exactly_that(side: int, magnify: float) -> None:
    made = at_size(dataclasses.replace(RECIPE, magnify=magnify), side)
    assert made.shown == side
    assert made.wander.shown == side
    assert abs(made.view - side / magnify) <= 0.5
