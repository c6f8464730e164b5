"""The canvas: parts are painted on it back to front, only where they are seen.

State is flat, one entry per pixel of the whole batch, so that textures are evaluated on the pixels of a part alone;
small parts then cost almost nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from layerscope.world.draws import Draws
from layerscope.world.fields import Number
from layerscope.world.parts import PART_NAMES, Part
from layerscope.world.textures import TEXTURE_NAMES, TEXTURES, Texture, texture_index


@dataclass(frozen=True)
class Frame:
    """A coordinate frame on the canvas: x, y [batch, pixels], and how large its unit is, in half images, [batch, 1]."""

    x: Tensor
    y: Tensor
    unit: Tensor


class Canvas:
    """What is painted so far, for `count` scenes of size x size pixels."""

    def __init__(self, draws: Draws, size: int):
        self.draws, self.size = draws, size
        pixels, device = draws.count * size * size, draws.device
        self.albedo = torch.zeros(3, pixels, device=device)
        self.height = torch.zeros(pixels, device=device)
        self.part = torch.zeros(pixels, dtype=torch.uint8, device=device)
        self.texture = torch.zeros(pixels, dtype=torch.uint8, device=device)
        self.thing = torch.zeros(pixels, device=device)
        axis = (torch.arange(size, device=device) + 0.5) * (2 / size) - 1
        y, x = torch.meshgrid(axis, axis, indexing="ij")
        shape = (draws.count, size * size)
        self.frame = Frame(
            x.reshape(1, -1).expand(shape), y.reshape(1, -1).expand(shape), torch.ones(draws.count, 1, device=device)
        )

    def paint(self, part: Part, frame: Frame, of_thing: bool) -> None:
        """Paint one part, drawn in `frame`; `of_thing` says whether it belongs to the thing or hides it."""
        pixel = (2.0 / self.size) / frame.unit
        alpha = (0.5 - part.distance / pixel).clamp(0, 1)
        if part.shown is not None:
            alpha = alpha * part.shown
        numbers = part.texture if isinstance(part.texture, Tensor) else self._everywhere(part.texture)
        seen, image, a = self._seen(alpha, numbers)
        tone, colour = self._tones(part, frame, pixel, numbers, seen, image)
        self._mix(self.albedo, seen, colour, a)
        self._mix(self.height, seen, self._relief(part, frame, tone, seen, image), a)
        self._mix(self.thing, seen, torch.full_like(a, float(of_thing)), a)
        solid = a > 0.5
        self.part.index_fill_(0, seen[solid], PART_NAMES.index(part.name))
        self.texture.index_copy_(0, seen[solid], numbers.to(torch.uint8).index_select(0, image[solid]))

    def _seen(self, alpha: Tensor, numbers: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Where a part is seen, scenes with equal textures side by side: pixel, scene and alpha, each [seen]."""
        order = torch.argsort(numbers, stable=True)
        alpha = alpha.index_select(0, order).view(-1)
        found = alpha.nonzero()[:, 0]
        row = torch.div(found, self.size**2, rounding_mode="floor")
        shift = (order - torch.arange(len(order), device=order.device)) * self.size**2
        return found + shift.index_select(0, row), order.index_select(0, row), alpha.index_select(0, found)

    def _everywhere(self, texture: str) -> Tensor:
        return torch.full((self.draws.count,), texture_index(texture), device=self.draws.device)

    @staticmethod
    def _mix(layer: Tensor, seen: Tensor, new: Tensor, share: Tensor) -> None:
        old = layer.index_select(-1, seen)
        layer.index_copy_(-1, seen, old + (new - old) * share)

    def _tones(
        self, part: Part, frame: Frame, pixel: Tensor, numbers: Tensor, seen: Tensor, image: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Tone [seen] and colour [3, seen] of a part where it is seen."""
        x, y = (axis.reshape(-1).index_select(0, seen) for axis in part.axes or (frame.x, frame.y))
        table = torch.cat([self._placement(part, pixel, numbers), self._colours(part, numbers)], 1).t().contiguous()
        across, down, left, top, footprint, style, *colour = table.index_select(1, image)
        u, v = across * x + down * y + left, across * y - down * x + top
        present, sizes = torch.unique_consecutive(numbers.index_select(0, image), return_counts=True)
        blocks = zip(present.tolist(), *(map_.split(sizes.tolist()) for map_ in (u, v, footprint, style)), strict=True)
        tones = [TEXTURES[TEXTURE_NAMES[number]].tone(*block) for number, *block in blocks]
        tone = torch.cat(tones) if tones else torch.empty_like(x)
        return tone, torch.stack([colour[k] + colour[k + 3] * tone for k in range(3)])

    def _colours(self, part: Part, numbers: Tensor) -> Tensor:
        """Per scene, the first colour and the step to the second: [batch, 6]."""
        contrast = self._per_scene(numbers, [texture.contrast for texture in TEXTURES.values()])[:, None]
        first, second = (colour.expand(self.draws.count, 3) for colour in part.colours)
        return torch.cat([first, (second - first) * contrast], 1)

    def _placement(self, part: Part, pixel: Tensor, numbers: Tensor) -> Tensor:
        """Per scene, what maps a part's coordinates to its texture: [batch, 6]."""
        textures: list[Texture] = list(TEXTURES.values())
        period = part.period * self._per_scene(numbers, [texture.period for texture in textures])[:, None]
        free = self._per_scene(numbers, [0.0 if texture.centred else 1.0 for texture in textures])[:, None]
        angle = torch.as_tensor(part.angle, dtype=torch.float64, device=pixel.device).expand(self.draws.count, 1)
        key, draw = f"grain/{part.key}", self.draws.uniform
        offsets = [draw(f"{key}.u", 0, 50).floor() * free, draw(f"{key}.v", 0, 50).floor() * 2 * free]
        turned = [torch.cos(angle).float() / period, torch.sin(angle).float() / period]
        return torch.cat([*turned, *offsets, pixel / period, draw(f"{key}.style")], 1)

    @staticmethod
    def _per_scene(numbers: Tensor, values: list[float]) -> Tensor:
        return torch.tensor(values, device=numbers.device)[numbers]

    def _relief(self, part: Part, frame: Frame, tone: Tensor, seen: Tensor, image: Tensor) -> Tensor:
        """Height of a domed part, in half images: it rises over `bevel`, and dark tones lie a little lower."""
        relief, lift = self._at(part.relief, image), self._at(part.lift, image)
        slope = 1 - (-part.distance.view(-1).index_select(0, seen) / part.bevel).clamp(0, 1)
        dome = relief * torch.sqrt(1 - slope * slope + 1e-6) + lift - 0.27 * tone * relief
        return dome * frame.unit[:, 0].index_select(0, image)

    def _at(self, value: Number, image: Tensor) -> Number:
        return value.expand(self.draws.count, 1)[:, 0].index_select(0, image) if isinstance(value, Tensor) else value
