"""Pictures drawn by a small network from coordinates to colours: smooth at every size (CPPN: Mordvintsev et al. 2018).

From "Differentiable Image Parameterizations" (Distill), section "Compositional Pattern Producing Networks": coordinates
go through a few layers of one width, each with atan and its square, scaled to keep the variance; there is no grain,
because nothing in the picture belongs to a pixel.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from layerscope.synthesis.images import Contrast, Parametrisation, Planes, without_start

WIDTH, DEPTH = 24, 8
REACH = math.sqrt(3)
"""Coordinates go from minus this to this over the view: variance 1."""
ATAN_SCALE, SQUARE_SCALE = 0.67, 0.6
"""The standard deviation of atan(x), and the root mean square of its square, for x of variance 1 (Mordvintsev)."""


class Cppn(Parametrisation):
    """The weights of one small network per picture; batched products keep each picture to its own.

    `view`: side of the picture, pixels. The canvas around it continues the coordinates.
    """

    def __init__(self, contrast: Contrast, view: int) -> None:
        super().__init__(contrast)
        self.coordinates = _coordinates(self.height, self.width, view).to(self.device)
        inputs = [self.coordinates.shape[1]] + [2 * WIDTH] * DEPTH
        self.shapes = list(zip(inputs, [WIDTH] * DEPTH + [self.axes], strict=True))

    def init(self, generator: torch.Generator, start: Tensor | None = None) -> Tensor:
        without_start("cppn", start)
        drawn = [
            torch.randn(inputs * outputs, generator=generator, dtype=torch.float32) / math.sqrt(inputs)
            for inputs, outputs in self.shapes
        ]
        return torch.cat(drawn)

    def planes(self, parameters: Tensor) -> Planes:
        sizes = [inputs * outputs for inputs, outputs in self.shapes]
        weights = [part.view(-1, *shape) for part, shape in zip(parameters.split(sizes, 1), self.shapes, strict=True)]
        values = self.coordinates.to(parameters.dtype).expand(len(parameters), -1, -1)
        for weight in weights[:-1]:
            bent = torch.atan(torch.bmm(values, weight))
            values = torch.cat([bent / ATAN_SCALE, bent.square() / SQUARE_SCALE], 2)
        planes: Planes = torch.bmm(values, weights[-1]).transpose(1, 2).unflatten(2, (self.height, self.width))
        return planes


def _coordinates(height: int, width: int, view: int) -> Tensor:
    """[height * width, 2]: across and down, from -REACH to REACH over the view in the middle."""
    down, across = (
        (torch.arange(side, dtype=torch.float32) - (side - 1) / 2) / max(view - 1, 1) * 2 * REACH
        for side in (height, width)
    )
    return torch.stack(torch.meshgrid(down, across, indexing="ij")[::-1], -1).flatten(0, 1)
