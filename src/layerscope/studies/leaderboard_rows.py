"""The rows of a leaderboard, and what they come to in sentences that anybody can check against them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layerscope.attribution.checks import NOTICES
from layerscope.faithfulness.intervals import Mean, mean_over_images
from layerscope.faithfulness.measures import JUDGED, MEASURES

CONTROLS = {
    "random": "Random map",
    "centre": "Centre blob",
    "edges": "Edge detector",
    "inverted": "Exact, sign flipped",
    "exact": "Exact answer",
}
"""The pinned rows; the first three know nothing of any network."""
KNOWING_NOTHING = ("random", "centre", "edges")
HEADLINE = "part_rank"
_TIMING = "seconds"

Row = dict[str, Any]
Means = Mapping[str, Mean | None]


@dataclass(frozen=True, eq=False)
class Measured:
    """One method: its values per scene by measure, or why it refused the network (then there are none)."""

    name: str
    title: str
    refused: str | None
    values: Mapping[str, NDArray[np.float64]]


def rows_of(
    network: str, methods: Sequence[Measured], pinned: Mapping[str, NDArray[np.float64]], seed: int
) -> tuple[list[Row], list[str]]:
    """The rows, methods by their part rank and then the pinned ones, and the reading; none without the pinned values.

    pinned: per scene, by "row/measure".
    """
    if not pinned:
        return [], []
    beside = {name: _means({one: pinned[f"{name}/{one}"] for one in JUDGED}, seed) for name in CONTROLS}
    measured = {one.name: _means(one.values, seed) for one in methods if one.refused is None}
    titles = {one.name: one.title for one in methods}
    order = sorted(measured, key=lambda name: (-_value(measured[name]), name))
    rows = [
        {
            "method": name,
            "title": titles[name],
            "network": network,
            "control": False,
            "rank": place + 1,
            "against_random": against(measured[name][HEADLINE], beside["random"][HEADLINE], "high"),
            "beats_controls": _beats_all(measured[name], beside),
            **_facts(measured[name]),
        }
        for place, name in enumerate(order)
    ]
    rows += [
        {
            "method": name,
            "title": title,
            "network": network,
            "control": True,
            "rank": None,
            "against_random": None,
            "beats_controls": None,
            **_facts({**beside[name], **_redrawn(name)}),
        }
        for name, title in CONTROLS.items()
    ]
    return rows, _reading(rows)


def against(own: Mean | None, other: Mean | None, better: str) -> str | None:
    """Where an interval lies beside another one: "better", "overlaps" or "worse"; None where one is missing."""
    if own is None or other is None:
        return None
    if own.overlaps(other):
        return "overlaps"
    return "better" if (own.low > other.high) == (better == "high") else "worse"


def _beats_all(own: Means, beside: Mapping[str, Means]) -> bool:
    return all(against(own[HEADLINE], beside[name][HEADLINE], "high") == "better" for name in KNOWING_NOTHING)


def _means(values: Mapping[str, NDArray[np.float64]], seed: int) -> dict[str, Mean | None]:
    return {name: mean_over_images(one, seed) for name, one in values.items()}


def _redrawn(name: str) -> dict[str, Mean]:
    """A map that knows nothing of any network is the same for each; what is redrawn has other true causes."""
    return {"redrawn": Mean(1.0, 1.0, 1.0, 0)} if name in KNOWING_NOTHING else {}


def _facts(means: Means) -> dict[str, Any]:
    found: dict[str, Any] = {name: None if mean is None else mean.facts() for name, mean in means.items()}
    seconds = found.pop(_TIMING, None)
    return {**{name: found.get(name) for name in MEASURES if name != _TIMING}, _TIMING: seconds and seconds["value"]}


def _value(means: Means) -> float:
    mean = means[HEADLINE]
    return -2.0 if mean is None else mean.value


def _reading(rows: Sequence[Row]) -> list[str]:
    methods = [row for row in rows if not row["control"]]
    controls = {row["method"]: row for row in rows if row["control"]}
    if not methods:
        return []
    return [*_on_causes(methods, controls), *_on_deletion(methods, controls), *_on_redrawn(methods)]


def _on_causes(methods: Sequence[Row], controls: Mapping[str, Row]) -> list[str]:
    best, beating = methods[0], [row for row in methods if row["beats_controls"]]
    said = [
        f"By part rank {best['title']} comes first: {_interval(best[HEADLINE])}; the exact answer gets "
        f"{_number(controls['exact'][HEADLINE]['value'])}, a random map {_interval(controls['random'][HEADLINE])}."
    ]
    count = f"{len(beating) or 'none'} of {_methods(len(methods))}"
    said.append(f"Better than every control: {count}{f' ({_names(beating)})' if beating else ''}.")
    others = [row for row in methods if row["against_random"] == "better" and not row["beats_controls"]]
    if others:
        said.append(f"Better than random, but not than every control: {_names(others)}.")
    for where, words in (("overlaps", "Not told apart from random"), ("worse", "Worse than random")):
        found = [row for row in methods if row["against_random"] == where]
        if found:
            said.append(f"{words}: {_names(found)}.")
    return said


def _on_deletion(methods: Sequence[Row], controls: Mapping[str, Row]) -> list[str]:
    """Whether deletion and insertion tell methods from maps that know nothing."""
    said = []
    for name in ("deletion", "insertion"):
        known = [row for row in methods if row[name] is not None]
        if not known or any(controls[one][name] is None for one in KNOWING_NOTHING):
            continue
        better = MEASURES[name].better
        apart = {
            one: [row for row in known if against(_mean(row[name]), _mean(controls[one][name]), better) == "better"]
            for one in KNOWING_NOTHING
        }
        first = (min if better == "low" else max)(known, key=lambda row: row[name]["value"])
        wrong = "" if first["beats_controls"] else ", which by part rank is not better than every control"
        said.append(
            f"{name.capitalize()} finds {len(apart['random'])} of {_methods(len(known))} better than a random map and "
            f"{len(apart['edges'])} better than an edge detector; it puts {first['title']} first{wrong}."
        )
    return said


def _on_redrawn(methods: Sequence[Row]) -> list[str]:
    blind = [row for row in methods if row["redrawn"] is not None and row["redrawn"]["value"] > NOTICES]
    return [f"Hardly changed by drawing the top layers anew (above {NOTICES}): {_names(blind)}."] if blind else []


def _mean(facts: Mapping[str, Any]) -> Mean:
    return Mean(facts["value"], facts["low"], facts["high"], facts["images"])


def _names(rows: Sequence[Row]) -> str:
    return ", ".join(str(row["title"]) for row in rows)


def _methods(count: int) -> str:
    return f"{count} method{'' if count == 1 else 's'}"


def _interval(facts: Mapping[str, Any]) -> str:
    return f"{_number(facts['value'])} ({_number(facts['low'])} to {_number(facts['high'])})"


def _number(value: float) -> str:
    return f"{value:.2f}".replace("-", "\N{MINUS SIGN}")
