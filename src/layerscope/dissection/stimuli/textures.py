"""Swatches of the menagerie's textures, each beside its phase-randomised twin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from layerscope.dissection.stimuli.scrambled import phase_randomised
from layerscope.dissection.stimuli.stimuli import Numbers, Stimuli, check_canvas, grid
from layerscope.errors import InputError
from layerscope.types import Images
from layerscope.world.swatches import swatches
from layerscope.world.textures import TEXTURE_NAMES

FAMILIES = tuple(name for name in TEXTURE_NAMES if name != "plain")
"""Families of texture; the plain one has nothing in it that phases could lose."""
_FOLD = 4  # of the side is folded, an eighth at each end: the middle half stays as it was painted
_LUMINANCE = (0.299, 0.587, 0.114)  # of red, green and blue (ITU-R BT.601)


@dataclass(frozen=True)
class Textures(Stimuli):
    """Swatches, in the order family, exemplar, twin (first the texture, then its twin: number // 2 is the pair).

    size: side in pixels. channels: of an image; other than three, all show the luminance. exemplars: per family; one
    of the same number has the same colours, period and turn in every family. A pair has one spectrum and one contrast.
    Swatches are folded at their border so that opposite sides meet; otherwise that step, which no unit sees in a
    swatch, would be energy all over its twin.
    """

    size: int
    channels: int
    exemplars: int = 20
    families: tuple[str, ...] = FAMILIES
    seed: int = 0

    def __post_init__(self) -> None:
        check_canvas(self.size, self.channels)
        if self.exemplars < 4 or len(self.families) < 2:
            raise InputError(
                f"{len(self.families)} families of {self.exemplars} exemplars; at least 2 of 4 are needed to choose "
                "a family on one half and score it on the other"
            )

    @property
    def shape(self) -> tuple[int, int, int]:
        """How many families, exemplars, and 2 (texture, twin)."""
        return len(self.families), self.exemplars, 2

    def columns(self) -> dict[str, NDArray[Any]]:
        exemplars = np.arange(self.exemplars)
        return grid(family=np.array(self.families), exemplar=exemplars, twin=np.array([False, True]))

    def render(self, numbers: Numbers) -> Images:
        pairs, which = np.unique(numbers // 2, return_inverse=True)
        names = [self.families[pair // self.exemplars] for pair in pairs]
        seeds = [int(self.seed * self.exemplars + pair % self.exemplars) for pair in pairs]
        margin = self.size // _FOLD
        shown = folded(folded(swatches(names, seeds, self.size + margin), margin, 2), margin, 3).clamp(0, 1)
        both = torch.stack(phase_randomised(self._in_channels(shown), self.seed, pairs.tolist()))
        return both[torch.from_numpy(numbers % 2), torch.from_numpy(which)]

    def _in_channels(self, images: Images) -> Images:
        if self.channels == 3:
            return images
        grey = (images * images.new_tensor(_LUMINANCE)[:, None, None]).sum(1, keepdim=True)
        return grey.expand(-1, self.channels, -1, -1)


def folded(images: Images, margin: int, axis: int) -> Images:
    """Images `margin` pixels too long along an axis, whose two ends fade into each other: their sides then meet.

    The squares of the two shares add up to one, so that the energy is the same in the fold as elsewhere. The fold lies
    half at each end.
    """
    size = images.shape[axis] - margin
    mean = images.mean((2, 3), keepdim=True)
    share = (torch.arange(margin, dtype=images.dtype) + 0.5) / max(margin, 1) * (torch.pi / 2)
    share = share.view(-1, *[1] * (3 - axis))
    start, end = images.narrow(axis, 0, margin) - mean, images.narrow(axis, size, margin) - mean
    fold = mean + torch.sin(share) * start + torch.cos(share) * end
    joined = torch.cat([fold, images.narrow(axis, margin, size - margin)], axis)
    return joined.roll(-(margin // 2), axis)
