"""Results on disk: each record is one file, whole or absent, named by what it is the result of.

A record is a safetensors file: the arrays, and in the header their facts as JSON together with a checksum over both.
The same input gives the same bytes. A file that was cut short or damaged counts as absent, so that it is made again.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import secrets
import stat
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError

from layerscope.errors import InputError, StorageError

_KEY = re.compile(r"[0-9a-f]{64}")
_HEADER = "layerscope"  # one entry only: safetensors keeps no order among several
_LEFTOVER_AGE = 3600.0  # seconds after which an unfinished file can only come from a killed run


@dataclass(frozen=True, eq=False)
class Record:
    """One result: its content key (64 hex digits), its facts (JSON) and its arrays."""

    key: str
    facts: dict[str, Any]
    arrays: dict[str, NDArray[Any]]


def content_key(**facts: Any) -> str:
    """Return the SHA-256 (64 hex digits) of `facts` as canonical JSON: the order of the names does not matter.

    Raises InputError where a fact is not JSON, or is NaN or infinite.
    """
    return hashlib.sha256(_canonical(facts).encode()).hexdigest()


def write_whole(path: Path | str, data: bytes) -> None:
    """Write `data` to `path`, whole or not at all, and make the folders above it.

    Whoever reads `path` meanwhile, or after a crash, finds the old file or the new one, never a part.
    Raises StorageError where the folder cannot be written or the disk is full; nothing is left behind then.
    """
    target = Path(path)
    with storage_errors("write", target):
        target.parent.mkdir(parents=True, exist_ok=True)
        _sweep(target.parent)
        partial = target.with_name(f".{secrets.token_hex(8)}.partial")
        try:
            with partial.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(target)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        _sync_folder(target.parent)


def check_writable(path: Path) -> None:
    """Say before any work what `write_whole` would say of the path, and leave nothing there. Raises StorageError."""
    with storage_errors("write", path):
        with contextlib.suppress(FileNotFoundError):
            if stat.S_ISDIR(path.stat().st_mode):
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        made = [folder for folder in path.parents if not folder.exists()]
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            tried = path.with_name(f".{secrets.token_hex(8)}.partial")
            tried.touch(exist_ok=False)
            tried.unlink()
        finally:
            for folder in made:  # the innermost first
                with contextlib.suppress(OSError):  # it was never made, or somebody else uses it by now
                    folder.rmdir()


class Store:
    """The records of one folder: `<folder>/records/<first two digits of the key>/<key>.safetensors`."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)

    def path(self, key: str) -> Path:
        """Return where the record `key` lies, whether or not it is there; InputError for what is no key."""
        if not _KEY.fullmatch(key):
            raise InputError(f"{key[:80]!r} is not a record key; keys are 64 hex digits, as content_key() gives them")
        return self.folder / "records" / key[:2] / f"{key}.safetensors"

    def find(self, key: str) -> Record | None:
        """Return the record, or None where there is none or its file is damaged.

        Raises StorageError where the file exists and cannot be read.
        """
        path = self.path(key)
        with storage_errors("read", path):
            try:
                data = path.read_bytes()
            except FileNotFoundError:
                return None
        return _parse(key, data)

    def write(self, key: str, facts: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Record:
        """Write one record atomically and return it as `find` would; the same input gives the same bytes.

        Raises StorageError where it cannot be written, InputError where the facts are not JSON or an array is of a
        dtype that safetensors does not hold.
        """
        path = self.path(key)
        record = Record(key, json.loads(_canonical(facts)), {name: _plain(arrays[name]) for name in sorted(arrays)})
        header = _canonical({"key": key, "facts": record.facts, "sha256": _checksum(record)})
        try:
            data = safetensors.numpy.save(record.arrays, metadata={_HEADER: header})
        except (SafetensorError, KeyError) as cause:
            given = ", ".join(f"{name}: {array.dtype}" for name, array in record.arrays.items())
            raise InputError(f"arrays cannot be recorded ({given}): {cause}; give numbers or booleans") from None
        write_whole(path, data)
        return record

    def remove(self, key: str) -> None:
        """Remove the record, where there is one. Raises StorageError where it cannot be removed."""
        path = self.path(key)
        with storage_errors("remove", path):
            path.unlink(missing_ok=True)

    def keys(self) -> tuple[str, ...]:
        """Return the keys of all record files, sorted; a damaged file is listed too, and `find` returns None for it."""
        paths = (self.folder / "records").glob("??/*.safetensors")
        return tuple(sorted(path.stem for path in paths if _KEY.fullmatch(path.stem)))


def _parse(key: str, data: bytes) -> Record | None:
    try:
        size = int.from_bytes(data[:8], "little")
        header = json.loads(json.loads(data[8 : 8 + size])["__metadata__"][_HEADER])
        arrays = {name: array.copy() for name, array in sorted(safetensors.numpy.load(data).items())}
        record = Record(key, header["facts"], arrays)
        whole = header["key"] == key and header["sha256"] == _checksum(record)
    except (SafetensorError, ValueError, KeyError, TypeError):
        return None
    return record if whole else None


def _checksum(record: Record) -> str:
    digest = hashlib.sha256(_canonical(record.facts).encode())
    for name, array in record.arrays.items():
        digest.update(_canonical([name, array.dtype.str, array.shape]).encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _plain(array: NDArray[Any]) -> NDArray[Any]:
    return np.array(array, dtype=array.dtype.newbyteorder("<"), order="C")


def _canonical(facts: Any) -> str:
    try:
        return json.dumps(facts, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as cause:
        raise InputError(f"facts must be JSON: {cause}; give text, finite numbers, lists and dicts") from None


def _sweep(folder: Path) -> None:
    """Remove what killed runs left unfinished in `folder`, and nothing that another process may still be writing."""
    for leftover in folder.glob(".*.partial"):
        with contextlib.suppress(FileNotFoundError):  # another process swept it first
            if time.time() - leftover.stat().st_mtime > _LEFTOVER_AGE:
                leftover.unlink()


def _sync_folder(folder: Path) -> None:
    """Make the renaming itself survive a power cut; only POSIX can."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def storage_errors(verb: str, path: Path) -> Iterator[None]:
    """Turn what the system says inside the `with` into one StorageError: "cannot <verb> <path>: why; what to do"."""
    try:
        yield
    except OSError as cause:
        raise StorageError(f"cannot {verb} {path}: {_in_words(cause, path)}") from None


def _in_words(cause: OSError, path: Path) -> str:
    if cause.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "the disk or its quota is full; make room and run the same again: what was made is kept"
    if cause.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "permission denied; give another folder or change its permissions"
    if cause.errno in (errno.ENOTDIR, errno.EEXIST):
        file = next((parent for parent in path.parents if parent.exists() and not parent.is_dir()), path)
        return f"{file} is a file, not a folder; give another folder or move the file away"
    if cause.errno == errno.EISDIR:
        return "there is a folder of that name; give another path or move it away"
    return f"{cause.strerror or cause}; give another folder"
