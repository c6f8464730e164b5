"""One position of a map of activations, or its centre; tokens count as the square of patches that they come from."""

from __future__ import annotations

import math

from jaxtyping import Float
from torch import Tensor

from layerscope.errors import InputError

_MOST_EXTRA_TOKENS = 5  # a class token and four registers

Units = Float[Tensor, "batch units *positions"]
"""Activations with the units on axis 1, as `units_first` gives them."""


def at_centre(units: Units) -> Tensor:
    """[batch, units]: each unit at the middle cell of its map, or the mean of the middle cells where a side is even."""
    grid = _grid(units)
    for axis in range(2, grid.ndim):
        side = grid.shape[axis]
        grid = grid.narrow(axis, (side - 1) // 2, 2 - side % 2)
    return grid.flatten(2).mean(2) if grid.ndim > 2 else grid


def at_position(units: Units, position: tuple[int, int]) -> Tensor:
    """[batch, units]: each unit at (row, column), as a view. Raises InputError where there is no such position."""
    grid = _grid(units)
    row, column = position
    if grid.ndim != 4 or not (row < grid.shape[2] and column < grid.shape[3]):
        raise InputError(
            f"no position {row},{column}; the map here is {' x '.join(map(str, grid.shape[2:])) or 'one value'}"
        )
    return grid[:, :, row, column]


def _grid(units: Tensor) -> Tensor:
    """Tokens [batch, units, tokens] as the square of patches at their end; other shapes as they are."""
    if units.ndim != 3:
        return units
    side = math.isqrt(units.shape[2])
    if units.shape[2] - side * side > _MOST_EXTRA_TOKENS:
        raise InputError(f"{units.shape[2]} tokens are no square of patches, so they have no rows and columns here")
    patches: Tensor = units[..., units.shape[2] - side * side :].unflatten(2, (side, side))
    return patches
