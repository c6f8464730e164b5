"""How each operation changes what a position sees: the arithmetic of receptive fields, one small function each.

A rule gets an operation that ran and gives the field of its output, or None where the operation does something to rows
and columns that the rule does not know: then nothing is claimed, but that what saw the whole image goes on doing so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from layerscope.capture.fields import mixing_rules, window_rules
from layerscope.capture.fields.arrangement import TOKEN, Axes, nameless, own_axis, regroup, with_sizes, with_tokens
from layerscope.capture.fields.field import Field, Rational
from layerscope.capture.fields.operation import Operation


def field_after(operation: Operation) -> Field:
    """What the output of an operation sees."""
    rule = _RULES.get(operation.name)
    if rule is None and torch.Tag.pointwise in operation.func.tags:
        rule = _pointwise
    if rule is None:
        rule = mixing_rules.attention if "attention" in operation.name or "transformer" in operation.name else _unknown
    elif operation.operand != mixing_rules.OPERANDS.get(operation.name, 0) and rule not in _SEVERAL:
        rule = _unknown  # with weights that depend on the image, for one
    return rule(operation) or _lost(operation)


def _lost(operation: Operation) -> Field:
    """Sees something unknown. The arrangement is that of a source of the same shape, if there is one."""
    return Field(operation.alike, None, operation.mixed)


def _unknown(operation: Operation) -> None:
    return None


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
    if operation.name == "stack":
        return None
    size = operation.output_shape[axis]
    axes = next((axes for field in fields if field.axes and (axes := with_tokens(field.axes, axis, size))), None)
    return None if axes is None else Field(axes, None, operation.mixed)


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
            if own_axis(field.axes, label) != axis or label == TOKEN:  # a part of the tokens is not all positions
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


_SEVERAL = (_pointwise, _cat, mixing_rules.product)  # rules for several operands that depend on the image
_RULES: dict[str, Callable[[Operation], Field | None]] = {
    **window_rules.RULES,
    **mixing_rules.RULES,
    **dict.fromkeys(("view", "_unsafe_view", "_reshape_alias", "unsqueeze", "squeeze"), _reshape),
    **dict.fromkeys(("permute", "transpose", "t"), _permute),
    **dict.fromkeys(("slice", "split", "split_with_sizes"), _slice),
    **dict.fromkeys(("select", "unbind"), _select),
    **dict.fromkeys(("constant_pad_nd", "reflection_pad2d", "replication_pad2d"), _pad),
    **dict.fromkeys(("copy_", "where"), _pointwise),
    **dict.fromkeys(("cat", "stack"), _cat),
    "index_select": _chosen,
    "expand": _expand,
}
