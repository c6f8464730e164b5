"""How each operation changes what a position sees: the arithmetic of receptive fields, one small function each.

A rule gets an operation that ran and gives the field of its output, or None: then the output sees the whole image.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from layerscope.capture.field import COLUMN, ROW, Axis, Field, regroup, size_of, with_sizes


@dataclass(frozen=True)
class Source:
    shape: tuple[int, ...]
    field: Field


@dataclass(frozen=True)
class Operation:
    """One operation that ran: its sources that depend on the image, and one of its outputs (number `place`).

    alone: whether the first operand is the only source, so that weights, for one, do not depend on the image.
    """

    func: Any
    args: tuple[Any, ...]
    sources: list[Source]
    alone: bool
    output: Tensor
    place: int

    def get(self, name: str) -> Any:
        """The value of an argument, or its default."""
        for place, argument in enumerate(self.func._schema.arguments):
            if argument.name == name:
                return self.args[place] if place < len(self.args) else argument.default_value
        return None

    @property
    def name(self) -> str:
        return str(self.func.overloadpacket.__name__)

    @property
    def source(self) -> Field:
        return self.sources[0].field

    @property
    def shape(self) -> tuple[int, ...]:
        return self.sources[0].shape


def field_after(operation: Operation) -> Field:
    """What the output of an operation sees."""
    rule = _RULES.get(operation.name)
    if rule is None and torch.Tag.pointwise in operation.func.tags:
        rule = _pointwise
    if rule is None or not (operation.alone or rule in (_pointwise, _cat)):
        return _whole(operation.sources, operation.output)
    return rule(operation) or _whole(operation.sources, operation.output)


def _whole(sources: list[Source], output: Tensor) -> Field:
    """Sees the whole image. The arrangement is that of a source of the same shape, if there is one."""
    same = [source.field.axes for source in sources if source.shape == tuple(output.shape)]
    return Field(next((axes for axes in same if axes is not None), None), None)


def _pointwise(operation: Operation) -> Field | None:
    """Sums, products, activations: the window that holds those of all sources. Constants do not matter."""
    field: Field | None = None
    for source in operation.sources:
        if source.shape != tuple(operation.output.shape):
            if source.field.window is not None:
                return None  # broadcast: every position sees one window, wherever it is
            source = replace(source, field=Field(None, None))
        field = source.field if field is None else _union(field, source.field)
    return field


def _union(one: Field, other: Field) -> Field:
    axes = one.axes or other.axes
    if one.axes != other.axes or one.window is None or other.window is None:
        return Field(axes, None)
    rows, columns = (a.union(b) for a, b in zip(one.window, other.window, strict=True))
    return Field(axes, None if rows is None or columns is None else (rows, columns))


def _cat(operation: Operation) -> Field | None:
    axis = operation.get("dim") or 0
    fields = [source.field for source in operation.sources]
    axis %= operation.output.ndim
    if any(field.axes is None or field.labelled(axis) for field in fields):
        return None
    resized = [field.moved(with_sizes(field.axes, operation.output.shape)) for field in fields]
    field = resized[0]
    for other in resized[1:]:
        field = _union(field, other)
    return field


def _window(operation: Operation) -> Field | None:
    """Convolution and pooling over the last two axes, rows and columns."""
    field = operation.source
    if field.axes is None or not _is_map(field) or operation.get("transposed"):
        return None
    weight = operation.get("weight")
    kernel = _pair(operation.get("kernel_size") if weight is None else list(weight.shape[2:]))
    stride = _pair(operation.get("stride") or kernel)
    padding, dilation = _pair(operation.get("padding")), _pair(operation.get("dilation") or 1)
    resized = field.moved(with_sizes(field.axes, operation.output.shape))
    if resized.window is None:
        return resized
    rows, columns = (resized.window[i].slide(kernel[i], stride[i], padding[i], dilation[i]) for i in (0, 1))
    return replace(resized, window=(rows, columns))


def _adaptive(operation: Operation) -> Field | None:
    """Adaptive pooling: windows of one size where the sizes divide, otherwise none to speak of."""
    field, before, after = operation.source, operation.shape[-2:], operation.output.shape[-2:]
    if field.axes is None or not _is_map(field):
        return None
    resized = field.moved(with_sizes(field.axes, operation.output.shape))
    if resized.window is None or 1 in after or any(b % a for b, a in zip(before, after, strict=True)):
        return replace(resized, window=None)
    rows, columns = (span.slide(b // a, b // a, 0) for span, b, a in zip(resized.window, before, after, strict=True))
    return replace(resized, window=(rows, columns))


def _reshape(operation: Operation) -> Field | None:
    if operation.source.axes is None:
        return None
    axes = regroup(operation.source.axes, operation.output.shape)
    return None if axes is None else operation.source.moved(axes)


def _expand(operation: Operation) -> Field | None:
    axes, shape = operation.source.axes, operation.output.shape
    if axes is None:
        return None
    new: list[Axis] = [(("", size),) for size in shape[: len(shape) - len(axes)]]
    kept = list(zip(axes, shape[len(new) :], strict=True))
    if any(size_of(axis) != size and any(label for label, _ in axis) for axis, size in kept):
        return None
    return operation.source.moved([*new, *(axis if size_of(axis) == size else (("", size),) for axis, size in kept)])


def _permute(operation: Operation) -> Field | None:
    axes = operation.source.axes
    if axes is None:
        return None
    order = list(range(len(axes)))
    if operation.name == "permute":
        order = [place % len(axes) for place in operation.get("dims")]
    else:
        one, other = (0, len(axes) - 1) if operation.name == "t" else (operation.get("dim0"), operation.get("dim1"))
        order[one], order[other] = order[other], order[one]
    return operation.source.moved([axes[place] for place in order])


def _slice(operation: Operation) -> Field | None:
    """A part of one axis: along rows or columns the positions shift, or spread for a step."""
    field, axis = operation.source, (operation.get("dim") or 0) % len(operation.shape)
    if field.axes is None:
        return None
    if not field.labelled(axis):
        return field.moved(with_sizes(field.axes, operation.output.shape))
    if operation.name != "slice":
        return None
    start, step, length = operation.get("start") or 0, operation.get("step") or 1, operation.shape[axis]
    start = max(start + length, 0) if start < 0 else min(start, length)
    return _shifted(operation, {axis: (-start, step)})


def _pad(operation: Operation) -> Field | None:
    """Padding, or cropping where negative: the positions shift."""
    pads, axes = operation.get("pad") or operation.get("padding"), operation.source.axes
    if axes is None or pads is None:
        return None
    return _shifted(operation, {len(axes) - 1 - i: (pads[2 * i], 1) for i in range(len(pads) // 2)})


def _shifted(operation: Operation, moves: dict[int, tuple[int, int]]) -> Field | None:
    """Each moved axis got `pad` positions in front, and then every `step`-th was taken."""
    field = operation.source
    if field.axes is None or any(field.labelled(axis) and len(field.axes[axis]) > 1 for axis in moves):
        return None
    axes = with_sizes(field.axes, operation.output.shape)
    spans = dict(zip((ROW, COLUMN), field.window or (), strict=False))
    for axis, (pad, step) in moves.items():
        label = field.axes[axis][0][0]
        if label in spans:
            spans[label] = spans[label].slide(1, step, pad)
    return Field(None, None if field.window is None else (spans[ROW], spans[COLUMN])).moved(axes)


def _select(operation: Operation) -> Field | None:
    field, axis = operation.source, (operation.get("dim") or 0) % len(operation.shape)
    if field.axes is None or field.labelled(axis):
        return None
    return field.moved([other for place, other in enumerate(field.axes) if place != axis])


def _reduce(operation: Operation) -> Field | None:
    """Mean, sum, maximum over axes that are neither rows nor columns; otherwise the whole image."""
    field, dims = operation.source, operation.get("dim")
    if field.axes is None or dims is None:
        return None
    gone = {axis % len(field.axes) for axis in ([dims] if isinstance(dims, int) else dims)}
    one = {place: ((field.axes[place][0][0], 1),) for place in gone}
    keep = bool(operation.get("keepdim"))
    axes = tuple(one.get(place, axis) for place, axis in enumerate(field.axes) if keep or place not in gone)
    return Field(axes, None if any(field.labelled(axis) for axis in gone) else field.window)


def _same_place(operation: Operation) -> Field | None:
    """Normalisation with fixed statistics: each position stands for itself. (Training statistics see everything.)"""
    if operation.place or operation.get("training") or operation.get("train"):
        return None
    return operation.source


def _along_axis(operation: Operation) -> Field | None:
    """Softmax and layer normalisation: over channels only, or they see everything."""
    field = operation.source
    shape = operation.get("normalized_shape")
    axes = [operation.get("dim")] if shape is None else range(-len(shape), 0)
    if operation.place or field.axes is None or any(field.labelled(axis) for axis in axes):
        return None
    return field


def _matmul(operation: Operation) -> Field | None:
    """A product with weights: the last axis is contracted, the others stay."""
    field = operation.source
    if field.axes is None or field.labelled(-1):
        return None
    return field.moved([*field.axes[:-1], (("", operation.output.shape[-1]),)])


_RULES: dict[str, Callable[[Operation], Field | None]] = {
    **dict.fromkeys(("convolution", "max_pool2d_with_indices", "avg_pool2d", "mkldnn_convolution"), _window),
    **dict.fromkeys(("cudnn_convolution", "max_pool2d"), _window),
    **dict.fromkeys(("_adaptive_avg_pool2d", "adaptive_max_pool2d"), _adaptive),
    **dict.fromkeys(("view", "_unsafe_view", "_reshape_alias", "unsqueeze", "squeeze"), _reshape),
    **dict.fromkeys(("permute", "transpose", "t"), _permute),
    **dict.fromkeys(("slice", "split", "splitwith_sizes"), _slice),
    **dict.fromkeys(("select", "unbind"), _select),
    **dict.fromkeys(("constant_pad_nd", "reflection_pad2d", "replication_pad2d"), _pad),
    **dict.fromkeys(("mean", "sum", "amax", "amin"), _reduce),
    **dict.fromkeys(("native_batch_norm", "cudnn_batch_norm", "_native_batch_norm_legit_no_training"), _same_place),
    **dict.fromkeys(("native_dropout", "detach", "alias", "lift_fresh", "hardswish", "hardswish_"), _same_place),
    **dict.fromkeys(("contiguous", "_to_copy", "log_sigmoid_forward"), _same_place),
    **dict.fromkeys(("native_layer_norm", "_softmax", "_log_softmax"), _along_axis),
    **dict.fromkeys(("mm", "addmm", "linear"), _matmul),
    **dict.fromkeys(("copy_", "where"), _pointwise),
    "expand": _expand,
    "cat": _cat,
}


def _pair(value: Any) -> tuple[int, int]:
    values = [value] if isinstance(value, int) else list(value)
    return (values[0], values[-1])


def _is_map(field: Field) -> bool:
    """Whether the arrangement is [batch, channel, row, column]."""
    return field.axes is not None and [axis[0][0] for axis in field.axes[2:] if len(axis) == 1] == [ROW, COLUMN]
