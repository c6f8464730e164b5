"""Filters that are known by construction (PG-1), and units of texture, of energy and of complex cells built of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from layerscope.models.model import VisionModel, wrap

KERNEL = 17
LUMINANCE = np.array([0.299, 0.587, 0.114])
RED_GREEN, BLUE_YELLOW = np.array([1, -1, 0]) / math.sqrt(2), np.array([-1, -1, 2]) / math.sqrt(6)


@dataclass(frozen=True)
class Planted:
    """Filters [units, 3, kernel, kernel] of norm 1 (or 0), and what is known of each; NaN where there is nothing.

    orientation: of the bars, degrees counter-clockwise from horizontal. frequency: cycles per pixel. hue: degrees.
    """

    filters: NDArray[np.float64]
    kind: NDArray[np.str_]
    orientation: NDArray[np.float64]
    frequency: NDArray[np.float64]
    hue: NDArray[np.float64]


def gabor(orientation: float, frequency: float, phase: float, kernel: int = KERNEL) -> NDArray[np.float64]:
    """A Gabor of norm 1 without mean whose bars run at `orientation` degrees; about 1.3 octaves wide."""
    row, column = np.mgrid[:kernel, :kernel] - kernel // 2
    bar = np.deg2rad(orientation)
    along_x, along_y = math.cos(bar), -math.sin(bar)  # rows count down
    across = -along_y * column + along_x * row
    sigma = min(0.45 / frequency, kernel / 4.2)
    drawn = np.exp(-(row**2 + column**2) / (2 * sigma**2)) * np.cos(2 * np.pi * frequency * across + phase)
    drawn -= drawn.mean()
    return drawn / np.linalg.norm(drawn)


def blob(sigma: float, kernel: int = KERNEL) -> NDArray[np.float64]:
    row, column = np.mgrid[:kernel, :kernel] - kernel // 2
    drawn = np.exp(-(row**2 + column**2) / (2 * sigma**2))
    return drawn / np.linalg.norm(drawn)


def colour_of(hue: float) -> NDArray[np.float64]:
    angle = np.deg2rad(hue)
    return np.cos(angle) * RED_GREEN + np.sin(angle) * BLUE_YELLOW


def pg1(seed: int = 0, noise: float = 0.0, counts: dict[str, int] | None = None) -> Planted:
    """PG-1, with additive weight noise of `noise` times the energy of each filter (1 is a signal-to-noise ratio of 1)."""
    random = np.random.default_rng(seed)
    counts = counts or {"edge": 100, "colour": 100, "colour-edge": 50, "blob": 50, "random": 200, "dead": 20}
    rows = [(kind, *_one(kind, random)) for kind, count in counts.items() for _ in range(count)]
    filters = np.stack([row[1] for row in rows])
    filters = _normed(filters)
    if noise:
        added = _normed(random.normal(size=filters.shape)) * math.sqrt(noise)
        filters = filters + added * (filters != 0).any((1, 2, 3), keepdims=True)
    kind, _, orientation, frequency, hue = zip(*rows, strict=True)
    return Planted(filters, np.array(kind), np.array(orientation), np.array(frequency), np.array(hue))


def random_filters(count: int, seed: int, kernel: int = KERNEL) -> NDArray[np.float64]:
    return _normed(np.random.default_rng(seed).normal(size=(count, 3, kernel, kernel)))


def first_layer(filters: NDArray[np.float64], size: int | None = None) -> VisionModel:
    """A network of one convolution, "0", with these filters and a rectifier, which sees images as they are."""
    units, channels, kernel, _ = filters.shape
    convolution = nn.Conv2d(channels, units, kernel, bias=False)
    with torch.no_grad():
        convolution.weight.copy_(torch.from_numpy(filters))
    return seen_as_they_are(nn.Sequential(convolution, nn.ReLU()), size or kernel, channels)


class Energies(nn.Module):
    """Energies of quadrature pairs of light-dark Gabors at eight orientations, 22.5 degrees apart: complex cells."""

    def __init__(self, frequency: float, kernel: int) -> None:
        super().__init__()
        pairs = [gabor(22.5 * k, frequency, phase, kernel) for k in range(8) for phase in (0, np.pi / 2)]
        self.gabors = nn.Conv2d(3, 16, kernel, padding=kernel // 2, bias=False)
        with torch.no_grad():
            self.gabors.weight.copy_(torch.from_numpy(np.stack([_coloured(one, LUMINANCE) for one in pairs])))

    def forward(self, images: Tensor) -> Tensor:
        return self.gabors(images).square().unflatten(1, (8, 2)).sum(2)


class TextureNet(nn.Module):
    """Layer "units": 0 wants bars of any orientation AND NOT crossed ones, 1 measures all energy, 2 that of one."""

    def __init__(self, frequency: float = 0.15, kernel: int = 13) -> None:
        super().__init__()
        self.energies = Energies(frequency, kernel)
        self.uncrossed = nn.Conv2d(8, 8, 1, bias=False)
        self.units = nn.Conv2d(16, 3, 1, bias=False)
        crossing = torch.eye(8) - 2 * torch.eye(8).roll(4, 1)
        sums = torch.zeros(3, 16)
        sums[0, :8], sums[1, 8:], sums[2, 8] = 1, 1, 1
        with torch.no_grad():
            self.uncrossed.weight.copy_(crossing[:, :, None, None])
            self.units.weight.copy_(sums[:, :, None, None])

    def forward(self, images: Tensor) -> Tensor:
        energies = self.energies(images)
        return self.units(torch.cat([F.relu(self.uncrossed(energies)), energies], 1))


def seen_as_they_are(module: nn.Module, size: int, channels: int = 3) -> VisionModel:
    """The network for images that are not normalised."""
    return wrap(module, size, mean=[0.0] * channels, std=[1.0] * channels)


def _one(kind: str, random: np.random.Generator) -> tuple[NDArray[np.float64], float, float, float]:
    """A filter, its orientation, frequency and hue."""
    orientation, hue, phase = random.uniform(0, 180), random.uniform(0, 360), random.uniform(0, 2 * np.pi)
    frequency = math.exp(random.uniform(math.log(0.06), math.log(0.22)))
    sigma, nothing = random.uniform(1.5, 4), float("nan")
    if kind == "edge":
        return _coloured(gabor(orientation, frequency, phase), LUMINANCE), orientation, frequency, nothing
    if kind == "colour-edge":
        return _coloured(gabor(orientation, frequency, phase), colour_of(hue)), orientation, frequency, hue
    if kind == "colour":
        return _coloured(blob(sigma), colour_of(hue)), nothing, nothing, hue
    if kind == "blob":
        return _coloured(blob(sigma) - blob(6), LUMINANCE), nothing, nothing, nothing
    if kind == "random":
        return random.normal(size=(3, KERNEL, KERNEL)), nothing, nothing, nothing
    return np.zeros((3, KERNEL, KERNEL)), nothing, nothing, nothing


def _coloured(drawn: NDArray[np.float64], colour: NDArray[np.float64]) -> NDArray[np.float64]:
    return drawn * colour[:, None, None]


def _normed(filters: NDArray[np.float64]) -> NDArray[np.float64]:
    norms = np.linalg.norm(filters.reshape(len(filters), -1), axis=1)[:, None, None, None]
    return filters / np.where(norms > 0, norms, 1)
