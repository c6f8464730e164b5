"""Is the objective reached as well? Pictures of Lucent and ours, of the same units after as many steps."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from layerscope import objectives as ob
from layerscope.benchmarks.report import Row
from layerscope.benchmarks.synthesis import lucent
from layerscope.benchmarks.synthesis.judged import ratio_of_means, scores_of
from layerscope.benchmarks.synthesis.settings import (
    CANVAS,
    LUCENT_RATE,
    SHOWN,
    Target,
    coloured_noise,
    fitted,
    like_for_like,
    spread,
)
from layerscope.models.model import VisionModel
from layerscope.synthesis.ascent import maximise
from layerscope.synthesis.recipes import Recipe
from layerscope.types import Progress


def rows_of(model: VisionModel, targets: Sequence[Target], units: int, steps: int, on_progress: Progress) -> list[Row]:
    """Two rows per layer: every picture shown at the side of Lucent's terms, and at that of the fitted canvas.

    All take `steps` steps at Lucent's learning rate, so that paths are as long. `start` is 1/f noise, not climbed.
    Stronger contrast alone raises many a score, so it is told too. The bound: like for like, ours score no less.
    """
    rows = []
    for done, target in enumerate(targets):
        on_progress(done, len(targets), "the objective reached")
        channels = spread(model.layer(target.layer).units, units)
        made = pictures_of(model, target, channels, steps)
        for side in (SHOWN, target.view):
            rows.append(_row(model, target, channels, steps, made, side))
    return rows


def pictures_of(
    model: VisionModel, target: Target, channels: Sequence[int], steps: int
) -> dict[str, NDArray[np.uint8]]:
    """Pictures [unit, height, width, 3] by who made them; none of Lucent where it cannot run."""
    ours = {
        "like": dataclasses.replace(like_for_like(model), steps=steps),
        "fitted": dataclasses.replace(fitted(model, target.view), steps=steps, lr=LUCENT_RATE),
    }
    made = {name: draw(model, target.layer, channels, recipe) for name, recipe in ours.items()}
    if lucent.why_not() is None:
        made["lucent"] = lucent.draw(model, target.layer, channels, steps)
    return made


def draw(model: VisionModel, layer: str, channels: Sequence[int], recipe: Recipe) -> NDArray[np.uint8]:
    """Our pictures [unit, height, width, 3] of channels."""
    return maximise(model, [ob.channel(f"{layer}:{channel}") for channel in channels], recipe=recipe).images


def _row(
    model: VisionModel,
    target: Target,
    channels: Sequence[int],
    steps: int,
    made: dict[str, NDArray[np.uint8]],
    side: int,
) -> Row:
    scores = {name: scores_of(model, pictures, target.layer, channels, side) for name, pictures in made.items()}
    noise = (coloured_noise(len(channels), CANVAS).permute(0, 2, 3, 1) * 255).round().byte().numpy()
    start = scores_of(model, noise, target.layer, channels, side)
    theirs = scores.get("lucent")
    means = {name: _mean(scores.get(name)) for name in ("lucent", "like", "fitted")}
    row: Row = {
        "layer": target.layer,
        "shown_at": side,
        "units": len(channels),
        "steps": steps,
        "start": _mean(start),
        **means,
    }
    for name in ("like", "fitted"):
        row[f"{name}_by_lucent"] = None if theirs is None else ratio_of_means(scores[name], theirs)
    asked = side == SHOWN and theirs is not None
    contrasts = {f"{name}_contrast": contrast(made[name]) if name in made else None for name in ("lucent", "like")}
    return row | contrasts | {"held": row["like_by_lucent"]["value"] >= 1 if asked else None}


def contrast(pictures: NDArray[np.uint8]) -> float:
    """Root mean square of values in [0, 1] around the mean colour of each picture, the mean over pictures."""
    values = pictures / 255
    return round(float(np.sqrt(np.square(values - values.mean((1, 2), keepdims=True)).mean((1, 2, 3))).mean()), 3)


def _mean(scores: NDArray[np.float32] | None) -> float | None:
    return None if scores is None else round(float(scores.mean()), 4)
