"""Even fields and discs of all hues at several saturations and lightnesses, and the same in grey."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from layerscope.dissection.stimuli.colours import CONTRAST, GREY, hue_directions
from layerscope.dissection.stimuli.stimuli import Numbers, Stimuli, check_canvas, grid
from layerscope.errors import InputError
from layerscope.types import Images

LIGHTNESSES = (0.35, 0.5, 0.65)
SATURATIONS = (CONTRAST / 2, CONTRAST)
GREYS = (GREY - CONTRAST, *LIGHTNESSES, GREY + CONTRAST)
"""The fields without hue: one for each lightness, and a step as large as the strongest colour, darker and lighter."""


@dataclass(frozen=True)
class Hues(Stimuli):
    """Fields of one colour, whole ("field") or as a disc on mean grey ("disc"), in two blocks.

    First the colours, in the order shape, lightness, saturation, hue (the fastest), then the GREYS of each shape.
    size: side in pixels. disc: diameter in pixels, by default a third of the side. hues: how many, over 360 degrees.
    Saturation is the root mean square distance from grey. Images have three channels.
    """

    size: int
    disc: float | None = None
    hues: int = 24
    channels: int = 3

    def __post_init__(self) -> None:
        check_canvas(self.size, self.channels)
        hue_directions(torch.zeros(1), self.channels)
        if self.hues < 4:
            raise InputError(f"{self.hues} hues; at least 4 are needed")
        if self.disc is not None and not self.disc > 0:
            raise InputError(f"a disc {self.disc} pixels wide; give a diameter above 0")

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """How many shapes, lightnesses, saturations and hues the first block has."""
        return 2, len(LIGHTNESSES), len(SATURATIONS), self.hues

    def angles(self) -> NDArray[np.float64]:
        """The hues, in degrees: 0 is red, 90 blue, 180 green, 270 yellow."""
        return np.arange(self.hues, dtype=np.float64) * (360 / self.hues)

    def columns(self) -> dict[str, NDArray[Any]]:
        shapes = np.array(["field", "disc"])
        colours = grid(
            shape=shapes, lightness=np.array(LIGHTNESSES), saturation=np.array(SATURATIONS), hue=self.angles()
        )
        greys = grid(shape=shapes, lightness=np.array(GREYS), saturation=np.zeros(1), hue=np.full(1, np.nan))
        return {name: np.concatenate([colours[name], greys[name]]) for name in colours}

    def render(self, numbers: Numbers) -> Images:
        table = {name: values[numbers] for name, values in self.columns().items()}
        hue = torch.from_numpy(np.nan_to_num(table["hue"]))
        lightness, saturation = (torch.from_numpy(table[name])[:, None] for name in ("lightness", "saturation"))
        colours = (lightness + saturation * hue_directions(hue))[:, :, None, None]
        whole = torch.from_numpy(table["shape"] == "field")[:, None, None, None]
        covered = torch.where(whole, torch.ones((), dtype=torch.float64), self._disc())
        return (GREY + (colours - GREY) * covered).float()

    def _disc(self) -> Tensor:
        """1 inside, 0 outside, with an edge one pixel wide: [size, size]."""
        side = torch.arange(self.size, dtype=torch.float64) - (self.size - 1) / 2
        radius = (self.size / 3 if self.disc is None else self.disc) / 2
        distance = torch.sqrt(side[:, None].square() + side.square())
        return (radius - distance + 0.5).clamp(0, 1)
