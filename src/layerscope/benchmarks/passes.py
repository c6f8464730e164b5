"""What a pass over a data set costs beside a plain forward, where every convolution is summarised at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

import torch
from torch import nn

from layerscope.benchmarks.report import Options, Report, Row, manifest, threads
from layerscope.capture.evaluating import evaluating
from layerscope.errors import InputError
from layerscope.models.model import VisionModel
from layerscope.models.sources import load_model
from layerscope.passes.accumulators import TopK
from layerscope.passes.base import Accumulator
from layerscope.passes.class_sums import ClassSums
from layerscope.passes.histogram import Histogram
from layerscope.passes.moments import Moments
from layerscope.passes.ranges import Range
from layerscope.passes.sweep import sweep
from layerscope.types import Images, Progress

NETWORK, BATCH, CLASSES = "torchvision:resnet50", 32, 20
MOST_MB, MOST_TIMES = 150, 1.3
Make = Callable[[str], Accumulator[Any]]
"""Makes the accumulator of a layer."""


def measure(options: Options, on_progress: Progress) -> Report:
    """Ratios to the plain forward of the same round, for each accumulator alone and for all in one pass."""
    if options.networks != "*" or options.conformance or not options.rounds:
        raise InputError(
            f"passes are timed on {NETWORK} alone; leave out --networks and --conformance, and give rounds"
        )
    with threads(options.threads):
        rows = rows_of(load_model(NETWORK, weights="none"), options.rounds, on_progress)
        return Report({"rows": rows}, manifest(), _summary(rows))


def rows_of(model: VisionModel, rounds: int, on_progress: Progress) -> list[Row]:
    """A row for the plain forward, each accumulator, and all of them, over all convolutions of the network.

    Accumulators go on from round to round, each of new images, after a first batch that is not timed: a pass over a
    data set is many batches, and only in the first one is every image among the strongest.
    """
    layers = [name for name, part in model.module.named_modules() if isinstance(part, nn.Conv2d)]
    makes = _makes(model, layers)
    ways = {"plain forward": {}, **{name: {name: make} for name, make in makes.items()}, "all of these": makes}
    kept = {way: {layer: [make(layer) for make in some.values()] for layer in layers} for way, some in ways.items()}
    times: dict[str, list[float]] = {way: [] for way in ways}
    for turn in range(rounds + 1):
        on_progress(turn, rounds + 1, f"rounds of {len(ways)} passes")
        images = _images(model, turn)
        for way in [*ways][turn % len(ways) :] + [*ways][: turn % len(ways)]:
            times[way].append(_seconds(model, images, kept[way] if ways[way] else {}, turn * BATCH))
    plain = times["plain forward"][1:]
    units = sum(model.layer(layer).units for layer in layers)
    return [
        {
            "pass": way,
            "units": units if ways[way] else 0,
            "state_mb": round(sum(one.nbytes for some in kept[way].values() for one in some) / 1e6, 1),
            **_ratios(measured[1:], plain),
        }
        for way, measured in times.items()
    ]


def _ratios(measured: Sequence[float], plain: Sequence[float]) -> Row:
    """Median of the ratios to the plain forward of the same round, the smallest and the largest."""
    ratios = [own / other for own, other in zip(measured, plain, strict=True)]
    found = {"times": median(ratios), "from": min(ratios), "to": max(ratios)}
    return {
        **{name: round(ratio, 2) for name, ratio in found.items()},
        "per_second": round(BATCH / median(measured), 1),
    }


def _images(model: VisionModel, turn: int) -> Images:
    shape = (BATCH, model.channels, model.input_size, model.input_size)
    return torch.rand(shape, generator=torch.Generator().manual_seed(turn))


def _makes(model: VisionModel, layers: Sequence[str]) -> dict[str, Make]:
    """Histograms need the range of each unit, from a pilot over a few images."""
    pilots = {layer: (Range(),) for layer in layers}
    sweep(model, _images(model, 0)[:8], pilots)
    ranges = {layer: pilot.compute().raised() for layer, (pilot,) in pilots.items()}
    labels = torch.arange(10_000) % CLASSES
    return {
        "histograms, 1024 bins": lambda layer: Histogram(ranges[layer].low, ranges[layer].high),
        "top 9 with positions": lambda layer: TopK(9),
        "moments": lambda layer: Moments(),
        "class sums": lambda layer: ClassSums(labels),
    }


def _seconds(model: VisionModel, images: Images, kept: Mapping[str, Sequence[Accumulator[Any]]], first: int) -> float:
    """Of a pass over one batch; without accumulators of a plain forward."""
    began = time.perf_counter()
    if kept:
        sweep(model, images, kept, first=first)
    else:
        with evaluating(model.module), torch.no_grad():
            model(images)
    return time.perf_counter() - began


def _summary(rows: Sequence[Row]) -> str:
    last = rows[-1]
    held = [
        f"{'at most' if value <= most else 'more than'} {most} {what}"
        for value, most, what in (
            (last["state_mb"], MOST_MB, "MB of state"),
            (last["times"], MOST_TIMES, "times the forward"),
        )
    ]
    return f"{last['units']} units in one pass: {', '.join(held)}"
