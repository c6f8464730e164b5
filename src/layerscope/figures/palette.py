"""The colours of figures, pages and notebooks, the same in all of them.

People who see red and green as one can tell the categories apart (Okabe and Ito 2008), and the two sides of evidence.
"""

from __future__ import annotations

import math

FOR = (219, 100, 16)
AGAINST = (66, 139, 240)
"""What speaks for the score is orange, what speaks against it blue, also to people who see red and green as one.

Both have a lightness of 0.64 in OKLab, so that the same evidence looks as strong on either side, on paper and in the
dark.
"""
FIRED = (128, 44, 168)
"""Where a unit fired: no colour of evidence, far darker than the pale image under it, and grey to nobody."""

CATEGORIES = {
    "edge": "#0072b2",
    "colour-edge": "#cc79a7",
    "colour": "#56b4e9",
    "texture": "#009e73",
    "part": "#e69f00",
    "object": "#d55e00",
    "none": "#e4e4e0",
    "dead": "#ffffff",
}
"""What units code, the deepest the warmest, each with its colour. The names are those of `dissection.labels`."""
CODED = tuple(CATEGORIES)[:-2]
"""Those that say what a unit codes."""
MARKS = {
    "edge": "#0072b2",
    "colour-edge": "#ac5187",
    "colour": "#2784bd",
    "texture": "#008561",
    "part": "#a87200",
    "object": "#c65600",
    "any": "#17181a",
}
"""The same a little darker, for dots and lines on white; "any" is any of them."""

TASKS = {"configuration": "#17181a", "object": "#d55e00", "shape": "#cc79a7", "texture": "#009e73", "edge": "#0072b2"}
"""What linear readers read from layers."""

INK = "#17181a"
QUIET = "#5b5e63"
LINE = "#e2e2e0"
STRONG_LINE = "#8b8e93"
ACCENT = "#2743c9"
"""The network itself: what was measured on it. Controls are grey."""


def hue_colour(degrees: float) -> str:
    """The colour of a hue as the stimuli have it: 0 red, 90 blue, 180 green, 270 yellow."""
    across, along = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    red_green, blue_yellow = (1.5**0.5, -(1.5**0.5), 0.0), (-(0.5**0.5), -(0.5**0.5), 2**0.5)
    parts = (across * one + along * other for one, other in zip(red_green, blue_yellow, strict=True))
    return "#" + bytes(round(255 * min(1, max(0, 0.55 + 0.3 * part))) for part in parts).hex()


def hexed(colour: tuple[int, int, int]) -> str:
    """Red, green and blue, 0 to 255, as "#rrggbb"."""
    return "#" + bytes(colour).hex()
