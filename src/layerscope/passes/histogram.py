"""How often each unit has which value: integer counts, so that neither order nor sharding can change a quantile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from layerscope.capture.positions import Units
from layerscope.errors import InputError
from layerscope.passes.base import Accumulator, Arrays, digest, flattened, pieces

_MOST = 2**31 - 1  # what an int32 holds


@dataclass(frozen=True)
class Counts:
    """Values of each unit by bin.

    Attributes:
        low, high: the range of each unit, float [units]; the bins between are equally wide, and hold their lower edge.
        counts: int [units, bins + 2]; first those below the range, last those at its upper end and above.
    """

    low: Tensor
    high: Tensor
    counts: Tensor

    def quantiles(self, rates: Sequence[float]) -> Tensor:
        """Thresholds that shares `rates` of a unit's values lie above: float64 [units, rates].

        Interpolated in the bin where the rate is reached; but where that one bin holds more than the whole rate, as
        the zeros of a rectified unit do, it is its upper edge, so that no more than the rate lie above. It is the end
        of the range where the rate is reached beyond it. Raises InputError for rates that are not between 0 and 1.
        """
        if not rates or not all(0 < rate < 1 for rate in rates):
            raise InputError(f"rates={list(rates)}; give shares between 0 and 1, as 0.01")
        return torch.stack([self._quantile(rate) for rate in rates], 1)

    def _quantile(self, rate: float) -> Tensor:
        above = self.counts[:, 1:].flip(1).cumsum(1).flip(1)  # of each edge of the bins: [units, bins + 1]
        wanted = self.counts.sum(1, keepdim=True).double() * rate
        edge = (above > wanted).sum(1, keepdim=True).clamp(max=above.shape[1] - 1)  # the lowest with few enough above
        inside = self.counts.gather(1, edge)  # of the bin that ends there
        left = wanted - above.gather(1, edge)
        between = (edge > 0) & (inside > 0) & (inside <= wanted) & (left > 0)
        place = edge - torch.where(between, left / inside.clamp(min=1), 0)
        low, high = self.low.double(), self.high.double()
        return low + (high - low) * place[:, 0] / (above.shape[1] - 1)


class Histogram(Accumulator[Counts]):
    """Per unit the counts of its values in equal bins between `low` and `high`, [units] each, as of a `Range`.

    Of a map of more than `positions` places, so many are counted per image: every n-th in the order of rows, beginning
    at one that depends on the image's number alone, so that over the images all places count alike. None counts all.
    Raises InputError for ranges that are empty or not finite, and, in `update`, for activations that are no numbers.
    """

    KEPT: ClassVar[Mapping[str, int | None]] = {"counts": 0, "counted": None}

    def __init__(self, low: Tensor, high: Tensor, bins: int = 1024, positions: int | None = 128) -> None:
        super().__init__()
        if bins < 1 or (positions is not None and positions < 1):
            raise InputError(f"bins={bins}, positions={positions}; at least 1 of each is needed")
        self.low, self.high = (torch.as_tensor(end).detach().cpu() for end in (low, high))
        self.bins, self.positions = bins, positions
        self._scale = bins / (self.high - self.low)
        wrong = ~((self._scale > 0) & self._scale.isfinite())
        if wrong.any():
            unit = int(wrong.nonzero()[0])
            raise InputError(
                f"unit {unit} has the range {float(self.low[unit]):g} to {float(self.high[unit]):g}; "
                "a histogram needs finite ones that are not empty, as Range().compute().raised() gives them"
            )

    def update(self, units: Units, first: int) -> None:
        if units.shape[1] != len(self.low):
            raise InputError(
                f"{units.shape[1]} units for a histogram of {len(self.low)}; give each layer one of its own range"
            )
        rows = self._thinned(flattened(units).values, first)
        if not self._kept:
            self._kept = {"counts": torch.zeros(len(rows), self.bins + 2, dtype=torch.int32)}
            self._kept["counted"] = torch.zeros((), dtype=torch.int64)
        self._reserve(rows.shape[1])
        for values, low, scale, counts in pieces(rows, self.low, self._scale, self._kept["counts"]):
            index = self._indices(values, low.to(values)[:, None], scale.to(values)[:, None])
            counts.view(-1).scatter_add_(0, index.cpu(), counts.new_ones(()).expand_as(index))

    def compute(self) -> Counts:
        return Counts(self.low, self.high, self._seen()["counts"].clone())

    def _indices(self, values: Tensor, low: Tensor, scale: Tensor) -> Tensor:
        """The places of the values of some units among all counts of these units: int64, in the order of `values`."""
        bins = (values - low).mul_(scale).floor_().clamp_(-1, self.bins)
        if bins.sum().isnan():  # what is infinite is in the outer bins by now; what is no number is left
            raise InputError("activations that are no numbers (NaN); this network computes them for these images")
        starts = torch.arange(len(values), device=values.device)[:, None] * (self.bins + 2) + 1
        return bins.long().add_(starts).reshape(-1)  # of maps of one position the units are beside each other

    def _thinned(self, flat: Tensor, first: int) -> Tensor:
        """[units, values]: all that is counted of each unit side by side, which keeps its counts in the caches."""
        many, by_unit = flat.shape[2], flat.transpose(0, 1)
        step = 1 if self.positions is None else -(-many // self.positions)
        if step > 1:
            begin = torch.tensor([_scattered(first + image) % many for image in range(len(flat))])
            places = (begin[:, None] + torch.arange(many // step) * step) % many
            by_unit = by_unit.gather(2, places.to(flat.device).expand(len(by_unit), -1, -1))
        return by_unit.reshape(len(by_unit), -1)

    def _reserve(self, more: int) -> None:
        """Count in int64 from where one bin might hold more than int32 can."""
        self._kept["counted"] += more
        if self._kept["counted"] > _MOST:
            self._kept["counts"] = self._kept["counts"].long()

    def _join(self, other: Arrays) -> None:
        self._reserve(int(other["counted"]))
        self._kept["counts"] += other["counts"]

    def _settings(self) -> dict[str, Any]:
        return {"bins": self.bins, "positions": self.positions, "low": digest(self.low), "high": digest(self.high)}


def _scattered(number: int) -> int:
    """A number that has nothing to do with the order: Fibonacci hashing (Knuth, TAOCP 3, 6.4)."""
    return (number * 2654435769 % 2**32) >> 8
