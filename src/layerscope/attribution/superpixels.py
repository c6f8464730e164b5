"""Superpixels: pieces of an image of one colour and about one size, for methods that explain pieces and not pixels."""

from __future__ import annotations

import torch
from torch import Tensor

from layerscope.attribution.task import count

COMPACTNESS = 0.1
"""The difference of colour, where 1 is the range of the image, that counts as much as one side of a superpixel."""

_ROUNDS = 10
_AT_ONCE = 1 << 22


def superpixels(image: Tensor, segments: int, compactness: float = COMPACTNESS) -> Tensor:
    """About `segments` superpixels of an image [channel, height, width] in [0, 1], as SLIC finds them.

    k-means over colour and place from a regular grid of centres (Achanta et al. 2012), over the whole image and without
    a repair of pieces that are not connected. It draws nothing: the same image gives the same superpixels.

    Returns [height, width], whole numbers from 0 on, without gaps, on the CPU. Raises InputError for a number that is
    not whole, or below 1.
    """
    count("segments", segments)
    channels, height, width = image.shape
    rows, columns = _grid(segments, height, width)
    pixels = image.detach().double().cpu().reshape(channels, -1).T / compactness
    side = (height * width / (rows * columns)) ** 0.5
    places = torch.cartesian_prod(torch.arange(height), torch.arange(width)).double() / side
    points = torch.cat([pixels, places], dim=1)
    down, across = (((torch.arange(n) + 0.5) * extent / n).long() for n, extent in ((rows, height), (columns, width)))
    centres = points[(down[:, None] * width + across).flatten()]
    for _ in range(_ROUNDS):
        nearest = _nearest(points, centres)
        counts = nearest.bincount(minlength=len(centres))
        sums = torch.zeros_like(centres).index_add_(0, nearest, points)
        centres = torch.where(counts[:, None] > 0, sums / counts[:, None].clamp(min=1), centres)
    numbers: Tensor = _nearest(points, centres).unique(return_inverse=True)[1]
    return numbers.view(height, width)


def _grid(segments: int, height: int, width: int) -> tuple[int, int]:
    """Rows and columns of about so many pieces of about square shape."""
    rows = min(max(round((segments * height / width) ** 0.5), 1), height)
    return rows, min(max(round(segments / rows), 1), width)


def _nearest(points: Tensor, centres: Tensor) -> Tensor:
    """[point]: the number of the nearest centre."""
    parts = points.split(max(1, _AT_ONCE // len(centres)))
    return torch.cat([torch.cdist(part, centres).argmin(1) for part in parts])
