"""A ReLU that lets a little gradient through where it is closed, so that units that are off can still be climbed."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class LeakyBackwardReLU(nn.Module):
    """ReLU, exact forwards, whose gradient where it is closed is `leak` instead of 0."""

    def __init__(self, leak: float, inplace: bool = False) -> None:
        super().__init__()
        self.leak, self.inplace = leak, inplace

    def forward(self, x: Tensor, rectified: bool = False) -> Tensor:
        """rectified: `x` has been through a ReLU already that took no part in the gradient; nothing else reads it."""
        inplace = (self.inplace or rectified) and x.requires_grad and not x.is_leaf
        result: Tensor = _LeakyBackward.apply(x, self.leak, inplace, rectified)
        return result


class _LeakyBackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, leak: float, inplace: bool, rectified: bool) -> Tensor:
        if inplace:
            ctx.mark_dirty(x)
        result = x if rectified else x.relu_() if inplace else x.relu()
        ctx.save_for_backward(result)
        ctx.leak = leak
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        (result,) = ctx.saved_tensors
        leaky: Tensor = torch.ops.aten.leaky_relu_backward(gradients[0], result, ctx.leak, False)
        return leaky, None, None, None
