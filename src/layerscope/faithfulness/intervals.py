"""Means over images with their intervals, by bootstrap over the images (Efron 1979)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

BOOTSTRAPS = 2000
LEVEL = 0.95


@dataclass(frozen=True)
class Mean:
    """A mean over images. low, high: its 95 % interval. images: how many it is of."""

    value: float
    low: float
    high: float
    images: int

    def overlaps(self, other: Mean) -> bool:
        """Whether the two intervals share a point."""
        return self.low <= other.high and other.low <= self.high

    def facts(self) -> dict[str, float | int]:
        """As JSON, to four decimals of its size."""
        numbers = {name: float(f"{getattr(self, name):.4g}") for name in ("value", "low", "high")}
        return {**numbers, "images": self.images}


def mean_over_images(values: ArrayLike, seed: int = 0) -> Mean | None:
    """The mean of one value per image [images], with the percentile interval of BOOTSTRAPS draws of as many images.

    NaN stands for an image on which nothing could be measured, and is left out. None for fewer than two others: of one
    image there is no interval. The same values give the same interval.
    """
    known = np.asarray(values, np.float64)
    known = known[~np.isnan(known)]
    if len(known) < 2:
        return None
    drawn = np.random.default_rng(seed).integers(len(known), size=(BOOTSTRAPS, len(known)))
    low, high = np.quantile(known[drawn].mean(1), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Mean(float(known.mean()), float(low), float(high), len(known))
