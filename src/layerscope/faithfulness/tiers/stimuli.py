"""Images for small networks: coloured tiles on a faintly mottled ground, and how they look without any of the tiles."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from layerscope.faithfulness.part_game import Coalition, choices
from layerscope.faithfulness.tiers.tier import SIZE, Choices
from layerscope.types import Images

TILE = 10
"""Side of a tile, in pixels."""
CONTRAST = 0.35
"""Tiles are this much lighter or darker than middle grey, in each channel."""
FAINT = 0.03
"""Standard deviation of the mottling."""
_PITCH, _STARTS = 16, (1, 5)
"""A tile starts at one of these pixels of its cell in a grid, so that two are two pixels apart or more."""
_MOTTLE = 16
"""Cells of the mottling along each side."""


def tiles(count: int, cells: int, generator: torch.Generator) -> Tensor:
    """Tiles of cells x cells colours drawn at random: [count, 3, TILE, TILE], each value 0.5 ± CONTRAST."""
    codes = 2.0 * torch.randint(2, (count, 3, cells, cells), generator=generator) - 1
    return 0.5 + CONTRAST * F.interpolate(codes, size=(TILE, TILE), mode="nearest")


def mottled(generator: torch.Generator) -> Tensor:
    """A ground of one colour with soft stains, far fainter than tiles: [3, SIZE, SIZE] in [0, 1]."""
    colour = 0.4 + 0.2 * torch.rand(3, 1, 1, generator=generator)
    stains = torch.randn(1, 3, _MOTTLE, _MOTTLE, generator=generator)
    fine = F.interpolate(stains, size=(SIZE, SIZE), mode="bilinear", align_corners=False)[0]
    return colour + FAINT * fine.clamp(-3, 3)


@dataclass(frozen=True, eq=False)
class Board:
    """Opaque tiles on a ground.

    Attributes:
        ground: [3, SIZE, SIZE].
        tiles: [parts, 3, TILE, TILE].
        corners: (row, column) of the first pixel of each.
    """

    ground: Tensor
    tiles: Tensor
    corners: tuple[tuple[int, int], ...]

    def image(self, kept: Iterable[int]) -> Tensor:
        """With these tiles alone."""
        image = self.ground.clone()
        for part in kept:
            row, column = self.corners[part]
            image[:, row : row + TILE, column : column + TILE] = self.tiles[part]
        return image

    @property
    def masks(self) -> Tensor:
        """bool [parts, SIZE, SIZE]."""
        masks = torch.zeros(len(self.corners), SIZE, SIZE, dtype=torch.bool)
        for mask, (row, column) in zip(masks, self.corners, strict=True):
            mask[row : row + TILE, column : column + TILE] = True
        return masks

    def choices(self) -> Choices:
        """How it looks for every choice of the tiles."""
        return self._looks(choices(len(self.corners)))

    def alone(self) -> Choices:
        """How it looks with all tiles, and without each."""
        return self._looks(kept for kept in choices(len(self.corners)) if len(kept) >= len(self.corners) - 1)

    def _looks(self, chosen: Iterable[Coalition]) -> Choices:
        names = tuple(f"tile {number}" for number in range(1, len(self.corners) + 1))
        return Choices(names, self.masks, self.masks.double(), {kept: self.image(kept) for kept in chosen})

    def first(self, count: int) -> Board:
        """With the first tiles only."""
        return replace(self, tiles=self.tiles[:count], corners=self.corners[:count])

    def on(self, grounds: Sequence[Tensor]) -> Images:
        """With all tiles, on each of these grounds."""
        everything = range(len(self.corners))
        return torch.stack([replace(self, ground=ground).image(everything) for ground in grounds])


def corners(count: int, generator: torch.Generator, inside: range = range(SIZE // _PITCH)) -> list[tuple[int, int]]:
    """Places for tiles, no two in the same cell of the grid. inside: rows, and columns, of cells that may be taken."""
    cells = [(row, column) for row in inside for column in inside]
    order = torch.randperm(len(cells), generator=generator)[:count].tolist()
    shifts = torch.randint(len(_STARTS), (count, 2), generator=generator).tolist()
    return [
        (_PITCH * cells[cell][0] + _STARTS[down], _PITCH * cells[cell][1] + _STARTS[right])
        for cell, (down, right) in zip(order, shifts, strict=True)
    ]
