"""Of one image: what the pixels that maps name are worth, whether the maps agree, and what the network says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from layerscope.errors import InputError
from layerscope.figures.evidence_maps import question_of
from layerscope.figures.heat import draw_heat, hundredths
from layerscope.figures.palette import ACCENT, INK, LINE, QUIET, STRONG_LINE
from layerscope.figures.paper import (
    DOUBLE,
    SINGLE,
    SMALL,
    TINY,
    PaperFigure,
    bare,
    drawing,
    drawn,
    finished,
    note,
    sheet_of,
)
from layerscope.figures.source import Report
from layerscope.figures.words import number, percent, signed

CONTROLS = {"random": "random map", "edges": "edges of the image", "centre": "distance to the centre"}
_DASHES = {"random": (0, (1, 2)), "edges": (0, (5, 2)), "centre": (0, (6, 2, 1, 2))}
_PANELS = {
    "deletion": ("taken away", "pixels taken away, the most important first"),
    "insertion": ("put in", "pixels put in, the most important first"),
}


def curves(source: object, *, width: float = DOUBLE) -> PaperFigure:
    """Deletion and insertion: the score while the pixels that a map names go, and while they come, beside controls that
    never looked at the network; the best map in blue, and a table of the areas.

    source: an Explanation, or the folder that holds an explanation.json. width: in inches. Raises InputError where
    there is no such explanation.
    """
    with drawing("explanation", source) as found:
        told = found.facts["curves"]["target"]
        ordered = sorted(told["maps"], key=_worth, reverse=True)
        best = next((one["name"] for one in ordered if one["kind"] == "method"), None)
        figure = sheet_of(width, max(0.34 * width, 0.13 * len(ordered) + 0.9))
        first, second, areas = figure.subplots(1, 3, width_ratios=(1, 1, 1))
        for axes, side in ((first, "deletion"), (second, "insertion")):
            _draw_curves(axes, told, side, best)
        first.set_ylabel(drawn(told["of"], 40))
        _draw_areas(areas, found, ordered, best)
        remark = f" No areas: {drawn(told['note'], 80)}." if told["note"] else ""
        note(
            figure,
            f"pixels give way to {drawn(told['fill'], 20)}; area 0: {drawn(told['fill'], 20)}, 1: image.{remark}",
        )
        return finished(figure, found.said(f"Deletion and insertion of {found.facts['image']['name']}"))


def _worth(one: Mapping[str, Any]) -> float:
    """How much more is kept while its pixels come than while they go."""
    return float((one["insertion_area"] or 0) - (one["deletion_area"] or 0))


def _draw_curves(axes: Axes, told: Mapping[str, Any], side: str, best: str | None) -> None:
    title, label = _PANELS[side]
    for one in sorted(told["maps"], key=lambda one: one["name"] == best):  # the best on top
        axes.plot(told["shares"], one[side], label=one["name"], **_line(one, best))
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0%", "25%", "50%", "75%", "100%"])
    ends = [value for one in told["maps"] for name in _PANELS for value in one[name]]
    axes.set(xlim=(0, 1), ylim=(min(0.0, *ends), max(*ends, 0.0) * 1.04 or 1.0))
    axes.locator_params(axis="y", nbins=5)
    axes.grid(True, axis="y")
    axes.set_title(title)
    axes.set_xlabel(label, fontsize=SMALL)


def _line(one: Mapping[str, Any], best: str | None) -> dict[str, Any]:
    if one["kind"] == "control":
        return {"color": STRONG_LINE, "linestyle": _DASHES.get(one["name"], "--"), "linewidth": 1.1}
    if one["name"] == best:
        return {"color": ACCENT, "linewidth": 1.7}
    return {"color": INK, "alpha": 0.3, "linewidth": 0.8}


def _draw_areas(axes: Axes, found: Report, ordered: Sequence[Mapping[str, Any]], best: str | None) -> None:
    """A table: what each line is, and its areas."""
    titles = {one["method"]: one["title"] for one in found.facts["methods"]}
    bare(axes)
    axes.set(xlim=(0, 1), ylim=(len(ordered) + 0.2, -1))
    for x, head in ((0.82, "away ↓"), (1.0, "in ↑")):
        axes.text(x, -0.45, head, fontsize=TINY, ha="right", va="center", color=QUIET)
    for place, one in enumerate(ordered):
        control = one["kind"] == "control"
        title = CONTROLS.get(one["name"], one["name"]) if control else titles.get(one["name"], one["name"])
        axes.add_line(Line2D((0, 0.08), (place + 0.45, place + 0.45), **_line(one, best)))
        weight = "bold" if one["name"] == best else "normal"
        axes.text(
            0.11,
            place + 0.45,
            drawn(title, 22),
            fontsize=TINY,
            va="center",
            color=QUIET if control else INK,
            weight=weight,
        )
        for x, area in ((0.82, one["deletion_area"]), (1.0, one["insertion_area"])):
            axes.text(x, place + 0.45, number(area), fontsize=TINY, ha="right", va="center")


def agreement(source: object, question: str | None = None, *, width: float = SINGLE) -> PaperFigure:
    """Rank correlations of each two maps, and of each the mean with the others. Arguments and errors as of `maps`."""
    with drawing("explanation", source) as found:
        asked = question_of(found, question)
        told = found.facts["agreement"][asked]
        titles = {one["method"]: one["title"] for one in found.facts["methods"]}
        names = [drawn(titles.get(method, method), 22) for method in told["methods"]]
        if not names:
            raise InputError(
                "no map was made, so there is nothing to compare; see the methods' errors in facts['methods']"
            )
        figure = sheet_of(width, width * min(1.25, 0.55 + 0.06 * len(names)), square=True)
        axes = figure.subplots()
        draw_heat(axes, told["matrix"], names, names, own=True)
        for row, values in enumerate(told["matrix"]):
            others = [value for place, value in enumerate(values) if place != row and value is not None]
            mean = float(np.mean(others)) if others else None
            axes.text(
                len(names) + 0.65, row + 0.53, hundredths(mean), fontsize=TINY, weight="bold", ha="center", va="center"
            )
        axes.text(len(names) + 0.65, -0.15, "mean", fontsize=TINY, ha="center", color=QUIET)
        axes.set_title("rank correlation of the maps", pad=10)
        note(figure, "1: the same order of pixels, 0: unrelated; striped: below 0")
        return finished(figure, found.said(f"Agreement of the maps of {found.facts['image']['name']}"))


def labels(source: object, *, width: float = SINGLE) -> PaperFigure:
    """What the network says: the probabilities of the first classes, a line where they are calibrated, and the margin.
    Arguments and errors as of `curves`."""
    with drawing("explanation", source) as found:
        facts = found.facts
        told = [one for one in facts["labels"] if one["probability"] is not None]
        if not told:
            raise InputError(f"{drawn(facts['network'], 60)!r} gives no probabilities, so there are none to draw")
        figure = sheet_of(width, 0.16 * len(told) + 0.95)
        axes = figure.subplots()
        for place, one in enumerate(told):
            asked = one["index"] == facts["target"]["index"]
            axes.barh(place, one["probability"], 0.6, color=ACCENT if asked else STRONG_LINE)
            if one["calibrated"] is not None:
                axes.plot([one["calibrated"]] * 2, (place - 0.42, place + 0.42), color=INK, linewidth=1.1)
            words = f"{percent(one['probability'])} (logit {number(one['logit'])})"
            axes.text(
                max(one["probability"], one["calibrated"] or 0) + 0.02, place + 0.02, words, fontsize=TINY, va="center"
            )
        axes.set(xlim=(0, 1.38), ylim=(len(told) - 0.4, -0.6))
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0%", "25%", "50%", "75%", "100%"])
        axes.set_yticks(range(len(told)), [drawn(one["class"], 20) for one in told])
        axes.set_xlabel("probability")
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_color(LINE)
        axes.set_title(_lead(facts))
        if any(one["calibrated"] is not None for one in told):
            note(figure, "black line: calibrated")
        return finished(figure, found.said(f"Labels of {facts['image']['name']}"))


def _lead(facts: Mapping[str, Any]) -> str:
    name, versus = drawn(facts["image"]["name"], 30), facts["versus"]
    lead = "" if versus is None else f"\n{signed(versus['margin'])} logits ahead of {drawn(versus['label'], 20)}"
    return f"{name}{lead}"
