"""Transparency: the composition, the price, and a mask that finds what matters."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor, nn

import layerscope.objectives as ob
from layerscope.models.model import VisionModel, wrap
from layerscope.models.spectrum import Spectrum
from layerscope.synthesis.alpha import BACKDROP_SIDES, Alpha, over
from layerscope.synthesis.ascent import maximise
from layerscope.synthesis.recipes import Recipe, parametrisation

RECIPE = Recipe("masked", "fourier", view=24, steps=100, alpha=0.6)


def made(price: float = 0.5) -> Alpha:
    images = parametrisation(dataclasses.replace(RECIPE, alpha=price), Spectrum.natural(3))
    assert isinstance(images, Alpha)
    return images


def test_over_by_hand() -> None:
    picture = torch.tensor([0.2, 0.4, 0.8, 0.25]).view(1, 4, 1, 1)
    backdrop = torch.tensor([1.0, 0.0, 0.4]).view(1, 3, 1, 1)
    assert over(picture, backdrop).flatten().tolist() == pytest.approx([0.8, 0.1, 0.5])


def test_finished_pictures_are_scored_over_grey_and_climbed_over_backdrops() -> None:
    images = made()
    clear, solid = torch.rand(2, 4, 8, 8), torch.rand(2, 4, 8, 8)
    clear[:, 3], solid[:, 3] = 0, 1
    drawn = images.draw(5, torch.Generator().manual_seed(0))
    assert drawn.shape == (5, 3 * sum(side * side for side in BACKDROP_SIDES))
    assert torch.equal(images.shown(clear), torch.full((2, 3, 8, 8), 0.5))
    for views in (images.shown(solid), images.exposed(solid, drawn[:2])):
        torch.testing.assert_close(views, solid[:, :3])
    backdrops = images.exposed(clear, drawn[:2])
    assert 0 <= backdrops.min() < 0.4 < 0.6 < backdrops.max() <= 1
    assert not torch.equal(backdrops, images.exposed(clear, drawn[2:4]))
    torch.testing.assert_close(images.exposed(clear[:1], drawn[:1]), backdrops[:1])


def test_the_price_is_a_share_of_a_positive_score_and_moves_nothing_but_the_mask() -> None:
    views = torch.full((2, 4, 6, 6), 0.5).requires_grad_(True)
    scores = torch.tensor([4.0, -2.0], requires_grad=True)
    weighed = made(0.5).weighed(scores, views)
    assert weighed.tolist() == pytest.approx([4 - 0.5 * 4 * 0.5, -2])
    of_views, of_scores = torch.autograd.grad(weighed.sum(), [views, scores])
    assert of_scores.tolist() == [1, 1]
    assert not of_views[:, :3].any()
    assert of_views[:, 3].flatten(1)[:, 0].tolist() == pytest.approx([-2 / 36, 0])


class Corner(nn.Module):
    """How bright the middle of the top left quarter is, and how dark the ring around it: nothing else is looked at."""

    def __init__(self) -> None:
        super().__init__()
        self.look = nn.Conv2d(3, 1, 5, bias=False)
        with torch.no_grad():
            self.look.weight.fill_(-1 / 48)
            self.look.weight[:, :, 1:4, 1:4] = 1 / 27

    def forward(self, x: Tensor) -> Tensor:
        return self.look(x[:, :, 4:9, 4:9]).flatten(1)


def corner() -> VisionModel:
    return wrap(Corner(), input_size=24, mean=[0.5] * 3, std=[0.25] * 3)


def test_what_the_objective_does_not_look_at_turns_transparent() -> None:
    still = dataclasses.replace(RECIPE, rotate=0.0, scale=(1.0, 1.0), shift=0.0)
    art = maximise(corner(), [ob.logit(0)], recipe=still)
    mask = art.images[0, :, :, 3].astype(float) / 255
    assert art.images.shape == (1, 24, 24, 4)
    assert art.scores[0] > art.controls[0]
    assert mask[4:9, 4:9].mean() > 2 * mask[12:, 12:].mean()
    free = maximise(corner(), [ob.logit(0)], recipe=dataclasses.replace(still, alpha=1e-6))
    assert free.images[0, 12:, 12:, 3].mean() / 255 > 2 * mask[12:, 12:].mean()
