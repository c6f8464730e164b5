"""To what the units of a layer are tuned: orientation, hue and spatial frequency; a dot for each unit, curves for
one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, Polygon, Wedge
from numpy.typing import NDArray

from layerscope.errors import UnknownNameError
from layerscope.figures.galleries import unit_named
from layerscope.figures.palette import CODED, INK, LINE, MARKS, QUIET, STRONG_LINE, hue_colour
from layerscope.figures.paper import (
    DOUBLE,
    SMALL,
    TINY,
    PaperFigure,
    bare,
    drawing,
    drawn,
    finished,
    layer_name,
    sheet_of,
)
from layerscope.figures.source import Report
from layerscope.figures.words import number, plural

Row = Mapping[str, Any]
_BARS = "#c9cbce"
_QUARTERS = {0: "red 0°", 90: "blue 90°", 180: "green 180°", 270: "yellow 270°"}


def preferences(source: object, layer: str, *, width: float = DOUBLE) -> PaperFigure:
    """What the units of a layer prefer: a dot each by orientation and by hue, the further out the more selective, and
    how many prefer which spatial frequency. Full dots pass the test and have the colour of their label.

    source: a Hierarchy, or the folder that holds a hierarchy.json. layer: its name. width: in inches. Raises InputError
    where there is no such report, UnknownNameError for a layer that it does not show.
    """
    with drawing("hierarchy", source) as report:
        rows, stimuli = rows_of(report, layer), report.facts["stimuli"]
        figure = sheet_of(width, 0.38 * width + 0.2)
        panels = figure.subplots(
            1, 3 if stimuli["hues"] else 2, width_ratios=(1.1, 1.1, 1) if stimuli["hues"] else (1.1, 1)
        )
        _draw_orientations(panels[0], rows)
        if stimuli["hues"]:
            _draw_hues(panels[1], rows, stimuli)
        _draw_frequencies(panels[-1], rows, stimuli)
        there = [one for one in CODED if any(row["label"] == one for row in rows)]
        handles = [_spot(MARKS[one], one, full=True) for one in there]
        figure.legend(
            handles=[*handles, _spot(STRONG_LINE, "does not pass", full=False)], loc="outside lower left", ncols=7
        )
        figure.suptitle(f"{layer_name(layer, 40)} of {drawn(report.facts['network']['name'], 40)}", x=0.01, ha="left")
        return finished(figure, report.said(f"Tuning of the units of {layer}"))


def tuning(source: object, unit: str, *, width: float = DOUBLE) -> PaperFigure:
    """The tuning curves of a unit ("relu1:3"): its answers to orientations, hues and frequencies, in standard
    deviations of its answers to noise, with what it prefers and the interval of that.

    source, width: as of `preferences`. Raises InputError where there is no such report, UnknownNameError for a layer or
    a unit that it does not show.
    """
    with drawing("hierarchy", source) as report:
        layer, index = unit_named(unit)
        row = row_of(report, layer, index)
        found = {
            kind: curve
            for kind in ("orientation", "hue", "frequency")
            if (curve := _curve(report, layer, kind, index)) is not None
        }
        figure = sheet_of(width, 0.37 * width + 0.1)
        panels = np.atleast_1d(figure.subplots(1, max(1, len(found))))
        draw = {"orientation": _draw_orientation, "hue": _draw_hue, "frequency": _draw_frequency}
        for axes, (kind, curve) in zip(panels, found.items(), strict=False):
            draw[kind](axes, row, curve, report.facts["stimuli"])
        if not found:
            bare(panels[0])
            panels[0].text(0.5, 0.5, "it answers to no grating and no hue", ha="center", color=QUIET)
        sure = "" if row["confidence"] is None else f", the same in {row['confidence']:.0%} of redraws"
        figure.suptitle(
            f"{layer_name(unit, 32)} of {drawn(report.facts['network']['name'], 32)}: {row['label']}{sure}",
            x=0.01,
            ha="left",
        )
        return finished(figure, report.said(f"Tuning of {unit}"))


def rows_of(report: Report, layer: str) -> list[Row]:
    """A row for each unit of a layer. Raises UnknownNameError."""
    columns: Mapping[str, Sequence[Any]] = report.facts["units"]
    names = [one["name"] for one in report.facts["layers"]]
    if layer not in names:
        raise UnknownNameError.among("layer", layer, names)
    places = [place for place, name in enumerate(columns["layer"]) if name == layer]
    return [{name: values[place] for name, values in columns.items()} for place in places]


def row_of(report: Report, layer: str, unit: int) -> Row:
    """The row of one unit. Raises UnknownNameError."""
    rows = {row["unit"]: row for row in rows_of(report, layer)}
    if unit not in rows:
        raise UnknownNameError(f"no unit '{layer}:{unit}'; {layer} has units 0 to {len(rows) - 1}")
    return rows[unit]


def _curve(report: Report, layer: str, kind: str, unit: int) -> NDArray[np.float64] | None:
    """None for a dead unit, and for stimuli that the network was not shown."""
    curves = report.arrays.get(f"tuning/{layer}/{kind}")
    found = None if curves is None else np.asarray(curves[unit], np.float64)
    return found if found is not None and np.isfinite(found).all() else None


def _at(degrees: Any, radius: Any) -> tuple[Any, Any]:
    """Angles turn counter-clockwise from the right, as one sees the picture."""
    angle = np.radians(np.asarray(degrees, float))
    return radius * np.cos(angle), radius * np.sin(angle)


def _known(rows: Sequence[Row], *needed: str) -> list[Row]:
    return [row for row in rows if all(row.get(key) is not None for key in needed)]


def _scatter(axes: Axes, rows: Sequence[Row], angles: Any, radii: Any, passed: str) -> None:
    """Those that pass lie on top, in the colour of their label."""
    x, y = _at(angles, radii)
    for row, across, along in sorted(zip(rows, x, y, strict=True), key=lambda one: bool(one[0].get(passed))):
        full = bool(row.get(passed))
        colour = MARKS.get(row["label"], STRONG_LINE) if full else STRONG_LINE
        axes.plot(
            across,
            along,
            "o",
            markersize=3 if full else 2,
            color=colour,
            markerfacecolor=colour if full else "none",
            markeredgewidth=0.5,
        )


def _disc(axes: Axes, title: str, words: str, x: tuple[float, float], y: tuple[float, float]) -> None:
    bare(axes)
    axes.set(xlim=x, ylim=y, aspect="equal")
    axes.set_anchor("N")
    axes.set_title(title, loc="center")
    axes.text(
        0.5, -0.02, words, fontsize=SMALL, color=QUIET, ha="center", va="top", transform=axes.transAxes, linespacing=1.3
    )


def _draw_orientations(axes: Axes, rows: Sequence[Row]) -> None:
    """Half a disc: bars have no direction."""
    known = _known(rows, "orientation", "orientation_selectivity")
    most = max([0.0, *(row["orientation_selectivity"] for row in known)])
    rim = next((one for one in (0.25, 0.5, 0.75, 1) if one >= most), 1)
    for part in (0.5, 1):
        axes.add_patch(Wedge((0, 0), part, 0, 180, fill=False, edgecolor=LINE, linewidth=0.6))
        axes.text(part, -0.03, number(rim * part), fontsize=TINY, ha="center", va="top")
    for angle in (0, 45, 90, 135, 180):
        x, y = _at(angle, 1.0)
        axes.plot((0, x), (0, y), color=LINE, linewidth=0.6)
        away, side = _at(angle, 1.06), {0: "left", 45: "left", 90: "center"}.get(angle, "right")
        axes.text(*away, f"{angle}°", fontsize=TINY, ha=side, va="bottom" if 0 < angle < 180 else "center")
    axes.text(0, -0.03, "selectivity", fontsize=TINY, ha="center", va="top")
    if known:
        _scatter(
            axes,
            known,
            [row["orientation"] for row in known],
            np.array([row["orientation_selectivity"] for row in known]) / rim,
            "edge_passed",
        )
    passed = sum(bool(row.get("edge_passed")) for row in known)
    words = f"{len(known)} of {plural(len(rows), 'unit')} have a known orientation,\n{passed} of them pass as edges"
    _disc(axes, "orientation", words, (-1.25, 1.25), (-0.3, 1.25))


def _draw_hues(axes: Axes, rows: Sequence[Row], stimuli: Mapping[str, Any]) -> None:
    """A hue is the angle; outside the dashed circle hue moves a unit more than light does."""
    known = _known(rows, "hue", "colour_index")
    _draw_ring(axes, stimuli["hues"], 1.06, 1.18)
    axes.add_patch(Circle((0, 0), 1, fill=False, edgecolor=LINE, linewidth=0.6))
    axes.add_patch(Circle((0, 0), 0.5, fill=False, edgecolor=STRONG_LINE, linewidth=0.6, linestyle=(0, (3, 3))))
    if known:
        _scatter(
            axes,
            known,
            [row["hue"] for row in known],
            (np.array([row["colour_index"] for row in known]) + 1) / 2,
            "colour_passed",
        )
    passed = sum(bool(row.get("colour_passed")) for row in known)
    words = f"{len(known)} of {plural(len(rows), 'unit')} have a known hue, {passed} of them\npass as colour; "
    words += "colour index: dashed 0, rim 1"
    _disc(axes, "hue", words, (-1.7, 1.7), (-1.4, 1.4))


def _draw_ring(axes: Axes, hues: Sequence[float], inner: float, outer: float) -> None:
    """The hues of the stimuli as a ring, and what its quarters are called."""
    half = 180 / len(hues)
    for hue in hues:
        axes.add_patch(
            Wedge(
                (0, 0),
                outer,
                hue - half - 0.3,
                hue + half + 0.3,
                width=outer - inner,
                color=hue_colour(hue),
                linewidth=0,
            )
        )
    for angle, words in _QUARTERS.items():
        x, y = _at(angle, outer + 0.05)
        side = {0: "left", 180: "right"}.get(angle, "center")
        axes.text(x, y, words, fontsize=TINY, ha=side, va={90: "bottom", 270: "top"}.get(angle, "center"))


def _draw_frequencies(axes: Axes, rows: Sequence[Row], stimuli: Mapping[str, Any]) -> None:
    """Strong: units that pass as edges; pale on top of them: the others."""
    known = [row for row in _known(rows, "frequency") if row["frequency"] > 0]
    octaves = np.log2([stimuli["frequencies"][0], stimuli["frequencies"][-1]])
    edges = np.linspace(octaves[0] - 0.2, octaves[1] + 0.2, 15)
    passed = np.array([bool(row.get("edge_passed")) for row in known], bool)
    values = np.clip(np.log2([row["frequency"] for row in known]), edges[0], edges[-1] - 1e-9) if known else np.zeros(0)
    strong, pale = (np.histogram(values[chosen], edges)[0] for chosen in (passed, ~passed))
    wide = 0.9 * np.diff(edges)
    axes.bar(edges[:-1], strong, wide, align="edge", color=MARKS["edge"])
    axes.bar(edges[:-1], pale, wide, bottom=strong, align="edge", color=_BARS)
    _frequency_axis(axes, stimuli["frequencies"])
    axes.set(xlim=(edges[0], edges[-1]), ylabel="units")
    axes.locator_params(axis="y", nbins=4, integer=True)
    middle = f", median {number(float(np.median([row['frequency'] for row in known])))}" if known else ""
    axes.set_title(f"spatial frequency{middle}")


def _frequency_axis(axes: Axes, shown: Sequence[float]) -> None:
    marked = [one for one in (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5) if 0.9 * shown[0] <= one <= 1.1 * shown[-1]]
    axes.set_xticks(np.log2(marked), [str(one).removeprefix("0") for one in marked])
    axes.set_xlabel("cycles per pixel")


def _span(row: Row, key: str) -> tuple[float, float] | None:
    low, high = row.get(f"{key}_low"), row.get(f"{key}_high")
    return None if low is None or high is None else (low, high)


def _draw_orientation(axes: Axes, row: Row, curve: NDArray[np.float64], stimuli: Mapping[str, Any]) -> None:
    """The whole disc, each bar twice, so that the shape is that of what the unit answers to."""
    most = max(float(curve.max()), 1e-9)
    angles = np.array(stimuli["orientations"], float)
    for part in (0.5, 1):
        axes.add_patch(Circle((0, 0), part, fill=False, edgecolor=LINE, linewidth=0.6))
    for angle in (0, 45, 90, 135):
        x, y = _at(angle, 1.0)
        axes.plot((-x, x), (-y, y), color=LINE, linewidth=0.6)
        away, side = _at(angle, 1.07), {0: "left", 45: "left", 90: "center"}.get(angle, "right")
        axes.text(*away, f"{angle}°", fontsize=TINY, ha=side, va="center" if angle == 0 else "bottom")
    span = _span(row, "orientation") if row.get("orientation") is not None else None
    if span:
        for turn in (0, 180):
            axes.add_patch(
                Wedge((0, 0), 1, span[0] + turn, span[1] + turn, color=MARKS["edge"], alpha=0.16, linewidth=0)
            )
    radii = np.clip(curve, 0, None) / most
    x, y = _at(np.concatenate([angles, angles + 180]), np.concatenate([radii, radii]))
    axes.add_patch(
        Polygon(np.stack([x, y], 1), facecolor=(*_rgb(MARKS["edge"]), 0.22), edgecolor=MARKS["edge"], linewidth=1.1)
    )
    words = f"no orientation is known,\nselectivity {number(row['orientation_selectivity'])}"
    if row.get("orientation") is not None:
        _draw_preferred(axes, row["orientation"], 1.0, both=True)
        within = "" if span is None else f" ({number(span[0])}° to {number(span[1])}°)"
        words = f"bars at {number(row['orientation'])}°{within},\nselectivity {number(row['orientation_selectivity'])}"
    _disc(axes, "orientation", f"{words}; rim: {number(most)} deviations", (-1.3, 1.3), (-1.2, 1.25))


def _draw_hue(axes: Axes, row: Row, curve: NDArray[np.float64], stimuli: Mapping[str, Any]) -> None:
    """Answers are relative to grey: the dashed circle is zero."""
    most = max(float(np.abs(curve).max()), 1e-9)
    _draw_ring(axes, stimuli["hues"], 1.06, 1.18)
    axes.add_patch(Circle((0, 0), 1, fill=False, edgecolor=LINE, linewidth=0.6))
    span = _span(row, "hue") if row.get("hue") is not None else None
    if span:
        axes.add_patch(Wedge((0, 0), 1.06, *span, color=MARKS["edge"], alpha=0.16, linewidth=0))
    axes.add_patch(Circle((0, 0), 0.52, fill=False, edgecolor=STRONG_LINE, linewidth=0.6, linestyle=(0, (3, 3))))
    x, y = _at(stimuli["hues"], 0.52 + 0.48 * curve / most)
    axes.add_patch(
        Polygon(np.stack([x, y], 1), facecolor=(*_rgb(MARKS["colour"]), 0.22), edgecolor=MARKS["colour"], linewidth=1.1)
    )
    words = f"no hue is known,\ncolour index {number(row.get('colour_index'))}"
    if row.get("hue") is not None:
        _draw_preferred(axes, row["hue"], 1.06, both=False)
        within = "" if span is None else f" ({number(span[0])}° to {number(span[1])}°)"
        words = f"hue {number(row['hue'])}°{within},\ncolour index {number(row['colour_index'])}"
    _disc(axes, "hue", f"{words}; dashed: as grey,\noutermost: {number(most)} deviations", (-1.7, 1.7), (-1.4, 1.4))


def _draw_frequency(axes: Axes, row: Row, curve: NDArray[np.float64], stimuli: Mapping[str, Any]) -> None:
    shown = stimuli["frequencies"]
    octaves = np.log2(shown)
    axes.plot(octaves, np.clip(curve, 0, None), "o-", color=MARKS["edge"], markersize=2.5)
    axes.set(
        xlim=(octaves[0] - 0.1, octaves[-1] + 0.1), ylim=(0, max(float(curve.max()), 1e-9) * 1.06), ylabel="deviations"
    )
    axes.locator_params(axis="y", nbins=5)
    axes.grid(True, axis="y")
    axes.set_title("spatial frequency")
    _frequency_axis(axes, shown)
    words = "no frequency is known"
    if row.get("frequency") is not None and row["frequency"] > 0:
        span = _span(row, "frequency")
        if span:
            axes.axvspan(
                *np.clip(np.log2(np.maximum(span, 1e-6)), octaves[0], octaves[-1]),
                color=MARKS["edge"],
                alpha=0.16,
                linewidth=0,
            )
        axes.axvline(float(np.log2(row["frequency"])), color=INK, linewidth=0.7, linestyle=(0, (5, 3)))
        within = "" if span is None else f" ({number(span[0])} to {number(span[1])})"
        band = "bandwidth unknown" if row.get("bandwidth") is None else f"bandwidth {number(row['bandwidth'])} octaves"
        words = f"{number(row['frequency'])}{within},\n{band}"
    axes.text(
        0.5, -0.22, words, fontsize=SMALL, color=QUIET, ha="center", va="top", transform=axes.transAxes, linespacing=1.3
    )


def _draw_preferred(axes: Axes, degrees: float, radius: float, both: bool) -> None:
    x, y = _at(degrees, radius)
    axes.plot((-x if both else 0, x), (-y if both else 0, y), color=INK, linewidth=0.7, linestyle=(0, (5, 3)))


def _spot(colour: str, words: str, full: bool) -> Line2D:
    face = colour if full else "none"
    return Line2D(
        [], [], color="none", marker="o", markersize=3.5, markeredgecolor=colour, markerfacecolor=face, label=words
    )


def _rgb(colour: str) -> tuple[float, float, float]:
    red, green, blue = bytes.fromhex(colour.removeprefix("#"))
    return red / 255, green / 255, blue / 255
