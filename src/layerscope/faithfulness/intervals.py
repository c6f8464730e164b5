"""Means over images and trained networks with their intervals, by bootstrap over both (Efron 1979; Owen 2007).

The same images are shown to each network, so the two are drawn apart from each other: a crossed bootstrap.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

BOOTSTRAPS = 2000
LEVEL = 0.95
LEAST = 4
"""Images below which an interval says next to nothing: of two, it holds the mean every second time."""


@dataclass(frozen=True)
class Mean:
    """A mean over images. low, high: its 95 % interval. images: how many have a value (on one network or several)."""

    value: float
    low: float
    high: float
    images: int

    def facts(self) -> dict[str, float | int]:
        """As JSON, to four decimals of its size."""
        numbers = {name: float(f"{getattr(self, name):.4g}") for name in ("value", "low", "high")}
        return {**numbers, "images": self.images}

    @classmethod
    def of_facts(cls, facts: Mapping[str, Any]) -> Mean:
        return cls(facts["value"], facts["low"], facts["high"], facts["images"])


def mean_over_images(values: ArrayLike, seed: int = 0) -> Mean | None:
    """The mean of one value per image, with the percentile interval of BOOTSTRAPS draws of as many images.

    values: [images], or [networks, images] of several networks shown the same images, which are drawn too; the mean is
    then of the networks' values together. NaN stands for what could not be measured, and is left out. None for fewer
    than LEAST images with a value. The same values give the same interval.
    """
    table = np.atleast_2d(np.asarray(values, np.float64))
    known = ~np.isnan(table)
    table, known = table[known.any(1)][:, known.any(0)], known[known.any(1)][:, known.any(0)]
    if table.shape[1] < LEAST:
        return None
    networks, images = crossed_draws(*table.shape, seed)
    totals = (networks * (images @ np.where(known, table, 0.0).T)).sum(1)
    counts = (networks * (images @ known.T)).sum(1)
    low, high = np.quantile(totals[counts > 0] / counts[counts > 0], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Mean(float(table[known].mean()), float(low), float(high), table.shape[1])


@lru_cache(maxsize=16)
def crossed_draws(networks: int, images: int, seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How often each network and each image is in each of BOOTSTRAPS draws: [draws, networks], [draws, images].

    Any two groups that are drawn apart from each other may stand for networks and images. The same for a seed.
    """
    generator = np.random.default_rng(seed)
    counts = [generator.multinomial(size, np.full(size, 1 / size), BOOTSTRAPS) for size in (images, networks)]
    return counts[1].astype(np.float64), counts[0].astype(np.float64)
