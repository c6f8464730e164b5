"""Decoding of one picture file with Pillow: the first picture in it, upright, within bounds, and nothing but words.

Pillow's settings stay as they are; what it warns of becomes a note, and what it raises an InputError.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

from PIL import Image, TiffImagePlugin, UnidentifiedImageError

from layerscope.errors import InputError
from layerscope.models.photo_colours import Stored
from layerscope.models.photo_files import PictureFile

MOST_PIXELS = 2 * 89_478_485
"""Pictures of more pixels are refused before they are decoded; it is what Pillow refuses by default."""
HUGE = 2**25
"""From this many pixels on, blocks of pixels are averaged before a picture is scaled."""

_UPRIGHT = {
    2: (Image.Transpose.FLIP_LEFT_RIGHT, "mirrored left to right"),
    3: (Image.Transpose.ROTATE_180, "turned by 180°"),
    4: (Image.Transpose.FLIP_TOP_BOTTOM, "mirrored top to bottom"),
    5: (Image.Transpose.TRANSPOSE, "turned by 90° and mirrored"),
    6: (Image.Transpose.ROTATE_270, "turned clockwise by 90°"),
    7: (Image.Transpose.TRANSVERSE, "turned by 90° and mirrored"),
    8: (Image.Transpose.ROTATE_90, "turned counter-clockwise by 90°"),
}
"""By EXIF orientation: how a picture becomes upright (Exif 2.32, section 4.6.4, tag Orientation)."""
_ON_THE_SIDE = (5, 6, 7, 8)
_ORIENTATION, _BITS, _PHOTOMETRIC, _SUBFILE = 274, 258, 262, 254  # tags of TIFF 6.0
_AGAIN = "copy or download it again, or save it anew as PNG"


@dataclass(frozen=True, eq=False)
class Decoded:
    """An upright picture in its own mode. original: (width, height) in the file, `factor` times those of `picture`."""

    picture: Image.Image
    original: tuple[int, int]
    factor: int
    stored: Stored
    notes: tuple[str, ...]


def decode(file: PictureFile, shorter: int) -> Decoded:
    """Decode the first picture of a file and turn it upright.

    Args:
        shorter: pixels that the shorter side has to keep; a huge JPEG is decoded at a fraction of its size.

    Raises InputError, worded to stand behind "cannot read 'name' as a picture", for a picture that is damaged, of a
    kind that Pillow does not read, or of more than MOST_PIXELS pixels.
    """
    with _pillow(file.format) as warned:
        notes = _frames(file)
        file.stream.seek(0)
        with Image.open(file.stream, formats=(file.format,)) as opened:
            width, height = _checked(opened.size)
            stored = _stored(opened, file)
            factor = _draft(opened, shorter)
            picture, orientation, said = _load_upright(opened)
    original = (height, width) if orientation in _ON_THE_SIDE else (width, height)
    if file.format == "TIFF":
        original = picture.size  # some versions of Pillow turn the size in the header too, and some do not
    return Decoded(picture, original, factor, stored, (*notes, *said, *_warnings(warned)))


def _checked(size: tuple[int, int]) -> tuple[int, int]:
    """Return the size of a picture in its header; InputError where it is none or too much."""
    width, height = size
    if width < 1 or height < 1:
        raise InputError(f"(it is {width} x {height} pixels); {_AGAIN}")
    if width * height > MOST_PIXELS:
        raise InputError(
            f"({width} x {height} pixels; at most {MOST_PIXELS / 1e6:.0f} million are read); scale it down first"
        )
    return width, height


def _stored(opened: Image.Image, file: PictureFile) -> Stored:
    profile = opened.info.get("icc_profile")
    depth, white_is_zero = 8, False
    if file.format == "PNG":
        depth = file.head[24]  # in the header, which comes first in any PNG; Pillow does not keep it
    elif isinstance(opened, TiffImagePlugin.TiffImageFile):
        depth = max(opened.tag_v2.get(_BITS, (8,)))
        white_is_zero = opened.tag_v2.get(_PHOTOMETRIC) == 0
    return Stored(depth, white_is_zero, profile if isinstance(profile, bytes) else b"")


def _frames(file: PictureFile) -> list[str]:
    """What to say of a file that holds several pictures, of which the first is read."""
    kind = {"TIFF": "page", "JPEG": "picture"}.get(file.format, "frame")
    with Image.open(file.stream, formats=(file.format,)) as opened:  # anew, as counting moves on in the file
        _checked(opened.size)
        try:
            count = getattr(opened, "n_frames", 1)
        except Exception:  # whatever a damaged frame raises; the first is decoded by itself
            return [f"the first {kind}; there are damaged ones after it"]
        notes = [f"the first {kind} of {count}"] if count > 1 else []
        if isinstance(opened, TiffImagePlugin.TiffImageFile) and opened.tag_v2.get(_SUBFILE, 0) == 1:
            notes.append("a small copy of a larger picture in the same file")
        return notes


def _draft(opened: Image.Image, shorter: int) -> int:
    """Let the decoder of a huge JPEG average blocks of pixels, which those of other formats cannot; their side."""
    width, height = opened.size
    if width * height >= HUGE:
        opened.draft(None, (shorter, shorter))
    return round(width / opened.width)


def _load_upright(opened: Image.Image) -> tuple[Image.Image, int, list[str]]:
    """Decode; the upright picture, its EXIF orientation (1: it was upright), and what to say of it."""
    if isinstance(opened, TiffImagePlugin.TiffImageFile):  # Pillow turns these itself while it loads them
        orientation, notes = _orientation(opened)
        with _standard_error_as_warnings():  # where libtiff prints
            opened.load()
        return opened, orientation, notes
    opened.load()
    orientation, notes = _orientation(opened)
    return (opened.transpose(_UPRIGHT[orientation][0]) if orientation > 1 else opened), orientation, notes


def _orientation(opened: Image.Image) -> tuple[int, list[str]]:
    try:
        Image.Exif().load(opened.info.get("exif", b""))  # anew, as a JPEG has passed over its damage once already
        orientation = opened.getexif().get(_ORIENTATION)
    except Exception:  # whatever damaged EXIF data raise; the picture is there without them
        return 1, ["EXIF data ignored, as they are damaged"]
    if orientation not in _UPRIGHT:
        return 1, []
    return int(orientation), [f"{_UPRIGHT[orientation][1]}, as its EXIF orientation says"]


# --- what Pillow says


@contextlib.contextmanager
def _pillow(kind: str) -> Iterator[list[warnings.WarningMessage]]:
    """Collect the warnings of the `with`, keep what Pillow logs from standard error, and word what it raises."""
    logger, handler = logging.getLogger("PIL"), logging.NullHandler()
    logger.addHandler(handler)  # without any handler, Python would print what is logged
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            yield warned
    except InputError:
        raise
    except UnidentifiedImageError:
        raise InputError(
            f"(it begins as {kind}, and its header is damaged or of a kind that Pillow does not read); {_AGAIN}"
        ) from None
    except Image.DecompressionBombError as error:
        raise InputError(f"({_line(error)}); scale it down first") from None
    except MemoryError:
        raise InputError("(there is not enough memory for it); scale it down first") from None
    except Exception as error:  # on damaged data the decoders raise nearly anything
        raise InputError(f"({_line(error)}); {_AGAIN}") from None
    finally:
        logger.removeHandler(handler)


@contextlib.contextmanager
def _standard_error_as_warnings() -> Iterator[None]:
    """Turn what a C library prints into warnings, each line one."""
    with tempfile.TemporaryFile() as aside:
        sys.stderr.flush()
        kept = os.dup(2)
        os.dup2(aside.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
        aside.seek(0)
        for line in aside.read(100_000).decode(errors="replace").splitlines():
            warnings.warn(line, stacklevel=1)


def _warnings(warned: list[warnings.WarningMessage], most: int = 3) -> list[str]:
    said = list(dict.fromkeys(_line(one.message) for one in warned if issubclass(one.category, UserWarning)))
    more = [f"and of {len(said) - most} more things"] if len(said) > most else []
    return [f"Pillow warns: {line}" for line in said[:most] + more]


def _line(message: Warning | str | Exception) -> str:
    """A message on one line, not overlong, or the name of its kind where it says nothing."""
    words = " ".join(str(message).split()).rstrip(".")
    return words[:200] if words.isprintable() and words else type(message).__name__
