from __future__ import annotations

import numpy as np
import pytest

from layerscope.figures.pictures import as_rgb


@pytest.mark.parametrize(
    ("channels", "expected"), [(1, (5, 5, 5)), (2, (5, 6, 0)), (3, (5, 6, 7)), (4, (5, 6, 7)), (9, (5, 6, 7))]
)
def test_any_number_of_channels_as_red_green_blue(channels: int, expected: tuple[int, ...]) -> None:
    picture = np.broadcast_to(np.arange(5, 5 + channels, dtype=np.uint8), (4, 2, channels))
    shown = as_rgb(picture)
    assert (shown.shape, shown.dtype, tuple(shown[3, 1])) == ((4, 2, 3), np.uint8, expected)
