"""Pictures that start from an image, and are that image until they are changed.

The image's own spectrum is the start (Hamblin et al. 2024, feature accentuation: "Fourier parametrisation"), weighted
as `Fourier` weights it. Contrast and mean are the image's own: nothing is renormalised.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from layerscope.errors import InputError
from layerscope.models.spectrum import Magnitudes
from layerscope.synthesis.images import Contrast, Parametrisation, Planes, image_of
from layerscope.types import Images

DARKEST = 0.4 / 255
"""Values are kept this far from 0 and 1, where tanh has no way back; it rounds to the same byte."""
SINGULAR = 1e3
"""Condition number from which colour axes cannot tell an image's colours; the channels are axes then."""


class Seeded(Parametrisation):
    """Free complex coefficients whose start is an image; without one, grey noise as faint as `Fourier` starts."""

    def __init__(self, contrast: Contrast, magnitude: Magnitudes) -> None:
        super().__init__(contrast)
        self.magnitude = magnitude
        self.colour = _invertible(contrast.colour)

    def init(self, generator: torch.Generator, start: Tensor | None = None) -> Tensor:
        if start is None:
            return torch.randn(*self.magnitude.shape, 2, generator=generator, dtype=torch.float32) * 0.01
        expected = (self.colour.shape[0], self.height, self.width)
        if tuple(start.shape) != expected:
            raise InputError(f"an image of {list(start.shape)} cannot start a picture of {list(expected)}")
        values = torch.atanh(start.detach().double().cpu().clamp(DARKEST, 1 - DARKEST) * 2 - 1) / 2
        planes = torch.linalg.solve(self.colour.double().cpu(), values.flatten(1)).view_as(values)
        coefficients = torch.fft.rfft2(planes, norm="ortho") / self.magnitude.double().cpu()
        return torch.view_as_real(coefficients).float()

    def planes(self, parameters: Tensor) -> Planes:
        return image_of(torch.view_as_complex(parameters) * self.magnitude, self.height, self.width)

    def render(self, parameters: Tensor) -> Images:
        planes = self.planes(parameters)
        return 0.5 + 0.5 * torch.tanh(2 * (self.colour @ planes.flatten(2)).unflatten(2, planes.shape[2:]))


def on_canvas(images: Images, canvas: int) -> Images:
    """Images [batch, channel, side, side] continued by their mirror images to a square canvas.

    The middle is the image itself; a canvas beyond what mirrors give repeats the outermost values.
    """
    side = images.shape[-1]
    margin = (canvas - side) // 2
    mirrored = min(margin, side - 1)
    grown = F.pad(images, (mirrored,) * 4, mode="reflect")
    return F.pad(grown, (margin - mirrored,) * 4, mode="replicate") if margin > mirrored else grown


def _invertible(colour: Tensor) -> Tensor:
    """The colour axes, or where they do not span all colours, the channels themselves."""
    square = colour.shape[0] == colour.shape[1]
    if square and float(torch.linalg.cond(colour.double().cpu())) < SINGULAR:
        return colour
    return torch.eye(colour.shape[0], dtype=colour.dtype, device=colour.device)
