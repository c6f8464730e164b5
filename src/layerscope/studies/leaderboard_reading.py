"""What the rows of a leaderboard come to, in sentences that anybody can check against them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from layerscope.attribution.checks import NOTICES
from layerscope.faithfulness.explainers import EXACT, KNOWING_NOTHING
from layerscope.faithfulness.measures.catalogue import MEASURES

Row = Mapping[str, Any]

_SUMMED = "part_rank"
_CURVES = ("deletion", "insertion")
_NO_TRUTH = (
    "What causes the scores of these images is not known: what is measured has to hold of a right map, and may hold of "
    "a wrong one."
)
_SHOWN = 0.9
"""Of the chance that a pixel of the mark is above one elsewhere: what counts as having found the shortcut."""


def reading(rows: Sequence[Row], meta: Sequence[Row], first: str | None, truth: bool = True) -> list[str]:
    """Sentences about the order by the measure `first`, the controls, shortcuts, curves and redrawn layers.

    truth: whether causes are known; without them, no measure says whether a map is right.
    """
    methods = [row for row in rows if not row["control"]]
    controls = {row["method"]: row for row in rows if row["control"]}
    if not methods:
        return []
    said = [] if truth else [_NO_TRUTH]
    if first is None or methods[0][first] is None:
        return [*said, "No measure that orders methods could be taken of these images."]
    said += [*_on_order(methods, controls, first), *_on_sizes(methods, controls), *_on_shortcuts(methods)]
    return [*said, *_on_curves(methods, controls, first), *_on_redrawn(methods), *_on_measures(meta)]


def _on_order(methods: Sequence[Row], controls: Mapping[str, Row], first: str) -> Iterator[str]:
    best = methods[0]
    exact, random = _truth(controls, first), controls["random"].get(first)
    said = [f"By {MEASURES[first].title} {best['title']} comes first: {_interval(best[first])}"]
    said += [f"the exact answer gets {_number(exact['value'])}"] if exact else []
    said += [f"a random map {_interval(random)}"] if random else []
    yield "; ".join(said) + "."
    beating = [row for row in methods if row["beats_controls"]]
    names = f" ({_names(beating)})" if beating else ""
    yield f"Better than all of the {len(KNOWING_NOTHING)} controls that know nothing: {_of(beating, methods)}{names}."
    for where, words in (("overlaps", "Not told apart from random"), ("worse", "Worse than random")):
        found = [row for row in methods if row["against_random"] == where]
        if found:
            yield f"{words}: {_names(found)}."


def _truth(controls: Mapping[str, Row], measure: str) -> Mapping[str, Any] | None:
    """What the exact answer gets: by single effects or by Shapley values, whichever the measure is of."""
    known = [controls[name][measure] for name in EXACT if name in controls and controls[name][measure] is not None]
    best = max if MEASURES[measure].better == "high" else min
    return best(known, key=lambda facts: facts["value"]) if known else None


def _on_sizes(methods: Sequence[Row], controls: Mapping[str, Row]) -> Iterator[str]:
    """Sums grow with the size of a part, so that a map that is the same everywhere orders parts, without a network."""
    even = controls["even"][_SUMMED]
    known = [row for row in methods if row[_SUMMED] is not None]
    if even is not None and known:
        above = [row for row in known if row["against"][_SUMMED]["even"] == "better"]
        yield (
            f"By {MEASURES[_SUMMED].title}, which adds a map up over each part, an even map gets {_interval(even)}, "
            f"and better on the same scenes is {_of(above, known)}{_listed(above)}."
        )


def _on_shortcuts(methods: Sequence[Row]) -> Iterator[str]:
    known = [row for row in methods if row.get("shortcut") is not None]
    if known:
        found = [row for row in known if row["shortcut"]["low"] >= _SHOWN]
        blind = [row for row in known if row["shortcut"]["high"] < 0.5]
        planted = f"A shortcut planted in the bundled network is shown plainly (above {_SHOWN}) by"
        yield f"{planted} {_of(found, known)}{_listed(found)}."
        if blind:
            yield f"Against chance, its marks come last in: {_names(blind)}."


def _on_curves(methods: Sequence[Row], controls: Mapping[str, Row], first: str) -> Iterator[str]:
    """Whether deletion and insertion tell methods from maps that know nothing."""
    for name in _CURVES:
        known = [row for row in methods if row[name] is not None]
        if not known or any(controls[one][name] is None for one in KNOWING_NOTHING):
            continue
        better = MEASURES[name].better
        apart = {one: [row for row in known if row["against"][name][one] == "better"] for one in ("random", "edges")}
        best = (min if better == "low" else max)(known, key=lambda row: row[name]["value"])
        wrong = "" if best["beats_controls"] else f", which by {MEASURES[first].title} is not better than every control"
        wrong = wrong if MEASURES[first].needs == "causes" else ""
        yield (
            f"{MEASURES[name].title.capitalize()} finds {_of(apart['random'], known)} better than a random map and "
            f"{len(apart['edges']) or 'none'} better than an edge detector; it puts {best['title']} first{wrong}."
        )


def _on_redrawn(methods: Sequence[Row]) -> Iterator[str]:
    blind = [row for row in methods if row["redrawn"] is not None and row["redrawn"]["value"] > NOTICES]
    if blind:
        yield f"Hardly changed by drawing the top layers anew (above {NOTICES}): {_names(blind)}."


def _on_measures(meta: Sequence[Row]) -> Iterator[str]:
    failing = [MEASURES[row["measure"]].title for row in meta if row["passes"] is False]
    checked = sum(row["passes"] is not None for row in meta)
    if checked:
        names = f": {'; '.join(failing)}" if failing else ""
        yield f"Of {checked} measures that could be checked where the answer is provable, {len(failing)} fail{names}."


def _listed(rows: Sequence[Row]) -> str:
    return f": {_names(rows)}" if rows else ""


def _names(rows: Sequence[Row]) -> str:
    return ", ".join(str(row["title"]) for row in rows)


def _of(some: Sequence[Row], rows: Sequence[Row]) -> str:
    return f"{len(some) or 'none'} of {len(rows)} method{'' if len(rows) == 1 else 's'}"


def _interval(facts: Mapping[str, Any]) -> str:
    return f"{_number(facts['value'])} ({_number(facts['low'])} to {_number(facts['high'])})"


def _number(value: float) -> str:
    return f"{value:.2f}".replace("-", "\N{MINUS SIGN}")
