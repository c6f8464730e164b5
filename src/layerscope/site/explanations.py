"""The explanations below a folder, as their `explanation.json` and their records tell them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from layerscope.names import slug
from layerscope.records import Record, storage_errors
from layerscope.site.manifests import Kind

_KIND = Kind("explanation", "explain the image again", ("network", "image"))


@dataclass(frozen=True)
class ShownExplanation:
    """One explanation. `title`: the image's name, followed by network, question or folder where others share it.

    home: the folder of the explanation, relative to that of the site.
    """

    title: str
    slug: str
    facts: Mapping[str, Any]
    path: Path
    home: str

    @property
    def network(self) -> str:
        """The name of the network whose label is explained."""
        name: str = self.facts["network"]["name"]
        return name

    def record(self) -> Record | None:
        """Read the record, or None where it is missing or damaged; InputError where it is another schema's."""
        return _KIND.record(self.path, self.facts)


def find_explanations(folder: Path) -> tuple[ShownExplanation, ...]:
    """Return every explanation below `folder`, the latest first: by when its file was written, then by its path.

    Raises InputError where an `explanation.json` cannot be understood.
    """
    paths = sorted(_KIND.paths(folder), key=_latest_first)
    read = [(path, facts) for path in paths if (facts := _KIND.read(path)) is not None]
    homes = [path.parent.relative_to(folder).as_posix() for path, _ in read]
    titles = _titles([(facts, home) for (_, facts), home in zip(read, homes, strict=True)])
    return tuple(
        ShownExplanation(title, slug(title), facts, path, home)
        for title, home, (path, facts) in zip(titles, homes, read, strict=True)
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
