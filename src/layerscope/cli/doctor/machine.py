"""What this machine has: cores, memory, accelerators, and whether half precision pays on it."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from layerscope.cli.doctor.finding import Finding
from layerscope.engine import usable_cores

_GIB = 2**30
_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
_ROUNDS, _PAYS = 7, 1.15
_CLOSE = 0.05
"""Largest difference from float32, relative to the largest value: bfloat16 has eight binary digits."""


def processor() -> Iterator[Finding]:
    """Cores, threads and memory."""
    cores, threads = usable_cores(), torch.get_num_threads()
    facts = {"cores": cores, "cores_in_all": os.cpu_count(), "threads": threads}
    words = f"{_counted(cores, 'core')} to use, torch with {_counted(threads, 'thread')}"
    yield Finding("processor", "good", words, facts=facts)
    total, free = _memory()
    state, advice = ("poor", "small recipes and --engine local take least") if free < 2 * _GIB else ("good", "")
    words = f"{free / _GIB:.1f} GiB free of {total / _GIB:.1f}"
    yield Finding("memory", state, words, advice, {"free": free, "total": total})  # type: ignore[arg-type]


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def accelerators() -> Iterator[Finding]:
    """GPUs that torch sees."""
    use = "Python only: wrap(module.to(...)); the commands compute on the processor"
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            found = torch.cuda.get_device_properties(index)
            words = f"{found.name}, {found.total_memory / _GIB:.0f} GiB, compute capability {found.major}.{found.minor}"
            facts = {"name": found.name, "memory": found.total_memory, "capability": [found.major, found.minor]}
            yield Finding(f"cuda:{index}", "good", words, use, facts)
    elif torch.backends.mps.is_available():
        yield Finding("mps", "good", "the GPU of this Mac", use)
    else:
        yield Finding("gpu", "absent", "none that torch sees; everything works without one")


def half_precision() -> Iterator[Finding]:
    """Whether bfloat16 gives what float32 gives, and how much sooner: measured on a small convolution."""
    for device in ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]:
        images = torch.rand(8, 64, 32, 32, generator=torch.Generator().manual_seed(0)).to(device)
        weights = torch.randn(64, 64, 3, 3, generator=torch.Generator().manual_seed(1)).to(device)
        whole, half = _convolution(images, weights), _convolution(images.bfloat16(), weights.bfloat16())
        right = whole()
        gap = ((half().float() - right).abs().max() / right.abs().max()).item()
        ratio = _ratio(whole, half)
        facts = {"device": device, "speed": round(ratio, 2), "gap": gap}
        if not gap < _CLOSE:
            yield Finding(f"bf16, {device}", "poor", f"differs from float32 by {gap:.0%}", "use float32", facts)
        else:
            verdict = "pays" if ratio > _PAYS else "works, but does not pay"
            yield Finding(f"bf16, {device}", "good", f"{verdict}: {ratio:.1f} times the speed of float32", facts=facts)


def _convolution(images: torch.Tensor, weights: torch.Tensor) -> Callable[[], torch.Tensor]:
    def run() -> torch.Tensor:
        with torch.no_grad():
            made = torch.nn.functional.conv2d(images, weights, padding=1)
        if made.is_cuda:
            torch.cuda.synchronize()
        return made

    return run


def _ratio(one: Callable[[], object], other: Callable[[], object]) -> float:
    """Median time of `one` over that of `other`, taken in turns."""
    taken: tuple[list[float], list[float]] = ([], [])
    for _ in range(_ROUNDS):
        for run, times in zip((one, other), taken, strict=True):
            began = time.perf_counter()
            run()
            times.append(time.perf_counter() - began)
    return statistics.median(taken[0]) / statistics.median(taken[1])


def _memory() -> tuple[int, int]:
    """Bytes in all, and free: of the machine, or of what this container may take."""
    page = os.sysconf("SC_PAGE_SIZE")
    total = page * os.sysconf("SC_PHYS_PAGES")
    free = _available() or page * os.sysconf("SC_AVPHYS_PAGES")
    limits = [int(text) for path in _LIMITS if (text := _first_line(path)).isdecimal()]
    total = min([total, *limits])
    return total, min(free, total)


def _available() -> int | None:
    """What Linux says can be had without swapping, caches included."""
    for line in _lines("/proc/meminfo"):
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def _first_line(path: str) -> str:
    return next(iter(_lines(path)), "").strip()


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="ascii").splitlines()
    except OSError:
        return []
