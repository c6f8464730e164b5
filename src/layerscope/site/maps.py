"""Maps as pictures: evidence on one signed scale to lay over an image, and where in an image a unit fired."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from layerscope.studies.explanation_figure import AGAINST as AGAINST
from layerscope.studies.explanation_figure import FOR as FOR

FIRED = (128, 44, 168)
"""Where a unit fired: no colour of evidence, far darker than the pale image under it, and grey to nobody."""

_STRONGEST = 0.85  # of that colour, so that the image stays visible under it


def overlay(values: NDArray[np.float32], scale: float) -> bytes:
    """Return a map `[height, width]` as lossless WebP whose colour says the sign and whose opacity says the size.

    A value of `scale` or more is opaque, zero and what is no number are transparent, in proportion between. The same
    map gives the same bytes.
    """
    values = np.nan_to_num(values, nan=0.0)
    opacity = np.clip(np.abs(values) / scale, 0, 1) if scale > 0 else np.zeros_like(values)
    colour = np.where((values > 0)[..., None], np.array(FOR, np.uint8), np.array(AGAINST, np.uint8))
    alpha = np.rint(255 * opacity).astype(np.uint8)[..., None]
    return _encoded(np.concatenate([colour, alpha], 2))


def picture(image: NDArray[np.uint8]) -> bytes:
    """Return an image `[height, width, 3]` as lossless WebP: what the network saw, and nothing else."""
    return _encoded(image)


def fired_over(image: NDArray[np.uint8], fired: NDArray[np.float32], side: int) -> NDArray[np.uint8]:
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


def _encoded(pixels: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "WEBP", lossless=True, quality=60, method=4)
    return file.getvalue()
