"""Frames of an ascent: the first is its start, the last its picture."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from small_nets import small_model

import layerscope.objectives as ob
from layerscope.errors import InputError
from layerscope.models.model import VisionModel
from layerscope.synthesis.ascent import maximise
from layerscope.synthesis.recipes import Recipe

RECIPE = Recipe("of the test", "fourier", view=32, steps=12, lr=0.1)


def _starts(model: VisionModel, sought: list[ob.Objective | str]) -> np.ndarray:
    return maximise(model, sought, recipe=dataclasses.replace(RECIPE, steps=1, lr=0.0)).images


def test_frames_go_from_the_start_to_the_picture_evenly(model: VisionModel) -> None:
    sought = ["conv3:1", "owl", "conv3:2"]
    art = maximise(model, sought, recipe=RECIPE, frames=5)
    assert art.frames is not None
    assert art.frames.shape == (3, 5, 32, 32, 3)
    assert np.abs(art.frames[:, 0].astype(int) - _starts(model, sought)).max() <= 1
    assert art.frames[:, -1].tobytes() == art.images.tobytes()
    for number, steps in ((1, 3), (2, 6), (3, 9)):  # a constant learning rate: the same way for fewer steps
        part = maximise(model, sought, recipe=RECIPE, steps=steps)
        assert np.abs(art.frames[:, number].astype(int) - part.images).max() <= 1


def test_the_picture_is_the_same_with_frames_and_without(model: VisionModel) -> None:
    plain = maximise(model, ["conv3:1"], recipe=RECIPE)
    assert plain.frames is None
    assert maximise(model, ["conv3:1"], recipe=RECIPE, frames=3).images.tobytes() == plain.images.tobytes()


def test_a_picture_that_settles_early_stays_as_it_is(model: VisionModel) -> None:
    recipe = dataclasses.replace(RECIPE, steps=32, lr=0.3, settle=0.4)
    art = maximise(model, [f"conv3:{unit}" for unit in range(10)], recipe=recipe, frames=17)
    steps = np.isfinite(art.trace).sum(1)
    assert steps.min() < 32
    assert art.frames is not None
    for frames, image, taken in zip(art.frames, art.images, steps, strict=True):
        changes = [not np.array_equal(one, image) for one in frames]
        assert changes == [2 * number < taken for number in range(17)]


def test_groups_have_frames_of_their_own(model: VisionModel) -> None:
    group = ob.channel("conv3:2") - ob.diversity("conv3")
    art = maximise(model, [group, ob.channel("conv3:1"), group], recipe=RECIPE, frames=3)
    assert art.frames is not None
    assert art.frames[:, -1].tobytes() == art.images.tobytes()
    assert np.abs(art.frames[[0, 2], 0].astype(int) - _starts(model, [group, group])).max() <= 1
    assert np.abs(art.frames[0, 0].astype(int) - art.frames[2, 0]).mean() > 10


def test_pictures_of_several_sizes_have_frames_of_several_sizes() -> None:
    model = dataclasses.replace(small_model(), input_size=64)
    small = dataclasses.replace(RECIPE, view=48, steps=4)
    art = maximise(model, ["conv3:1", ob.neuron("conv3:1@3,3")], recipe=small, frames=2)
    assert art.frames is not None
    assert [one.shape for one in art.frames] == [(2, 48, 48, 3), (2, 64, 64, 3)]


def test_more_frames_than_steps_stay_even(model: VisionModel) -> None:
    art = maximise(model, ["conv3:1"], recipe=RECIPE, steps=4, frames=9)
    assert art.frames is not None
    changes = [bool((one != other).any()) for one, other in zip(art.frames[0], art.frames[0, 1:], strict=False)]
    assert len(art.frames[0]) == 9
    assert sum(changes) == 4
    assert not any(one and other for one, other in itertools.pairwise(changes))


def test_written_pictures_have_frames_too(model: VisionModel) -> None:
    art = maximise(model, [ob.channel("conv1:1")], frames=4)
    assert art.frames is not None
    assert art.notes[0].startswith("written down")
    assert (art.frames[0, 0] == 128).all()
    assert all(one.tobytes() == art.images[0].tobytes() for one in art.frames[0, 1:])


@pytest.mark.parametrize("frames", [1, -1, 2.5, 1 << 70])
def test_other_numbers_of_frames_are_refused(model: VisionModel, frames: int) -> None:
    with pytest.raises(
        InputError, match=rf"frames={frames}; give 2 to 10,000 \(the first is the start, the last the picture\), or 0$"
    ):
        maximise(model, ["conv3:1"], recipe=RECIPE, frames=frames)
