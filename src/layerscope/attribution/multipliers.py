"""The multipliers of DeepLift: what each kind of nonlinear operation hands down instead of its gradient.

Shrikumar et al. 2017, section 3.5.1 (rescale) for functions of one value; the others share out completely too: the
multipliers of an operation times the differences of its inputs add up to the difference of its output. (Gradients of
what an operation expanded are added up by autograd.)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from layerscope.attribution.call import Call


class Scaled(torch.autograd.Function):
    """An elementwise function whose gradient is the secant between two points."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, before: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
        y = function(x)
        x, before = x.expand(y.shape), before.expand(y.shape)  # where a constant has more axes
        step = x - before
        flat = _negligible(step, x, before)
        multiplier = (y - function(before)) / step
        if flat.any():
            slope = _derivative(function, (x + before) / 2)  # infinite for roots of zero
            multiplier = torch.where(flat, slope.where(slope.isfinite(), 0), multiplier)
        ctx.save_for_backward(multiplier)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return gradients[0] * ctx.saved_tensors[0], None, None


class Product(torch.autograd.Function):
    """A bilinear function f: f(a, b) - f(a0, b0) = f(a - a0, mean of b and b0) + f(mean of a and a0, b - b0)."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, a0: Tensor, b0: Tensor, function: Callable[..., Tensor]) -> Tensor:
        ctx.save_for_backward((a + a0) / 2, (b + b0) / 2)
        ctx.function = function
        return function(a, b)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        with torch.enable_grad():
            a, b = (tensor.detach().requires_grad_() for tensor in ctx.saved_tensors)
            first, second = torch.autograd.grad(ctx.function(a, b), (a, b), gradients[0])
        return first, second, None, None, None


class Quotient(torch.autograd.Function):
    """a / b - a0 / b0 = (a - a0) (w / b + (1 - w) / b0) - (b - b0) (w a0 + (1 - w) a) / (b b0) for every w.

    With w = |b| / (|b| + |b0|) a denominator that is close to zero in one of the runs has no large terms of both signs:
    then the first factor is 2 / (b + b0). It is the symmetric rule for a = (a / b) b.
    """

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, a0: Tensor, b0: Tensor, function: Callable[..., Tensor]) -> Tensor:
        weight = b.abs() / (b.abs() + b0.abs())
        ctx.save_for_backward(weight / b + (1 - weight) / b0, -(weight / b0 * (a0 / b) + (1 - weight) / b * (a / b0)))
        return function(a, b)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        first, second = ctx.saved_tensors
        return gradients[0] * first, gradients[0] * second, None, None, None


class Maximum(torch.autograd.Function):
    """Rescale rule of a maximum over places: with m the larger of both maxima y and y0, the place of y gets m - y0 and
    that of y0 gets y - m. Contributions of overlapping windows add up."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, before: Tensor, pooling: Pooling, axes: int) -> Tensor:
        y, places = pooling(x)
        y0, places0 = pooling(before)
        ctx.save_for_backward(x, before, y, y0, places, places0)
        ctx.axes = axes
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        x, before, y, y0, places, places0 = ctx.saved_tensors
        larger, g, axes = torch.maximum(y, y0), gradients[0], ctx.axes
        share = _gathered(x, places, g * (larger - y0), axes) + _gathered(x, places0, g * (y - larger), axes)
        step = x - before
        flat = _negligible(step, x, before)
        return torch.where(flat, _gathered(x, places, g, axes), share / step), None, None, None


class Softmax(torch.autograd.Function):
    """exp(x - log sum exp x), each function with its secant: what all share of the sum is no more than one."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, before: Tensor, axis: int, function: Callable[[Tensor], Tensor]) -> Tensor:
        y, total, total0 = function(x), x.logsumexp(axis, keepdim=True), before.logsumexp(axis, keepdim=True)
        top, step = torch.maximum(total, total0), total - total0
        slope = _secant_of_exp(y, function(before), x - before - step, torch.maximum(x.abs(), total.abs()))
        terms = _secant_of_exp((x - top).exp(), (before - top).exp(), x - before, x.abs())
        share = terms / _secant_of_exp((total - top).exp(), (total0 - top).exp(), step, total.abs())
        ctx.axis = axis
        ctx.save_for_backward(slope, share)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        slope, share = ctx.saved_tensors
        below = gradients[0] * slope
        return below - share * below.sum(ctx.axis, keepdim=True), None, None, None


def _secant_of_exp(y: Tensor, y0: Tensor, step: Tensor, size: Tensor) -> Tensor:
    """Of two exponentials (up to one factor) over a step of their exponents, which were found in numbers of a size."""
    flat = _rounding(step, size) | ~step.isfinite()  # what is masked out is -inf in both
    return torch.where(flat, (y + y0) / 2, (y - y0) / step)


Pooling = Callable[[Tensor], tuple[Tensor, Tensor]]
"""From values to their maxima and the places of those, counted within the axes that were pooled."""


def pooling(call: Call) -> Pooling:
    arguments = dict(zip(_POOL_ARGUMENTS, call.args[1:], strict=False)) | call.kwargs
    arguments.pop("return_indices", None)  # a function of another name gives those
    function = getattr(F, call.name)
    if call.name.startswith("adaptive"):
        size = arguments.get("output_size", arguments.get("kernel_size"))
        return lambda x: function(x, size, return_indices=True)
    return lambda x: function(x, **arguments, return_indices=True)


_POOL_ARGUMENTS = ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")


def _gathered(x: Tensor, places: Tensor, values: Tensor, axes: int) -> Tensor:
    """`values` of windows added up at their places in a tensor like x, of which the last `axes` axes were pooled."""
    flat = torch.zeros_like(x, memory_format=torch.contiguous_format).flatten(-axes)
    return flat.scatter_add_(-1, places.flatten(-axes), values.flatten(-axes)).view(x.shape)


def _negligible(step: Tensor, x: Tensor, before: Tensor) -> Tensor:
    """Where a step is nothing but rounding: a quotient of differences means nothing there."""
    return _rounding(step, torch.maximum(x.abs(), before.abs()))


def _rounding(step: Tensor, size: Tensor) -> Tensor:
    return step.abs() <= 8 * torch.finfo(step.dtype).eps * size


def _derivative(function: Callable[[Tensor], Tensor], at: Tensor) -> Tensor:
    with torch.enable_grad():
        point = at.detach().requires_grad_()
        (slope,) = torch.autograd.grad(function(point).sum(), point)
    return slope
