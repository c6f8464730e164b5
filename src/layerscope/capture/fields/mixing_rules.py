"""Operations that have each position see all others along some axes: reductions, normalisation, attention, products.

Where rows or columns are in part along other axes, as in windowed attention, that is not the whole image, and how much
of it is seen is not worked out.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

from layerscope.capture.fields.arrangement import complete, nameless, with_sizes
from layerscope.capture.fields.field import Field
from layerscope.capture.fields.operation import Operation

OPERANDS = {"addmm": 1, "baddbmm": 1}  # where the left factor is not the first argument


def attention(operation: Operation) -> Field:
    """Each query sees all keys, which lie along the last axis but one: [..., tokens, units]."""
    keys = operation.sources[min(1, len(operation.sources) - 1)].field
    labels = frozenset() if keys.axes is None else complete(keys.axes, [len(keys.axes) - 2])
    return Field(operation.alike, None, operation.mixed | labels)


def _reduce(operation: Operation) -> Field | None:
    """Mean, sum, maximum: over units the window stays."""
    field, dims = operation.source, operation.get("dim")
    if field.axes is None:
        return None
    every = range(len(field.axes))
    gone = {axis % len(field.axes) for axis in ([dims] if isinstance(dims, int) else dims or every)}
    keep = bool(operation.get("keepdim"))
    one = with_sizes(field.axes, [1 if place in gone else operation.shape[place] for place in every])
    if one is None:  # parts of rows are gone
        one = tuple(nameless(1) if place in gone else field.axes[place] for place in every)
    axes = tuple(axis for place, axis in enumerate(one) if keep or place not in gone)
    mixes = any(field.labelled(axis) for axis in gone)
    return field.mixing(complete(field.axes, gone), axes) if mixes else replace(field, axes=axes)


def _same_place(operation: Operation) -> Field | None:
    """Normalisation with fixed statistics: each position stands for itself. (Training statistics see everything.)"""
    if operation.place:
        return None
    if operation.get("training") or operation.get("train"):
        return _mixing(operation, [axis for axis in range(len(operation.shape)) if axis != 1])
    return operation.source


def _along_axis(operation: Operation) -> Field | None:
    """Softmax, layer normalisation: over channels only, or positions are mixed."""
    field = operation.source
    shape, dims = operation.get("normalized_shape"), operation.get("dim")
    every = range(len(operation.shape))
    axes = [dims % len(every)] if shape is None else list(every[-len(shape) :])
    if operation.place or field.axes is None:
        return None
    return _mixing(operation, axes) if any(field.labelled(axis) for axis in axes) else field


def _shift(operation: Operation) -> Field | None:
    """Cyclic shifts and mirrored order: of channels, or positions see places that are not where they are."""
    field, dims = operation.source, operation.get("dims") or range(len(operation.shape))
    if field.axes is None or any(field.labelled(axis) for axis in dims):
        return None
    return field


def _group_norm(operation: Operation) -> Field:
    return _mixing(operation, range(1, len(operation.shape)))


def _fourier(operation: Operation) -> Field:
    return _mixing(operation, [axis % len(operation.shape) for axis in operation.get("dim")])


def product(operation: Operation) -> Field | None:
    """A product with weights: the last axis is contracted (of the right factor the one before), the others stay."""
    field = operation.source
    if operation.operand is None:
        return _of_two(operation)
    if field.axes is None:
        return None
    factor = operation.operand - OPERANDS.get(operation.name, 0)
    if factor not in ((0,) if operation.name == "linear" else (0, 1)):
        return None  # what is added, for one
    axes, place = list(field.axes), len(field.axes) - 1 - factor
    axes[place] = nameless(operation.output_shape[place])
    if field.labelled(place):
        return field.mixing(complete(field.axes, [place]), tuple(axes))
    units = [axis for i, axis in enumerate(field.axes) if i != place and not field.labelled(i)]
    return replace(field, axes=tuple(axes), uniform=field.uniform or all(axis == nameless(1) for axis in units))


def _of_two(operation: Operation) -> Field | None:
    """A product of two tensors that depend on the image, as in attention: rows of the left, columns of the right."""
    left, right = (source.field.axes for source in operation.sources[:2])
    if left is None or right is None or operation.name not in ("mm", "bmm"):
        return None
    # weights of attention have positions along two axes: which of them are all there is told by what is weighted
    labels = complete(left, [len(left) - 1]) | complete(right, [len(right) - 2])
    return Field((*left[:-1], right[-1]), None, operation.mixed | labels)


def _mixing(operation: Operation, places: Collection[int]) -> Field:
    """Positions along these axes are mixed."""
    axes = operation.source.axes
    labels = frozenset() if axes is None else complete(axes, places)
    return Field(operation.alike, None, operation.mixed | labels)


RULES: dict[str, Callable[[Operation], Field | None]] = {
    **dict.fromkeys(("mean", "sum", "amax", "amin", "var", "std", "var_mean", "linalg_vector_norm"), _reduce),
    **dict.fromkeys(("max", "min", "prod", "logsumexp"), _reduce),
    **dict.fromkeys(("native_batch_norm", "cudnn_batch_norm", "_native_batch_norm_legit_no_training"), _same_place),
    **dict.fromkeys(("native_dropout", "detach", "alias", "lift_fresh", "hardswish", "hardswish_"), _same_place),
    **dict.fromkeys(("contiguous", "_to_copy", "log_sigmoid_forward", "channel_shuffle"), _same_place),
    **dict.fromkeys(("native_layer_norm", "_fused_rms_norm", "_softmax", "_log_softmax"), _along_axis),
    **dict.fromkeys(("roll", "flip"), _shift),
    **dict.fromkeys(("_fft_r2c", "_fft_c2c", "_fft_c2r"), _fourier),
    **dict.fromkeys(("mm", "addmm", "linear", "bmm", "baddbmm"), product),
    "native_group_norm": _group_norm,
}
