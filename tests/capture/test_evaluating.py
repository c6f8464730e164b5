"""Measuring a network leaves its flags as they were."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from layerscope.capture.evaluating import evaluating, frozen


def test_evaluating_gives_each_part_its_own_flag_back() -> None:
    module = nn.Sequential(nn.Dropout(), nn.BatchNorm2d(3))
    module[1].eval()
    with evaluating(module):
        assert not any(part.training for part in module.modules())
        assert not torch.is_grad_enabled()
    with pytest.raises(RuntimeError), evaluating(module):
        module(torch.ones(1, 5, 2, 2))
    assert [part.training for part in module.modules()] == [True, True, False]
    assert torch.is_grad_enabled()


def test_frozen_gives_each_weight_its_own_flag_back() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    module[1].weight.requires_grad = False
    flags = [weight.requires_grad for weight in module.parameters()]
    with frozen(module):
        assert not any(weight.requires_grad for weight in module.parameters())
        image = torch.rand(1, 3, 8, 8, requires_grad=True)
        module(image).sum().backward()
    assert image.grad is not None
    assert all(weight.grad is None for weight in module.parameters())
    with pytest.raises(RuntimeError), frozen(module):
        module(torch.ones(1, 5, 2, 2))
    assert [weight.requires_grad for weight in module.parameters()] == flags
    assert True in flags


def test_weights_made_in_inference_mode_stay_as_they_are() -> None:
    with torch.inference_mode():
        module = nn.Conv2d(3, 4, 3)
    with frozen(module):
        pass
    assert module.weight.requires_grad
