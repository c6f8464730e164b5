"""Whatever a user gives is a photo or one clear line; nothing hangs, nothing leaks, nothing is left changed."""

from __future__ import annotations

import io
import logging
import os
import re
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from picture_bytes import raw_png, saved, smooth
from PIL import Image, ImageFile

from layerscope.errors import InputError
from layerscope.models import photo_files
from layerscope.models.file_signatures import HEAD
from layerscope.models.photo_files import find_photos, pictures_below
from layerscope.models.photos import Photo, read_photo

PNG = saved(smooth(12, 9), "PNG")
KINDS = {
    "PNG": PNG,
    "PNG, palette": saved(smooth(40, 30, "P"), "PNG", transparency=3),
    "JPEG": saved(smooth(40, 30), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0"),
    "JPEG, progressive": saved(smooth(40, 30, "CMYK"), "JPEG", progressive=True),
    "GIF": saved(smooth(40, 30, "P"), "GIF", save_all=True, append_images=[smooth(40, 30).rotate(90)]),
    "WEBP": saved(smooth(40, 30, "RGBA"), "WEBP"),
    "TIFF": saved(smooth(40, 30), "TIFF", save_all=True, append_images=[smooth(40, 30, "L")]),
    "TIFF, packed": saved(smooth(40, 30), "TIFF", compression="tiff_lzw"),
    "TIFF, floats": saved(smooth(40, 30, "F"), "TIFF"),
    "BMP": saved(smooth(40, 30, "P"), "BMP"),
}


def line(source: object) -> str:
    """The one line that says why there is no photo."""
    with pytest.raises(InputError) as caught:
        read_photo(source, 8)  # type: ignore[arg-type]
    words = str(caught.value)
    assert words.startswith("cannot read ")
    assert words.isprintable(), words
    return words


# --- finding


def test_folders_give_their_pictures_and_everything_is_given_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["b.PNG", "a.jpg", "deep/er/c.tiff", "notes.txt", ".hidden.png", ".cache/d.png", "no.png/e.webp"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "link.png").symlink_to(tmp_path / "a.jpg")
    monkeypatch.chdir(tmp_path)
    below = ["a.jpg", "b.PNG", "deep/er/c.tiff", "link.png", "no.png/e.webp"]
    assert pictures_below(tmp_path) == [tmp_path / name for name in below]
    assert find_photos(["."]) == ["a.jpg", "b.PNG", "deep/er/c.tiff", "no.png/e.webp"]
    assert find_photos(["."], but=[tmp_path / "deep", Path("no.png"), Path("gone")]) == ["a.jpg", "b.PNG"]
    assert find_photos(["deep"], but=[Path("deep")]) == ["deep/er/c.tiff"], "what is asked for is looked at"
    assert find_photos([""]) == [""], "not the folder that one is in"
    given: list[str | Path] = [
        "b.PNG",
        "missing.png",
        "-",
        Path("deep"),
        str(tmp_path),
        "-",
        "https://x.org/a.png",
        ".hidden.png",
        "b.PNG\0",
    ]
    assert find_photos(given) == [
        "b.PNG", "missing.png", "-", "deep/er/c.tiff", str(tmp_path / "a.jpg"), str(tmp_path / "no.png/e.webp"),
        "https://x.org/a.png", ".hidden.png", "b.PNG\0",
    ]  # fmt: skip


def test_a_folder_that_cannot_be_listed_is_not_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "closed").mkdir()
    (tmp_path / "one.png").write_bytes(PNG)
    scandir = os.scandir

    def refusing(path: str) -> object:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    found = find_photos([str(tmp_path)])
    assert [Path(path).name for path in found] == ["closed", "one.png"]
    assert line(found[0]).endswith("/closed' as a picture (permission denied); give a file that can be read")


# --- what is no picture


UNREAD = {
    "HEIC": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "(it seems to be HEIC, which is not read); save it as JPEG or PNG"),
    "AVIF": (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf", "(it seems to be AVIF, which is not read); save it as JPEG or PNG"),
    "film": (b"\0\0\0\x18ftypmp42\0\0\0\0", "(it seems to be a film, which is not read); give one of its frames, saved as PNG"),
    "raw": (b"II*\0\x10\0\0\0CR\2\0", "(it seems to be a raw camera file, which is not read); save it as JPEG or PNG"),
    "SVG": (b"<?xml version='1.0'?>\n<!-- made up -->\n<svg xmlns='http://www.w3.org/2000/svg'/>", "(it seems to be SVG, which is not read); export it as PNG"),
    "SVG alone": (b"\xef\xbb\xbf<svg width='1'/>", "(it seems to be SVG, which is not read); export it as PNG"),
    "PDF": (b"%PDF-1.7\n%\xe2\xe3", "(it seems to be PDF, which is not read); export it as PNG"),
    "page": (b"<!DOCTYPE html><html><svg></svg></html>", "(it seems to be a web page, which is not read); download the picture itself"),
    "archive": (b"PK\3\4\x14\0\0\0", "(it seems to be a compressed archive, which is not read); unpack it and give the folder"),
    "pointer": (b"version https://git-lfs.github.com/spec/v1\n", "(it seems to be a Git LFS pointer to a picture, which is not read); fetch the picture with: git lfs pull"),
    "text": ("BMW und Käse\n".encode(), "(it seems to be text); give a JPEG, PNG, WebP, GIF, TIFF or BMP file"),
    "zeros": (bytes(5000), "(its first bytes are those of no known picture format); give a JPEG, PNG, WebP, GIF, TIFF or BMP file"),
    "empty": (b"", "(it is empty: 0 bytes); copy or download it again"),
    "header only": (PNG[:8], "(it begins as PNG, and its header is damaged or of a kind that Pillow does not read); copy or download it again, or save it anew as PNG"),
    "no pixels": (raw_png(0, 5, 8, 2, b""), "(it begins as PNG, and its header is damaged or of a kind that Pillow does not read); copy or download it again, or save it anew as PNG"),
    "cut short": (saved(smooth(90, 90), "BMP")[:3000], "(image file is truncated (226 bytes not processed)); copy or download it again, or save it anew as PNG"),
    "bomb": (raw_png(60_000, 60_000, 8, 2, b""), "(Image size (3600000000 pixels) exceeds limit of 178956970 pixels, could be decompression bomb DOS attack); scale it down first"),
}  # fmt: skip


@pytest.mark.parametrize("name", UNREAD)
def test_a_file_that_holds_no_picture_gets_one_line(name: str, tmp_path: Path) -> None:
    data, words = UNREAD[name]
    path = tmp_path / "it's.jpg"
    path.write_bytes(data)
    assert line(path) == f"cannot read {str(path)!r} as a picture {words}"
    assert line(data) == f"cannot read 'picture in memory' as a picture {words}"


def test_sizes_are_checked_where_pillow_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    words = "(60000 x 60000 pixels; at most 179 million are read); scale it down first"
    assert line(raw_png(60_000, 60_000, 8, 2, b"")).endswith(words)


def test_sources_that_are_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("photo.jpg").write_bytes(PNG)
    Path("folder.png").mkdir()
    Path("gone.png").symlink_to("nowhere.png")
    Path("loop.png").symlink_to("loop.png")
    os.mkfifo("pipe.png")
    suffixes = ", ".join(sorted(photo_files.PICTURE_SUFFIXES))
    to_input = "(it is a pipe or a device, not a file); pipe the picture into standard input, and give '-'"
    to_file = "(it is an address, and only files are read); download it and give the file"
    expected = {
        "photo.jgp": "(there is no such file; nearest: 'photo.jpg'); give the path of a picture",
        "else/photo.jpg": "(there is no folder 'else'); give the path of a picture",
        "photo.jpg/x.png": "(not a directory); give a file that can be read",
        "gone.png": "(it is a link to 'nowhere.png', which does not exist); give the path of a picture",
        "loop.png": "(too many levels of symbolic links); give a file that can be read",
        "folder.png": f"(it is a folder without pictures: {suffixes}); give another",
        "pipe.png": to_input,
        "/dev/zero": to_input,
        "https://x.org/a.png": to_file,
        "data:image/png;base64,AAAA": to_file,
        "": "(no path is given); give the path of a picture",
        "a\0b.png": "(no path holds a null character); give the path of a picture",
    }
    found = {source: line(source).partition(" as a picture ")[2] for source in expected}
    assert found == expected
    assert line("n" * 4000 + ".png").startswith(f"cannot read '{'n' * 300}…' as a picture (file name too long)")
    assert line("two\nlines.png").startswith(r"cannot read 'two\nlines.png' as a picture (there is no such file")


def test_a_file_without_permission(tmp_path: Path) -> None:
    path = tmp_path / "closed.png"
    path.write_bytes(PNG)
    path.chmod(0)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65_534)  # root reads everything
    try:
        words = line(path)
    finally:
        os.seteuid(user)
    assert words.endswith("/closed.png' as a picture (permission denied); give a file that can be read")


def test_a_file_that_is_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "long.png"
    with path.open("wb") as file:
        file.truncate(3_000_000_000)  # takes no room on the disk
    assert line(path).endswith("(3.0 GB; at most 2.1 GB are read); scale it down first")
    monkeypatch.setattr(photo_files, "MOST_BYTES", 100)
    assert line(io.BytesIO(PNG + bytes(2**21))).endswith(
        "(more than 0.0 GB; at most 0.0 GB are read); scale it down first"
    )


# --- standard input


class Piped(io.BytesIO):
    """What stands in for standard input; `asked` counts the bytes that were read from it."""

    terminal = False
    asked = 0

    def isatty(self) -> bool:
        return self.terminal

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.asked += len(data)
        return data


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(Piped(PNG)))
    photo = read_photo("-", 8)
    assert (photo.name, photo.source, photo.original) == ("standard input", "standard input", (12, 9))
    assert line("-") == "cannot read 'standard input' as a picture (it is empty: 0 bytes); copy or download it again"


def test_a_terminal_and_no_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Piped(PNG)
    stream.terminal = True
    words = "cannot read 'standard input' as a picture (nothing is piped into it); add: < photo.jpg"
    for stdin in (io.TextIOWrapper(stream), None, io.StringIO("text")):
        monkeypatch.setattr("sys.stdin", stdin)
        assert line("-") == words
    assert stream.asked == 0


def test_an_endless_pipe_is_left_after_its_first_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Piped(bytes(10_000_000))
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(stream))
    assert "no known picture format" in line("-")
    assert stream.asked == HEAD


def test_a_pipe_that_gives_little_at_a_time() -> None:
    class Slow(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(min(7, size or 7) if size != -1 else 7)

    assert read_photo(Slow(PNG), 8).sha256 == read_photo(PNG, 8).sha256


# --- nothing but photos and lines


def photo_or_line(data: bytes) -> Photo | str:
    try:
        return read_photo(data, 8)
    except InputError as error:
        words = str(error)
        assert words.startswith("cannot read 'picture in memory' as a picture (")
        assert "; " in words
        assert words.isprintable(), words
        return words


def assert_silent(check: Callable[[], None], capfd: pytest.CaptureFixture[str]) -> None:
    """Run a check; not a word may be printed, nor a setting be left changed."""

    def settings_now() -> object:
        handlers = [list(logging.getLogger(name).handlers) for name in ("", "PIL")]
        return Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, handlers, list(warnings.filters)

    before = settings_now()
    check()
    assert settings_now() == before
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", KINDS)
def test_a_file_cut_short_is_said_or_whole(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    """A picture of which a part is missing is never taken for the picture."""
    data = KINDS[name]
    expected = read_photo(data, 8).pixels

    def check() -> None:
        for length in np.unique(np.linspace(0, len(data) - 1, 150).astype(int)):
            found = photo_or_line(data[:length])
            assert isinstance(found, str) or (found.pixels == expected).all(), length

    assert_silent(check, capfd)


@pytest.mark.parametrize("name", KINDS)
def test_damaged_bytes_give_a_photo_or_a_line(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    data = KINDS[name]

    @settings(max_examples=80, deadline=None, database=None)
    @given(st.lists(st.tuples(st.integers(0, min(400, len(data) - 1)), st.integers(0, 255)), min_size=1, max_size=6))
    def damage(changes: list[tuple[int, int]]) -> None:
        damaged = bytearray(data)
        for place, value in changes:
            damaged[place] = value
        assert isinstance(photo_or_line(bytes(damaged)), Photo | str)

    assert_silent(damage, capfd)


def test_any_bytes_give_a_photo_or_a_line(capfd: pytest.CaptureFixture[str]) -> None:
    starts = [data[:length] for data in KINDS.values() for length in (2, 4, 16)]

    @settings(max_examples=200, deadline=None, database=None)
    @given(st.sampled_from([b"", *starts]), st.binary(max_size=80))
    def check(start: bytes, rest: bytes) -> None:
        photo_or_line(start + rest)

    assert_silent(check, capfd)


def test_what_pillow_logs_is_not_printed(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(logging.getLogger("PIL"), "propagate", False)  # away from the handlers of the tests
    tiff = saved(smooth(9, 9), "TIFF")
    samples = b"\x15\x01\x03\x00\x01\x00\x00\x00\x03\x00"
    assert samples in tiff
    assert "its header is damaged" in line(tiff.replace(samples, samples[:-2] + b"\xff\xff"))
    assert capfd.readouterr() == ("", "")


def test_pillow_warns_in_the_notes_only(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # the picture has 108: Pillow warns of bombs
    assert read_photo(PNG, 8).notes == ()
    tiff = bytearray(saved(smooth(9, 9), "TIFF", software="someone's camera"))
    entry = re.search(rb"\x31\x01\x02\x00", tiff)  # the tag Software, as text
    assert entry is not None
    tiff[entry.end() : entry.end() + 4] = b"\xff\xff\xff\x0f"
    assert any(note.startswith("Pillow warns: ") for note in read_photo(bytes(tiff), 8).notes)
    assert capfd.readouterr() == ("", "")
