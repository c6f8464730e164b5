"""Natural exemplars: the probe images that excite each unit most, cropped to what the unit sees."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from layerscope.capture.layers import Layer
from layerscope.figures.pictures import as_rgb
from layerscope.models.model import VisionModel
from layerscope.passes.accumulators import Peak, Peaks, Top, TopK
from layerscope.passes.spread import HERE, Workers, sweep_over
from layerscope.studies.probe import Probe
from layerscope.types import Progress, no_progress

KEPT = 8
CROP_SIDE = 48


@dataclass(frozen=True)
class Naturals:
    """What the probe images show of one layer: the strongest images of each unit and how strong they are."""

    layer: Layer
    top: Top
    peaks: Peaks
    probe: Probe

    def facts(self, unit: int) -> list[dict[str, Any]]:
        """One entry per exemplar, strongest first."""
        rows = zip(
            *(getattr(self.top, name)[unit].tolist() for name in ("images", "rows", "columns", "scores")), strict=True
        )
        return [
            {"image": image, "label": self.probe.label(image), "row": row, "column": column, "score": score}
            for image, row, column, score in rows
        ]

    def strip(self, unit: int) -> NDArray[np.uint8]:
        """The exemplars' crops side by side, as the bytes of a WebP image: uint8 [bytes]."""
        crops = [self._crop(entry) for entry in self.facts(unit)]
        strip = Image.new("RGB", (CROP_SIDE * len(crops), CROP_SIDE))
        for place, crop in enumerate(crops):
            strip.paste(crop, (place * CROP_SIDE, 0))
        encoded = io.BytesIO()
        strip.save(encoded, "WEBP", quality=90, method=4)
        return np.frombuffer(encoded.getvalue(), dtype=np.uint8)

    def _crop(self, exemplar: dict[str, Any]) -> Image.Image:
        pixels = self.probe.data.pixels[exemplar["image"]]
        left, top, side = window(self.layer, exemplar["row"], exemplar["column"], pixels.shape[-1])
        crop = pixels[:, top : top + side, left : left + side].permute(1, 2, 0).numpy()
        picture = Image.fromarray(as_rgb(crop))
        # Small crops are enlarged pixel by pixel: smoothing would invent detail that the unit never saw.
        how = Image.Resampling.NEAREST if side < CROP_SIDE else Image.Resampling.LANCZOS
        return picture.resize((CROP_SIDE, CROP_SIDE), how)


def window(layer: Layer, row: int, column: int, size: int) -> tuple[int, int, int]:
    """Left, top and side in pixels of what one position of a layer sees, moved inside an image of `size` pixels."""
    if layer.receptive_field is None or layer.stride is None or layer.offset is None or layer.receptive_field >= size:
        return 0, 0, size
    side = layer.receptive_field
    left, top = (round(layer.offset + place * layer.stride - (side - 1) / 2) for place in (column, row))
    return min(max(left, 0), size - side), min(max(top, 0), size - side), side


def find_naturals(
    model: VisionModel,
    layers: Sequence[Layer],
    probe: Probe,
    on_progress: Progress = no_progress,
    *,
    workers: Workers = HERE,
) -> dict[str, Naturals]:
    """One pass over the probe images for all layers at once, as `sweep_over` does it."""
    kept = {layer.name: (TopK(KEPT), Peak()) for layer in layers}

    def report(done: int, total: int, what: str) -> None:
        on_progress(done, total, "probe images")

    sweep_over(model, probe.data.pixels, kept, workers=workers, on_progress=report)
    return {
        layer.name: Naturals(layer, kept[layer.name][0].compute(), kept[layer.name][1].compute(), probe)
        for layer in layers
    }
