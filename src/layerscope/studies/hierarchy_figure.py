"""The figure of a hierarchy report, for papers: shares of labels beside those of the twins, net shares, readers."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from layerscope.dissection.labels import CATEGORIES, DEAD, NONE
from layerscope.records import Record
from layerscope.studies.figures import short

COLOURS = {
    "edge": "#0072b2",
    "colour-edge": "#cc79a7",
    "colour": "#56b4e9",
    "texture": "#009e73",
    "part": "#e69f00",
    "object": "#d55e00",
    NONE: "#e4e4e0",
    DEAD: "#ffffff",
}
"""By label, the deepest the warmest (Okabe and Ito 2008, who see red and green as one can tell them apart)."""
_TASKS = {"configuration": "#222222", "object": "#d55e00", "shape": "#cc79a7", "texture": "#009e73", "edge": "#0072b2"}
_WIDE, _NARROW = 0.55, 0.22  # bars of the network, and of the twins beside it
_LEAST_PRINTED = 0.06  # a share below has no room for its number


def draw(record: Record) -> Figure:
    """Three panels of a report: `record` is that of `Hierarchy.record`."""
    facts = record.facts
    layers: list[dict[str, Any]] = facts["layers"]
    figure = Figure((12, 3.9), layout="constrained")
    shares, net, read = figure.subplots(1, 3, width_ratios=(1.35, 1, 1))
    _draw_shares(shares, layers)
    _draw_net(net, layers)
    _draw_readers(read, layers)
    for axes in (shares, net, read):
        axes.set_xticks(range(len(layers)), [short(layer["name"], 14) for layer in layers], rotation=30, ha="right")
        axes.tick_params(labelsize=7, length=2)
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(f"{short(facts['network']['name'], 40)}. {short(facts['words'], 300)}", fontsize=8.5)
    return figure


def _draw_shares(axes: Axes, layers: list[dict[str, Any]]) -> None:
    """Stacked: wide what the network has, narrow the mean of its twins."""
    places = np.arange(len(layers))
    bottoms = {"share": np.zeros(len(layers)), "twins": np.zeros(len(layers))}
    ends = {"share": (-0.13, _WIDE), "twins": (0.3, _NARROW)}
    for label in (name for name in COLOURS if name in CATEGORIES):
        for key, (offset, width) in ends.items():
            values = np.array([layer["shares"][label][key] for layer in layers])
            edge: dict[str, Any] = {"edgecolor": "#999999", "linewidth": 0.5, "hatch": "////"} if label == DEAD else {}
            name = label if key == "share" else None
            axes.bar(places + offset, values, width, bottoms[key], color=COLOURS[label], label=name, **edge)
            for place, value, bottom in zip(places, values, bottoms[key], strict=True):
                if key == "share" and value >= _LEAST_PRINTED:
                    _print(axes, place + offset, bottom + value / 2, value, label)
            bottoms[key] += values
    axes.set_ylim(0, 1)
    axes.set_title("share of units (narrow: random twins)", fontsize=8)
    axes.legend(fontsize=6, ncols=4, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.22))


def _print(axes: Axes, x: float, y: float, share: float, label: str) -> None:
    ink = "white" if label == "edge" else "black"  # the one dark colour
    axes.text(x, y, f"{share:.0%}", ha="center", va="center", fontsize=6, color=ink)


def _draw_net(axes: Axes, layers: list[dict[str, Any]]) -> None:
    """What the network has beyond its twins; the intervals of all layers and labels hold together."""
    labels = [label for label in COLOURS if label in layers[0]["net"]]
    least = min(layer["net"][label]["low"] for layer in layers for label in labels)
    for turn, label in enumerate(labels):
        nets = [layer["net"][label] for layer in layers]
        places = np.arange(len(layers)) + 0.09 * (turn - (len(labels) - 1) / 2)
        values = np.array([net["value"] for net in nets])
        lows, highs = (np.array([net[end] for net in nets]) for end in ("low", "high"))
        axes.vlines(places, lows, highs, color=COLOURS[label], linewidth=0.9)
        sure = lows > 0
        axes.plot(places[sure], values[sure], "o", color=COLOURS[label], markersize=3.5)
        axes.plot(places[~sure], values[~sure], "o", color=COLOURS[label], markersize=3.5, markerfacecolor="white")
    axes.axhline(0, color="#888888", linewidth=0.6)
    axes.set_ylim(least - 0.02, 1.02)
    axes.set_title("beyond the twins (hollow: perhaps nothing)", fontsize=8)


def _draw_readers(axes: Axes, layers: list[dict[str, Any]]) -> None:
    """Accuracy of linear readers, of the network and, dashed, of its twins."""
    tasks = [task for task in _TASKS if task in layers[0]["decodability"]]
    for task in tasks:
        found = [layer["decodability"][task] for layer in layers]
        accuracies = [one["accuracy"] for one in found]
        values = [one["value"] for one in accuracies]
        axes.plot(values, color=_TASKS[task], linewidth=1.4, label=task)
        axes.fill_between(
            range(len(layers)),
            [one["low"] for one in accuracies],
            [one["high"] for one in accuracies],
            color=_TASKS[task],
            alpha=0.15,
            linewidth=0,
        )
        axes.plot([np.mean(one["twins"]) for one in found], color=_TASKS[task], linewidth=0.9, linestyle="--")
    axes.set_ylim(0, 1.02)
    axes.set_title("accuracy of linear readers (dashed: random twins)", fontsize=8)
    handles = [Line2D([], [], color=_TASKS[task], label=task) for task in tasks]
    axes.legend(handles=handles, fontsize=6, ncols=3, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.22))
