"""Matrices of correlations as figures: the number in each cell, its size as shade, striped where it is below zero."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from layerscope.figures.palette import ACCENT, INK, LINE, STRONG_LINE
from layerscope.figures.paper import TINY

_STRONGEST = 0.42  # of the colour, so that black numbers can be read on it


def draw_heat(
    axes: Axes,
    matrix: Sequence[Sequence[float | None]],
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    own: bool = False,
) -> None:
    """A matrix [row][column] of values in [-1, 1]; `rows` and `columns` come as they are drawn. own: leave the diagonal
    out, where each is compared with itself."""
    for row, values in enumerate(matrix):
        for column, value in enumerate(values):
            itself = own and row == column
            axes.add_patch(Rectangle((column, row), 1, 1, **_shade(value, itself)))
            if not itself:
                axes.text(
                    column + 0.5, row + 0.53, hundredths(value), fontsize=TINY, ha="center", va="center", color=INK
                )
    axes.set(xlim=(0, len(columns)), ylim=(len(rows), 0), aspect="equal")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    axes.set_yticks([place + 0.5 for place in range(len(rows))], rows)
    axes.set_xticks(
        [place + 0.5 for place in range(len(columns))], columns, rotation=40, ha="right", rotation_mode="anchor"
    )


def hundredths(value: float | None) -> str:
    """ ".83" and "−.12": two digits are enough to compare."""
    if value is None:
        return "–"
    return ("\u2212" if _below(value) else "") + f"{abs(value):.2f}".removeprefix("0")


def _shade(value: float | None, itself: bool) -> dict[str, Any]:
    edge = {"edgecolor": "white", "linewidth": 0.8}
    if itself:
        return {"facecolor": LINE, "alpha": 0.6, **edge}
    if value is None:
        return {"facecolor": "white", **edge}
    if _below(value):
        return {"facecolor": "white", "edgecolor": STRONG_LINE, "linewidth": 0.0, "hatch": "///////", "alpha": 0.55}
    return {"facecolor": (*_rgb(ACCENT), _STRONGEST * min(1.0, abs(value))), **edge}


def _below(value: float) -> bool:
    return value <= -0.005


def _rgb(colour: str) -> tuple[float, float, float]:
    red, green, blue = bytes.fromhex(colour.removeprefix("#"))
    return red / 255, green / 255, blue / 255
