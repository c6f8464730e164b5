"""What a target means, and the score as a function of images."""

from __future__ import annotations

import pytest
import torch
from small_nets import small_model
from torch import nn

import layerscope as ls
from layerscope.attribution.score import Score, as_objective, distinct, predicted
from layerscope.errors import CaptureError, InputError, UnknownNameError

IMAGES = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ("owl", "logit owl"),
        ("OWL", "logit owl"),
        (3, "logit tree"),
        ("3", "logit tree"),
        ("owl versus cat", "logit owl - logit cat"),
        ("conv2:5", "channel conv2:5"),
        ("conv2:5@3,4", "neuron conv2:5@3,4"),
        (ls.Unit("conv2", 5), "channel conv2:5"),
        (ls.neuron("conv3:1"), "neuron conv3:1"),
        (ls.logit("owl") - 2 * ls.logit("cup"), "logit owl - 2 * logit cup"),
    ],
)
def test_targets(target, text):
    assert str(as_objective(small_model(), target)) == text


def test_a_class_comes_before_a_unit_and_a_margin():
    model = ls.wrap(small_model().module, 32, class_names=["a:1", "a versus b", "c", "d", "e"])
    assert str(as_objective(model, "a:1")) == "logit a:1"
    assert str(as_objective(model, "a versus b")) == "logit a versus b"


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("owls", "no class 'owls'; nearest: owl"),
        (7, "no class '7' in 'small'; classes count from 0 to 4"),
        ("owl versus dog", "no class 'dog'"),
        ("conv9:1", "no layer 'conv9'"),
        ("conv2:99", "no unit 'conv2:99'"),
        (2.5, "target 2.5 is a float"),
        (True, "target True is a bool"),
    ],
)
def test_targets_that_are_none(target, words):
    with pytest.raises(InputError) as error:
        as_objective(small_model(), target)
    assert words in str(error.value)


@pytest.mark.parametrize("target", ["owl", "owl versus cat", "conv2:5", "conv2:5@3,4", "relu#1:2"])
def test_the_score_is_what_the_network_gives_and_has_its_gradient(target):
    model = small_model()
    score = Score(model, as_objective(model, target))
    with ls.capture(model, ["conv2", "relu#1", ""]) as activations, torch.no_grad():
        model(IMAGES)
        expected = score.objective(activations)
    images = IMAGES.clone().requires_grad_()
    given = score(images)
    assert torch.equal(given, expected)
    assert torch.autograd.grad(given.sum(), images)[0].any()


def test_the_score_of_another_network_of_the_same_layers():
    model, other = small_model(), small_model()
    with torch.no_grad():
        other.module.fc.weight.zero_()
    score = Score(model, as_objective(model, "owl")).on(other.module)
    assert torch.allclose(score(IMAGES), other.module.fc.bias[0].expand(3))


def test_predicted_classes_and_networks_that_predict_none():
    model = small_model()
    assert predicted(model, IMAGES).tolist() == model(IMAGES).argmax(1).tolist()
    with pytest.raises(InputError, match=r"puts out \(3, 4, 32, 32\), not \[batch, classes\]"):
        predicted(ls.wrap(nn.Conv2d(3, 4, 1), 32), IMAGES)


class _Nothing(nn.Module):
    def forward(self, x: torch.Tensor) -> dict[str, int]:
        return {"number": 3}


def test_a_network_without_a_tensor_in_its_output():
    with pytest.raises(CaptureError, match="puts out a dict without a tensor"):
        predicted(ls.wrap(_Nothing(), 32, mean=[0.5] * 3), IMAGES)


def test_objectives_of_one_text_are_one_group():
    model = small_model()
    objectives = [as_objective(model, name) for name in ("owl", "cat", "owl")]
    assert [(str(one), members) for one, members in distinct(objectives)] == [("logit owl", [0, 2]), ("logit cat", [1])]


def test_an_index_beyond_the_output_is_said_where_there_are_no_names():
    model = ls.wrap(small_model().module, 32)
    with pytest.raises(UnknownNameError, match="no class 9; the network's output has classes 0 to 4"):
        Score(model, as_objective(model, 9))(IMAGES)
