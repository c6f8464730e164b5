"""Interleaved measurement: everything in turn, round after round, so that what slows the machine slows all alike."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

from layerscope.types import Progress

Clock = Callable[[int], float]
"""Processor seconds of a call of so many steps."""
FEW = 1


def rounds_of(
    measures: Mapping[str, Callable[[], float]], rounds: int, on_progress: Progress
) -> dict[str, list[float]]:
    """One number per measure and round. Each round begins with another measure."""
    found: dict[str, list[float]] = {name: [] for name in measures}
    order = list(measures)
    for turn in range(rounds):
        first = turn % len(order)
        for place, name in enumerate(order[first:] + order[:first]):
            on_progress(turn * len(order) + place, rounds * len(order), f"{rounds} rounds")
            gc.collect()
            found[name].append(measures[name]())
    return found


def per_step(clock: Clock, pictures: int, goal: float) -> Callable[[], float]:
    """Measures seconds per image-step: the difference of calls of two step counts, so that what a call does once drops
    out. The first calls choose the counts so that the difference is about `goal` seconds, and warm up."""
    clock(FEW)
    once = max((clock(FEW + 2) - clock(FEW)) / 2, 1e-3)
    more = min(max(math.ceil(goal / once), 2), 64)
    return lambda: (clock(FEW + more) - clock(FEW)) / (more * pictures)


def processor_clock(run: Callable[[int], object]) -> Clock:
    """The clock of a function that takes the number of steps."""

    def seconds(steps: int) -> float:
        began = time.process_time()
        run(steps)
        return time.process_time() - began

    return seconds


def interval(values: Sequence[float], digits: int = 2) -> dict[str, Any]:
    """The median over rounds, the smallest and the largest."""
    return {
        name: round(value, digits)
        for name, value in {"value": median(values), "low": min(values), "high": max(values)}.items()
    }


def ratios(over: Sequence[float], under: Sequence[float]) -> list[float]:
    """Of the same round each."""
    return [one / other for one, other in zip(over, under, strict=True)]


def held(value: float | None, bound: float, least: bool = True) -> bool | None:
    """Whether a bound is kept; None for what was not measured."""
    return None if value is None else (value >= bound if least else value <= bound)
