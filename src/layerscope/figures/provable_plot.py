"""How right each method is on networks whose causes are provable: methods by networks, the number in each cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from layerscope.errors import InputError
from layerscope.figures.boards import Row, opened_board, pinned_first
from layerscope.figures.heat import draw_heat
from layerscope.figures.palette import QUIET, STRONG_LINE
from layerscope.figures.paper import PaperFigure, drawn, finished, note, sheet_of

WIDTH = 5.0
"""Inches."""


def provable(source: object, network: str | None = None, *, width: float = WIDTH) -> PaperFigure:
    """The tiers of a leaderboard, networks whose causes are worked out by hand: 1 is right, striped is upside down.

    Controls stand on top, methods in the order of the leaderboard. source, network: as in `leaderboard`. width: in
    inches. Raises InputError where there is no such leaderboard, or where it has no provable networks.
    """
    with opened_board(source, network) as found:
        facts = found.facts
        tiers = facts.get("tiers") or []
        if not tiers:
            raise InputError("this leaderboard has no provable networks; measure it again on scenes with known causes")
        rows = _rows(facts, tiers)
        figure = sheet_of(width, 0.15 * len(rows) + 1.1)
        axes = figure.subplots()
        matrix = [[_right(tier, row["method"]) for tier in tiers] for row in rows]
        draw_heat(axes, matrix, [drawn(row["title"], 36) for row in rows], [drawn(tier["title"], 32) for tier in tiers])
        axes.set_aspect("auto")
        pinned = sum(row["control"] for row in rows)
        axes.axhline(pinned, color=STRONG_LINE, linewidth=0.8)
        for label in axes.get_yticklabels()[:pinned]:
            label.set(color=QUIET, style="italic")
        axes.set_title("How right methods are where the answer is provable")
        note(figure, "1 is the right answer, striped: below 0, the wrong way round")
        return finished(figure, found.said(f"Provable networks of the leaderboard of {facts['network']['name']}"))


def _rows(facts: Mapping[str, Any], tiers: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Each method that a tier judged, once, in the order of the leaderboard."""
    judged = {row["method"]: row for tier in tiers for row in tier["rows"] if row["right"] is not None}
    if not judged:
        raise InputError("no method is judged on the provable networks of this leaderboard yet; go on with it")
    place = {row["method"]: place for place, row in enumerate(facts["rows"])}

    def order(row: Row) -> float:
        return place.get(row["method"], len(place))

    return pinned_first(sorted(judged.values(), key=order), order)


def _right(tier: Mapping[str, Any], method: str) -> float | None:
    for row in tier["rows"]:
        if row["method"] == method and row["right"] is not None:
            return float(row["right"]["value"])
    return None
