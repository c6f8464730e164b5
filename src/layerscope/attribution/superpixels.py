"""Superpixels: pieces of an image of one colour and about one size, for methods that explain pieces and not pixels."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from layerscope.attribution.task import count

COMPACTNESS = 0.2
"""The difference of colour, where 1 is the range of the image, that counts as much as one side of a superpixel."""

_ROUNDS = 10
_AT_ONCE = 1 << 22


def superpixels(image: Tensor, segments: int, compactness: float = COMPACTNESS) -> Tensor:
    """About `segments` superpixels of an image [channel, height, width] in [0, 1], as SLIC finds them.

    k-means over colour and place from a regular grid of centres (Achanta et al. 2012). Of what is not connected the
    largest part stays, and the others go to their neighbours. Nothing is random.

    Returns [height, width], whole numbers from 0 on, without gaps, on the CPU. Raises InputError for a number that is
    not whole, or below 1.
    """
    count("segments", segments)
    channels, height, width = image.shape
    rows, columns = _grid(segments, height, width)
    pixels = image.detach().double().cpu().reshape(channels, -1).T / compactness
    side = (height * width / (rows * columns)) ** 0.5
    places = torch.cartesian_prod(torch.arange(height), torch.arange(width)).double()
    middles = torch.cartesian_prod(_middles(rows, height), _middles(columns, width))
    below = middles.round().long()
    colours = pixels[below[:, 0] * width + below[:, 1]]
    points, centres = torch.cat([pixels, places / side], dim=1), torch.cat([colours, middles / side], dim=1)
    for _ in range(_ROUNDS):
        nearest = _nearest(points, centres)
        counts = nearest.bincount(minlength=len(centres))
        sums = torch.zeros_like(centres).index_add_(0, nearest, points)
        centres = torch.where(counts[:, None] > 0, sums / counts[:, None].clamp(min=1), centres)
    numbers: Tensor = _nearest(points, centres).unique(return_inverse=True)[1]
    return _connected(numbers.view(height, width))


def _grid(segments: int, height: int, width: int) -> tuple[int, int]:
    """Rows and columns of about so many pieces of about square shape."""
    rows = min(max(round((segments * height / width) ** 0.5), 1), height)
    return rows, min(max(round(segments / rows), 1), width)


def _middles(pieces: int, extent: int) -> Tensor:
    """Of equal parts of an axis, as places of pixels."""
    return (torch.arange(pieces).double() + 0.5) * extent / pieces - 0.5


def _nearest(points: Tensor, centres: Tensor) -> Tensor:
    """[point]: the number of the nearest centre."""
    parts = points.split(max(1, _AT_ONCE // len(centres)))
    return torch.cat([torch.cdist(part, centres).argmin(1) for part in parts])


def _connected(numbers: Tensor) -> Tensor:
    """[height, width]: of each piece the largest connected part; what is left over grows over from its neighbours."""
    parts = _parts(numbers)
    sizes = parts.flatten().bincount(minlength=parts.numel())[parts]
    ranks = sizes * parts.numel() + parts  # of two parts of one size only one may stay
    highest = numbers.new_zeros(int(numbers.max()) + 1).scatter_reduce(0, numbers.flatten(), ranks.flatten(), "amax")
    kept = torch.where(ranks == highest[numbers], numbers, -1)
    while (kept < 0).any():
        kept = torch.where(kept < 0, _neighbours(kept, -1).amax(0), kept)
    return kept


def _parts(numbers: Tensor) -> Tensor:
    """[height, width]: for each pixel one pixel, the same for all that are connected within their piece."""
    same = _neighbours(numbers, -1) == numbers
    found, before = torch.arange(numbers.numel()).view_as(numbers), None
    while before is None or not torch.equal(found, before):
        before = found
        lowest = torch.where(same, _neighbours(found, 0), found).amin(0).minimum(found)
        found = lowest.flatten()[lowest]  # a jump, since the pixel that stands for this one may have found a lower one
    return found


def _neighbours(values: Tensor, outside: int) -> Tensor:
    """[4, height, width]: the values above, below, to the left and to the right of each pixel."""
    padded = F.pad(values, (1, 1, 1, 1), value=outside)
    return torch.stack([padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]])
