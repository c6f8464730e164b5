"""Pictures per second on a GPU, Lucent beside, and the share of what its convolutions reach at most."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence

import torch

from layerscope import objectives as ob
from layerscope.benchmarks.report import Row
from layerscope.benchmarks.synthesis import lucent
from layerscope.benchmarks.synthesis.contest import Clock, interval, per_step, ratios, rounds_of
from layerscope.benchmarks.synthesis.roof import flops_of, roof
from layerscope.benchmarks.synthesis.settings import LUCENT_STEPS, Target, own_copy
from layerscope.benchmarks.synthesis.speed import recipes_of
from layerscope.models.model import VisionModel
from layerscope.synthesis.ascent import maximise
from layerscope.synthesis.recipes import Recipe
from layerscope.types import Progress

SHAPES = ((128, 256, 56), (128, 512, 28), (256, 512, 28), (64, 256, 96))
SKIPPED = "no CUDA device here: pictures per second on a GPU were not measured"


def rows_of(
    model: VisionModel, targets: Sequence[Target], rounds: int, goal: float, on_progress: Progress, device: str = "cuda"
) -> list[Row]:
    """Rows of a layer and a canvas; wall seconds, since the processor waits for the GPU.

    pictures_per_second: of as many steps as Lucent takes. The roof is that of the CPU's table, in bfloat16.
    """
    moved = dataclasses.replace(model, module=own_copy(model).to(device))
    measures: dict[str, Callable[[], float]] = {"roof": roof(torch.bfloat16, SHAPES, device)}
    without, work = lucent.why_not(device), {}
    for done, target in enumerate(targets):
        on_progress(done, len(targets), "preparing")
        if without is None:
            measures[f"lucent {target.layer}"] = per_step(lucent.clock(model, target.layer, 0, device), 1, goal)
        for what, recipe in recipes_of(moved, target).items():
            name = f"{what} {target.layer}"
            measures[name] = per_step(_clock(moved, target.layer, recipe, device), recipe.together, goal)
            work[name] = flops_of(model, target.layer, recipe.shown, recipe.together)
    times = rounds_of(measures, rounds, on_progress)
    return [_row(times, what, target.layer, work) for what in recipes_of(moved, targets[0]) for target in targets]


def _row(times: dict[str, list[float]], what: str, layer: str, work: dict[str, int]) -> Row:
    name = f"{what} {layer}"
    ours, theirs = times[name], times.get(f"lucent {layer}")
    achieved = [work[name] / seconds for seconds in ours]
    return {
        "layer": layer,
        "canvas": what,
        "pictures_per_second": interval([1 / (LUCENT_STEPS * one) for one in ours]),
        "lucent_per_second": interval([1 / (LUCENT_STEPS * one) for one in theirs], 4) if theirs else None,
        "times": interval(ratios(theirs, ours)) if theirs else None,
        "achieved_gflops": interval([one / 1e9 for one in achieved], 0),
        "share": interval(ratios(achieved, times["roof"])),
    }


def _clock(model: VisionModel, layer: str, recipe: Recipe, device: str) -> Clock:
    """Wall seconds; pictures come back to the CPU at the end of a call, which waits for the GPU."""
    units = model.layer(layer).units
    wanted = [ob.channel(f"{layer}:{place % units}") for place in range(recipe.together)]

    def seconds(steps: int) -> float:
        began = time.perf_counter()
        maximise(model, wanted, recipe=recipe, steps=steps)
        return time.perf_counter() - began

    return seconds
