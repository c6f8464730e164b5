"""Spritemaps: all pictures of a gallery or a synthesis in one image file, and a JSON file that says where each lies."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from layerscope.errors import InputError
from layerscope.figures.galleries import layer_of, layers_of
from layerscope.figures.pictures import Pixels, as_rgb
from layerscope.figures.source import opened
from layerscope.given import path_to, whole_number
from layerscope.records import check_writable, write_whole

_LARGEST_SIDE = {".webp": 16_383, ".png": 65_500}
"""Pixels: of WebP the format's own limit, of PNG what image programs still open."""
_LARGEST_TILE, _MOST_PIXELS = 4096, 1 << 28
"""Of a sheet, which is held in memory: 0.8 GB."""


@runtime_checkable
class Pictures(Protocol):
    """What a synthesis holds: pictures [n, height, width, channel], or an object array [n] of them."""

    @property
    def images(self) -> NDArray[Any]: ...
    @property
    def scores(self) -> NDArray[Any]: ...
    @property
    def controls(self) -> NDArray[Any]: ...
    @property
    def status(self) -> Sequence[str]: ...
    @property
    def objectives(self) -> Sequence[str]: ...


@dataclass(frozen=True, eq=False)
class _Tile:
    name: str
    picture: NDArray[Any]
    told: dict[str, Any]


def spritemap(
    source: object, path: str | Path, *, tile: int = 64, columns: int | None = None, layer: str | None = None
) -> tuple[Path, ...]:
    """Write all pictures of a gallery or a synthesis as tiles of one image, and beside it, as .json, where each lies.

    source: a Synthesis, a Gallery, or the folder that holds a gallery.json. path: ends in .png (every pixel kept) or
    .webp (small). tile: side in pixels. columns: tiles in a row; by default about as many as rows. layer: of a gallery,
    one layer only. Units of a gallery that are not made yet are left out.

    The JSON is `{"tile": 64, "columns": 8, "sheets": ["conv3.webp"], "units": {"conv3:5": {"sheet": 0, "x": 320,
    "y": 0, "score": 2.1, "control": 0.3, "status": "converged"}, ...}}`, of a gallery with "natural" and "ratio"; the
    pictures of a synthesis are named by their objectives. Where one image would be larger than its format allows
    (16,383 pixels a side in WebP) or have over 268 million pixels, there are several: "conv3-0.webp", "conv3-1.webp".
    Returns the paths of the sheets, and last that of the JSON. Raises InputError for another suffix, no pictures, or
    columns that do not fit, UnknownNameError for a layer that is not shown, StorageError where nothing can be written.
    """
    target = path_to("path", path)
    most = _LARGEST_SIDE.get(target.suffix.lower())
    if most is None:
        raise InputError(f"cannot write a spritemap as {target.name!r}; give a path that ends in .png or .webp")
    tile = whole_number("tile", tile, 1, _LARGEST_TILE)
    tiles = _of_synthesis(source, layer) if isinstance(source, Pictures) else _of_gallery(source, layer)
    if not tiles:
        raise InputError("no pictures to put on a spritemap; make some with ls.gallery or ls.maximise")
    wide = math.ceil(math.sqrt(len(tiles))) if columns is None else whole_number("columns", columns, 1)
    wide = min(wide, most // tile) if columns is None else wide
    if wide * tile > most:
        raise InputError(f"{wide} columns of {tile} pixels are wider than the {most} that {target.suffix} allows")
    per_sheet = wide * max(1, min(most // tile, _MOST_PIXELS // (wide * tile * tile)))
    groups = [tiles[start : start + per_sheet] for start in range(0, len(tiles), per_sheet)]
    sheets = [target if len(groups) == 1 else target.with_stem(f"{target.stem}-{one}") for one in range(len(groups))]
    listed = target.with_suffix(".json")
    for file in (*sheets, listed):
        check_writable(file)  # all of them or none
    for sheet, group in zip(sheets, groups, strict=True):
        write_whole(sheet, _encoded(_sheet(group, tile, wide), sheet.suffix.lower()))
    units = {one.name: {**_place(at, per_sheet, wide, tile), **one.told} for at, one in enumerate(tiles)}
    facts = {"tile": tile, "columns": wide, "sheets": [sheet.name for sheet in sheets], "units": units}
    write_whole(listed, json.dumps(facts, indent=1).encode())
    return (*sheets, listed)


def _of_synthesis(made: Pictures, layer: str | None) -> list[_Tile]:
    """Two pictures of one objective are told apart by numbers: "neuron conv3:5", "neuron conv3:5 #2"."""
    if layer is not None:
        raise InputError(f"layer={layer!r} chooses a layer of a gallery; a synthesis is put on the map as a whole")
    tiles, seen = [], dict[str, int]()
    for place, objective in enumerate(made.objectives):
        seen[objective] = seen.get(objective, 0) + 1
        name = objective if seen[objective] == 1 else f"{objective} #{seen[objective]}"
        numbers = {"score": _number(made.scores[place]), "control": _number(made.controls[place])}
        tiles.append(_Tile(name, made.images[place], {**numbers, "status": made.status[place]}))
    return tiles


def _of_gallery(source: object, layer: str | None) -> list[_Tile]:
    with opened("gallery", source) as report:
        chosen = layers_of(report) if layer is None else [layer_of(report, layer)]
        return [
            _Tile(
                f"{one.name}:{record.facts['unit']}",
                record.arrays["picture"],
                {name: record.facts[name] for name in ("score", "control", "natural", "ratio", "status")},
            )
            for one in chosen
            for record in one.records()
        ]


def _number(value: Any) -> float | None:
    return float(value) if math.isfinite(value) else None


def _place(at: int, per_sheet: int, columns: int, tile: int) -> dict[str, int]:
    row, column = divmod(at % per_sheet, columns)
    return {"sheet": at // per_sheet, "x": column * tile, "y": row * tile}


def _sheet(group: Sequence[_Tile], tile: int, columns: int) -> Pixels:
    """[height, width, 3], as wide as it has to be; what is left over of the last row is white."""
    wide = min(columns, len(group))
    sheet = np.full((tile * math.ceil(len(group) / wide), tile * wide, 3), 255, np.uint8)
    for at, square in enumerate(_squares(group, tile)):
        row, column = divmod(at, wide)
        sheet[row * tile : (row + 1) * tile, column * tile : (column + 1) * tile] = square
    return sheet


def _squares(group: Sequence[_Tile], tile: int) -> Iterator[Pixels]:
    for one in group:
        picture = Image.fromarray(as_rgb(np.asarray(one.picture, np.uint8)))
        larger = max(picture.size) < tile  # enlarged pixel by pixel: smoothing would invent what nobody measured
        how = Image.Resampling.NEAREST if larger else Image.Resampling.LANCZOS
        yield np.asarray(ImageOps.pad(picture, (tile, tile), how, "white"))


def _encoded(sheet: Pixels, suffix: str) -> bytes:
    file = io.BytesIO()
    if suffix == ".png":
        Image.fromarray(sheet).save(file, "PNG", optimize=True)
    else:
        Image.fromarray(sheet).save(file, "WEBP", quality=92, method=4)
    return file.getvalue()
