"""What capture costs beside a plain forward: all methods in turn, round after round, ratios within each round."""

from __future__ import annotations

import copy
import gc
import time
from collections.abc import Sequence
from statistics import median

import torch
from torch import Tensor, nn

from layerscope.benchmarks.methods import LAST, METHODS, PLAIN, Method, Take, Values, hooked
from layerscope.benchmarks.report import Row
from layerscope.conformance.conform import in_one_line
from layerscope.conformance.trace import differences, state_of
from layerscope.models.sources import load_model
from layerscope.types import Progress

NETWORK, SIZE, BATCH = "torchvision:resnet50", 224, 8
MIB = 2**20


def rows_of(rounds: int, on_progress: Progress, network: str = NETWORK, size: int = SIZE) -> list[Row]:
    """One row per method; one that is not installed has a row that says so."""
    net = load_model(network, weights="none").module
    images = torch.randn(BATCH, 3, size, size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        truth = hooked(net, images, torch.clone)
        first = _interleaved(METHODS, net, images, truth, rounds, on_progress)
        last = _interleaved(LAST, net, images, truth, rounds, on_progress)
    return [*first, *(row for row in last if row["method"] != PLAIN.name)]


def _interleaved(
    methods: Sequence[Method], net: nn.Module, images: Tensor, truth: Values, rounds: int, on_progress: Progress
) -> list[Row]:
    rows = {method.name: _blank(method) for method in methods}
    takes: dict[str, Take] = {}
    for method in methods:
        if method.installed:
            try:
                takes[method.name] = _prepared(method, net, images, truth, rows[method.name])
            except Exception as error:  # a tool that fails has a row that says how; the others are still measured
                rows[method.name]["note"] = in_one_line(error)
    times = _times([method for method in methods if method.name in takes], takes, images, rounds, on_progress)
    for name, measured in times.items():
        rows[name] |= _ratios(measured, times[PLAIN.name])
    return list(rows.values())


def _prepared(method: Method, net: nn.Module, images: Tensor, truth: Values, row: Row) -> Take:
    """A copy of the network for the method alone, run once: what it gives, and what it leaves behind."""
    own = copy.deepcopy(net)
    before = state_of(own)
    take = method.prepare(own, images)
    values = take(images)
    if method.undo:
        method.undo()
    row["traces"] = len(differences(before, state_of(own)))
    if method is not PLAIN:
        row |= _quality(method, dict(values), truth)
    return take


def _quality(method: Method, values: Values, truth: Values) -> Row:
    """How many calls of leaves it gives, how many of those are not what the leaf put out, and what all values take."""
    given = [call for call in truth if call in values]
    wrong = sum(not torch.equal(values[call], method.reduced(truth[call])) for call in given)
    storages = [value.untyped_storage() for value in values.values()]
    size = sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())
    return {
        "values": len(values),
        "calls": f"{len(given)} of {len(truth)}",
        "wrong": wrong,
        "MiB": round(size / MIB),
    }


def _times(
    methods: Sequence[Method], takes: dict[str, Take], images: Tensor, rounds: int, on_progress: Progress
) -> dict[str, list[tuple[float, float]]]:
    """Wall and processor seconds by method and round. Each round begins with another method."""
    times: dict[str, list[tuple[float, float]]] = {method.name: [] for method in methods}
    for done in range(rounds):
        on_progress(done, rounds, f"rounds of {len(methods)} methods")
        for place in range(len(methods)):
            method = methods[(place + done) % len(methods)]
            gc.collect()
            wall, cpu = time.perf_counter(), time.process_time()
            values = takes[method.name](images)
            times[method.name].append((time.perf_counter() - wall, time.process_time() - cpu))
            del values
            if method.undo:
                method.undo()
    return times


def _ratios(measured: list[tuple[float, float]], plain: list[tuple[float, float]]) -> Row:
    """Medians of the ratios to the plain forward of the same round, and the smallest and largest of them."""
    wall, cpu = ([one[k] / other[k] for one, other in zip(measured, plain, strict=True)] for k in (0, 1))
    return {
        "wall": f"{median(wall):.2f}x",
        "cpu": f"{median(cpu):.2f}x",
        "from": f"{min(wall):.2f}x",
        "to": f"{max(wall):.2f}x",
        "seconds": round(median(seconds for seconds, _ in measured), 3),
    }


def _blank(method: Method) -> Row:
    empty = dict.fromkeys(("values", "calls", "wrong", "MiB", "traces", "wall", "cpu", "from", "to", "seconds"))
    return {"method": method.name} | empty | {"note": None if method.installed else "not installed"}
