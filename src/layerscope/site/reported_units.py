"""The units of one layer of a hierarchy report as the pages read them: by column, all of one layer or a few of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layerscope.figures.palette import hue_colour as hue_colour
from layerscope.site.explained import rounded
from layerscope.site.summary import number

_DOTS = (
    *("unit", "label", "confidence", "edge_passed", "colour_passed"),
    *("orientation", "orientation_selectivity", "frequency", "hue", "colour_index"),
)
_CURVES = ("orientation", "frequency", "hue")
Columns = Mapping[str, Sequence[Any]]
Arrays = Mapping[str, NDArray[Any]]


def table(columns: Columns, rows: Sequence[int], arrays: Arrays, layer: str, units: Sequence[int]) -> dict[str, Any]:
    """All numbers of some `units` of a layer by column, and the pictures of the probe that excite each most.

    `rows`: the places of the layer's units in `columns`. "exemplars" holds by unit the numbers into the probe's sheet,
    "scores" the activations there, and "boxes" what the unit sees of each: left, top and side as parts of its side;
    "hue_colours" the colours of the hues in "units".
    """
    places = [rows[unit] for unit in units]
    told = {
        name: [rounded(values[place]) for place in places]
        for name, values in columns.items()
        if name != "layer" and any(values[place] is not None for place in places)
    }
    chosen = list(units)
    exemplars = arrays[f"exemplars/{layer}"][chosen]
    if exemplars.size and not 0 <= exemplars.min() <= exemplars.max() < len(arrays["probe"]):
        raise ValueError(f"exemplars of {layer[:80]!r} are no pictures of the probe")
    hues = told.get("hue")
    return {
        "units": told,
        "hue_colours": None if hues is None else [None if hue is None else hue_colour(hue) for hue in hues],
        "exemplars": exemplars.tolist(),
        "scores": _plain(arrays[f"exemplar_scores/{layer}"][chosen]),
        "boxes": _plain(arrays[f"exemplar_boxes/{layer}"][chosen]),
    }


def dots(columns: Columns, rows: Sequence[int]) -> dict[str, list[Any]]:
    """What the tuning plots of a layer show of each of its units."""
    return {name: [rounded(columns[name][row]) for row in rows] for name in _DOTS if name in columns}


def tuning(arrays: Arrays, layer: str) -> dict[str, Any]:
    """By stimulus the tuning curve of each unit; None for a dead one."""
    found = {}
    for name in _CURVES:
        curves = arrays.get(f"tuning/{layer}/{name}")
        if curves is not None:
            found[name] = [_plain(curve) if np.isfinite(curve).any() else None for curve in curves]
    return found


def _plain(values: NDArray[Any]) -> Any:
    """Nested lists of numbers of five digits, None for what is not finite."""
    if values.ndim > 1:
        return [_plain(one) for one in values]
    return [number(float(value)) for value in values]
