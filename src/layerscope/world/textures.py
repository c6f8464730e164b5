"""The thirteen procedural textures, one small function each.

A texture maps coordinates in periods (u, v), the pixel's footprint in periods and a style number in [0, 1] to a tone in
[0, 1], which mixes the part's two colours. Edges are as soft as one pixel, so no texture aliases. All arguments are
flat: one entry per painted pixel.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from layerscope.world.fields import fract, intersection, length, noise, noises, soft, union, wave, zigzag

Tone = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Texture:
    """A texture and how it sits on a part.

    period: factor on the part's period. contrast: how far the second colour is used. centred: the pattern starts at the
    part's centre instead of a random place.
    """

    tone: Tone
    period: float = 1.0
    contrast: float = 1.0
    centred: bool = False


def plain(u: Tensor, v: Tensor, w: Tensor, style: Tensor) -> Tensor:
    return 0.12 * noise(u, v).clamp(-2, 2).abs()


def stripes(u: Tensor, v: Tensor, w: Tensor, style: Tensor) -> Tensor:
    bent = u + 0.18 * wave(v * 0.3 + style)
    return soft((zigzag(bent) - 0.45 - 0.12 * style) * 0.5, w)


def dots(u: Tensor, v: Tensor, w: Tensor, style: Tensor) -> Tensor:
    row = torch.floor(v)
    return soft(0.27 + 0.1 * style - length(fract(u + 0.5 * row.remainder(2)) - 0.5, fract(v) - 0.5), w)


def checker(u: Tensor, v: Tensor, w: Tensor, style: Tensor) -> Tensor:
    across, down = zigzag(u * 0.5) - 0.5, zigzag(v * 0.5) - 0.5
    return soft(torch.sign(across * down) * union(across.abs(), down.abs()), w)


def brick(u: Tensor, v: Tensor, w: Tensor, style: Tensor) -> Tensor:
    course = torch.floor(v)
    shifted = u * 0.5 + 0.5 * course.remainder(2)
    across, down = fract(shifted) * 2, v - course
    gap = union(union(across, 2 - across), union(down, 1 - down))
    mortar = soft(0.13 - gap, w)
    shade = fract(torch.floor(shifted) * 0.618 + course * 0.377)
    return mortar + (1 - mortar) * 0.3 * shade


def scales(u: Tensor, v: Tensor, w: Tensor, style: Tensor) -> Tensor:
    def shell(row: Tensor) -> Tensor:
        return length(fract(v + 0.5 * row.remainder(2)) - 0.5, (u - row) * 0.62)

    row = torch.floor(u)
    front, behind = shell(row) / 0.56, (shell(row - 1) / 0.62).clamp(0, 1)
    inside = soft(0.56 - front * 0.56, w)
    rim, shadow = front.clamp(0, 1), behind * behind
    return rim * rim * rim * inside + (1 - inside) * 0.35 * shadow


def wood(u: Tensor, v: Tensor, w: Tensor, style: Tensor) -> Tensor:
    grain, fibre = noise(u * 0.25, v * 0.9), noise(u * 0.6, v * 7)
    joint = soft(0.05 - (fract(v * 0.5) - 0.5).abs() * 2, w)
    bands = (0.5 + 0.5 * wave(v * 1.4 + 0.55 * grain)) * 0.55
    return intersection(bands + 0.18 * fibre.clamp(-1, 1).abs(), joint)


def fur(u: Tensor, v: Tensor, w: Tensor, style: Tensor) -> Tensor:
    bend_u, bend_v = noises(u * 0.5, v * 0.5)
    coarse, fine = noises(u * 3.2 + 0.8 * bend_u, v * 0.7 + bend_v)
    return (0.45 + 0.33 * coarse + 0.12 * fine).clamp(0, 1)


def foliage(u: Tensor, v: Tensor, w: Tensor, style: Tensor) -> Tensor:
    coarse, fine = noise(u * 1.1, v * 1.1), noise(u * 2.6 + 9, v * 2.6)
    return (soft(0.3 * (coarse * 0.6 + fine * 0.8), w + 0.12) * 0.75 + 0.12 * fine.clamp(-1, 1) + 0.1).clamp(0, 1)


def rings(u: Tensor, v: Tensor, w: Tensor, style: Tensor) -> Tensor:
    return soft((zigzag(length(u, v)) - 0.5) * 0.5, w)


def chevron(u: Tensor, v: Tensor, w: Tensor, style: Tensor) -> Tensor:
    return soft((zigzag(v + 0.6 * zigzag(u * 0.6)) - 0.5) * 0.5, w * 1.2)


def hexagons(u: Tensor, v: Tensor, w: Tensor, style: Tensor) -> Tensor:
    root = 1.7320508
    even_u, even_v = fract(u) - 0.5, (fract(v / root) - 0.5) * root
    odd_u, odd_v = fract(u + 0.5) - 0.5, (fract(v / root + 0.5) - 0.5) * root
    even = even_u * even_u + even_v * even_v < odd_u * odd_u + odd_v * odd_v
    x, y = torch.where(even, even_u, odd_u).abs(), torch.where(even, even_v, odd_v).abs()
    edge = 0.5 - intersection(x, x * 0.5 + y * (root / 2))
    return soft(0.07 - edge, w) + 0.4 * (1 - (edge * 2.2).clamp(0, 1)) * (edge > 0.07)


def cloud(u: Tensor, v: Tensor, w: Tensor, style: Tensor) -> Tensor:
    return (0.5 + 0.28 * noise(u * 0.5, v * 0.5) + 0.14 * noise(u * 1.3, v * 1.3)).clamp(0, 1)


TEXTURES: dict[str, Texture] = {
    "plain": Texture(plain),
    "stripes": Texture(stripes, period=0.8),
    "dots": Texture(dots),
    "checker": Texture(checker),
    "brick": Texture(brick),
    "scales": Texture(scales),
    "wood": Texture(wood),
    "fur": Texture(fur, period=0.5, contrast=0.4),
    "foliage": Texture(foliage),
    "rings": Texture(rings, centred=True),
    "chevron": Texture(chevron),
    "hexagons": Texture(hexagons),
    "cloud": Texture(cloud),
}
TEXTURE_NAMES = tuple(TEXTURES)


def texture_index(name: str) -> int:
    """The texture's number in the truth masks."""
    return TEXTURE_NAMES.index(name)
