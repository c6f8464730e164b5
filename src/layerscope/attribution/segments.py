"""Pieces of an image: which they are, the image without some of them, and their values as a map."""

from __future__ import annotations

import torch
from torch import Tensor

from layerscope.attribution.superpixels import superpixels
from layerscope.errors import InputError
from layerscope.types import Images

Segments = int | Tensor
"""About how many superpixels, or the pieces themselves: whole numbers [height, width], one number for each piece."""


def segments_of(image: Images, segments: Segments) -> Tensor:
    """[height, width]: the number of the piece of each pixel of one image [1, ...], from 0 on and without gaps.

    Raises InputError for a map of another size, or of numbers that are not whole.
    """
    if not isinstance(segments, Tensor):
        return superpixels(image[0], segments).to(image.device)
    if segments.shape != image.shape[-2:] or segments.is_floating_point() or segments.is_complex():
        raise InputError(
            f"segments of shape {tuple(segments.shape)} and dtype {segments.dtype} for images of "
            f"{tuple(image.shape[-2:])}; give a number, or a [height, width] map of whole numbers"
        )
    pieces: Tensor = segments.to(image.device).unique(return_inverse=True)[1]
    return pieces


def with_segments(image: Images, reference: Images, pieces: Tensor, kept: Tensor) -> Images:
    """[variant, channel, height, width]: the image [1, ...] where a piece is kept, the reference elsewhere.

    kept: [variant, piece], true or false.
    """
    return torch.where(kept.to(image.device)[:, pieces][:, None], image, reference)


def as_map(effects: Tensor, pieces: Tensor) -> Tensor:
    """[1, 1, height, width]: the effect of each piece [piece] spread evenly over its pixels, so that sums stay."""
    return (effects.to(pieces.device) / pieces.flatten().bincount())[pieces][None, None]
