"""Maps that know nothing of any network: what a method's map has to beat.

An edge detector looks like many an explanation (Adebayo et al. 2018, section 5), and things are often in the middle.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from layerscope.attribution.baselines import blurred
from layerscope.errors import InputError

LUMINANCE = (0.299, 0.587, 0.114)
"""Weights of red, green and blue (ITU-R BT.601)."""
CENTRE = 0.25
"""Standard deviation of the centre blob, in sides of the image."""


def controls(image: Tensor, seed: int = 0) -> dict[str, Tensor]:
    """Control maps of an image [channel, height, width] in [0, 1], each float32 [height, width] on the CPU.

    "random": smoothed noise, positive and negative, the same for a seed and size. "edges": how strong the edge is at
    each pixel. "centre": a blob in the middle. Raises InputError for anything but one image.
    """
    if image.ndim != 3:
        raise InputError(f"an image of shape {tuple(image.shape)}; give one image [channel, height, width]")
    image = image.detach().float().cpu()
    height, width = image.shape[-2:]
    return {
        "random": _noise(height, width, seed),
        "edges": sobel(_luminance(image)),
        "centre": _blob(height)[:, None] * _blob(width)[None, :],
    }


def sobel(grey: Tensor) -> Tensor:
    """Magnitude of the Sobel gradient of a grey image [height, width], with the factors of scikit-image's `sobel`.

    The border repeats its last pixel.
    """
    padded = F.pad(grey[None, None], (1, 1, 1, 1), mode="replicate")
    across = torch.tensor([[1.0, 0.0, -1.0], [2.0, 0.0, -2.0], [1.0, 0.0, -1.0]]).to(grey) / 4
    slopes = F.conv2d(padded, torch.stack([across, across.T])[:, None])[0]
    return slopes.square().mean(0).sqrt()


def _luminance(image: Tensor) -> Tensor:
    if len(image) != len(LUMINANCE):
        return image.mean(0)
    return (image * image.new_tensor(LUMINANCE)[:, None, None]).sum(0)


def _noise(height: int, width: int, seed: int) -> Tensor:
    return blurred(torch.randn(1, 1, height, width, generator=torch.Generator().manual_seed(seed)))[0, 0]


def _blob(length: int) -> Tensor:
    place = (torch.arange(length) + 0.5) / length - 0.5
    return torch.exp(-0.5 * (place / CENTRE).square())
