"""A leaderboard of attribution methods as small multiples: a panel for each measure, means with intervals, the controls
on top and behind."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from layerscope.errors import InputError, UnknownNameError
from layerscope.figures.boards import Row, beats_controls, opened_board, pinned_first
from layerscope.figures.palette import ACCENT, INK, LINE, QUIET, STRONG_LINE
from layerscope.figures.paper import DOUBLE, SMALL, TINY, PaperFigure, drawn, finished, sheet_of
from layerscope.figures.words import plural

KNOWING_NOTHING = ("random", "centre", "edges", "even")
_LOGARITHMIC = ("seconds",)
_WHOLE = {"density_rank": (-1.1, 1.1), "part_rank": (-1.1, 1.1)}
_BESIDE = 10  # panels in a row; more stand below
_LETTERS = 18  # of a small title in an inch
_BAND, _BEST = LINE, STRONG_LINE
Measure = Mapping[str, Any]
Pinned = Mapping[str, Row]


@dataclass(frozen=True)
class _Look:
    """How the dots and whiskers of some rows look."""

    marker: str
    size: float
    colour: str
    fill: str

    @property
    def marks(self) -> dict[str, Any]:
        return {
            "marker": self.marker,
            "markersize": self.size,
            "color": self.colour,
            "markerfacecolor": self.fill,
            "linewidth": 1.0,
        }


_CONTROL = _Look("D", 2.6, QUIET, "white")
_BEATING = _Look("o", 3.2, ACCENT, ACCENT)
_OTHER = _Look("o", 3.2, INK, "white")


def leaderboard(
    source: object, network: str | None = None, measures: Sequence[str] | str | None = None, *, width: float = DOUBLE
) -> PaperFigure:
    """Each method's mean and 95 % interval by each measure, ordered by the first one, the best first; above them the
    controls. Behind all rows lies what a random map gets, and a line at the best of the maps that know nothing of the
    network; filled dots are better than all of these on the same images, by that measure.

    source: a Leaderboard, or the folder that holds its leaderboard.json, or the folder of several of them. network: the
    name of the network, needed for the last. measures: as the leaderboard names them; by default the one that
    decides its order, and then its other headline measures. width: in inches. Raises InputError where there is no such
    leaderboard, or nothing is measured yet; UnknownNameError for another network or measure.
    """
    with opened_board(source, network) as found:
        facts = found.facts
        chosen = _chosen(facts, measures)
        first = chosen[0]
        rows = pinned_first(facts["rows"], lambda row: _best_first(row, first))
        if not any(_value(row, first["name"]) is not None for row in rows if not row["control"]):
            raise InputError(
                f"no method has {first['name']!r} in this leaderboard yet; go on with it, it starts where it stopped"
            )
        blocks = [chosen[place : place + _BESIDE] for place in range(0, len(chosen), _BESIDE)]
        figure = sheet_of(width, len(blocks) * (0.14 * len(rows) + 0.75) + 0.35)
        panels = figure.subplots(len(blocks), max(map(len, blocks)), squeeze=False)
        letters = max(8, int(_LETTERS * 0.8 * width / max(map(len, blocks))))
        for line, block in zip(panels, blocks, strict=True):
            _draw_block(line, block, rows, facts, letters)
        figure.suptitle(_title(facts), x=0.01, ha="left")
        figure.legend(handles=_key(rows), loc="outside lower left", ncols=6)
        return finished(figure, found.said(f"Leaderboard of {facts['network']['name']}"))


def _chosen(facts: Mapping[str, Any], names: Sequence[str] | str | None) -> list[Measure]:
    known = {one["name"]: one for one in facts["measures"]}
    if names is None:
        if facts["first"] is None:
            raise InputError("nothing is measured in this leaderboard yet; go on with it, it starts where it stopped")
        first = known[facts["first"]]
        return [first, *(one for one in known.values() if one["headline"] and one is not first)]
    asked = [names] if isinstance(names, str) else list(names)
    if not asked:
        raise InputError("no measures asked for; name some, or leave them out for the headline measures")
    for name in asked:
        if name not in known:
            raise UnknownNameError.among("measure", name, known)
    return [known[name] for name in asked]


def _title(facts: Mapping[str, Any]) -> str:
    name, scenes = drawn(facts["network"]["name"], 40), facts["scenes"]
    if facts["truth"]:
        return f"Attribution methods on {name}, {plural(scenes['telling'], 'scene')} with known causes"
    return f"Attribution methods on {name}, {plural(scenes['telling'], 'image')} of {drawn(scenes['source'], 40)}"


def _value(row: Row, measure: str) -> float | None:
    value = row.get(measure)
    return value["value"] if isinstance(value, Mapping) else value


def _best_first(row: Row, measure: Measure) -> float:
    value = _value(row, measure["name"])
    return math.inf if value is None else -value if measure["better"] == "high" else value


def _draw_block(
    line: Sequence[Axes], block: Sequence[Measure], rows: Sequence[Row], facts: Mapping[str, Any], letters: int
) -> None:
    failing = {one["measure"] for one in facts.get("meta") or () if one["passes"] is False}
    for place, axes in enumerate(line):
        if place >= len(block):
            axes.set_axis_off()
            continue
        _draw(axes, rows, block[place], block[place]["name"] in failing, letters)
        _name_rows(axes, rows, named=place == 0)


def _draw(axes: Axes, rows: Sequence[Row], measure: Measure, fails: bool, letters: int) -> None:
    name = measure["name"]
    pinned = {row["method"]: row for row in rows if row["control"]}
    axes.margins(x=0.1)  # a whole dot has room
    if name in _LOGARITHMIC:
        axes.set_xscale("log")
    elif name in _WHOLE:
        axes.set_xlim(*_WHOLE[name])
    _draw_behind(axes, pinned, measure)
    _draw_rows(axes, rows, measure)
    if name not in _LOGARITHMIC:
        axes.xaxis.set_major_locator(MaxNLocator(2, min_n_ticks=2))
    axes.set_title("\n".join(wrap(drawn(measure["title"], 40), letters, break_long_words=False)), fontsize=SMALL - 0.5)
    better = "higher is better" if measure["better"] == "high" else "lower is better"
    axes.set_xlabel(f"{better}\nfails its check" if fails else better, fontsize=TINY)
    axes.grid(True, axis="x")


def _name_rows(axes: Axes, rows: Sequence[Row], *, named: bool) -> None:
    pinned = sum(row["control"] for row in rows)
    axes.set_yticks(range(len(rows)), [drawn(row["title"], 26) if named else "" for row in rows])
    for label, row in zip(axes.get_yticklabels(), rows, strict=True):
        label.set(color=QUIET if row["control"] else INK, style="italic" if row["control"] else "normal")
    if pinned:
        axes.axhline(pinned - 0.5, color=STRONG_LINE, linewidth=0.6)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)


def _draw_behind(axes: Axes, pinned: Pinned, measure: Measure) -> None:
    name = measure["name"]
    random = pinned.get("random", {}).get(name)
    if isinstance(random, Mapping):
        axes.axvspan(random["low"], random["high"], color=_BAND, linewidth=0, zorder=0)
    others = [_value(pinned[one], name) for one in KNOWING_NOTHING if one in pinned]
    known = [value for value in others if value is not None]
    if known:
        best = max(known) if measure["better"] == "high" else min(known)
        axes.axvline(best, color=_BEST, linestyle="--", linewidth=0.8, zorder=1)


def _draw_rows(axes: Axes, rows: Sequence[Row], measure: Measure) -> None:
    """Dots and whiskers of one look at a time."""
    looks: dict[_Look, list[tuple[int, Any]]] = {}
    for place, row in enumerate(rows):
        if _value(row, measure["name"]) is not None:
            looks.setdefault(_look(row, measure["name"]), []).append((place, row[measure["name"]]))
    for look, found in looks.items():
        places = [place for place, _ in found]
        dots = [value["value"] if isinstance(value, Mapping) else value for _, value in found]
        axes.plot(dots, places, linestyle="none", zorder=3, **look.marks)
        spread = [(place, one["low"], one["high"]) for place, one in found if isinstance(one, Mapping)]
        if spread:
            axes.hlines(*zip(*spread, strict=True), color=look.colour, linewidth=1.0)


def _look(row: Row, measure: str) -> _Look:
    return _CONTROL if row["control"] else _BEATING if beats_controls(row, measure) else _OTHER


def _key(rows: Sequence[Row]) -> list[Any]:
    names = {row["method"] for row in rows if row["control"]}
    handles: list[Any] = [
        Line2D([], [], label="beats every map that knows nothing", **_BEATING.marks),
        Line2D([], [], label="does not", **_OTHER.marks),
    ]
    if names:
        handles.append(Line2D([], [], label="control", **_CONTROL.marks))
    if "random" in names:
        handles.append(Patch(color=_BAND, label="random map"))
    if names.intersection(KNOWING_NOTHING):
        handles.append(Line2D([], [], color=_BEST, linestyle="--", linewidth=0.8, label="best that knows nothing"))
    return handles
