"""What the layers of a network code: shares of labels, what is beyond random twins, how deep it stands, what can be
read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from layerscope.figures.palette import ACCENT, CATEGORIES, CODED, INK, MARKS, QUIET, STRONG_LINE, TASKS
from layerscope.figures.paper import (
    DOUBLE,
    SMALL,
    TINY,
    PaperFigure,
    drawing,
    drawn,
    finished,
    layer_ticks,
    shares_axis,
    sheet_of,
)
from layerscope.figures.words import percent

Layers = Sequence[Mapping[str, Any]]
_WIDE, _NARROW = 0.52, 0.22  # bars of the network, and of the twins beside it
_LEAST_WRITTEN = 0.055  # a share below has no room for its number
_FLOORS = ("edges, colours", "textures", "parts", "objects")


def hierarchy(source: object, *, width: float = DOUBLE) -> PaperFigure:
    """The report on one page: shares of labels with their depth, net shares, and what linear readers read.

    source: a Hierarchy, or the folder that holds a hierarchy.json. width: in inches. Raises InputError where there is
    no such report.
    """
    with drawing("hierarchy", source) as report:
        layers = report.facts["layers"]
        figure = sheet_of(width, 0.62 * width)
        grid = figure.add_gridspec(2, 2, height_ratios=(1.25, 1))
        _draw_shares(figure.add_subplot(grid[0, 0]), layers)
        _draw_depth(figure.add_subplot(grid[1, 0]), layers)
        _draw_net(figure.add_subplot(grid[0, 1]), layers)
        _draw_readers(figure.add_subplot(grid[1, 1]), layers)
        _letter(figure)
        figure.suptitle(_title(report.facts), x=0.01, ha="left", wrap=True)
        return finished(figure, report.said(f"Hierarchy of {report.facts['network']['name']}"))


def shares(source: object, *, width: float = DOUBLE) -> PaperFigure:
    """What share of the units of each layer has which label, beside the mean of the random twins; below, the depth
    index of what is beyond them, with its interval. Arguments and errors as of `hierarchy`."""
    with drawing("hierarchy", source) as report:
        layers = report.facts["layers"]
        figure = sheet_of(width, 0.56 * width)
        above, below = figure.subplots(2, 1, height_ratios=(1.7, 1))
        _draw_shares(above, layers)
        _draw_depth(below, layers)
        return finished(figure, report.said(f"Labels of the units of {report.facts['network']['name']}"))


def beyond_twins(source: object, *, width: float = DOUBLE) -> PaperFigure:
    """By label what the layers have beyond their random twins, with intervals that hold together; a ring for the twins'
    own share. Arguments and errors as of `hierarchy`."""
    with drawing("hierarchy", source) as report:
        layers = report.facts["layers"]
        there = [one for one in (*CODED, "any") if one in layers[0]["net"]]
        columns = 4
        rows = -(-len(there) // columns)
        figure = sheet_of(width, 0.27 * width * rows + 0.25)
        panels = figure.subplots(rows, columns, sharey=True, squeeze=False).flatten().tolist()
        for place, axes in enumerate(panels):
            if place < len(there):
                _draw_net_of(axes, layers, there[place])
            else:
                axes.set_axis_off()
        handles = [
            _dot("beyond the twins for sure", INK, full=True),
            _dot("perhaps nothing", INK, full=False),
            Line2D([], [], color="none", marker="o", markersize=2.5, markeredgecolor=QUIET, label="share of the twins"),
        ]
        words = f"intervals of all layers and labels hold together with {percent(report.facts['together'])}"
        figure.legend(
            handles=handles, loc="outside lower left", ncols=3, title=words, title_fontsize=SMALL, alignment="left"
        )
        return finished(figure, report.said(f"Beyond the random twins of {report.facts['network']['name']}"))


def readers(source: object, *, width: float = DOUBLE) -> PaperFigure:
    """Accuracy of linear readers of each task by layer, with intervals, beside the random twins, shuffled labels and
    chance. Arguments and errors as of `hierarchy`."""
    with drawing("hierarchy", source) as report:
        layers = report.facts["layers"]
        tasks = _tasks(layers)
        columns = min(3, len(tasks))
        rows = -(-len(tasks) // columns)
        figure = sheet_of(width, (0.3 * rows + 0.06) * width)
        panels = figure.subplots(rows, columns, sharey=True, squeeze=False).flatten().tolist()
        for axes, task in zip(panels, tasks, strict=False):
            _draw_reader(axes, layers, task)
        for axes in panels[len(tasks) :]:
            axes.set_axis_off()
        figure.supylabel("accuracy of a linear reader on held-out images", fontsize=SMALL)
        figure.legend(handles=_reader_key(), loc="outside lower left", ncols=5)
        return finished(figure, report.said(f"What can be read from the layers of {report.facts['network']['name']}"))


def _draw_shares(axes: Axes, layers: Layers) -> None:
    """Stacked: wide what the network has, narrow the mean of its twins."""
    places = np.arange(len(layers))
    bottoms = {"share": np.zeros(len(layers)), "twins": np.zeros(len(layers))}
    for category, colour in CATEGORIES.items():
        for key, (offset, wide) in {"share": (-0.13, _WIDE), "twins": (0.28, _NARROW)}.items():
            values = np.array([layer["shares"].get(category, {}).get(key, 0.0) for layer in layers])
            dead: dict[str, Any] = (
                {"edgecolor": STRONG_LINE, "hatch": "//////"} if category == "dead" else {"edgecolor": "white"}
            )
            axes.bar(places + offset, values, wide, bottoms[key], color=colour, linewidth=0.4, **dead)
            if key == "share":
                _write_shares(axes, places + offset, values, bottoms[key], category)
            bottoms[key] = bottoms[key] + values
    shares_axis(axes)
    layer_ticks(axes, [layer["name"] for layer in layers])
    axes.set_title("share of units, % (narrow: mean of the random twins)")
    there = [
        one
        for one in CATEGORIES
        if any(layer["shares"].get(one, {}).get(key) for layer in layers for key in ("share", "twins"))
    ]
    handles = [
        Patch(
            facecolor=CATEGORIES[one],
            label=one,
            edgecolor=STRONG_LINE,
            linewidth=0.4,
            hatch="////" if one == "dead" else "",
        )
        for one in reversed(there)
    ]
    axes.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(1.0, 1.02), handlelength=1, handleheight=1, labelspacing=0.35
    )


def _write_shares(axes: Axes, places: Any, values: Any, bottoms: Any, category: str) -> None:
    """Percentages on the parts that have room for one."""
    for place, value, bottom in zip(places, values, bottoms, strict=True):
        if value >= _LEAST_WRITTEN:
            ink = "white" if category == "edge" else INK  # the one dark colour
            words = f"{100 * value:.0f}"
            axes.text(place, bottom + value / 2, words, ha="center", va="center", fontsize=TINY, color=ink)


def _draw_depth(axes: Axes, layers: Layers) -> None:
    """How deep what is beyond the twins stands: 0 edges and colours, 3 objects."""
    there = [(place, layer["depth"]) for place, layer in enumerate(layers) if layer["depth"]]
    if there:
        places, depths = zip(*there, strict=True)
        axes.plot(places, [one["value"] for one in depths], color=STRONG_LINE, linewidth=0.9)
        axes.vlines(places, [one["low"] for one in depths], [one["high"] for one in depths], color=INK, linewidth=0.9)
        axes.plot(places, [one["value"] for one in depths], "o", color=INK)
    for place, depth in there:
        axes.annotate(
            f"{depth['value']:.2f}", (place, depth["value"]), (4, 2), textcoords="offset points", fontsize=TINY
        )
    for place in set(range(len(layers))) - {place for place, _ in there}:
        axes.annotate(
            "nothing", (place, 0), (0, 3), textcoords="offset points", fontsize=TINY, color=QUIET, ha="center"
        )
    axes.set_ylim(-0.25, 3.3)
    axes.set_yticks(range(4), [f"{words} {floor}" for floor, words in enumerate(_FLOORS)])
    axes.grid(True, axis="y")
    layer_ticks(axes, [layer["name"] for layer in layers])
    axes.set_title(
        "depth of what is beyond the twins, with interval" if there else "nothing is beyond the twins: no depth"
    )


def _draw_net(axes: Axes, layers: Layers) -> None:
    """Beyond the twins, all labels in one panel."""
    there = [one for one in CODED if one in layers[0]["net"]]
    for turn, category in enumerate(there):
        offset = 0.11 * (turn - (len(there) - 1) / 2)
        _draw_intervals(axes, np.arange(len(layers)) + offset, [layer["net"][category] for layer in layers], category)
    axes.axhline(0, color=STRONG_LINE, linewidth=0.6)
    shares_axis(axes, *_range(layers, there))
    layer_ticks(axes, [layer["name"] for layer in layers])
    axes.set_title("beyond the twins (hollow: perhaps nothing)")


def _draw_net_of(axes: Axes, layers: Layers, category: str) -> None:
    nets = [layer["net"][category] for layer in layers]
    places = np.arange(len(layers))
    twins = [
        sum(
            layer["shares"][one]["twins"]
            for one in (CODED if category == "any" else (category,))
            if one in layer["shares"]
        )
        for layer in layers
    ]
    axes.plot(
        places + 0.28, twins, "o", markersize=2.5, markerfacecolor="none", markeredgecolor=QUIET, markeredgewidth=0.7
    )
    _draw_intervals(axes, places, nets, category)
    axes.axhline(0, color=STRONG_LINE, linewidth=0.6)
    shares_axis(axes, *_range(layers, [one for one in (*CODED, "any") if one in layers[0]["net"]]))
    layer_ticks(axes, [layer["name"] for layer in layers])
    best = max(range(len(nets)), key=lambda place: nets[place]["value"])
    axes.set_title("any of them" if category == "any" else category, color=MARKS[category])
    sure = sum(net["low"] > 0 for net in nets)
    most = f"most {100 * nets[best]['value']:+.0f}%".replace("-", "\u2212")
    axes.set_title(f"{sure} of {len(nets)} layers, {most}", loc="right", fontsize=TINY, color=QUIET)


def _draw_intervals(axes: Axes, places: Any, nets: Sequence[Mapping[str, Any]], category: str) -> None:
    """A full dot where the interval is above zero, a hollow one where it is not."""
    values, lows, highs = (np.array([net[end] for net in nets], float) for end in ("value", "low", "high"))
    sure = lows > 0
    axes.vlines(places, lows, highs, color=MARKS[category], linewidth=0.9, alpha=np.where(sure, 1, 0.55))
    axes.plot(places[sure], values[sure], "o", color=MARKS[category])
    axes.plot(places[~sure], values[~sure], "o", color=MARKS[category], markerfacecolor="white", markeredgewidth=0.8)


def _range(layers: Layers, there: Sequence[str]) -> tuple[float, float]:
    ends = [layer["net"][one][end] for layer in layers for one in there for end in ("low", "high")]
    known = [end for end in ends if end is not None]
    return min(0.0, *known) - 0.04, max(0.1, *known) + 0.04


def _tasks(layers: Layers) -> list[str]:
    """The first is the one that carries the claim."""
    there = list(dict.fromkeys(task for layer in layers for task in layer["decodability"]))
    return [task for task in TASKS if task in there] + [task for task in there if task not in TASKS]


def _draw_readers(axes: Axes, layers: Layers) -> None:
    """All tasks in one panel: the network, and dashed its twins."""
    handles = []
    for task in _tasks(layers):
        colour, found = TASKS.get(task, QUIET), [layer["decodability"][task] for layer in layers]
        accuracy = {end: [one["accuracy"][end] for one in found] for end in ("value", "low", "high")}
        axes.plot(accuracy["value"], color=colour)
        axes.fill_between(range(len(found)), accuracy["low"], accuracy["high"], color=colour, alpha=0.15, linewidth=0)
        axes.plot([_mean(one["twins"]) for one in found], color=colour, linewidth=0.9, linestyle="--")
        handles.append(Line2D([], [], color=colour, label=drawn(task, 20)))
    shares_axis(axes, 0, 1.02)
    layer_ticks(axes, [layer["name"] for layer in layers])
    axes.set_title("accuracy of linear readers (dashed: random twins)")
    axes.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.0, 1.02))


def _draw_reader(axes: Axes, layers: Layers, task: str) -> None:
    found = [layer["decodability"][task] for layer in layers]
    places = range(len(found))
    axes.plot([one["chance"] for one in found], color=QUIET, linestyle=(0, (1, 2.5)), linewidth=0.9)
    axes.plot([one["shuffled"]["value"] for one in found], color=QUIET, linestyle="--", linewidth=0.8)
    for turn in range(min(len(one["twins"]) for one in found)):
        axes.plot([one["twins"][turn] for one in found], color=STRONG_LINE, linewidth=0.5)
    axes.plot([_mean(one["twins"]) for one in found], color=QUIET, linewidth=1.3)
    accuracy = {end: [one["accuracy"][end] for one in found] for end in ("value", "low", "high")}
    axes.vlines(places, accuracy["low"], accuracy["high"], color=ACCENT, linewidth=0.9)
    axes.plot(accuracy["value"], "o-", color=ACCENT, linewidth=1.4)
    for place in _told_at(accuracy["value"]):
        value = accuracy["value"][place]
        axes.annotate(
            f"{value:.0%}",
            (place, accuracy["high"][place]),
            (0, 3),
            textcoords="offset points",
            ha="center",
            fontsize=TINY,
        )
    shares_axis(axes, 0, 1.1)
    layer_ticks(axes, [layer["name"] for layer in layers])
    axes.set_title(drawn(task, 30))


def _told_at(values: Sequence[float]) -> list[int]:
    """The first, the last and the highest: their numbers are written."""
    return sorted({0, len(values) - 1, max(range(len(values)), key=values.__getitem__)})


def _reader_key() -> list[Line2D]:
    return [
        Line2D([], [], color=ACCENT, marker="o", label="network, with interval"),
        Line2D([], [], color=STRONG_LINE, linewidth=0.5, label="a random twin"),
        Line2D([], [], color=QUIET, linewidth=1.3, label="mean of the twins"),
        Line2D([], [], color=QUIET, linewidth=0.8, linestyle="--", label="shuffled labels"),
        Line2D([], [], color=QUIET, linewidth=0.9, linestyle=(0, (1, 2.5)), label="chance"),
    ]


def _dot(words: str, colour: str, full: bool) -> Line2D:
    return Line2D(
        [],
        [],
        color="none",
        marker="o",
        markeredgecolor=colour,
        markerfacecolor=colour if full else "white",
        label=words,
    )


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


def _letter(figure: PaperFigure) -> None:
    """a, b, c, ... so that a caption can name the panels."""
    for letter, axes in zip("abcdefgh", figure.axes, strict=False):
        axes.set_title(f"{letter}  {axes.get_title(loc='left')}", loc="left")


def _title(facts: Mapping[str, Any]) -> str:
    return f"{drawn(facts['network']['name'], 40)}. {drawn(facts['words'], 300)}"
