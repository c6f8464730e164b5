"""Depthwise convolutions of a bfloat16 copy compute in float32."""

from __future__ import annotations

import torch
from small_nets import seeded
from torch import nn

from layerscope.models.depthwise import InFloat32
from layerscope.models.private_copy import private_copy


def test_they_compute_in_float32_and_answer_in_bfloat16() -> None:
    net = seeded(nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3, groups=8), nn.Conv2d(8, 8, 3, groups=2)))
    example = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    copy = private_copy(net, example, ["2"], precision="bfloat16")
    assert [type(part) is InFloat32 for part in copy] == [False, True, False]
    assert copy[1].conv.weight.dtype == torch.float32
    between = copy[0](example.bfloat16())
    assert between.dtype == copy[1](between).dtype == torch.bfloat16
    wanted = nn.functional.conv2d(between.float(), copy[1].conv.weight, copy[1].conv.bias, groups=8)
    assert torch.equal(copy[1](between), wanted.bfloat16())
    assert (copy(example.bfloat16()).float() - net(example)).norm() < 0.02 * net(example).norm()


def test_copies_in_float32_keep_their_convolutions() -> None:
    net = seeded(nn.Sequential(nn.Conv2d(3, 6, 3), nn.Conv2d(6, 6, 3, groups=6)))
    copy = private_copy(net, torch.randn(1, 3, 16, 16), ["1"])
    assert type(copy[1]) is nn.Conv2d
