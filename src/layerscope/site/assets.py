"""What the client loads: data as scripts, and pictures on sheets."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layerscope.site import sprites
from layerscope.site.files import SiteFolder
from layerscope.site.sprites import Sprite


def write_data(files: SiteFolder, path: str, name: str, data: Any) -> str:
    """Write JSON to `site/<path>` as a script that assigns it to `LAYERSCOPE.data[name]`, and return its address."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    return files.add(path, f"LAYERSCOPE.data[{json.dumps(name)}]={text};\n".encode())


def write_pictures(
    files: SiteFolder, stem: str, tiles: Sequence[NDArray[np.uint8]], largest: int | None = None
) -> dict[str, Any] | None:
    """Write pictures `[height, width, 3]` to sheets and return where they lie; None where there are none."""
    return write_sprite(files, stem, sprites.pack(tiles, largest)) if tiles else None


def write_sprite(files: SiteFolder, stem: str, sprite: Sprite) -> dict[str, Any]:
    """Write the sheets of `sprite` to `site/<stem>.<number>.webp` and return their addresses and layout."""
    urls = [files.add(f"{stem}.{number}.webp", sheet) for number, sheet in enumerate(sprite.sheets)]
    layout = {"tile": sprite.tile, "gutter": sprite.gutter, "columns": sprite.columns, "per_sheet": sprite.per_sheet}
    return {"sheets": urls, **layout}
