"""The network that runs for methods without gradients: a copy, the network itself, in bfloat16, a part of it."""

from __future__ import annotations

import pytest
import torch
from provable import double_model
from small_nets import SmallNet, seeded, small_model
from tasks import found, pictures, task_for
from torch import Tensor, nn

from layerscope.attribution.coalitions import kernel_shap, lime, shapley_sampling
from layerscope.attribution.forwards import WORTH, Forwards
from layerscope.attribution.perturbations import feature_ablation, occlusion
from layerscope.attribution.rise import rise
from layerscope.attribution.variants import Variants
from layerscope.errors import InputError, UnknownNameError
from layerscope.models.model import wrap

IMAGES = pictures(3)
FEW = {
    occlusion: {"window": 8},
    feature_ablation: {"segments": 9},
    shapley_sampling: {"segments": 9, "samples": 3},
    kernel_shap: {"segments": 9, "samples": 32},
    lime: {"segments": 9, "samples": 32},
    rise: {"masks": 32, "cells": 3},
}


@pytest.mark.parametrize("run", FEW)
def test_no_more_images_than_the_batch_are_run_at_once(run, monkeypatch):
    most: list[int] = []
    forward = SmallNet.forward

    def watched(self: SmallNet, x: Tensor) -> Tensor:
        most.append(len(x))
        return forward(self, x)

    monkeypatch.setattr(SmallNet, "forward", watched)
    found(run, small_model(), IMAGES, "cat", baseline="blur", batch=2, options=FEW[run])
    assert max(most) == 4  # where nothing is kept for a backward, twice the batch


@pytest.mark.parametrize("runs", [WORTH, 0])
@pytest.mark.parametrize("target", ["cat", "owl versus cat", "conv2:3", "conv1:0@3,4", "bn1:2", "relu#1:3"])
def test_scores_are_those_of_the_task(runs, target):
    model = small_model()
    task = task_for(model, IMAGES, target, batch=2)
    forwards = Forwards(task, runs=runs)
    wanted = task.score(IMAGES).detach()
    scores = forwards(IMAGES)
    torch.testing.assert_close(scores, wanted, rtol=1e-4, atol=1e-5)
    assert not scores.requires_grad
    near = IMAGES[:1].repeat(3, 1, 1, 1)
    near[1, :, 4:9, 20:28] = near[2, :, :3, :3] = 0.1
    torch.testing.assert_close(forwards.near(IMAGES[:1])(near), task.score(near).detach(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("run", FEW)
def test_bfloat16_is_said_and_comes_near(run):
    model = small_model()
    full = found(run, model, IMAGES, "cat", baseline="black", options=FEW[run])
    rough = found(run, model, IMAGES, "cat", baseline="black", options={**FEW[run], "precision": "bfloat16"})
    assert rough.values.dtype == torch.float32
    assert 0 < (rough.values - full.values).norm() < 0.2 * full.values.norm()
    assert dict(rough.approximated) == {"all": "computed in bfloat16"}
    assert rough.notes[0].startswith("Computed in bfloat16, which moves the scores of the images by up to 0.0")
    assert not full.approximated
    assert full.notes == ()


@pytest.mark.parametrize("run", FEW)
def test_bfloat16_is_for_single_precision_networks_only(run):
    images = IMAGES.double()
    message = r"^precision='bfloat16' is for float32 networks; 'small, float64' is none, leave it out$"
    with pytest.raises(InputError, match=message):
        found(run, double_model(), images, "cat", baseline="black", options={"precision": "bfloat16"})
    with pytest.raises(UnknownNameError, match=r"^no precision 'float8'; nearest: bfloat16$"):
        found(run, small_model(), IMAGES, "cat", baseline="black", options={"precision": "float8"})


@pytest.mark.parametrize("run", FEW)
def test_a_double_network_stays_double(run):
    result = found(run, double_model(), IMAGES.double(), "cat", baseline="blur", options=FEW[run])
    assert result.values.dtype == torch.float64
    if run is not occlusion:  # Captum divides in float32 there
        assert (result.values - result.values.float().double()).abs().max() > 0


class Uncopyable(SmallNet):
    def __deepcopy__(self, memo: object) -> nn.Module:
        raise TypeError("one of a kind")


class Numpy(SmallNet):
    """It looks at the memory of its input."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(torch.from_numpy(x.numpy().copy()))


class Broken(SmallNet):
    def forward(self, x: Tensor) -> Tensor:
        raise RuntimeError("out of order")


@pytest.mark.parametrize("kind", [Uncopyable, Numpy])
@pytest.mark.parametrize("run", FEW)
def test_odd_networks_are_explained_as_any_other(run, kind):
    values, wanted = (
        found(run, wrap(seeded(one()), input_size=32), IMAGES, 1, baseline="blur", options=FEW[run]).values
        for one in (kind, SmallNet)
    )
    torch.testing.assert_close(values, wanted, rtol=0, atol=2e-5 * float(wanted.abs().max()))


def test_bfloat16_needs_a_copy():
    model = wrap(seeded(Uncopyable()), input_size=32, name="unique")
    with pytest.raises(
        InputError, match=r"^precision='bfloat16' needs a copy of 'unique', which fails \(one of a kind\)"
    ):
        found(occlusion, model, IMAGES, 1, baseline="blur", options={"precision": "bfloat16"})


@pytest.mark.parametrize("run", FEW)
def test_what_the_network_raises_stays(run):
    with pytest.raises(RuntimeError, match="out of order"):
        found(run, wrap(seeded(Broken()), input_size=32), IMAGES, 1, baseline="blur", options=FEW[run])


def test_hooks_of_others_see_whole_activations():
    model, seen = small_model(), []
    model.module.conv2.register_forward_hook(lambda module, inputs, output: seen.append(type(output)))
    found(occlusion, model, IMAGES, "cat", baseline="blur", options=FEW[occlusion])
    assert set(seen) == {Tensor}


@pytest.mark.parametrize("target", ["cat", "bn1:2"])
def test_only_the_place_that_differs_is_run(monkeypatch, target):
    seen = []
    forward = SmallNet.forward
    monkeypatch.setattr(SmallNet, "forward", lambda self, x: (seen.append(type(x)), forward(self, x))[1])
    found(occlusion, small_model(), IMAGES, target, baseline="blur", options=FEW[occlusion])
    assert seen.count(Variants) == 3 * 3  # each image, and its 49 variants in batches of 32
