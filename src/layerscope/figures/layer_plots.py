"""One layer of a gallery: how many of its units reach which ratio, and a contact sheet of units with their
exemplars."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from layerscope.figures.galleries import GalleryLayer, evenly, how_chosen, layer_of
from layerscope.figures.palette import ACCENT, INK, QUIET, STRONG_LINE
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
    layer_name,
    note,
    sheet_of,
)
from layerscope.figures.pictures import as_rgb, crops_of
from layerscope.figures.words import number, plural, ratio
from layerscope.given import whole_number
from layerscope.records import Record, content_key

_EXEMPLARS = 4  # under a picture
_MOST = 48  # units of a contact sheet


def ratios(source: object, layer: str, *, width: float = SINGLE) -> PaperFigure:
    """How many units of a layer reach which ratio of score to their strongest natural activation; blue from 1 on.

    source: a Gallery, or the folder that holds a gallery.json. layer: its name. width: in inches. Raises InputError
    where there is no such gallery, UnknownNameError for a layer that it does not show.
    """
    with drawing("gallery", source) as gallery:
        shown = layer_of(gallery, layer)
        records = list(shown.records())
        values = np.array([one.facts["ratio"] for one in records if one.facts["ratio"] is not None], float)
        figure = sheet_of(width, 0.42 * width)
        axes = figure.subplots()
        if values.size:
            _draw_ratios(axes, values)
        else:
            axes.text(
                0.5, 0.5, "no natural activation to compare with", ha="center", color=QUIET, transform=axes.transAxes
            )
        reach = int((values >= 1).sum())
        told = f", {reach} of {values.size} reach it; median {ratio(float(np.median(values)))}" if values.size else ""
        axes.set_title(f"{layer_name(layer, 16)}{told}")
        return finished(figure, gallery.said(f"Ratios of {layer}", _key(records)))


def _draw_ratios(axes: Axes, values: Any) -> None:
    """Bars of equal width, so that 1 lies between two of them; what is beyond the last lies in it."""
    low = min(0.0, float(values.min()))
    high = max(1.25, float(np.quantile(values, 0.98)) * 1.1)
    step = (1 - low) / math.ceil((30 * (1 - low)) / (high - low))
    edges = low + step * np.arange(math.ceil((high - low) / step) + 1)
    counts, _ = np.histogram(np.minimum(values, edges[-1] - 1e-9), edges)
    strong = edges[:-1] > 1 - 1e-6
    axes.bar(edges[:-1], counts, 0.92 * step, align="edge", color=np.where(strong, ACCENT, STRONG_LINE))
    axes.axvline(1, color=INK, linewidth=0.8, linestyle=(0, (4, 3)))
    axes.set_xlim(edges[0], edges[-1])
    beyond = int((values > edges[-1]).sum())
    last = f"; last bar: also {beyond} beyond, to {ratio(float(values.max()))}" if beyond else ""
    axes.set_xlabel(f"score / strongest natural activation{last}")
    axes.set_ylabel("units")
    axes.locator_params(axis="y", nbins=4, integer=True)
    axes.locator_params(axis="x", nbins=6)


def layer(source: object, layer: str, *, columns: int = 8, units: int = 24, width: float = DOUBLE) -> PaperFigure:
    """A contact sheet of a layer: its ratios, and units evenly spaced over it, none chosen, each picture with its ratio
    and the natural images that excite the unit most.

    source, layer, width: as of `ratios`. columns: pictures in a row. units: how many, at most 48. Raises as `ratios`
    does.
    """
    with drawing("gallery", source) as gallery:
        shown = layer_of(gallery, layer)
        records = list(shown.records(evenly(shown, min(whole_number("units", units, 1), _MOST))))
        rows = max(1, -(-len(records) // whole_number("columns", columns, 1)))
        cell = width / columns
        tall = 1.28 * cell + 0.16
        figure = sheet_of(width, 0.95 + rows * tall)
        grid = figure.add_gridspec(1 + rows, columns, height_ratios=[0.9, *[tall] * rows], hspace=0.02, wspace=0.02)
        _head(figure.add_subplot(grid[0, :]), shown)
        for place in range(rows * columns):
            axes = figure.add_subplot(grid[1 + place // columns, place % columns])
            bare(axes)
            if place < len(records):
                _draw_unit(axes, records[place])
        chosen = how_chosen([shown], "the layer")
        note(figure, f"{chosen}; below each, the natural images that excite it most")
        return finished(figure, gallery.said(f"Units of {layer}", _key(records)))


def _head(axes: Axes, shown: GalleryLayer) -> None:
    told = shown.facts
    values = np.array([one.facts["ratio"] for one in shown.records() if one.facts["ratio"] is not None], float)
    if values.size:
        _draw_ratios(axes, values)
    else:
        bare(axes)
    seen = told.get("receptive_field")
    facts = [drawn(told["kind"], 20), plural(told["units"], "unit"), f"sees {seen} px" if seen else ""]
    if values.size:
        facts.append(f"median {ratio(float(np.median(values)))}, {int((values >= 1).sum())} of {values.size} reach 1")
    axes.set_title(f"{layer_name(shown.name, 30)}   {', '.join(filter(None, facts))}")


def _draw_unit(axes: Axes, record: Record) -> None:
    """The picture, what stands above it, and a strip of exemplars under it."""
    told = record.facts
    picture = as_rgb(record.arrays["picture"])
    axes.imshow(picture, extent=(0, 1, 0, 1), interpolation="bilinear")
    crops = crops_of(record.arrays["exemplars"], len(told["exemplars"]))[:_EXEMPLARS] if told["exemplars"] else []
    for place, crop in enumerate(crops):
        side = 1 / _EXEMPLARS
        axes.imshow(
            crop, extent=(place * side, (place + 1) * side - 0.01, -0.02 - side, -0.03), interpolation="bilinear"
        )
    axes.set(xlim=(0, 1), ylim=(-0.28 if crops else 0, 1), aspect="equal")
    label = f"#{told['unit']}" if told["label"] is None else drawn(told["label"], 12)
    words = f"{label} {caption(told)}"
    axes.set_title(words, fontsize=SMALL if len(words) < 15 else TINY, pad=1.5)


def caption(told: Any) -> str:
    """The ratio, or the score where there is nothing to compare with; and the status where it is not converged."""
    measured = ratio(told["ratio"]) if told["ratio"] is not None else number(told["score"])
    return measured if told["status"] == "converged" else f"{measured} {told['status']}"


def _key(records: list[Record]) -> str:
    """Of what was drawn: changes when any of it does."""
    return content_key(records=[record.key for record in records])
