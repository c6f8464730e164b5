"""A set of stimuli: images that are rendered when they are asked for, and a table that says what each one is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layerscope.errors import InputError
from layerscope.types import Images

Numbers = NDArray[np.int64]
"""Which stimuli of a set, counted from 0."""


class Stimuli(ABC):
    """Square images [channel, size, size] in [0, 1]; an image depends on the set's parameters and its number alone."""

    size: int
    channels: int

    def __len__(self) -> int:
        return len(next(iter(self.columns().values())))

    @abstractmethod
    def columns(self) -> dict[str, NDArray[Any]]:
        """The parameters of all stimuli: name -> one entry per stimulus, in their order."""

    @abstractmethod
    def render(self, numbers: Numbers) -> Images:
        """The stimuli of these numbers: float32 [numbers, channel, size, size] in [0, 1], on the CPU."""

    def batches(self, batch_size: int = 64) -> Iterator[Images]:
        """All stimuli in their order; no more than `batch_size` of them are in memory at once."""
        if batch_size < 1:
            raise InputError(f"batch_size={batch_size}; at least 1 is needed")
        for start in range(0, len(self), batch_size):
            yield self.render(np.arange(start, min(start + batch_size, len(self))))

    def table(self) -> list[dict[str, Any]]:
        """The parameters of each stimulus, as plain numbers and words."""
        columns = {name: values.tolist() for name, values in self.columns().items()}
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def grid(**axes: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """All combinations of the values on these axes, the last axis fastest: name -> one entry per combination."""
    combined = np.meshgrid(*axes.values(), indexing="ij")
    return {name: values.reshape(-1) for name, values in zip(axes, combined, strict=True)}


def check_canvas(size: int, channels: int) -> None:
    """Raises InputError for images without pixels or channels."""
    if size < 1 or channels < 1:
        raise InputError(f"stimuli of {size} pixels and {channels} channels; at least 1 of each is needed")


def drawn_from(seed: int, *path: int) -> np.random.Generator:
    """Random numbers of their own for a seed and what they are for. Raises InputError for a negative seed."""
    if seed < 0:
        raise InputError(f"seed={seed}; stimuli take a seed of 0 or more")
    return np.random.default_rng([seed, *path])
