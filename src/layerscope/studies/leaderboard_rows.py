"""The rows of a leaderboard: means of every measure with their intervals, and how methods compare with the controls."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layerscope.faithfulness.explainers import CONTROLS, EXACT, KNOWING_NOTHING
from layerscope.faithfulness.intervals import Mean, mean_over_images
from layerscope.faithfulness.measures.catalogue import JUDGED, MEASURES, SECONDS

HEADLINES = (
    *("density_rank", "target", "part_rank", "shapley_rank", "mass", "independence", "shortcut"),
    *("deletion", "insertion", "infidelity_blur", "redrawn"),
)
"""Measures for a first table, the one that decides the order first; those that fail their check are left out of it.

Part density leads since a first table, of other scenes, had shown that by sums a map with its pixels shuffled does as
well as a right one.
"""

Row = dict[str, Any]
Values = Mapping[str, NDArray[np.float64]]
"""By measure [networks, cases]."""


@dataclass(frozen=True, eq=False)
class Measured:
    """One method or control: its values by measure, or why it refused a network (then there are none)."""

    name: str
    title: str
    refused: str | None
    values: Values


def rows_of(
    network: str, methods: Sequence[Measured], controls: Sequence[Measured], first: str | None, seed: int
) -> list[Row]:
    """Methods, the best by the measure `first` first, and then the pinned controls; none before these are measured.

    Rows say where a method lies beside each control that knows nothing, by every measure (`against`).
    """
    if not controls:
        return []
    beside = {one.name: one.values for one in controls if one.name in KNOWING_NOTHING}
    rows = [_method_row(one, network, beside, first, seed) for one in methods if one.refused is None]
    sign = 1 if first is not None and MEASURES[first].better == "low" else -1

    def order(row: Row) -> tuple[float, str]:
        mean = None if first is None else row[first]
        return (np.inf if mean is None else sign * mean["value"], row["method"])

    rows.sort(key=order)
    ranked = [{**row, "rank": None if np.isinf(order(row)[0]) else place + 1} for place, row in enumerate(rows)]
    nothing = {"rank": None, "against": None, "against_random": None, "beats_controls": None}
    return ranked + [{**_row(one, network, True, seed), **nothing} for one in controls]


def _method_row(one: Measured, network: str, beside: Mapping[str, Values], first: str | None, seed: int) -> Row:
    compared = {
        name: {
            control: against(one.values.get(name), values.get(name), MEASURES[name].better, seed)
            for control, values in beside.items()
        }
        for name in JUDGED
    }
    leading = {} if first is None else compared[first]
    told = {"against": compared, "against_random": leading.get("random")}
    known = [where for where in leading.values() if where is not None]
    beats = bool(known) and all(where == "better" for where in known)
    return {**_row(one, network, False, seed), **told, "beats_controls": beats}


def headline(failing: Collection[str], controls: Sequence[Measured]) -> str | None:
    """The measure that decides the order: the first of HEADLINES that has a mean and does not fail its check.

    controls: of which at least one has to have it. None where there is no such measure.
    """
    known = [name for name in HEADLINES if name not in failing]
    return next((name for name in known if any(_mean(one, name) for one in controls)), None)


def _mean(one: Measured, name: str) -> Mean | None:
    return mean_over_images(one.values[name]) if name in one.values else None


def against(
    own: NDArray[np.float64] | None, other: NDArray[np.float64] | None, better: str, seed: int = 0
) -> str | None:
    """Where a method lies beside a control on the same cases: "better", "overlaps" or "worse".

    By the interval of the mean of their differences [networks, cases]; None where there is none.
    """
    if own is None or other is None or (mean := mean_over_images(own - other, seed)) is None:
        return None
    if mean.low <= 0 <= mean.high:
        return "overlaps"
    return "better" if (mean.low > 0) == (better == "high") else "worse"


def level(controls: Sequence[Measured]) -> dict[str, list[str]]:
    """By measure, titles of the controls that know nothing and are not worse than the exact answer on the same scenes:
    that by single effects or that by Shapley values, whichever gets more.
    """
    values = {one.name: one.values for one in controls}
    found = {}
    for name in JUDGED:
        better = MEASURES[name].better
        exact = [own[name] for one in EXACT if name in (own := values.get(one, {})) and not np.isnan(own[name]).all()]
        if exact:
            best = (max if better == "high" else min)(exact, key=lambda values: float(np.nanmean(values)))
            beside = {one: against(best, values[one].get(name), better) for one in KNOWING_NOTHING}
            found[name] = [CONTROLS[one] for one, where in beside.items() if where in ("overlaps", "worse")]
    return found


def _row(one: Measured, network: str, control: bool, seed: int) -> Row:
    means = {name: mean_over_images(one.values[name], seed) if name in one.values else None for name in JUDGED}
    seconds = one.values.get(SECONDS.name)
    timed = None if control or seconds is None or np.isnan(seconds).all() else float(f"{np.nanmedian(seconds):.4g}")
    facts = {name: mean and mean.facts() for name, mean in means.items()}
    return {
        "method": one.name,
        "title": one.title,
        "network": network,
        "control": control,
        **facts,
        SECONDS.name: timed,
    }
