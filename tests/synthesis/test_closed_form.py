"""The best picture of a unit of the first convolution is known: nothing beats it, and nothing else is taken for one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_nets import SmallNet, seeded
from torch import Tensor, nn

import layerscope.objectives as ob
from layerscope.models.model import VisionModel, wrap
from layerscope.synthesis.ascent import maximise
from layerscope.synthesis.closed_form import EXACT
from layerscope.synthesis.recipes import recipe_for


def test_it_is_the_sign_of_the_kernel() -> None:
    odd = wrap(seeded(SmallNet()), input_size=33)  # so that one cell of the map is the middle one
    art = maximise(odd, ob.neuron("conv1:3"))
    assert (art.status, art.notes) == (("converged",), (EXACT,))
    picture = art.images[0].transpose(2, 0, 1)
    kernel = odd.module.conv1.weight[3].detach().numpy()
    looked = np.argwhere((picture != 128).all(0))
    assert (np.ptp(looked, axis=0) + 1 == kernel.shape[1:]).all()
    top, left = looked.min(0)
    patch = picture[:, top : top + kernel.shape[1], left : left + kernel.shape[2]]
    assert np.array_equal(patch, np.where(kernel > 0, 255, 0))
    assert (picture == 128).sum() == picture.size - kernel.size


def test_no_image_scores_higher(model: VisionModel) -> None:
    art = maximise(model, ["cat", ob.neuron("conv1:3"), ob.channel("conv1:5")])
    assert art.scores[1] == pytest.approx(art.trace[1, 0], rel=1e-4)  # the bound itself
    side = art.images[1].shape[0]
    generator = torch.Generator().manual_seed(1)
    rivals = [torch.rand(256, 3, side, side, generator=generator), torch.rand(256, 3, side, side).round()]
    rivals += [torch.full((1, 3, side, side), value) for value in (0.0, 0.5, 1.0)]
    for place, objective in ((1, ob.neuron("conv1:3")), (2, ob.channel("conv1:5"))):
        for some in rivals:
            assert float(_scores(model, objective, some).max()) <= art.scores[place] + 1e-4
    climbed = maximise(model, ob.neuron("conv1:3"), recipe=recipe_for("fine", model.layer("conv1"), model))
    assert climbed.scores[0] < art.scores[1]
    assert climbed.notes != (EXACT,)  # a recipe of one's own is followed


def _scores(model: VisionModel, objective: ob.Objective, images: Tensor) -> Tensor:
    from layerscope.capture.hooks import capture

    with torch.no_grad(), capture(model, "conv1") as activations:
        model(images)
        return objective.bind(model)(activations)


@pytest.mark.parametrize(
    "objective", [ob.excitation("conv1:3"), ob.neuron("conv2:3"), ob.neuron("bn1:3"), -ob.logit(1)]
)
def test_what_bends_or_lies_deeper_is_climbed(model: VisionModel, objective: ob.Objective) -> None:
    assert EXACT not in maximise(model, objective, steps=3).notes[0]


def test_the_negative_is_the_opposite_picture(model: VisionModel) -> None:
    art = maximise(model, [ob.neuron("conv1:3"), -ob.neuron("conv1:3")])
    one, other = art.images.astype(int)
    looked = one != 128
    assert looked.any()
    assert (one[looked] + other[looked] == 255).all()


class _Squared(nn.Module):
    """A first convolution that sees pixels after they were bent."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x.square())


def test_a_network_that_bends_its_input_is_climbed() -> None:
    art = maximise(wrap(seeded(_Squared()), input_size=32), ob.neuron("conv:1"), steps=3)
    assert art.notes[0] != EXACT


def test_progress_counts_what_is_written_down_too(model: VisionModel) -> None:
    seen: list[tuple[int, int]] = []
    maximise(
        model,
        [ob.neuron("conv1:3"), "owl"],
        steps=4,
        on_progress=lambda done, total, _: seen.append((done, total)),
    )
    assert seen[0] == (4, 8)
    assert seen[-1] == (8, 8)


def test_frames_are_the_grey_start_and_the_picture(model: VisionModel) -> None:
    art = maximise(model, ob.neuron("conv1:3"), frames=4)
    assert (art.frames[0, 0] == 128).all()
    assert all(np.array_equal(frame, art.images[0]) for frame in art.frames[0, 1:])


def test_the_network_is_left_as_it_was() -> None:
    module = seeded(SmallNet()).train()
    maximise(wrap(module, input_size=32), ob.neuron("conv1:3"))
    assert module.training
    assert all(weight.grad is None and weight.requires_grad for weight in module.parameters())
