"""Sinusoidal gratings of all orientations, spatial frequencies and phases, light-dark or along a hue; and baselines.

An orientation is that of the bars, in degrees counter-clockwise from horizontal as one sees the picture: 0 for
horizontal bars, 90 for vertical ones. Frequencies are in cycles per pixel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from layerscope.dissection.stimuli.colours import CONTRAST, GREY, Axis, direction_of
from layerscope.dissection.stimuli.stimuli import Numbers, Stimuli, check_canvas, drawn_from, grid
from layerscope.errors import InputError
from layerscope.types import Images

LOWEST_CYCLES = 0.7
"""Cycles of the coarsest grating in a receptive field: fewer, and it is hardly told from an even grey."""
HIGHEST = 0.35
"""Cycles per pixel of the finest grating: above it the pixels of an oblique one beat with its bars."""
_OCTAVES = 0.4  # between neighbours at most: a Gabor's tuning is about 1.3 octaves wide


def frequencies_for(size: int, receptive_field: int | None = None) -> tuple[float, ...]:
    """Spatial frequencies, equally spaced in octaves, for units that see `receptive_field` pixels of images of `size`.

    From 0.7 cycles per field (of the whole image, where no field is given) to 0.35 cycles per pixel, at least nine.
    Raises InputError where the field is so small that nothing lies between.
    """
    field = min(size, receptive_field or size)
    if field < 1 or LOWEST_CYCLES / field >= HIGHEST:
        raise InputError(f"a field of {field} pixels is too small for gratings; at least 3 are needed")
    low = LOWEST_CYCLES / field
    count = max(9, math.ceil(math.log2(HIGHEST / low) / _OCTAVES) + 1)
    return tuple(float(frequency) for frequency in np.geomspace(low, HIGHEST, count))


@dataclass(frozen=True)
class Gratings(Stimuli):
    """Full-field gratings around mean grey, in the order orientation, frequency, phase (the fastest).

    size: side in pixels. channels: of an image. frequencies: in cycles per pixel. axis: the colours of the bars.
    orientations, phases: how many, equally spaced over 180 and 360 degrees. The root mean square contrast is CONTRAST.
    Raises InputError for fewer than 4 orientations or 3 phases or frequencies, or frequencies that do not rise.
    """

    size: int
    channels: int
    frequencies: tuple[float, ...]
    axis: Axis = "luminance"
    orientations: int = 16
    phases: int = 8

    def __post_init__(self) -> None:
        check_canvas(self.size, self.channels)
        direction_of(self.axis, self.channels)
        if self.orientations < 4 or self.phases < 3 or len(self.frequencies) < 3:
            raise InputError(
                f"{self.orientations} orientations, {len(self.frequencies)} frequencies and {self.phases} phases; "
                "at least 4, 3 and 3 are needed"
            )
        rising = all(low < high for low, high in zip(self.frequencies, self.frequencies[1:], strict=False))
        if not (rising and self.frequencies[0] > 0 and self.frequencies[-1] <= 0.5):
            raise InputError(f"frequencies {self.frequencies}; give rising ones above 0 and up to 0.5 cycles per pixel")

    @property
    def shape(self) -> tuple[int, int, int]:
        """How many orientations, frequencies and phases there are."""
        return self.orientations, len(self.frequencies), self.phases

    def angles(self) -> NDArray[np.float64]:
        """The orientations, in degrees."""
        return np.arange(self.orientations, dtype=np.float64) * (180 / self.orientations)

    def columns(self) -> dict[str, NDArray[Any]]:
        phases = np.arange(self.phases) * (360 / self.phases)
        table = grid(orientation=self.angles(), frequency=np.array(self.frequencies), phase=phases)
        return {**table, "axis": np.full(len(phases) * self.orientations * len(self.frequencies), self.axis)}

    def render(self, numbers: Numbers) -> Images:
        table = self.columns()
        angle, frequency, phase = (
            torch.from_numpy(table[name][numbers])[:, None, None] for name in ("orientation", "frequency", "phase")
        )
        side = torch.arange(self.size, dtype=torch.float64) - (self.size - 1) / 2
        angle = torch.deg2rad(angle)
        across = torch.sin(angle) * side[None, None, :] + torch.cos(angle) * side[None, :, None]  # rows count down
        bars = torch.cos(2 * math.pi * frequency * across + torch.deg2rad(phase))
        colour = direction_of(self.axis, self.channels)[:, None, None] * (math.sqrt(2) * CONTRAST)
        return (GREY + colour * bars[:, None]).float()


@dataclass(frozen=True)
class Baselines(Stimuli):
    """What gratings are compared with: mean grey (number 0), and `noise` fields of white noise of the same contrast.

    The noise is binary, of its own in every pixel and channel, so that its contrast is exact and nothing is clipped.
    """

    size: int
    channels: int
    noise: int = 128
    seed: int = 0

    def __post_init__(self) -> None:
        check_canvas(self.size, self.channels)
        if self.noise < 2:
            raise InputError(f"{self.noise} fields of noise; at least 2 are needed")

    def columns(self) -> dict[str, NDArray[Any]]:
        return {"kind": np.array(["grey"] + ["noise"] * self.noise)}

    def render(self, numbers: Numbers) -> Images:
        return torch.stack([self._field(int(number)) for number in numbers])

    def _field(self, number: int) -> Images:
        shape = (self.channels, self.size, self.size)
        if number == 0:
            return torch.full(shape, GREY, dtype=torch.float32)
        signs = drawn_from(self.seed, number).integers(0, 2, shape) * 2 - 1
        return torch.from_numpy(GREY + CONTRAST * signs).float()
