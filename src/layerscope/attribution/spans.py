"""Where variants of an image differ from it along one axis of a map, and what a kernel makes of that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Span(NamedTuple):
    """A stretch along one axis of a map for each variant: all of one size, each with a start of its own."""

    size: int
    starts: tuple[int, ...]

    @classmethod
    def around(cls, firsts: Sequence[int], ends: Sequence[int], extent: int) -> Span:
        """The stretches that hold those from `firsts` to `ends` (not included), inside of a map of this extent."""
        size = min(max(end - first for first, end in zip(firsts, ends, strict=True)), extent)
        return cls(size, tuple(min(max(first, 0), extent - size) for first in firsts))

    @classmethod
    def union(cls, spans: Sequence[Span], extent: int) -> Span:
        """For each variant the stretch that holds those of all spans."""
        firsts = [min(starts) for starts in zip(*(span.starts for span in spans), strict=True)]
        ends = [max(ends) for ends in zip(*(span.ends for span in spans), strict=True)]
        return cls.around(firsts, ends, extent)

    @property
    def ends(self) -> tuple[int, ...]:
        """Where the stretches end (not included)."""
        return tuple(start + self.size for start in self.starts)

    def beyond(self, extent: int) -> bool:
        """Whether any stretch leaves a map of this extent."""
        return min(self.starts) < 0 or max(self.ends) > extent


class Window(NamedTuple):
    """How a convolution or pooling reads along one axis."""

    kernel: int
    stride: int = 1
    padding: int = 0
    dilation: int = 1

    def readers(self, span: Span, extent: int) -> Span:
        """The outputs that read any of these inputs, in an output of this extent."""
        reach = (self.kernel - 1) * self.dilation
        size = min((span.size - 1 + reach) // self.stride + 1, extent)
        firsts = (-((reach - start - self.padding) // self.stride) for start in span.starts)
        return Span(size, tuple(min(max(first, 0), extent - size) for first in firsts))

    def read(self, span: Span) -> Span:
        """The inputs that these outputs read; they may begin before the map and end after it."""
        size = (span.size - 1) * self.stride + (self.kernel - 1) * self.dilation + 1
        return Span(size, tuple(start * self.stride - self.padding for start in span.starts))
