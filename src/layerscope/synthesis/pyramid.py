"""Pictures as a sum of free images of halved sizes (Laplacian pyramid: Lucid, `laplacian_pyramid_image`).

A step of the same size moves large shapes further than grain, since a pixel of a coarse level covers many: a prior on
frequencies without a Fourier transform, and without its combs and wrap-around.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from layerscope.synthesis.images import Contrast, Parametrisation, Planes, without_start

SMALLEST = 4
"""Side of the coarsest level, pixels: levels are halved while they are larger."""
INITIAL = 0.01


class Pyramid(Parametrisation):
    """Levels of sides s, s/2, s/4 .. (rounded up), enlarged smoothly and added; parameters are all levels in a row."""

    def __init__(self, contrast: Contrast) -> None:
        super().__init__(contrast)
        self.sizes = [(self.height, self.width)]
        while min(self.sizes[-1]) > SMALLEST:
            self.sizes.append((math.ceil(self.sizes[-1][0] / 2), math.ceil(self.sizes[-1][1] / 2)))

    def init(self, generator: torch.Generator, start: Tensor | None = None) -> Tensor:
        without_start("pyramid", start)
        count = self.axes * sum(height * width for height, width in self.sizes)
        return torch.randn(count, generator=generator, dtype=torch.float32) * INITIAL

    def planes(self, parameters: Tensor) -> Planes:
        counts = [self.axes * height * width for height, width in self.sizes]
        levels = [
            part.view(-1, self.axes, *size) for part, size in zip(parameters.split(counts, 1), self.sizes, strict=True)
        ]
        total: Planes = levels[0]
        for level in levels[1:]:
            total = total + F.interpolate(level, (self.height, self.width), mode="bicubic", align_corners=False)
        return total
