"""What one position of a tensor sees of the image, and which axes of the tensor are its rows and columns."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

ROW, COLUMN = "row", "column"
Factor = tuple[str, int]  # a label ("row", "column" or "") and its size
Axis = tuple[Factor, ...]  # an axis of a tensor, as the factors that were merged into it


@dataclass(frozen=True)
class Span:
    """Position p sees the input pixels `first + p * stride` .. `last + p * stride` along one axis (padding counted)."""

    first: int
    last: int
    stride: int

    def slide(self, kernel: int, stride: int, padding: int, dilation: int = 1) -> Span:
        """The span after a window of `kernel` values slid over the positions."""
        first = self.first - padding * self.stride
        last = self.last + ((kernel - 1) * dilation - padding) * self.stride
        return Span(first, last, self.stride * stride)

    def union(self, other: Span) -> Span | None:
        """The smallest span that holds both; None where the positions of the two do not coincide."""
        if self.stride != other.stride:
            return None
        return Span(min(self.first, other.first), max(self.last, other.last), self.stride)


@dataclass(frozen=True)
class Field:
    """What one position of a tensor sees: a window of rows by columns, or the whole image where `window` is None.

    `axes` tells the rows and columns among the axes of the tensor; it is None where the arrangement is lost.
    """

    axes: tuple[Axis, ...] | None
    window: tuple[Span, Span] | None

    @property
    def size(self) -> int | None:
        """Side of the square window, in pixels (the longer side where it is not square)."""
        return max((span.last - span.first + 1 for span in self._seen), default=None)

    @property
    def stride(self) -> int | None:
        """Pixels from one position to the next; None where rows and columns differ."""
        strides = {span.stride for span in self._seen}
        return strides.pop() if len(strides) == 1 else None

    @property
    def offset(self) -> float | None:
        """The input pixel at the centre of position 0 (0 is the centre of the first pixel)."""
        centres = {(span.first + span.last) / 2 for span in self._seen}
        return centres.pop() if len(centres) == 1 else None

    @property
    def _seen(self) -> tuple[Span, ...]:
        """The window, where rows and columns have an axis each."""
        return self.window or () if self.alone(ROW) and self.alone(COLUMN) else ()

    def alone(self, label: str) -> bool:
        """Whether rows (or columns) have an axis to themselves."""
        return any(len(axis) == 1 and axis[0][0] == label for axis in self.axes or ())

    def labelled(self, axis: int) -> bool:
        """Whether rows or columns are part of `axis`."""
        return self.axes is not None and any(label for label, _ in self.axes[axis])

    def moved(self, axes: Sequence[Axis] | None) -> Field:
        """The same window in a new arrangement; without an arrangement there is no window."""
        return Field(None, None) if axes is None else Field(tuple(axes), self.window)


def size_of(axis: Axis) -> int:
    return math.prod(size for _, size in axis)


def with_sizes(axes: Sequence[Axis] | None, shape: Sequence[int]) -> list[Axis] | None:
    """The axes with new sizes; None where an axis of several factors changes size."""
    if axes is None or len(axes) != len(shape):
        return None
    if any(len(axis) > 1 and size_of(axis) != size for axis, size in zip(axes, shape, strict=True)):
        return None
    return [axis if len(axis) > 1 else ((axis[0][0], size),) for axis, size in zip(axes, shape, strict=True)]


def regroup(axes: Sequence[Axis], shape: Sequence[int]) -> list[Axis] | None:
    """The factors of `axes`, in their order, shared out over the axes of `shape`; None where a row or column splits."""
    factors = [factor for axis in axes for factor in axis]
    grouped: list[Axis] = []
    for size in shape:
        group = [factors.pop(0)] if size == 1 and factors and factors[0][1] == 1 else []
        room = size
        while room > 1:
            label, length = factors.pop(0)
            if label == "" and length % room == 0 and length > room:
                factors.insert(0, ("", length // room))
                length = room
            elif room % length:
                return None
            group.append((label, length))
            room //= length
        grouped.append(_tidy(group))
    if factors and grouped:  # only ones are left
        grouped[-1] = _tidy([*grouped[-1], *factors])
    return grouped


def _tidy(group: Sequence[Factor]) -> Axis:
    """Without the nameless ones; neighbours without a name merged."""
    tidy: list[Factor] = []
    for label, size in group:
        if tidy and label == "" == tidy[-1][0]:
            tidy[-1] = ("", tidy[-1][1] * size)
        elif label or size != 1:
            tidy.append((label, size))
    return tuple(tidy) or (("", 1),)
