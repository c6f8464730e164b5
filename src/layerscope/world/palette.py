"""Colours: what a scene is painted with, and the names that the colour mask uses.

"natural" colours lie near what each class usually has (a red mushroom cap), four times in five; "random" ones never do.
Classes that share a shape share one palette, so colour alone decides none of them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from layerscope.world.draws import Draws

HSV = tuple[float, float, float]
Anchor = HSV | list[HSV]
"""A usual colour, or several of which a scene takes one."""
Palette = dict[str, Anchor | tuple[Anchor, Anchor]]
Colours = tuple[Tensor, Tensor]
"""The two colours of a part, each [batch, 3] in [0, 1]; the texture's tone mixes them."""

COLOUR_NAMES = ("black", "grey", "white", "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown")
"""The basic colour terms of Berlin & Kay (1969); their order is the numbering of the colour mask."""


def from_hsv(hue: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    """Hue, saturation and value in [0, 1], each [batch] -> RGB [batch, 3]."""
    offsets = torch.tensor([5.0, 3.0, 1.0], device=hue.device)
    corner = (offsets + hue[:, None] * 6).remainder(6)
    return value[:, None] - (value * saturation)[:, None] * torch.minimum(corner, 4 - corner).clamp(0, 1)


def name_colours(rgb: Tensor) -> Tensor:
    """The basic colour term of each pixel: RGB [3, pixels] in [0, 1] -> uint8 [pixels], an index into COLOUR_NAMES."""
    red, green, blue = rgb
    high, low = torch.maximum(torch.maximum(red, green), blue), torch.minimum(torch.minimum(red, green), blue)
    chroma = high - low
    spread = chroma.clamp(min=1e-6)
    from_green, from_red = (blue - red) / spread + 2, (red - green) / spread + 4
    hue = torch.where(
        high == red, ((green - blue) / spread).remainder(6), torch.where(high == green, from_green, from_red)
    )
    name = _LUT.to(rgb.device)[torch.bucketize(hue, _HUE_BOUNDS.to(rgb.device))]
    name = torch.where((hue < 1.2) & (high < 0.55), COLOUR_NAMES.index("brown"), name)
    name = torch.where((name == COLOUR_NAMES.index("red")) & (low > 0.5), COLOUR_NAMES.index("pink"), name)
    grey = torch.bucketize(high, torch.tensor([0.2, 0.75], device=rgb.device)).to(torch.uint8)
    name = torch.where(chroma < 0.15 * high.clamp(min=0.35), grey, name)
    return torch.where(high < 0.12, 0, name)


# Upper bounds of red, orange, yellow, green, blue, purple and pink, in sixths of the circle; then it is red again.
_HUE_BOUNDS = torch.tensor([0.25, 0.75, 1.2, 2.8, 4.3, 5.2, 5.75])
_LUT = torch.tensor([3, 4, 5, 6, 7, 8, 9, 3], dtype=torch.uint8)


class Paints:
    """The colours of a batch of scenes, drawn by name from `palette` (natural) or from nowhere in particular.

    group: the group of the draws, so that a thing's colours can change while the background's stay.
    """

    def __init__(self, draws: Draws, palette: Palette, natural: bool, group: str = "colour"):
        self._draws, self._group = draws, group
        self._palette = palette if natural else {}

    def one(
        self,
        name: str,
        value: tuple[float, float] = (0.2, 1.0),
        saturation: tuple[float, float] = (0.1, 0.75),
        share: float = 0.8,
    ) -> Tensor:
        """A colour [batch, 3] in these ranges; in a `share` of scenes, the palette's usual one if it has it."""
        usual, free = self._palette.get(name), self._free(name, value, saturation)
        return free if usual is None else self._near(name, usual, free, share)  # type: ignore[arg-type]

    def pair(self, name: str) -> Colours:
        """Two colours of clearly different lightness; which is the darker is drawn."""
        dark, light = (
            self._free(name + ".dark", (0.08, 0.42), (0.0, 0.7)),
            self._free(name + ".light", (0.72, 1.0), (0.0, 0.6)),
        )
        swap = self._draws.chance(f"{self._group}/{name}.swap", 0.5)
        first, second = dark + (light - dark) * swap, light + (dark - light) * swap
        usual = self._palette.get(name)
        if usual is None:
            return first, second
        return self._near(name + ".first", usual[0], first), self._near(name + ".second", usual[1], second)  # type: ignore[arg-type]

    def _free(self, name: str, value: tuple[float, float], saturation: tuple[float, float]) -> Tensor:
        draw = self._draws
        hue, sat = (
            draw.uniform(f"{self._group}/{name}.h"),
            draw.uniform(f"{self._group}/{name}.s", saturation[0], min(saturation[1], 0.75)),
        )
        return from_hsv(hue[:, 0], sat[:, 0], draw.uniform(f"{self._group}/{name}.v", *value)[:, 0])

    def _near(self, name: str, anchor: Anchor, free: Tensor, share: float = 0.8) -> Tensor:
        """A jittered usual colour in `share` of the scenes (in all its parts at once), else `free`."""
        draw = self._draws
        options = torch.tensor(anchor if isinstance(anchor, list) else [anchor], device=free.device)
        usual = options[draw.pick(f"{self._group}/anchor", len(options))]
        jitter = torch.cat(
            [draw.uniform(f"{self._group}/{name}.j{k}", -w, w) for k, w in (("h", 0.025), ("s", 0.12), ("v", 0.12))], 1
        )
        hue, sat, val = (usual + jitter).unbind(1)
        near = from_hsv(hue.remainder(1), sat.clamp(0, 1), val.clamp(0, 1))
        natural = draw.chance(f"{self._group}/natural", share)
        return near * natural + free * (1 - natural)
