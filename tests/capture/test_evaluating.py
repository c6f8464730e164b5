"""Measuring a network leaves its flags as they were."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from layerscope.capture.evaluating import evaluating


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
