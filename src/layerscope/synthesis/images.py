"""Parametrisations: what the ascent changes, and how a picture is made of it.

All pictures have a FIXED CONTRAST: planes -> colours -> minus part of the mean -> round window -> one RMS ->
.5 + .5 tanh(2x). Free of it, ascent drives pixels to black, white and neon; with it, a picture can only win by its
drawing.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from layerscope.errors import InputError
from layerscope.models.spectrum import Magnitudes
from layerscope.types import Images

Planes = Float[Tensor, "batch axis height width"]
"""Planes along the colour axes, of any scale."""

WINDOW_START, WINDOW_END = 0.69, 1.25  # of half the view's side: full inside, faint outside


@dataclass(frozen=True)
class Contrast:
    """The last steps from colour planes to an image, the same for every parametrisation."""

    colour: Tensor
    window: Tensor
    rms: float
    """Root mean square of the picture before the tanh and where the window is 1."""
    flatten: float = 0.5
    """Share of each image's mean that is taken away."""

    def __call__(self, planes: Planes) -> Images:
        values = (self.colour @ planes.flatten(2)).unflatten(2, planes.shape[2:])
        images: Images = _FixedContrast.apply(values, self.window, self.rms, self.flatten)
        return images


class _FixedContrast(torch.autograd.Function):
    """.5 + .5 tanh(2 rms z / |z|) of z = (values - flatten * mean) * window, |z| the window's expected RMS.

    Derived by hand, since on a CPU much of the time that a picture takes outside the network went into some thirty
    passes over it; these are nine.
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor, window: Tensor, rms: float, flatten: float) -> Tensor:
        windowed = (values - flatten * _mean(values)).mul_(window)
        expected = window.square().mean()
        gain = 4 * rms * (_mean(windowed.square()) / expected + 1e-16).rsqrt()
        images = torch.sigmoid(windowed * gain)  # = .5 + .5 tanh of half the argument
        ctx.save_for_backward(windowed, window, gain, expected, images)
        ctx.rms, ctx.flatten = rms, flatten
        return images

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        windowed, window, gain, expected, images = ctx.saved_tensors
        inner = torch.ops.aten.sigmoid_backward(gradients[0], images)
        # the gain falls as the picture grows: d gain / d windowed = -gain^3 / (16 rms^2 expected) windowed / count
        pull = _mean(inner * windowed) * gain.pow(3) / (16 * ctx.rms**2 * expected)
        outer = inner.mul_(gain).sub_(windowed * pull).mul_(window)
        return outer.sub_(ctx.flatten * _mean(outer)), None, None, None


def _mean(values: Tensor) -> Tensor:
    """Of each image, [batch, 1, 1, 1]; over one axis, since a mean over three rounds as the batch is large."""
    return values.flatten(1).mean(1)[:, None, None, None]


class Parametrisation(ABC):
    """`init` draws the parameters of one image; `render` makes images of a batch of them."""

    def __init__(self, contrast: Contrast) -> None:
        self.contrast = contrast
        self.axes = contrast.colour.shape[1]
        self.height, self.width = contrast.window.shape

    @property
    def device(self) -> torch.device:
        """Where images are rendered; parameters are drawn on the CPU whatever it is."""
        return self.contrast.window.device

    @abstractmethod
    def init(self, generator: torch.Generator, start: Tensor | None = None) -> Tensor:
        """Parameters of one image, float32 on the CPU, drawn from its own generator.

        `start`: an image [channel, height, width] in [0, 1], as large as the canvas, that `render` gives back. Raises
        InputError where pictures of this kind cannot start from one.
        """

    @abstractmethod
    def planes(self, parameters: Tensor) -> Planes:
        """Planes along the colour axes, of any scale."""

    def render(self, parameters: Tensor) -> Images:
        """Images [batch, channel, height, width] in [0, 1] of parameters [batch, ...], each of its own alone."""
        return self.contrast(self.planes(parameters))

    def draw(self, steps: int, generator: torch.Generator) -> Tensor:
        """Random numbers [steps, k] of one image for `exposed`, on the CPU; most kinds need none."""
        return torch.empty(steps, 0, dtype=torch.float32)

    def exposed(self, views: Images, drawn: Tensor) -> Images:
        """What the network is shown of views, with the numbers [batch, k] drawn for this step."""
        return views

    def shown(self, views: Images) -> Images:
        """What the network is shown of finished pictures, to score them."""
        return views

    def weighed(self, scores: Tensor, views: Images) -> Tensor:
        """What is climbed: the scores [batch], less what the picture itself costs."""
        return scores


def without_start(kind: str, start: Tensor | None) -> None:
    """Raise InputError if there is a start."""
    if start is not None:
        raise InputError(f"pictures of the kind {kind!r} cannot start from an image; take the kind 'seeded'")


class Pixels(Parametrisation):
    """The pixels themselves: no prior on frequencies (Erhan et al. 2009); noisy, for comparison."""

    def init(self, generator: torch.Generator, start: Tensor | None = None) -> Tensor:
        without_start("pixels", start)
        return torch.randn(self.axes, self.height, self.width, generator=generator, dtype=torch.float32) * 0.01

    def planes(self, parameters: Tensor) -> Planes:
        return parameters


class Fourier(Parametrisation):
    """Free complex coefficients, weighted by a natural spectrum (Olah et al. 2017, "Preconditioning").

    `cap`: a magnitude is softly bounded at `cap` times the image's mean one, so that no single frequency makes combs.
    """

    def __init__(self, contrast: Contrast, magnitude: Magnitudes, cap: float = 0.0) -> None:
        super().__init__(contrast)
        self.magnitude, self.cap = magnitude, cap

    def init(self, generator: torch.Generator, start: Tensor | None = None) -> Tensor:
        without_start("fourier", start)
        return torch.randn(*self.magnitude.shape, 2, generator=generator, dtype=torch.float32) * 0.01

    def planes(self, parameters: Tensor) -> Planes:
        coefficients = torch.view_as_complex(parameters)
        if self.cap:
            coefficients = coefficients * _soft_cap(parameters, self.cap)
        return image_of(coefficients * self.magnitude, self.height, self.width)


class PhaseOnly(Parametrisation):
    """Only the phases are free, the magnitudes are those of natural images (MACO: Fel et al. 2023, section 3)."""

    def __init__(self, contrast: Contrast, magnitude: Magnitudes) -> None:
        super().__init__(contrast)
        self.magnitude = magnitude

    def init(self, generator: torch.Generator, start: Tensor | None = None) -> Tensor:
        without_start("phase", start)
        return (torch.rand(self.magnitude.shape, generator=generator, dtype=torch.float32) * 2 - 1) * math.pi

    def planes(self, parameters: Tensor) -> Planes:
        return image_of(_Waves.apply(parameters, self.magnitude), self.height, self.width)


class _Waves(torch.autograd.Function):
    """magnitude * exp(i phase), with the gradient of real numbers: that of torch.polar divides and takes roots."""

    @staticmethod
    def forward(ctx: Any, phase: Tensor, magnitude: Tensor) -> Tensor:
        waves = torch.polar(magnitude.expand_as(phase), phase)  # cos and sin of their own round by the place in a batch
        ctx.save_for_backward(waves)
        return waves

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (real, imaginary), (along, across) = (
            torch.view_as_real(one).unbind(-1) for one in (ctx.saved_tensors[0], gradients[0])
        )
        return across * real - along * imaginary, None


def round_window(height: int, width: int, view: int, depth: float) -> Tensor:
    """1 in the middle, falling to 1 - depth around a disc as wide as the view [pixels]; all 1 for depth 0."""
    rows, columns = (
        (torch.arange(side, dtype=torch.float32) - (side - 1) / 2) / (view / 2) for side in (height, width)
    )
    radius = (rows[:, None].square() + columns.square()).sqrt()
    return 1 - depth * ((radius - WINDOW_START) / (WINDOW_END - WINDOW_START)).clamp(0, 1)


def image_of(coefficients: Tensor, height: int, width: int) -> Planes:
    """Planes of complex coefficients [batch, axis, height, width // 2 + 1]; the transform keeps the length."""
    planes: Tensor = torch.fft.irfft2(coefficients, s=(height, width), norm="ortho")
    return planes


def _soft_cap(parameters: Tensor, cap: float) -> Tensor:
    size = parameters.square().sum(-1).add(1e-16).sqrt()
    bound = cap * size.detach().flatten(1).mean(1)[:, None, None, None]
    return bound * torch.tanh(size / bound) / size
