"""What a picture costs: counted work against literal counts, and the arithmetic of times with given rates."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from layerscope import objectives
from layerscope.capture.hooks import capture
from layerscope.models.model import VisionModel, wrap
from layerscope.models.private_copy import private_copy
from layerscope.synthesis import cost
from layerscope.synthesis.cost import TYPICAL, Load, Rates
from layerscope.synthesis.recipes import Recipe

STEPS = 5
RECIPE = Recipe("of the test", "fourier", view=24, steps=STEPS, together=4)


class Branches(nn.Module):
    """Two convolutions one after the other, of which the second is grouped, and a head that takes any size."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 8, 5, stride=2, padding=2), nn.BatchNorm2d(8)
        self.second, self.head = nn.Conv2d(8, 12, 3, groups=4), nn.Linear(12, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.second(torch.relu(self.norm(self.first(x))))
        return self.head(torch.relu(x).mean((2, 3)))


@pytest.fixture
def model() -> VisionModel:
    torch.manual_seed(0)
    return wrap(Branches(), input_size=32)


def literal_macs(conv: nn.Conv2d, side: int) -> int:
    """One multiply-accumulate per output value and input value that it reads, padding included."""
    (kernel, _), (stride, _), (padding, _) = conv.kernel_size, conv.stride, conv.padding
    places = len(range(0, side + 2 * padding - kernel + 1, stride))
    return sum(
        conv.out_channels * (conv.in_channels // conv.groups) * kernel * kernel
        for _ in range(places)
        for _ in range(places)
    )


@pytest.mark.parametrize("view", [16, 24, 32])
def test_convolutions_and_matrix_products_are_counted_exactly(model, view):
    net, recipe = model.module, dataclasses.replace(RECIPE, view=view)
    one, two = literal_macs(net.first, view), literal_macs(net.second, view // 2)
    found = cost.loads(model, [(recipe, (name,)) for name in ("first", "second", "head", "")])
    assert [load.macs for _, load in found] == [2 * one, 2 * (one + two), *[2 * (one + two + 12 * 5)] * 2]
    assert {load.pixels for _, load in found} == {recipe.wander.canvas**2 + view**2}


def test_several_layers_cost_what_the_deepest_does_and_magnified_views_what_is_shown(model):
    shown = dataclasses.replace(RECIPE, view=16, magnify=1.5)
    plain = dataclasses.replace(RECIPE, view=24)
    (_, both), (_, deep), (_, as_large) = cost.loads(
        model, [(shown, ("first", "second")), (shown, ("second",)), (plain, ("second",))]
    )
    assert both == deep
    assert deep.macs == as_large.macs
    assert deep.pixels == shown.wander.canvas**2 + 24**2


@pytest.mark.parametrize("layer", ["first", "second", "head"])
def test_a_step_is_counted_as_what_it_really_does(model, layer):
    """Forward up to the layer and back to the image, on the private copy, as the ascent does it."""
    private = private_copy(model.module, torch.rand(1, 3, 32, 32), [layer])
    image = torch.rand(1, 3, 24, 24, requires_grad=True)
    counter = FlopCounterMode(display=False)
    with counter, capture(private, layer, detach=False) as activations:
        private(image * 1)  # the counter puts hooks on what modules get, and leaves take none in autograd.grad
        torch.autograd.grad(activations[layer].sum(), image)
    ((_, load),) = cost.loads(model, [(RECIPE, (layer,))])
    assert load.macs == counter.get_total_flops() // 2


def test_a_size_that_is_refused_costs_the_input_size():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 30 * 30, 2))
    model = wrap(net, input_size=32)
    (early, small), (deep, large) = cost.loads(model, [(RECIPE, ("0",)), (RECIPE, ("2",))])
    assert (early.view, deep.view) == (24, 32)
    assert small.macs == 2 * literal_macs(net[0], 24)
    assert large.macs == 2 * (literal_macs(net[0], 32) + 4 * 30 * 30 * 2)


def test_what_fails_at_the_input_size_is_raised():
    model = wrap(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(7, 2)), input_size=32)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        cost.loads(model, [(RECIPE, ("2",))])


EARLY, MIDDLE, DEEP = Load(7_000, 10_000_000), Load(20_000, 300_000_000), Load(50_000, 2_000_000_000)


def test_two_samples_are_met_exactly():
    true = Rates(3e-7, 4e-12)
    found = cost.fit([(EARLY, true.step(EARLY)), (DEEP, true.step(DEEP))])
    assert (found.per_pixel, found.per_mac) == pytest.approx((3e-7, 4e-12), rel=1e-9)


def test_more_samples_are_met_in_the_least_relative_squares():
    seconds = np.array([0.002, 0.009, 0.061])
    rows = np.array([[load.pixels, load.macs] for load in (EARLY, MIDDLE, DEEP)], dtype=np.float64)
    best, *_ = np.linalg.lstsq(rows / seconds[:, None], np.ones(3), rcond=None)
    found = cost.fit(list(zip((EARLY, MIDDLE, DEEP), seconds, strict=True)))
    assert best.min() > 0
    assert (found.per_pixel, found.per_mac) == pytest.approx(tuple(best), rel=1e-6)


def test_one_sample_scales_the_typical_rates():
    found = cost.fit([(MIDDLE, 5 * TYPICAL.step(MIDDLE))])
    assert (found.per_pixel, found.per_mac) == pytest.approx((5 * TYPICAL.per_pixel, 5 * TYPICAL.per_mac))


@pytest.mark.parametrize(("samples", "zero"), [([(EARLY, 0.1), (DEEP, 0.1)], "per_mac"), ([(EARLY, 1e-5), (DEEP, 0.1)], "per_pixel")])  # fmt: skip
def test_no_rate_is_negative(samples, zero):
    found = cost.fit(samples)
    rates = {"per_pixel": found.per_pixel, "per_mac": found.per_mac}
    assert rates.pop(zero) == 0
    assert min(rates.values()) > 0


def test_a_call_costs_its_full_batches_its_judging_and_its_start():
    rates, load = Rates(per_pixel=1e-6, per_mac=1e-9, start=7.0), Load(1000, 2_000_000)
    step = 1e-6 * 1000 + 1e-9 * 2_000_000
    forward = 1e-9 * 1_000_000
    assert rates.step(load) == pytest.approx(step)
    # 5 pictures: two batches of 4 climb; the ends and the starts are scored 8 at a time, and 8 controls
    assert rates.call(load, RECIPE, 5) == pytest.approx(7 + 8 * STEPS * step + (8 + 8 + 8) * forward)
    assert rates.call(load, RECIPE, 12) == pytest.approx(7 + 12 * STEPS * step + (16 + 16 + 8) * forward)


class Clock:
    """Stands for the time of a machine that works at given rates."""

    def __init__(self, rates: Rates, loads: dict[str, Load]) -> None:
        self.rates, self.loads, self.now = rates, loads, 0.0

    def maximise(self, model, objectives, *, recipe, on_progress):
        load = self.loads[objectives[0].layers[0]]
        steps = [5.0, *[1.0] * (recipe.steps - 1)]  # the first one takes five times as long
        first = (steps[0] - 1) * recipe.together * self.rates.step(load)
        self.now += self.rates.call(load, dataclasses.replace(recipe, steps=0), len(objectives)) - first
        for done, times in enumerate(steps, 1):
            self.now += times * recipe.together * self.rates.step(load)
            on_progress(done, len(steps), "")


def test_calibration_finds_the_rates_of_a_machine(model, monkeypatch):
    true = Rates(per_pixel=3e-7, per_mac=4e-11, start=0.3)
    wanted = [(RECIPE, ("first",)), (RECIPE, ("second",))]
    loads = {layers[0]: load for (_, layers), (_, load) in zip(wanted, cost.loads(model, wanted), strict=True)}
    clock = Clock(true, loads)
    monkeypatch.setattr(cost, "maximise", clock.maximise)
    monkeypatch.setattr(cost, "core_clock", lambda model: lambda: clock.now)
    objective = {name: [objectives.channel(f"{name}:{unit}").bind(model) for unit in range(4)] for name in loads}
    found = cost.calibrate(model, [(RECIPE, load, objective[name]) for name, load in loads.items()])
    assert (found.per_pixel, found.per_mac, found.start) == pytest.approx((3e-7, 4e-11, 0.3), rel=1e-6)


def test_calibration_times_real_steps_and_leaves_the_threads_as_they_were(model, monkeypatch):
    before, seen, real = torch.get_num_threads(), [], cost.maximise

    def watched(*arguments, **options):
        seen.append(torch.get_num_threads())
        return real(*arguments, **options)

    def interrupted(*arguments, **options):
        seen.append(torch.get_num_threads())
        raise KeyboardInterrupt

    ((_, load),) = cost.loads(model, [(RECIPE, ("second",))])
    sample = (RECIPE, load, [objectives.channel("second:1").bind(model)])
    monkeypatch.setattr(cost, "maximise", watched)
    found = cost.calibrate(model, [sample], threads=before + 1)
    assert min(found.per_pixel, found.per_mac) > 0
    monkeypatch.setattr(cost, "maximise", interrupted)
    with pytest.raises(KeyboardInterrupt):
        cost.calibrate(model, [sample], threads=before + 1)
    assert seen == [before + 1] * 2
    assert torch.get_num_threads() == before


def test_shares_are_steps_times_the_typical_time_of_one(model):
    longer = dataclasses.replace(RECIPE, steps=3 * STEPS)
    first, second = cost.shares(model, [(RECIPE, ("first",)), (longer, ("second",))])
    (_, one), (_, two) = cost.loads(model, [(RECIPE, ("first",)), (longer, ("second",))])
    assert second / first == pytest.approx(3 * TYPICAL.step(two) / TYPICAL.step(one))
    assert second > 3 * first
