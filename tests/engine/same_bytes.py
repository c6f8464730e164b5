"""Folders compared file by file, and the gallery that all engines must make again."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

from small_nets import small_network

from layerscope.studies.gallery import gallery


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@functools.cache
def made_here() -> dict[str, bytes]:
    """The small network's gallery, made in this process, with natural images."""
    with tempfile.TemporaryDirectory() as folder:
        gallery(small_network(), "*", folder, recipe="draft")
        return files(Path(folder))
