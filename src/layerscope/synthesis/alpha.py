"""Pictures with transparency: what does not matter to the objective goes.

From "Differentiable Image Parameterizations" (Mordvintsev et al. 2018, Distill), section "Transparency": during the
ascent the picture lies on a backdrop that is new at every step, so only what is opaque can be relied on; and opacity
costs. The result has one channel more, its alpha.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from layerscope.models.spectrum import power_law
from layerscope.synthesis.images import Parametrisation, Planes, image_of
from layerscope.types import Images

SLOPE = 1.5
"""Of the mask's frequencies: soft areas, no speckles."""
GAIN = 4.0
"""Of the mask before its sigmoid, per unit of its plane."""
OPENING = 1.0
"""The mask starts at sigmoid of this, mostly opaque: the picture is found first."""
BACKDROP_SIDES = (1, 4, 16)
"""Backdrops are random images of these sides, enlarged and added: a colour, patches and a texture."""
BACKDROP_DEVIATION = 0.15


class Alpha(Parametrisation):
    """Another parametrisation's pictures with a mask; `render` gives [batch, channel + 1, height, width], alpha last.

    `price`: an opaque picture is climbed as if it scored that share of its score less than a fully transparent one.
    """

    def __init__(self, inner: Parametrisation, price: float) -> None:
        super().__init__(inner.contrast)
        self.inner, self.price = inner, price
        self.channels = self.contrast.colour.shape[0]
        self.magnitude = power_law(self.height, self.width, [SLOPE]).to(self.device)
        self.shape = inner.init(torch.Generator().manual_seed(0)).shape

    def init(self, generator: torch.Generator, start: Tensor | None = None) -> Tensor:
        picture = self.inner.init(generator, start)
        mask = torch.randn(*self.magnitude.shape, 2, generator=generator, dtype=torch.float32) * 0.01
        return torch.cat([picture.flatten(), mask.flatten()])

    def planes(self, parameters: Tensor) -> Planes:
        return self.inner.planes(self._split(parameters)[0])

    def render(self, parameters: Tensor) -> Images:
        picture, mask = self._split(parameters)
        plane = image_of(torch.view_as_complex(mask) * self.magnitude, self.height, self.width)
        return torch.cat([self.inner.render(picture), torch.sigmoid(OPENING + GAIN * plane)], 1)

    def draw(self, steps: int, generator: torch.Generator) -> Tensor:
        count = self.channels * sum(side * side for side in BACKDROP_SIDES)
        return torch.randn(steps, count, generator=generator, dtype=torch.float32)

    def exposed(self, views: Images, drawn: Tensor) -> Images:
        return over(views, self._backdrops(drawn, (views.shape[2], views.shape[3])))

    def shown(self, views: Images) -> Images:
        """Over plain grey."""
        return over(views, torch.full_like(views[:, :-1], 0.5))

    def weighed(self, scores: Tensor, views: Images) -> Tensor:
        return scores - self.price * scores.detach().abs() * views[:, -1].flatten(1).mean(1)

    def _split(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        count = self.shape.numel()
        picture, mask = parameters.split([count, parameters.shape[1] - count], 1)
        return picture.view(-1, *self.shape), mask.view(-1, *self.magnitude.shape, 2)

    def _backdrops(self, drawn: Tensor, size: tuple[int, int]) -> Images:
        parts = drawn.split([self.channels * side * side for side in BACKDROP_SIDES], 1)
        images = [
            F.interpolate(part.view(-1, self.channels, side, side), size, mode="bicubic", align_corners=False)
            for part, side in zip(parts, BACKDROP_SIDES, strict=True)
        ]
        return (0.5 + BACKDROP_DEVIATION * torch.stack(images).sum(0)).clamp(0, 1)


def over(pictures: Images, backdrops: Images) -> Images:
    """Pictures [batch, channel + 1, height, width] laid over backdrops [batch, channel, height, width]."""
    alpha = pictures[:, -1:]
    return pictures[:, :-1] * alpha + backdrops * (1 - alpha)
