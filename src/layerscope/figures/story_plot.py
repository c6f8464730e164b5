"""The way from the image to the label: the units of each layer that mattered most, and whether they really did."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.patches import Patch

from layerscope.errors import InputError
from layerscope.figures.palette import AGAINST, FIRED, FOR, QUIET, STRONG_LINE, hexed
from layerscope.figures.paper import (
    BODY,
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
from layerscope.figures.pictures import as_rgb, fired_over
from layerscope.figures.source import Report
from layerscope.figures.words import number, percent, plural, ratio, signed

_SIDE = 128  # pixels of a picture in a cell
_MOST = 6


def units_that_mattered(source: object, *, width: float = DOUBLE) -> PaperFigure:
    """Of each layer the units that mattered most for the score: what drives each, where it fired in this image, and the
    change of the score without it, predicted (hollow) and true (full): orange where the unit speaks for what is
    explained, blue where it speaks against it.

    source: an Explanation, or the folder that holds an explanation.json. width: in inches. Raises InputError where
    there is no such explanation, or nothing mattered.
    """
    with drawing("explanation", source) as found:
        story = found.facts["story"]
        layers = [layer for layer in (story["layers"] if story else []) if layer["shown"]]
        if not layers:
            raise InputError(
                f"the network {drawn(found.facts['network'], 60)!r} has no layers whose units could matter"
            )
        columns = min(_MOST, max(len(layer["shown"]) for layer in layers))
        label = 0.13 * width
        cell = (width - label) / columns
        figure = sheet_of(width, len(layers) * (0.5 * cell + 0.42) + 0.55)
        ratios = [label / cell, *[1.0] * columns]
        panels = figure.subplots(
            len(layers), columns + 1, squeeze=False, gridspec_kw={"width_ratios": ratios, "wspace": 0.02}
        )
        scale = max(
            [1e-9, *(abs(unit[key]) for layer in layers for unit in layer["shown"] for key in ("predicted", "true"))]
        )
        for line, layer in zip(panels, layers, strict=True):
            for axes in line:
                bare(axes)
            _write_layer(line[0], layer)
            for axes, unit in zip(line[1:], layer["shown"], strict=False):
                _draw_unit(axes, found, layer, unit, scale)
        _draw_key(figure, found)
        return finished(figure, found.said(f"Units that mattered for {found.facts['image']['name']}"))


def _write_layer(axes: Axes, layer: Mapping[str, Any]) -> None:
    told = [
        plural(layer["units"], "unit"),
        f"sees {drawn(layer['reach'], 20)}" if layer["reach"] != "unknown" else None,
    ]
    if layer["agreement"] is not None:
        told.append(f"agreement {number(layer['agreement'])}")
    if layer["within"] is not None:
        told.append(f"same sign {percent(layer['within'])}")
    axes.text(0, 0.98, layer_name(layer["layer"], 13), fontsize=BODY, va="top", transform=axes.transAxes)
    words = "\n".join(filter(None, told))
    axes.text(0, 0.78, words, fontsize=TINY, color=QUIET, va="top", linespacing=1.3, transform=axes.transAxes)


def _draw_unit(axes: Axes, found: Report, layer: Mapping[str, Any], unit: Mapping[str, Any], scale: float) -> None:
    """Two pictures side by side, a line of words above them, and two bars below."""
    image = as_rgb(found.arrays["image"])
    fired = fired_over(image, found.arrays[unit["fired"]], _SIDE)
    axes.imshow(fired, extent=(1.03, 2.0, 0, 0.97), interpolation="bilinear")
    if unit["picture"] is not None:
        axes.imshow(as_rgb(found.arrays[unit["picture"]]), extent=(0, 0.97, 0, 0.97), interpolation="bilinear")
    else:
        axes.text(0.485, 0.485, "no picture", fontsize=TINY, color=QUIET, ha="center", va="center")
    of = "" if unit["ratio"] is None else f" {ratio(unit['ratio'])}"
    axes.text(0, 1.04, f"#{unit['unit']}{of}", fontsize=SMALL, va="bottom")
    for low, key in ((-0.24, "predicted"), (-0.5, "true")):
        _draw_change(axes, low, key, unit[key], scale)
    axes.set(xlim=(0, 2.05), ylim=(-0.54, 1.3), aspect="equal")


def _draw_change(axes: Axes, low: float, key: str, change: float, scale: float) -> None:
    """Both from the same edge; the sign is the colour, and stands in the number."""
    side = hexed(FOR if change < 0 else AGAINST) if change else STRONG_LINE
    face = side if key == "true" else "white"
    axes.barh(low + 0.1, 1.25 * abs(change) / scale, 0.16, facecolor=face, edgecolor=side, linewidth=0.7)
    axes.text(
        2.0,
        low + 0.09,
        signed(change),
        fontsize=TINY,
        ha="right",
        va="center",
        weight="bold" if key == "true" else "normal",
    )


def _draw_key(figure: PaperFigure, found: Report) -> None:
    asked = drawn(found.facts["target"]["label"], 20)
    handles = [
        Patch(facecolor=hexed(FIRED), label="where it fired"),
        Patch(facecolor="white", edgecolor=QUIET, linewidth=0.8, label="predicted change of the score without it"),
        Patch(facecolor=QUIET, label="true change"),
        Patch(facecolor=hexed(FOR), label=f"falls: speaks for {asked}"),
        Patch(facecolor=hexed(AGAINST), label="rises: against"),
    ]
    figure.legend(handles=handles, loc="outside lower left", ncols=5, handlelength=1, columnspacing=1.0)
