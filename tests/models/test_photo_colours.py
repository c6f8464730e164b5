"""Bits, transparency and colour profiles: what Pillow's own conversion gets wrong comes out right, and is said."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from icc_profiles import cyan_is_red, linear_grey, red_and_green_swapped
from numpy.typing import NDArray
from picture_bytes import raw_png, saved, smooth
from PIL import Image, ImageCms, features

from layerscope.models import photo_colours
from layerscope.models.photos import Photo, read_photo

BLACK, WHITE = (0, 0, 0), (255, 255, 255)
KEY, PALETTE = b"tRNS", (b"PLTE", bytes([9, 9, 9, 1, 2, 3]))


def whole(photo: Photo) -> NDArray[np.int16]:
    return photo.pixels.permute(1, 2, 0).numpy().astype(np.int16)


def colour(photo: Photo, row: int = 0, column: int = 0) -> tuple[int, ...]:
    return tuple(photo.pixels[:, row, column].tolist())


def flat(mode: str, value: int | tuple[int, ...]) -> Image.Image:
    return Image.new(mode, (8, 8), value)


# --- bits


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_a_ramp_of_16_bits_stays_a_ramp(kind: str) -> None:
    """Pillow's own conversion shows all but the first 255 of the 65536 values white."""
    ramp = np.linspace(0, 65535, 256).round().astype(np.uint16).repeat(256).reshape(256, 256)
    photo = read_photo(saved(Image.fromarray(ramp), kind), 256)
    assert (whole(photo)[:, 100, 0] == np.arange(256)).all()
    assert photo.notes == ("16-bit grey scaled to 8 bits",)
    assert photo.mode == "I;16"


def test_white_may_be_the_lowest_value_of_16_bits() -> None:
    ramp = Image.fromarray(np.array([[0, 65535], [65535, 0]], np.uint16))
    photo = read_photo(saved(ramp, "TIFF", tiffinfo={262: 0}), 2)
    assert whole(photo)[..., 0].tolist() == [[255, 0], [0, 255]]


def test_colours_of_16_bits() -> None:
    rows = b"\0" + bytes([200, 1, 100, 2, 50, 3])
    photo = read_photo(raw_png(1, 1, 16, 2, rows), 1)
    assert colour(photo) == (200, 100, 50)
    assert photo.notes == ("16-bit colours reduced to 8 bits",)


@pytest.mark.parametrize(
    ("values", "expected", "note"),
    [
        ([0.0, 0.5, 1.0, 0.25], [0, 128, 255, 64], "floating-point grey from 0 to 1 scaled to 8 bits"),
        ([0.25, 0.5, 0.25, 0.5], [64, 128, 64, 128], "floating-point grey from 0 to 1 scaled to 8 bits"),
        ([-2.0, 0.0, 2.0, 1.0], [0, 128, 255, 191], "floating-point grey scaled to 8 bits from its lowest to its highest value (-2 to 2)"),
        ([300.0] * 4, [0] * 4, "floating-point grey scaled to 8 bits from its lowest to its highest value (300 to 300)"),
        ([0.0, np.nan, 10.0, np.inf], [0, 0, 255, 255], "floating-point grey scaled to 8 bits from its lowest to its highest value (0 to 10); 2 values are not finite"),
        ([np.nan] * 4, [0] * 4, "floating-point grey without a finite value shown black; 4 values are not finite"),
    ],
)  # fmt: skip
def test_floats_are_scaled_and_it_is_said_how(values: list[float], expected: list[int], note: str) -> None:
    photo = read_photo(saved(Image.fromarray(np.array(values, np.float32).reshape(2, 2)), "TIFF"), 2)
    assert (whole(photo)[..., 0].ravel().tolist(), photo.notes) == (expected, (note,))


def test_every_kind_of_nan_is_black() -> None:
    """A signalling one makes numpy warn where it is converted."""
    bits = np.array([[0x7FA0_0000, 0x7FC0_0000], [0, 0x3F80_0000]], np.uint32)
    photo = read_photo(saved(Image.fromarray(bits.view(np.float32)), "TIFF"), 2)
    assert whole(photo)[..., 0].tolist() == [[0, 0], [0, 255]]


def test_whole_numbers_of_32_bits_are_scaled() -> None:
    photo = read_photo(saved(Image.fromarray(np.array([[-1000, 1000]] * 2, np.int32)), "TIFF"), 2)
    assert whole(photo)[0, :, 0].tolist() == [0, 255]
    assert photo.notes == ("32-bit grey scaled to 8 bits from its lowest to its highest value (-1000 to 1000)",)


# --- transparency


@pytest.mark.parametrize(
    ("kind", "mode", "options"),
    [
        ("PNG", "RGBA", {}),
        ("PNG", "LA", {}),
        ("TIFF", "RGBA", {}),
        ("TIFF", "LA", {}),
        ("WEBP", "RGBA", {"lossless": True}),
    ],
)
def test_alpha_is_laid_on_white(kind: str, mode: str, options: dict[str, bool]) -> None:
    picture = Image.new("RGBA", (8, 8), (0, 0, 0, 255))
    picture.paste((0, 0, 0, 0), (0, 0, 4, 8))
    picture.paste((0, 0, 0, 128), (0, 0, 8, 4))
    photo = read_photo(saved(picture.convert(mode), kind, **options), 8)
    assert (colour(photo, 7, 0), colour(photo, 7, 7), colour(photo, 0, 0)) == (WHITE, BLACK, (127, 127, 127))
    assert photo.notes == ("transparent parts laid on white",)
    grey = read_photo(saved(picture.convert(mode), kind, **options), 8, channels=2)
    assert (colour(grey, 7, 0), colour(grey, 7, 7), colour(grey, 0, 0)) == ((255, 255), (0, 0), (127, 127))


@pytest.mark.parametrize(
    ("name", "data", "opaque"),
    [
        ("palette", raw_png(2, 2, 1, 3, b"\0\x40" * 2, (PALETTE, (KEY, b"\0"))), (1, 2, 3)),
        ("1 bit", raw_png(2, 2, 1, 0, b"\0\x80" * 2, ((KEY, b"\0\1"),)), BLACK),
        ("2 bits", raw_png(2, 2, 2, 0, b"\0\x90" * 2, ((KEY, b"\0\2"),)), (85, 85, 85)),
        ("4 bits", raw_png(2, 2, 4, 0, b"\0\x5a" * 2, ((KEY, b"\0\5"),)), (170, 170, 170)),
        ("8 bits", raw_png(2, 2, 8, 0, b"\0\5\6" * 2, ((KEY, b"\0\5"),)), (6, 6, 6)),
        ("16 bits", raw_png(2, 2, 16, 0, b"\0\x12\x34\x12\x35" * 2, ((KEY, b"\x12\x34"),)), (18, 18, 18)),
        ("colours", raw_png(2, 2, 8, 2, b"\0\1\2\3\1\2\4" * 2, ((KEY, b"\0\1\0\2\0\3"),)), (1, 2, 4)),
        ("colours of 16 bits", raw_png(2, 2, 16, 2, b"\0\1\0\2\0\3\0\1\0\2\0\4\0" * 2, ((KEY, b"\1\0\2\0\3\0"),)), (1, 2, 4)),
    ],
)  # fmt: skip
def test_one_colour_may_mean_transparent(name: str, data: bytes, opaque: tuple[int, ...]) -> None:
    """Pillow compares it, in the file's bits, with pixels of 8 bits, and so misses it where those are not the same."""
    photo = read_photo(data, 2)
    assert (colour(photo, 1, 0), colour(photo, 1, 1)) == (WHITE, opaque)
    assert "transparent parts laid on white" in photo.notes


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_a_palette_with_transparency_lies_on_white(kind: str) -> None:
    picture = Image.new("P", (8, 8), 1)
    picture.putpalette([250, 0, 0, 0, 0, 250])
    picture.paste(0, (0, 0, 8, 4))
    photo = read_photo(saved(picture, kind, transparency=1), 8)
    assert (colour(photo, 0, 0), colour(photo, 7, 0)) == ((250, 0, 0), WHITE)


def test_an_opaque_alpha_is_not_spoken_of() -> None:
    assert read_photo(saved(smooth(8, 8, "RGBA"), "PNG"), 8).notes == ()


# --- print colours and profiles


@pytest.mark.parametrize(
    ("ink", "seen"),
    [
        ((255, 0, 0, 0), (0, 255, 255)), ((0, 255, 0, 0), (255, 0, 255)), ((0, 0, 255, 0), (255, 255, 0)),
        ((0, 0, 0, 255), BLACK), ((0, 0, 0, 0), WHITE), ((0, 255, 255, 0), (255, 0, 0)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["JPEG", "JPEG without Adobe's marker", "TIFF"])
def test_print_colours(kind: str, ink: tuple[int, ...], seen: tuple[int, ...]) -> None:
    """CMYK JPEGs hold their inks inverted, as Adobe's programs began to do."""
    data = saved(flat("CMYK", ink), kind.split()[0], **({"quality": 100} if "JPEG" in kind else {}))
    if "without" in kind:
        start = data.index(b"\xff\xee")
        data = data[:start] + data[start + 2 + int.from_bytes(data[start + 2 : start + 4], "big") :]
    photo = read_photo(data, 8)
    assert np.abs(whole(photo) - seen).max() <= 4
    assert (photo.mode, photo.notes) == ("CMYK", ("CMYK converted to RGB without a colour profile",))


PROFILES: dict[str, tuple[int | tuple[int, ...], bytes, tuple[int, ...]]] = {
    "RGB": ((255, 0, 0), red_and_green_swapped(), (0, 255, 0)),
    "RGBA": ((255, 0, 0, 255), red_and_green_swapped(), (0, 255, 0)),
    "P": ((255, 0, 0), red_and_green_swapped(), (0, 255, 0)),
    "L": (64, linear_grey(), (137, 137, 137)),  # 1.055 (64 / 255)^(1 / 2.4) - 0.055, of 255
    "CMYK": ((255, 0, 0, 0), cyan_is_red(), (255, 0, 0)),
}
HELD = {
    "PNG": ("RGB", "RGBA", "P", "L"),
    "JPEG": ("RGB", "L", "CMYK"),
    "TIFF": ("RGB", "RGBA", "L", "CMYK"),
    "WEBP": ("RGB",),
}


@pytest.mark.parametrize(("kind", "mode"), [(kind, mode) for kind, modes in HELD.items() for mode in modes])
def test_colours_are_converted_from_an_embedded_profile(kind: str, mode: str) -> None:
    value, profile, seen = PROFILES[mode]
    picture = flat("RGB", value).quantize(2) if mode == "P" else flat(mode, value)
    exactly: dict[str, dict[str, Any]] = {"JPEG": {"quality": 100}, "WEBP": {"lossless": True}}
    options = exactly.get(kind, {})
    photo = read_photo(saved(picture, kind, icc_profile=profile, **options), 8)
    assert np.abs(whole(photo) - seen).max() <= 12
    assert photo.notes == ("colours converted from the profile 'made up' to sRGB",)
    grey = read_photo(saved(picture, kind, icc_profile=profile, **options), 8, channels=1)
    expected = np.asarray(Image.new("RGB", (1, 1), seen).convert("L")).item()
    assert np.abs(whole(grey) - expected).max() <= 12


def test_lab_colours_are_converted_from_their_profile() -> None:
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    picture = smooth(20, 20)
    turned = ImageCms.profileToProfile(picture, srgb, lab, outputMode="LAB")
    assert turned is not None
    photo = read_photo(saved(turned, "TIFF", icc_profile=ImageCms.ImageCmsProfile(lab).tobytes()), 20)
    plain = read_photo(saved(picture, "PNG"), 20)
    off = (photo.pixels.int() - plain.pixels.int()).abs().float()
    assert off.mean() <= 2
    assert off.max() <= 24  # Lab of 8 bits is coarse where colours are strong
    assert photo.mode == "LAB"
    (note,) = photo.notes
    assert note.startswith("colours converted from the profile ")


def test_a_profile_touches_colours_and_not_transparency() -> None:
    data = saved(flat("RGBA", (255, 0, 0, 0)), "PNG", icc_profile=red_and_green_swapped())
    assert colour(read_photo(data, 8)) == WHITE
    half = saved(flat("RGBA", (255, 0, 0, 128)), "PNG", icc_profile=red_and_green_swapped())
    assert np.abs(np.subtract(colour(read_photo(half, 8)), (127, 255, 127))).max() <= 6


def test_pictures_that_are_srgb_already_stay_as_they_are() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    plain, tagged = (read_photo(saved(smooth(20, 20), "PNG", **given), 20) for given in ({}, {"icc_profile": profile}))
    assert (plain.pixels == tagged.pixels).all()
    assert tagged.notes == ()
    assert read_photo(saved(smooth(20, 20, "L"), "JPEG", icc_profile=profile), 20).notes == ()


@pytest.mark.parametrize(
    ("profile", "note"),
    [
        (b"no profile at all", "colour profile ignored, as it is damaged"),
        (red_and_green_swapped()[:300], "colour profile ignored, as it is damaged"),
        (linear_grey(), "colour profile ignored: it is for GRAY colours, the picture holds RGB"),
        (cyan_is_red(), "colour profile ignored: it is for CMYK colours, the picture holds RGB"),
    ],
)
def test_a_profile_that_cannot_be_used_is_said(profile: bytes, note: str) -> None:
    photo = read_photo(saved(smooth(20, 20), "PNG", icc_profile=profile), 20)
    assert (photo.pixels == read_photo(saved(smooth(20, 20), "PNG"), 20).pixels).all()
    assert photo.notes == (note,)


def test_a_pillow_without_profiles_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "check", lambda name: False)
    photo_colours._from_profile.cache_clear()
    photo = read_photo(saved(smooth(20, 20), "PNG", icc_profile=red_and_green_swapped()), 20)
    assert photo.notes == ("colour profile ignored, as this Pillow cannot read any",)
    photo_colours._from_profile.cache_clear()


# --- bands


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L", "I;16", "F", "CMYK", "1"])
def test_bands_change_nothing(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.arange(37 * 23).reshape(37, 23)
    made: dict[str, NDArray[Any]] = {"I;16": values.astype(np.uint16) * 70, "F": values.astype(np.float32) - 90}
    picture = Image.fromarray(made[mode]) if mode in made else smooth(23, 37, mode)
    data = saved(picture, "TIFF")
    at_once = read_photo(data, 16)
    monkeypatch.setattr(photo_colours, "_BAND_PIXELS", 60)
    assert (read_photo(data, 16).pixels == at_once.pixels).all()
    assert read_photo(data, 16).notes == at_once.notes
