"""Figures as papers want them: sizes in inches, small sans text, thin lines, and names as text.

Fonts are those of the user's rcParams; all other settings are ours, and stand only while a figure is drawn. A figure is
laid out once, so that PDF, SVG and PNG show the same.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import matplotlib
import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.layout_engine import ConstrainedLayoutEngine

from layerscope.figures.palette import INK, LINE, QUIET, STRONG_LINE
from layerscope.figures.source import Report, Said, opened
from layerscope.figures.words import short, tail

SINGLE, DOUBLE = 3.4, 7.0
"""Inches: a figure over one column of a paper, and over two."""
TITLE, BODY, SMALL, TINY = 7.5, 7.0, 6.0, 5.0
"""Points."""
DPI = 200
_STYLE: dict[str, Any] = {
    "font.size": BODY,
    "figure.titlesize": TITLE,
    "axes.titlesize": TITLE,
    "axes.titlelocation": "left",
    "axes.titlepad": 4,
    "axes.labelsize": BODY,
    "axes.labelpad": 2,
    "axes.linewidth": 0.6,
    "axes.edgecolor": STRONG_LINE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.5,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "xtick.major.size": 2,
    "ytick.major.size": 2,
    "xtick.major.width": 0.5,
    "ytick.major.width": 0.5,
    "xtick.major.pad": 2,
    "ytick.major.pad": 2,
    "xtick.color": STRONG_LINE,
    "ytick.color": STRONG_LINE,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "text.color": INK,
    "axes.labelcolor": INK,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.5,
    "legend.frameon": False,
    "legend.fontsize": SMALL,
    "legend.handlelength": 1.6,
    "legend.columnspacing": 1.2,
    "legend.borderaxespad": 0.2,
    "hatch.linewidth": 0.5,
    "image.interpolation": "nearest",
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
}
_FONTS = re.compile(r"font\.(family|serif|sans-serif|monospace|cursive|fantasy)")


class PaperFigure(Figure):
    """A figure that knows what it was drawn from: `said` goes into the metadata of its files."""

    said: Said | None = None

    def png(self, dpi: float = DPI) -> bytes:
        """As the bytes of a PNG file."""
        file = io.BytesIO()
        self.savefig(file, format="png", dpi=dpi, facecolor="white")
        return file.getvalue()

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        """What a notebook shows, at half the size of its pixels, without pyplot."""
        return self.png(), {"width": round(self.get_figwidth() * DPI / 2)}


@contextmanager
def drawing(kind: str, source: object) -> Iterator[Report]:
    """Open a result and draw it in the style of papers; raises as `opened` does."""
    with opened(kind, source) as report, _settings():
        yield report


@contextmanager
def _settings() -> Iterator[None]:
    fonts: dict[str, Any] = {name: matplotlib.rcParams[name] for name in matplotlib.rcParams if _FONTS.fullmatch(name)}
    with style.context(["default", fonts | _STYLE]):
        yield


def sheet_of(width: float, height: float, square: bool = False) -> PaperFigure:
    """An empty figure of this size in inches, laid out as it fills. square: its axes keep their proportions."""
    engine = ConstrainedLayoutEngine(w_pad=0.05, h_pad=0.04, wspace=0.02, hspace=0.02, compress=square)
    return PaperFigure((width, height), layout=engine)


def finished(figure: PaperFigure, said: Said) -> PaperFigure:
    """Lay it out, once and for all formats, and remember what it shows. Call it in the same settings."""
    dpi = figure.dpi
    figure.set_dpi(DPI)  # letters are a little wider or narrower at others
    for _ in range(2):  # the second time with the sizes that the first one found
        figure.draw_without_rendering()
    figure.set_dpi(dpi)
    figure.set_layout_engine("none")
    figure.said = said
    return figure


def drawn(text: object, most: int = 60) -> str:
    """A name as matplotlib draws it: short, no mathematics, and "?" for signs that the fonts do not have."""
    return _drawable(short(text, most))


def layer_name(text: object, most: int = 16) -> str:
    """The same of a layer, whose end is kept where it is long."""
    return _drawable(tail(text, most))


def _drawable(text: str) -> str:
    signs = _signs(tuple(matplotlib.rcParams["font.family"]), tuple(matplotlib.rcParams["font.sans-serif"]))
    return "".join(sign if ord(sign) in signs else "?" for sign in text).replace("$", r"\$")


@lru_cache(maxsize=8)
def _signs(families: tuple[str, ...], generic: tuple[str, ...]) -> frozenset[int]:
    """What the fonts in force can draw; `generic` is what "sans-serif" stands for."""
    found: set[int] = set()
    for family in families:
        found.update(get_font(findfont(FontProperties(family=[family]))).get_charmap())
    return frozenset(found)


def layer_ticks(axes: Axes, names: Sequence[str], most: int = 14) -> None:
    """The names of layers under an axis: turned where they are long, some of them where there are many."""
    shown = [layer_name(name, most) for name in names]
    places = range(0, len(shown), -(-len(shown) // 24))
    turned = max(map(len, shown)) * SMALL * 0.62 > 72 * _room(axes) / len(places)
    turn: dict[str, Any] = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"} if turned else {}
    axes.set_xticks(list(places), [shown[place] for place in places], **turn)
    axes.set_xlim(-0.6, len(shown) - 0.4)


def _room(axes: Axes) -> float:
    """About how many inches wide the axes will be: their part of the grid that they stand in."""
    spec, inches = axes.get_subplotspec(), axes.figure.bbox.width / axes.figure.dpi
    if spec is None:
        return float(inches)
    grid = spec.get_gridspec()
    parts = np.asarray(grid.get_width_ratios() or [1] * grid.ncols, float)
    return float(inches * parts[spec.colspan.start : spec.colspan.stop].sum() / parts.sum())


def shares_axis(axes: Axes, low: float = 0.0, high: float = 1.0) -> None:
    """Percent on the vertical axis, with lines across."""
    ticks = [tick for tick in (-0.5, -0.25, 0, 0.25, 0.5, 0.75, 1) if low <= tick <= high]
    words = [f"{100 * tick:.0f}%".replace("-", "\u2212") for tick in ticks]
    axes.set_ylim(low, high)
    axes.set_yticks(ticks, words)
    axes.grid(True, axis="y")


def bare(axes: Axes) -> None:
    """Take frame and ticks off, as for a picture."""
    axes.set_axis_off()
    axes.set_xticks([])
    axes.set_yticks([])


def note(figure: PaperFigure, text: str) -> None:
    """Quiet words under a figure: how to read it."""
    figure.supxlabel(text, fontsize=SMALL, color=QUIET, x=0.01, ha="left")
