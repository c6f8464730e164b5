"""The shapes that travel between the floors. Nothing here imports anything of Layerscope."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

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
