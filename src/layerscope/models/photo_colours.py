"""Colours of a decoded picture as networks take them: 8 bits, sRGB or grey, on white."""

from __future__ import annotations

import functools
import io
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, features

_SAME = 2
"""Largest difference, of 255 levels, between colours that are called the same."""
_BAND_PIXELS = 2**21
"""Pixels that are worked on at a time, so that a huge picture is in memory once and not several times."""
_PROFILE_SPACE = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK", "LAB": "Lab"}
_PLAIN = {"1": "L", "La": "LA", "RGBa": "RGBA", "PA": "RGBA", "RGBX": "RGB", "YCbCr": "RGB", "HSV": "RGB"}

Transform = ImageCms.ImageCmsTransform


@dataclass(frozen=True)
class Stored:
    """How a file holds samples. depth: bits of each. white_is_zero: larger is darker. profile: ICC, empty if none."""

    depth: int = 8
    white_is_zero: bool = False
    profile: bytes = b""


@dataclass(eq=False)
class Colours:
    """From bands of one decoded picture to "RGB" or "L"; made by `plan_colours`. notes: what it does, in words."""

    mode: str
    notes: list[str] = field(default_factory=list)
    scale: Callable[[NDArray[Any]], NDArray[np.uint8]] | None = None
    key: Any = None
    transform: Transform | None = None

    def __call__(self, band: Image.Image) -> Image.Image:
        """Return a band in `mode`; what is transparent in it lies on white."""
        colour, alpha = _apart(self._plain(band))
        alpha = alpha if self.key is None else _where(np.asarray(band) != self.key)
        if self.transform is not None:
            colour = _transformed(colour, self.transform)
        if alpha is not None and alpha.getextrema() != (255, 255):
            self._say("transparent parts laid on white")
            white = Image.new("RGB", colour.size, "white")
            white.paste(colour.convert("RGB"), mask=alpha)
            colour = white
        return colour.convert(self.mode)

    def _plain(self, band: Image.Image) -> Image.Image:
        if self.scale is not None:
            return Image.fromarray(self.scale(np.asarray(band)))
        if band.mode == "P":
            return band.convert("RGBA" if band.has_transparency_data else "RGB")
        return band.convert(_PLAIN.get(band.mode, band.mode))

    def _say(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)


def plan_colours(picture: Image.Image, stored: Stored, mode: str) -> Colours:
    """Find out what has to be done to a decoded picture of any mode, over all of it, to have it in `mode`."""
    plan = Colours(mode)
    if picture.mode.startswith(("I", "F")):
        plan.scale, note = _scaling(picture, stored)
        plan.notes.append(note)
    elif stored.depth > 8:
        plan.notes.append(f"{stored.depth}-bit colours reduced to 8 bits")
    plan.key = _colour_key(picture, stored.depth)
    before = _colour_mode(picture)
    if stored.profile:
        plan.transform, note = _from_profile(stored.profile, before)
        plan.notes += [note] if note else []
    if plan.transform is None and before in ("CMYK", "LAB"):
        plan.notes.append(f"{before} converted to RGB without a colour profile")
    return plan


def bands(picture: Image.Image, box: tuple[int, int, int, int], multiple: int = 1) -> Iterator[tuple[int, Image.Image]]:
    """Cut a part (left, top, right, bottom) of a picture into bands, each with its distance from the top of the part.

    All but the last are a multiple of `multiple` rows high.
    """
    left, top, right, bottom = box
    rows = max(1, _BAND_PIXELS // (right - left) // multiple) * multiple
    for start in range(top, bottom, rows):
        with warnings.catch_warnings():  # before Pillow 13, cutting warns of bombs as opening does
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            band = picture.crop((left, start, right, min(start + rows, bottom)))
        yield start - top, band


def _apart(band: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    if band.mode in ("LA", "RGBA"):
        return band.convert(band.mode[:-1]), band.getchannel("A")
    return band, None


def _colour_mode(picture: Image.Image) -> str:
    """The mode of the colours once they are 8 bits, without alpha."""
    if picture.mode.startswith(("I", "F")):
        return "L"
    return "RGB" if picture.mode == "P" else _PLAIN.get(picture.mode, picture.mode).removesuffix("A")


# --- more than 8 bits


def _scaling(picture: Image.Image, stored: Stored) -> tuple[Callable[[NDArray[Any]], NDArray[np.uint8]], str]:
    """How samples of more than 8 bits become 0 to 255: Pillow's own conversion clips them."""
    if picture.mode.startswith("I;16"):
        low, high, note = 0.0, 2.0**stored.depth - 1, f"{stored.depth}-bit grey scaled to 8 bits"
    else:
        low, high, note = _range(picture, "floating-point" if picture.mode == "F" else f"{stored.depth}-bit")

    @np.errstate(invalid="ignore")  # values that are not numbers have been told of
    def scale(samples: NDArray[Any]) -> NDArray[np.uint8]:
        share = np.clip((samples.astype(np.float64) - low) / ((high - low) or 1.0), 0, 1)
        share = np.nan_to_num(1 - share if stored.white_is_zero else share, nan=0.0)
        return np.rint(255 * share).astype(np.uint8)

    return scale, note


def _range(picture: Image.Image, kind: str) -> tuple[float, float, str]:
    """The values that become black and white in a picture of floats, or of integers with a sign or of 32 bits."""
    low, high, odd = np.inf, -np.inf, 0
    for _, band in bands(picture, (0, 0, *picture.size)):
        samples = np.asarray(band)
        finite = samples[np.isfinite(samples)]
        odd += samples.size - finite.size
        if finite.size:
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    note = f"{kind} grey scaled to 8 bits from its lowest to its highest value ({low:g} to {high:g})"
    if low > high:
        low, high, note = 0.0, 1.0, f"{kind} grey without a finite value shown black"
    elif picture.mode == "F" and low >= 0 and high <= 1:
        low, high, note = 0.0, 1.0, f"{kind} grey from 0 to 1 scaled to 8 bits"
    return low, high, note + (f"; {odd} values are not finite" if odd else "")


# --- one colour that means "transparent"


def _colour_key(picture: Image.Image, depth: int) -> Any:
    """The value of pixels that are transparent in a picture without alpha, or None.

    Pillow gives it in the file's own bits, and compares it with pixels of 8.
    """
    key = picture.info.get("transparency")
    if picture.mode == "1" and isinstance(key, int):
        return key > 0
    if picture.mode.startswith(("L", "I")) and isinstance(key, int):
        return key * 255 // (2**depth - 1) if depth < 8 and key < 2**depth else key
    if picture.mode == "RGB" and isinstance(key, tuple):
        return np.array([part >> max(0, depth - 8) for part in key])
    return None


def _where(opaque: NDArray[np.bool_]) -> Image.Image:
    shown = np.asarray(opaque.any(axis=2)) if opaque.ndim == 3 else opaque
    return Image.fromarray(np.where(shown, 255, 0).astype(np.uint8))


# --- colour profiles


@functools.lru_cache(maxsize=16)
def _from_profile(profile: bytes, mode: str) -> tuple[Transform | None, str]:
    """The transform from an embedded ICC profile to sRGB, None where there is nothing to do, and what to say of it."""
    if not features.check("littlecms2"):
        return None, "colour profile ignored, as this Pillow cannot read any"
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space = opened.profile.xcolor_space.strip()
        given = "RGB" if (mode, space) == ("L", "RGB") else mode
        if _PROFILE_SPACE.get(given) != space:
            return None, f"colour profile ignored: it is for {space or 'no'} colours, the picture holds {mode}"
        name = " ".join(ImageCms.getProfileDescription(opened).split())[:60]
        transform = ImageCms.buildTransform(opened, ImageCms.createProfile("sRGB"), given, "RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError, AttributeError):
        return None, "colour profile ignored, as it is damaged"
    if given in ("L", "RGB") and _is_identity(transform, given):
        return None, ""
    return transform, f"colours converted from the profile {name or 'without a name'!r} to sRGB"


def _is_identity(transform: Transform, mode: str) -> bool:
    levels = np.arange(0, 256, 15, dtype=np.uint8)
    grid = np.stack(np.meshgrid(*[levels] * len(mode)), axis=-1).reshape(1, -1, len(mode))
    chart = Image.fromarray(grid.squeeze(2) if mode == "L" else grid)
    before, after = (np.asarray(picture.convert("RGB"), np.int16) for picture in (chart, transform.apply(chart)))
    return bool(np.abs(before - after).max() <= _SAME)


def _transformed(colour: Image.Image, transform: Transform) -> Image.Image:
    return transform.apply(colour if colour.mode == transform.input_mode else colour.convert(transform.input_mode))
