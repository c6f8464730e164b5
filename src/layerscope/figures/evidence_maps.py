"""The maps of one image, each with what was measured on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize

from layerscope.errors import UnknownNameError
from layerscope.figures.palette import AGAINST, FOR, QUIET
from layerscope.figures.paper import DOUBLE, SMALL, TINY, PaperFigure, bare, drawing, drawn, finished, sheet_of
from layerscope.figures.pictures import as_rgb, evidence, grey
from layerscope.figures.source import Report
from layerscope.figures.words import percent

COLOURS = LinearSegmentedColormap.from_list(
    "evidence", [tuple(value / 255 for value in colour) for colour in (AGAINST, (255, 255, 255), FOR)]
)
"""From against over white to for."""
_COLUMNS = 5


def maps(source: object, question: str | None = None, *, width: float = DOUBLE) -> PaperFigure:
    """The image, and the maps of every method over it, each with the value of full colour and its checks.

    source: an Explanation, or the folder that holds an explanation.json. question: "target" (default) or "versus".
    width: in inches. Raises InputError where there is no such explanation, UnknownNameError for a question that was not
    asked.
    """
    with drawing("explanation", source) as found:
        asked = question_of(found, question)
        shown = [one for one in found.facts["methods"] if one["question"] == asked]
        rows = -(-(len(shown) + 1) // _COLUMNS)
        cell = (width - 0.5) / _COLUMNS
        figure = sheet_of(width, rows * (cell + 0.5) + 0.25)
        panels = figure.subplots(rows, _COLUMNS, squeeze=False).flatten().tolist()
        for axes in panels:
            bare(axes)
        _draw_image(panels[0], found)
        for axes, one in zip(panels[1:], shown, strict=False):
            _draw_map(axes, found, one)
        _draw_scale(figure, panels, rows)
        figure.suptitle(_title(found.facts, asked), x=0.01, ha="left")
        return finished(figure, found.said(f"Maps of {found.facts['image']['name']} by {found.facts['network']}"))


def question_of(found: Report, question: str | None) -> str:
    """The question that is asked about, the first by default. Raises UnknownNameError."""
    asked: list[str] = found.facts["questions"]
    if question is not None and question not in asked:
        raise UnknownNameError.among("question", question, asked)
    return question or asked[0]


def asked_words(facts: Mapping[str, Any], question: str) -> str:
    """ "why owl?", "what speaks for owl rather than cat?"."""
    target = facts["target"]
    asked = "why" if target["index"] is not None else "what speaks for"
    versus = f" rather than {drawn(facts['versus']['label'], 24)}" if question == "versus" and facts["versus"] else ""
    return f"{asked} {drawn(target['label'], 24)}{versus}?"


def _draw_image(axes: Axes, found: Report) -> None:
    facts = found.facts
    axes.imshow(as_rgb(found.arrays["image"]))
    axes.set_title(drawn(facts["image"]["name"], 24), fontsize=SMALL)
    sure = [one for one in facts["labels"][:3] if one["probability"] is not None]
    words = "\n".join(f"{drawn(one['class'], 18)} {percent(one['probability'])}" for one in sure)
    _write_under(axes, words)


def _draw_map(axes: Axes, found: Report, one: Mapping[str, Any]) -> None:
    axes.set_title(drawn(one["title"], 26), fontsize=SMALL)
    image = as_rgb(found.arrays["image"])
    if one["error"] is not None or one["scale"] is None:
        axes.imshow(np.full_like(image, 246))
        axes.text(0.5, 0.5, "no map", fontsize=SMALL, color=QUIET, ha="center", va="center", transform=axes.transAxes)
        return
    height, width = image.shape[:2]
    extent = (-0.5, width - 0.5, height - 0.5, -0.5)
    axes.imshow(grey(image), cmap="gray", vmin=-0.7, vmax=1.1, extent=extent)
    axes.imshow(evidence(found.arrays[one["map"]], one["scale"] or 1.0), extent=extent)
    _write_under(axes, _numbers(one))


def _write_under(axes: Axes, words: str) -> None:
    axes.text(0, -0.03, words, fontsize=TINY, va="top", transform=axes.transAxes, linespacing=1.25)


def _numbers(one: Mapping[str, Any]) -> str:
    """The value of full colour, and what was measured on a map, in three short lines."""
    checks = one["checks"]
    scale = f"full colour at {'±' if one['signed'] else ''}{one['scale']:.2g}"
    gap = "no total claimed" if checks["gap"] is None else f"gap {percent(checks['gap'])}"
    redrawn = "" if checks["redrawn"] is None else f"redrawn {checks['redrawn']:.2f}"
    noise = "" if checks["noise"] is None else f"noise {checks['noise']:.2f}"
    rank = "" if one.get("part_rank") is None else f"parts {one['part_rank']:.2f}"
    lines = ((scale,), (gap, rank), (redrawn, noise))
    return "\n".join(", ".join(filter(None, line)) for line in lines).replace("-", "\u2212")


def _draw_scale(figure: PaperFigure, panels: list[Axes], rows: int) -> None:
    scale = ScalarMappable(Normalize(-1, 1), COLOURS)
    bar = figure.colorbar(scale, ax=panels, shrink=min(0.7, 1.2 / rows), aspect=22, pad=0.01)
    bar.set_ticks([-1, 0, 1], labels=["against", "0", "for"], fontsize=SMALL)
    bar.ax.tick_params(length=0)
    bar.outline.set_visible(False)


def _title(facts: Mapping[str, Any], question: str) -> str:
    first = facts["labels"][0] if facts["labels"] else None
    sure = f" {percent(first['probability'])}" if first and first["probability"] is not None else ""
    said = f" says {drawn(first['class'], 24)}{sure}" if first else ""
    warning = " (unlike what the network knows)" if facts["familiar"]["unlike"] else ""
    return f"{drawn(facts['network'], 30)}{said}{warning}; {asked_words(facts, question)}"
