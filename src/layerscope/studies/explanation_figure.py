"""The figure of an explanation, for papers: PNG, SVG, and the maps as arrays."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from layerscope.records import Record, write_whole
from layerscope.studies.figures import save_figure, short

FOR = (219, 100, 16)
AGAINST = (66, 139, 240)
"""What speaks for the score is orange, what speaks against it blue, also to people who see red and green as one.

Both have a lightness of 0.64 in OKLab, so that the same evidence looks as strong on either side, on paper and in the
dark.
"""
COLOURS = LinearSegmentedColormap.from_list(
    "evidence", [tuple(value / 255 for value in colour) for colour in (AGAINST, (255, 255, 255), FOR)]
)
"""From against over white to for."""
FIGURES = ("explanation.png", "explanation.svg", "maps.npz")
_COLUMNS, _SIDE = 5, 2.1  # of small multiples; inches


def write_figures(folder: Path, record: Record) -> None:
    """Write `explanation.png`, `explanation.svg` and `maps.npz` of a record into its folder."""
    save_figure(draw(record), folder, "explanation", record)
    maps = io.BytesIO()
    arrays: dict[str, Any] = {name: array for name, array in record.arrays.items() if name.startswith("map/")}
    np.savez_compressed(maps, image=record.arrays["image"], **arrays)
    write_whole(folder / "maps.npz", maps.getvalue())


def draw(record: Record) -> Figure:
    """The image, and the maps to the first question over it, on one scale of colours, each map at its own size."""
    facts = record.facts
    shown = [one for one in facts["methods"] if one["question"] == facts["questions"][0]]
    rows = -(-(len(shown) + 1) // _COLUMNS)
    figure = Figure((_COLUMNS * _SIDE + 0.6, rows * (_SIDE + 0.65) + 0.35), layout="constrained")
    axes = figure.subplots(rows, _COLUMNS, squeeze=False).flatten().tolist()
    for place in axes:
        place.set_axis_off()
    _draw_image(axes[0], record)
    for place, one in zip(axes[1:], shown, strict=False):
        _draw_map(place, record, one)
    bar = figure.colorbar(_scale(), ax=axes, shrink=min(1.0, 1.2 / rows), aspect=25, pad=0.01)
    bar.set_ticks([-1, 0, 1], labels=["against", "0", "for"], fontsize=7)
    bar.ax.tick_params(length=0)
    bar.outline.set_visible(False)
    figure.suptitle(_title(facts), fontsize=10)
    return figure


def _draw_image(axes: Axes, record: Record) -> None:
    axes.imshow(record.arrays["image"], interpolation="nearest")
    target = record.facts["target"]
    asked = "why" if target["index"] is not None else "what speaks for"
    words = f"{asked} {short(target['label'], 24)}?"
    axes.set_title(short(record.facts["image"]["name"], 28), fontsize=8)
    axes.text(0.5, -0.04, words, fontsize=7, ha="center", va="top", transform=axes.transAxes)


def _draw_map(axes: Axes, record: Record, one: dict[str, Any]) -> None:
    axes.set_title(one["title"], fontsize=8)
    if one["error"] is not None or one["scale"] is None:
        axes.text(0.5, 0.5, "no map", fontsize=7, ha="center", va="center", transform=axes.transAxes)
        return
    axes.imshow(_grey(record.arrays["image"]), cmap="gray", vmin=-0.7, vmax=1.1, interpolation="nearest")
    values = record.arrays[one["map"]] / (one["scale"] or 1.0)
    colours = np.where((values > 0)[..., None], FOR, AGAINST) / 255
    opacity = np.clip(np.abs(np.nan_to_num(values)), 0, 1)[..., None]
    axes.imshow(np.concatenate([colours, opacity], 2), interpolation="nearest")
    axes.text(0.5, -0.04, _numbers(one), fontsize=6, ha="center", va="top", transform=axes.transAxes, linespacing=1.3)


def _numbers(one: dict[str, Any]) -> str:
    """The value of full colour, and what was measured on a map, in three short lines."""
    checks = one["checks"]
    scale = f"full colour at {'±' if one['signed'] else ''}{one['scale']:.2g}"
    gap = "no total claimed" if checks["gap"] is None else f"gap {_percent(checks['gap'])}"
    redrawn = "" if checks["redrawn"] is None else f"redrawn {checks['redrawn']:.2f}"
    noise = "" if checks["noise"] is None else f"noise {checks['noise']:.2f}"
    rank = "" if one.get("part_rank") is None else f"parts {one['part_rank']:.2f}"
    return "\n".join(", ".join(filter(None, line)) for line in ((scale,), (gap, rank), (redrawn, noise)))


def _percent(share: float) -> str:
    return "<0.05%" if 0 < share < 5e-4 else f"{share:.1%}"


def _title(facts: dict[str, Any]) -> str:
    first = facts["labels"][0] if facts["labels"] else None
    sure = f" {first['probability']:.2f}" if first and first["probability"] is not None else ""
    said = f": {short(first['class'], 30)}{sure}" if first else ""
    warning = " (unlike what the network knows)" if facts["familiar"]["unlike"] else ""
    return f"{short(facts['network'], 40)}{said}{warning}"


def _scale() -> ScalarMappable:
    return ScalarMappable(Normalize(-1, 1), COLOURS)


def _grey(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    grey: NDArray[np.float64] = image @ np.array([0.299, 0.587, 0.114]) / 255
    return grey
