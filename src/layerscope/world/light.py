"""Light: a drop shadow, one lamp over the relief, a little gloss. It gives flat parts the look of painted clay."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from layerscope.world.canvas import Canvas


def lit(canvas: Canvas) -> Tensor:
    """The painted canvas under light: float [batch, 3, size, size] in [0, 1]."""
    size, count, draw = canvas.size, canvas.draws.count, canvas.draws.uniform
    shape = (count, size, size)
    thing, albedo = canvas.thing.view(shape), canvas.albedo.view(3, *shape)
    lamp_x, lamp_y = _cube(draw("light/x", -0.8, 0.8)), _cube(draw("light/y", -1.0, 0.2))
    albedo = albedo * (1 - 0.45 * _shadow(thing, lamp_x) * (1 - thing))
    slope_x, slope_y = _slopes(canvas.height.view(shape))
    lamp_z = 1.1
    bright = (lamp_z - slope_x * lamp_x - slope_y * lamp_y) / torch.sqrt(
        (1 + slope_x * slope_x + slope_y * slope_y) * (lamp_x * lamp_x + lamp_y * lamp_y + lamp_z * lamp_z)
    )
    bright, ambient = bright.clamp(0, 1), _cube(draw("light/ambient", 0.35, 0.6))
    falloff = canvas.frame.x.view(shape) * _cube(draw("light/vx", -1, 1)) + canvas.frame.y.view(shape) * _cube(
        draw("light/vy", -1, 1)
    )
    light = (ambient + (1.12 - ambient) * bright) * (1 + 0.25 * falloff) * _cube(draw("light/exposure", 0.8, 1.12))
    eighth = bright * bright
    eighth = eighth * eighth
    eighth = eighth * eighth
    curved = (slope_x * slope_x + slope_y * slope_y) > 0.01
    gloss = _cube(draw("light/gloss", 0, 0.35)) * eighth * eighth * eighth * curved
    return (albedo * light + gloss).clamp(0, 1).transpose(0, 1).contiguous()


def _cube(values: Tensor) -> Tensor:
    return values[:, :, None]


def _shadow(thing: Tensor, lamp_x: Tensor) -> Tensor:
    """The thing's silhouette, blurred and thrown down and away from the lamp: [batch, size, size]."""
    blurred = F.avg_pool2d(thing[:, None], 5, 1, 2)[:, 0]
    throw = max(1, thing.shape[-1] // 21)
    below = F.pad(blurred, (throw, throw, throw, 0))[:, : thing.shape[1]]
    right, left = below[:, :, : -2 * throw], below[:, :, 2 * throw :]
    return torch.where(lamp_x > 0, right, left)


def _slopes(height: Tensor) -> tuple[Tensor, Tensor]:
    """Central differences of the height map, per half image."""
    scale = height.shape[-1] / 4
    padded = F.pad(height[:, None], (1, 1, 1, 1), mode="replicate")[:, 0]
    across = (padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]) * scale
    return across, (padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]) * scale
