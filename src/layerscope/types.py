"""The shapes that travel between the floors. Nothing here imports anything of Layerscope."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, Self

from jaxtyping import Float, UInt8
from numpy import ndarray
from torch import Tensor, nn

Images = Float[Tensor, "batch channel height width"]
"""A batch of images, values in [0, 1]."""

Picture = UInt8[ndarray, "height width channel"]
"""One picture as it is stored and shown, values 0-255."""

Progress = Callable[[int, int, str], None]
"""Called as `on_progress(done, total, what)`; the library itself never prints."""


class HasModule(Protocol):
    """Anything that wraps a PyTorch network as `.module`."""

    @property
    def module(self) -> nn.Module: ...


def no_progress(done: int, total: int, what: str) -> None:
    """The progress callback that says nothing."""


class Counted(int):
    """How many of the things that progress counts are done, and `share`: how much of all their work that is, in [0, 1].

    It is told as `done` where things differ in work, so that the time left can be told from the share.
    """

    share: float

    def __new__(cls, count: int, share: float) -> Self:
        made = super().__new__(cls, count)
        made.share = share
        return made


class Steps:
    """Progress of one part of the work after the other, told as that of all of it; `total` counts all parts."""

    def __init__(self, on_progress: Progress, total: int) -> None:
        self._report, self._total, self._before = on_progress, total, 0

    def on(self, done: int) -> None:
        """A part of so many is done; the next one begins."""
        self._before += done

    def __call__(self, done: int, total: int, what: str) -> None:
        self._report(self._before + done, self._total, what)
