"""The contact sheet: one page from edges to objects, a row of pictures per layer of a gallery."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from layerscope.errors import InputError
from layerscope.models.pictures import as_rgb
from layerscope.records import Record, Store, write_whole

CELL, GAP, LABEL, COLUMNS = 120, 8, 170, 12
_LEGEND = (
    "Units evenly spaced over each layer, none chosen. 1.2x: the picture's score over the strongest natural image's."
)
_INK, _FAINT, _PAPER = (28, 28, 30), (110, 110, 115), (255, 255, 255)


def write_sheet(folder: Path, columns: int = COLUMNS) -> Path:
    """Draw `<folder>/sheet.webp` of a gallery and return its path: per layer `columns` units, evenly spaced over the
    layer and so not chosen by how they look; all classes at the end. Under each picture stands its score as a multiple
    of the strongest natural image's.

    Raises InputError where the folder holds no gallery.
    """
    manifest = folder / "gallery.json"
    if not manifest.is_file():
        raise InputError(f"no gallery in {str(folder)!r}; make one with `layerscope gallery`")
    facts = json.loads(manifest.read_text(encoding="utf-8"))
    store = Store(folder)
    rows = [row for layer in facts["layers"] for row in _rows(layer, store, columns)]
    encoded = io.BytesIO()
    _draw(facts["network"]["name"], rows, columns).save(encoded, "WEBP", quality=90, method=6)
    path = folder / "sheet.webp"
    write_whole(path, encoded.getvalue())
    return path


def _rows(layer: dict[str, Any], store: Store, columns: int) -> list[tuple[str, str, list[Record]]]:
    """Title, subtitle and records of the rows that show one layer."""
    keys, classes = layer["keys"], layer["kind"] == "Linear"
    chosen = keys if classes else [keys[index] for index in spread(len(keys), columns)]
    records = [record for key in chosen if (record := store.find(key)) is not None]
    titles = [(layer["name"], f"{layer['units']} units{_seen(layer)}")] + [("", "")] * len(records)
    return [(*titles[start // columns], records[start : start + columns]) for start in range(0, len(records), columns)]


def _seen(layer: dict[str, Any]) -> str:
    """How much of the image one position sees; nothing where that is not known."""
    side, status = layer["receptive_field"], layer.get("status", "exact")
    if side is None:
        return "" if status == "unknown" else ", sees all"
    return f", sees {'at most ' if status == 'upper bound' else ''}{side} px"


def spread(count: int, most: int) -> list[int]:
    """At most `most` indices, evenly spaced over `count`."""
    return sorted({int(place * count / min(count, most)) for place in range(min(count, most))})


def _draw(name: str, rows: list[tuple[str, str, list[Record]]], columns: int) -> Image.Image:
    line = CELL + 20 + GAP
    sheet = Image.new("RGB", (LABEL + columns * (CELL + GAP) + GAP, len(rows) * line + GAP + 44), _PAPER)
    pen = ImageDraw.Draw(sheet)
    heading = ImageFont.load_default(20)
    pen.text((GAP + 6, 12), name[:60], _INK, heading)
    pen.text((max(LABEL, GAP + 30 + heading.getlength(name[:60])), 18), _LEGEND, _FAINT, ImageFont.load_default(13))
    for number, (title, subtitle, records) in enumerate(rows):
        top = 44 + number * line
        pen.text((GAP + 6, top + CELL / 2 - 20), title, _INK, ImageFont.load_default(18))
        pen.text((GAP + 6, top + CELL / 2 + 4), subtitle, _FAINT, ImageFont.load_default(13))
        for place, record in enumerate(records):
            left = LABEL + place * (CELL + GAP)
            sheet.paste(_tile(record.arrays["picture"]), (left, top))
            pen.text((left + 1, top + CELL + 2), _caption(record.facts), _FAINT, ImageFont.load_default(12))
    return sheet


def _tile(picture: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(as_rgb(picture)).resize((CELL, CELL), Image.Resampling.LANCZOS)


def _caption(facts: dict[str, Any]) -> str:
    """Unit or class, then the ratio to the strongest natural image, or the status where it is not converged."""
    number = "" if facts["ratio"] is None else f"{facts['ratio']:.1f}x"
    return " ".join(
        filter(
            None,
            [facts["label"] or f"#{facts['unit']}", number, "" if facts["status"] == "converged" else facts["status"]],
        )
    )
