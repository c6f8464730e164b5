"""What the pages say in numbers: about a unit, about a layer, and which pictures stand for a layer."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layerscope.figures.galleries import spread
from layerscope.site import reproduce
from layerscope.site.galleries import ShownLayer, ShownUnit
from layerscope.site.outcome_cards import of_card

_NUMBERS = ("score", "control", "natural", "ratio", "saturated")
_LAYER_FACTS = ("name", "kind", "shape", "units", "stride", "receptive_field")
_TRACE_POINTS = 96  # more than a plot of 600 pixels can show apart


def number(value: Any) -> float | None:
    """Return `value` to five significant digits, or None where it is no finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(f"{value:.5g}")


def of_unit(unit: ShownUnit, gallery: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the pages show of one unit, as JSON."""
    facts = unit.facts
    return {
        "unit": unit.index,
        "label": facts.get("label"),
        "objective": facts.get("objective"),
        **{name: number(facts.get(name)) for name in _NUMBERS},
        "status": str(facts.get("status")),
        "note": facts.get("note") or "",
        "card": of_card(facts.get("card")),
        "seed": facts.get("seed"),
        "recipe": facts.get("recipe"),
        **_trace(unit.trace[np.isfinite(unit.trace)]),
        "exemplars": [
            {"label": one.get("label"), "score": number(one.get("score")), "image": one.get("image")}
            for one in facts.get("exemplars") or []
        ],
        "python": reproduce.line(gallery, facts),
    }


def of_layer(layer: ShownLayer, units: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what the pages show of one layer, as JSON; `units` come from `of_unit`."""
    ratios = [unit["ratio"] for unit in units if unit["ratio"] is not None]
    numbers = [unit["unit"] for unit in units]
    return {
        **{name: layer.facts.get(name) for name in _LAYER_FACTS},
        "reach": layer.facts.get("status"),  # of the receptive field; "status" counts those of the units
        "slug": layer.slug,
        "wanted": len(layer.wanted),
        "made": len(units),
        "some": None if numbers == list(range(len(numbers))) else numbers,
        "status": dict(sorted(Counter(unit["status"] for unit in units).items())),
        "median": number(statistics.median(ratios)) if ratios else None,
    }


def sample(units: Sequence[Mapping[str, Any]], most: int) -> list[int]:
    """Return the places of the units that stand for their layer: evenly spaced over it, whatever they look like.

    Every second one comes first, so that the first half of the list is evenly spaced too.
    """
    places = spread(len(units), most)
    return places[::2] + places[1::2]


def _trace(trace: NDArray[np.float32]) -> dict[str, Any]:
    """The number of steps, and [step, value] at no more than `_TRACE_POINTS` of them, the first and last included."""
    steps = np.unique(np.linspace(0, len(trace) - 1, min(len(trace), _TRACE_POINTS)).round().astype(int))
    return {"steps": len(trace), "trace": [[int(step), number(float(trace[step]))] for step in steps]}
