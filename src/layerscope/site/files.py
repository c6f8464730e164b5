"""The files of a site: written whole, left alone where nothing changed, removed where an earlier run left them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from pathlib import Path

from layerscope.errors import StorageError
from layerscope.records import storage_errors, write_whole

MARK = b'<meta name="generator" content="Layerscope'
_LIST = "files.json"
_PATH = re.compile(r"[a-z0-9][a-z0-9._-]*(/[a-z0-9][a-z0-9._-]*){0,3}")


class SiteFolder:
    """`<folder>/index.html` and `<folder>/site/...`; touches nothing else, and no file there that it did not make.

    `site/files.json` lists the files of this and earlier runs. It is written before the first file of each new name,
    so that a run that was killed leaves no file which a later run would not know as its own; `expect` writes it for
    many names at once.
    Raises StorageError where `index.html` or `site/` is there already and somebody else's.
    """

    def __init__(self, folder: Path) -> None:
        self._index = folder / "index.html"
        self._root = folder / "site"
        self._written: set[str] = set()
        with storage_errors("read", self._root / _LIST):
            if self._index.is_file() and MARK not in self._index.read_bytes()[:4096]:
                raise StorageError(f"{self._index} was not made by Layerscope; give another folder or move it away")
            self._known = self._listed()

    def expect(self, names: Iterable[str]) -> None:
        """List files that are about to be written, all of them with `add`."""
        new = set(names) - self._known
        for name in new:
            assert _PATH.fullmatch(name), name
        if new:
            self._known |= new
            self._write_list(self._known)

    def add(self, name: str, data: bytes) -> str:
        """Write `site/<name>` and return its address relative to index.html, with a mark of its content."""
        self.expect([name])
        self._written.add(name)
        _write(self._root / name, data)
        return f"site/{name}?{hashlib.sha256(data).hexdigest()[:10]}"

    def finish(self, page: bytes) -> Path:
        """Write index.html, the door to all the rest, and remove what earlier runs made and this one did not."""
        _write(self._index, page)
        with storage_errors("tidy", self._root):
            for name in sorted(self._known - self._written):
                stale = self._root / name
                stale.unlink(missing_ok=True)
                _remove_empty(stale.parent, self._root)
        self._write_list(self._written)
        return self._index

    def _listed(self) -> set[str]:
        path = self._root / _LIST
        names: list[str] | None = [] if not self._root.exists() or not any(self._root.iterdir()) else None
        if path.is_file():
            names = _names(path.read_bytes())
        if names is None:
            raise StorageError(f"{self._root} holds files that Layerscope did not make; give another folder")
        return {name for name in names if _PATH.fullmatch(name)}

    def _write_list(self, names: set[str]) -> None:
        _write(self._root / _LIST, json.dumps(sorted(names), indent=0).encode())


def _names(data: bytes) -> list[str] | None:
    """The names in a list of files, or None where it is no such list."""
    try:
        names = json.loads(data)
    except ValueError:
        return None
    return [str(name) for name in names] if isinstance(names, list) else None


def _write(path: Path, data: bytes) -> None:
    with storage_errors("read", path):
        same = path.is_file() and path.read_bytes() == data
    if not same:
        write_whole(path, data)


def _remove_empty(folder: Path, root: Path) -> None:
    while folder != root and folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent
