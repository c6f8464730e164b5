"""Images without their structure: phases randomised, or tiles shuffled.

Phase randomisation keeps the magnitude of every spatial frequency, and the phases between the channels, so that colours
stay (Galerne, Gousseau and Morel 2011, "Random Phase Textures"). What a unit answers to an image beyond its twin is
answered to structure, not to energy (Freeman et al. 2013).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from layerscope.dissection.stimuli.stimuli import drawn_from
from layerscope.errors import InputError
from layerscope.types import Images


class Pairs(NamedTuple):
    """Images and their twins, number by number, each float32 [batch, channel, height, width] in [0, 1]."""

    images: Images
    twins: Images


def phase_randomised(
    images: Images, seed: int = 0, numbers: Sequence[int] | None = None, seamless: bool = False
) -> Pairs:
    """Images [batch, channel, height, width] in [0, 1], beside the same ones with random phases.

    Both have the same magnitude at every frequency, and the same differences of phase between channels. A twin is more
    extreme than its image, so that some do not fit into [0, 1]; then BOTH are shifted and scaled by the same numbers,
    as little as needed: clipping would take energy from the twin alone. Hence take the images from the result too.
    `numbers`: those of the images in their set (0, 1, .. by default); phases are drawn from (seed, number).
    `seamless`: take the periodic part of the images first. Otherwise the step from one side to the opposite one, which
    no unit sees, is all over the twin, as horizontal and vertical bars.
    Raises InputError for other shapes and for values outside [0, 1].
    """
    _check(images)
    shown = periodic(images) if seamless else images.double()
    numbered = zip(shown, _numbers(images, numbers), strict=True)
    pairs = [_fitted(image, _randomised(image, seed, number)) for image, number in numbered]
    return Pairs(*(torch.stack(list(side)).float() for side in zip(*pairs, strict=True)))


def periodic(images: Images) -> Images:
    """The periodic part of images [batch, channel, height, width]: no seam where opposite sides meet (Moisan 2011).

    What is taken away is smooth inside the image. Values may leave [0, 1] by a little; float64. The mean stays.
    """
    images = images.double()
    height, width = images.shape[-2:]
    seam = torch.zeros_like(images)
    rows, columns = images[..., -1, :] - images[..., 0, :], images[..., :, -1] - images[..., :, 0]
    seam[..., 0, :] += rows
    seam[..., -1, :] -= rows
    seam[..., :, 0] += columns
    seam[..., :, -1] -= columns
    turns = [2 * torch.pi * torch.fft.fftfreq(side, dtype=torch.float64) for side in (height, width)]
    curvature = 2 * torch.cos(turns[0])[:, None] + 2 * torch.cos(turns[1]) - 4
    curvature[0, 0] = 1
    smooth = torch.fft.fft2(seam) / curvature
    smooth[..., 0, 0] = 0
    part: Tensor = images - torch.fft.ifft2(smooth).real
    return part


def tile_shuffled(images: Images, tiles: int = 4, seed: int = 0, numbers: Sequence[int] | None = None) -> Images:
    """Images [batch, channel, height, width] cut into tiles x tiles, put together so that no tile is where it was.

    Where a side is no multiple of `tiles`, the border that is left over stays as it is. `numbers`: those of the images
    in their set (0, 1, .. by default); an image is shuffled by (seed, number).
    Raises InputError for fewer than 2 tiles, and for images smaller than that.
    """
    _check(images)
    height, width = (side // tiles if tiles > 1 else 0 for side in images.shape[-2:])
    if not height or not width:
        raise InputError(f"{tiles} x {tiles} tiles of images {tuple(images.shape[-2:])}; give 2 or more, that fit")
    top, left = (images.shape[-2] - height * tiles) // 2, (images.shape[-1] - width * tiles) // 2
    shuffled = images.clone()
    for image, number, target in zip(images, _numbers(images, numbers), shuffled, strict=True):
        middle = image[:, top : top + height * tiles, left : left + width * tiles]
        cut = middle.unflatten(2, (tiles, width)).unflatten(1, (tiles, height)).permute(1, 3, 0, 2, 4).flatten(0, 1)
        moved = cut[_derangement(tiles * tiles, drawn_from(seed, number))].unflatten(0, (tiles, tiles))
        joined = moved.permute(2, 0, 3, 1, 4).flatten(3, 4).flatten(1, 2)
        target[:, top : top + height * tiles, left : left + width * tiles] = joined
    return shuffled


def _fitted(image: Tensor, twin: Tensor) -> tuple[Tensor, Tensor]:
    """Both in [0, 1], scaled and shifted by the same numbers, and no more than needed."""
    both = torch.stack([image, twin])
    both = both / (both.amax() - both.amin()).clamp(min=1)
    both = both - both.amin().clamp(max=0)
    both = both - (both.amax() - 1).clamp(min=0)
    both = both.clamp(0, 1)  # rounding
    return both[0], both[1]


def _randomised(image: Tensor, seed: int, number: int) -> Tensor:
    """The phases of white noise added to those of each channel; that of the mean stays."""
    noise = torch.from_numpy(drawn_from(seed, number).standard_normal(image.shape[-2:]))
    turns = torch.fft.fft2(noise)
    turns = turns / turns.abs()
    turns[0, 0] = 1
    twin: Tensor = torch.fft.ifft2(torch.fft.fft2(image) * turns).real
    return twin


def _derangement(count: int, random: np.random.Generator) -> Tensor:
    """An order in which nothing keeps its place, all equally likely: about one draw in three is one."""
    while True:
        order = random.permutation(count)
        if not (order == np.arange(count)).any():
            return torch.from_numpy(order)


def _numbers(images: Images, numbers: Sequence[int] | None) -> Sequence[int]:
    if numbers is not None and len(numbers) != len(images):
        raise InputError(f"{len(numbers)} numbers for {len(images)} images; give one each")
    return range(len(images)) if numbers is None else numbers


def _check(images: Images) -> None:
    if images.ndim != 4 or 0 in images.shape:
        raise InputError(f"images of shape {tuple(images.shape)}; give [batch, channel, height, width]")
    if not (float(images.min()) >= 0 and float(images.max()) <= 1):
        raise InputError(f"images with values from {float(images.min()):.3g} to {float(images.max()):.3g}; give [0, 1]")
