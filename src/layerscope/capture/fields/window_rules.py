"""Receptive fields of convolution, pooling, padding and resizing: which positions of its source each position reads.

Resizing and transposed convolution read other places at each position; the window that holds all of them is an upper
bound (Araujo, Norris and Sim, Distill 2019, derive the rest).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

from layerscope.capture.fields.arrangement import COLUMN, ROW, with_sizes
from layerscope.capture.fields.field import Field, Rational
from layerscope.capture.fields.operation import Operation

Read = tuple[Rational, Rational, Rational]  # position q reads the positions first + q * step .. last + q * step
_FLOAT_SLACK = Fraction(1, 1024)  # the kernels compute places in float32: off by less than this below 8192 pixels


def convolution(operation: Operation) -> Field | None:
    """Convolution, transposed or not, and pooling over the last two axes, rows and columns."""
    weight = operation.get("weight")
    kernel = _pair(operation.get("kernel_size") if weight is None else list(weight.shape[2:]))
    stride = _pair(operation.get("stride") or kernel)
    padding, dilation = _pair(operation.get("padding")), _pair(operation.get("dilation") or 1)
    read = _scattered if operation.get("transposed") else _slid
    reads = [read(kernel[i], stride[i], padding[i], dilation[i]) for i in (0, 1)]
    mixes_units = weight is not None and operation.get("groups") == 1
    return _reading(operation, reads, exact=read is _slid or stride == (1, 1), uniform=mixes_units)


def adaptive_pooling(operation: Operation) -> Field | None:
    """Windows of one size where the sizes divide, of nearly one size otherwise; all positions for a single one."""
    before, after = operation.shape[-2:], operation.output_shape[-2:]
    if any(a == 1 < b for b, a in zip(before, after, strict=True)):
        axes = with_sizes(operation.source.axes, operation.output_shape)
        labels = frozenset(label for label, a in zip((ROW, COLUMN), after, strict=True) if a == 1)
        return operation.source.mixing(labels, axes) if operation.source.is_map else None
    reads: list[Read] = []
    for b, a in zip(before, after, strict=True):
        step = Fraction(b, a)
        lag = 1 - Fraction(1, step.denominator)  # the most that rounding to whole positions changes
        reads.append((-lag, step - 1 + lag, step))
    return _reading(operation, reads, exact=all(b % a == 0 for b, a in zip(before, after, strict=True)))


def nearest(operation: Operation) -> Field | None:
    """Nearest neighbour: position q reads floor(q * step), or floor((q + 1/2) * step) in the exact kind."""
    half = Fraction(1, 2) if "exact" in operation.name else 0
    reads, exact = [], not half
    for step, slack in _steps(operation):
        lag = _within_one(step * half, step)
        reads.append((step * half - lag - slack, step * half + slack, step))
        exact = exact and lag == 0 == slack
    return _reading(operation, reads, exact=exact)


def interpolation(operation: Operation) -> Field | None:
    """Bilinear and bicubic: position q reads less than one (two) positions to both sides of its place."""
    taps = 2 if "bicubic" in operation.name else 1
    smooth = operation.name.endswith("_aa")
    reads: list[Read] = []
    for step, slack in _steps(operation):
        centre = step / 2 - Fraction(1, 2) if smooth or not operation.get("align_corners") else Fraction(0)
        reach = taps * max(step, Fraction(1)) if smooth else taps - 1 + _within_one(centre, step)
        reads.append((centre - reach - slack, centre + reach + slack, step))
    return _reading(operation, reads, exact=False)


def pixel_shuffle(operation: Operation) -> Field | None:
    """Channels spread over a finer grid: the `factor` positions q in a row read position q // factor."""
    factor = int(operation.get("upscale_factor"))
    read = (Fraction(1 - factor, factor), 0, Fraction(1, factor))
    return _reading(operation, [read, read], exact=factor == 1)


def pixel_unshuffle(operation: Operation) -> Field | None:
    """Windows of positions put into channels."""
    factor = int(operation.get("downscale_factor"))
    field = _reading(operation, [_slid(factor, factor, 0, 1)] * 2)
    return field and replace(field, uniform=factor == 1)


def _slid(kernel: int, stride: int, padding: int, dilation: int) -> Read:
    return -padding, (kernel - 1) * dilation - padding, stride


def _scattered(kernel: int, stride: int, padding: int, dilation: int) -> Read:
    return Fraction(padding - (kernel - 1) * dilation, stride), Fraction(padding, stride), Fraction(1, stride)


def _reading(operation: Operation, reads: Sequence[Read], exact: bool = True, uniform: bool = False) -> Field | None:
    """The field of a map of which each position reads those positions; uniform: made from all units."""
    field = operation.source
    axes = with_sizes(field.axes, operation.output_shape)
    if axes is None or not field.is_map:
        return None
    read = replace(field, axes=axes).changed(dict(zip((ROW, COLUMN), reads, strict=True)))
    return replace(read, exact=field.exact and exact, uniform=field.uniform or uniform)


def _steps(operation: Operation) -> list[tuple[Fraction, Fraction]]:
    """Rows or columns of the source per one of the output, and by how much the computed place may be off."""
    steps = []
    for axis, letter in ((2, "h"), (3, "w")):
        before, after, given = operation.shape[axis], operation.output_shape[axis], operation.get(f"scales_{letter}")
        if operation.get("align_corners"):
            step, true = Fraction(before - 1, after - 1) if after > 1 else Fraction(0), None
        elif given:
            true = 1 / Fraction(given)
            step = true.limit_denominator(256)
        else:
            step, true = Fraction(before, after), None
        off = abs(step - true) * after if true is not None else Fraction(0)
        steps.append((step, off if off == 0 and _is_binary(step) else off + _FLOAT_SLACK))
    return steps


def _within_one(start: Rational, step: Fraction) -> Fraction:
    """The most that rounding start + q * step to a whole number can change it: less than 1 on a grid of 1/n."""
    grid = max(Fraction(start).denominator, step.denominator)
    return Fraction(grid - 1, grid) if _is_binary(Fraction(start)) and _is_binary(step) else Fraction(1)


def _is_binary(number: Fraction) -> bool:
    """Whether float32 holds it, and its multiples, exactly."""
    return number.denominator & (number.denominator - 1) == 0


def _pair(value: Any) -> tuple[int, int]:
    values = [value] if isinstance(value, int) else list(value)
    return (values[0], values[-1])


RULES: dict[str, Callable[[Operation], Field | None]] = {
    **dict.fromkeys(("convolution", "mkldnn_convolution", "cudnn_convolution"), convolution),
    **dict.fromkeys(("max_pool2d_with_indices", "max_pool2d", "avg_pool2d"), convolution),
    **dict.fromkeys(("_adaptive_avg_pool2d", "adaptive_max_pool2d"), adaptive_pooling),
    **dict.fromkeys(("upsample_nearest2d", "_upsample_nearest_exact2d"), nearest),
    **dict.fromkeys(("upsample_bilinear2d", "upsample_bicubic2d"), interpolation),
    **dict.fromkeys(("_upsample_bilinear2d_aa", "_upsample_bicubic2d_aa"), interpolation),
    "pixel_shuffle": pixel_shuffle,
    "pixel_unshuffle": pixel_unshuffle,
}
