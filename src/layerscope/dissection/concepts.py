"""How well single units mark concepts: overlap with masks, area under the ROC curve, and configuration.

Overlap: Bau et al. 2017, with the threshold chosen on one half of the images and scored on the other, since the
quantile that is chosen decides which concepts can win: an overlap is at most min(q, p) / max(q, p) for a unit active on
a share q of the positions and a concept on a share p. Overlap does not see configuration: a unit for wheels and one for
cars overlap alike with cars. The contrast with the same parts elsewhere tells them apart.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from scipy.special import ndtri
from scipy.stats import rankdata
from torch import Tensor

from layerscope.errors import InputError

Statistic = Callable[[Tensor], Tensor]
"""From the labels of images [images, concepts, ...] to a value [units, concepts], the larger the more alike."""


class OverlapCounts(Protocol):
    """Areas over one set of images, in positions of the layer's map, at several thresholds of each unit."""

    @property
    def intersection(self) -> Tensor:
        """[concepts, units, thresholds]: where a unit is active, how much of it the concept covers."""
        ...

    @property
    def active(self) -> Tensor:
        """[units, thresholds], or as `intersection`: how many positions are above the threshold."""
        ...

    @property
    def labelled(self) -> Tensor:
        """[concepts], or as `intersection`: how many positions the concept covers."""
        ...


@dataclass(frozen=True, eq=False)
class Overlaps:
    """Overlap (IoU) of each unit with each concept, float64 [units, concepts] each.

    Attributes:
        iou: on images that had no say in the threshold.
        threshold: int64, which of the thresholds was best on the other images.
        ceiling: the largest IoU that areas of this size can have.
    """

    iou: Tensor
    threshold: Tensor
    ceiling: Tensor

    @property
    def of_ceiling(self) -> Tensor:
        """IoU as a share of its ceiling; 0 where the ceiling is 0."""
        return _ratio(self.iou, self.ceiling)


@dataclass(frozen=True, eq=False)
class Contrast:
    """How well each unit tells images from their twins, float64 [units] each.

    Attributes:
        auc: probability that a unit is stronger on an image than on a twin; 0.5 is no difference.
        low, high: interval of the AUC.
        p: of an AUC this large where images and their twins may change places.
    """

    auc: Tensor
    low: Tensor
    high: Tensor
    p: Tensor


def overlaps(choice: OverlapCounts, score: OverlapCounts) -> Overlaps:
    """IoU with the threshold chosen on the images of `choice` and scored on those of `score`, per unit and concept.

    IoU is 0 where neither a unit nor a concept covers anything. Raises InputError for counts that do not fit.
    """
    _check_counts(choice, score)
    chosen = _iou(choice).argmax(2, keepdim=True)
    active, labelled = _areas(score)
    values = (_iou(score), _ratio(torch.minimum(active, labelled), torch.maximum(active, labelled)))
    iou, ceiling = (value.expand(score.intersection.shape).gather(2, chosen)[..., 0].T for value in values)
    return Overlaps(iou.contiguous(), chosen[..., 0].T.contiguous(), ceiling.contiguous())


def overlap_of(active: Tensor) -> Statistic:
    """IoU with labels, as a function of the labels: for permutations.

    `active`: bool [images, units, positions]. The labels: [images, concepts, positions], shares in [0, 1] of each
    position. Holds 4 bytes for each unit, image and position.
    """
    if active.ndim != 3:
        raise InputError(f"active of shape {tuple(active.shape)}; give [images, units, positions]")
    on = active.detach().cpu().float().transpose(0, 1).flatten(1)
    area = on.sum(1, dtype=torch.float64)[:, None]

    def overlap(labels: Tensor) -> Tensor:
        if labels.ndim != 3 or labels.shape[0] != len(active) or labels.shape[2] != active.shape[2]:
            raise InputError(f"labels of shape {tuple(labels.shape)} for units of shape {tuple(active.shape)}")
        covered = labels.detach().cpu().float().transpose(0, 1).flatten(1)
        both = (on @ covered.T).double()
        return _ratio(both, area + covered.sum(1, dtype=torch.float64) - both)

    return overlap


def auc(responses: Tensor, positive: Tensor) -> Tensor:
    """Area under the ROC curve, float64 [units, concepts]: P(stronger on an image with it than without), ties half.

    `responses`: [images, units]; `positive`: bool [images, concepts]. Raises InputError where a concept is in all
    images or in none.
    """
    return auc_of(responses)(positive)


def auc_of(responses: Tensor) -> Statistic:
    """The AUC of responses [images, units], as a function of the labels: for permutations. See `auc`."""
    ranks = torch.from_numpy(rankdata(_responses(responses).numpy(), axis=0))

    def area(positive: Tensor) -> Tensor:
        on = _both_kinds(positive, len(ranks))
        have = on.sum(0)
        return (ranks.T @ on - have * (have + 1) / 2) / (have * (len(on) - have))

    return area


def selectivity_of(responses: Tensor) -> Statistic:
    """Class selectivity (Morcos et al. 2018), as a function of the classes: (mean within - mean of the others) / sum.

    `responses`: [images, units], never below 0, such as after a ReLU. The classes: bool [images, classes]. 1 is a unit
    that is silent on all other images, 0 one that does not care, or is dead. Says nothing about how many images of the
    class it responds to: show the `hit_rate` beside it. Raises InputError for responses below 0.
    """
    values = _responses(responses)
    if bool((values < 0).any()):
        raise InputError("responses below 0 have no class selectivity; take those after a ReLU")

    def selectivity(classes: Tensor) -> Tensor:
        on = _both_kinds(classes, len(values))
        inside, outside = values.T @ on / on.sum(0), values.T @ (1 - on) / (1 - on).sum(0)
        return (inside - outside) / (inside + outside).clamp(min=torch.finfo(torch.float64).tiny)

    return selectivity


def hit_rate(responses: Tensor, classes: Tensor, false_alarms: float = 0.01) -> Tensor:
    """float64 [units, classes]: on what share of a class's images a unit is above all but 1 % of the other images.

    `responses`: [images, units]; `classes`: bool [images, classes]. Raises InputError as `auc`.
    """
    values, on = _responses(responses), _both_kinds(classes, len(responses)).bool()
    if not 0 <= false_alarms < 1:
        raise InputError(f"false_alarms={false_alarms}; a share of the other images lies between 0 and 1")
    rates = []
    for members in on.T:
        others = values[~members].sort(dim=0, descending=True).values
        rates.append((values[members] > others[int(false_alarms * len(others))]).double().mean(0))
    return torch.stack(rates, 1)


def contrast(intact: Tensor, twins: Tensor, permutations: int = 999, seed: int = 0, level: float = 0.95) -> Contrast:
    """How well units tell images from twins of them, such as the same parts in other places.

    `intact`, `twins`: responses [images, units]; row i of both is the same scene. The AUC compares each image with each
    twin. Its interval is that of DeLong et al. 1988, with the covariance within pairs (a point where the AUC is 0 or
    1); p is of swaps within pairs, and asks whether a unit prefers what is intact. Raises InputError for shapes that
    differ, or fewer than 2 pairs.
    """
    if intact.shape != twins.shape or intact.ndim != 2 or len(intact) < 2:
        raise InputError(
            f"{tuple(intact.shape)} and {tuple(twins.shape)}; give both as [images, units], 2 images or more"
        )
    if permutations < 1:
        raise InputError(f"permutations={permutations}; at least 1 is needed")
    n = len(intact)
    first, second = (values.detach().cpu().double().numpy() for values in (intact, twins))
    ranks = torch.from_numpy(rankdata(np.concatenate([first, second]), axis=0))
    within = [torch.from_numpy(rankdata(values, axis=0)) for values in (first, second)]
    # of each image the share of the twins below it, and of each twin the share of the images above it
    above, below = (ranks[:n] - within[0]) / n, 1 - (ranks[n:] - within[1]) / n
    area = above.mean(0)
    half = float(ndtri(0.5 + level / 2)) * ((above + below).std(0) / n**0.5)
    swapped = torch.rand(permutations, n, generator=torch.Generator().manual_seed(seed)) < 0.5
    change = swapped.double() @ (ranks[n:] - ranks[:n])  # of the sum of ranks, by swaps
    p = (1 + (change >= 0).sum(0)).double() / (permutations + 1)
    return Contrast(area, (area - half).clamp(0, 1), (area + half).clamp(0, 1), p)


def _responses(responses: Tensor) -> Tensor:
    if responses.ndim != 2 or not bool(responses.isfinite().all()):
        raise InputError(f"responses of shape {tuple(responses.shape)}; give finite numbers [images, units]")
    return responses.detach().to("cpu", torch.float64)


def _both_kinds(positive: Tensor, images: int) -> Tensor:
    """float64 [images, concepts], each concept in some of the images and not in all."""
    if positive.ndim != 2 or len(positive) != images:
        raise InputError(f"labels of shape {tuple(positive.shape)}; give [{images} images, concepts]")
    on = positive.detach().to("cpu", torch.float64)
    have = on.sum(0)
    if bool(((have == 0) | (have == images)).any()):
        raise InputError(f"concepts in none or all of the {images} images cannot be told apart; leave them out")
    return on


def _iou(counts: OverlapCounts) -> Tensor:
    active, labelled = _areas(counts)
    both = counts.intersection.detach().cpu().double()
    return _ratio(both, active + labelled - both)


def _areas(counts: OverlapCounts) -> tuple[Tensor, Tensor]:
    """Both so that they broadcast to [concepts, units, thresholds]."""
    active, labelled = (area.detach().cpu().double() for area in (counts.active, counts.labelled))
    return active if active.ndim == 3 else active[None], labelled if labelled.ndim == 3 else labelled[:, None, None]


def _ratio(over: Tensor, under: Tensor) -> Tensor:
    return torch.where(under > 0, over / under.clamp(min=torch.finfo(torch.float64).tiny), 0.0)


def _check_counts(*all_counts: OverlapCounts) -> None:
    shape = all_counts[0].intersection.shape
    for counts in all_counts:
        active, labelled = _areas(counts)
        fits = active.shape[-2:] == shape[-2:] and labelled.shape[0] in (1, shape[0])
        if len(shape) != 3 or counts.intersection.shape != shape or not fits:
            raise InputError(
                f"intersection of shape {tuple(counts.intersection.shape)}, active {tuple(counts.active.shape)}, "
                f"labelled {tuple(counts.labelled.shape)}; both halves need [concepts, units, thresholds]"
            )
