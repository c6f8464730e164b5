"""The directions in colour space along which stimuli vary, all of one contrast.

The plane of hues is the one at right angles to grey in RGB, so "isoluminant" is nominal: it is so for a network that
weighs red, green and blue alike, not for an eye (Derrington, Krauskopf and Lennie 1984 for the axes).
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from layerscope.errors import InputError, UnknownNameError

Axis = Literal["luminance", "red-green", "blue-yellow"]

CONTRAST = 0.24
"""Root mean square contrast, over pixels and channels, of gratings, noise and hues. No higher one fits: a grating along
some hue has peaks of 2 * CONTRAST in one channel, and values are in [0, 1] around 0.5."""

GREY = 0.5

_AXES: dict[str, tuple[float, float, float]] = {
    "luminance": (1.0, 1.0, 1.0),
    "red-green": (math.sqrt(1.5), -math.sqrt(1.5), 0.0),
    "blue-yellow": (-math.sqrt(0.5), -math.sqrt(0.5), math.sqrt(2.0)),
}


def chromatic_axes(channels: int) -> tuple[Axis, ...]:
    """The axes of hue that images of so many channels have: those of RGB for three, none for all others."""
    return ("red-green", "blue-yellow") if channels == 3 else ()


def direction_of(axis: Axis, channels: int) -> Tensor:
    """The direction [channels], of root mean square 1; light-dark moves all channels alike.

    Raises UnknownNameError for another axis, InputError for one of hue where there are not three channels.
    """
    if axis not in _AXES:
        raise UnknownNameError.among("colour axis", axis, _AXES)
    if axis == "luminance":
        return torch.ones(channels, dtype=torch.float64)
    _need_three(channels)
    return torch.tensor(_AXES[axis], dtype=torch.float64)


def hue_directions(hues: Tensor, channels: int = 3) -> Tensor:
    """Directions [hues, 3] of root mean square 1 of hues in degrees: 0 is red, 90 blue, 180 green, 270 yellow.

    They are cos(hue) * red-green + sin(hue) * blue-yellow. Raises InputError where there are not three channels.
    """
    _need_three(channels)
    angle = torch.deg2rad(hues.double())[:, None]
    return torch.cos(angle) * direction_of("red-green", 3) + torch.sin(angle) * direction_of("blue-yellow", 3)


def _need_three(channels: int) -> None:
    if channels != 3:
        raise InputError(f"hues need red, green and blue; images of {channels} channels have none")
