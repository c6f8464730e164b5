"""Scenes with all their truth per second of processor time, on one thread, at several sizes."""

from __future__ import annotations

import time
from collections.abc import Callable

from layerscope.benchmarks.report import Options, Report, Row, manifest, threads
from layerscope.types import Progress
from layerscope.world import render

SIZES = ((32, 1280), (64, 1280), (96, 640), (128, 320))  # pixels, scenes


def measure(options: Options, on_progress: Progress) -> Report:
    """The best of three runs for each size. One thread, whatever the options say: it is a rate per core."""
    rows: list[Row] = []
    with threads(1):
        for done, (size, count) in enumerate(SIZES):
            on_progress(done, len(SIZES), "sizes of scenes")
            render(200, size=size)
            best = min(_cpu_seconds(lambda count=count, size=size: render(count, seed=5, size=size)) for _ in range(3))  # type: ignore[misc]
            rows.append({"size": size, "scenes": count, "images_per_second_per_core": round(count / best)})
        return Report({"rows": rows}, manifest())


def _cpu_seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began
