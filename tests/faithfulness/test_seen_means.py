"""What reaches a unit: equal to a look at which pixels and positions matter, and the same in any company."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_nets import small_model, small_network
from torch import nn

from layerscope.capture.hooks import capture
from layerscope.faithfulness.seen_means import TOGETHER, UnitSpot, as_shown, position_means, seen_means
from layerscope.models.model import VisionModel, wrap


def pixels(count: int, side: int = 32, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 256, (count, 3, side, side), generator=torch.Generator().manual_seed(seed)).byte()


def plain() -> VisionModel:
    """Without padding, so that every position of a receptive field is there."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        module = nn.Sequential(
            nn.Conv2d(3, 5, 3, 2), nn.ReLU(), nn.Conv2d(5, 6, 3), nn.ReLU(), nn.Conv2d(6, 4, 2, 2), nn.ReLU()
        )
    return wrap(module.eval(), 32, name="plain")


def test_means_are_over_exactly_the_positions_that_the_unit_depends_on():
    """Those with a gradient of the unit's value, at one image after the other."""
    model, images = plain(), pixels(3)
    layer, earlier = model.layer("4"), [model.layer("0"), model.layer("2")]
    for unit in range(layer.units):
        found = seen_means(model, images, [UnitSpot(image, unit) for image in range(3)], layer, earlier)
        for image in range(3):
            with capture(model, ["0", "2", "4"], detach=False) as activations:
                model(images[image : image + 1].float() / 255)
                peak = activations["4"][0, unit].amax()
                for name in ("0", "2"):
                    (gradient,) = torch.autograd.grad(peak, activations[name], retain_graph=True)
                    depends = gradient[0].ne(0).any(0)
                    rows, columns = (depends.any(axis).nonzero().flatten() for axis in (1, 0))
                    seen = activations[name][0][:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
                    expected = seen.double().mean((1, 2)).detach().numpy()
                    np.testing.assert_allclose(found[name][image], expected, atol=1e-6)


def test_a_row_is_the_same_in_any_company_and_order():
    model, images = small_model(), pixels(2 * TOGETHER + 3)
    layer, earlier = model.layer("conv3"), [model.layer("conv1"), model.layer("conv2")]
    spots = [UnitSpot(image, unit) for image in (20, 3, 34, 3) for unit in (7, 0)]
    whole = seen_means(model, images, [*spots, *(UnitSpot(image, 1) for image in range(35))], layer, earlier)
    for place, spot in enumerate(spots):
        alone = seen_means(model, images, [spot], layer, earlier)
        for name in ("conv1", "conv2"):
            assert (alone[name][0] == whole[name][place]).all()


def test_without_places_all_positions_count():
    model, images = small_network(), pixels(4)
    output = model.layers()[-1]
    found = seen_means(model, images, [UnitSpot(2, 1)], output, [model.layer("2")])["2"]
    np.testing.assert_allclose(found, position_means(model, images[2:3].float() / 255, model.layer("2")), atol=1e-7)


def test_pictures_are_shown_at_the_size_that_is_asked():
    shown = as_shown(pixels(2, 16), 28)
    assert shown.shape == (2, 3, 28, 28)
    assert as_shown(pixels(2, 16), 16).shape[-1] == as_shown(pixels(2, 16), 0).shape[-1] == 16
    assert (shown.amin() >= 0) & (shown.amax() <= 1)


@pytest.mark.parametrize("spots", [[], [UnitSpot(0, 0)]])
def test_no_earlier_layers_or_no_spots_are_nothing(spots):
    model = small_model()
    earlier = [model.layer("conv1")] if not spots else []
    assert seen_means(model, pixels(2), spots, model.layer("conv2"), earlier) == {}
