"""Pictures of every format come out upright, in their colours and in their place, with what was done said."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from picture_bytes import saved, smooth
from PIL import Image, ImageCms, PngImagePlugin

from layerscope.errors import InputError
from layerscope.models import photo_colours, photo_decoding, photos
from layerscope.models.photo_files import open_picture
from layerscope.models.photos import Photo, read_photo, read_photos

RED, GREEN, BLUE, YELLOW, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 255, 255)
SAMPLES = Path(skimage.data.__file__).parent
LOSSLESS: dict[str, dict[str, Any]] = {
    "PNG": {}, "TIFF": {}, "WEBP": {"lossless": True}, "JPEG": {"quality": 100, "subsampling": 0}
}  # fmt: skip


def quadrants(width: int = 48, height: int = 32) -> NDArray[np.uint8]:
    """[height, width, 3], a quarter each of red, green, blue and yellow, in reading order."""
    top = [RED] * (width // 2) + [GREEN] * (width - width // 2)
    bottom = [BLUE] * (width // 2) + [YELLOW] * (width - width // 2)
    return np.array([top] * (height // 2) + [bottom] * (height - height // 2), np.uint8)


def corners(photo: Photo) -> list[tuple[int, ...]]:
    """Colours a little inside the four corners, in reading order."""
    pixels = photo.pixels[:, [4, 4, -5, -5], [4, -5, 4, -5]]
    return [tuple(one) for one in pixels.T.tolist()]


def whole(photo: Photo) -> NDArray[np.int16]:
    return photo.pixels.permute(1, 2, 0).numpy().astype(np.int16)


def near(found: list[tuple[int, ...]], expected: list[tuple[int, ...]], tolerance: int) -> bool:
    return bool(np.abs(np.subtract(found, expected)).max() <= tolerance)


# --- formats


@pytest.mark.parametrize(
    ("kind", "mode", "options", "tolerance"),
    [
        ("PNG", "RGB", {}, 0), ("PNG", "RGBA", {}, 0), ("PNG", "P", {}, 0), ("BMP", "RGB", {}, 0), ("BMP", "P", {}, 0),
        ("GIF", "P", {}, 0), ("WEBP", "RGB", {"lossless": True}, 0), ("WEBP", "RGB", {"quality": 100}, 12),
        ("JPEG", "RGB", {"quality": 100, "subsampling": 0}, 3),
        ("JPEG", "RGB", {"quality": 100, "subsampling": 0, "progressive": True}, 3),
        ("JPEG", "CMYK", {"quality": 100}, 5), ("TIFF", "RGB", {}, 0), ("TIFF", "RGBA", {}, 0), ("TIFF", "P", {}, 0),
        ("TIFF", "CMYK", {}, 0), ("TIFF", "RGB", {"compression": "tiff_lzw"}, 0),
        ("TIFF", "RGB", {"compression": "tiff_adobe_deflate"}, 0), ("TIFF", "LAB", {}, 25),
    ],
)  # fmt: skip
def test_every_format_keeps_its_colours(kind: str, mode: str, options: dict[str, Any], tolerance: int) -> None:
    rgb = Image.fromarray(quadrants(32, 32))
    if mode == "LAB":
        srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        picture = ImageCms.buildTransform(srgb, lab, "RGB", "LAB").apply(rgb)
    else:
        picture = rgb.quantize(8) if mode == "P" else rgb.convert(mode)
    photo = read_photo(saved(picture, kind, **options), 32)
    assert near(corners(photo), [RED, GREEN, BLUE, YELLOW], tolerance)
    assert (photo.format, photo.mode, photo.original, photo.crop) == (kind, mode, (32, 32), (0, 0, 32, 32))


@pytest.mark.parametrize("kind", ["PNG", "BMP", "GIF", "TIFF", "JPEG", "WEBP"])
@pytest.mark.parametrize("mode", ["1", "L"])
def test_black_and_white_and_grey_pictures(kind: str, mode: str) -> None:
    picture = Image.fromarray(np.array([[0] * 16 + [255] * 16] * 32, np.uint8)).convert(mode)
    photo = read_photo(saved(picture.convert("RGB") if kind == "WEBP" else picture, kind), 32)
    assert near(corners(photo), [(0, 0, 0), WHITE] * 2, 2)
    assert photo.notes == ()


def test_what_is_known_of_a_photo(tmp_path: Path) -> None:
    path = tmp_path / "wide.png"
    path.write_bytes(saved(smooth(120, 50), "PNG"))
    photo = read_photo(path, 25)
    assert (photo.name, photo.source, photo.format, photo.mode) == ("wide.png", str(path), "PNG", "RGB")
    assert photo.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (photo.original, photo.crop) == ((120, 50), (34.0, 0.0, 84.0, 50.0))
    assert photo.notes == ("only the middle 50 x 50 of its 120 x 50 pixels are seen",)
    assert (photo.pixels.dtype, photo.pixels.shape) == (torch.uint8, (3, 25, 25))
    with pytest.raises(AttributeError):
        photo.name = "other"  # type: ignore[misc]


def test_sample_photographs_at_their_own_size_come_out_as_they_are() -> None:
    for name, channels in (("astronaut.png", 3), ("camera.png", 1)):
        with Image.open(SAMPLES / name) as opened:
            expected = np.asarray(opened).reshape(512, 512, channels)
        assert (whole(read_photo(SAMPLES / name, 512, channels)) == expected).all()
    rocket = read_photo(str(SAMPLES / "rocket.jpg"), 64)
    assert (rocket.original, rocket.format, rocket.mode) == ((640, 427), "JPEG", "RGB")
    assert rocket.notes == ("colours converted from the profile 'Adobe RGB (1998)' to sRGB",)


# --- upright


EDGES = {
    1: ("top", "left"), 2: ("top", "right"), 3: ("bottom", "right"), 4: ("bottom", "left"),
    5: ("left", "top"), 6: ("right", "top"), 7: ("right", "bottom"), 8: ("left", "bottom"),
}  # fmt: skip
"""EXIF: on which side of the upright picture the first row and the first column of the stored one are."""


def stored_as(upright: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    edges = EDGES[orientation]
    rows = upright[::-1] if "bottom" in edges else upright
    both = rows[:, ::-1] if "right" in edges else rows
    return both if edges[0] in ("top", "bottom") else both.transpose(1, 0, 2)


@pytest.mark.parametrize("kind", LOSSLESS)
@pytest.mark.parametrize("orientation", EDGES)
def test_every_orientation_comes_out_upright(orientation: int, kind: str) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    data = saved(Image.fromarray(stored_as(quadrants(), orientation)), kind, exif=exif, **LOSSLESS[kind])
    photo = read_photo(data, 32)
    assert near(corners(photo), [RED, GREEN, BLUE, YELLOW], 2)
    assert (photo.original, photo.crop) == ((48, 32), (8.0, 0.0, 40.0, 32.0))
    assert len(photo.notes) == (orientation > 1)
    assert all("as its EXIF orientation says" in note for note in photo.notes)


def test_an_orientation_in_xmp_counts_too() -> None:
    xmp = '<x:xmpmeta xmlns:x="adobe:ns:meta/"><d tiff:Orientation="8"/></x:xmpmeta>'
    info = PngImagePlugin.PngInfo()
    info.add_itxt("XML:com.adobe.xmp", xmp)
    photo = read_photo(saved(Image.fromarray(stored_as(quadrants(), 8)), "PNG", pnginfo=info), 32)
    assert corners(photo) == [RED, GREEN, BLUE, YELLOW]
    assert photo.notes == ("turned counter-clockwise by 90°, as its EXIF orientation says",)


@pytest.mark.parametrize("orientation", [0, 9, 274])
def test_orientations_that_do_not_exist_change_nothing(orientation: int) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    photo = read_photo(saved(Image.fromarray(quadrants()), "PNG", exif=exif), 32)
    assert corners(photo) == [RED, GREEN, BLUE, YELLOW]
    assert photo.notes == ()


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "JPEG"])
def test_damaged_exif_data_are_ignored_and_said(kind: str) -> None:
    data = saved(Image.fromarray(quadrants()), kind, exif=b"Exif\0\0no TIFF header here", **LOSSLESS[kind])
    photo = read_photo(data, 32)
    assert near(corners(photo), [RED, GREEN, BLUE, YELLOW], 2)
    assert photo.notes == ("EXIF data ignored, as they are damaged",)


# --- several pictures in one file


@pytest.mark.parametrize(
    ("kind", "note"),
    [
        ("GIF", "the first frame of 3"),
        ("WEBP", "the first frame of 3"),
        ("PNG", "the first frame of 3"),
        ("TIFF", "the first page of 3"),
    ],
)
def test_of_several_pictures_the_first_is_read(kind: str, note: str) -> None:
    first, *others = (Image.new("RGB", (16, 16), shade) for shade in (RED, GREEN, BLUE))
    photo = read_photo(saved(first, kind, save_all=True, append_images=others, **LOSSLESS.get(kind, {})), 16)
    assert (whole(photo) == RED).all()
    assert photo.notes == (note,)


def test_a_telephone_that_keeps_two_pictures_in_a_jpeg() -> None:
    first, second = (Image.new("RGB", (16, 16), shade) for shade in (RED, GREEN))
    photo = read_photo(saved(first, "MPO", save_all=True, append_images=[second], quality=100), 16)
    assert near(corners(photo), [RED] * 4, 3)
    assert (photo.format, photo.notes) == ("JPEG", ("the first picture of 2",))


def test_samples_of_several_frames() -> None:
    assert read_photo(SAMPLES / "multipage.tif", 10).notes == ("the first page of 2",)
    assert read_photo(SAMPLES / "no_time_for_that_tiny.gif", 10).notes[0] == "the first frame of 24"


def test_the_preview_in_a_raw_file_is_called_one() -> None:
    photo = read_photo(saved(smooth(16, 16), "TIFF", tiffinfo={254: 1}), 16)
    assert photo.notes == ("a small copy of a larger picture in the same file",)


# --- size and place


@settings(max_examples=60, deadline=None)
@given(width=st.integers(1, 300), height=st.integers(1, 300), size=st.integers(1, 70))
def test_the_same_as_scaling_all_of_it(width: int, height: int, size: int) -> None:
    # of little contrast: Pillow clips and rounds between rows and columns, in an order that depends on the size
    picture = Image.fromarray(np.random.default_rng(width).integers(90, 165, (height, width, 3), dtype=np.uint8))
    photo = read_photo(saved(picture, "BMP"), size)
    expected = picture.resize((size, size), Image.Resampling.BICUBIC, box=photo.crop)
    assert np.abs(whole(photo) - np.asarray(expected, np.int16)).max() <= 2
    assert min(photo.crop[2] - photo.crop[0], photo.crop[3] - photo.crop[1]) == pytest.approx(
        min(width, height), rel=0.5 / size
    )


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
@pytest.mark.parametrize("size", [(900, 600), (601, 901), (3000, 600)])
def test_a_huge_picture_is_averaged_first_and_looks_the_same(
    kind: str, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = saved(smooth(*size), kind, **LOSSLESS[kind])
    plain = read_photo(data, 32)
    monkeypatch.setattr(photos, "HUGE", 1000)
    monkeypatch.setattr(photo_decoding, "HUGE", 1000)
    monkeypatch.setattr(photo_colours, "_BAND_PIXELS", 5000)
    averaged = read_photo(data, 32)
    assert (averaged.original, averaged.crop, plain.notes[1:]) == (size, plain.crop, ())
    assert averaged.notes[0] == "huge: 4 x 4 pixels averaged before scaling"
    assert np.abs(whole(averaged) - whole(plain)).max() <= 4


def test_a_huge_jpeg_is_never_decoded_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photo_decoding, "HUGE", 1000)
    with open_picture(saved(smooth(900, 600), "JPEG")) as file:
        decoded = photo_decoding.decode(file, shorter=128)
    assert (decoded.picture.size, decoded.factor, decoded.original) == ((225, 150), 4, (900, 600))


def test_a_huge_picture_that_lies_on_its_side(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photo_decoding, "HUGE", 1000)
    exif = Image.Exif()
    exif[274] = 6
    stored = Image.fromarray(stored_as(quadrants(900, 600), 6))
    photo = read_photo(saved(stored, "JPEG", exif=exif, quality=95), 32)
    assert near(corners(photo), [RED, GREEN, BLUE, YELLOW], 8)
    assert (photo.original, photo.crop) == ((900, 600), (150, 0, 750, 600))


@pytest.mark.parametrize("size", [(1, 1), (5, 7), (1, 60_000), (60_000, 1), (2, 31)])
def test_tiny_and_very_long_pictures(size: tuple[int, int]) -> None:
    photo = read_photo(saved(Image.new("RGB", size, YELLOW), "PNG"), 32)
    assert (whole(photo) == YELLOW).all()
    assert photo.notes[0] == f"enlarged from {size[0]} x {size[1]} pixels"
    shorter = min(size)
    middle = (f"only the middle {shorter} x {shorter} of its {size[0]} x {size[1]} pixels are seen",)
    assert photo.notes[1:] == (middle if max(size) > 2 * shorter else ())


# --- several sources


def test_one_bad_file_does_not_stop_the_others(tmp_path: Path) -> None:
    for name in ("a.png", "c.png"):
        (tmp_path / name).write_bytes(saved(smooth(9, 9), "PNG"))
    (tmp_path / "b.png").write_bytes(b"")
    told: list[tuple[int, int, str]] = []
    first, second, third = read_photos([str(tmp_path)], 8, 1, lambda *what: told.append(what))
    assert isinstance(first, Photo)
    assert isinstance(second, InputError)
    assert (
        str(second) == f"cannot read '{tmp_path}/b.png' as a picture (it is empty: 0 bytes); copy or download it again"
    )
    assert isinstance(third, Photo)
    assert third.pixels.shape == (1, 8, 8)
    assert told == [(1, 3, "reading pictures"), (2, 3, "reading pictures"), (3, 3, "reading pictures")]


def test_bytes_and_streams(tmp_path: Path) -> None:
    data = saved(smooth(9, 9), "PNG")
    (tmp_path / "file.png").write_bytes(data)
    with (tmp_path / "file.png").open("rb") as file:
        read = [read_photo(data, 8), read_photo(io.BytesIO(data), 8, name="upload"), read_photo(file, 8)]
    assert [photo.name for photo in read] == ["picture in memory", "upload", str(tmp_path / "file.png")]
    assert len({photo.sha256 for photo in read}) == 1
    with (tmp_path / "file.png").open(encoding="latin-1") as text, pytest.raises(InputError, match="opened as text"):
        read_photo(text, 8)  # type: ignore[arg-type]
