"""What a unit's page says of its outcome card; nothing for records that were made before there were any."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

_VERDICTS = ("same", "part", "another", "untold")
_NUMBERS = ("value", "low", "high", "least")


def of_card(card: Any) -> dict[str, Any] | None:
    """The card of a record as JSON for the page; None where there is none."""
    if not isinstance(card, Mapping):
        return None
    path, agreed = (card[name] if isinstance(card.get(name), Mapping) else {} for name in ("path", "agreement"))
    whole = path.get("whole")
    return {
        "path": {
            "words": str(path.get("words") or ""),
            "natural": path.get("natural"),
            "other": path.get("other"),
            "layers": [_layer(one) for one in path.get("layers") or ()],
            "whole": _layer(whole) if isinstance(whole, Mapping) else None,
        },
        "agreement": {
            "words": str(agreed.get("words") or ""),
            "value": _number(agreed.get("value")),
            "least": _number(agreed.get("least")),
            "seeds": agreed.get("seeds"),
        },
    }


def _layer(facts: Mapping[str, Any]) -> dict[str, Any]:
    verdict = facts.get("verdict")
    numbers = {name: _number(facts.get(name)) for name in _NUMBERS}
    told = verdict in _VERDICTS[:3] and None not in numbers.values()
    return {"layer": str(facts.get("layer") or ""), "verdict": verdict if told else _VERDICTS[3], **numbers}


def _number(value: Any) -> float | None:
    """Three digits are all that a bar or a sentence shows."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(f"{value:.3g}")
