"""DeepLift with the rescale rule (Shrikumar et al. 2017, sections 3.2 and 3.5.1), on operations.

The network runs twice: on the baselines, keeping what each nonlinear operation gets, and on the images, where the
gradient of each such operation is replaced by its multiplier, difference out over difference in. Linear operations keep
their gradient. Differences of the scores are then shared out completely: through maxima, products (symmetrically, half
of the interaction to each factor), norms and attention too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from layerscope.attribution.operations import Call, Operations, UnsupportedOperationError
from layerscope.attribution.task import Found, Method, Task


class _Baseline(Operations):
    """Keeps what the nonlinear operations get when the network sees the baselines."""

    title = "DeepLift"

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[tuple[str, list[Tensor]]] = []

    def elementwise(self, call: Call) -> Any:
        return self._keep(call)

    maximum = product = softmax = elementwise

    def _keep(self, call: Call) -> Any:
        self.kept.append((call.name, [tensor.detach() for tensor in call.data]))
        return call.run()


class _Rescale(Operations):
    """Gives each nonlinear operation its multiplier with respect to what it got from the baselines."""

    title = "DeepLift"

    def __init__(self, kept: list[tuple[str, list[Tensor]]]) -> None:
        super().__init__()
        self._kept = iter(kept)

    def elementwise(self, call: Call) -> Any:
        (before,) = self._before(call)
        return _Scaled.apply(call.data[0], before, call.of)

    def maximum(self, call: Call) -> Any:
        (before,) = self._before(call)
        return _Maximum.apply(call.data[0], before, _pooling(call, self))

    def product(self, call: Call) -> Any:
        first, second = self._before(call)
        return _Product.apply(*call.data, first, second, call.of)

    def softmax(self, call: Call) -> Any:
        (before,) = self._before(call)
        axis = call.kwargs.get("dim", call.args[1] if len(call.args) > 1 else None)
        if axis is None:
            return self.refuse(call)
        return _Softmax.apply(call.data[0], before, axis, call.of)

    def done(self) -> bool:
        """Whether everything that was kept has been used."""
        return next(self._kept, None) is None

    def _before(self, call: Call) -> list[Tensor]:
        name, tensors = next(self._kept, ("nothing", []))
        if name != call.name or [one.shape for one in tensors] != [one.shape for one in call.data]:
            raise UnsupportedOperationError(
                f"DeepLift compares the network's run on an image with that on its baseline, and here they part: "
                f"{call.name!r} on one and {name!r} on the other; the network decides by what it sees"
            )
        return tensors


class _Scaled(torch.autograd.Function):
    """An elementwise function whose gradient is the secant between two points."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, before: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
        y, step = function(x), x - before
        flat = _negligible(step, x, before)
        multiplier = (y - function(before)) / torch.where(flat, torch.ones_like(step), step)
        if flat.any():
            multiplier = torch.where(flat, _derivative(function, (x + before) / 2), multiplier)
        ctx.save_for_backward(multiplier)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return gradients[0] * ctx.saved_tensors[0], None, None


class _Product(torch.autograd.Function):
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


class _Maximum(torch.autograd.Function):
    """Rescale rule of a maximum over places: with m the larger of both maxima y and y0, the place of y gets m - y0 and
    that of y0 gets y - m. Contributions of overlapping windows add up."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, before: Tensor, pooling: _Pooling) -> Tensor:
        y, places = pooling(x)
        y0, places0 = pooling(before)
        ctx.save_for_backward(x, before, y, y0, places, places0)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        x, before, y, y0, places, places0 = ctx.saved_tensors
        larger, g = torch.maximum(y, y0), gradients[0]
        share = _gathered(x, places, g * (larger - y0)) + _gathered(x, places0, g * (y - larger))
        step = x - before
        flat = _negligible(step, x, before)
        multiplier = share / torch.where(flat, torch.ones_like(step), step)
        return torch.where(flat, _gathered(x, places, g), multiplier), None, None


class _Softmax(torch.autograd.Function):
    """exp(x) times the reciprocal of its sum, each with its secant and the product shared symmetrically. Both runs
    are shifted by the same amount, which changes neither."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, before: Tensor, axis: int, function: Callable[[Tensor], Tensor]) -> Tensor:
        shift = torch.maximum(x.amax(axis, keepdim=True), before.amax(axis, keepdim=True))
        e, e0 = (x - shift).exp(), (before - shift).exp()
        total, total0 = (one.sum(axis, keepdim=True).clamp_min(torch.finfo(x.dtype).tiny) for one in (e, e0))
        step = x - before
        flat = _negligible(step, x, before) | ~step.isfinite()  # what is masked out is -inf in both
        secant = torch.where(flat, e, (e - e0) / torch.where(flat, torch.ones_like(step), step))
        ctx.axis = axis
        ctx.save_for_backward(secant, (1 / total + 1 / total0) / 2, (e + e0) / 2 / total / total0)
        return function(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        secant, reciprocal, weight = ctx.saved_tensors
        shared = (gradients[0] * weight).sum(ctx.axis, keepdim=True)
        return secant * (gradients[0] * reciprocal - shared), None, None, None


_Pooling = Callable[[Tensor], tuple[Tensor, Tensor]]
"""From values to their maxima and the places of those, counted within the axes that were pooled."""

_POOLED_AXES = {"1d": 1, "2d": 2, "3d": 3}


def _pooling(call: Call, operations: Operations) -> _Pooling:
    arguments = dict(zip(_POOL_ARGUMENTS, call.args[1:], strict=False)) | call.kwargs
    if arguments.pop("return_indices", False) or call.name == "amax":
        operations.refuse(call)
    arguments.pop("input", None)
    function = getattr(F, call.name)
    if call.name.startswith("adaptive"):
        size = arguments.get("output_size", arguments.get("kernel_size"))
        return lambda x: function(x, size, return_indices=True)
    return lambda x: function(x, **arguments, return_indices=True)


_POOL_ARGUMENTS = ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")


def _gathered(x: Tensor, places: Tensor, values: Tensor) -> Tensor:
    """`values` of windows added up at their places in a tensor like x: [batch, channel, *positions]."""
    flat = torch.zeros_like(x, memory_format=torch.contiguous_format).flatten(2)
    return flat.scatter_add_(2, places.flatten(2), values.flatten(2)).view(x.shape)


def _negligible(step: Tensor, x: Tensor, before: Tensor) -> Tensor:
    """Where a step is nothing but rounding: a quotient of differences means nothing there."""
    return step.abs() <= 8 * torch.finfo(x.dtype).eps * torch.maximum(x.abs(), before.abs())


def _derivative(function: Callable[[Tensor], Tensor], at: Tensor) -> Tensor:
    with torch.enable_grad():
        point = at.detach().requires_grad_()
        (slope,) = torch.autograd.grad(function(point).sum(), point)
    return slope


@contextmanager
def _forgetting() -> Iterator[None]:
    """Tensors know what they depend on, and nothing is kept to differentiate it."""
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: None, lambda nothing: nothing):
        yield


def rescaled(
    run: Callable[[Tensor], Tensor], inputs: Tensor, baselines: Tensor
) -> tuple[Tensor, Tensor, Tensor, _Rescale]:
    """Multipliers of `run` between baselines and inputs, both [batch, ...]: the multipliers, like the inputs; the
    scores [batch] of the inputs, and of the baselines; and the rules that were used."""
    baseline = _Baseline()
    with _forgetting(), baseline:
        before = run(baselines.detach().clone().requires_grad_()).detach()
    rules = _Rescale(baseline.kept)
    leaf = inputs.detach().clone().requires_grad_()
    with rules:
        scores = run(leaf.view_as(leaf))
    if not rules.done():
        raise UnsupportedOperationError(
            "DeepLift compares the network's run on an image with that on its baseline, and the latter is longer: "
            "the network decides by what it sees"
        )
    (multipliers,) = torch.autograd.grad(scores.sum(), leaf)
    return multipliers, scores.detach(), before, rules


def deeplift(task: Task) -> Found:
    """DeepLift-Rescale from the baseline to the images."""
    multipliers, scores, before, rules = rescaled(task.score, task.images, task.references)
    values = multipliers * (task.images - task.references)
    return Found(values, scores - before, dict(rules.covered), dict(rules.approximated))


METHODS = (
    Method(
        "deeplift",
        "DeepLift",
        "Shares out the difference between the scores of the image and of its baseline, from operation to operation, "
        "each by its difference out over its difference in.",
        "Shrikumar et al. 2017, Learning important features through propagating activation differences",
        deeplift,
        needs=("baseline",),
        cost="2 forwards, 1 backward",
        claims="difference",
    ),
)
