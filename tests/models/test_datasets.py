"""Pictures from files: their channels, their size, and what is said of files that are none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from layerscope.errors import InputError
from layerscope.models.datasets import read_picture, read_pictures


def saved(path: Path, wide: int, high: int) -> Path:
    """A picture of noise that is smooth enough to survive resizing."""
    coarse = np.random.default_rng(0).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize((wide, high), Image.Resampling.BICUBIC).save(path)
    return path


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 7])
def test_any_number_of_channels(channels: int, tmp_path: Path) -> None:
    path = tmp_path / "red.png"
    Image.new("RGB", (20, 12), (250, 20, 10)).save(path)
    read = read_picture(path, 8, channels)
    assert (read.shape, read.dtype, read.is_contiguous()) == ((channels, 8, 8), torch.uint8, True)
    expected = [250, 20, 10] if channels == 3 else [88] * channels  # 0.299 * 250 + 0.587 * 20 + 0.114 * 10
    assert read[:, 4, 4].tolist() == expected


def test_pictures_are_read_in_the_order_given(tmp_path: Path) -> None:
    paths = [tmp_path / f"{level}.png" for level in (30, 10, 20)]
    for path in paths:
        Image.new("L", (9, 9), int(path.stem)).save(path)
    told: list[tuple[int, int, str]] = []
    read = read_pictures(paths, 8, 1, lambda *done: told.append(done))
    assert (read.shape, read.dtype) == ((3, 1, 8, 8), torch.uint8)
    assert read[:, 0, 4, 4].tolist() == [30, 10, 20]
    assert told == [(1, 3, "reading pictures"), (2, 3, "reading pictures"), (3, 3, "reading pictures")]


@pytest.mark.parametrize(("wide", "high"), [(64, 64), (70, 64), (131, 97), (97, 230), (20, 33), (1, 1), (1, 9)])
def test_the_shorter_side_is_scaled_and_the_middle_cropped(wide: int, high: int, tmp_path: Path) -> None:
    """The same as scaling all of the picture and cropping after that."""
    path = saved(tmp_path / "picture.png", wide, high)
    scale = 64 / min(wide, high)
    width, height = (max(64, round(side * scale)) for side in (wide, high))
    left, top = (width - 64) // 2, (height - 64) // 2
    scaled = Image.open(path).convert("RGB").resize((width, height), Image.Resampling.BICUBIC)
    expected = np.asarray(scaled.crop((left, top, left + 64, top + 64)), np.int16)
    read = read_picture(path, 64).permute(1, 2, 0).numpy().astype(np.int16)
    assert np.abs(read - expected).max() <= 1


@pytest.mark.parametrize(("wide", "high"), [(1, 60_000), (60_000, 1)])
def test_a_very_long_picture_takes_little_memory(
    wide: int, high: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "long.png"
    Image.new("RGB", (wide, high), (10, 20, 30)).save(path)
    asked, resize = [], Image.Image.resize

    def noting(self: Image.Image, size: tuple[int, int], *args: object, **options: object) -> Image.Image:
        asked.append(size[0] * size[1])
        return resize(self, size, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Image.Image, "resize", noting)
    assert read_picture(path, 64)[:, 32, 32].tolist() == [10, 20, 30]
    assert max(asked) <= 64 * 64


def test_a_picture_that_is_too_large_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path / "large.png", 30, 30)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(InputError, match=r"cannot read '.*large.png' as a picture \(Image size \(900 pixels\)"):
        read_picture(path, 8)
