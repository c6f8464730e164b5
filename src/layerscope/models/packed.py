"""Convolutions whose weights lie as the processor's kernels want them, for the forward pass and for the backward one.

Otherwise oneDNN puts the weights of a convolution in order at each call, forwards and backwards, dear where there are
many weights and small maps. The gradient by the input is a transposed convolution. The operations are those that
torch's own compiler calls; they are not public, so `can_pack` asks whether they are there.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from layerscope.models.hooked import hooked

_OPERATIONS = (
    "_reorder_convolution_weight",
    "_convolution_pointwise",
    "_reorder_convolution_transpose_weight",
    "_convolution_transpose_pointwise",
)
_PLAIN: tuple[str, list[float], str] = ("none", [], "")  # nothing done to its result on the way
_RECTIFIED: tuple[str, list[float], str] = ("relu", [], "")


class PackedConv(nn.Module):
    """A frozen convolution with packed weights: packed anew for inputs of another size, whose best order differs."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.weight, self.bias = conv.weight, conv.bias
        assert not isinstance(conv.padding, str)
        self.padding, self.stride, self.dilation = list(conv.padding), list(conv.stride), list(conv.dilation)
        self.packed: tuple[Tensor, Tensor] | None = None
        self.packed_for: tuple[torch.Size, torch.dtype] | None = None

    def forward(self, x: Tensor, skip: Tensor | None = None, rectified: bool = False) -> Tensor:
        """skip: is added on the way. rectified: a ReLU on the way, of which the gradient knows nothing."""
        y: Tensor = _PackedConv.apply(x, self, skip, rectified)
        return y

    def forwards(self, x: Tensor, skip: Tensor | None = None, rectified: bool = False) -> Tensor:
        packed, _ = self._packed(x)
        how = self.padding, self.stride, self.dilation, 1
        last = _RECTIFIED if rectified else _PLAIN
        pointwise = torch.ops.mkldnn._convolution_pointwise
        y: Tensor = (
            pointwise(x, packed, self.bias, *how, *last)
            if skip is None
            else pointwise.binary(x, skip, packed, self.bias, *how, "add", None, *last)
        )
        return y

    def backwards(self, gradient: Tensor, sides: tuple[int, int]) -> Tensor:
        """The gradient by an input of these sides."""
        assert self.packed is not None
        by_input: Tensor = torch.ops.mkldnn._convolution_transpose_pointwise(
            gradient, self.packed[1], None, self.padding, self._beyond(sides), self.stride, self.dilation, 1, *_PLAIN
        )
        return by_input

    def __getstate__(self) -> dict[str, Any]:
        """A copy packs its own: tensors in the order of a kernel cannot be copied."""
        return self.__dict__ | {"packed": None, "packed_for": None}

    def _packed(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if self.packed is None or self.packed_for != (x.shape, x.dtype):
            self.packed_for = x.shape, x.dtype
            sides = (x.shape[2], x.shape[3])
            outputs = [len(x), self.weight.shape[0], *(self._outputs(axis, side) for axis, side in enumerate(sides))]
            there = torch.ops.mkldnn._reorder_convolution_weight(
                self.weight, self.padding, self.stride, self.dilation, 1, list(x.shape)
            )
            back = torch.ops.mkldnn._reorder_convolution_transpose_weight(
                self.weight, self.padding, self._beyond(sides), self.stride, self.dilation, 1, outputs
            )
            self.packed = there, back
        return self.packed

    def _outputs(self, axis: int, side: int) -> int:
        reach = self.dilation[axis] * (self.weight.shape[2 + axis] - 1)
        return int((side + 2 * self.padding[axis] - reach - 1) // self.stride[axis]) + 1

    def _beyond(self, sides: tuple[int, int]) -> list[int]:
        """Rows and columns of the input, at the end, that a stride left out."""
        return [
            side
            + 2 * self.padding[axis]
            - self.dilation[axis] * (self.weight.shape[2 + axis] - 1)
            - 1
            - (self._outputs(axis, side) - 1) * self.stride[axis]
            for axis, side in enumerate(sides)
        ]


class _PackedConv(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, conv: PackedConv, skip: Tensor | None, rectified: bool) -> Tensor:
        ctx.conv, ctx.sides = conv, (x.shape[2], x.shape[3])
        return conv.forwards(x, skip, rectified)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, Tensor | None, None]:
        by_skip = gradients[0] if ctx.needs_input_grad[2] else None
        return ctx.conv.backwards(gradients[0], ctx.sides), None, by_skip, None


def can_pack() -> bool:
    """Whether torch has what it takes here."""
    return torch.backends.mkldnn.is_available() and all(hasattr(torch.ops.mkldnn, name) for name in _OPERATIONS)


def packed(module: nn.Module) -> nn.Module:
    """A plain convolution on the CPU, without hooks, with packed weights; any other module as it is."""
    if type(module) is not nn.Conv2d or module.groups > 1 or module.padding_mode != "zeros" or hooked(module):
        return module
    if isinstance(module.padding, str) or module.weight.device.type != "cpu":
        return module
    return PackedConv(module)
