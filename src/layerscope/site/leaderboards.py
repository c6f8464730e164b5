"""The leaderboards below a folder, as their `leaderboard.json` tells them: rows of numbers, checked before use."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from layerscope.errors import InputError
from layerscope.names import slug
from layerscope.site.manifests import Kind
from layerscope.site.reproduce import figure
from layerscope.site.summary import number

_KIND = Kind("leaderboard", "measure it again", keyed=False)
_TOLD = ("layerscope", "seed", "command", "key")
_INTERVAL = ("value", "low", "high", "images")


@dataclass(frozen=True)
class ShownLeaderboard:
    """One leaderboard. `title`: the network's name, followed by the folder where two leaderboards share that name.

    home: its folder, relative to that of the site. entry: what the index tells of it, rows and all.
    """

    title: str
    home: str
    entry: Mapping[str, Any]


def find_leaderboards(folder: Path) -> tuple[ShownLeaderboard, ...]:
    """Return every leaderboard below `folder` that has rows, in the order of their paths; of two of one network the one
    of more scenes first.

    Raises InputError where a `leaderboard.json` cannot be understood.
    """
    read = [(path, facts) for path in sorted(_KIND.paths(folder)) if (facts := _KIND.read(path)) is not None]
    shown = [(path, facts, _understood(path, facts)) for path, facts in read]
    shown = [one for one in shown if one[2]["rows"]]
    names = Counter(facts["network"]["name"] for _, facts, _ in shown)
    first = {
        name: place for place, name in reversed(list(enumerate(facts["network"]["name"] for _, facts, _ in shown)))
    }
    shown.sort(key=lambda one: (first[one[1]["network"]["name"]], -one[2]["scenes"]["telling"]))
    return tuple(_titled(path.parent, folder, facts, entry, names) for path, facts, entry in shown)


def _titled(
    home: Path, folder: Path, facts: Mapping[str, Any], entry: Mapping[str, Any], names: Mapping[str, int]
) -> ShownLeaderboard:
    name, place = facts["network"]["name"], home.relative_to(folder).as_posix()
    title = name if names[name] == 1 else f"{name} ({place})"
    told = {"title": title, "slug": slug(title), "python": figure("leaderboard", place, name)}
    return ShownLeaderboard(title, place, {**entry, **told})


def _understood(path: Path, facts: Mapping[str, Any]) -> dict[str, Any]:
    """What the index tells; InputError where something that the page needs is missing or of another kind."""
    try:
        measures = _measures(facts["measures"])
        return {
            **{name: facts.get(name) for name in _TOLD},
            "network": {name: facts["network"].get(name) for name in ("name", "fingerprint")},
            "scenes": _scenes(facts["scenes"]),
            "measures": measures,
            "rows": [_row(one, [measure["name"] for measure in measures]) for one in facts["rows"]],
            "refused": [{name: str(one[name]) for name in ("method", "title", "error")} for one in facts["refused"]],
            "reading": [str(sentence) for sentence in facts["reading"]],
            "asked": len(facts["methods"]),
            "complete": facts.get("complete") is True,
        }
    except (KeyError, TypeError, ValueError, AttributeError) as cause:
        what = f"{type(cause).__name__}: {str(cause)[:200]}"
        raise InputError(f"{path} does not describe a leaderboard ({what}); measure it again") from None


def _scenes(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **{name: int(facts.get(name) or 0) for name in ("asked", "telling")},
        "accuracy": number(facts.get("accuracy")),
    }


def _measures(told: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    measures = [_measure(one) for one in told]
    if not measures:
        raise ValueError("no measures")
    return measures


def _measure(facts: Mapping[str, Any]) -> dict[str, Any]:
    better = str(facts["better"])
    if better not in ("high", "low"):
        raise ValueError(f"better={better[:40]!r}")
    return {**{name: str(facts[name]) for name in ("name", "title", "words")}, "better": better}


def _row(facts: Mapping[str, Any], measures: Sequence[str]) -> dict[str, Any]:
    return {
        **{name: str(facts[name]) for name in ("method", "title")},
        "control": facts["control"] is True,
        "rank": number(facts.get("rank")),
        "against": facts.get("against_random"),
        "beats": facts.get("beats_controls") is True,
        **{name: _interval(facts.get(name)) for name in measures},
    }


def _interval(value: Any) -> dict[str, Any] | None:
    """Of a mean with its interval, or of a number alone."""
    if isinstance(value, Mapping):
        found = {name: number(value.get(name)) for name in _INTERVAL}
        return None if found["value"] is None else found
    alone = number(value)
    return None if alone is None else {"value": alone, "low": None, "high": None, "images": None}
