"""Where units are strong and where concepts are, at the threshold that suits each pair best on other images."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from layerscope.dissection import concepts
from layerscope.dissection.pictures import UNTEXTURED, Pictures, TruthMasks
from layerscope.passes.histogram import Histogram
from layerscope.passes.masks import ConceptMasks
from layerscope.passes.overlap import Overlap
from layerscope.passes.overlap import Overlaps as Counts
from layerscope.passes.ranges import Range
from layerscope.passes.spread import HERE, Workers, sweep_over
from layerscope.types import Progress, Steps, no_progress

if TYPE_CHECKING:
    from layerscope.models.model import VisionModel

RATES = (0.0025, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16)
"""Shares of the positions that thresholds let through: which one suits depends on how large a concept is."""
PILOT = 64
"""Images that tell the range of each unit, before its values are counted."""
_MASKS = 2**26  # pixels of masks in memory at once, all concepts together


@dataclass(frozen=True, eq=False)
class Areas:
    """In positions of the map, over the images that score, in blocks of images; float32.

    Attributes:
        intersection, active: [kinds, blocks, units, concepts], at the threshold that was chosen for the unit and
            concept. The first kind are the images, the second one, where there is it, the same without textures.
        labelled: [blocks, concepts], the same for both.
        rate: [units, concepts], the share of positions that the threshold lets through (on the images that chose).
    """

    intersection: Tensor
    active: Tensor
    labelled: Tensor
    rate: Tensor

    def iou(self, blocks: Tensor | None = None) -> Tensor:
        """float64 [units, concepts]: intersection over union, over all blocks or those of these numbers."""
        return self._of_kinds(blocks)[0]

    def lasting_iou(self, blocks: Tensor | None = None) -> Tensor:
        """The same, or what is left of it without textures if that is less: a unit for stripes overlaps with the bodies
        that have them, and with no part."""
        return self._of_kinds(blocks).amin(0)

    def ceiling(self) -> Tensor:
        """float64 [units, concepts]: the largest IoU that areas of this size can have."""
        active, labelled = self.active[0].double().sum(0), self.labelled.double().sum(0)
        larger = torch.maximum(active, labelled.expand_as(active))
        return torch.where(larger > 0, torch.minimum(active, labelled) / larger.clamp(min=1e-300), 0.0)

    def _of_kinds(self, blocks: Tensor | None) -> Tensor:
        chosen = slice(None) if blocks is None else blocks
        both, active = (area[:, chosen].double().sum(1) for area in (self.intersection, self.active))
        union = active + self.labelled[chosen].double().sum(0) - both
        return torch.where(union > 0, both / union.clamp(min=1e-300), 0.0)


def measure_areas(
    model: VisionModel,
    names: Sequence[str],
    pictures: Pictures,
    *,
    blocks: int = 1,
    workers: Workers = HERE,
    on_progress: Progress = no_progress,
) -> dict[str, Areas]:
    """Areas by layer; nothing for pictures without masks. Progress counts images."""
    if pictures.masks is None:
        return {}
    step, half = Steps(on_progress, pictures.for_masks), pictures.chosen
    thresholds = _thresholds(model, names, pictures, workers, step)
    batch = _batch_size(pictures.masks, pictures.pixels)
    step.on(half)

    def counted(pixels: Tensor, masks: ConceptMasks, blocks: Sequence[range]) -> dict[str, list[Counts]]:
        """Of some pixels with these masks, block by block of their numbers."""
        kept = {name: [Overlap(masks, thresholds[name], block) for block in blocks] for name in names}
        sweep_over(model, pixels, kept, workers=workers, batch_size=batch, on_progress=step)
        step.on(len(pixels))
        return {name: [each.compute() for each in some] for name, some in kept.items()}

    choosing, scoring = (ConceptMasks(pictures.masks.part(part)) for part in (slice(half), slice(half, None)))
    choice = counted(pictures.pixels[:half], choosing, [range(half)])
    ends = [round(block * pictures.scored / blocks) for block in range(blocks + 1)]
    parts = list(itertools.starmap(range, itertools.pairwise(ends)))
    shown = (pictures.pixels[half:], *pictures.twins(UNTEXTURED))
    kinds = [counted(pixels, scoring, parts) for pixels in shown]
    return {name: _areas(choice[name][0], [kind[name] for kind in kinds]) for name in names}


def _batch_size(masks: TruthMasks, pixels: Tensor) -> int:
    return max(1, min(64, _MASKS // (len(masks.concepts) * pixels[0, 0].numel())))


def _thresholds(
    model: VisionModel,
    names: Sequence[str],
    pictures: Pictures,
    workers: Workers = HERE,
    on_progress: Progress = no_progress,
) -> dict[str, Tensor]:
    """[units, rates] by layer, of the images that choose."""
    ranges = {name: [Range()] for name in names}
    pixels = pictures.pixels[: pictures.chosen]
    sweep_over(model, pixels[:PILOT], ranges, workers=workers)
    extents = {name: ranges[name][0].compute().raised() for name in names}
    counts = {name: [Histogram(extents[name].low, extents[name].high)] for name in names}
    sweep_over(model, pixels, counts, workers=workers, on_progress=on_progress)
    return {name: counts[name][0].compute().quantiles(RATES) for name in names}


@dataclass(frozen=True, eq=False)
class _ByConcept:
    """Counts as `concepts.overlaps` takes them: [concepts, units, thresholds]."""

    intersection: Tensor
    active: Tensor
    labelled: Tensor

    @classmethod
    def of(cls, counts: Counts) -> _ByConcept:
        return cls(counts.intersection.permute(2, 0, 1), counts.active, counts.labelled)


def _areas(choice: Counts, kinds: Sequence[Sequence[Counts]]) -> Areas:
    """Chosen on the one half; each kind of the other at those thresholds, block by block."""
    half = _ByConcept.of(choice)
    chosen = concepts.overlaps(half, half).threshold  # [units, concepts]
    both = [[part.intersection.gather(1, chosen[:, None])[:, 0] for part in parts] for parts in kinds]
    active = [[part.active.gather(1, chosen) for part in parts] for parts in kinds]
    return Areas(
        intersection=torch.stack([torch.stack(blocks) for blocks in both]).float(),
        active=torch.stack([torch.stack(blocks) for blocks in active]).float(),
        labelled=torch.stack([part.labelled for part in kinds[0]]).float(),
        rate=torch.tensor(RATES)[chosen],
    )
