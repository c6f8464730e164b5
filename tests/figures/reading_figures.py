"""Figures read back: their words, and what of them sticks out."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import made_up
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from layerscope.figures.paper import DPI

_OFTEN = (5, 11)  # the long one, and the one with markup and dollars
HOSTILE = [
    pytest.param(name, marks=() if place in _OFTEN else pytest.mark.slow) for place, name in enumerate(made_up.HOSTILE)
]
"""Names that were made to break pages; most of them are drawn before a release only."""
IN_ARRAYS = [one for one in HOSTILE if "\ud800" not in one.values[0]]
"""Those that may name an array of a record."""


def texts(figure: Figure) -> list[str]:
    """Everything that is written, in the order in which it is drawn."""
    return [text.get_text() for text in drawn(figure)]


def clipped(figure: Figure) -> list[str]:
    """Words that stick out of the figure by more than half a point, with how far: left, down, right, up."""
    figure.set_dpi(DPI)
    found, room = drawn(figure), 0.5
    renderer, points = FigureCanvasAgg(figure).get_renderer(), figure.dpi / 72
    width, height = figure.get_size_inches() * 72
    over = []
    for text in found:
        box = text.get_window_extent(renderer)
        ends = (-box.x0 / points, -box.y0 / points, box.x1 / points - width, box.y1 / points - height)
        if max(ends) > room:
            over.append(f"{text.get_text()!r} {[round(end, 1) for end in ends]}")
    figure.set_dpi(100)
    return over


def drawn(figure: Figure) -> list[Text]:
    """The texts that are drawn: a tick beyond its axis and the labels of an axis that is off are not."""
    found: list[Text] = []
    draw = Text.draw

    def noted(text: Text, *arguments: Any, **named: Any) -> None:
        if text.get_visible() and text.get_text():
            found.append(text)
        draw(text, *arguments, **named)

    with patch.object(Text, "draw", noted):
        FigureCanvasAgg(figure).draw()
    return found
