"""Picture files in memory, of kinds that Pillow writes and of some that it does not."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image


def saved(picture: Image.Image, kind: str, **options: Any) -> bytes:
    """A picture as a file of one format."""
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def smooth(width: int, height: int, mode: str = "RGB") -> Image.Image:
    """Coarse noise, enlarged."""
    coarse = np.random.default_rng(0).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).convert(mode)


def raw_png(
    width: int, height: int, depth: int, kind: int, rows: bytes, chunks: tuple[tuple[bytes, bytes], ...] = ()
) -> bytes:
    """A PNG (ISO 15948) of any bit depth and colour type; `rows` hold a filter byte each."""
    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    parts = ((b"IHDR", header), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in parts
    )
