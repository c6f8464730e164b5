"""Masks of concepts, and what part of each cell of a coarser map they cover."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor

from layerscope.errors import InputError


class Masks(Protocol):
    """What concepts each pixel of each image shows: a tensor, or anything that gives a slice of one when asked."""

    def __getitem__(self, images: slice, /) -> Tensor:
        """[images, concepts, height, width], booleans or fractions in [0, 1]."""
        ...


@runtime_checkable
class Divisible(Masks, Protocol):
    """Masks of which a part is smaller than what a slice gives."""

    def part(self, images: slice, /) -> Masks:
        """Those of some images alone, in memory of their own."""
        ...


class ConceptMasks:
    """The masks of a set of images, in its order, at the resolution of any layer.

    Layers that share one of these share its work: what it has of the last batch it keeps for the next layer.
    `start`: the number of the image that the first masks are of.
    """

    def __init__(self, masks: Masks, start: int = 0) -> None:
        self._masks, self._start = masks, start
        self._part: tuple[tuple[int, int], ConceptMasks] | None = None
        self._images = (0, 0)
        self._pixels = torch.empty(0)
        self._fractions: dict[tuple[int, int], Tensor] = {}

    def fractions(self, first: int, count: int, size: tuple[int, int]) -> Tensor:
        """What part of each cell each concept covers, float64 [images, rows * columns, concepts] in [0, 1].

        For `count` images from number `first` on and a map of `size` (rows, columns), whose cells are those of adaptive
        average pooling. Raises InputError where there are no masks of these images, or values that are no fractions.
        """
        if self._images != (first, first + count):
            self._pixels = self._read(first, count)
            self._images, self._fractions = (first, first + count), {}
        if size not in self._fractions:
            pooled = [F.adaptive_avg_pool2d(one.double(), size) for one in self._pixels]
            self._fractions[size] = torch.stack(pooled).flatten(2).transpose(1, 2).contiguous()
        return self._fractions[size]

    def of(self, first: int, stop: int) -> ConceptMasks:
        """The masks of images `first` up to and without `stop` alone; one for all layers that ask in turn."""
        if self._part is None or self._part[0] != (first, stop):
            some = self._places(first, stop)
            masks = self._masks.part(some) if isinstance(self._masks, Divisible) else self._masks[some].clone()
            self._part = (first, stop), ConceptMasks(masks, first)
        return self._part[1]

    def _places(self, first: int, stop: int) -> slice:
        """Where the masks of images `first` up to and without `stop` are; of fewer, where some have none."""
        return slice(max(first - self._start, 0), max(stop - self._start, 0))

    def _read(self, first: int, count: int) -> Tensor:
        masks = self._masks[self._places(first, first + count)]
        if masks.ndim != 4 or len(masks) != count:
            raise InputError(
                f"masks of shape {tuple(masks.shape)} for images {first} to {first + count - 1}; "
                "give [images, concepts, height, width] for all images of the set"
            )
        masks = masks.detach().cpu()
        if masks.dtype != torch.bool and masks.numel() and not (masks.min() >= 0 and masks.max() <= 1):
            raise InputError(f"masks of {float(masks.min()):g} to {float(masks.max()):g}; give booleans or fractions")
        return masks
