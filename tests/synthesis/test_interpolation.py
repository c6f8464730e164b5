"""Rows of pictures from one unit to another."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import layerscope.objectives as ob
from layerscope.errors import InputError
from layerscope.models.model import VisionModel
from layerscope.synthesis.interpolation import interpolate
from layerscope.synthesis.recipes import Recipe

FAST = Recipe("fast", "fourier", view=32, steps=40)


def seen(model: VisionModel, images: np.ndarray, unit: str) -> np.ndarray:
    values = ob.activations_of(model, torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255, unit.split(":")[0])
    return ob.neuron(unit).bind(model)({unit.split(":")[0]: values}).numpy()


def test_the_first_unit_falls_along_the_row_and_the_second_rises(model: VisionModel) -> None:
    art = interpolate(model, ob.neuron("conv2:1"), ob.neuron("conv3:2"), pictures=5, align=0.0, recipe=FAST)
    first, second = seen(model, art.images, "conv2:1"), seen(model, art.images, "conv3:2")
    assert art.images.shape == (5, 32, 32, 3)
    assert first[0] > first[2] > first[4]
    assert second[0] < second[2] < second[4]
    assert (art.scores > art.controls).all()
    assert 0.6 < art.scores[0] < 1.6
    assert 0.6 < art.scores[4] < 1.6


def test_a_row_starts_from_one_noise_and_alignment_keeps_its_pictures_alike(model: VisionModel) -> None:
    still = Recipe("still", "fourier", view=32, steps=1, lr=1e-9)
    ends = ob.neuron("conv2:1"), ob.neuron("conv2:2")
    starts = _row(model, ends, 0.5, still)
    assert all(np.array_equal(starts[0], one) for one in starts)
    loose, held = (_row(model, ends, align, FAST).astype(float) for align in (0.0, 3.0))
    assert np.abs(np.diff(held, axis=0)).mean() < 0.8 * np.abs(np.diff(loose, axis=0)).mean()


def _row(model: VisionModel, ends: tuple[ob.Objective, ob.Objective], align: float, recipe: Recipe) -> np.ndarray:
    from layerscope.synthesis.ascent import maximise

    row = ob.penalised(ob.interpolation(*ends), -align * ob.alignment("conv1"))
    return maximise(model, [row] * 4, recipe=recipe).images


def test_a_row_is_the_same_in_any_company(model: VisionModel) -> None:
    from layerscope.synthesis.ascent import maximise

    row = ob.penalised(ob.interpolation(ob.neuron("conv2:1"), ob.neuron("conv2:2")), -ob.alignment("conv1"))
    few = Recipe("few", "fourier", view=32, steps=5)
    alone = maximise(model, [row] * 3, recipe=few)
    among = maximise(model, [ob.neuron("conv2:5"), row, row, ob.neuron("conv2:4"), row], recipe=few)
    assert among.images[[1, 2, 4]].tobytes() == alone.images.tobytes()


def test_what_is_refused(model: VisionModel) -> None:
    with pytest.raises(InputError, match="pictures=1; give a whole number from 2 to 4,096"):
        interpolate(model, "conv2:1", "conv2:2", pictures=1)
    with pytest.raises(InputError, match="align=-1"):
        interpolate(model, "conv2:1", "conv2:2", align=-1)
    with pytest.raises(InputError, match="gains nothing"):
        interpolate(model, 0.0 * ob.neuron("conv2:1"), "conv2:2", recipe=FAST)
