"""Maps as pictures: evidence on one signed scale to lay over an image, and where in an image a unit fired."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from layerscope.figures.palette import AGAINST as AGAINST
from layerscope.figures.palette import FIRED as FIRED
from layerscope.figures.palette import FOR as FOR
from layerscope.figures.pictures import evidence
from layerscope.figures.pictures import fired_over as fired_over


def overlay(values: NDArray[np.float32], scale: float) -> bytes:
    """Return a map `[height, width]` as lossless WebP whose colour says the sign and whose opacity says the size.

    A value of `scale` or more is opaque, zero and what is no number are transparent, in proportion between. The same
    map gives the same bytes.
    """
    return _encoded(evidence(values, scale))


def picture(image: NDArray[np.uint8]) -> bytes:
    """Return an image `[height, width, 3]` as lossless WebP: what the network saw, and nothing else."""
    return _encoded(image)


def _encoded(pixels: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "WEBP", lossless=True, quality=60, method=4)
    return file.getvalue()
