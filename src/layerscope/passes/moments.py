"""Mean, variance and activity of each unit over all positions of all images, in one pass.

Batches are joined by the pairwise update of Chan, Golub and LeVeque (1979), which loses no digits to a large mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from layerscope.capture.positions import Units
from layerscope.passes.base import Accumulator, Arrays, flattened, pieces


@dataclass(frozen=True)
class Statistics:
    """What the values of each unit are like.

    Attributes:
        count: positions in all images.
        mean, variance: float64 [units]; the variance is that of the values at hand (divided by `count`).
        active: share of the values above 0, float64 [units].
    """

    count: int
    mean: Tensor
    variance: Tensor
    active: Tensor


class Moments(Accumulator[Statistics]):
    """Per unit the count, mean, variance and share above 0 of its values at all positions.

    Within an image sums are of the activations' own precision; from image to image they are float64.
    """

    KEPT: ClassVar[Mapping[str, int | None]] = {"count": None, "mean": 0, "squares": 0, "active": 0}

    def update(self, units: Units, first: int) -> None:
        flat = flattened(units)
        parts = [_sums(values, means) for values, means in pieces(flat.values, flat.means)]
        active, spread = (torch.cat(part).cpu().double() for part in zip(*parts, strict=True))
        means = flat.means.cpu().double()
        mean = means.mean(0)
        between = (means - mean).square().sum(0) * flat.values.shape[2]
        count = torch.tensor(flat.values[:, 0].numel())
        squares = spread.square().sum(0) + between
        self._take({"count": count, "mean": mean, "squares": squares, "active": active.sum(0).long()})

    def compute(self) -> Statistics:
        kept = self._seen()
        count = int(kept["count"])
        return Statistics(count, kept["mean"].clone(), kept["squares"] / count, kept["active"].double() / count)

    def _join(self, other: Arrays) -> None:
        self._kept = _together(self._kept, other)


def _sums(flat: Tensor, means: Tensor) -> tuple[Tensor, Tensor]:
    """Of each image and unit: how many values are above 0, and the root of the summed squared distances to the mean."""
    scratch = torch.empty_like(flat)
    active = torch.gt(flat, 0, out=scratch).sum(2)  # as numbers: sums of booleans take four times as long
    return active, torch.linalg.vector_norm(torch.sub(flat, means[..., None], out=scratch), dim=2)


def _together(one: Arrays, other: Arrays) -> Arrays:
    """What is known of two groups of values, as one group."""
    count = one["count"] + other["count"]
    share = int(other["count"]) / int(count)  # as tensors they would be divided in float32
    apart = other["mean"] - one["mean"]
    mean = one["mean"] + apart * share
    squares = one["squares"] + other["squares"] + apart.square() * (int(one["count"]) * share)
    return {"count": count, "mean": mean, "squares": squares, "active": one["active"] + other["active"]}
