"""Processor time of a step of one picture: Lucent, ours on its terms, ours on canvases that fit; and the roof."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import median

import torch

from layerscope import objectives as ob
from layerscope.benchmarks.report import Row
from layerscope.benchmarks.synthesis import lucent
from layerscope.benchmarks.synthesis.contest import (
    Clock,
    held,
    interval,
    per_step,
    processor_clock,
    ratios,
    rounds_of,
)
from layerscope.benchmarks.synthesis.roof import BOUND, flops_of, roof
from layerscope.benchmarks.synthesis.settings import Target, fitted, like_for_like
from layerscope.models.model import VisionModel
from layerscope.synthesis.ascent import maximise
from layerscope.synthesis.recipes import Recipe
from layerscope.types import Progress

LIKE, FITTED = CANVASES = ("like for like", "fitted canvas")
ROOFED = ("layer3", "layer4")
"""Stages whose share of the roof is asked for."""
Times = Mapping[tuple[str, str], Sequence[float]]
"""By what and layer: a number per round; seconds per image-step, for "roof" operations per second."""


def times_of(
    model: VisionModel, targets: Sequence[Target], rounds: int, goal: float, on_progress: Progress
) -> dict[tuple[str, str], list[float]]:
    """Everything in turn, round after round. goal: about how many seconds each measurement takes."""
    measures: dict[tuple[str, str], Callable[[], float]] = {}
    without = lucent.why_not()
    for done, target in enumerate(targets):
        on_progress(done, len(targets), "preparing")
        if without is None:
            measures["lucent", target.layer] = per_step(lucent.clock(model, target.layer, 0), 1, goal)
        for what, recipe in recipes_of(model, target).items():
            measures[what, target.layer] = per_step(our_clock(model, target.layer, recipe), recipe.together, goal)
    for precision in dict.fromkeys(fitted(model, target.view).precision for target in targets):
        measures["roof", precision] = roof(getattr(torch, precision))
    names = {str(at): at for at in measures}
    found = rounds_of({str(at): measure for at, measure in measures.items()}, rounds, on_progress)
    return {names[name]: values for name, values in found.items()}


def recipes_of(model: VisionModel, target: Target) -> dict[str, Recipe]:
    """On the terms of Lucent, and on the canvas that fits."""
    return dict(zip(CANVASES, (like_for_like(model), fitted(model, target.view)), strict=True))


def our_clock(model: VisionModel, layer: str, recipe: Recipe) -> Clock:
    """Of a call that makes a full batch of pictures."""
    units = model.layer(layer).units
    wanted = [ob.channel(f"{layer}:{place % units}") for place in range(recipe.together)]
    return processor_clock(lambda steps: maximise(model, wanted, recipe=recipe, steps=steps))


def rows_of(times: Times, targets: Sequence[Target]) -> list[Row]:
    """Milliseconds per image-step and how many times less ours takes, the median over rounds and their range."""
    rows = []
    for what in CANVASES:
        for target in targets:
            ours, theirs = times[what, target.layer], times.get(("lucent", target.layer))
            bound = target.like if what == LIKE else target.fitted
            times_less = interval(ratios(theirs, ours)) if theirs else None
            rows.append(
                {
                    "layer": target.layer,
                    "canvas": what,
                    "lucent_ms": interval([1000 * one for one in theirs]) if theirs else None,
                    "layerscope_ms": interval([1000 * one for one in ours], 3),
                    "times": times_less,
                    "bound": bound,
                    "held": held(times_less["value"] if times_less else None, bound),
                }
            )
    return rows


def roof_rows(model: VisionModel, times: Times, targets: Sequence[Target]) -> list[Row]:
    """What the ascent achieves beside the roof of the same round, in GFLOP per second and core; and how many times less
    than Lucent's the step would take of an ascent that did nothing but these convolutions, at the roof."""
    return [_roof_row(model, times, target, what) for what in CANVASES for target in targets]


def _roof_row(model: VisionModel, times: Times, target: Target, what: str) -> Row:
    recipe = recipes_of(model, target)[what]
    work, limit = flops_of(model, target.layer, recipe.shown, recipe.together), times["roof", recipe.precision]
    achieved = [work / seconds for seconds in times[what, target.layer]]
    share = interval(ratios(achieved, limit))
    theirs = times.get(("lucent", target.layer))
    at_roof = [work / rate for rate in limit]
    asked = what == FITTED and target.layer.partition(".")[0] in ROOFED
    return {
        "layer": target.layer,
        "canvas": what,
        "precision": recipe.precision,
        "gflop_per_image_step": round(work / 1e9, 2),
        "achieved": interval([one / 1e9 for one in achieved], 1),
        "roof": interval([one / 1e9 for one in limit], 1),
        "share": share,
        "times_at_roof": round(median(ratios(theirs, at_roof)), 1) if theirs else None,
        "bound": BOUND if asked else None,
        "held": held(share["value"], BOUND) if asked else None,
    }
