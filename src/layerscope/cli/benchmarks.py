"""What `layerscope benchmark` measures."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def world() -> list[dict[str, Any]]:
    """Scenes with all their truth per second of processor time, on one thread, at several sizes."""
    import torch

    from layerscope.world import render

    threads, rows = torch.get_num_threads(), []
    torch.set_num_threads(1)
    try:
        for size, count in ((32, 1280), (64, 1280), (96, 640), (128, 320)):
            render(200, size=size)
            best = min(_cpu_seconds(lambda count=count, size=size: render(count, seed=5, size=size)) for _ in range(3))  # type: ignore[misc]
            rows.append({"size": size, "scenes": count, "images_per_second_per_core": round(count / best)})
    finally:
        torch.set_num_threads(threads)
    return rows


def _cpu_seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


SUBJECTS: dict[str, Callable[[], list[dict[str, Any]]]] = {"world": world}
