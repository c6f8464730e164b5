"""The contact sheet: one page from edges to objects, a row of pictures per layer of a gallery."""

from __future__ import annotations

import io
from pathlib import Path

from matplotlib.axes import Axes
from PIL import Image

from layerscope.figures.galleries import GalleryLayer, evenly, how_chosen, layers_of
from layerscope.figures.layer_plots import caption
from layerscope.figures.palette import QUIET
from layerscope.figures.paper import (
    BODY,
    DOUBLE,
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
from layerscope.figures.pictures import as_rgb
from layerscope.figures.words import plural
from layerscope.given import whole_number
from layerscope.records import Record, content_key, write_whole

COLUMNS = 12
_CLASSES = 60
_LEGEND = "1.20×: the picture's score over that of the strongest natural image"

Row = tuple[str, str, list[Record]]
"""Title, subtitle, and the records of its pictures."""


def sheet(source: object, *, columns: int = COLUMNS, width: float = DOUBLE) -> PaperFigure:
    """The page from edges to objects: of each layer `columns` units, evenly spaced over it and so not chosen by how
    they look; at the end the classes, at most 60. Under each picture its score as a multiple of the strongest natural
    image's.

    source: a Gallery, or the folder that holds a gallery.json. width: in inches. Raises InputError where there is no
    such gallery.
    """
    with drawing("gallery", source) as gallery:
        layers = layers_of(gallery)
        rows = [row for layer in layers for row in _rows(layer, whole_number("columns", columns, 1))]
        label = 0.13 * width
        cell = (width - label) / columns
        figure = sheet_of(width, len(rows) * (cell + 0.19) + 0.45)
        ratios = [label / cell, *[1.0] * columns]
        panels = figure.subplots(max(1, len(rows)), columns + 1, squeeze=False, gridspec_kw={"width_ratios": ratios})
        for axes in panels.flat:
            bare(axes)
        for line, (title, subtitle, records) in zip(panels, rows, strict=False):
            line[0].text(0, 0.6, title, fontsize=BODY, va="center", transform=line[0].transAxes)
            line[0].text(
                0, 0.36, subtitle, fontsize=TINY, color=QUIET, va="center", linespacing=1.2, transform=line[0].transAxes
            )
            for axes, record in zip(line[1:], records, strict=False):
                _draw_picture(axes, record)
        figure.suptitle(drawn(gallery.facts["network"]["name"], 60), x=0.01, ha="left")
        note(figure, f"{how_chosen(layers)}; {_LEGEND}")
        drawn_from = content_key(records=[record.key for _, _, records in rows for record in records])
        return finished(figure, gallery.said(f"From edges to objects: {gallery.facts['network']['name']}", drawn_from))


def write_sheet(folder: Path) -> Path:
    """Write the page to `<folder>/sheet.webp`, which browsers open and which is small, and return its path. Raises as
    `sheet` does, and StorageError where it cannot be written."""
    encoded = io.BytesIO()
    with Image.open(io.BytesIO(sheet(folder).png())) as image:
        image.convert("RGB").save(encoded, "WEBP", quality=90, method=6)
    path = folder / "sheet.webp"
    write_whole(path, encoded.getvalue())
    return path


def _rows(layer: GalleryLayer, columns: int) -> list[Row]:
    records = list(layer.records(evenly(layer, _CLASSES if layer.is_classes else columns)))
    told = f"{plural(layer.facts['units'], 'unit')}\n{_seen(layer)}"
    titles = [(layer_name(layer.name, 13), told), *[("", "")] * len(records)]
    return [(*titles[start // columns], records[start : start + columns]) for start in range(0, len(records), columns)]


def _seen(layer: GalleryLayer) -> str:
    """How much of the image one position sees; nothing where that is not known."""
    side, status = layer.facts["receptive_field"], layer.facts.get("status", "exact")
    if side is None:
        return "" if status == "unknown" else "sees all"
    return f"sees {'at most ' if status == 'upper bound' else ''}{side} px"


def _draw_picture(axes: Axes, record: Record) -> None:
    told = record.facts
    axes.imshow(as_rgb(record.arrays["picture"]), interpolation="bilinear")
    label = f"#{told['unit']}" if told["label"] is None else drawn(told["label"], 11)
    axes.set_title(f"{label}\n{caption(told)}", fontsize=TINY, y=0, va="top", pad=-1.5, linespacing=1.1)
