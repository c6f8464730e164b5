"""What the measures of one network say before any twin is asked: statistics of units, and whether they respond at all.

Responses are tested by permuted images (objects and parts) and by swaps within pairs (textures and configuration).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from layerscope.dissection.concepts import auc, auc_of, contrast
from layerscope.dissection.discovery import benjamini_hochberg
from layerscope.dissection.early import EarlyTuning
from layerscope.dissection.measures import LayerMeasures
from layerscope.dissection.nulls import permutation_null
from layerscope.dissection.pictures import Pictures, one_hot
from layerscope.dissection.redraws import drawn_tuning

PERMUTATIONS = 200
_SWAPS = 9_999
"""So that a few units among hundreds can be found: of k among n the false discovery rate asks for p <= rate k / n."""


@dataclass(frozen=True, eq=False)
class Configured:
    """Whether a unit cares how the parts of its own class are put together: images against twins, [units] each.

    auc: 0.5 where it does not. low, high: 95 % interval. p: by swaps within pairs.
    """

    auc: Tensor
    low: Tensor
    high: Tensor
    p: Tensor


@dataclass(frozen=True, eq=False)
class LayerScores:
    """Statistics of the units of one layer.

    Attributes:
        early: tuning to edges and colours.
        texture: float64 [units], modulation of the best family: what its structure adds to its spectrum.
        texture_p: [units], by flipped signs.
        auc: [units, classes], how well a unit's maximum tells a class from the others.
        own: int64 [units], the class that it tells best on the images that choose.
        configured: [units], images of that class against twins without their configuration.
        object_p: [units], the larger one of both questions.
        parts: [units, parts], IoU that lasts without textures; None without masks.
        part_p: [units], whether the maximum depends on any part being there.
        alive: bool [units].
    """

    early: EarlyTuning
    texture: Tensor
    texture_p: Tensor
    auc: Tensor
    own: Tensor
    configured: Configured
    object_p: Tensor
    parts: Tensor | None
    part_p: Tensor | None
    alive: Tensor

    def responds(self, rate: float = 0.05) -> dict[str, Tensor]:
        """By test, bool [units]: which units respond at all, at a false discovery rate over those that live."""
        tests = {"texture": self.texture_p, "object": self.object_p}
        if self.part_p is not None:
            tests["part"] = self.part_p
        found = {}
        for test, p in tests.items():
            found[test] = torch.zeros(len(p), dtype=torch.bool)
            found[test][self.alive] = benjamini_hochberg(p[self.alive], rate).found
        return found


def score(
    measures: LayerMeasures, pictures: Pictures, *, permutations: int = PERMUTATIONS, seed: int = 0
) -> LayerScores:
    """Statistics of one layer. Memory: 4 (permutations + 1) bytes per unit and concept."""
    half, classes = pictures.chosen, one_hot(pictures.labels, len(pictures.class_names))
    scored, tuned = measures.maxima[half:], measures.texture
    own = auc(measures.maxima[:half], classes[:half]).argmax(1)
    told = permutation_null(auc_of(scored), classes[half:], permutations, seed)
    configured = own_contrast(*compared(measures, pictures), pictures.scored_labels, own, seed=seed)
    return LayerScores(
        early=measures.early,
        texture=torch.from_numpy(tuned.best_modulation),
        texture_p=torch.from_numpy(tuned.p),
        auc=auc(scored, classes[half:]),
        own=own,
        configured=configured,
        object_p=torch.maximum(told.pooled_p, configured.p),
        parts=_parts(measures, pictures),
        part_p=_part_p(scored, pictures, permutations, seed),
        alive=measures.alive,
    )


def compared(measures: LayerMeasures, pictures: Pictures, control: int = 0) -> tuple[Tensor, Tensor]:
    """Maxima of the images that score, and of their twins of one control: [scored, units] each."""
    name = pictures.controls[control].name
    images = measures.controls.get(f"{name}/images/maxima", measures.maxima[pictures.chosen :])
    return images, measures.controls[f"{name}/twins/maxima"]


def own_contrast(
    images: Tensor, twins: Tensor, labels: Tensor, own: Tensor, *, swaps: int = _SWAPS, seed: int = 0
) -> Configured:
    """Of each unit, images of its class `own` [units] against their twins; the first three are [images, ...]."""
    found = torch.full((4, len(own)), torch.nan, dtype=torch.float64)
    for one in own.unique():
        rows, units = labels == one, own == one
        told = contrast(images[rows][:, units], twins[rows][:, units], swaps, seed)
        found[:, units] = torch.stack([told.auc, told.low, told.high, told.p])
    return Configured(*found)


def redrawn(measures: LayerMeasures, scores: LayerScores, pictures: Pictures, seed: int = 0) -> Iterator[LayerScores]:
    """The statistics for stimuli drawn anew, as often as `measures` has draws; p values stay as they are.

    Images that score are drawn within their class, and masks in blocks of images.
    """
    generator = torch.Generator().manual_seed(seed)
    labels, drawn = pictures.scored_labels, measures.draws
    scored, classes = measures.maxima[pictures.chosen :], one_hot(labels, len(pictures.class_names))
    images, twins = compared(measures, pictures)
    for draw in range(len(next(iter(drawn.values()), ()))):
        rows = _within_classes(labels, generator)
        yield replace(
            scores,
            early=drawn_tuning(measures.early, drawn, draw),
            texture=torch.from_numpy(drawn["texture_modulation"][draw]).double(),
            auc=auc(scored[rows], classes[rows]),
            configured=own_contrast(images[rows], twins[rows], labels[rows], scores.own, swaps=1),
            parts=_parts(measures, pictures, generator),
        )


def _parts(measures: LayerMeasures, pictures: Pictures, generator: torch.Generator | None = None) -> Tensor | None:
    """Lasting IoU with parts; with a generator, over blocks of images drawn anew."""
    areas = measures.areas
    if areas is None:
        return None
    count = len(areas.labelled)
    blocks = None if generator is None else torch.randint(count, (count,), generator=generator)
    return areas.lasting_iou(blocks)[:, of_category(pictures, "part")]


def _part_p(scored: Tensor, pictures: Pictures, permutations: int, seed: int) -> Tensor | None:
    """Whether maxima depend on which parts are there: a response at all, while the overlap asks whether it is there."""
    if pictures.masks is None:
        return None
    there = pictures.masks.seen()[pictures.chosen :, of_category(pictures, "part")]
    some = there[:, there.any(0) & ~there.all(0)]
    if not some.shape[1]:  # what is in every picture, or in none, tells nothing
        return torch.ones(scored.shape[1], dtype=torch.float64)
    return permutation_null(auc_of(scored), some, permutations, seed).pooled_p


def of_category(pictures: Pictures, category: str) -> Tensor:
    """The numbers of the concepts of a category."""
    return torch.tensor([at for at, one in enumerate(pictures.concepts) if one.category == category], dtype=torch.long)


def _within_classes(labels: Tensor, generator: torch.Generator) -> Tensor:
    """Numbers of images drawn with replacement, as many of each class as there are."""
    rows = torch.empty(len(labels), dtype=torch.long)
    for one in labels.unique():
        own = (labels == one).nonzero()[:, 0]
        rows[own] = own[torch.randint(len(own), (len(own),), generator=generator)]
    return rows
