"""How far the places where a unit is strong overlap with each concept: intersection over union of masks.

After Network Dissection (Bau et al. 2017), but at the map's own resolution: instead of enlarging activations to the
size of the masks, each mask is averaged over the cell of the map, and a position counts the fraction of its cell.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from scipy.sparse import csr_array
from torch import Tensor

from layerscope.capture.positions import Units, grid_of
from layerscope.errors import InputError
from layerscope.passes.base import Accumulator, Arrays, digest, flattened
from layerscope.passes.masks import ConceptMasks

_PIECE = 2**20  # values at a time: more take more memory, fewer spend the time on adding up counts


@dataclass(frozen=True)
class Overlaps:
    """Areas in positions of the map, summed over all images.

    Attributes:
        intersection: where a unit is above a threshold and a concept is, float64 [units, thresholds, concepts].
        active: where a unit is above a threshold, int64 [units, thresholds].
        labelled: where a concept is, float64 [concepts].
        positions: all that were seen.
    """

    intersection: Tensor
    active: Tensor
    labelled: Tensor
    positions: int

    @property
    def iou(self) -> Tensor:
        """Intersection over union, float64 [units, thresholds, concepts] in [0, 1]; 0 where the union is empty."""
        union = self.active[..., None] + self.labelled - self.intersection
        return torch.where(union > 0, self.intersection / union.clamp(min=1e-300), 0)

    @property
    def ceiling(self) -> Tensor:
        """The most that `iou` could be for areas as large as these, float64 [units, thresholds, concepts]."""
        active, labelled = self.active[..., None].double(), self.labelled
        larger = torch.maximum(active, labelled)
        return torch.where(larger > 0, torch.minimum(active, labelled) / larger.clamp(min=1e-300), 0)


class Overlap(Accumulator[Overlaps]):
    """Counts where units exceed their `thresholds`, [units, thresholds] in any order, and which concepts are there.

    images: the numbers of those that count; by default all. Tokens count as the square of patches that they come from.
    Thresholds are rounded to the precision of the activations. The cost grows with the number of values above the
    lowest threshold. Raises InputError for thresholds that are no numbers, for another number of units, and as `masks`
    do.
    """

    KEPT: ClassVar[Mapping[str, int | None]] = {"intersection": 0, "active": 0, "labelled": None, "positions": None}

    def __init__(self, masks: ConceptMasks, thresholds: Tensor, images: range | None = None) -> None:
        super().__init__()
        if thresholds.ndim != 2 or not thresholds.numel() or thresholds.isnan().any():
            raise InputError(f"thresholds of shape {tuple(thresholds.shape)}; give numbers [units, thresholds]")
        self.masks = masks
        self.thresholds = thresholds.detach().cpu()
        self.images = images
        self._rising, self._order = self.thresholds.sort(dim=1)

    def update(self, units: Units, first: int) -> None:
        counted = self._those_that_count(first, len(units))
        if counted.start >= counted.stop:
            return
        grid = grid_of(units)
        if grid.shape[1] != len(self.thresholds):
            raise InputError(
                f"{grid.shape[1]} units and thresholds for {len(self.thresholds)}; give each layer those of its own"
            )
        rows, columns = grid.shape[2:] if grid.ndim == 4 else (1, 1)
        fractions = self.masks.fractions(first, len(grid), (rows, columns))[counted]  # of all: shared with the others
        values = flattened(grid).values[counted]
        size = max(1, _PIECE // max(1, grid[0].numel()))
        for flat, concepts in zip(values.split(size), fractions.split(size), strict=True):
            self._take(self._counted(flat, concepts))

    def compute(self) -> Overlaps:
        """Counts at each threshold: those of its own and of all higher ones, which are above it too."""
        kept = self._seen()
        back = self._order.argsort(1)
        intersection = _from_above(kept["intersection"]).gather(1, back[..., None].expand_as(kept["intersection"]))
        active = _from_above(kept["active"]).gather(1, back)
        return Overlaps(intersection, active, kept["labelled"].clone(), int(kept["positions"]))

    def for_images(self, first: int, stop: int) -> Self:
        """With the masks of these images alone."""
        return type(self)(self.masks.of(first, stop), self.thresholds, self.images)

    def _those_that_count(self, first: int, count: int) -> slice:
        """Where they are in a batch of so many images from number `first` on."""
        if self.images is None:
            return slice(0, count)
        return slice(max(self.images.start - first, 0), max(min(self.images.stop - first, count), 0))

    def _counted(self, flat: Tensor, fractions: Tensor) -> Arrays:
        """Each value counts once, at the highest threshold below it; most are below all, so the sum is a sparse one."""
        units, levels = self._rising.shape
        values = flat.transpose(0, 1).reshape(units, -1)
        unit, place = (values > self._rising[:, :1].to(values)).nonzero(as_tuple=True)
        above = values[unit, place][:, None] > self._rising.to(values)[unit]
        row, place = (unit * levels + above.sum(1) - 1).cpu(), place.cpu()
        concepts = fractions.flatten(0, 1)
        ones = torch.ones(len(row), dtype=torch.float64)
        chosen = csr_array((ones.numpy(), (row.numpy(), place.numpy())), shape=(units * levels, len(concepts)))
        return {
            "intersection": torch.from_numpy(chosen @ concepts.numpy()).view(units, levels, -1),
            "active": torch.bincount(row, minlength=units * levels).view(units, levels),
            "labelled": concepts.sum(0),
            "positions": torch.tensor(values.shape[1]),
        }

    def _join(self, other: Arrays) -> None:
        for name in self.KEPT:
            self._kept[name] += other[name]

    def _settings(self) -> dict[str, Any]:
        images = {} if self.images is None else {"images": [self.images.start, self.images.stop]}
        return {"thresholds": digest(self.thresholds), **images}


def _from_above(counts: Tensor) -> Tensor:
    """Sums over this threshold and all higher ones, on axis 1."""
    return counts.flip(1).cumsum(1).flip(1)
