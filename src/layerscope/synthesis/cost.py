"""What a picture costs: the work of a step counted exactly, and the time of a unit of work measured here and now.

    seconds of a step of one picture = per_pixel * pixels + per_mac * macs

pixels: of the canvas and of what the network is shown (parametrisation, transforms, normalisation). macs:
multiply-accumulates of the network's convolutions and matrix products up to the objective's layers, forward and
backward to the image. Of the two-parameter models that were tried (a constant, pixels or bytes moved, beside macs) this
one predicts best: fitted to an early and a deep layer in float32, the six layers that were timed of each of resnet18,
resnet50, vgg11 and mobilenet_v3_large came out within 9 %. In bfloat16 depthwise convolutions fit it less well (single
layers of mobilenet_v3_large up to 27 % off), so that a layer in between is timed too.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from layerscope.capture.evaluating import evaluating
from layerscope.capture.hooks import capture
from layerscope.models.model import VisionModel
from layerscope.objectives import Objective
from layerscope.synthesis.ascent import maximise
from layerscope.synthesis.plan import REFUSALS, example_of, that_fits
from layerscope.synthesis.recipes import Recipe
from layerscope.synthesis.work import JUDGED

Layers = tuple[str, ...]
"""Names that an objective reads, as `Objective.layers`."""
TIMED = 3
"""Steps that are timed; one before them is not, as libraries choose and compile kernels in it."""


@dataclass(frozen=True)
class Load:
    """The work of one step of one picture."""

    pixels: int
    macs: int


@dataclass(frozen=True)
class Rates:
    """How long work takes, in seconds of one core (on a GPU: of the device)."""

    per_pixel: float
    per_mac: float
    start: float = 0.0
    """Of each call of `maximise`: the private copy."""
    cores: float = 1.0
    """Cores that one process keeps busy."""

    def step(self, load: Load) -> float:
        """One step of one picture."""
        return self.per_pixel * load.pixels + self.per_mac * load.macs

    def call(self, load: Load, recipe: Recipe, pictures: int) -> float:
        """One call of `maximise` for so many pictures of equal layers; a batch that is not full costs a full one."""
        climbing = _filled(pictures, recipe.together) * recipe.steps * self.step(load)
        # the ends, the starts, and once those that never climbed
        judging = (2 * _filled(pictures, JUDGED) + JUDGED) * self.per_mac * load.macs / 2
        return self.start + climbing + judging


def _filled(pictures: int, batch: int) -> int:
    return batch * math.ceil(pictures / batch)


TYPICAL = Rates(per_pixel=1e-7, per_mac=2e-11)
"""Of a core of 2023 in float32; good for shares of a whole, where only their ratio counts."""


def loads(model: VisionModel, wanted: Sequence[tuple[Recipe, Layers]]) -> list[tuple[Recipe, Load]]:
    """What a step costs for each recipe and its objective's layers, counted on one forward per size of picture.

    A recipe comes back at the network's input size where the network refuses its own up to these layers. The backward
    pass to the image costs what the forward pass did: each convolution and matrix product has one more, with the same
    number of multiply-accumulates. What ran before the layers without being on the way to them (a parallel branch) is
    counted as if it were; what the network computes in other ways (recurrent cells, quantised layers) is not counted.
    Raises what the network raises at its input size.
    """
    distinct = list(dict.fromkeys(wanted))
    counts = {
        side: forward_macs(model, side, [layers for recipe, layers in distinct if recipe.shown == side])
        for side in sorted({recipe.shown for recipe, _ in distinct})
    }
    found = {}
    for recipe, layers in distinct:
        fits, macs = recipe, counts[recipe.shown].get(layers)
        if macs is None:  # refused by these layers, or only by deeper ones
            fits = that_fits(model, recipe, layers)
            macs = forward_macs(model, fits.shown, [layers])[layers]
        found[recipe, layers] = fits, Load(fits.wander.canvas**2 + fits.shown**2, 2 * macs)
    return [found[one] for one in wanted]


def forward_macs(model: VisionModel, side: int, wanted: Sequence[Layers]) -> dict[Layers, int]:
    """Multiply-accumulates of one forward of `side` pixels until the layers are there, on the network itself.

    Empty where it refuses a picture that is smaller than its input; raises what it raises at its input size.
    """
    names = sorted({name for layers in wanted for name in layers})
    counter = FlopCounterMode(display=False)

    def so_far(activation: Tensor) -> Tensor:
        return torch.tensor(counter.get_total_flops())

    picture = example_of(model)[..., :side, :side].to(model.dtype)
    try:
        with evaluating(model.module), capture(model, names, reduce=so_far) as counts, counter:
            model.module(picture)
    except REFUSALS:
        if side >= model.input_size:
            raise
        return {}
    return {layers: max(int(counts[name]) for name in layers) // 2 for layers in wanted}


def fit(samples: Sequence[tuple[Load, float]]) -> Rates:
    """The rates that predict the measured seconds per step best, relative to each; of one sample, TYPICAL ones scaled.

    Least squares of the relative error. The solution nearest to TYPICAL times one factor is taken where several
    predict the same, and a rate that would be negative is 0.
    """
    typical = np.array([TYPICAL.per_pixel, TYPICAL.per_mac])
    rows = np.array([[load.pixels, load.macs] for load, _ in samples]) * typical
    rows = rows / np.array([[seconds] for _, seconds in samples])
    factor = 1 / float(np.mean(rows.sum(1)))
    change = np.linalg.lstsq(rows, 1 - rows.sum(1) * factor, rcond=1e-6)[0]
    factors = factor + change
    for at in np.flatnonzero(factors < 0):
        other = rows[:, 1 - at]
        factors[at], factors[1 - at] = 0.0, other.sum() / (other @ other)
    return Rates(*(float(value) for value in typical * factors))


def calibrate(
    model: VisionModel, samples: Sequence[tuple[Recipe, Load, Sequence[Objective]]], threads: int | None = None
) -> Rates:
    """The rates of this machine and network, from a few real steps for each sample: a recipe, its load, objectives.

    threads: of torch meanwhile, by default as it is set. Takes some seconds for a large network.
    """
    with torch_threads(threads):
        timed = [_timed(model, recipe, objectives) for recipe, _, objectives in samples]
    rates = fit([(load, one.step) for (_, load, _), one in zip(samples, timed, strict=True)])
    known = [rates.call(load, _short(recipe), len(objectives)) for recipe, load, objectives in samples]
    start = statistics.median(one.core - rest for one, rest in zip(timed, known, strict=True))
    cores = sum(one.core for one in timed) / sum(one.wall for one in timed)
    return dataclasses.replace(rates, start=max(start, 0.0), cores=max(cores, 1.0))


@dataclass(frozen=True)
class _Timed:
    """step: core-seconds of one step of one picture; core and wall: seconds of the whole call."""

    step: float
    core: float
    wall: float


def _timed(model: VisionModel, recipe: Recipe, objectives: Sequence[Objective]) -> _Timed:
    clock = core_clock(model)
    ticks: list[float] = []
    wall, core = time.perf_counter(), clock()
    maximise(model, objectives, recipe=_short(recipe), on_progress=lambda *_: ticks.append(clock()))
    core, wall = clock() - core, time.perf_counter() - wall
    steps = [after - before for before, after in pairwise(ticks)]
    return _Timed(statistics.median(steps) / recipe.together, core, wall)


def _short(recipe: Recipe) -> Recipe:
    return dataclasses.replace(recipe, steps=1 + TIMED)


def core_clock(model: VisionModel) -> Callable[[], float]:
    """Core-seconds of this process; for a network on a GPU, seconds."""
    return time.process_time if model.device.type == "cpu" else time.perf_counter


def shares(model: VisionModel, wanted: Sequence[tuple[Recipe, Layers]]) -> list[float]:
    """How the work of one picture compares for each recipe and its objective's layers; in no unit of time."""
    return [recipe.steps * TYPICAL.step(load) for recipe, load in loads(model, wanted)]


@contextmanager
def torch_threads(count: int | None) -> Iterator[None]:
    """So many threads for torch meanwhile; None: as it is set."""
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(count or before)
        yield
    finally:
        torch.set_num_threads(before)
