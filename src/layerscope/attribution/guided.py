"""Guided backpropagation (Springenberg et al. 2015, section 3.4) and deconvolution (Zeiler & Fergus 2014, section 2.1),
on operations, so that functional, reused and in-place ReLUs count.

Both are gradients with another backward pass through ReLU. They draw edges whatever the network has learned (Adebayo et
al. 2018), which the check "redrawn" shows. Rectifiers that are no ReLU (SiLU, GELU, Hardswish ..) have no published
rule: the ReLU's is extended to them, and said. Every other operation keeps its gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from layerscope.attribution.kinds import RECTIFIERS
from layerscope.attribution.operations import Call, Operations, UnsupportedOperationError
from layerscope.attribution.task import Found, Method, Task

Slope = Callable[[Tensor, Tensor], Tensor]
"""From the gradient above a rectifier and its own slope to the gradient below."""


def guided_rule(gradient: Tensor, slope: Tensor) -> Tensor:
    """What is positive goes on where the rectifier lets values pass."""
    return gradient.clamp(min=0) * slope


def deconvolution_rule(gradient: Tensor, slope: Tensor) -> Tensor:
    """What is positive goes on, whatever the rectifier did to the values."""
    return gradient.clamp(min=0)


class _Rectifiers(Operations):
    """Gives rectifiers another backward pass."""

    def __init__(self, rule: Slope) -> None:
        super().__init__()
        self._rule = rule

    def elementwise(self, call: Call) -> Any:
        if call.name not in RECTIFIERS:
            return call.run()
        if call.name not in ("relu", "relu6") and not _is_relu6(call):
            self.approximated[call.name] = "the rule of ReLU, with its own slope in the place of ReLU's"
        return _Rectified.apply(call.data[0], call.of, self._rule)

    def _by_kind(self, call: Call) -> Any:
        if call.name not in RECTIFIERS:
            return call.run()
        self.covered[call.name] += 1
        return self.elementwise(call)


class _Rectified(torch.autograd.Function):
    """An activation function whose gradient is made by a rule."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, function: Callable[[Tensor], Tensor], rule: Slope) -> Tensor:
        with torch.enable_grad():
            point = x.detach().requires_grad_()
            y = function(point)
            (slope,) = torch.autograd.grad(y.sum(), point)
        ctx.save_for_backward(slope)
        ctx.rule = rule
        return y.detach()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return ctx.rule(gradients[0], ctx.saved_tensors[0]), None, None


def _is_relu6(call: Call) -> bool:
    bounds = (*call.args[1:3], *(call.kwargs[side] for side in ("min_val", "max_val") if side in call.kwargs))
    return call.name == "hardtanh" and bounds[:1] == (0.0,)


def rectified(task: Task, rule: Slope) -> Found:
    """The gradient of the score with a rule for rectifiers.

    Raises UnsupportedOperationError for a network without any: the result would be the plain gradient.
    """
    rules = _Rectifiers(rule)
    leaf = task.images.clone().requires_grad_()
    with rules:
        scores = task.score(leaf.view_as(leaf))
    if not rules.covered:
        raise UnsupportedOperationError(
            "this network has no rectifier (relu, gelu, silu ..) before what is explained, so the result would be the "
            "plain gradient; use 'saliency'"
        )
    (values,) = torch.autograd.grad(scores.sum(), leaf)
    return Found(values, None, dict(rules.covered), dict(rules.approximated))


def guided_backprop(task: Task) -> Found:
    """The gradient, of which each rectifier lets only what is positive pass, where it let values pass."""
    return rectified(task, guided_rule)


def deconvolution(task: Task) -> Found:
    """The gradient, of which each rectifier lets only what is positive pass."""
    return rectified(task, deconvolution_rule)


METHODS = (
    Method(
        "guided_backprop",
        "Guided backprop",
        "The gradient, of which each rectifier lets only positive parts pass; draws edges rather than evidence.",
        "Springenberg et al. 2015, Striving for simplicity, section 3.4",
        guided_backprop,
    ),
    Method(
        "deconvolution",
        "Deconvolution",
        "The gradient without the masks of the rectifiers: what is positive passes; draws edges rather than evidence.",
        "Zeiler & Fergus 2014, Visualizing and understanding convolutional networks, section 2.1",
        deconvolution,
    ),
)
