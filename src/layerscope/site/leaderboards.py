"""The leaderboards below a folder: which there are, what they are called, and in which order they come."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from layerscope.errors import InputError
from layerscope.names import slug
from layerscope.site.leaderboard_facts import understood
from layerscope.site.manifests import Kind
from layerscope.site.reproduce import figure

_KIND = Kind("leaderboard", "measure it again", keyed=False, schema=2)


@dataclass(frozen=True)
class ShownLeaderboard:
    """One leaderboard. `title`: the network's name, and whose images where they are a user's, followed by the folder
    where two leaderboards share that title.

    home: its folder, relative to that of the site. entry: what the index tells of it, rows and all.
    """

    title: str
    home: str
    entry: Mapping[str, Any]


def find_leaderboards(folder: Path) -> tuple[ShownLeaderboard, ...]:
    """Return every leaderboard below `folder` that has rows, in the order of their paths, those with known causes
    first; of two of one network the one of more scenes first.

    Raises InputError where a `leaderboard.json` cannot be understood.
    """
    read = [(path, facts) for path in sorted(_KIND.paths(folder)) if (facts := _KIND.read(path)) is not None]
    shown = [(path.parent, entry) for path, facts in read if (entry := _understood(path, facts))["rows"]]
    titles = Counter(_title(entry) for _, entry in shown)
    first = {_title(entry): place for place, (_, entry) in reversed(list(enumerate(shown)))}
    shown.sort(key=lambda one: (not one[1]["truth"], first[_title(one[1])], -one[1]["scenes"]["telling"]))
    return tuple(_titled(home.relative_to(folder).as_posix(), entry, titles) for home, entry in shown)


def _understood(path: Path, facts: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return understood(facts)
    except (KeyError, TypeError, ValueError, AttributeError) as cause:
        what = f"{type(cause).__name__}: {str(cause)[:200]}"
        raise InputError(f"{path} does not describe a leaderboard ({what}); measure it again") from None


def _title(entry: Mapping[str, Any]) -> str:
    name: str = entry["network"]["name"]
    return name if entry["truth"] else f"{name} on images of {entry['scenes']['source']}"


def _titled(place: str, entry: Mapping[str, Any], titles: Mapping[str, int]) -> ShownLeaderboard:
    title, name = _title(entry), entry["network"]["name"]
    title = title if titles[title] == 1 else f"{title} ({place})"
    python = {"leaderboard": figure("leaderboard", place, name), "provable": figure("provable", place, name)}
    return ShownLeaderboard(title, place, {**entry, "title": title, "slug": slug(title), "python": python})
