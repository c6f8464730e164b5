"""The hierarchy reports below a folder, as their `hierarchy.json` and their records tell them."""

from __future__ import annotations

import json
import urllib.parse
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from layerscope.errors import InputError
from layerscope.names import slug
from layerscope.records import Record, Store, storage_errors

SCHEMA = 1
_TABLES = ("units.csv", "layers.csv", "hierarchy.json")


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
        record = Store(self.path.parent).find(self.facts["key"])
        if record is not None and record.facts.get("schema") != SCHEMA:
            raise InputError(
                f"the record of {self.path} has schema {record.facts.get('schema')!r}, this Layerscope reads {SCHEMA}; "
                "make the report again"
            )
        return record

    def tables(self) -> list[dict[str, Any]]:
        """The files to download that are there: name, address relative to the site's index.html, and bytes."""
        found = []
        for name in _TABLES:
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
    found = (path for path in folder.rglob("hierarchy.json") if path.is_file() and folder / "site" not in path.parents)
    read = [(path, facts) for path in sorted(found) if (facts := _read(path)) is not None]
    names = Counter(facts["network"]["name"] for _, facts in read)
    shown = []
    for path, facts in read:
        home, name = path.parent.relative_to(folder).as_posix(), facts["network"]["name"]
        title = name if names[name] == 1 else f"{name} ({home})"
        shown.append(ShownHierarchy(title, slug(title), facts, path, home))
    return tuple(shown)


def _read(path: Path) -> dict[str, Any] | None:
    with storage_errors("read", path):
        data = path.read_bytes()
    try:
        facts = json.loads(data, parse_constant=lambda _: None)  # NaN is no JSON and no number to show
    except ValueError as cause:
        raise InputError(f"{path} is not JSON ({cause}); make the report again or move the file away") from None
    if not isinstance(facts, dict) or facts.get("kind") != "hierarchy":
        return None  # some other program's hierarchy.json
    if facts.get("schema") != SCHEMA:
        raise InputError(
            f"{path} has schema {facts.get('schema')!r}, this Layerscope reads {SCHEMA}; make the report again"
        )
    if not isinstance(facts.get("network"), dict) or not isinstance(facts["network"].get("name"), str):
        raise InputError(f"{path} does not name its network; make the report again")
    try:
        Store(path.parent).path(facts["key"])
    except (KeyError, TypeError, InputError) as cause:
        raise InputError(f"{path} names no record ({cause}); make the report again") from None
    return facts


def _relative(home: str, name: str) -> str:
    """An address beside index.html; "./" before it, so that no folder's name can pass for a scheme."""
    path = name if home == "." else f"{home}/{name}"
    return "./" + urllib.parse.quote(path.encode("utf-8", "surrogateescape"))
