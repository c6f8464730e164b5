"""References for methods that change the backward pass: literally from their papers, on a traced network."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from layerscope.benchmarks.attribution.case import Case
from layerscope.benchmarks.attribution.traced import (
    ELEMENTWISE,
    MAX_POOL,
    NORMS,
    PRODUCT,
    RECTIFIERS,
    RELU,
    Traced,
    slope_of,
    value_of,
)


def guided_backprop(case: Case) -> Tensor | None:
    """Springenberg et al. 2015, section 3.4: what is positive goes on where the rectifier let values pass."""
    return _rectified(case, _guided, RECTIFIERS)


def deconvolution(case: Case) -> Tensor | None:
    """Zeiler & Fergus 2014, section 2.1: what is positive goes on."""
    return _rectified(case, _deconvolved, RECTIFIERS)


def guided_backprop_of_relu(case: Case) -> Tensor | None:
    """The same where other rectifiers, for which nothing was published, keep their gradient."""
    return _rectified(case, _guided, (RELU,))


def deconvolution_of_relu(case: Case) -> Tensor | None:
    """The same where other rectifiers, for which nothing was published, keep their gradient."""
    return _rectified(case, _deconvolved, (RELU,))


def _guided(gradient: Tensor, slope: Tensor) -> Tensor:
    return gradient.clamp(min=0) * slope


def _deconvolved(gradient: Tensor, slope: Tensor) -> Tensor:
    return gradient.clamp(min=0)


def deeplift(case: Case) -> Tensor | None:
    """Shrikumar et al. 2017, the rescale rule: image and baseline run as one batch of twice the size.

    None for networks with norms over what an image holds, for which there is no published rule.
    """
    traced = _traced(case)
    if traced is None or NORMS in traced.kinds:
        return None
    rules = {kind: partial(_by_secant, kind) for kind in ELEMENTWISE}
    both = torch.cat([case.images, case.baseline]).requires_grad_()
    scores = traced(both, {**rules, MAX_POOL: _pooled, PRODUCT: _multiplied})[: len(case.images), case.target]
    multipliers = torch.autograd.grad(scores.sum(), both)[0][: len(case.images)]
    return multipliers * (case.images - case.baseline)


def piecewise_linear(case: Case) -> bool:
    """Whether the network consists of linear operations, ReLUs and maxima alone."""
    traced = _traced(case)
    return traced is not None and traced.kinds <= {RELU, MAX_POOL}


def _traced(case: Case) -> Traced | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return Traced(case.model.module)
        except Exception:  # a network that decides by values: no reference, which its cell says
            return None


def _rectified(case: Case, rule: Callable[[Tensor, Tensor], Tensor], rectifiers: tuple[str, ...]) -> Tensor | None:
    traced = _traced(case)
    if traced is None or not traced.kinds & set(RECTIFIERS):
        return None

    def replaced(kind: str, function: object, x: Tensor, *args: object, **kwargs: object) -> Tensor:
        result: Tensor = _Rectified.apply(x, kind, rule)
        return result

    images = case.images.clone().requires_grad_()
    scores = traced(images, {kind: partial(replaced, kind) for kind in rectifiers})[:, case.target]
    return torch.autograd.grad(scores.sum(), images)[0]


class _Rectified(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, kind: str, rule: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        ctx.save_for_backward(slope_of(kind, x))
        ctx.rule = rule
        return value_of(kind, x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return ctx.rule(gradients[0], ctx.saved_tensors[0]), None, None


class _Multiplied(torch.autograd.Function):
    """An operation that makes y [images and baselines, ...], with multipliers for its backward pass."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, multiplier: Callable[[Tensor], Tensor]) -> Tensor:
        ctx.multiplier = multiplier
        return y.detach().clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        half = ctx.multiplier(gradients[0].chunk(2)[0])
        return torch.cat([half, torch.zeros_like(half)]), None, None


def _by_secant(kind: str, function: object, both: Tensor, *args: object, **kwargs: object) -> Tensor:
    """Difference out over difference in."""
    x, before = both.detach().chunk(2)
    y = value_of(kind, both.detach())
    step = x - before
    same = step.abs() <= 1e-14 * torch.maximum(x.abs(), before.abs())
    secant = torch.where(same, slope_of(kind, (x + before) / 2), (y.chunk(2)[0] - y.chunk(2)[1]) / step)
    result: Tensor = _Multiplied.apply(both, y, lambda gradient: gradient * secant)
    return result


def _multiplied(function: object, a: Any, b: Any) -> Tensor:
    """Half of the interaction to each factor: a b - a0 b0 = (a - a0) (b + b0) / 2 + (b - b0) (a + a0) / 2."""
    factors = [one for one in (a, b) if isinstance(one, Tensor) and one.requires_grad and not one.is_leaf]
    if len(factors) < 2:
        result: Tensor = a * b
        return result
    means = [torch.cat([one.detach().chunk(2)[0] + one.detach().chunk(2)[1]] * 2) / 2 for one in (a, b)]
    linear = a * means[1] + b * means[0]
    value: Tensor = linear - linear.detach() + a.detach() * b.detach()
    return value


def _pooled(function: Any, both: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """With m the larger of both maxima y and y0, the place of y gets m - y0 and that of y0 gets y - m."""
    given = _pool_arguments(function, *args, **kwargs)
    y = F.max_pool2d(both.detach(), **given)
    windows, places = _windows(both.detach(), y.shape[2:], given)
    winners = windows.argmax(2, keepdim=True)
    x, before = both.detach().chunk(2)

    def multiplier(gradient: Tensor) -> Tensor:
        now, then = y.flatten(2).chunk(2)
        larger, g = torch.maximum(now, then), gradient.flatten(2)
        share = torch.zeros_like(x).flatten(2)
        plain = torch.zeros_like(x).flatten(2)
        for part, winner, sums in (
            (g * (larger - then), winners.chunk(2)[0], share),
            (g * (now - larger), winners.chunk(2)[1], share),
            (g, winners.chunk(2)[0], plain),
        ):
            at = places.expand_as(windows.chunk(2)[0]).gather(2, winner)[:, :, 0]
            sums.scatter_add_(2, at, part)
        step = (x - before).flatten(2)
        return torch.where(step.abs() <= 1e-14 * x.flatten(2).abs(), plain, share / step).view_as(x)

    result: Tensor = _Multiplied.apply(both, y, multiplier)
    return result


def _pool_arguments(function: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
    names = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")
    if isinstance(function, torch.nn.MaxPool2d):
        return {name: getattr(function, name) for name in names}
    given = dict(zip(names, args, strict=False)) | {name: kwargs[name] for name in names if name in kwargs}
    return (
        {"padding": 0, "dilation": 1, "ceil_mode": False} | given | {"stride": given.get("stride") or given[names[0]]}
    )


def _windows(x: Tensor, size: torch.Size, given: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """[batch, channel, place within the window, window]: the values, and [1, 1, ...] where in the image they are."""
    kernel, stride, padding = (_one(given[name]) for name in ("kernel_size", "stride", "padding"))
    rows, columns = ((count - 1) * stride + kernel for count in size)
    edges = (padding, max(columns - padding - x.shape[3], 0), padding, max(rows - padding - x.shape[2], 0))
    numbers = torch.arange(x.shape[2] * x.shape[3]).view(1, 1, *x.shape[2:])

    def cut(values: Tensor, outside: float) -> Tensor:
        padded = F.pad(values, edges, value=outside)
        there = padded.unfold(2, kernel, stride).unfold(3, kernel, stride)[:, :, : size[0], : size[1]]
        return there.flatten(4).flatten(2, 3).transpose(2, 3)

    return cut(x, -torch.inf), cut(numbers, 0)


def _one(value: Any) -> int:
    """Of a number that may be given once per axis; square windows alone occur."""
    return int(value[0]) if isinstance(value, tuple) else int(value)
