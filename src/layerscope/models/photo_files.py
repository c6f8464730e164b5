"""The picture files that a user means: found in folders, opened, and refused in one line where they are none."""

from __future__ import annotations

import contextlib
import difflib
import io
import itertools
import os
import re
import stat
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from layerscope.errors import InputError
from layerscope.models.file_signatures import HEAD, picture_format

PICTURE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".jfif", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
MOST_BYTES = 2**31
"""Files that are larger are refused before they are read."""

STANDARD_INPUT = "-"
Source = str | os.PathLike[str] | bytes | BinaryIO
"""A path, "-" for standard input, the bytes of a file, or a binary stream that is read to its end."""

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://|data:")


@dataclass(frozen=True, eq=False)
class PictureFile:
    """An open file that begins as a picture does.

    name: of the file alone. source: as the user gave it. format: as Pillow calls it. head: its first bytes, up to HEAD.
    """

    stream: BinaryIO
    name: str
    source: str
    format: str
    head: bytes


def pictures_below(folder: Path | str, but: Sequence[Path] = ()) -> list[Path]:
    """The picture files in a folder and in those below it, sorted, by PICTURE_SUFFIXES.

    Hidden files and folders are passed over, and the folders `but` these. A folder that cannot be listed stands in the
    list itself, so that whoever reads what is in it says so.
    """
    found: list[Path] = []
    passed = {_identity(str(other)) for other in but}

    def not_listed(error: OSError) -> None:
        found.append(Path(error.filename))

    for place, folders, files in os.walk(folder, onerror=not_listed):
        shown = (name for name in folders if not name.startswith("."))
        folders[:] = [name for name in shown if not passed or _identity(str(Path(place, name))) not in passed]
        paths = (Path(place, name) for name in files if not name.startswith("."))
        found += (path for path in paths if path.suffix.lower() in PICTURE_SUFFIXES and path.is_file())
    return sorted(found)


def find_photos(sources: Sequence[str | os.PathLike[str]], but: Sequence[Path] = ()) -> list[str]:
    """The pictures that `sources` mean, in their order, each once: files, folders (`pictures_below`, `but` some), "-".

    A source that is none of these, or a folder without pictures, stays as it is: reading it says what is wrong.
    """
    found: dict[str, str] = {}
    for source in (os.fspath(given) for given in sources):
        pictures = [str(path) for path in pictures_below(source, but)] if _is_folder(source) else []
        for picture in pictures or [source]:
            found.setdefault(_identity(picture), picture)
    return list(found.values())


@contextlib.contextmanager
def open_picture(source: Source, name: str = "") -> Iterator[PictureFile]:
    """Open one source for reading, at its first byte.

    Args:
        name: what to call bytes and streams; a path is called by its own name.

    Raises InputError, in one line, for what is missing, empty, not a file, larger than MOST_BYTES, without permission,
    an address of the net, or of a format that is not read. Never waits for a pipe or a device.
    """
    with contextlib.ExitStack() as stack:
        if isinstance(source, str) and source == STANDARD_INPUT:
            source, name = _standard_input(), name or "standard input"
        if isinstance(source, (str, os.PathLike)):
            path = os.fspath(source)
            name, shown, stream = Path(path).name, path, stack.enter_context(_open_file(path))
        else:
            name = shown = name or str(getattr(source, "name", "")) or "picture in memory"
            stream = io.BytesIO(source) if isinstance(source, bytes) else io.BytesIO(_read_all(source, shown))
        with unreadable(shown):
            head = stream.read(HEAD)
            if not head:
                raise InputError("(it is empty: 0 bytes); copy or download it again")
            kind = picture_format(head)
            stream.seek(0)
        yield PictureFile(stream, name, shown, kind, head)


@contextlib.contextmanager
def unreadable(source: str) -> Iterator[None]:
    """Put "cannot read 'source' as a picture" before InputErrors inside the `with`, and word those of the system."""
    try:
        yield
    except InputError as error:
        raise InputError(f"cannot read {source!r} as a picture {error}") from None
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise InputError(f"cannot read {source!r} as a picture ({why}); give a file that can be read") from None


def _open_file(path: str) -> BinaryIO:
    with unreadable(path if len(path) <= 300 else path[:300] + "…"):
        if not path:
            raise InputError("(no path is given); give the path of a picture")
        if _ADDRESS.match(path):
            raise InputError("(it is an address, and only files are read); download it and give the file")
        try:
            facts = Path(path).stat()
        except FileNotFoundError:
            raise InputError(f"({_missing(Path(path))}); give the path of a picture") from None
        except ValueError:
            raise InputError("(no path holds a null character); give the path of a picture") from None
        _check_kind(path, facts)
        return Path(path).open("rb")


def _check_kind(path: str, facts: os.stat_result) -> None:
    if stat.S_ISDIR(facts.st_mode):
        os.scandir(path).close()  # one that cannot be listed is not called empty
        raise InputError(f"(it is a folder without pictures: {', '.join(sorted(PICTURE_SUFFIXES))}); give another")
    if not stat.S_ISREG(facts.st_mode):
        raise InputError("(it is a pipe or a device, not a file); pipe the picture into standard input, and give '-'")
    if facts.st_size > MOST_BYTES:
        raise _too_long(f"{facts.st_size / 1e9:.1f} GB")


def _missing(path: Path) -> str:
    if path.is_symlink():
        return f"it is a link to {str(path.readlink())!r}, which does not exist"
    if not path.parent.is_dir():
        return f"there is no folder {str(path.parent)!r}"
    names = (other.name for other in itertools.islice(path.parent.iterdir(), 1000))
    near = difflib.get_close_matches(path.name, names, n=3)
    return "there is no such file" + (f"; nearest: {', '.join(map(repr, near))}" if near else "")


def _standard_input() -> BinaryIO:
    stream = getattr(sys.stdin, "buffer", None)
    if stream is None or stream.closed or stream.isatty():
        raise InputError("cannot read 'standard input' as a picture (nothing is piped into it); add: < photo.jpg")
    return cast(BinaryIO, stream)


def _read_all(stream: BinaryIO, name: str) -> bytes:
    """All that comes, once the first bytes are those of a picture, so that an endless stream does not fill memory."""
    with unreadable(name):
        head = stream.read(HEAD)
        if not isinstance(head, bytes):
            raise InputError("(it was opened as text); open it with mode 'rb'")
        while head and len(head) < HEAD and (more := stream.read(HEAD - len(head))):
            head += more
        if head:
            picture_format(head)
        return b"".join(_chunks(head, stream))


def _chunks(head: bytes, stream: BinaryIO) -> Iterable[bytes]:
    length = len(head)
    yield head
    while chunk := stream.read(2**20):
        length += len(chunk)
        if length > MOST_BYTES:
            raise _too_long(f"more than {MOST_BYTES / 1e9:.1f} GB")
        yield chunk


def _too_long(length: str) -> InputError:
    return InputError(f"({length}; at most {MOST_BYTES / 1e9:.1f} GB are read); scale it down first")


def _is_folder(source: str) -> bool:
    try:
        return source != "" and Path(source).is_dir()  # pathlib takes "" for the folder that one is in
    except (OSError, ValueError):  # a name that is too long, or holds a null character: reading it says so
        return False


def _identity(source: str) -> str:
    """The same for two spellings of the same file."""
    if source == STANDARD_INPUT or _ADDRESS.match(source):
        return source
    try:
        return os.path.normcase(os.path.realpath(source))
    except (OSError, ValueError):
        return source
