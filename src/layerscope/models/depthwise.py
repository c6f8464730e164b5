"""Depthwise convolutions in float32, inside a network of bfloat16.

Each channel of theirs is a convolution of its own, of few numbers. oneDNN has no fast backward kernel for these in
bfloat16: with them a mobilenet is slower than all in float32, with this it is faster.
"""

from __future__ import annotations

from torch import Tensor, nn


class InFloat32(nn.Module):
    """A convolution that computes in float32, whatever it is given, and answers in the format that it is given."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv.float()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x.float())
        return y.to(x.dtype)


def depthwise_in_float32(module: nn.Module) -> nn.Module:
    """A depthwise convolution wrapped; any other module as it is."""
    depthwise = type(module) is nn.Conv2d and module.groups == module.in_channels > 1
    return InFloat32(module) if depthwise and isinstance(module, nn.Conv2d) else module
