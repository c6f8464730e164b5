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

from layerscope.attribution.call import Call
from layerscope.attribution.kinds import RECTIFIERS
from layerscope.attribution.operations import Operations, UnsupportedOperationError
from layerscope.attribution.task import Found, Method, Task

Back = Callable[[Tensor], Tensor]
"""The gradient below a rectifier as its derivative makes it, from that above."""

Rule = Callable[[Tensor, Back], Tensor]
"""From the gradient above a rectifier to that below."""


def guided_rule(gradient: Tensor, back: Back) -> Tensor:
    """What is positive goes on where the rectifier lets values pass."""
    return back(gradient.clamp(min=0))


def deconvolution_rule(gradient: Tensor, back: Back) -> Tensor:
    """What is positive goes on, whatever the rectifier did to the values."""
    return gradient.clamp(min=0)


_TITLES: dict[Rule, str] = {guided_rule: "guided backpropagation", deconvolution_rule: "deconvolution"}


class _Rectifiers(Operations):
    """Gives rectifiers another backward pass."""

    def __init__(self, rule: Rule) -> None:
        super().__init__()
        self._rule = rule
        self.title = _TITLES[rule]

    def _by_kind(self, call: Call) -> Any:
        if not _rectifies(call):
            return self._constant(call)
        self.covered[call.name] += 1
        if not _is_relu(call):
            self.approximated[call.name] = "the rule of ReLU, with its own slope in the place of ReLU's"
        made_by = _RectifiedReLU if call.name == "relu" else _Rectified
        return made_by.apply(call.data[0], call.of, self._rule)


def _rectifies(call: Call) -> bool:
    return len(call.data) == 1 and (call.name in RECTIFIERS or _is_relu(call))


def _is_relu(call: Call) -> bool:
    """Whether it sets to zero what is negative, may bound what is large, and does nothing else."""
    names = _BOUNDS.get(call.name, ())
    given = dict(zip(names, call.args[1:], strict=False)) | call.kwargs
    zero = [given.get(name) for name in (names if call.name == "threshold" else names[:1])]
    return call.name in ("relu", "relu6") or (
        bool(zero) and all(isinstance(one, int | float) and one == 0 for one in zero)
    )


_BOUNDS = {
    **dict.fromkeys(("clamp", "clamp_min", "clip"), ("min", "max")),
    "hardtanh": ("min_val", "max_val"),
    "threshold": ("threshold", "value"),
}


class _Rectified(torch.autograd.Function):
    """An activation function whose gradient is made by a rule."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, function: Callable[[Tensor], Tensor], rule: Rule) -> Tensor:
        with torch.enable_grad():
            point = x.detach().requires_grad_()
            y = function(point)
            (slope,) = torch.autograd.grad(y.sum(), point)
        ctx.save_for_backward(slope)
        ctx.rule = rule
        return y.detach()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (slope,) = ctx.saved_tensors
        return ctx.rule(gradients[0], lambda gradient: gradient * slope), None, None


class _RectifiedReLU(torch.autograd.Function):
    """The same for ReLU, whose slope shows in what it puts out."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, function: Callable[[Tensor], Tensor], rule: Rule) -> Tensor:
        y = function(x)
        ctx.save_for_backward(y)
        ctx.rule = rule
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (y,) = ctx.saved_tensors
        return ctx.rule(gradients[0], lambda gradient: torch.ops.aten.threshold_backward(gradient, y, 0)), None, None


def rectified(task: Task, rule: Rule) -> Found:
    """The gradient of the score with a rule for rectifiers.

    Raises UnsupportedOperationError for a network without any: the result would be the plain gradient.
    """
    rules = _Rectifiers(rule)
    leaf = task.images.detach().clone().requires_grad_()
    with rules.following(leaf) as images:
        scores = task.score(images)
    if not rules.covered:
        raise UnsupportedOperationError(
            "this network has no rectifier (relu, gelu, silu ..) before what is explained, so the result would be the "
            "plain gradient; use 'saliency'"
        )
    return Found(rules.gradient(scores), None, dict(rules.covered), dict(rules.approximated))


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
