"""Which axes of a tensor are rows and columns of the image: kept through reshaping, splitting and merging of axes."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import NamedTuple

ROW, COLUMN = "row", "column"
TOKEN = "token"  # all rows and columns along one axis, beside something else, as a class token


class Factor(NamedTuple):
    """What an axis counts, or a part of it: `size` rows, columns or (label "") something else, each `inner` apart.

    Rows that are cut into windows of 7 become a factor ("row", windows, inner=7) and a factor ("row", 7, inner=1).
    """

    label: str
    size: int
    inner: int = 1


Axis = tuple[Factor, ...]  # the factors that were merged into one axis of a tensor, the outermost first
Axes = tuple[Axis, ...]


def nameless(size: int) -> Axis:
    return (Factor("", size),)


def size_of(axis: Axis) -> int:
    return math.prod(factor.size for factor in axis)


def is_labelled(axis: Axis) -> bool:
    """Whether rows or columns, or parts of them, are in an axis."""
    return any(factor.label for factor in axis)


def own_axis(axes: Axes | None, label: str) -> int | None:
    """The axis that all rows (or columns) have to themselves; None where they are split, merged or lost."""
    places = [(place, axis) for place, axis in enumerate(axes or ()) for factor in axis if factor.label == label]
    if len(places) != 1:
        return None
    place, axis = places[0]
    return place if len(axis) == 1 and axis[0].inner == 1 else None


def with_sizes(axes: Axes | None, shape: Sequence[int]) -> Axes | None:
    """The axes with new sizes; None where rows or columns that are split or merged change size."""
    if axes is None or len(axes) != len(shape):
        return None
    sized: list[Axis] = []
    for axis, size in zip(axes, shape, strict=True):
        if size_of(axis) == size:
            sized.append(axis)
        elif len(axis) == 1 and (not axis[0].label or own_axis(axes, axis[0].label) is not None):
            sized.append((Factor(axis[0].label, size),))
        else:
            return None
    return tuple(sized)


def regroup(axes: Axes, shape: Sequence[int]) -> Axes | None:
    """The factors of `axes`, in their order, shared out over the axes of `shape`; None where a share is no factor."""
    if math.prod(shape) != math.prod(map(size_of, axes)):
        return None
    factors = [factor for axis in axes for factor in axis]
    grouped: list[Axis] = []
    for size in shape:
        group = [factors.pop(0)] if size == 1 and factors and factors[0].size == 1 else []
        room = size
        while room > 1:
            label, length, inner = factors.pop(0)
            if length > room and length % room == 0:
                factors.insert(0, Factor(label, length // room, inner))
                length, inner = room, inner * (length // room)
            elif room % length:
                return None
            group.append(Factor(label, length, inner))
            room //= length
        grouped.append(_tidy(group))
    if factors and grouped:  # only ones are left
        grouped[-1] = _tidy([*grouped[-1], *factors])
    return tuple(grouped)


def merged(one: Axes | None, other: Axes | None) -> Axes | None:
    """The arrangement of a sum, axis by axis; None where a label stands at different places in the two."""
    if one is None or other is None or one == other:
        return one or other
    for label in (ROW, COLUMN):
        here, there = ([(i, axis) for i, axis in enumerate(axes) if _holds(axis, label)] for axes in (one, other))
        if here and there and here != there:
            return None
    axes = tuple(a if is_labelled(a) else b for a, b in zip(one, other, strict=True))
    return None if any(is_labelled(b) and a != b for a, b in zip(axes, other, strict=True)) else axes


def central(axes: Axes | None) -> tuple[int | None, ...] | None:
    """The index of the central row and column along each axis, None along the axes of something else.

    All is None where rows or columns are lost, in part or whole, or share an axis with something else (flattening).
    """
    if axes is None or is_flat(axes):
        return None
    middles = {label: _middle(axes, label) for label in (ROW, COLUMN)}
    if None in middles.values():
        return None
    return tuple(_index(axis, middles) if is_labelled(axis) else None for axis in axes)


def is_flat(axes: Axes) -> bool:
    """Whether rows or columns share an axis with something else: then each unit stands for one place."""
    return any(is_labelled(axis) and not all(factor.label for factor in axis) for axis in axes[1:])


def complete(axes: Axes, places: Collection[int]) -> frozenset[str]:
    """Of rows and columns, those that lie wholly along these axes: none of them along another, as windows do."""
    inside = {factor.label for place in places for factor in axes[place]}
    others = [axis for place, axis in enumerate(axes) if place not in places]
    outside = {factor.label for axis in others for factor in axis if factor.size > 1}
    found = inside - outside
    return frozenset((ROW, COLUMN) if TOKEN in found else found & {ROW, COLUMN})


def with_tokens(axes: Axes, place: int, size: int) -> Axes | None:
    """The axes where something was put before or behind the tokens; None where those are not all rows and columns."""
    if complete(axes, [place]) != {ROW, COLUMN}:
        return None
    return (*axes[:place], (Factor(TOKEN, size),), *axes[place + 1 :])


def _middle(axes: Axes, label: str) -> int | None:
    """The middle one of all rows, where each row is there once."""
    whole = 1
    for factor in sorted((f for axis in axes for f in axis if f.label == label), key=lambda f: (f.inner, f.size)):
        if factor.inner != whole:
            return None
        whole *= factor.size
    return whole // 2 if any(_holds(axis, label) for axis in axes) else None


def _index(axis: Axis, middles: dict[str, int | None]) -> int:
    index = 0
    for label, size, inner in axis:
        index = index * size + ((middles[label] or 0) // inner) % size
    return index


def _holds(axis: Axis, label: str) -> bool:
    return any(factor.label == label for factor in axis)


def _tidy(group: Sequence[Factor]) -> Axis:
    """Without the nameless ones; neighbours that continue each other merged."""
    tidy: list[Factor] = []
    for label, size, inner in group:
        before = tidy[-1] if tidy else None
        if before and before.label == label and (not label or before.inner == size * inner):
            tidy[-1] = Factor(label, before.size * size, inner)
        elif label or size != 1:
            tidy.append(Factor(label, size, inner))
    return tuple(tidy) or nameless(1)
