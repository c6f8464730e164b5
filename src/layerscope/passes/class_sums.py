"""What each unit gives for the images of each class: what class selectivity is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from layerscope.capture.positions import Units
from layerscope.errors import InputError
from layerscope.passes.base import Accumulator, Arrays, digest, flattened


@dataclass(frozen=True)
class ClassMeans:
    """Means over the images of each class; NaN for a class of which no image was seen.

    Attributes:
        counts: images of each class, int64 [classes].
        means: of each unit's mean over positions, float64 [classes, units].
        maxima: of each unit's maximum over positions, float64 [classes, units].
    """

    counts: Tensor
    means: Tensor
    maxima: Tensor


class ClassSums(Accumulator[ClassMeans]):
    """Per class and unit the sums over images of the unit's mean and of its maximum over positions.

    `labels`: the class of each image of the whole set, int [images]; images of class -1 are left out. `classes`: how
    many there are, default the largest label and one. Raises InputError for other labels, and for an image beyond them.
    """

    KEPT: ClassVar[Mapping[str, int | None]] = {"counts": None, "means": 1, "maxima": 1}

    def __init__(self, labels: Tensor, classes: int | None = None) -> None:
        super().__init__()
        if labels.ndim != 1 or not len(labels) or labels.is_floating_point():
            raise InputError(f"labels of shape {tuple(labels.shape)}, {labels.dtype}; give one whole number per image")
        self.labels = labels.detach().cpu().long()
        self.classes = int(self.labels.max()) + 1 if classes is None else classes
        if self.classes < 1 or self.labels.min() < -1 or self.labels.max() >= self.classes:
            raise InputError(
                f"labels {int(self.labels.min())} to {int(self.labels.max())} for {self.classes} classes; "
                f"give 0 to {self.classes - 1}, or -1 for an image of no class"
            )

    def update(self, units: Units, first: int) -> None:
        labels = self.labels[first : first + len(units)]
        if len(labels) < len(units):
            raise InputError(
                f"image {first + len(units) - 1} has no label; there are {len(self.labels)}: give one each"
            )
        flat, known = flattened(units), labels >= 0
        chosen = labels[known]
        new = {"counts": torch.bincount(chosen, minlength=self.classes)}
        for name, values in (("means", flat.means), ("maxima", flat.maxima)):
            sums = torch.zeros(self.classes, units.shape[1], dtype=torch.float64)
            new[name] = sums.index_add_(0, chosen, values.cpu().double()[known])
        self._take(new)

    def compute(self) -> ClassMeans:
        kept = self._seen()
        counts = kept["counts"].clone()
        return ClassMeans(counts, *(kept[name] / counts[:, None] for name in ("means", "maxima")))

    def _join(self, other: Arrays) -> None:
        for name in self.KEPT:
            self._kept[name] += other[name]

    def _settings(self) -> dict[str, Any]:
        return {"classes": self.classes, "labels": digest(self.labels)}
