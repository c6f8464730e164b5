"""Parts, and the pen that things draw them with."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from layerscope.world.draws import Draws
from layerscope.world.fields import Number
from layerscope.world.palette import Colours, Paints
from layerscope.world.textures import texture_index

PART_NAMES = (
    "background", "clutter", "body", "head", "leg", "antenna", "wing", "seam", "eye", "tail", "neck", "ear",
    "mane", "hoof", "fin", "gill", "mouth", "trunk", "crown", "fruit", "stem", "leaf", "petal", "disc", "cap",
    "canopy", "handle", "wall", "roof", "door", "window", "chimney", "log", "wheel", "hub", "cabin", "light",
    "beak", "foot", "nose", "whisker", "muzzle", "rim", "tick", "hand", "saucer", "shell", "eyespot",
)  # fmt: skip
"""Every part of every thing; their order is the numbering of the part mask."""


@dataclass(frozen=True)
class Part:
    """One painted shape. Lengths are in the thing's own units (its half height is about 1).

    distance: signed distance [batch, pixels]. texture: a name, or texture numbers [batch]. period, angle, axes: the
    texture's period, turn (radians) and coordinate frame. lift, relief, bevel: height of the base, of the dome, and the
    width over which it rises (they only shape the light). shown: 1 or 0 per scene. coat: the texture that decides
    between twins is on this part. key: what its draws are called, where several shapes make one part.
    """

    name: str
    distance: Tensor
    texture: str | Tensor
    colours: Colours
    period: Number = 0.3
    angle: Number = 0.0
    axes: tuple[Tensor, Tensor] | None = None
    lift: Number = 0.0
    relief: Number = 0.15
    bevel: float = 0.15
    shown: Tensor | None = None
    coat: bool = False
    key: str = ""


@dataclass
class Pen:
    """What a thing is drawn with: coordinates `x`, `y` [batch, pixels] (y down), random draws and paints.

    `parts` collects what was drawn, back to front.
    """

    x: Tensor
    y: Tensor
    draws: Draws
    paints: Paints
    parts: list[Part] = field(default_factory=list)

    def uniform(self, name: str, low: float = 0.0, high: float = 1.0) -> Tensor:
        return self.draws.uniform(f"shape/{name}", low, high)

    def choose(self, name: str, *textures: str) -> Tensor:
        """One of these textures per scene: texture numbers [batch]."""
        return choose_texture(self.draws, f"texture/{name}", textures)

    def draw(
        self, name: str, distance: Tensor, texture: str | Tensor, colours: Tensor | Colours, **how: object
    ) -> None:
        """Add a part; a single colour is its own shade's pair. `how` are further fields of `Part`."""
        pair = colours if isinstance(colours, tuple) else (colours, colours * 0.55)
        key = str(how.pop("key", name))
        self.parts.append(Part(name, distance, texture, pair, key=key, **how))  # type: ignore[arg-type]


def choose_texture(draws: Draws, name: str, textures: tuple[str, ...]) -> Tensor:
    """One of the named textures per scene: texture numbers [batch]."""
    numbers = torch.tensor([texture_index(texture) for texture in textures], device=draws.device)
    return numbers[draws.pick(name, len(textures))]
