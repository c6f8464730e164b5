"""What counts as found among many units, and how sure a share of them is.

False discovery rate: Benjamini and Hochberg 1995. Interval of a share: Wilson 1927. Interval of the difference of two
shares: Newcombe 1998, method 10.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import ndtri
from scipy.stats import false_discovery_control
from torch import Tensor

from layerscope.errors import InputError


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
    share, z = successes / n, _quantile(level)
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * (share * (1 - share) / n + z * z / (4 * n * n)) ** 0.5
    # at the ends the formula is exact but for rounding
    low = 0.0 if successes == 0 else middle - half
    high = 1.0 if successes == n else middle + half
    return Interval(share, low, high)


def net_share(found: int, units: int, twins: Sequence[int], level: float = 0.95) -> Interval:
    """The share of units beyond that of random twins: (s - s0) / (1 - s0), 0 where the twins have as much.

    `found` of `units` units of the network; `twins`: how many of as many units each twin has. Units of one network are
    no independent draws: where the twins' shares differ by more than chance, both sample sizes are divided by that
    factor (the design effect). The value is 0 for sure where each unit of the twins passes: nothing can be beyond it.
    Raises InputError for counts that are not between 0 and `units`, or for no twins.
    """
    if not twins:
        raise InputError("no twins given, so there is nothing that a share could be beyond; give at least one")
    own, theirs = wilson(found, units), [wilson(count, units).value for count in twins]
    base = float(np.mean(theirs))
    if base == 1:
        return Interval(0.0, 0.0, 0.0)
    size = units / design_effect(theirs, units)
    ours = wilson(own.value * size, size, level)
    their = wilson(base * size * len(twins), size * len(twins), level)
    difference = own.value - base
    low = difference - float(np.hypot(own.value - ours.low, their.high - base))
    high = difference + float(np.hypot(ours.high - own.value, base - their.low))
    return Interval(difference / (1 - base), low / (1 - base), min(high / (1 - base), 1.0))


def design_effect(shares: Sequence[float], units: int) -> float:
    """By how much shares among `units` units differ from network to network more than for independent units; >= 1."""
    base = float(np.mean(shares))
    chance = base * (1 - base) / units
    return max(1.0, float(np.var(shares, ddof=1)) / chance) if len(shares) > 1 and chance > 0 else 1.0


def _quantile(level: float) -> float:
    if not 0 < level < 1:
        raise InputError(f"level={level}; a level of confidence lies between 0 and 1, such as 0.95")
    return float(ndtri(0.5 + level / 2))
