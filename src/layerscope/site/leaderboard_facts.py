"""What a `leaderboard.json` tells, checked part by part before the pages use it.

Raises KeyError, TypeError, ValueError or AttributeError where something that the pages need is missing or of another
kind; numbers that are none become None.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from layerscope.figures.boards import beats_controls
from layerscope.site.summary import number

_TOLD = ("layerscope", "seed", "command", "key")
_INTERVAL = ("value", "low", "high", "images")
Facts = Mapping[str, Any]


def understood(facts: Facts) -> dict[str, Any]:
    """All that the index tells of one leaderboard."""
    measures = _measures(facts["measures"])
    names = [measure["name"] for measure in measures]
    return {
        **{name: facts.get(name) for name in _TOLD},
        "network": {name: facts["network"].get(name) for name in ("name", "fingerprint")},
        "networks": [_network(one) for one in facts["networks"]],
        "truth": facts["truth"] is True,
        "scenes": _scenes(facts["scenes"]),
        "first": _first(facts["first"], names),
        "measures": measures,
        "rows": [_row(one, names) for one in facts["rows"]],
        "refused": [_texts(one, "method", "title", "error") for one in facts["refused"]],
        "reading": [str(sentence) for sentence in facts["reading"]],
        "meta": [_meta(one) for one in facts.get("meta") or ()],
        "tiers": [_tier(one) for one in facts.get("tiers") or ()],
        "familiar": [_familiar(one) for one in facts.get("familiar") or ()],
        "asked": len(facts["methods"]),
        "complete": facts.get("complete") is True,
    }


def _texts(facts: Facts, *names: str) -> dict[str, str]:
    return {name: str(facts[name]) for name in names}


def _network(facts: Facts) -> dict[str, Any]:
    return {
        **_texts(facts, "name"),
        "fingerprint": facts.get("fingerprint"),
        "accuracy": number(facts.get("accuracy")),
    }


def _scenes(facts: Facts) -> dict[str, Any]:
    masks = facts.get("masks")
    return {
        **{name: int(facts.get(name) or 0) for name in ("asked", "telling", "checked")},
        "accuracy": number(facts.get("accuracy")),
        "source": str(facts["source"]),
        "masks": None if masks is None else str(masks),
    }


def _measures(told: Sequence[Facts]) -> list[dict[str, Any]]:
    measures = [_measure(one) for one in told]
    if not measures:
        raise ValueError("no measures")
    return measures


def _first(name: str | None, measures: Sequence[str]) -> str | None:
    if name is not None and name not in measures:
        raise ValueError(f"first={name[:40]!r}")
    return name


def _measure(facts: Facts) -> dict[str, Any]:
    return {
        "better": _better(facts),
        **_texts(facts, "name", "title", "words", "needs"),
        "headline": facts["headline"] is True,
    }


def _better(facts: Facts) -> str:
    better = str(facts["better"])
    if better not in ("high", "low"):
        raise ValueError(f"better={better[:40]!r}")
    return better


def _row(facts: Facts, measures: Sequence[str]) -> dict[str, Any]:
    """`ahead`: the measures by which it is better than every control that could be compared."""
    return {
        **_texts(facts, "method", "title"),
        "control": facts["control"] is True,
        "rank": number(facts.get("rank")),
        "against_random": facts.get("against_random"),
        "beats": facts.get("beats_controls") is True,
        "ahead": [name for name in measures if beats_controls(facts, name)],
        **{name: _interval(facts.get(name)) for name in measures},
    }


def _meta(facts: Facts) -> dict[str, Any]:
    """Whether a measure can be trusted: True, False, or None where nothing tells."""
    passes = facts["passes"]
    return {
        **_texts(facts, "measure", "words"),
        "passes": passes if isinstance(passes, bool) else None,
        "apart": _interval(facts.get("apart")),
        "told": [str(one) for one in facts["told"]],
        "missed": [str(one) for one in facts["missed"]],
        "level": [str(one) for one in facts.get("level", [])],
        "stable": number(facts.get("stable")),
    }


def _tier(facts: Facts) -> dict[str, Any]:
    rows = [
        {**_texts(row, "method", "title"), "control": row["control"] is True, "right": _interval(row.get("right"))}
        for row in facts["rows"]
    ]
    return {**_texts(facts, "tier", "title", "words", "measure_title"), "better": _better(facts), "rows": rows}


def _familiar(facts: Facts) -> dict[str, Any]:
    return {
        **_texts(facts, "change", "title"),
        "natural": facts["natural"] is True,
        "scenes": int(facts["scenes"]),
        **{name: _interval(facts.get(name)) for name in ("probability", "same", "unlike")},
    }


def _interval(value: Any) -> dict[str, Any] | None:
    """Of a mean with its interval, or of a number alone."""
    if isinstance(value, Mapping):
        found = {name: number(value.get(name)) for name in _INTERVAL}
        return None if found["value"] is None else found
    alone = number(value)
    return None if alone is None else {"value": alone, "low": None, "high": None, "images": None}
