"""The hierarchy reports below a folder, as their `hierarchy.json` and their records tell them."""

from __future__ import annotations

import urllib.parse
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from layerscope.names import slug
from layerscope.records import Record, storage_errors
from layerscope.site.manifests import Kind

_KIND = Kind("hierarchy", "make the report again")
_FILES = ("units.csv", "layers.csv", "report.json", "hierarchy.png", "hierarchy.svg")


@dataclass(frozen=True)
class ShownHierarchy:
    """One report. Its `title` is the network's name, followed by the folder where two reports share that name.

    home: the folder of the report, relative to that of the site.
    """

    title: str
    slug: str
    facts: Mapping[str, Any]
    path: Path
    home: str

    @property
    def complete(self) -> bool:
        """Whether all was measured; otherwise the report is still being made, or its making was interrupted."""
        return self.facts.get("complete") is True

    def record(self) -> Record | None:
        """Read the record, or None where it is missing or damaged; InputError where it is another schema's."""
        return _KIND.record(self.path, self.facts)

    def tables(self) -> list[dict[str, Any]]:
        """The files to download that are there: name, address relative to the site's index.html, and bytes."""
        found = []
        for name in _FILES:
            path = self.path.with_name(name)
            with storage_errors("read", path):
                if path.is_file():
                    size = path.stat().st_size
                    found.append({"name": name, "url": _relative(self.home, name), "bytes": size})
        return found


def find_hierarchies(folder: Path) -> tuple[ShownHierarchy, ...]:
    """Return every hierarchy report below `folder`, in the order of their paths, whether or not they are complete.

    Raises InputError where a `hierarchy.json` cannot be understood.
    """
    read = [(path, facts) for path in sorted(_KIND.paths(folder)) if (facts := _KIND.read(path)) is not None]
    names = Counter(facts["network"]["name"] for _, facts in read)
    shown = []
    for path, facts in read:
        home, name = path.parent.relative_to(folder).as_posix(), facts["network"]["name"]
        title = name if names[name] == 1 else f"{name} ({home})"
        shown.append(ShownHierarchy(title, slug(title), facts, path, home))
    return tuple(shown)


def _relative(home: str, name: str) -> str:
    """An address beside index.html; "./" before it, so that no folder's name can pass for a scheme."""
    path = name if home == "." else f"{home}/{name}"
    return "./" + urllib.parse.quote(path.encode("utf-8", "surrogateescape"))
