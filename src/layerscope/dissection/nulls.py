"""What a measure of units would say if there were nothing to say: permuted images, and networks with random weights.

Two questions, and a unit has to pass both. Permutations of images ask whether a unit responds to a concept at all; most
units of an untrained network do, since a random filter for red does respond to red. Twins with random weights ask
whether it does so more than untrained units do. Each null is corrected for the best of many concepts being picked: the
statistic is the maximum over concepts of studentised values (Westfall and Young 1993), since a quantile per concept
lets a fifth of the units of random networks through.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
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
    """Whether units exceed those of random-weight twins.

    Attributes:
        statistic: float64 [units], standard deviations of the twins' units above their mean, for the concept for which
            that is most.
        strongest: int64 [units], that concept.
        threshold: the quantile of the same statistic over all units of the twins.
        p: float64 [units], share of the twins' units with a statistic as large, the unit itself counted.
        passes: bool [units], statistic above threshold.
        held_out: bool [twins, units], which units of each twin pass against the other twins alone: nothing was learned
            there, so whatever passes is false.
        quantile: of the threshold.
    """

    statistic: Tensor
    strongest: Tensor
    threshold: float
    p: Tensor
    passes: Tensor
    held_out: Tensor
    quantile: float

    @property
    def held_out_rate(self) -> float:
        """Share of the units of left-out twins that pass; 1 - quantile is promised."""
        return float(self.held_out.double().mean())

    @property
    def holds(self) -> bool:
        """Whether left-out twins pass at most twice as often as promised; where not, more twins are needed."""
        return self.held_out_rate <= 2 * (1 - self.quantile) + 1e-12


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


def twin_threshold(values: Tensor, twins: Tensor, quantile: float = 0.99) -> TwinNull:
    """Compare units' values [units, concepts], the larger the more alike, with those of twins [twins, units, concepts].

    The threshold is the k-th smallest of n twin units with k = (n + 1) quantile rounded up, at most n, so that an
    exchangeable unit passes with probability at most 1 - quantile where n is large enough for it. Units of one twin are
    less different than units of several, so look at the held-out rate. Raises InputError for values that are not
    finite, shapes that do not fit, or fewer than 2 twins.
    """
    if values.ndim != 2 or twins.ndim != 3 or twins.shape[2] != values.shape[1] or not twins.numel():
        raise InputError(
            f"values of shape {tuple(values.shape)} and twins {tuple(twins.shape)}; "
            "give [units, concepts] and [twins, units, concepts] of the same concepts"
        )
    if len(twins) < 2:
        raise InputError(f"{len(twins)} twin; at least 2 are needed, so that one can be held out against the others")
    if not 0 < quantile < 1:
        raise InputError(f"quantile={quantile}; it lies between 0 and 1, such as 0.99")
    own, null = _finite(values), _finite(twins)
    threshold, maxima = _threshold(null, quantile)
    evidence = _evidence(own, null)
    statistic, strongest = evidence.max(1)
    held_out = torch.stack([_passes_the_others(null, left_out, quantile) for left_out in range(len(null))])
    p = _rank_p(statistic, maxima)
    return TwinNull(statistic, strongest, threshold, p, statistic > threshold, held_out, quantile)


def twin_evidence(values: Tensor, twins: Tensor) -> Tensor:
    """float64 [units, concepts]: how many standard deviations of the twins' units each value is above their mean.

    `twins`: [twins, units, concepts]. A deviation counts for at least a tenth of the mean one over concepts.
    """
    return _evidence(_finite(values), _finite(twins))


def _evidence(values: Tensor, twins: Tensor) -> Tensor:
    units = twins.flatten(0, 1)
    deviation = units.std(0) if len(units) > 1 else torch.zeros_like(units[0])
    deviation = deviation.clamp(min=max(STEADY * float(deviation.mean()), torch.finfo(torch.float64).tiny))
    return (values - units.mean(0)) / deviation


def _threshold(twins: Tensor, quantile: float) -> tuple[float, Tensor]:
    maxima = _evidence(twins.flatten(0, 1), twins).amax(1)
    at = min(len(maxima), math.ceil((len(maxima) + 1) * quantile - 1e-9))
    return float(maxima.sort().values[at - 1]), maxima


def _passes_the_others(twins: Tensor, left_out: int, quantile: float) -> Tensor:
    others = torch.cat([twins[:left_out], twins[left_out + 1 :]])
    return _evidence(twins[left_out], others).amax(1) > _threshold(others, quantile)[0]


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
