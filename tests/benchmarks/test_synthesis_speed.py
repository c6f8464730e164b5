"""What `layerscope benchmark synthesis` counts and divides: times, operations, core-hours."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from small_nets import SmallNet

from layerscope.benchmarks.synthesis import contest, gpu, hours, lucent, roof, speed
from layerscope.benchmarks.synthesis.settings import TARGETS, Target, calibrated, coloured_noise, spread
from layerscope.models.model import wrap
from layerscope.types import no_progress


def small():
    torch.manual_seed(0)
    return wrap(SmallNet().eval(), 32)


def test_what_a_call_does_once_drops_out():
    calls = []

    def clock(steps):
        calls.append(steps)
        return 7.0 + 0.5 * steps

    assert contest.per_step(clock, 4, goal=10.0)() == pytest.approx(0.125)
    assert calls[-2] - calls[-1] == 20
    assert contest.per_step(lambda steps: 0.0, 1, goal=10.0)() == 0.0


def test_everything_is_measured_in_turn_and_each_round_begins_with_another():
    order = []
    found = contest.rounds_of(
        {name: lambda name=name: order.append(name) or len(order) for name in "abc"}, 2, no_progress
    )
    assert "".join(order) == "abcbca"
    assert found == {"a": [1, 6], "b": [2, 4], "c": [3, 5]}


def test_ratios_are_of_the_same_round():
    assert contest.ratios([4.0, 9.0], [2.0, 3.0]) == [2.0, 3.0]
    assert contest.interval([3.0, 1.0, 2.0]) == {"value": 2.0, "low": 1.0, "high": 3.0}
    assert (contest.held(None, 1.0), contest.held(1.0, 1.0), contest.held(2.0, 1.0, least=False)) == (None, True, False)


def test_operations_are_those_of_convolutions_up_to_the_layer_forward_and_back_to_the_image():
    first, second = 16 * 16 * 8 * 3 * 25, 16 * 16 * 8 * 8 * 9
    assert roof.flops_of(small(), "conv2", 32, 64) == 2 * 2 * (first + second)


def test_the_roof_is_the_rate_of_the_fastest_shape(monkeypatch):
    ticks = iter(range(100))
    monkeypatch.setattr(roof.time, "process_time", lambda: float(next(ticks)))
    shapes = ((2, 4, 8), (1, 16, 8))
    assert roof.roof(torch.float32, shapes)() == max(2 * 2 * 9 * n * c * c * s * s for n, c, s in shapes)


def test_the_statistics_of_calibrated_networks_are_those_of_the_noise():
    model = calibrated("torchvision:resnet18", images=8)
    seen = {}
    for name in ("bn1", "layer2.0.bn1", "layer4.1.bn1"):
        model.module.get_submodule(name).register_forward_hook(
            lambda part, _, out, name=name: seen.update({name: out.clone()})
        )
    with torch.no_grad():
        model(coloured_noise(8, model.input_size))
    assert {name: out.shape[0] for name, out in seen.items()} == dict.fromkeys(seen, 8)
    assert max(float(out.mean((0, 2, 3)).abs().max()) for out in seen.values()) < 0.03
    assert all(torch.allclose(out.var((0, 2, 3)), torch.ones(1), atol=0.1) for out in seen.values())
    assert model.module.layer4[1].bn2.weight.unique().tolist() == [0.25]
    assert not model.module.bn1.training
    assert model.module.bn1.momentum == 0.1


def test_noise_falls_with_frequency_and_channels_are_spread_evenly():
    power = torch.fft.rfft2(coloured_noise(4, 64) - 0.5).abs().square().mean((0, 1))[0]
    slope = math.log(power[2] / power[16]) / math.log(8)
    assert slope == pytest.approx(2.0, abs=0.4)
    assert (spread(8, 2), spread(64, 4), spread(3, 8)) == ([2, 6], [8, 24, 40, 56], [0, 1, 2])


def made_up(lucents: bool):
    times = {
        ("like for like", "conv2"): [0.01, 0.02],
        ("fitted canvas", "conv2"): [0.001, 0.002],
        ("roof", "float32"): [1e9, 2e9],
    }
    return times | ({("lucent", "conv2"): [0.1, 0.1]} if lucents else {})


def test_bounds_are_kept_by_medians_over_rounds():
    like, fitted = speed.rows_of(made_up(True), [Target("conv2", 32, 7.5, 76.0)])
    assert (like["canvas"], like["times"], like["held"]) == (
        "like for like",
        {"value": 7.5, "low": 5.0, "high": 10.0},
        True,
    )
    assert (fitted["times"]["value"], fitted["held"]) == (75.0, False)
    assert (fitted["lucent_ms"]["value"], fitted["layerscope_ms"]["value"]) == (100.0, 1.5)


def test_without_lucent_there_are_dashes():
    like, _ = speed.rows_of(made_up(False), [Target("conv2", 32, 7.5, 76.0)])
    assert (like["lucent_ms"], like["times"], like["held"]) == (None, None, None)
    assert hours.lucent_hours(made_up(False), [Target("conv2", 32, 7.5, 76.0)], {"conv2": 8}) is None


def test_the_share_of_the_roof_is_of_the_same_round(monkeypatch):
    monkeypatch.setattr(speed, "flops_of", lambda model, layer, side, together: 1_500_000 * (side // 32))
    monkeypatch.setattr(speed, "fitted", lambda model, view: speed.like_for_like(model, 32, 32))
    monkeypatch.setattr("layerscope.benchmarks.synthesis.settings.fast_precision", lambda device: "float32")
    times = made_up(True) | {("fitted canvas", "layer3"): [0.002, 0.001], ("like for like", "layer3"): [0.021, 0.021]}
    rows = speed.roof_rows(small(), times, [Target("conv2", 32, 1, 1), Target("layer3", 32, 1, 1)])
    (_, like, free, asked) = rows
    assert [(row["layer"], row["canvas"]) for row in rows[1:3]] == [
        ("layer3", "like for like"),
        ("conv2", "fitted canvas"),
    ]
    assert (like["share"]["high"], like["bound"], like["held"]) == (0.5, None, None)  # shown at 224 px
    assert (like["times_at_roof"], rows[0]["times_at_roof"]) == (None, 14.3)  # .1 s to 10.5 or 5.25 ms
    assert (free["share"], free["bound"], free["held"]) == ({"value": 0.94, "low": 0.38, "high": 1.5}, None, None)
    assert (asked["share"]["low"], asked["achieved"]["high"], asked["held"]) == (0.75, 1.5, True)


def test_hours_of_lucent_count_a_stage_as_the_timed_one_before_it():
    times = {("lucent", "layer1.1.conv2"): [0.1, 0.3, 0.1], ("lucent", "layer3.2.conv2"): [0.2]}
    units = {"conv1": 10, "layer1.0.conv1": 10, "layer2.0.conv1": 10, "layer3.0.conv1": 5, "layer4.0.conv3": 1}
    assert hours.lucent_hours(times, TARGETS, units) == round(512 * (30 * 0.1 + 6 * 0.2) / 3600, 1)


def test_our_hours_are_those_of_the_plan_of_all_convolutions():
    theirs, ours = hours.rows_of(small(), {}, [], no_progress)
    assert (theirs["core_hours"], theirs["units"], ours["units"]) == (None, 28, 28)
    assert 0 <= ours["core_hours"] < 1
    assert ours["held"] is True


def test_a_gpu_is_measured_as_everything_else(monkeypatch):
    """On a clock by which each step of a batch takes a second."""
    passed = [0.0]
    maximise = gpu.maximise

    def timed(*given, steps, **named):
        passed[0] += steps
        return maximise(*given, steps=steps, **named)

    monkeypatch.setattr(gpu, "maximise", timed)
    monkeypatch.setattr(gpu, "time", SimpleNamespace(perf_counter=lambda: passed[0]))
    monkeypatch.setattr(gpu, "SHAPES", ((1, 8, 8),))
    monkeypatch.setattr(lucent, "why_not", lambda device: "absent")
    rows = gpu.rows_of(small(), [Target("conv2", 16, 1, 1)], 2, 0.01, no_progress, device="cpu")
    assert [(row["canvas"], row["times"]) for row in rows] == [("like for like", None), ("fitted canvas", None)]
    like, fitted = (recipe.together for recipe in speed.recipes_of(small(), Target("conv2", 16, 1, 1)).values())
    wanted = [round(together / 512, 2) for together in (like, fitted)]
    assert [row["pictures_per_second"] for row in rows] == [
        dict.fromkeys(("value", "low", "high"), one) for one in wanted
    ]
