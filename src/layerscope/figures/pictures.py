"""Pictures as arrays: any number of channels as colours, maps over images, strips of exemplars, and as image files."""

from __future__ import annotations

import io
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from layerscope.figures.palette import AGAINST, FIRED, FOR

Pixels = NDArray[np.uint8]
FULL_COLOUR = 0.995
"""Full colour is at this quantile of a map's absolute values: single pixels do not darken the rest."""

_STRONGEST = 0.85  # of the colour of what fired, so that the image stays visible under it
_LUMA = np.array([0.299, 0.587, 0.114])


def as_rgb(picture: NDArray[Any]) -> Pixels:
    """A uint8 picture [height, width, channels] as [height, width, 3].

    One channel is repeated as grey, two are red and green, and of more than three the first three are shown.
    """
    channels = picture.shape[2]
    if channels == 1:
        return np.repeat(picture, 3, axis=2)
    if channels == 2:
        return np.pad(picture, ((0, 0), (0, 0), (0, 1)))
    return picture[:, :, :3]


def grey(image: Pixels) -> NDArray[np.float64]:
    """The lightness of an image [height, width, 3], in [0, 1]."""
    found: NDArray[np.float64] = image @ _LUMA / 255
    return found


def evidence(values: NDArray[Any], scale: float) -> Pixels:
    """A map [height, width] as uint8 [height, width, 4]: the colour says the sign, the opacity the size.

    A value of `scale` or more is opaque, zero and what is no number are transparent, in proportion between.
    """
    values = np.nan_to_num(values, nan=0.0)
    opacity = np.clip(np.abs(values) / scale, 0, 1) if scale > 0 else np.zeros_like(values)
    colour = np.where((values > 0)[..., None], np.array(FOR, np.uint8), np.array(AGAINST, np.uint8))
    return np.concatenate([colour, np.rint(255 * opacity).astype(np.uint8)[..., None]], 2)


def evidence_on_paper(values: NDArray[Any], scale: float) -> Pixels:
    """A map [rows, columns] on nearly white paper: uint8 [rows, columns, 3]."""
    colours = evidence(values, scale) / 255.0
    mixed = (1 - colours[..., 3:]) * 0.96 + colours[..., 3:] * colours[..., :3]
    return np.rint(255 * mixed).astype(np.uint8)


def over_grey(image: Pixels, values: NDArray[Any], scale: float) -> Pixels:
    """A map [rows, columns] over its image [height, width, 3], pale and grey under it: uint8 [height, width, 3]."""
    size = image.shape[1], image.shape[0]
    colours = np.asarray(Image.fromarray(evidence(values, scale)).resize(size, Image.Resampling.NEAREST)) / 255.0
    pale = np.repeat((0.4 + 0.55 * grey(image))[..., None], 3, 2)
    mixed = (1 - colours[..., 3:]) * pale + colours[..., 3:] * colours[..., :3]
    return np.rint(255 * mixed).clip(0, 255).astype(np.uint8)


def fired_over(image: Pixels, fired: NDArray[np.float32], side: int) -> Pixels:
    """Return `image` `[height, width, 3]`, pale grey, its longer side `side` pixels or less, tinted where a unit fired.

    `fired` `[rows, columns]` holds the unit's activations over the whole image; the tint is in proportion to those
    above zero. A unit with one position fires anywhere and nowhere: then the image is shown as it is.
    """
    height, width = image.shape[:2]
    shrink = min(1.0, side / max(height, width))
    size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
    colours = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS)).astype(np.float32)
    if fired.size == 1:
        return np.rint(colours).astype(np.uint8)
    fired = np.nan_to_num(fired.astype(np.float32), nan=0.0, posinf=0.0).clip(0)
    strength = Image.fromarray(fired / max(float(fired.max()), 1e-30)).resize(size, Image.Resampling.BILINEAR)
    tint = _STRONGEST * np.asarray(strength)[..., None]
    pale = 0.45 * colours.mean(2, keepdims=True) + 0.5 * 255
    tinted: NDArray[np.float32] = (1 - tint) * pale + tint * np.array(FIRED, np.float32)
    return np.rint(tinted).clip(0, 255).astype(np.uint8)


def crops_of(strip: bytes | NDArray[np.uint8], count: int) -> list[Pixels]:
    """The square crops of an encoded strip, side by side, as uint8 [side, side, 3]; none where there are no bytes.

    Raises OSError for bytes that are no image.
    """
    data = bytes(strip)
    if not data or count < 1:
        return []
    with Image.open(io.BytesIO(data)) as image:
        pixels = np.asarray(image.convert("RGB"))
    edges = [round(turn * pixels.shape[1] / count) for turn in range(count + 1)]
    return [pixels[:, left:right] for left, right in pairwise(edges)]


def small(picture: Pixels, most: int) -> Pixels:
    """The picture, at most `most` pixels on its longer side."""
    height, width = picture.shape[:2]
    shrink = most / max(height, width)
    if shrink >= 1:
        return picture
    size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))


def as_webp(picture: Pixels) -> bytes:
    """The bytes of a WebP file: without loss where it is small, so that every pixel that was measured is there."""
    file = io.BytesIO()
    lossless = max(picture.shape[:2]) <= 48
    Image.fromarray(picture).save(file, "WEBP", lossless=lossless, quality=60 if lossless else 88, method=4)
    return file.getvalue()
