"""The colours and spatial frequencies that natural images have, as a prior for synthetic ones.

A picture that is free in every frequency and colour fills with noise; natural images fall off as about 1/f^1.3 in each
colour axis (Olah et al. 2017, "Preconditioning"; Fel et al. 2023, MACO, fix this spectrum altogether).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from layerscope.errors import InputError
from layerscope.types import Images

Magnitudes = Float[Tensor, "axis height half_width"]
"""A magnitude per frequency of a real Fourier transform, one plane per colour axis."""

REFERENCE_SIDE = 64
NATURAL_SLOPE = 1.3

# Square root of the colour covariance of ImageNet; columns are axes, light-dark first (Lucid, optvis/param/color.py).
NATURAL_COLOUR = ((0.26, 0.09, 0.02), (0.27, 0.0, -0.05), (0.27, -0.09, 0.03))


@dataclass(frozen=True)
class Spectrum:
    """Colour axes, mean colour and magnitude per spatial frequency of a set of images."""

    colour: Tensor
    """[channel, axis]: decorrelated, strongest first, scaled by their standard deviations; the longest has length 1."""
    mean: Tensor
    """[channel]: mean colour, in [0, 1]."""
    magnitude: Magnitudes
    """Mean magnitude of each frequency, per colour axis; each axis has norm 1."""

    @classmethod
    def of(cls, images: Images) -> Spectrum:
        """Measured on images [batch, channel, height, width] in [0, 1], square or not; some hundreds are enough."""
        if images.ndim != 4 or len(images) < 2:
            raise InputError(
                f"a spectrum is measured on images [2 or more, channel, height, width], not {list(images.shape)}"
            )
        images = images.detach().to("cpu", torch.float32)
        mean = images.mean((0, 2, 3))
        centred = images - mean[:, None, None]
        strength, axes = _principal_axes(centred)
        planes = torch.einsum("bchw,ca->bahw", centred, axes) * _soft_edges(images.shape[2], images.shape[3])
        return cls(_longest_one(axes * strength), mean, _unit_norm(torch.fft.rfft2(planes).abs().mean(0)))

    @classmethod
    def natural(cls, channels: int) -> Spectrum:
        """What photographs have: slope 1.3; for three channels the colours of ImageNet, else independent ones."""
        colour = (
            torch.tensor(NATURAL_COLOUR, dtype=torch.float32)
            if channels == 3
            else torch.eye(channels, dtype=torch.float32)
        )
        magnitude = power_law(REFERENCE_SIDE, REFERENCE_SIDE, [NATURAL_SLOPE] * channels)
        return cls(_longest_one(colour), torch.full((channels,), 0.5, dtype=torch.float32), magnitude)

    @classmethod
    def from_card(cls, card: Mapping[str, Any], channels: int) -> Spectrum:
        """What a card tells as {"spectrum": {"colour": [[..]], "mean": [..], "slopes": [..]}}; otherwise `natural`."""
        facts = card.get("spectrum")
        if facts is None:
            return cls.natural(channels)
        colour, mean = (torch.tensor(facts[name], dtype=torch.float32) for name in ("colour", "mean"))
        if colour.shape != (channels, channels):
            raise InputError(f"the card has colour axes {list(colour.shape)}; the network has {channels} channels")
        return cls(_longest_one(colour), mean, power_law(REFERENCE_SIDE, REFERENCE_SIDE, list(facts["slopes"])))

    def slopes(self) -> tuple[float, ...]:
        """The exponent of the power law nearest to each axis, fitted between .03 and .45 cycles per pixel."""
        rows = self.magnitude.shape[1]
        frequency = _radial(rows, 2 * (self.magnitude.shape[2] - 1))
        band = (frequency > 0.03) & (frequency < 0.45)
        x = frequency[band].log()
        x = x - x.mean()
        return tuple(
            float(-(x * plane[band].clamp(min=1e-12).log()).sum() / x.square().sum()) for plane in self.magnitude
        )

    def chromatic(self) -> bool:
        """Whether the axes are unlike (light-dark first, colours after), and not just the channels themselves."""
        return not torch.equal(self.colour, torch.eye(len(self.mean)))

    def resized(self, height: int, width: int) -> Magnitudes:
        """The magnitudes on another canvas: the same at the same cycles per pixel; each axis has norm 1."""
        logs = torch.fft.fftshift(_without_mean(self.magnitude).clamp(min=1e-12).log(), dim=1)
        rows, columns = logs.shape[1:]
        at_row = torch.fft.fftshift(torch.fft.fftfreq(height)) * rows + rows // 2
        at_column = torch.fft.rfftfreq(width) * 2 * (columns - 1)
        grid = torch.stack(
            torch.meshgrid(_to_unit(at_row, rows), _to_unit(at_column, columns), indexing="ij")[::-1], -1
        )
        moved = F.grid_sample(logs[None], grid[None].to(logs.dtype), padding_mode="border", align_corners=True)[0]
        return _unit_norm(torch.fft.ifftshift(moved, dim=1).exp())


def power_law(height: int, width: int, slopes: list[float]) -> Magnitudes:
    """frequency^-slope, one plane of norm 1 per slope; the mean (frequency 0) is as the lowest frequency."""
    frequency = _radial(height, width).clamp(min=1 / max(height, width))
    return _unit_norm(torch.stack([frequency**-slope for slope in slopes]))


def _radial(height: int, width: int) -> Tensor:
    rows = torch.fft.fftfreq(height, dtype=torch.float32)[:, None]
    columns = torch.fft.rfftfreq(width, dtype=torch.float32)[None]
    return torch.sqrt(rows.square() + columns.square())


def _principal_axes(centred: Images) -> tuple[Tensor, Tensor]:
    covariance = torch.einsum("bchw,bdhw->cd", centred, centred).double() / centred[:, 0].numel()
    variance, axes = torch.linalg.eigh(covariance)
    axes = axes.flip(1) * torch.where(axes.flip(1).sum(0) < 0, -1.0, 1.0)  # eigh leaves the sign open
    return variance.flip(0).clamp(min=0).sqrt().float(), axes.float()


def _soft_edges(height: int, width: int) -> Tensor:
    return torch.hann_window(height, dtype=torch.float32)[:, None] * torch.hann_window(width, dtype=torch.float32)


def _without_mean(magnitude: Tensor) -> Tensor:
    """The magnitude of the mean is no part of the slope: the lowest frequencies beside it stand in for it."""
    filled = magnitude.clone()
    filled[:, 0, 0] = (magnitude[:, 1, 0] + magnitude[:, 0, 1] + magnitude[:, -1, 0]) / 3
    return filled


def _to_unit(index: Tensor, count: int) -> Tensor:
    return index / max(count - 1, 1) * 2 - 1


def _unit_norm(magnitude: Tensor) -> Tensor:
    return F.normalize(magnitude.flatten(1), dim=1).view_as(magnitude)


def _longest_one(axes: Tensor) -> Tensor:
    return torch.div(axes, axes.norm(dim=0).max().clamp(min=1e-12))
