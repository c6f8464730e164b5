"""A leaderboard of attribution methods as a forest plot: means with intervals, the controls behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from layerscope.errors import InputError, UnknownNameError
from layerscope.figures.palette import ACCENT, INK, LINE, QUIET, STRONG_LINE
from layerscope.figures.paper import DOUBLE, PaperFigure, drawing, drawn, finished, sheet_of
from layerscope.figures.words import number, plural
from layerscope.names import slug

_LINES: dict[str, Literal["--", ":"]] = {"edges": "--", "centre": ":"}
_LOGARITHMIC = ("seconds",)
_WHOLE = {"part_rank": (-1.05, 1.05)}
Row = Mapping[str, Any]


def leaderboard(
    source: object, network: str | None = None, measure: str = "part_rank", *, width: float = DOUBLE
) -> PaperFigure:
    """Each method's mean and 95 % interval of one measure, the best first; above them the controls, whose values are
    drawn behind all rows. Filled dots beat every control by part rank.

    source: a Leaderboard, or the folder that holds its leaderboard.json, or the folder of several of them. network: the
    name of the network, needed for the last. measure: as the leaderboard names it. width: in inches. Raises InputError
    where there is no such leaderboard, or nothing is measured yet; UnknownNameError for another network or measure.
    """
    with drawing("leaderboard", _of_network(source, network)) as found:
        facts = found.facts
        if network is not None and facts["network"]["name"] != network:
            raise UnknownNameError.among("network of this leaderboard", network, [facts["network"]["name"]])
        measures = {one["name"]: one for one in facts["measures"]}
        if measure not in measures:
            raise UnknownNameError.among("measure", measure, measures)
        rows = [row for row in facts["rows"] if _value(row, measure) is not None]
        if not any(not row["control"] for row in rows):
            raise InputError(
                f"no method has {measure!r} in this leaderboard yet; go on with it, it starts where it stopped"
            )
        told = measures[measure]
        rows = _ordered(rows, measure, told["better"])
        figure = sheet_of(width, 0.155 * len(rows) + 1.05)
        figure.get_layout_engine().set(w_pad=0.12)  # type: ignore[union-attr,call-arg]  # long names
        axes = figure.subplots()
        _draw(axes, rows, measure)
        better = "higher is better" if told["better"] == "high" else "lower is better"
        spread = "; mean and 95 % interval over scenes" if isinstance(rows[0][measure], Mapping) else ""
        axes.set_xlabel(f"{told['title']}, {better}{spread}")
        name = drawn(facts["network"]["name"], 40)
        axes.set_title(
            f"Attribution methods on {name}, {plural(facts['scenes']['telling'], 'scene')} with known causes"
        )
        figure.legend(handles=_key(rows), loc="outside lower left", ncols=6)
        return finished(figure, found.said(f"Leaderboard of {facts['network']['name']}"))


def _of_network(source: object, network: str | None) -> object:
    """Of a folder of several leaderboards, the one of this network."""
    if network is None or not isinstance(source, (str, PathLike)) or (Path(source) / "leaderboard.json").is_file():
        return source
    own = Path(source) / slug(network)
    return own if own.is_dir() else source


def _value(row: Row, measure: str) -> float | None:
    value = row.get(measure)
    return value["value"] if isinstance(value, Mapping) else value


def _ordered(rows: Sequence[Row], measure: str, better: str) -> list[Row]:
    way = -1.0 if better == "high" else 1.0
    methods = [row for row in rows if not row["control"]]
    return [
        *(row for row in rows if row["control"]),
        *sorted(methods, key=lambda row: way * (_value(row, measure) or 0.0)),
    ]


def _draw(axes: Axes, rows: Sequence[Row], measure: str) -> None:
    pinned = {row["method"]: row for row in rows if row["control"]}
    if measure in _LOGARITHMIC:
        axes.set_xscale("log")
    elif measure in _WHOLE:
        axes.set_xlim(*_WHOLE[measure])
    _draw_behind(axes, pinned, measure)
    for place, row in enumerate(rows):
        _draw_row(axes, place, row, measure)
    axes.set_yticks(range(len(rows)), [f"{drawn(row['title'], 40)}  {number(_value(row, measure))}" for row in rows])
    for label, row in zip(axes.get_yticklabels(), rows, strict=True):
        label.set(color=QUIET if row["control"] else INK, style="italic" if row["control"] else "normal")
    if pinned:
        axes.axhline(len(pinned) - 0.5, color=STRONG_LINE, linewidth=0.6)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(True, axis="x")


def _draw_behind(axes: Axes, pinned: Mapping[str, Row], measure: str) -> None:
    random = pinned.get("random")
    if random is not None and isinstance(random[measure], Mapping):
        axes.axvspan(random[measure]["low"], random[measure]["high"], color=LINE, zorder=0)
    for name, style in _LINES.items():
        if name in pinned:
            axes.axvline(
                _value(pinned[name], measure) or 0.0, color=STRONG_LINE, linestyle=style, linewidth=0.9, zorder=1
            )


def _draw_row(axes: Axes, place: int, row: Row, measure: str) -> None:
    value, colour = row[measure], QUIET if row["control"] else ACCENT if row["beats_controls"] else INK
    if isinstance(value, Mapping):
        axes.plot([value["low"], value["high"]], [place, place], color=colour, linewidth=1.1, solid_capstyle="butt")
    marker, fill = ("D", "white") if row["control"] else ("o", colour if row["beats_controls"] else "white")
    size = 3.2 if row["control"] else 3.8
    axes.plot(
        [_value(row, measure) or 0.0], [place], marker, color=colour, markerfacecolor=fill, markersize=size, zorder=3
    )


def _key(rows: Sequence[Row]) -> list[Any]:
    names = {row["method"] for row in rows if row["control"]}
    handles: list[Any] = [
        Line2D(
            [], [], marker="o", color=ACCENT, markersize=3.8, linewidth=1.1, label="beats every control by part rank"
        ),
        Line2D([], [], marker="o", color=INK, markerfacecolor="white", markersize=3.8, linewidth=1.1, label="does not"),
    ]
    handles += [Patch(color=LINE, label="random map")] if "random" in names else []
    if names:
        handles.append(
            Line2D(
                [], [], marker="D", color=QUIET, markerfacecolor="white", markersize=3.2, linewidth=1.1, label="pinned"
            )
        )
    words = {"edges": "edge detector", "centre": "centre blob"}
    return handles + [
        Line2D([], [], color=STRONG_LINE, linestyle=style, linewidth=0.9, label=words[name])
        for name, style in _LINES.items()
        if name in names
    ]
