"""The activation atlas as one figure: pictures where their cells lie, and under each how well it fits."""

from __future__ import annotations

from typing import Any

import numpy as np

from layerscope.figures.palette import ACCENT, QUIET
from layerscope.figures.paper import (
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
from layerscope.figures.pictures import Pixels, as_rgb, small
from layerscope.figures.source import Report
from layerscope.records import Record, Store, content_key

_MOST_WORDS = 14  # cells in a row, up to which words under the pictures can be read
_TILE, _BELOW = 128, 30  # pixels of a picture, and under it for its words
_BLANK = 255


def atlas(source: object, *, width: float = DOUBLE) -> PaperFigure:
    """The map of a layer: each cell shows the mean of the activations that lie there. Under it stand the class that
    most of these come from, and the cosine of the picture's mean activation with that of its cell, blue where no other
    cell is more like the picture.

    source: an Atlas, or the folder that holds an atlas.json. width: in inches. Raises InputError where there is no such
    atlas.
    """
    with drawing("atlas", source) as report:
        found, told = cells_of(report), report.facts
        rows, columns = _sides([one.facts for one in found])
        words = len(columns) <= _MOST_WORDS
        tall = _TILE + (_BELOW if words else 4)
        figure = sheet_of(width, width * len(rows) * tall / (len(columns) * (_TILE + 4)) + 0.5)
        axes = figure.subplots()
        axes.imshow(_map(found, rows, columns, tall), interpolation="bilinear")
        bare(axes)
        for one in found if words else ():
            _label(axes, one.facts, rows, columns, tall)
        axes.set_title(f"{drawn(told['network'], 40)}, {layer_name(told['layer'], 24)}")
        note(figure, _reading(told, [one.facts for one in found]))
        key = content_key(records=[one.key for one in found])
        return finished(figure, report.said(f"Activation atlas of {told['layer']} of {told['network']}", key))


def cells_of(report: Report) -> list[Record]:
    """The records of the cells that are made, in reading order."""
    assert report.folder is not None  # an atlas is always read from one
    store = Store(report.folder)
    found = (store.find(str(cell["key"])) for cell in report.header["cells"])
    return [one for one in found if one is not None]


def _sides(cells: list[dict[str, Any]]) -> tuple[range, range]:
    """The rows and columns between the outermost cells; one of each without cells."""
    sides = []
    for axis in ("row", "column"):
        places = [int(cell[axis]) for cell in cells] or [0]
        sides.append(range(min(places), max(places) + 1))
    return sides[0], sides[1]


def _map(cells: list[Record], rows: range, columns: range, tall: int) -> Pixels:
    canvas = np.full((len(rows) * tall, len(columns) * (_TILE + 4), 3), _BLANK, np.uint8)
    for one in cells:
        picture = small(as_rgb(one.arrays["picture"]), _TILE)
        scale = _TILE // max(picture.shape[:2])
        picture = picture.repeat(scale, 0).repeat(scale, 1)
        top, left = _corner(one.facts, rows, columns, tall)
        canvas[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return canvas


def _corner(cell: dict[str, Any], rows: range, columns: range, tall: int) -> tuple[int, int]:
    return (cell["row"] - rows.start) * tall, (cell["column"] - columns.start) * (_TILE + 4)


def _label(axes: Any, cell: dict[str, Any], rows: range, columns: range, tall: int) -> None:
    top, left = _corner(cell, rows, columns, tall)
    size = min(TINY, 60 / len(columns))
    first = cell["classes"][0][0] if cell["classes"] else ""
    axes.text(left, top + _TILE + 4, drawn(first, 12), fontsize=size, color=QUIET, va="top")
    if cell["cosine"] is not None:
        colour = ACCENT if cell["rank"] == 1 else QUIET
        axes.text(
            left + _TILE, top + _TILE + 4, f"{cell['cosine']:.2f}", fontsize=size, color=colour, va="top", ha="right"
        )


def _reading(told: dict[str, Any], cells: list[dict[str, Any]]) -> str:
    """How well the map keeps neighbours, and the pictures their cells, each beside its control."""
    layout = told["layout"]
    method = {"umap": "UMAP", "pca+t-sne": "PCA and t-SNE"}.get(layout["method"], layout["method"])
    words = [
        f"{layout['vectors']:,} activations laid out by {method}: {layout['kept']:.0%} of {layout['neighbours']} "
        f"nearest neighbours kept (shuffled {layout['kept_shuffled']:.0%})"
    ]
    ranked = [cell for cell in cells if cell["rank"] is not None]
    if ranked:
        cosines = {name: np.mean([cell[name] for cell in ranked]) for name in ("cosine", "other")}
        first = sum(cell["rank"] == 1 for cell in ranked)
        words.append(f"cosine with the own cell {cosines['cosine']:.2f}, with another {cosines['other']:.2f}")
        words.append(f"{first} of {len(ranked)} nearest to their own")
    return "\n".join([words[0], "; ".join(words[1:])]).strip()
