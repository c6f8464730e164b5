"""What values in memory show in a notebook: pictures that were climbed, scenes, maps, layers, activations, methods.

They come as plain arrays and words, since this floor knows no network.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layerscope.figures.html import Content, facts, line, name, page, picture, strong, table, tile, tiles
from layerscope.figures.pictures import FULL_COLOUR, evidence_on_paper
from layerscope.figures.words import number, percent, plural, signed, sizes

_MOST = 48
"""Pictures of a card at most; a line says how many more there are."""
_SIDE = 112
_UNITS = 6


def synthesis_card(
    pictures: Sequence[NDArray[np.uint8]] | NDArray[Any],
    objectives: Sequence[str],
    numbers: Mapping[str, NDArray[Any]],
    status: Sequence[str],
    notes: Sequence[str],
    seconds: float,
) -> str:
    """Pictures beside what was measured on each.

    numbers: by name ("score", "before the ascent", "saturated"), [n].
    """
    shown = []
    for place in range(min(len(pictures), _MOST)):
        values = {key: float(found[place]) for key, found in numbers.items()}
        told = [[f"{key} ", strong(number(value))] for key, value in values.items() if key != "saturated"]
        measured = ", ".join(f"{key} {number(value)}" for key, value in values.items())
        alt = f"{objectives[place]}: {measured}, {status[place]}"
        shown.append(
            tile(
                picture(pictures[place], alt, _SIDE),
                strong(name(objectives[place], 60)),
                *told,
                [
                    strong(status[place]),
                    f", {percent(values['saturated'])} saturated" if "saturated" in values else None,
                ],
                name(notes[place], 160) if notes[place] else None,
                side=_SIDE,
            )
        )
    return page(
        f"{plural(len(pictures), 'picture')} that climbed",
        line(
            "Scores are those of the 8-bit picture on the network itself; the control is the same image before the "
            "ascent."
        ),
        tiles(shown),
        _rest(len(pictures)),
        facts({"took": f"{seconds:.1f} s"}),
    )


def scenes_card(
    pictures: NDArray[np.uint8],
    labels: Sequence[str],
    seeds: Sequence[int],
    covered: Sequence[float],
    parts: Sequence[int],
) -> str:
    """Scenes with their labels. covered: the share of each that the thing covers; parts: how many of its parts are
    seen."""
    shown = [
        tile(
            picture(pictures[place], f"{labels[place]}, seed {seeds[place]}: covers {percent(covered[place])}", 96),
            strong(name(labels[place], 24)),
            f"seed {seeds[place]}",
            f"{percent(covered[place])}, {plural(parts[place], 'part')}",
        )
        for place in range(min(len(pictures), _MOST))
    ]
    return page(
        f"{plural(len(pictures), 'scene')} of {sizes(pictures.shape[1:3])} px",
        line(
            "With masks of things, parts, textures, colours and edges. Under each: the share of the picture that the "
            "thing covers, and its parts in sight."
        ),
        tiles(shown),
        _rest(len(pictures)),
    )


def attribution_card(
    maps: NDArray[np.float32],
    values: NDArray[np.float32],
    method: str,
    targets: Sequence[str],
    told: Sequence[Mapping[str, str]],
    about: Mapping[str, Content],
) -> str:
    """Maps [n, height, width] of one method; of values [n, units] without places, the strongest instead.

    told: of each, what was measured. about: what it was made with.
    """
    if maps.ndim != 3:
        return _strongest(values, method, targets, told, about)
    shown = []
    for place in range(min(len(maps), _MOST)):
        scale = full_colour(maps[place])
        measured = told[place]
        alt = f"{method} for {targets[place]}: {', '.join(f'{key} {value}' for key, value in measured.items())}"
        shown.append(
            tile(
                picture(evidence_on_paper(maps[place], scale), alt, _SIDE),
                strong(name(targets[place], 40)),
                *([f"{key} ", strong(value)] for key, value in measured.items()),
                f"full colour at {number(scale)}" if scale else "empty map",
                side=_SIDE,
            )
        )
    return page(
        ["Attribution by ", name(method, 40)],
        line(
            "Orange speaks for the score, blue against it. gap: what is missing in the sum (0 best). redrawn: "
            "correlation with the map of the network with its top layers drawn anew (0 best). noise: with that of a "
            "noisy image (1 best)."
        ),
        tiles(shown),
        _rest(len(maps)),
        facts(about),
    )


def _strongest(
    values: NDArray[np.float32],
    method: str,
    targets: Sequence[str],
    told: Sequence[Mapping[str, str]],
    about: Mapping[str, Content],
) -> str:
    """A row for each image, with the units that speak most for and against its score."""
    rows = []
    for one, target, measured in zip(values.reshape(len(values), -1), targets, told, strict=True):
        order = np.argsort(-np.abs(one), kind="stable")[:_UNITS]
        units = ", ".join(f"{unit}: {signed(float(one[unit]))}" for unit in order if one[unit])
        rows.append([name(target, 40), *measured.values(), units])
    heads = ["target", *(told[0] if told else ()), "units that count most"]
    return table_card(["Attribution by ", name(method, 40)], about, heads, rows[:_MOST])


def table_card(
    title: Content,
    about: Mapping[str, Content],
    heads: Sequence[str],
    rows: Sequence[Sequence[Content]],
    numbers: Iterable[int] = (),
) -> str:
    """A heading, facts, and a table."""
    return page(title, facts(about) if about else None, table(heads, rows, numbers) if rows else None)


def full_colour(values: NDArray[Any]) -> float:
    """The size of evidence at full colour: the largest one where nearly all of a map is zero, 0 for an empty map."""
    found = np.abs(values[np.isfinite(values)]).astype(np.float64)
    return float(np.quantile(found, FULL_COLOUR)) or float(found.max()) if found.size else 0.0


def _rest(count: int) -> Content:
    return line(f"and {count - _MOST:,} more") if count > _MOST else None
