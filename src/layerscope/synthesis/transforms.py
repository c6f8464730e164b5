"""Small random turns, zooms and shifts of the view, so that a picture does not hang on single pixels.

One affine sampling per image inside a canvas that is larger than the view: whatever is drawn, the view never reaches
the canvas's edge, so no frame or corner is ever seen (padded transforms earn part of their score on their own frame).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from layerscope.types import Images

MARGIN_STEP = 4  # margins are rounded up to it: transform lengths with small prime factors


@dataclass(frozen=True)
class Wander:
    """How far views may stray from the middle of the canvas. Parameters are drawn apart from being applied."""

    view: int
    """Side of a view, pixels."""
    rotate: float = 0.0
    """Largest turn either way, radians."""
    scale: tuple[float, float] = (1.0, 1.0)
    """Pixels of the canvas per pixel of the view, least and most: above 1 shows more of the canvas."""
    shift: float = 0.0
    """Largest shift either way, in sides of the view."""
    shown: int = 0
    """Side of what the network is shown, pixels; 0: the view as it is."""

    @property
    def margin(self) -> int:
        """Pixels of canvas around the view, so that the extreme turn, zoom and shift together stay inside."""
        turn = min(self.rotate, math.pi / 4)
        outermost = self.view * (1 - 1 / self._side) / 2  # centres of the outermost pixels that are sampled
        reach = self.scale[1] * outermost * (math.cos(turn) + math.sin(turn)) + self.shift * self.view
        needed = max(reach - (self.view - 1) / 2, 0.0)
        return MARGIN_STEP * math.ceil((needed + 1e-3) / MARGIN_STEP) if needed else 0

    @property
    def canvas(self) -> int:
        """Side of the canvas, pixels; the view in its middle is what is shown at the end."""
        return self.view + 2 * self.margin

    def draw(self, steps: int, generator: torch.Generator) -> Tensor:
        """Turn, zoom, shift right and shift down for each step, uniform in [-1, 1]: -1 and 1 are the extremes."""
        return torch.rand(steps, 4, generator=generator, dtype=torch.float32) * 2 - 1

    def apply(self, canvas: Images, drawn: Tensor) -> Images:
        """Views [batch, channel, shown, shown] of canvases [batch, channel, canvas, canvas]."""
        return F.grid_sample(canvas, self._grid(drawn), mode="bilinear", padding_mode="zeros", align_corners=False)

    def middle(self, canvas: Images) -> Images:
        """The view in the middle, as it is."""
        margin = self.margin
        return canvas[:, :, margin : margin + self.view, margin : margin + self.view]

    @property
    def _side(self) -> int:
        return self.shown or self.view

    def _grid(self, drawn: Tensor) -> Tensor:
        """Where views are sampled, [batch, shown, shown, 2] in [-1, 1] of the canvas; affine_grid takes longer."""
        least, most = self.scale
        angle = drawn[:, 0, None, None] * self.rotate
        zoom = (least + (drawn[:, 1, None, None] + 1) / 2 * (most - least)) * self.view / self.canvas
        right, down = (drawn[:, 2:, None, None] * (2 * self.shift * self.view / self.canvas)).unbind(1)
        across = (torch.arange(self._side, device=drawn.device, dtype=drawn.dtype) * 2 + 1) / self._side - 1
        cosine, sine, rows = zoom * torch.cos(angle), zoom * torch.sin(angle), across[:, None]
        return torch.stack([cosine * across + (right - sine * rows), sine * across + (down + cosine * rows)], -1)
