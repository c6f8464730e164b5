"""What one position of a tensor sees of the image, and which axes of the tensor are its rows and columns."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from layerscope.capture.fields.arrangement import (
    COLUMN,
    ROW,
    Axes,
    Factor,
    is_flat,
    is_labelled,
    merged,
    nameless,
    own_axis,
    size_of,
)

Rational = int | Fraction  # whole numbers stay int: much faster, and resizing is rare


@dataclass(frozen=True)
class Span:
    """Position p sees no pixels but those in `first + p * stride` .. `last + p * stride` along one axis.

    The image is taken to go on beyond its border. stride is never negative; 0 where the axis was broadcast or a single
    position of it was chosen.
    """

    first: Rational
    last: Rational
    stride: Rational

    def read(self, first: Rational, last: Rational, step: Rational) -> Span:
        """The span of positions q that read the positions `first + q * step` .. `last + q * step` of this one."""
        return Span(self.first + first * self.stride, self.last + last * self.stride, self.stride * step)

    def at(self, position: int) -> Span:
        """The span of one position, wherever it is put."""
        return self.read(position, position, 0)

    def union(self, other: Span, positions: int) -> Span:
        """A span that holds both at each of `positions`: the smallest one where the strides are equal."""
        drift = (other.stride - self.stride) * (positions - 1)
        first, last = other.first + min(drift, 0), other.last + max(drift, 0)
        return Span(min(self.first, first), max(self.last, last), self.stride)


Window = tuple[Span, Span]


@dataclass(frozen=True)
class Field:
    """What one position of a tensor sees: a window of rows by columns, or something else where `window` is None.

    Attributes:
        axes: tells the rows and columns among the axes of the tensor; None where the arrangement is lost.
        window: of the rows and of the columns.
        mixed: without a window, along which of ROW and COLUMN each position is known to see all there is.
        exact: whether some position sees pixels at both ends of the window.
        uniform: whether all units of a position see the same; otherwise a part of them may see less than the window.
    """

    axes: Axes | None
    window: Window | None
    mixed: frozenset[str] = frozenset()
    exact: bool = True
    uniform: bool = True

    @property
    def status(self) -> str:
        """One of "exact", "upper bound", "whole image", "unknown", as `Layer` explains them."""
        if self.window is None or (self.axes is not None and is_flat(self.axes)):
            return "whole image" if self.whole else "unknown"
        return "exact" if self.exact else "upper bound"

    @property
    def whole(self) -> bool:
        """Whether all rows and all columns were mixed."""
        return self.mixed == {ROW, COLUMN}

    @property
    def size(self) -> int | None:
        """The longer side of the window in pixels; the most that fit where its ends lie between pixels."""
        return max((math.floor(span.last - span.first) + 1 for span in self._seen), default=None)

    @property
    def stride(self) -> int | None:
        """Pixels from one position to the next; None where rows and columns differ, for parts of pixels and for 0."""
        strides = {span.stride for span in self._placed}
        stride = strides.pop() if len(strides) == 1 else None
        return int(stride) if stride and stride.denominator == 1 else None

    @property
    def offset(self) -> float | None:
        """The input pixel at the centre of position 0 (0 is the centre of the first pixel)."""
        centres = {float(span.first + span.last) / 2 for span in self._placed}
        return centres.pop() if len(centres) == 1 else None

    @property
    def _seen(self) -> tuple[Span, ...]:
        return self.window or () if self.axes is not None and not is_flat(self.axes) else ()

    @property
    def _placed(self) -> tuple[Span, ...]:
        """The window, where rows and columns have an axis each."""
        return self._seen if all(own_axis(self.axes, label) is not None for label in (ROW, COLUMN)) else ()

    @property
    def is_map(self) -> bool:
        """Whether the arrangement is [batch, channel, row, column]."""
        return (own_axis(self.axes, ROW), own_axis(self.axes, COLUMN)) == (2, 3) and len(self.axes or ()) == 4

    def labelled(self, axis: int) -> bool:
        """Whether rows or columns are part of `axis`."""
        return self.axes is not None and is_labelled(self.axes[axis])

    def moved(self, axes: Axes | None) -> Field:
        """The same window in a new arrangement; without an arrangement there is no window."""
        return self.lost() if axes is None else replace(self, axes=axes)

    def lost(self, axes: Axes | None = None) -> Field:
        """Nothing is known, except that what sees the whole image goes on doing so."""
        return Field(axes, None, self.mixed)

    def mixing(self, labels: frozenset[str], axes: Axes | None) -> Field:
        """Positions along all rows, all columns or both were mixed, or (no labels) along a part of them."""
        return Field(axes, None, self.mixed | labels)

    def union(self, other: Field, shape: Sequence[int]) -> Field:
        """What a sum of two tensors of one shape sees."""
        axes = merged(self.axes, other.axes)
        if axes is None or self.window is None or other.window is None:
            return Field(axes, None, max(self.mixed, other.mixed, key=len))
        sizes = [_positions(axes, label) for label in (ROW, COLUMN)]
        pairs = list(zip(self.window, other.window, sizes, strict=True))
        rows, columns = (one.union(two, size) for one, two, size in pairs)
        exact = self.exact and other.exact and all(one.stride == two.stride for one, two, _ in pairs)
        return Field(axes, (rows, columns), exact=exact, uniform=self.uniform and other.uniform)

    def broadcast(self, shape: Sequence[int]) -> Field:
        """What this sees when it is expanded to `shape`: a single row that is repeated stays where it is."""
        if self.axes is None or tuple(map(size_of, self.axes)) == tuple(shape):
            return self
        front = len(shape) - len(self.axes)
        axes, fixed = [nameless(size) for size in shape[:front]], set()
        for place, (axis, size) in enumerate(zip(self.axes, shape[front:], strict=True)):
            if size_of(axis) == size:
                axes.append(axis)
            elif not is_labelled(axis):
                axes.append(nameless(size))
            elif own_axis(self.axes, axis[0].label) == place:
                fixed.add(axis[0].label)
                axes.append((Factor(axis[0].label, size),))
            else:
                return self.lost()
        field = replace(self, axes=tuple(axes))
        return field.changed({label: (0, 0, 0) for label in fixed})

    def changed(self, reads: dict[str, tuple[Rational, Rational, Rational]]) -> Field:
        """Positions along rows or columns now read those `first`, `last`, `step` (see `Span.read`) of before."""
        if self.window is None or not reads:
            return self
        same = (0, 0, 1)
        rows, columns = (
            span.read(*reads.get(label, same)) for span, label in zip(self.window, (ROW, COLUMN), strict=True)
        )
        return replace(self, window=(rows, columns))


def _positions(axes: Axes, label: str) -> int:
    """How many rows or columns there are."""
    return math.prod(factor.size for axis in axes for factor in axis if factor.label == label)
