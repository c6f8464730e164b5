"""The range of each unit's values: what a pilot over a few images finds out, so that a histogram knows its bins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from layerscope.capture.positions import Units
from layerscope.passes.base import Accumulator, Arrays, flattened

_NARROWEST = 2.0**-10  # width of the range of a unit that always gave one value, in parts of it or of 1


@dataclass(frozen=True)
class Extent:
    """The smallest and largest value of each unit: float [units]."""

    low: Tensor
    high: Tensor

    def raised(self, by: float = 0.5) -> Extent:
        """With room above for images that the pilot did not have: higher by a share of the width, never empty.

        The low end stays, so that the zero of a rectified unit begins the first bin instead of lying inside of one.
        """
        least = torch.maximum(self.low.abs(), self.high.abs()).clamp(min=1) * _NARROWEST
        width = torch.maximum(self.high - self.low, least)
        return Extent(self.low, self.low + width * (1 + by))


class Range(Accumulator[Extent]):
    """Per unit the smallest and the largest value at any position of any image."""

    KEPT: ClassVar[Mapping[str, int | None]] = {"low": 0, "high": 0}

    def update(self, units: Units, first: int) -> None:
        self._take({"low": flattened(units).values.amin((0, 2)).cpu(), "high": flattened(units).maxima.amax(0).cpu()})

    def compute(self) -> Extent:
        kept = self._seen()
        return Extent(kept["low"].clone(), kept["high"].clone())

    def _join(self, other: Arrays) -> None:
        kept = self._kept
        self._kept = {
            "low": torch.minimum(kept["low"], other["low"]),
            "high": torch.maximum(kept["high"], other["high"]),
        }
