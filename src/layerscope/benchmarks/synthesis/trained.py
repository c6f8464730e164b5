"""The bundled trained networks, to look at: pictures of Lucent, of ours on its terms, and of ours as galleries are."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from layerscope.benchmarks.report import Row
from layerscope.benchmarks.synthesis import lucent
from layerscope.benchmarks.synthesis.judged import scores_of
from layerscope.benchmarks.synthesis.objective import draw
from layerscope.benchmarks.synthesis.settings import CANVAS, SHOWN, Target, like_for_like, spread
from layerscope.figures.paper import BODY, DOUBLE, TINY, bare, sheet_of
from layerscope.figures.saving import save
from layerscope.models.model import VisionModel
from layerscope.models.sources import load_model
from layerscope.synthesis.recipes import recipe_for
from layerscope.types import Progress

NETWORKS = ("menagerie", "menagerie:robust")
LAYERS = ("conv2", "conv4", "conv6", "conv7")
EXACT = (Target("conv4", 64, 0, 0), Target("conv6", 64, 0, 0))
"""Layers, and the side of their pictures: that of the network's input."""
FILE = "synthesis.png"


@dataclass(frozen=True)
class Pair:
    """Pictures of one unit by who made them, each with what it scores at the sides of both terms."""

    network: str
    layer: str
    channel: int
    pictures: dict[str, NDArray[np.uint8]]
    scores: dict[str, dict[int, float]]
    sides: tuple[int, int]
    """Of Lucent's terms, and of the network's own."""

    def rows(self) -> list[Row]:
        """One per picture. own: at the side of the recipe's pictures."""
        unit = f"{self.layer}:{self.channel}"
        first, own = self.sides
        return [
            {
                "network": self.network,
                "unit": unit,
                "picture": name,
                f"score_at_{first}": round(scores[first], 3),
                "score_at_own": round(scores[own], 3),
                "own": own,
            }
            for name, scores in self.scores.items()
        ]


def pairs_of(
    networks: Sequence[str], layers: Sequence[str], units: int, steps: int, on_progress: Progress
) -> list[Pair]:
    """Pictures of a few units per layer, evenly spaced over it and so not chosen by how they look."""
    pairs: list[Pair] = []
    for done, name in enumerate(networks):
        model = load_model(name)
        for at, layer in enumerate(layers):
            on_progress(done * len(layers) + at, len(networks) * len(layers), "trained networks")
            pairs += _pairs(model, name, layer, spread(model.layer(layer).units, units), steps)
    return pairs


def _pairs(model: VisionModel, network: str, layer: str, channels: Sequence[int], steps: int) -> list[Pair]:
    recipe = recipe_for("standard", model.layer(layer), model)
    size = model.input_size
    like = dataclasses.replace(like_for_like(model), steps=steps)
    made = {
        f"layerscope, {CANVAS} px at {SHOWN}": draw(model, layer, channels, like),
        f"layerscope, {recipe.view} px": draw(model, layer, channels, recipe),
    }
    if lucent.why_not() is None:
        theirs = {
            f"lucent, {CANVAS} px at {SHOWN}": lucent.draw(model, layer, channels, steps),
            f"lucent, {size} px": lucent.draw(model, layer, channels, steps, canvas=size, shown=size),
        }
        made = {name: made_by for pair in zip(theirs.items(), made.items(), strict=True) for name, made_by in pair}
    sides = (SHOWN, recipe.view)
    scores = {
        name: {side: scores_of(model, pictures, layer, channels, side) for side in sides}
        for name, pictures in made.items()
    }
    return [
        Pair(
            network,
            layer,
            channel,
            {name: pictures[row] for name, pictures in made.items()},
            {name: {side: float(found[row]) for side, found in at.items()} for name, at in scores.items()},
            sides,
        )
        for row, channel in enumerate(channels)
    ]


def write_sheet(pairs: Sequence[Pair], folder: Path) -> Path:
    """A row per unit, a column per maker; under each picture what it scores at both sides. Returns the file's path."""
    columns = max(len(pair.pictures) for pair in pairs)
    cell = DOUBLE / (columns + 0.6)
    figure = sheet_of(DOUBLE, len(pairs) * (cell + 0.2) + 0.3)
    panels = figure.subplots(
        len(pairs), columns + 1, squeeze=False, gridspec_kw={"width_ratios": [0.6, *[1] * columns]}
    )
    for line, pair in zip(panels, pairs, strict=True):
        for axes in line:
            bare(axes)
        line[0].text(0, 0.5, f"{pair.network}\n{pair.layer}:{pair.channel}", fontsize=BODY, va="center")
        for axes, (name, picture) in zip(line[1:], pair.pictures.items(), strict=False):
            told = "\n".join(f"{pair.scores[name][side]:.3g} at {side} px" for side in pair.sides)
            axes.imshow(picture, interpolation="bilinear")
            axes.set_title(told, fontsize=TINY, y=0, va="top", pad=-1.5, linespacing=1.1)
            if pair is pairs[0]:
                axes.text(0.5, 1.03, name, fontsize=BODY, ha="center", transform=axes.transAxes)
    return save(figure, folder / FILE)
