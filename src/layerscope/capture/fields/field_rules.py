"""How each operation changes what a position sees: the arithmetic of receptive fields, one small function each.

A rule gets an operation that ran and gives the field of its output, or None where the operation does something to rows
and columns that the rule does not know: then nothing is claimed, but that what saw the whole image goes on doing so.
"Mixing" is what has each position see all others along some axes; where rows or columns are in part along other axes
(windowed attention), that is not the whole image, and how much it is is not worked out.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

import torch

from layerscope.capture.fields import window_rules
from layerscope.capture.fields.arrangement import (
    Axes,
    complete,
    nameless,
    own_axis,
    regroup,
    with_sizes,
    with_tokens,
)
from layerscope.capture.fields.field import Field, Rational
from layerscope.capture.fields.operation import Operation


def field_after(operation: Operation) -> Field:
    """What the output of an operation sees."""
    rule = _RULES.get(operation.name)
    if rule is None and torch.Tag.pointwise in operation.func.tags:
        rule = _pointwise
    if rule is None:
        rule = _attention if "attention" in operation.name or "transformer" in operation.name else _unknown
    elif operation.operand != _OPERANDS.get(operation.name, 0) and rule not in _SEVERAL:
        rule = _unknown  # with weights that depend on the image, for one
    return rule(operation) or _lost(operation)


def _lost(operation: Operation) -> Field:
    """Sees something unknown. The arrangement is that of a source of the same shape, if there is one."""
    return Field(_alike(operation), None, _most(operation))


def _most(operation: Operation) -> frozenset[str]:
    return max((source.field.mixed for source in operation.sources), key=len)


def _alike(operation: Operation) -> Axes | None:
    same = (source.field.axes for source in operation.sources if source.shape == operation.output_shape)
    return next((axes for axes in same if axes is not None), None)


def _unknown(operation: Operation) -> None:
    return None


def _mixing(operation: Operation, places: Collection[int]) -> Field:
    """Positions along these axes are mixed."""
    axes = operation.source.axes
    labels = frozenset() if axes is None else complete(axes, places)
    return Field(_alike(operation), None, _most(operation) | labels)


def _attention(operation: Operation) -> Field:
    """Each query sees all keys, which lie along the last axis but one: [..., tokens, units]."""
    keys = operation.sources[min(1, len(operation.sources) - 1)].field
    labels = frozenset() if keys.axes is None else complete(keys.axes, [len(keys.axes) - 2])
    return Field(_alike(operation), None, _most(operation) | labels)


def _group_norm(operation: Operation) -> Field:
    return _mixing(operation, range(1, len(operation.shape)))


def _fourier(operation: Operation) -> Field:
    return _mixing(operation, [axis % len(operation.shape) for axis in operation.get("dim")])


def _pointwise(operation: Operation) -> Field | None:
    """Sums, products, activations: the window that holds those of all sources. Constants do not matter."""
    return _union([source.field.broadcast(operation.output_shape) for source in operation.sources], operation)


def _union(fields: Sequence[Field], operation: Operation) -> Field:
    field = fields[0]
    for other in fields[1:]:
        field = field.union(other, operation.output_shape)
    return field


def _cat(operation: Operation) -> Field | None:
    """Units side by side. What lies side by side with constants, or with another window, is not uniform."""
    axis = (operation.get("dim") or 0) % operation.output.ndim
    fields = [source.field for source in operation.sources]
    if operation.name == "stack":
        fields = [field.moved(_inserted(field.axes, axis)) for field in fields]
    if any(field.axes is None or field.labelled(axis) for field in fields):
        return _beside_tokens(fields, operation, axis)
    fields = [field.moved(with_sizes(field.axes, operation.output_shape)) for field in fields]
    same = len({field.window for field in fields}) == 1 and len(fields) == len(operation.args[0])
    field = _union(fields, operation)
    return replace(field, uniform=field.uniform and same)


def _beside_tokens(fields: Sequence[Field], operation: Operation, axis: int) -> Field | None:
    """Something before or behind the positions: a class token, registers. (Not more rows, say: None.)"""
    tokens = next((field for field in fields if field.axes is not None and field.labelled(axis)), None)
    if tokens is None or tokens.axes is None or operation.name == "stack":
        return None
    axes = with_tokens(tokens.axes, axis, operation.output_shape[axis])
    return Field(axes, None, _most(operation)) if axes else None


def _inserted(axes: Axes | None, place: int) -> Axes | None:
    return None if axes is None else (*axes[:place], nameless(1), *axes[place:])


def _reshape(operation: Operation) -> Field | None:
    axes = operation.source.axes
    return None if axes is None else operation.source.moved(regroup(axes, operation.output_shape))


def _expand(operation: Operation) -> Field | None:
    return operation.source.broadcast(operation.output_shape)


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
    return operation.source.moved(tuple(axes[place] for place in order))


def _slice(operation: Operation) -> Field | None:
    """A part of one axis: along rows or columns the positions shift, or spread for a step."""
    axis, step = (operation.get("dim") or 0) % len(operation.shape), 1
    length = operation.shape[axis]
    if operation.output_shape == operation.shape:
        return operation.source
    if operation.name == "slice":
        start, step = operation.get("start") or 0, operation.get("step") or 1
        start = max(start + length, 0) if start < 0 else min(start, length)
    elif operation.name == "split":
        start = operation.place * operation.get("split_size")
    else:
        start = sum(operation.get("split_sizes")[: operation.place])
    return _shifted(operation, {axis: (start, step)})


def _pad(operation: Operation) -> Field | None:
    """Padding, or cropping where negative: the positions shift."""
    pads, last = operation.get("pad") or operation.get("padding"), len(operation.shape) - 1
    changes = {last - i: (-pads[2 * i], 1) for i in range(len(pads) // 2) if pads[2 * i] or pads[2 * i + 1]}
    return _shifted(operation, changes)


def _shifted(operation: Operation, changes: dict[int, tuple[int, int]]) -> Field | None:
    """Each changed axis begins at another position, and only every `step`-th one is taken."""
    field = operation.source
    axes = with_sizes(field.axes, operation.output_shape)
    if field.axes is None or axes is None:
        return None
    reads: dict[str, tuple[Rational, Rational, Rational]] = {}
    for axis, (start, step) in changes.items():
        if field.labelled(axis):
            label = field.axes[axis][0].label
            if own_axis(field.axes, label) != axis:
                return None
            reads[label] = (start, start, step)
    of_units = [axis for axis in changes if not field.labelled(axis)]
    return _some_units(replace(field, axes=axes).changed(reads), operation, of_units)


def _some_units(field: Field, operation: Operation, axes: Sequence[int]) -> Field:
    """With a part of the units only, which may see less, or with units that see nothing beside them."""
    if any(operation.output_shape[axis] > operation.shape[axis] for axis in axes):
        return replace(field, uniform=False)
    return replace(field, exact=field.exact and (field.uniform or not axes))


def _chosen(operation: Operation) -> Field | None:
    """Some of the units, by their numbers."""
    axis = operation.get("dim") % len(operation.shape)
    if operation.source.labelled(axis):
        return None
    field = operation.source.moved(with_sizes(operation.source.axes, operation.output_shape))
    return replace(field, exact=field.exact and field.uniform)


def _select(operation: Operation) -> Field | None:
    """One place along an axis, which is gone then."""
    field, axis = operation.source, (operation.get("dim") or 0) % len(operation.shape)
    if field.axes is None:
        return None
    kept = tuple(other for place, other in enumerate(field.axes) if place != axis)
    if not field.labelled(axis):
        exact = field.exact and (field.uniform or operation.shape[axis] == 1)
        return replace(field, axes=kept, exact=exact)
    label = field.axes[axis][0].label
    if own_axis(field.axes, label) != axis:
        return None
    index = operation.place if operation.name == "unbind" else operation.get("index") % operation.shape[axis]
    return replace(field, axes=kept).changed({label: (index, index, 0)})


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
    if shape is not None:
        axes = list(every[-len(shape) :])
    else:
        axes = [dims % len(every)]
    if operation.place or field.axes is None:
        return None
    return _mixing(operation, axes) if any(field.labelled(axis) for axis in axes) else field


def _shift(operation: Operation) -> Field | None:
    """Cyclic shifts and mirrored order: of channels, or positions see places that are not where they are."""
    field, dims = operation.source, operation.get("dims") or range(len(operation.shape))
    if field.axes is None or any(field.labelled(axis) for axis in dims):
        return None
    return field


def _matmul(operation: Operation) -> Field | None:
    """A product with weights: the last axis is contracted (of the right factor the one before), the others stay."""
    field = operation.source
    if operation.operand is None:
        return _product(operation)
    if field.axes is None:
        return None
    factor = operation.operand - _OPERANDS.get(operation.name, 0)
    if factor not in ((0,) if operation.name == "linear" else (0, 1)):
        return None  # what is added, for one
    axes, place = list(field.axes), len(field.axes) - 1 - factor
    axes[place] = nameless(operation.output_shape[place])
    if field.labelled(place):
        return field.mixing(complete(field.axes, [place]), tuple(axes))
    units = [axis for i, axis in enumerate(field.axes) if i != place and not field.labelled(i)]
    return replace(field, axes=tuple(axes), uniform=field.uniform or all(axis == nameless(1) for axis in units))


def _product(operation: Operation) -> Field | None:
    """A product of two tensors that depend on the image, as in attention: rows of the left, columns of the right."""
    left, right = (source.field.axes for source in operation.sources[:2])
    if left is None or right is None or operation.name not in ("mm", "bmm"):
        return None
    # weights of attention have positions along two axes: which of them are all there is told by what is weighted
    labels = complete(left, [len(left) - 1]) | complete(right, [len(right) - 2])
    return Field((*left[:-1], right[-1]), None, _most(operation) | labels)


_OPERANDS = {"addmm": 1, "baddbmm": 1}  # where the left factor is not the first argument
_SEVERAL = (_pointwise, _cat, _matmul)  # rules for several operands that depend on the image
_RULES: dict[str, Callable[[Operation], Field | None]] = {
    **window_rules.RULES,
    **dict.fromkeys(("view", "_unsafe_view", "_reshape_alias", "unsqueeze", "squeeze"), _reshape),
    **dict.fromkeys(("permute", "transpose", "t"), _permute),
    **dict.fromkeys(("slice", "split", "split_with_sizes"), _slice),
    **dict.fromkeys(("select", "unbind"), _select),
    **dict.fromkeys(("constant_pad_nd", "reflection_pad2d", "replication_pad2d"), _pad),
    **dict.fromkeys(("mean", "sum", "amax", "amin", "var", "std", "var_mean", "linalg_vector_norm"), _reduce),
    **dict.fromkeys(("max", "min", "prod", "logsumexp"), _reduce),
    **dict.fromkeys(("native_batch_norm", "cudnn_batch_norm", "_native_batch_norm_legit_no_training"), _same_place),
    **dict.fromkeys(("native_dropout", "detach", "alias", "lift_fresh", "hardswish", "hardswish_"), _same_place),
    **dict.fromkeys(("contiguous", "_to_copy", "log_sigmoid_forward", "channel_shuffle"), _same_place),
    **dict.fromkeys(("native_layer_norm", "_fused_rms_norm", "_softmax", "_log_softmax"), _along_axis),
    **dict.fromkeys(("roll", "flip"), _shift),
    **dict.fromkeys(("_fft_r2c", "_fft_c2c", "_fft_c2r"), _fourier),
    **dict.fromkeys(("mm", "addmm", "linear", "bmm", "baddbmm"), _matmul),
    **dict.fromkeys(("copy_", "where"), _pointwise),
    **dict.fromkeys(("cat", "stack"), _cat),
    "index_select": _chosen,
    "expand": _expand,
    "native_group_norm": _group_norm,
}
