"""Photographs as users have them, read as a network takes them: upright, sRGB, square, and with what was done said."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from layerscope.errors import InputError
from layerscope.models.photo_colours import Colours, bands, plan_colours
from layerscope.models.photo_decoding import HUGE, Decoded, decode
from layerscope.models.photo_files import Source, find_photos, open_picture, unreadable
from layerscope.types import Progress, no_progress

_SPARE = 4
"""Where a huge picture is averaged first, its shorter side keeps this many times the pixels that the network takes."""
_SUPPORT = 2
"""Pixels (of the smaller of the two pictures) around a part that bicubic scaling of it looks at."""

Box = tuple[float, float, float, float]
"""left, top, right, bottom, in pixels."""


@dataclass(frozen=True, eq=False)
class Photo:
    """One picture as a network gets it.

    Attributes:
        pixels: uint8 [channels, size, size]: red, green, blue, or else copies of the grey picture.
        name: the file's name, or "standard input".
        source: the path as it was given.
        original: (width, height) of the upright picture in the file.
        crop: the part of it that `pixels` shows: left, top, right, bottom in pixels of the upright original.
        format: what the file is, as Pillow calls it: "JPEG", "PNG", "GIF", "WEBP", "TIFF" or "BMP".
        mode: how the file holds colours, as Pillow calls it: "RGB", "P", "I;16", "CMYK", ...
        sha256: of the file's bytes, 64 hex digits.
        notes: what was done to the picture besides scaling and cropping, in words, and what is odd about its file.
    """

    pixels: Tensor
    name: str
    source: str
    original: tuple[int, int]
    crop: Box
    format: str
    mode: str
    sha256: str
    notes: tuple[str, ...]


def read_photo(source: Source, size: int, channels: int = 3, name: str = "") -> Photo:
    """Read one picture: shorter side scaled to `size` (bicubic), centre cropped.

    Args:
        source: a path, "-" for standard input, the bytes of a file, or a binary stream.
        channels: three are red, green, blue; any other number are copies of the grey picture.
        name: what to call bytes and streams.

    Raises InputError, in one line, for what is no file, no picture of a format that is read, damaged, or too large.
    """
    with open_picture(source, name) as file, unreadable(file.source):
        decoded = decode(file, shorter=_SPARE * size)
        colours = plan_colours(decoded.picture, decoded.stored, "RGB" if channels == 3 else "L")
        crop = _centre(decoded.original, size)
        shown, blocks = _scaled(decoded, crop, size, colours)
        file.stream.seek(0)
        pixels = torch.from_numpy(np.array(shown).reshape(size, size, -1)).permute(2, 0, 1)
        return Photo(
            pixels=pixels.expand(channels, -1, -1).contiguous(),
            name=file.name,
            source=file.source,
            original=decoded.original,
            crop=crop,
            format=file.format,
            mode=decoded.picture.mode,
            sha256=hashlib.file_digest(file.stream, "sha256").hexdigest(),  # type: ignore[arg-type]
            notes=(*decoded.notes, *colours.notes, *_on_size(decoded.original, size, blocks)),
        )


def read_photos(
    sources: Sequence[str | os.PathLike[str]], size: int, channels: int = 3, on_progress: Progress = no_progress
) -> Iterator[Photo | InputError]:
    """Read all pictures that `sources` mean (`find_photos`), in order; for each a Photo, or why there is none."""
    found = find_photos(sources)
    for done, source in enumerate(found, start=1):
        yield _photo_or_error(source, size, channels)
        on_progress(done, len(found), "reading pictures")


def _photo_or_error(source: str, size: int, channels: int) -> Photo | InputError:
    try:
        return read_photo(source, size, channels)
    except InputError as error:
        return error


def _centre(original: tuple[int, int], size: int) -> Box:
    """The part of a picture that fills size x size pixels once its shorter side is scaled to `size`."""
    (left, right), (top, bottom) = (_middle(side, min(original), size) for side in original)
    return left, top, right, bottom


def _middle(side: int, shorter: int, size: int) -> tuple[float, float]:
    scaled = max(size, round(side * size / shorter))
    start = (scaled - size) // 2
    return start * side / scaled, min(side, (start + size) * side / scaled)


def _scaled(decoded: Decoded, crop: Box, size: int, colours: Colours) -> tuple[Image.Image, int]:
    """The crop of a picture at size x size pixels, and the side of the blocks of pixels that were averaged before.

    Only what scaling looks at is converted: a picture of 1 x 60000 pixels, scaled and then cropped, would fill the
    memory, and one of 180 million, converted as a whole, several times the memory that it takes decoded.
    """
    box = _divided(crop, decoded.factor)
    left, top, right, bottom = around = _around(box, decoded.picture.size, size)
    huge = (right - left) * (bottom - top) >= HUGE
    factor = max(1, int(min(box[2] - box[0], box[3] - box[1])) // (_SPARE * size)) if huge else 1
    part = Image.new(colours.mode, (math.ceil((right - left) / factor), math.ceil((bottom - top) / factor)))
    for row, band in bands(decoded.picture, around, multiple=factor):
        part.paste(colours(band).reduce(factor), (0, row // factor))
    inside = _divided((box[0] - left, box[1] - top, box[2] - left, box[3] - top), factor)
    return part.resize((size, size), Image.Resampling.BICUBIC, box=inside), factor * decoded.factor


def _divided(box: Box, factor: int) -> Box:
    left, top, right, bottom = box
    return left / factor, top / factor, right / factor, bottom / factor


def _around(box: Box, whole: tuple[int, int], size: int) -> tuple[int, int, int, int]:
    """A part and all around it that scaling it to size x size pixels looks at, in whole pixels."""
    left, top, right, bottom = box
    across, down = (math.ceil(_SUPPORT * max(1.0, side / size)) + 1 for side in (right - left, bottom - top))
    return (
        max(0, math.floor(left) - across),
        max(0, math.floor(top) - down),
        min(whole[0], math.ceil(right) + across),
        min(whole[1], math.ceil(bottom) + down),
    )


def _on_size(original: tuple[int, int], size: int, blocks: int) -> list[str]:
    width, height = original
    notes = [f"huge: {blocks} x {blocks} pixels averaged before scaling"] if blocks > 1 else []
    if min(original) < size:
        notes.append(f"enlarged from {width} x {height} pixels")
    if max(original) > 2 * min(original):
        notes.append(f"only the middle {min(original)} x {min(original)} of its {width} x {height} pixels are seen")
    return notes
