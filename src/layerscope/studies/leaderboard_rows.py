"""The rows of a leaderboard: means of every measure with their intervals, and how methods compare with the controls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layerscope.faithfulness.explainers import CONTROLS, EXACT, KNOWING_NOTHING
from layerscope.faithfulness.intervals import mean_over_images
from layerscope.faithfulness.measures.catalogue import JUDGED, MEASURES, SECONDS

HEADLINES = (
    *("density_rank", "target", "part_rank", "shapley_rank", "mass", "independence", "shortcut"),
    *("deletion", "insertion", "infidelity_blur", "redrawn"),
)
"""Measures for a first table, chosen before anything was measured; those that fail their check are left out of it."""

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
    network: str,
    methods: Sequence[Measured],
    controls: Sequence[Measured],
    meta: Sequence[Mapping[str, Any]],
    seed: int,
) -> list[Row]:
    """Methods, the best by the headline first, and then the pinned controls; none before the controls are measured."""
    if not controls:
        return []
    first = headline([row["measure"] for row in meta if row["passes"] is False], controls)
    beside = {one.name: one.values for one in controls}
    rows = []
    for one in methods:
        if one.refused is None:
            compared = {
                name: against(one.values.get(first), beside[name].get(first), MEASURES[first].better, seed)
                for name in KNOWING_NOTHING
            }
            told = {"against": compared, "against_random": compared["random"]}
            beats = all(where == "better" for where in compared.values())
            rows.append({**_row(one, network, False, seed), **told, "beats_controls": beats})
    sign = 1 if MEASURES[first].better == "low" else -1
    rows.sort(key=lambda row: (np.inf if row[first] is None else sign * row[first]["value"], row["method"]))
    rows = [{**row, "rank": place + 1} for place, row in enumerate(rows)]
    nothing = {"rank": None, "against": None, "against_random": None, "beats_controls": None}
    return rows + [{**_row(one, network, True, seed), **nothing} for one in controls]


def headline(failing: Sequence[str], measured: Sequence[Measured]) -> str:
    """The measure that decides the order: the first of HEADLINES that has values and does not fail its check."""
    known = {name for one in measured for name, values in one.values.items() if not np.isnan(values).all()}
    return next((name for name in (*HEADLINES, *JUDGED) if name in known and name not in failing), HEADLINES[0])


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
