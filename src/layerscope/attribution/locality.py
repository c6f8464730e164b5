"""Many variants of one image that each differ from it in one place: only what differs is computed.

A variant travels through the network as the activation of the image, which is computed once, and the rectangle in which
its own is another one. The rectangle grows with every convolution by what its kernel reaches. Where it has grown over
most of the map, and for an operation without a rule here, the activations are made in full, so that the result is that
of the network in any case, to rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from layerscope.attribution.spans import Span, Window
from layerscope.attribution.variants import Rule, Run, Variants, layout, variants_among

MOST = 0.8
"""A rectangle of more than this share of the map is no saving."""

_aten = torch.ops.aten


def variants_of(image: Tensor, variants: Tensor, run: Run) -> Tensor:
    """Variants [variant, channel, height, width] of an image [1, ...] as what differs, or as they are if that is most.

    For the same `run` it has to be the same image (the object), and the same network that the result is given to.
    """
    differs = (variants != image).any(1)
    rows, columns = (_extents(differs.any(axis)) for axis in (2, 1))
    if _most(rows, columns, image):
        return variants
    starts = zip(variants, rows.starts, columns.starts, strict=True)
    patches = [one[:, row : row + rows.size, column : column + columns.size] for one, row, column in starts]
    run.begin()
    return Variants(image, torch.stack(patches).contiguous(memory_format=layout(image)), rows, columns, run)


def _extents(differs: Tensor) -> Span:
    """From the first to the last place where each variant [variant, place] differs; of one size for all."""
    places, length = differs.int(), differs.shape[1]
    firsts, lasts = places.argmax(1), length - 1 - places.flip(1).argmax(1)
    ends = torch.where(differs.any(1), lasts, firsts) + 1
    return Span.around(firsts.tolist(), ends.tolist(), length)


def _convolved(
    operation: Any,
    x: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    transposed: bool,
    *more: Any,
) -> Any:
    if transposed or isinstance(weight, Variants):
        return NotImplemented
    image = x.run.for_image(operation, x.image, weight, bias, stride, padding, dilation, transposed, *more)
    axes = zip(weight.shape[2:], *map(_pair, (stride, padding, dilation)), strict=True)
    return _through_windows(
        x,
        image,
        [Window(*axis) for axis in axes],
        0.0,
        lambda cut: operation(cut, weight, bias, stride, [0, 0], dilation, transposed, *more),
    )


def _max_pooled(
    operation: Any, x: Any, kernel: Any, stride: Any = (), padding: Any = 0, dilation: Any = 1, ceil: bool = False
) -> Any:
    """Without the places of the largest values, for which only unpooling asks."""
    image, _ = x.run.for_image(operation, x.image, kernel, stride, padding, dilation, ceil)
    windows = _windows(kernel, stride or kernel, padding, dilation)
    pooled = _through_windows(x, image, windows, -math.inf, lambda cut: operation(cut, kernel, stride, 0, dilation)[0])
    return pooled if pooled is NotImplemented else (pooled, None)


def _mean_pooled(
    operation: Any, x: Any, kernel: Any, stride: Any = (), padding: Any = 0, ceil: bool = False, *more: Any
) -> Any:
    padding_counts = not more or more[0]
    if ceil or not padding_counts:
        return NotImplemented
    image = x.run.for_image(operation, x.image, kernel, stride, padding, ceil, *more)
    windows = _windows(kernel, stride or kernel, padding, 1)
    return _through_windows(x, image, windows, 0.0, lambda cut: operation(cut, kernel, stride, 0, ceil, *more))


def _through_windows(
    x: Variants, image: Tensor, windows: Sequence[Window], outside: float, run: Callable[[Tensor], Tensor]
) -> Any:
    """What an operation that reads through windows makes of that part of its input that matters."""
    rows = windows[0].readers(x.rows, image.shape[2])
    columns = windows[1].readers(x.columns, image.shape[3])
    if _most(rows, columns, image):
        return NotImplemented
    place_by_place = all(window == Window(1) for window in windows)
    cut = x.patch if place_by_place else x.read(windows[0].read(rows), windows[1].read(columns), outside)
    return Variants(image, run(cut), rows, columns, x.run)


def _pointwise(operation: Any, *args: Any, **kwargs: Any) -> Any:
    """An operation that treats every place alike: activation functions, sums and products, with numbers too."""
    some = variants_among(args)
    numbers = all(isinstance(one, Variants) or not isinstance(one, Tensor) or one.dim() == 0 for one in args)
    if not numbers or len({(one.shape, one.dtype) for one in some}) != 1:
        return NotImplemented
    rows, columns = _union(some)
    if _most(rows, columns, some[0].image):
        return NotImplemented
    of_image = [one.image if isinstance(one, Variants) else one for one in args]
    of_patch = [_at(one, rows, columns) if isinstance(one, Variants) else one for one in args]
    image = some[0].run.for_image(operation, *of_image, **kwargs)
    return Variants(image, operation(*of_patch, **kwargs), rows, columns, some[0].run)


def _in_place(other: Any) -> Rule:
    """The rule of an operation that writes its result into its first argument; `other` makes a new one instead."""

    def rule(operation: Any, *args: Any, **kwargs: Any) -> Any:
        result = _pointwise(other, *args, **kwargs) if isinstance(args[0], Variants) else NotImplemented
        return result if result is NotImplemented else args[0].become(result)

    return rule


def _concatenated(operation: Any, tensors: Sequence[Any], axis: int = 0) -> Any:
    """Along the channels."""
    some = variants_among(tensors)
    if axis not in (1, -3) or len(some) < len(tensors) or len({one.shape[2:] for one in some}) > 1:
        return NotImplemented
    rows, columns = _union(some)
    if _most(rows, columns, some[0].image):
        return NotImplemented
    image = some[0].run.for_image(operation, [one.image for one in some], axis)
    return Variants(image, operation([_at(one, rows, columns) for one in some], axis), rows, columns, some[0].run)


def _batch_normalised(operation: Any, x: Any, *args: Any) -> Any:
    """By given statistics."""
    if operation is _aten.native_batch_norm.default and args[4]:  # it takes those of the batch
        return NotImplemented
    image, *rest = x.run.for_image(operation, x.image, *args)
    patch, *_ = operation(x.patch, *args)
    return Variants(image, patch, x.rows, x.columns, x.run), *rest


def _union(some: Sequence[Variants]) -> tuple[Span, Span]:
    """The rectangles in which any of these differs."""
    if len({(one.rows, one.columns) for one in some}) == 1:
        return some[0].rows, some[0].columns
    height, width = some[0].shape[2:]
    return Span.union([one.rows for one in some], height), Span.union([one.columns for one in some], width)


def _at(one: Variants, rows: Span, columns: Span) -> Tensor:
    return one.patch if (one.rows, one.columns) == (rows, columns) else one.read(rows, columns)


def _most(rows: Span, columns: Span, image: Tensor) -> bool:
    return rows.size * columns.size > MOST * image.shape[2] * image.shape[3]


def _windows(*axes: Any) -> list[Window]:
    return [Window(*axis) for axis in zip(*map(_pair, axes), strict=True)]


def _pair(value: Any) -> tuple[int, int]:
    one, *rest = (value,) if isinstance(value, int) else value
    return one, *(rest or [one])


def _rules_by_name(names: str) -> dict[Any, Rule]:
    """Of operations that treat every place alike, each with its form in place where it has one."""
    rules: dict[Any, Rule] = {}
    for name in names.split():
        packet, _, overload = name.partition(".")
        operation = getattr(getattr(_aten, packet), overload or "default")
        rules[operation] = _pointwise
        in_place = getattr(getattr(_aten, f"{packet}_", None), overload or "default", None)
        if in_place is not None:
            rules[in_place] = _in_place(operation)
    return rules


RULES: dict[Any, Rule] = {
    **_rules_by_name(
        "relu hardtanh clamp clamp_min silu gelu hardswish hardsigmoid sigmoid tanh leaky_relu elu neg clone "
        "add.Tensor sub.Tensor rsub.Scalar mul.Tensor div.Tensor"
    ),
    _aten.convolution.default: _convolved,
    _aten.max_pool2d_with_indices.default: _max_pooled,
    _aten.avg_pool2d.default: _mean_pooled,
    _aten.cat.default: _concatenated,
    _aten.native_batch_norm.default: _batch_normalised,
    _aten._native_batch_norm_legit_no_training.default: _batch_normalised,
    _aten.detach.default: lambda operation, x: x,
}
"""By operation. The others get the activations in full."""
