"""What counts as found among many units, and how sure a share of them is.

False discovery rate: Benjamini and Hochberg 1995. Interval of a share: Wilson 1927. Interval of the difference of two
shares: Newcombe 1998, method 10.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import ndtri
from scipy.stats import false_discovery_control
from scipy.stats import t as student
from torch import Tensor

from layerscope.errors import InputError

POOLED_FREEDOM = 8
"""Degrees of freedom of a correlation that a few twins tell in all their layers, which are no independent draws."""


@dataclass(frozen=True, eq=False)
class Discoveries:
    """Which of many tests hold at a false discovery rate.

    Attributes:
        adjusted: float64 [tests], the lowest rate at which each test would hold.
        found: bool [tests], those that hold at the rate asked for.
    """

    adjusted: Tensor
    found: Tensor


@dataclass(frozen=True)
class Interval:
    """A value and the interval in which it lies at the level asked for."""

    value: float
    low: float
    high: float

    @property
    def covers_zero(self) -> bool:
        return self.low <= 0 <= self.high


def benjamini_hochberg(p: Tensor, rate: float = 0.05) -> Discoveries:
    """Of p values [tests] those that are found when at most a share `rate` of what is found may be chance.

    Holds for tests that are independent or positively dependent. Raises InputError for values outside [0, 1].
    """
    values = p.detach().to("cpu", torch.float64)
    if values.ndim != 1 or not bool(((values >= 0) & (values <= 1)).all()):
        raise InputError(f"p of shape {tuple(p.shape)} with values outside [0, 1]; give one row of p values")
    if not 0 < rate < 1:
        raise InputError(f"rate={rate}; a false discovery rate lies between 0 and 1")
    adjusted = torch.from_numpy(np.asarray(false_discovery_control(values.numpy()))) if len(values) else values
    return Discoveries(adjusted, adjusted <= rate)


def wilson(successes: float, n: float, level: float = 0.95) -> Interval:
    """The share successes / n and its Wilson score interval; neither has to be a whole number (effective sizes).

    Raises InputError unless 0 <= successes <= n and n > 0.
    """
    if not (n > 0 and 0 <= successes <= n):
        raise InputError(
            f"{successes} of {n}; a share needs at least one of which to count, and no more than there are"
        )
    return _wilson(successes / n, n, _quantile(level))


def _wilson(share: float, n: float, z: float) -> Interval:
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * (share * (1 - share) / n + z * z / (4 * n * n)) ** 0.5
    # at the ends the formula is exact but for rounding
    low = 0.0 if share == 0 else middle - half
    high = 1.0 if share == 1 else middle + half
    return Interval(share, low, high)


def net_share(
    found: int, units: int, twins: Sequence[int], level: float = 0.95, *, correlation: float | None = None
) -> Interval:
    """The share of units beyond that of random twins: (s - s0) / (1 - s0), 0 where the twins have as much.

    `found` of `units` units of the network; `twins`: how many of as many units each twin has. Units of one network are
    no independent draws: where the twins' shares differ by more than chance, both sample sizes are divided by that
    factor (the design effect). A few twins hardly tell that factor, so where many intervals have to hold together give
    the `correlation` of units that all layers tell (`unit_correlation`): the factor is then at least what follows from
    it, and quantiles are those of Student's t. The value is 0 for sure where each unit of the twins passes: nothing can
    be beyond it. Raises InputError for counts that are not between 0 and `units`, or for no twins.
    """
    if not twins:
        raise InputError("no twins given, so there is nothing that a share could be beyond; give at least one")
    own, theirs = wilson(found, units), [wilson(count, units).value for count in twins]
    base = float(np.mean(theirs))
    if base == 1:
        return Interval(0.0, 0.0, 0.0)
    effect, z = design_effect(theirs, units), _quantile(level)
    if correlation is not None:
        effect = max(effect, 1 + (units - 1) * correlation)
        z = float(student.ppf(0.5 + level / 2, max(POOLED_FREEDOM, len(twins) - 1)))
    size = units / effect
    ours, their = _wilson(own.value, size, z), _wilson(base, size * len(twins), z)
    difference = own.value - base
    low = difference - float(np.hypot(own.value - ours.low, their.high - base))
    high = difference + float(np.hypot(ours.high - own.value, base - their.low))
    return Interval(difference / (1 - base), low / (1 - base), min(high / (1 - base), 1.0))


def design_effect(shares: Sequence[float], units: int) -> float:
    """By how much shares among `units` units differ from network to network more than for independent units; >= 1."""
    base = float(np.mean(shares))
    chance = base * (1 - base) / units
    return max(1.0, float(np.var(shares, ddof=1)) / chance) if len(shares) > 1 and chance > 0 else 1.0


def unit_correlation(layers: Iterable[tuple[int, Sequence[int]]]) -> float:
    """How alike the units of one random network are, in 0 to 1: of each layer the units, and how many each twin has.

    The share of the variance of a label that lies between networks rather than between their units (intraclass
    correlation), pooled over the layers: sum of var(share) - p (1 - p) / n over sum of p (1 - p) (1 - 1 / n).
    """
    between, whole = 0.0, 0.0
    for units, twins in layers:
        shares = np.asarray(twins) / units
        p = float(shares.mean())
        if len(shares) > 1:
            between += float(np.var(shares, ddof=1)) - p * (1 - p) / units
            whole += p * (1 - p) * (1 - 1 / units)
    return min(max(between / whole, 0.0), 1.0) if whole > 0 else 0.0


def each_of(intervals: int, level: float = 0.95) -> float:
    """The level of each of so many intervals with which all of them hold together at `level` (Bonferroni)."""
    return 1 - (1 - level) / intervals


def _quantile(level: float) -> float:
    if not 0 < level < 1:
        raise InputError(f"level={level}; a level of confidence lies between 0 and 1, such as 0.95")
    return float(ndtri(0.5 + level / 2))
