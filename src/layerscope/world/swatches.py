"""Swatches: an image filled with one texture and nothing else, without light."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from layerscope.errors import InputError, UnknownNameError
from layerscope.types import Images
from layerscope.world.canvas import Canvas
from layerscope.world.draws import Draws
from layerscope.world.palette import Paints
from layerscope.world.parts import Part
from layerscope.world.textures import TEXTURE_NAMES, texture_index

PERIODS = (0.15, 0.4)
"""Shortest and longest period of a swatch, in half images; a texture has its own factor on it."""


@torch.no_grad()
def swatches(textures: Sequence[str], seeds: Sequence[int], size: int = 64) -> Images:
    """Swatches float32 [batch, 3, size, size] in [0, 1], one for each texture and seed.

    The seed draws both colours, period, turn and place, and draws the same ones for every texture: two textures of one
    seed differ in nothing else. A swatch depends on its texture, seed and size alone, not on the batch.
    Raises UnknownNameError for a texture that does not exist, InputError where there is not one seed per texture.
    """
    for name in textures:
        if name not in TEXTURE_NAMES:
            raise UnknownNameError.among("texture", name, TEXTURE_NAMES)
    if len(textures) != len(seeds) or not textures or size < 1:
        raise InputError(
            f"{len(textures)} textures, {len(seeds)} seeds and size {size}; give one seed per texture, at least one, "
            "and a size of at least 1 pixel"
        )
    draws = Draws(seeds)
    canvas = Canvas(draws, size)
    axes = tuple(
        axis - draws.uniform(f"swatch/{name}", -0.5, 0.5)
        for axis, name in ((canvas.frame.x, "x"), (canvas.frame.y, "y"))
    )
    everywhere = Part(
        "background",
        torch.full_like(canvas.frame.x, -9.0),
        torch.tensor([texture_index(name) for name in textures]),
        Paints(draws, {}, natural=False, group="swatch").pair("swatch"),
        draws.uniform("swatch/period", *PERIODS),
        draws.uniform("swatch/angle", -3.14, 3.14),
        axes=(axes[0], axes[1]),
        relief=0.0,
        key="swatch",
    )
    canvas.paint(everywhere, canvas.frame, of_thing=False)
    painted = canvas.albedo.view(3, len(textures), size, size).transpose(0, 1)
    return painted.clamp(0, 1).contiguous()
