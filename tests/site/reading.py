"""A site as it lies on the disk, read back."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def assigned(path: Path) -> tuple[str, Any]:
    """The name and the value that a data file assigns."""
    match = re.fullmatch(r"LAYERSCOPE\.data\[(.*?)\]=(.*);\n", path.read_text(), re.DOTALL)
    assert match is not None
    return json.loads(match[1]), json.loads(match[2])


def index_of(folder: Path) -> dict[str, Any]:
    return assigned(folder / "site" / "index.js")[1]


def site_files(folder: Path) -> dict[str, bytes]:
    paths = [folder / "index.html", *(path for path in (folder / "site").rglob("*") if path.is_file())]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def local(folder: Path, url: str) -> Path:
    return folder / url.partition("?")[0]


def tile(folder: Path, sprite: dict[str, Any], place: int) -> np.ndarray:
    assert sprite["gutter"] == 0
    width, height = sprite["tile"]
    sheet = Image.open(local(folder, sprite["sheets"][place // sprite["per_sheet"]])).convert("RGB")
    row, column = divmod(place % sprite["per_sheet"], sprite["columns"])
    return np.asarray(sheet)[row * height : (row + 1) * height, column * width : (column + 1) * width]
