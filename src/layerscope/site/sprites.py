"""Many small pictures in few image files: tiles on sheets, in the order in which they are given."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_LARGEST_SHEET = 4_000_000  # pixels: one sheet for a layer of 900 units at 64 x 64; telephones decode it at once
_LARGEST_SIDE = 16_383  # pixels: the format's own limit
_LOSSLESS_UP_TO = {False: 96, True: 32}  # pixels of a tile's height, by whether its source was lossy

_GUTTER = 3  # pixels: lossy coding carries colour over from the neighbours, but not further


@dataclass(frozen=True)
class Sprite:
    """Encoded sheets of tiles. Tile `i` lies on sheet `i // per_sheet`, in reading order there, `columns` to a row.

    `tile` is (width, height) in pixels; on the sheet each tile has a border of `gutter` pixels around it.
    """

    sheets: tuple[bytes, ...]
    tile: tuple[int, int]
    gutter: int
    columns: int
    per_sheet: int


def pack(tiles: Sequence[NDArray[np.uint8]], largest: int | None = None, lossy_source: bool = False) -> Sprite:
    """Pack `tiles` (each `[height, width, 3]`) on WebP sheets.

    Small tiles are kept lossless, since the fewer the pixels, the more each of them counts; tiles from a lossy source
    have less to keep. All take the size of the largest tile, and their longer side is at most `largest` pixels. The
    same tiles give the same bytes.
    """
    height, width = (max(tile.shape[axis] for tile in tiles) for axis in (0, 1))
    if largest is not None and max(height, width) > largest:
        scale = largest / max(height, width)
        height, width = max(1, round(height * scale)), max(1, round(width * scale))
    gutter = 0 if height <= _LOSSLESS_UP_TO[lossy_source] else _GUTTER
    columns, per_sheet = _layout(len(tiles), width + 2 * gutter, height + 2 * gutter)
    groups = [tiles[start : start + per_sheet] for start in range(0, len(tiles), per_sheet)]
    sheets = tuple(_sheet(group, (width, height), columns, gutter) for group in groups)
    return Sprite(sheets, (width, height), gutter, columns, per_sheet)


def crops_of(strips: Sequence[bytes], counts: Sequence[int], largest: int) -> list[NDArray[np.uint8]]:
    """Decode strips of square crops to `max(counts)` tiles each, all of one size, at most `largest` pixels square.

    `counts` says how many crops each strip holds; the tiles after them are grey. Raises OSError for bytes that are no
    image.
    """
    images = [Image.open(io.BytesIO(strip)).convert("RGB") if strip else None for strip in strips]
    side = min(largest, max((image.height for image in images if image), default=1))
    grey = np.full((side, side, 3), 128, np.uint8)
    tiles = []
    for image, count in zip(images, counts, strict=True):
        found = [_crop(image, turn, count, side) for turn in range(count)] if image else []
        tiles += found + [grey] * (max(counts) - len(found))
    return tiles


def _crop(strip: Image.Image, turn: int, count: int, side: int) -> NDArray[np.uint8]:
    width = strip.width / count
    crop = strip.crop((round(turn * width), 0, round((turn + 1) * width), strip.height))
    return np.asarray(_resized(crop, (side, side)))


def _layout(count: int, width: int, height: int) -> tuple[int, int]:
    """Columns of a sheet and tiles of a sheet, for sheets about as wide as high."""
    most = max(1, min(count, _LARGEST_SHEET // (width * height)))
    columns = min(max(1, round((most * height / width) ** 0.5)), max(1, _LARGEST_SIDE // width))
    rows = min(-(-most // columns), _LARGEST_SIDE // height)
    return columns, columns * rows


def _sheet(tiles: Sequence[NDArray[np.uint8]], size: tuple[int, int], columns: int, gutter: int) -> bytes:
    columns = min(columns, len(tiles))
    framed = [_framed(tile, size, gutter) for tile in tiles]
    framed += [np.full_like(framed[0], 128)] * (-len(tiles) % columns)
    rows = [np.concatenate(framed[start : start + columns], 1) for start in range(0, len(framed), columns)]
    sheet = Image.fromarray(np.concatenate(rows, 0))
    file = io.BytesIO()
    if gutter:
        sheet.save(file, "WEBP", quality=90, method=4, use_sharp_yuv=True)
    else:
        sheet.save(file, "WEBP", lossless=True, quality=40, method=3)
    return file.getvalue()


def _framed(tile: NDArray[np.uint8], size: tuple[int, int], gutter: int) -> NDArray[np.uint8]:
    """The tile at its size, its outermost pixels repeated around it."""
    resized = np.asarray(_resized(Image.fromarray(tile), size))
    return np.pad(resized, ((gutter, gutter), (gutter, gutter), (0, 0)), mode="edge")


def _resized(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    return image if image.size == size else image.resize(size, Image.Resampling.LANCZOS)
