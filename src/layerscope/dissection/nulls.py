"""What a measure of units would say if there were nothing to say: permuted images, and networks with random weights.

Two questions, and a unit has to pass both. Permutations of images ask whether a unit responds to a concept at all; most
units of an untrained network do, since a random filter for red does respond to red. Twins with random weights ask
whether it does so more than untrained units do. Each null is corrected for the best of many concepts being picked: the
statistic is the maximum over concepts of studentised values (Westfall and Young 1993), since a quantile per concept
lets a fifth of the units of random networks through.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from layerscope.dissection.concepts import Statistic
from layerscope.errors import InputError

STEADY = 0.1
"""Of the mean standard deviation over concepts: the least that a concept's counts for (Tusher et al. 2001). Where all
units of the twins have the same value, a difference in the last digit would be infinitely many deviations."""
_ROUNDING = 1e-6


@dataclass(frozen=True, eq=False)
class PermutationNull:
    """Whether units respond to concepts, against the same images with their labels permuted.

    Attributes:
        evidence: float32 [units, concepts], standard deviations above the mean of the permutations.
        strongest: int64 [units], the concept with the most evidence.
        p: float64 [units], corrected for the choice among concepts; exact, and never below 1 / (permutations + 1).
        pooled_p: float64 [units], against the permutations of all units together (Storey and Tibshirani 2003): finer by
            as many units as there are. Few found among many units need it, since the false discovery rate of k finds
            among n units asks for p <= rate k / n. It takes the studentised maxima of all units to be alike.
    """

    evidence: Tensor
    strongest: Tensor
    p: Tensor
    pooled_p: Tensor


@dataclass(frozen=True, eq=False)
class TwinNull:
    """What the units of random-weight twins show, made once by `of`, as a measure for the units of others.

    Attributes:
        mean, deviation: float64 [concepts], over all units of the twins; a deviation is at least a tenth of their mean.
        maxima: float64 [twin units], sorted: how many deviations each is above the mean, for its best concept.
        threshold: the quantile of these.
    """

    mean: Tensor
    deviation: Tensor
    maxima: Tensor
    threshold: float

    @classmethod
    def of(cls, twins: Tensor, quantile: float = 0.99) -> TwinNull:
        """From values [twins, units, concepts], the larger the more alike.

        The threshold stands at (n + 1) quantile of the n sorted maxima, between two of them or at the last one, so that
        an exchangeable unit passes with probability 1 - quantile, whatever n is, if it is large enough for that. Units
        of one twin are less different than those of several, so hold twins out and look. Raises InputError for values
        that are not finite, or fewer than 2 twins.
        """
        if twins.ndim != 3 or not twins.numel() or len(twins) < 2:
            raise InputError(
                f"twins of shape {tuple(twins.shape)}; give [twins, units, concepts] of 2 twins or more, so that one "
                "can be held out against the others"
            )
        units = _finite(twins).flatten(0, 1)
        deviation = units.std(0)
        deviation = deviation.clamp(min=max(STEADY * float(deviation.mean()), torch.finfo(torch.float64).tiny))
        mean = units.mean(0)
        maxima = ((units - mean) / deviation).amax(1).sort().values
        return cls(mean, deviation, maxima, upper_limit(maxima.numpy(), quantile))

    def evidence(self, values: Tensor) -> Tensor:
        """float64 [units, concepts]: how many deviations each value is above the mean. Raises InputError for values
        [units, concepts] that are not finite or of other concepts."""
        if values.ndim != 2 or values.shape[1:] != self.mean.shape:
            raise InputError(
                f"values of shape {tuple(values.shape)}; give [units, concepts] of the twins' {len(self.mean)} concepts"
            )
        return (_finite(values) - self.mean) / self.deviation

    def passes(self, values: Tensor) -> Tensor:
        """bool [units]: which units exceed the threshold with their best concept."""
        return self.evidence(values).amax(1) > self.threshold

    def p(self, values: Tensor) -> Tensor:
        """float64 [units]: share of the twins' units with as much evidence, the unit itself counted."""
        return _rank_p(self.evidence(values).amax(1), self.maxima)


def upper_limit(values: NDArray[np.float64], quantile: float) -> float:
    """The value that an exchangeable one exceeds with probability 1 - quantile (Weibull's position). Raises InputError
    for a quantile that does not lie between 0 and 1."""
    if not 0 < quantile < 1:
        raise InputError(f"quantile={quantile}; it lies between 0 and 1, such as 0.99")
    return float(np.quantile(values, quantile, method="weibull"))


def permutation_null(
    statistic: Statistic, labels: Tensor, permutations: int = 200, seed: int = 0, groups: Tensor | None = None
) -> PermutationNull:
    """Compare `statistic(labels)` [units, concepts] with what it is for permuted labels.

    `labels`: [images, concepts, ...]; whole images change places, never pixels, which are no independent draws.
    `groups`: int [images]; only images of one group change places, for images that are alike by design. The observed
    value is one of the pool by which values are studentised, so that it is exchangeable with the permuted ones; without
    it the test fires too often. Keeps 4 (permutations + 1) bytes per unit and concept. Raises InputError for fewer than
    2 images or no permutations.
    """
    if len(labels) < 2 or permutations < 1:
        raise InputError(f"{len(labels)} images, {permutations} permutations; at least 2 images and 1 are needed")
    if groups is not None and groups.shape != labels.shape[:1]:
        raise InputError(f"groups of shape {tuple(groups.shape)} for {len(labels)} images; give one number per image")
    generator = torch.Generator().manual_seed(seed)
    observed = _finite(statistic(labels)).float()
    pool = observed.new_empty(permutations + 1, *observed.shape)
    pool[0] = observed
    for value in pool[1:]:
        value.copy_(statistic(labels[_shuffled(len(labels), groups, generator)]))
    mean, deviation = pool.mean(0), pool.std(0)
    same = deviation <= _ROUNDING * mean.abs() + torch.finfo(torch.float32).tiny  # nothing changes: no evidence
    pool.sub_(mean).div_(deviation.where(~same, torch.inf))
    best, strongest = pool[0].max(1)
    null = pool[1:].amax(2)
    as_large = (null >= best - _ROUNDING * best.abs()).sum(0).double()
    return PermutationNull(pool[0].clone(), strongest, (1 + as_large) / (permutations + 1), _rank_p(best, null))


def _rank_p(values: Tensor, null: Tensor) -> Tensor:
    """(1 + how many of the null are as large) / (1 + how many there are)."""
    null = null.flatten().sort().values
    below = torch.searchsorted(null, values - _ROUNDING * values.abs())
    return (1 + len(null) - below).double() / (1 + len(null))


def _shuffled(images: int, groups: Tensor | None, generator: torch.Generator) -> Tensor:
    """An order of the images; within groups, each image is replaced by one of its own group."""
    order = torch.randperm(images, generator=generator)
    if groups is None:
        return order
    # both list the images group by group, one in their order and one in a random order
    places, taken = groups.argsort(stable=True), order[groups[order].argsort(stable=True)]
    return torch.empty_like(order).scatter_(0, places, taken)


def _finite(values: Tensor) -> Tensor:
    values = values.detach().to("cpu", torch.float64)
    if not bool(values.isfinite().all()):
        raise InputError(f"{int((~values.isfinite()).sum())} values are not finite; nulls compare numbers")
    return values
