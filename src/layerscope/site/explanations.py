"""The explanations below a folder, as their `explanation.json` and their records tell them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from layerscope.errors import InputError
from layerscope.names import slug
from layerscope.records import Record, Store, storage_errors

SCHEMA = 1


@dataclass(frozen=True)
class ShownExplanation:
    """One explanation. `title`: the image's name, followed by network, question or folder where others share it."""

    title: str
    slug: str
    facts: Mapping[str, Any]
    path: Path

    @property
    def network(self) -> str:
        """The name of the network whose label is explained."""
        name: str = self.facts["network"]["name"]
        return name

    def record(self) -> Record | None:
        """Read the record, or None where it is missing or damaged; InputError where it is another schema's."""
        record = Store(self.path.parent).find(self.facts["key"])
        if record is not None and record.facts.get("schema") != SCHEMA:
            raise InputError(
                f"the record of {self.path} has schema {record.facts.get('schema')!r}, this Layerscope reads {SCHEMA}; "
                "explain the image again"
            )
        return record


def find_explanations(folder: Path) -> tuple[ShownExplanation, ...]:
    """Return every explanation below `folder`, the latest first: by when its file was written, then by its path.

    Raises InputError where an `explanation.json` cannot be understood.
    """
    found = (path for path in folder.rglob("explanation.json") if folder / "site" not in path.parents)
    paths = (path for path in found if path.is_file())
    read = [(path, facts) for path in sorted(paths, key=_latest_first) if (facts := _read(path)) is not None]
    titles = _titles([(facts, path.parent.relative_to(folder).as_posix()) for path, facts in read])
    return tuple(
        ShownExplanation(title, slug(title), facts, path) for title, (path, facts) in zip(titles, read, strict=True)
    )


def _latest_first(path: Path) -> tuple[int, str]:
    with storage_errors("read", path):
        return -path.stat().st_mtime_ns, path.as_posix()


def _titles(found: Sequence[tuple[Mapping[str, Any], str]]) -> list[str]:
    """A title for each explanation and its folder, as short as tells them apart."""
    choices = [_longer_and_longer(facts, folder) for facts, folder in found]
    often = [Counter(titles) for titles in zip(*choices, strict=True)]
    chosen = [
        next((title for title, times in zip(titles, often, strict=True) if times[title] == 1), titles[-1])
        for titles in choices
    ]
    return chosen if len(set(chosen)) == len(chosen) else [titles[-1] for titles in choices]


def _longer_and_longer(facts: Mapping[str, Any], folder: str) -> tuple[str, ...]:
    brief = facts["image"]["name"]
    named = f"{brief} in {facts['network']['name']}"
    asked = f": {facts['question']}" if facts.get("question") else ""
    return brief, named, f"{brief}{asked}", f"{named}{asked}", f"{named} ({folder})"


def _read(path: Path) -> dict[str, Any] | None:
    with storage_errors("read", path):
        data = path.read_bytes()
    try:
        facts = json.loads(data, parse_constant=lambda _: None)  # NaN is no JSON and no number to show
    except ValueError as cause:
        raise InputError(f"{path} is not JSON ({cause}); explain the image again or move the file away") from None
    if not isinstance(facts, dict) or facts.get("kind") != "explanation":
        return None  # some other program's explanation.json
    if facts.get("schema") != SCHEMA:
        raise InputError(
            f"{path} has schema {facts.get('schema')!r}, this Layerscope reads {SCHEMA}; explain the image again"
        )
    for part in ("network", "image"):
        if not isinstance(facts.get(part), dict) or not isinstance(facts[part].get("name"), str):
            raise InputError(f"{path} does not name its {part}; explain the image again")
    try:
        Store(path.parent).path(facts["key"])
    except (KeyError, TypeError, InputError) as cause:
        raise InputError(f"{path} names no record ({cause}); explain the image again") from None
    return facts
