"""PG-1: filters that are known by construction, clean and with as much noise as signal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from planted_filters import Planted, TextureNet, first_layer, pg1, random_filters, seen_as_they_are
from torch import nn

from layerscope.dissection.early import (
    CATEGORIES,
    EarlyStimuli,
    EarlyTuning,
    Limits,
    early_categories,
    early_tuning,
    passes_colour,
    passes_edge,
)
from layerscope.errors import InputError
from layerscope.models.model import wrap

STIMULI = EarlyStimuli.of(17, 3, 17)
PLANTED = ("edge", "colour", "colour-edge")
NOISES = (0.0, 1.0)


@dataclass(frozen=True)
class Found:
    planted: Planted
    tuning: EarlyTuning
    limits: Limits

    def share(self, kind: str, category: str, tuning: EarlyTuning | None = None, limits: Limits | None = None) -> float:
        """Of the filters of a kind, which share gets a category."""
        found = early_categories(tuning or self.tuning, limits or self.limits)
        return float((found[self.planted.kind == kind] == category).mean())


@cache
def limits() -> Limits:
    """Of filters that are none of those under test."""
    null = first_layer(random_filters(500, seed=99))
    return Limits.of(early_tuning(null, ["0"], STIMULI, bootstraps=0)["0"])


@cache
def found(noise: float, seed: int = 0) -> Found:
    planted = pg1(seed, noise)
    return Found(planted, early_tuning(first_layer(planted.filters), ["0"], STIMULI, bootstraps=50)["0"], limits())


def p95(values: NDArray[np.float64]) -> float:
    assert np.isfinite(values).all()
    return float(np.quantile(values, 0.95))


def between(first: NDArray[np.float64], second: NDArray[np.float64], circle: float) -> NDArray[np.float64]:
    return np.abs((first - second + circle / 2) % circle - circle / 2)


@pytest.mark.parametrize(("noise", "most"), [(0.0, 2.0), (1.0, 6.0)])
def test_orientation(noise: float, most: float) -> None:
    one = found(noise)
    edges = one.planted.kind == "edge"
    assert p95(between(one.tuning.gratings.orientation, one.planted.orientation, 180)[edges]) <= most
    assert one.tuning.gratings.oriented[edges].all()


def test_frequency_and_bandwidth() -> None:
    one = found(0.0)
    edges = one.planted.kind == "edge"
    assert p95(np.abs(np.log2(one.tuning.gratings.frequency / one.planted.frequency))[edges]) <= 0.15
    assert np.median(one.tuning.gratings.bandwidth[edges]) == pytest.approx(1.3, abs=0.25)


@pytest.mark.parametrize("noise", NOISES)
def test_curves_peak_where_tuning_says(noise: float) -> None:
    """Within half a step of what is shown, clean; noise of the signal's energy costs another."""
    one, steps = found(noise), 0.5 + 0.5 * noise
    tuned, planted, edges = one.tuning.gratings, one.planted, one.planted.kind == "edge"
    angles, frequencies = STIMULI.gratings.angles(), np.array(STIMULI.gratings.frequencies)
    octaves, turns = np.log2(frequencies[1] / frequencies[0]), angles[1] - angles[0]
    told, shown = tuned.orientation[edges], angles[tuned.orientation_curve[edges].argmax(1)]
    assert p95(between(told, shown, 180)) <= steps * turns + 0.5
    assert p95(between(planted.orientation[edges], shown, 180)) <= steps * turns + 0.5
    shown = frequencies[tuned.frequency_curve[edges].argmax(1)]
    assert p95(np.abs(np.log2(tuned.frequency[edges] / shown))) <= steps * octaves
    assert p95(np.abs(np.log2(planted.frequency[edges] / shown))) <= steps * octaves + 0.15
    np.testing.assert_allclose(tuned.frequency_curve[edges].max(1), tuned.drive[edges])


def test_hue_curves_peak_where_tuning_says() -> None:
    for noise in NOISES:
        one = found(noise)
        tuned, planted, blobs = one.tuning.colour, one.planted, one.planted.kind == "colour"
        assert tuned is not None
        assert STIMULI.hues is not None
        shown = STIMULI.hues.angles()[tuned.hue_curve[blobs].argmax(1)]
        assert p95(between(tuned.hue[blobs], shown, 360)) <= 7.5 + 1e-6  # half a step
        assert p95(between(planted.hue[blobs], shown, 360)) <= 7.5 + 10 * noise + 1e-6
        first = tuned.hue_curve[blobs] @ np.exp(1j * np.deg2rad(STIMULI.hues.angles()))
        assert between(np.rad2deg(np.angle(first)), tuned.hue[blobs], 360).max() < 1e-6
        assert (tuned.hue_curve[blobs].min(1) < 0).all()


@pytest.mark.parametrize(("noise", "most"), [(0.0, 0.01), (1.0, 10.0)])
def test_hue(noise: float, most: float) -> None:
    one = found(noise)
    assert one.tuning.colour is not None
    blobs, bars = one.planted.kind == "colour", one.planted.kind == "colour-edge"
    assert p95(between(one.tuning.colour.hue, one.planted.hue, 360)[blobs]) <= most
    assert p95(between(one.tuning.colour.axis, one.planted.hue, 180)[bars]) <= most


@pytest.mark.parametrize("noise", NOISES)
def test_planted_filters_get_their_category(noise: float) -> None:
    one = found(noise)
    for kind in PLANTED:
        assert one.share(kind, kind) >= 0.95, kind
    assert one.share("blob", "none") >= 0.95
    assert one.share("dead", "none") == 1
    assert one.share("random", "none") >= 0.95
    assert one.tuning.gratings.dead.tolist() == (one.planted.kind == "dead").tolist()


@pytest.mark.parametrize("noise", NOISES)
def test_the_tests_can_fail(noise: float) -> None:
    """Filters shuffled among their labels; limits of nothing; light taken for colour."""
    one = found(noise)
    order = np.random.default_rng(0).permutation(len(one.planted.kind))
    shuffled = replace(one, planted=replace(one.planted, kind=one.planted.kind[order]))
    assert max(shuffled.share(kind, kind) for kind in PLANTED) < 0.5
    error = between(one.tuning.gratings.orientation, one.planted.orientation[order], 180)
    assert p95(error[np.isfinite(error)]) > 60
    assert one.share("random", "none", limits=Limits(0, 0, 0, 0, 0)) < 0.05
    assert one.tuning.colour is not None
    always = replace(one.tuning, colour=replace(one.tuning.colour, index=np.ones_like(one.tuning.colour.index)))
    assert one.share("edge", "edge", tuning=always) < 0.95
    assert one.share("edge", "edge", tuning=replace(one.tuning, colour=None)) >= 0.95
    assert one.share("colour", "colour", tuning=replace(one.tuning, colour=None)) == 0


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 11))
def test_other_draws_pass_too(seed: int) -> None:
    for noise, orientation, hue in ((0.0, 2.0, 0.01), (1.0, 6.0, 10.0)):
        one = found(noise, seed)
        assert one.tuning.colour is not None
        edges, blobs = one.planted.kind == "edge", one.planted.kind == "colour"
        assert p95(between(one.tuning.gratings.orientation, one.planted.orientation, 180)[edges]) <= orientation
        assert p95(between(one.tuning.colour.hue, one.planted.hue, 360)[blobs]) <= hue
        for kind in PLANTED:
            assert one.share(kind, kind) >= 0.95
        assert one.share("random", "none") >= 0.95


def test_categories_are_the_two_tests() -> None:
    one = found(0.0)
    edge, colour = passes_edge(one.tuning, one.limits), passes_colour(one.tuning, one.limits)
    names = early_categories(one.tuning, one.limits)
    assert set(names.tolist()) == set(CATEGORIES)
    assert np.array_equal(edge, np.isin(names, ("edge", "colour-edge")))
    assert np.array_equal(colour, np.isin(names, ("colour", "colour-edge")))


def test_limits_are_quantiles_of_units_that_live() -> None:
    tuning = found(0.0).tuning
    limit = Limits.of(tuning, quantile=0.5)
    alive = ~tuning.gratings.dead
    assert limit.drive == np.quantile(tuning.gratings.drive[alive], 0.5, method="weibull")
    assert tuning.colour is not None
    assert limit.field_drive == np.quantile(tuning.colour.field_drive[alive], 0.5, method="weibull")
    other = found(1.0).tuning
    both = np.concatenate([tuning.gratings.drive[alive], other.gratings.drive[~other.gratings.dead]])
    assert Limits.of(tuning, other).drive == np.quantile(both, 0.99, method="weibull")
    dead = replace(tuning, gratings=replace(tuning.gratings, dead=np.ones_like(alive)))
    with pytest.raises(InputError, match="no null unit answers to anything"):
        Limits.of(dead)


def test_several_layers_at_once_and_in_any_batches() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 4, 5, bias=False), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Conv2d(4, 3, 3))
    model = wrap(module, 12)
    stimuli = EarlyStimuli.of(12, 3, 5)
    seen: list[tuple[int, int]] = []

    def note(done: int, total: int, what: str) -> None:
        seen.append((done, total))

    both = early_tuning(model, ["0", "3"], stimuli, bootstraps=5, on_progress=note)
    assert seen[-1] == (len(stimuli), len(stimuli))
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})
    for layer in ("0", "3"):
        alone = early_tuning(model, [layer], stimuli, bootstraps=5, batch_size=37)[layer]
        assert alone.gratings.orientation == pytest.approx(both[layer].gratings.orientation, abs=1e-3)
        assert alone.gratings.drive == pytest.approx(both[layer].gratings.drive, rel=1e-4)


def test_complex_cells_in_a_network() -> None:
    model = seen_as_they_are(TextureNet(), 32)
    tuning = early_tuning(model, ["energies"], EarlyStimuli.of(32, 3, 13), bootstraps=20)["energies"].gratings
    assert between(tuning.orientation, np.arange(8) * 22.5, 180) == pytest.approx(np.zeros(8), abs=1)
    assert np.abs(np.log2(tuning.frequency / 0.15)).max() < 0.1
    assert tuning.modulation.max() < 0.1
    assert tuning.oriented.all()


@pytest.mark.parametrize("channels", [1, 4])
def test_networks_without_hue_have_edges_only(channels: int) -> None:
    one = pg1(counts={"edge": 12, "dead": 2})
    grey = one.filters.sum(1, keepdims=True).repeat(channels, 1) / channels
    stimuli = EarlyStimuli.of(17, channels, 17)
    assert stimuli.hues is None
    assert len(stimuli) == len(stimuli.gratings) + len(stimuli.baselines)
    tuning = early_tuning(first_layer(grey), ["0"], stimuli, bootstraps=0)["0"]
    assert tuning.colour is None
    null = random_filters(200, seed=5).sum(1, keepdims=True).repeat(channels, 1)
    limit = Limits.of(early_tuning(first_layer(null), ["0"], stimuli, bootstraps=0)["0"])
    assert early_categories(tuning, limit).tolist() == ["edge"] * 12 + ["none"] * 2
    assert not passes_colour(tuning, limit).any()


def test_orientation_turns_with_the_filters() -> None:
    """A quarter turn of the filters, and their mirror image."""
    filters = pg1(3, counts={"edge": 20}).filters

    def orientations(changed: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> NDArray[np.float64]:
        model = first_layer(np.ascontiguousarray(changed(filters)))
        return early_tuning(model, ["0"], STIMULI, bootstraps=0)["0"].gratings.orientation

    given = orientations(lambda each: each)
    turned = orientations(lambda each: np.rot90(each, axes=(2, 3)))  # counter-clockwise, as it is seen
    assert between(turned, given + 90, 180).max() < 0.01
    assert between(orientations(lambda each: each[..., ::-1]), -given, 180).max() < 0.01
