"""RISE against a literal float64 reference, and on networks that look at one place only."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from provable import check_alone, check_rude, check_seeded, check_traceless, double_model
from small_nets import SmallNet, seeded, small_model
from tasks import found, pictures
from torch import Tensor, nn

from layerscope.attribution.rise import METHODS, rise
from layerscope.errors import InputError
from layerscope.models.model import wrap

IMAGES = pictures(3)
PRECISE, REFERENCES = pictures(2, dtype=torch.float64), pictures(2, seed=1, dtype=torch.float64)
FEW = {"masks": 40, "cells": 3}


def masks_by_hand(masks: int, cells: int, keep: float, height: int, width: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    grids = torch.rand(masks, cells, cells, generator=generator) < keep
    tall, wide = -(-height // cells), -(-width // cells)
    rows = torch.randint(tall, (masks,), generator=generator)
    columns = torch.randint(wide, (masks,), generator=generator)
    made = []
    for grid, row, column in zip(grids, rows, columns, strict=True):
        size = ((cells + 1) * tall, (cells + 1) * wide)
        smooth = F.interpolate(grid.double()[None, None], size, mode="bilinear", align_corners=False)[0, 0]
        made.append(smooth[row : row + height, column : column + width])
    return torch.stack(made)


def test_rise_is_the_covariance_of_mask_and_score():
    model = double_model()
    options = {"masks": 23, "cells": 3, "keep": 0.3}
    values = found(rise, model, PRECISE, "cat", baseline=REFERENCES, seed=2, batch=7, options=options).values
    masks = masks_by_hand(23, 3, 0.3, 32, 32, seed=2)
    for image, reference, value in zip(PRECISE, REFERENCES, values, strict=True):
        seen = torch.stack([reference + mask * (image - reference) for mask in masks])
        with torch.no_grad():
            scores = torch.stack([model(one[None])[0, 1] for one in seen])
        wanted = torch.zeros(32, 32, dtype=torch.float64)
        for score, mask in zip(scores, masks, strict=True):
            wanted += (score - scores.mean()) * (mask - masks.mean(0)) / 23
        torch.testing.assert_close(value[0], wanted, rtol=1e-8, atol=1e-12)


def test_masks_are_shares_and_as_visible_as_asked():
    masks = masks_by_hand(400, 7, 0.3, 40, 28, seed=0)
    assert masks.shape == (400, 40, 28)
    assert masks.min() >= 0
    assert masks.max() <= 1
    assert float(masks.mean()) == pytest.approx(0.3, abs=0.02)


class Corner(nn.Module):
    """For a bright patch at the top left, against one at the bottom right; the rest does not matter."""

    def forward(self, x: Tensor) -> Tensor:
        score = x[:, :, 4:12, 4:12].mean((1, 2, 3)) - x[:, :, 20:28, 20:28].mean((1, 2, 3))
        return torch.stack([score, score + 100], dim=1)


def test_what_matters_stands_out_with_its_sign():
    model = wrap(Corner(), input_size=32, mean=(0.0,) * 3, std=(1.0,) * 3, name="corner")
    image = torch.ones(1, 3, 32, 32)
    plain, raised = (
        found(rise, model, image, target, baseline="black", options={"masks": 600, "cells": 4}).values
        for target in (0, 1)
    )
    for_, against = plain[0, 0, 4:12, 4:12], plain[0, 0, 20:28, 20:28]
    rest = plain[0, 0, 4:12, 20:28]
    assert for_.mean() > 5 * rest.abs().mean()
    assert -against.mean() > 5 * rest.abs().mean()
    torch.testing.assert_close(plain, raised, rtol=0, atol=1e-5 * float(plain.abs().max()) + 1e-6)


def test_black_and_blur_hide_differently():
    black, blur = (
        found(rise, small_model(), IMAGES, "cat", baseline=name, options=FEW).values for name in ("black", "blur")
    )
    assert not torch.allclose(black, blur)


def test_an_image_does_not_depend_on_its_company():
    check_alone(rise, IMAGES, **FEW)


def test_nothing_is_left_behind():
    check_traceless(rise, IMAGES, **FEW)


def test_frozen_networks_that_work_in_place():
    check_rude(rise, pictures(2, 16), **FEW)


def test_another_seed_draws_other_masks():
    check_seeded(rise, IMAGES, **FEW)


def test_one_channel_and_oblong_images():
    model = wrap(seeded(SmallNet(1)), input_size=32, mean=(0.5,), std=(0.5,), name="grey")
    images = pictures(2, 32, channels=1)[..., :20]
    assert found(rise, model, images, 1, baseline="blur", options=FEW).values.shape == (2, 1, 32, 20)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"masks": 1}, "masks=1; it has to be a whole number of at least 2"),
        ({"cells": 0}, "cells=0; it has to be a whole number of at least 1"),
        ({"keep": 0.0}, "keep=0.0; it has to lie between 0 and 1"),
        ({"keep": 1}, "keep=1; it has to lie between 0 and 1"),
    ],
)
def test_options_that_make_no_sense(options, words):
    with pytest.raises(InputError, match=f"^{words}"):
        found(rise, small_model(), IMAGES, "cat", baseline="blur", options=options)


def test_methods_say_what_they_are():
    assert [method.name for method in METHODS] == ["rise"]
    assert METHODS[0].options() == {"masks": 1000, "cells": 7, "keep": 0.5, "precision": "full"}
