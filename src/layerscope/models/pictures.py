"""Pictures of any number of channels as red, green and blue, which is what image files hold."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def as_rgb(picture: NDArray[Any]) -> NDArray[np.uint8]:
    """A uint8 picture [height, width, channels] as [height, width, 3].

    One channel is repeated as grey, two are red and green, and of more than three the first three are shown.
    """
    channels = picture.shape[2]
    if channels == 1:
        return np.repeat(picture, 3, axis=2)
    if channels == 2:
        return np.pad(picture, ((0, 0), (0, 0), (0, 1)))
    return picture[:, :, :3]
