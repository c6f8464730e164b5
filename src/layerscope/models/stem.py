"""First convolutions with a stride, computed over blocks of pixels: the same numbers, faster with gradients.

The gradient of a convolution by its image has as many channels as the image, and kernels for three channels leave most
of a processor's vector unused. With each block of stride x stride pixels put into the channels, the convolution has
stride 1 and 3 * stride^2 channels, and its gradient fills the vectors.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from layerscope.models.hooked import hooked

FEW_CHANNELS = 4


class BlockedStem(nn.Module):
    """A convolution with a stride, as one of stride 1 over blocks of pixels."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.stride, self.size, self.padding = conv.stride[0], conv.kernel_size, conv.padding
        self.whole = tuple(self.stride * -(-side // self.stride) for side in self.size)
        padded = F.pad(conv.weight.detach(), (0, self.whole[1] - self.size[1], 0, self.whole[0] - self.size[0]))
        self.weight = nn.Parameter(_blocks(padded, self.stride).contiguous(), requires_grad=False)
        self.bias = None if conv.bias is None else nn.Parameter(conv.bias.detach().clone(), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        edges = [self._edges(axis, x.shape[axis + 2]) for axis in (1, 0)]
        blocks = _blocks(F.pad(x, (*edges[0], *edges[1])), self.stride)
        return F.conv2d(blocks.contiguous(memory_format=_layout(self.weight)), self.weight, self.bias)

    def _edges(self, axis: int, side: int) -> tuple[int, int]:
        """Zeros before and after, or where negative what is cut off: whole blocks, as many as there are outputs."""
        before, size = int(self.padding[axis]), self.size[axis]
        outputs = (side + 2 * before - size) // self.stride + 1
        return before, (outputs - 1) * self.stride + self.whole[axis] - side - before


def blocked_stem(module: nn.Module) -> nn.Module:
    """A strided first convolution over blocks of pixels; any other module as it is."""
    return BlockedStem(module) if isinstance(module, nn.Conv2d) and is_stem(module) else module


def is_stem(module: nn.Module) -> bool:
    """Whether it can be computed so: few channels, one stride of two or more, no dilation, padded with zeros."""
    return (
        type(module) is nn.Conv2d
        and module.in_channels <= FEW_CHANNELS
        and module.groups == 1
        and module.stride[0] == module.stride[1] > 1
        and module.dilation == (1, 1)
        and module.padding_mode == "zeros"
        and not isinstance(module.padding, str)
        and not hooked(module)
    )


def _blocks(x: Tensor, side: int) -> Tensor:
    """Pixel unshuffle in the order of channels_last, with rows kept together: [batch, side^2 * channel, ...]."""
    pixels = x.contiguous(memory_format=torch.channels_last).permute(0, 2, 3, 1)
    batch, height, width, channels = pixels.shape
    rows = pixels.reshape(batch, height // side, side, width // side, side * channels)
    return torch.cat(rows.unbind(2), -1).permute(0, 3, 1, 2)


def _layout(weight: Tensor) -> torch.memory_format:
    return torch.channels_last if weight.is_contiguous(memory_format=torch.channels_last) else torch.contiguous_format
