"""One unit of a gallery: its picture, the natural images that excite it most, the trace of the ascent, and all
numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.gridspec import GridSpec

from layerscope.figures.galleries import layer_of, unit_named
from layerscope.figures.palette import ACCENT, INK, LINE, QUIET, STRONG_LINE
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
from layerscope.figures.pictures import as_rgb, crops_of
from layerscope.figures.words import number, percent, ratio
from layerscope.records import Record

_PATH = (-0.5, 1.5)
"""The scale of paths; what lies beyond it is drawn at its end."""


def unit(source: object, unit: str, *, width: float = DOUBLE) -> PaperFigure:
    """A unit ("conv3:26"): its picture, natural exemplars, the trace of the ascent, its score beside the control and
    the strongest natural activation, and its path through the layers before it beside that of natural images.

    source: a Gallery, or the folder that holds a gallery.json. width: in inches. Raises InputError where there is no
    such gallery, or the unit is not made yet, UnknownNameError for a layer or unit that it does not show.
    """
    with drawing("gallery", source) as gallery:
        layer, index = unit_named(unit)
        record = layer_of(gallery, layer).record(index)
        path = (record.facts.get("card") or {}).get("path")
        figure = sheet_of(width, (0.48 if path else 0.36) * width)
        grid = figure.add_gridspec(
            3 if path else 2, 3, width_ratios=(1.25, 1.25, 1.5), height_ratios=(1.3, 1, 1.3) if path else (1.5, 1)
        )
        _draw_picture(figure.add_subplot(grid[:, 0]), record)
        _draw_exemplars(figure, grid, record)
        _draw_trace(figure.add_subplot(grid[0, 2]), record)
        _draw_scale(figure.add_subplot(grid[1, 2]), record.facts)
        if path:
            _draw_path(figure.add_subplot(grid[2, 2]), path)
        figure.suptitle(_title(record.facts, unit), x=0.01, ha="left")
        return finished(figure, gallery.said(f"Unit {unit} of {record.facts['network']}", record.key))


def _title(told: dict[str, Any], unit: str) -> str:
    label = "" if told["label"] is None else f", {drawn(told['label'], 30)}"
    status = told["status"] if not told["note"] else f"{told['status']}: {drawn(told['note'], 90)}"
    return f"{layer_name(unit, 32)}{label} of {drawn(told['network'], 30)}; {status}"


def _draw_picture(axes: Axes, record: Record) -> None:
    told = record.facts
    axes.imshow(as_rgb(record.arrays["picture"]), interpolation="bilinear")
    bare(axes)
    axes.set_title(f"made for {drawn(told['objective'], 30)}", fontsize=SMALL)
    axes.text(
        0,
        -0.03,
        f"{percent(told['saturated'])} of its values saturated",
        fontsize=TINY,
        color=QUIET,
        va="top",
        transform=axes.transAxes,
    )


def _draw_exemplars(figure: PaperFigure, grid: GridSpec, record: Record) -> None:
    """The natural images, strongest first, with their activations."""
    entries = record.facts["exemplars"]
    crops = crops_of(record.arrays["exemplars"], len(entries)) if entries else []
    inner = grid[:, 1].subgridspec(3, 3, hspace=0.02, wspace=0.02)
    panels = [figure.add_subplot(inner[place // 3, place % 3]) for place in range(9)]
    for axes in panels:
        bare(axes)
    for axes, crop, entry in zip(panels, crops, entries, strict=False):
        axes.imshow(crop, interpolation="bilinear")
        label = "" if entry["label"] is None else f" {drawn(entry['label'], 9)}"
        axes.set_title(f"{number(entry['score'])}{label}", fontsize=TINY, pad=1.5)
    if not crops:
        panels[4].text(
            0.5, 0.5, "no natural images", fontsize=SMALL, color=QUIET, ha="center", transform=panels[4].transAxes
        )


def _draw_path(axes: Axes, path: dict[str, Any]) -> None:
    """In each layer before the unit, where the picture lies between other units' images (0) and the unit's own (1)."""
    layers = path.get("layers") or []
    axes.set_title(drawn(path["words"].split(";")[0], 60), fontsize=SMALL)
    if not layers:
        bare(axes)
        return
    for place, one in enumerate(layers):
        if one["value"] is None:
            axes.text(0.5, place, "cannot tell", fontsize=TINY, color=QUIET, ha="center", va="center")
            continue
        low, value, high = np.clip([one["low"], one["value"], one["high"]], *_PATH)
        axes.plot((low, high), (place, place), color=STRONG_LINE, linewidth=2, solid_capstyle="butt")
        colour = ACCENT if one["verdict"] == "same" else "white"
        axes.plot(value, place, "o", markerfacecolor=colour, markeredgecolor=INK, markersize=3.5)
    for base in (0, 1):
        axes.axvline(base, color=LINE, linewidth=0.8, zorder=0)
    axes.set(xlim=_PATH, ylim=(len(layers) - 0.5, -0.5))
    axes.set_yticks(range(len(layers)), [layer_name(one["layer"], 16) for one in layers], fontsize=TINY)
    axes.set_xticks([0, 1], ["as other units", "as natural images"], fontsize=TINY)


def _draw_trace(axes: Axes, record: Record) -> None:
    """What was climbed at each step, under the transforms of the ascent."""
    trace = np.asarray(record.arrays["trace"], float)
    trace = trace[np.isfinite(trace)]
    axes.plot(np.arange(len(trace)), trace, color=ACCENT)
    axes.grid(True, axis="y")
    axes.set_xlabel("step of the ascent")
    axes.set_title("what was climbed", fontsize=SMALL)
    axes.locator_params(axis="y", nbins=4)
    axes.locator_params(axis="x", nbins=5)


def _draw_scale(axes: Axes, told: dict[str, Any]) -> None:
    """Score, control and strongest natural activation on one axis."""
    values = {"score": told["score"], "before the ascent": told["control"], "natural": told["natural"]}
    known = [value for value in values.values() if value is not None]
    low, high = min(0.0, *known), max(*known, 1e-9)
    axes.barh(0, told["score"], 0.34, color=ACCENT if (told["ratio"] or 0) >= 1 else STRONG_LINE)
    axes.plot(told["control"], 0, "o", markerfacecolor="white", markeredgecolor=INK, markersize=4)
    if told["natural"] is not None:
        axes.plot([told["natural"]] * 2, (-0.42, 0.42), color=INK, linewidth=1.2)
    axes.set(ylim=(-1.0, 0.75), xlim=(low - 0.04 * (high - low), high + 0.04 * (high - low)))
    axes.set_yticks([])
    axes.spines[["left"]].set_visible(False)
    axes.locator_params(axis="x", nbins=5)
    axes.axvline(0, color=LINE, linewidth=0.6)
    natural = "–" if told["natural"] is None else number(told["natural"])
    words = f"bar: score {number(told['score'])}, {ratio(told['ratio'])} of the strongest natural (line) {natural}"
    axes.set_title(words, fontsize=SMALL)
    axes.text(
        0.0,
        0.06,
        f"ring: before the ascent {number(told['control'])}",
        fontsize=TINY,
        color=QUIET,
        transform=axes.transAxes,
    )
