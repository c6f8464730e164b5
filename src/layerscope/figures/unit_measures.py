"""What a hierarchy report measured of one unit: its tests, and its answers to textures, classes and concepts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from layerscope.figures.galleries import unit_named
from layerscope.figures.palette import ACCENT, INK, LINE, MARKS, STRONG_LINE
from layerscope.figures.paper import DOUBLE, SMALL, TINY, PaperFigure, drawing, drawn, finished, layer_name, sheet_of
from layerscope.figures.tuning_plots import row_of
from layerscope.figures.words import number

Row = Mapping[str, Any]
_TESTS = ("object", "part", "texture", "colour", "edge")
_MOST = 100.0  # deviations; bars end there


def measures(source: object, unit: str, *, width: float = DOUBLE) -> PaperFigure:
    """Why a unit ("relu6:157") is called what it is called: the evidence of each test, its answers to its texture and
    its class against controls, with intervals, and how far it overlaps with concepts.

    source: a Hierarchy, or the folder that holds a hierarchy.json. width: in inches. Raises InputError where there is
    no such report, UnknownNameError for a layer or a unit that it does not show.
    """
    with drawing("hierarchy", source) as report:
        row = row_of(report, *unit_named(unit))
        figure = sheet_of(width, 0.42 * width)
        (tests, classes), (texture, concepts) = figure.subplots(2, 2, height_ratios=(1.5, 1))
        _draw_tests(tests, row)
        _draw_forest(classes, _classes(row), (0.0, 1.0), 0.5, f"AUC of {drawn(row['class'], 24)}; .5 is chance")
        modulation = [("modulation", row.get("texture_modulation"), row.get("texture_low"), row.get("texture_high"))]
        _draw_forest(
            texture, modulation, (-1.0, 1.0), 0.0, f"texture {drawn(row['texture'], 24)}, over noise of its spectrum"
        )
        _draw_concepts(concepts, row)
        sure = "" if row["confidence"] is None else f", the same in {row['confidence']:.0%} of redraws"
        figure.suptitle(
            f"{layer_name(unit, 32)} of {drawn(report.facts['network']['name'], 32)}: {row['label']}{sure}",
            x=0.01,
            ha="left",
        )
        return finished(figure, report.said(f"Measures of {unit}"))


def _draw_tests(axes: Axes, row: Row) -> None:
    """Evidence in deviations of the units of random twins, logarithmic; full where the test is passed."""
    there = [test for test in _TESTS if row.get(f"{test}_passed") is not None]
    for place, test in enumerate(there):
        evidence = row[f"{test}_evidence"]
        size = np.log1p(min(_MOST, max(0.0, evidence or 0.0)))
        face = MARKS[test] if row[f"{test}_passed"] else "white"
        axes.barh(place, size, 0.55, facecolor=face, edgecolor=MARKS[test], linewidth=0.7)
        words = f"{number(evidence)}, {'passed' if row[f'{test}_passed'] else 'not passed'}"
        axes.text(size + 0.08, place, words, fontsize=TINY, va="center")
    axes.set(xlim=(0, np.log1p(_MOST) * 1.42), ylim=(len(there) - 0.4, -0.6))
    marked = (0, 1, 3, 10, 30, 100)
    axes.set_xticks(np.log1p(marked), [str(one) for one in marked])
    _rows(axes, there)
    axes.set_title("evidence, in deviations of random twins")


def _classes(row: Row) -> list[tuple[str, Any, Any, Any]]:
    controls = [
        key.removeprefix("versus_").removesuffix("_auc")
        for key in row
        if key.startswith("versus_") and key.endswith("_auc")
    ]
    told = [
        (f"versus {one.replace('_', ' ')}", *(row[f"versus_{one}_{key}"] for key in ("auc", "low", "high")))
        for one in controls
    ]
    known = [one for one in told if one[1] is not None]
    return [("all other classes", row["class_auc"], None, None), *known]


def _draw_forest(
    axes: Axes, rows: Sequence[tuple[str, Any, Any, Any]], ends: tuple[float, float], reference: float, title: str
) -> None:
    """Intervals on one axis, with a line where there would be nothing."""
    axes.axvline(reference, color=STRONG_LINE, linewidth=0.8, linestyle=(0, (4, 3)))
    room = 0.28 * (ends[1] - ends[0])
    for place, (_, value, low, high) in enumerate(rows):
        if low is not None and high is not None:
            axes.plot((low, high), (place, place), color=INK, linewidth=0.9)
        if value is not None:
            axes.plot(value, place, "o", color=ACCENT)
        interval = "" if low is None else f" ({number(low)} to {number(high)})"
        axes.text(ends[1] + room, place, f"{number(value)}{interval}", fontsize=TINY, va="center", ha="center")
    axes.set(xlim=(ends[0], ends[1] + 2 * room), ylim=(len(rows) - 0.4, -0.6))
    axes.set_xticks(np.linspace(*ends, 5), [f"{tick:g}".replace("-", "\u2212") for tick in np.linspace(*ends, 5)])
    _rows(axes, [drawn(words, 26) for words, *_ in rows])
    axes.set_title(title)


def _draw_concepts(axes: Axes, row: Row) -> None:
    """By kind the concept that it overlaps most, grey the most that any unit of this resolution could."""
    kinds = [key.removesuffix("_iou") for key in row if key.endswith("_iou") and row[key] is not None]
    for place, kind in enumerate(kinds):
        axes.barh(place, row.get(f"{kind}_iou_ceiling") or 0.0, 0.5, color=LINE)
        axes.barh(place, row[f"{kind}_iou"], 0.5, color=MARKS.get(kind, ACCENT))
        words = f"IoU {number(row[f'{kind}_iou'])} of {number(row.get(f'{kind}_iou_ceiling'))}"
        axes.text(1.03, place, words, fontsize=TINY, va="center")
    axes.set(xlim=(0, 1.6), ylim=(max(1, len(kinds)) - 0.4, -0.6))
    axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
    _rows(axes, [f"{drawn(row.get(f'{kind}_concept') or '–', 18)} ({drawn(kind, 10)})" for kind in kinds])
    axes.set_title("overlap with concepts" if kinds else "no masks, so no concepts")


def _rows(axes: Axes, words: Sequence[str]) -> None:
    axes.set_yticks(range(len(words)), words, fontsize=SMALL)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_color(LINE)
