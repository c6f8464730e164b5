"""Pictures with transparency: what does not matter to the objective goes.

From "Differentiable Image Parameterizations" (Mordvintsev et al. 2018, Distill), section "Transparency": during the
ascent the picture lies on a backdrop that is new at every step, so only what is opaque can be relied on; and opacity
costs. The result has one channel more, its alpha.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from layerscope.synthesis.images import Parametrisation, Planes
from layerscope.types import Images

MASK_SIDES = (1, 4, 12)
"""The mask is a sum of free images of these sides, enlarged: all of it can fade at once, and its edges are soft."""
OPENING, GAIN = 2.0, 0.4
"""The mask starts at sigmoid of the first, mostly opaque, and changes at this share of the speed of its parameters, so
that the picture is found first: a mask that is faster takes away what does not look like anything yet."""
BACKDROP_SIDES = (1, 4, 16)
"""Backdrops are random images of these sides, enlarged and added: a colour, patches and a texture."""
BACKDROP_DEVIATION = 0.15


class Alpha(Parametrisation):
    """Another parametrisation's pictures with a mask; `render` gives [batch, channel + 1, height, width], alpha last.

    `price`: an opaque picture is climbed as if it scored that share of its score less than a fully transparent one.
    While the score is negative, opacity costs nothing: the thing is found first, and cut out after.
    """

    def __init__(self, inner: Parametrisation, price: float) -> None:
        super().__init__(inner.contrast)
        self.inner, self.price = inner, price
        self.channels = self.contrast.colour.shape[0]
        self.shape = inner.init(torch.Generator().manual_seed(0)).shape

    def init(self, generator: torch.Generator, start: Tensor | None = None) -> Tensor:
        picture = self.inner.init(generator, start)
        mask = torch.randn(_values(1, MASK_SIDES), generator=generator, dtype=torch.float32) * 0.01
        return torch.cat([picture.flatten(), mask])

    def planes(self, parameters: Tensor) -> Planes:
        return self.inner.planes(self._split(parameters)[0])

    def render(self, parameters: Tensor) -> Images:
        picture, mask = self._split(parameters)
        opaque = torch.sigmoid(OPENING + GAIN * _enlarged(mask, 1, MASK_SIDES, (self.height, self.width)))
        return torch.cat([self.inner.render(picture), opaque], 1)

    def draw(self, steps: int, generator: torch.Generator) -> Tensor:
        return torch.randn(steps, _values(self.channels, BACKDROP_SIDES), generator=generator, dtype=torch.float32)

    def exposed(self, views: Images, drawn: Tensor) -> Images:
        noise = _enlarged(drawn, self.channels, BACKDROP_SIDES, (views.shape[2], views.shape[3]))
        return over(views, (0.5 + BACKDROP_DEVIATION * noise).clamp(0, 1))

    def shown(self, views: Images) -> Images:
        """Over plain grey."""
        return over(views, torch.full_like(views[:, :-1], 0.5))

    def weighed(self, scores: Tensor, views: Images) -> Tensor:
        return scores - self.price * scores.detach().clamp(min=0) * views[:, -1].flatten(1).mean(1)

    def _split(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        count = self.shape.numel()
        picture, mask = parameters.split([count, parameters.shape[1] - count], 1)
        return picture.clone().view(-1, *self.shape), mask  # apart: as a complex tensor it may have no odd stride


def _values(channels: int, sides: Sequence[int]) -> int:
    return channels * sum(side * side for side in sides)


def _enlarged(values: Tensor, channels: int, sides: Sequence[int], size: tuple[int, int]) -> Tensor:
    """Images [batch, channels, *size]: `values` [batch, _values] are images of these sides, enlarged and added."""
    parts = values.split([_values(channels, [side]) for side in sides], 1)
    images = [
        F.interpolate(part.view(-1, channels, side, side), size, mode="bicubic", align_corners=False)
        for part, side in zip(parts, sides, strict=True)
    ]
    return torch.stack(images).sum(0)


def over(pictures: Images, backdrops: Images) -> Images:
    """Pictures [batch, channel + 1, height, width] laid over backdrops [batch, channel, height, width]."""
    alpha = pictures[:, -1:]
    return pictures[:, :-1] * alpha + backdrops * (1 - alpha)
