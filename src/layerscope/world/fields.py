"""Signed distance fields and smooth noise, the geometry that scenes are made of.

Negative inside, positive outside, zero on the outline; y points down. Coordinates are [batch, pixels], parameters are
floats or [batch, 1]. Distance formulas: Quilez, "2D distance functions".

Only operations that IEEE 754 rounds exactly (+ - * / sqrt floor abs min max) touch pixels: a vectorised sine differs in
its last bit from the scalar one that ends a block, and then a scene would depend on its batch. Hence `wave` and `fold`.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

Number = float | Tensor

union = torch.minimum
intersection = torch.maximum


def fract(x: Tensor) -> Tensor:
    return x - torch.floor(x)


def zigzag(x: Tensor) -> Tensor:
    """Triangle wave of period 1: 1 at integers, 0 half-way."""
    return (fract(x) - 0.5).abs() * 2


def wave(x: Tensor) -> Tensor:
    """A sine of period 1 in [-1, 1], by two parabolas and one correction (largest error 0.001)."""
    t = fract(x) - 0.5
    parabola = 8 * t * (2 * t.abs() - 1)
    return parabola * (0.775 + 0.225 * parabola.abs())


def soft(distance: Tensor, footprint: Tensor) -> Tensor:
    """1 where `distance` > 0, 0 where < 0, with a ramp one pixel footprint wide."""
    return (distance / footprint + 0.5).clamp(0, 1)


def length(x: Tensor, y: Tensor) -> Tensor:
    return torch.sqrt(x * x + y * y + 1e-9)


def circle(x: Tensor, y: Tensor, radius: Number) -> Tensor:
    return length(x, y) - radius


def ellipse(x: Tensor, y: Tensor, a: Number, b: Number) -> Tensor:
    """First-order distance to an ellipse with half axes a and b: exact on the outline."""
    near, steep = length(x / a, y / b), length(x / (a * a), y / (b * b))
    return near * (near - 1) / steep


def box(x: Tensor, y: Tensor, a: Number, b: Number, rounding: float = 0.0) -> Tensor:
    dx, dy = x.abs() - (a - rounding), y.abs() - (b - rounding)
    outside = torch.sqrt(dx.clamp(min=0) ** 2 + dy.clamp(min=0) ** 2 + 1e-12)
    return outside + torch.maximum(dx, dy).clamp(max=0) - rounding


def segment(
    x: Tensor,
    y: Tensor,
    start: tuple[Number, Number],
    end: tuple[Number, Number],
    r: Number,
    r_end: Number | None = None,
) -> Tensor:
    """A stroke from `start` to `end` with half width r, tapering to r_end."""
    px, py = x - start[0], y - start[1]
    dx, dy = end[0] - start[0], end[1] - start[1]
    along = ((px * dx + py * dy) / (dx * dx + dy * dy)).clamp(0, 1)
    width = r if r_end is None else r + (r_end - r) * along
    return length(px - along * dx, py - along * dy) - width


def trapezium(x: Tensor, y: Tensor, top: Number, bottom: Number, w_top: Number, w_bottom: Number) -> Tensor:
    """Between y = top and y = bottom, half widths w_top and w_bottom."""
    slope = (w_bottom - w_top) / (bottom - top)
    lean = (1 + slope * slope) ** 0.5
    return intersection((x.abs() - (w_top + slope * (y - top))) / lean, intersection(top - y, y - bottom))


def blend(a: Tensor, b: Tensor, width: float) -> Tensor:
    """Union of two shapes with a smooth joint (Quilez' polynomial smooth minimum)."""
    mix = (0.5 + 0.5 * (b - a) / width).clamp(0, 1)
    return b + (a - b) * mix - width * mix * (1 - mix)


def turn(x: Tensor, y: Tensor, angle: Number) -> tuple[Tensor, Tensor]:
    """Coordinates in a frame turned by `angle` radians (float or [batch, 1])."""
    if isinstance(angle, Tensor):
        exact = angle.double()
        cos, sin = torch.cos(exact).float(), torch.sin(exact).float()
        return cos * x + sin * y, cos * y - sin * x
    return math.cos(angle) * x + math.sin(angle) * y, math.cos(angle) * y - math.sin(angle) * x


def direction(y: Tensor, x: Tensor) -> Tensor:
    """The angle of (x, y) in turns, [-0.5, 0.5): atan2 / (2 pi) by the polynomial 4.4.49 of Abramowitz & Stegun."""
    small = torch.minimum(x.abs(), y.abs()) / (torch.maximum(x.abs(), y.abs()) + 1e-9)
    square = small * small
    octant = small * (0.159134 - square * (0.052569 - square * (0.028670 - square * (0.013549 - square * 0.003316))))
    quadrant = torch.where(y.abs() > x.abs(), 0.25 - octant, octant)
    half = torch.where(x < 0, 0.5 - quadrant, quadrant)
    return torch.where(y < 0, -half, half)


def fold(x: Tensor, y: Tensor, count: Number, phase: Number = 0.0) -> tuple[Tensor, Tensor]:
    """Fold the plane into one sector of `count` (>= 5) around the origin; the sector's middle is the new x axis."""
    sector = (direction(y, x) + phase) * count
    angle = (fract(sector) - 0.5) * (2 * math.pi / count)
    square, radius = angle * angle, length(x, y)
    cos = 1 - square * (0.5 - square / 24)
    sin = angle * (1 - square * (1 / 6 - square / 120))
    return radius * cos, radius * sin


_CELLS, _FINE = 64, 4


@lru_cache(maxsize=4)
def _noise_table(device: torch.device) -> Tensor:
    """Two channels of smooth periodic noise, unit variance, 4 samples per lattice cell: [256 * 256, 2 channels * 4].

    Each row holds the four corners of one sample's square, so that a look-up touches memory once.
    """
    cells = torch.rand(1, 2, _CELLS, _CELLS, generator=torch.Generator().manual_seed(7))
    padded = F.pad(cells, (2, 2, 2, 2), mode="circular")
    fine = F.interpolate(padded, scale_factor=_FINE, mode="bicubic", align_corners=False)
    fine = fine[0, :, 2 * _FINE : -2 * _FINE, 2 * _FINE : -2 * _FINE]
    fine = (fine - fine.mean((1, 2), keepdim=True)) / fine.std((1, 2), keepdim=True)
    corners = [fine.roll((-down, -right), (1, 2)) for down in (0, 1) for right in (0, 1)]
    return torch.stack(corners, 1).reshape(8, -1).t().contiguous().to(device)


def noises(u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Two independent maps of smooth noise of unit variance, one lattice cell per unit of (u, v), period 64."""
    side = _CELLS * _FINE
    u, v = u * _FINE, v * _FINE
    left, top = torch.floor(u), torch.floor(v)
    cell = (left.int() & (side - 1)) + (top.int() & (side - 1)) * side
    corners = _noise_table(u.device).index_select(0, cell).t()
    right, low = u - left, v - top
    upper = corners[0::4] + (corners[1::4] - corners[0::4]) * right
    lower = corners[2::4] + (corners[3::4] - corners[2::4]) * right
    first, second = upper + (lower - upper) * low
    return first, second


def noise(u: Tensor, v: Tensor) -> Tensor:
    """The first of `noises`."""
    return noises(u, v)[0]
