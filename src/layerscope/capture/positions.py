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
    grid = grid_of(units)
    for axis in range(2, grid.ndim):
        side = grid.shape[axis]
        grid = grid.narrow(axis, (side - 1) // 2, 2 - side % 2)
    return grid.flatten(2).mean(2) if grid.ndim > 2 else grid


def at_position(units: Units, position: tuple[int, int]) -> Tensor:
    """[batch, units]: each unit at (row, column), as a view. Raises InputError where there is no such position."""
    grid = grid_of(units)
    row, column = position
    if grid.ndim != 4 or not (row < grid.shape[2] and column < grid.shape[3]):
        raise InputError(
            f"no position {row},{column}; the map here is {' x '.join(map(str, grid.shape[2:])) or 'one value'}"
        )
    return grid[:, :, row, column]


def grid_of(units: Tensor) -> Tensor:
    """Tokens [batch, units, tokens] as the square of patches at their end, as a view; other shapes as they are.

    Raises InputError for tokens that are no square with at most five others (a class token, registers) before it.
    """
    if units.ndim != 3:
        return units
    extra = extra_tokens(units.shape[2])
    if extra is None:
        raise InputError(f"{units.shape[2]} tokens are no square of patches, so they have no rows and columns here")
    side = math.isqrt(units.shape[2])
    patches: Tensor = units[..., extra:].unflatten(2, (side, side))
    return patches


def extra_tokens(tokens: int) -> int | None:
    """How many of so many tokens come before the square of patches; None where that would be more than five."""
    extra = tokens - math.isqrt(tokens) ** 2
    return extra if extra <= _MOST_EXTRA_TOKENS else None
