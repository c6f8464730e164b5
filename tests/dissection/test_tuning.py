"""Tuning to gratings, against literal formulas in float64 and units whose tuning is known."""

from __future__ import annotations

import cmath
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from layerscope.dissection.harmonics import Baseline, by_phase, harmonics
from layerscope.dissection.stimuli.gratings import Gratings, frequencies_for
from layerscope.dissection.tuning import GratingTuning, grating_tuning, interval
from layerscope.errors import InputError

GRATINGS = Gratings(17, 3, frequencies_for(17))
PHASES = np.arange(8) * (2 * np.pi / 8)
Array = NDArray[np.float64]


def filter_responses(filters: Array, images: Array) -> Array:
    return images.reshape(len(images), -1) @ filters.reshape(len(filters), -1).T


def random_units(seed: int, units: int = 6) -> tuple[Array, Array]:
    """Responses to gratings [stimuli, units], and to grey and noise."""
    random = np.random.default_rng(seed)
    return random.normal(size=(len(GRATINGS), units)), random.normal(size=(30, units))


def tuned(responses: Array, baselines: Array, bootstraps: int = 20) -> GratingTuning:
    return grating_tuning(responses, GRATINGS, Baseline.of(baselines, responses), bootstraps=bootstraps)


def literal(responses: Array, baselines: Array) -> dict[str, float | list[float]]:
    """The definitions, written out for one unit in loops."""
    orientations, frequencies, phases = GRATINGS.shape
    grey, noise = baselines[0], baselines[1:]
    sd = math.sqrt(sum((value - noise.mean()) ** 2 for value in noise) / (len(noise) - 1))
    f0, f1 = np.zeros((orientations, frequencies)), np.zeros((orientations, frequencies), complex)
    for k in range(orientations):
        for j in range(frequencies):
            row = responses[(k * frequencies + j) * phases :][:phases]
            f0[k, j] = sum(row) / phases - grey
            f1[k, j] = (
                2 / phases * sum(value * cmath.exp(-1j * phase) for value, phase in zip(row, PHASES, strict=True))
            )
    amplitude = abs(f1) if abs(f1).max() >= f0.max() else f0.clip(min=0)
    k, j = np.unravel_index(amplitude.argmax(), amplitude.shape)
    turns = [cmath.exp(2j * math.pi * n / orientations) for n in range(orientations)]
    curve = [sum(amplitude[n]) / frequencies for n in range(orientations)]
    vector = sum(
        turns[n] * amplitude[n, m] ** 2 for n in range(orientations) for m in range(frequencies) if abs(m - j) <= 1
    )
    near = [m for m in range(frequencies) if abs(m - j) <= 1]
    row = responses[(k * frequencies + j) * phases :][:phases]
    added = [max(value - grey, 0) for value in row]
    first = abs(2 / phases * sum(value * cmath.exp(-1j * phase) for value, phase in zip(added, PHASES, strict=True)))
    return {
        "drive": amplitude.max() / sd,
        "selectivity": abs(sum(r * t for r, t in zip(curve, turns, strict=True))) / sum(curve),
        "orientation": math.degrees(cmath.phase(vector)) / 2 % 180,
        "phase": math.degrees(-cmath.phase(f1[k, j])) % 360,
        "modulation": first / (sum(added) / phases),
        "orientation_curve": [sum(amplitude[n, m] for m in near) / len(near) / sd for n in range(orientations)],
        "frequency_curve": [amplitude[k, m] / sd for m in range(frequencies)],
    }


@pytest.mark.parametrize("shift", [0.0, 4.0])  # with it, responses to all phases are above grey: complex cells
def test_every_number_is_its_definition(shift: float) -> None:
    responses, baselines = random_units(int(shift))
    responses += shift
    found = tuned(responses, baselines)
    for unit in range(responses.shape[1]):
        for name, wanted in literal(responses[:, unit], baselines[:, unit]).items():
            assert getattr(found, name)[unit] == pytest.approx(wanted, rel=1e-9), name


def gaussian_unit(orientation: float, frequency: float, octaves: float, phase: float = 0.0) -> Array:
    """Log-Gaussian in frequency, von Mises in orientation: tuning known in closed form."""
    table = GRATINGS.columns()
    sigma = octaves * math.log(2) / (2 * math.sqrt(2 * math.log(2)))
    along = np.exp(-(np.log(table["frequency"] / frequency) ** 2) / (2 * sigma**2))
    around = np.exp(2 * (np.cos(2 * np.deg2rad(table["orientation"] - orientation)) - 1))
    return along * around * np.cos(np.deg2rad(table["phase"] - phase))


@settings(max_examples=40, deadline=None)
@given(st.floats(0, 179.99), st.floats(0.07, 0.25), st.floats(0.9, 2.5), st.floats(0, 359.9), st.floats(1e-6, 1e6))
def test_known_tuning_is_recovered_exactly(
    orientation: float, frequency: float, octaves: float, phase: float, scale: float
) -> None:
    unit = gaussian_unit(orientation, frequency, octaves, phase)[:, None] * scale
    baselines = np.concatenate([np.zeros((1, 1)), np.random.default_rng(0).normal(size=(50, 1)) * scale])
    found = tuned(unit, baselines)
    assert abs((found.orientation[0] - orientation + 90) % 180 - 90) < 0.01
    assert found.frequency[0] == pytest.approx(frequency, rel=1e-6)
    assert found.bandwidth[0] == pytest.approx(octaves, rel=1e-6)
    assert abs((found.phase[0] - phase + 180) % 360 - 180) < 1e-6
    assert found.drive[0] == pytest.approx(tuned(unit / scale, baselines / scale).drive[0])
    assert found.oriented[0]


def test_complex_cells_are_tuned_by_their_mean() -> None:
    simple = gaussian_unit(30, 0.12, 1.5)
    pair = gaussian_unit(30, 0.12, 1.5) ** 2 + gaussian_unit(30, 0.12, 1.5, 90) ** 2
    responses = np.stack([simple, pair, np.maximum(simple, 0)], 1) + 5
    baselines = 5 + np.concatenate([np.zeros((1, 3)), np.random.default_rng(0).normal(size=(50, 3))])
    found = tuned(responses, baselines)
    assert found.orientation == pytest.approx([30, 30, 30], abs=0.01)
    assert found.frequency[:2] == pytest.approx([0.12, 0.12], rel=1e-6)
    assert found.modulation[1] == pytest.approx(0, abs=1e-9)
    assert found.modulation[[0, 2]] == pytest.approx([math.pi / 2] * 2, rel=0.1)


def test_after_the_rectifier_selectivity_is_inflated() -> None:
    """The iceberg effect: why units are read before it."""
    responses, baselines = random_units(3, 40)
    before = tuned(responses, baselines, 0).selectivity
    after = tuned(np.maximum(responses - 2, 0), np.maximum(baselines - 2, 0), 0).selectivity
    assert np.median(after) > 2 * np.median(before)


def test_responses_that_rise_to_the_end_have_no_bandwidth() -> None:
    table = GRATINGS.columns()
    rising = (table["frequency"] * np.cos(np.deg2rad(table["phase"])))[:, None]
    found = tuned(rising, np.random.default_rng(0).normal(size=(9, 1)))
    assert found.frequency[0] == pytest.approx(0.35)
    assert np.isnan(found.bandwidth[0])
    assert found.selectivity[0] < 1e-9
    assert not np.isnan(found.orientation_interval).any()


def test_dead_units_have_nothing_to_tell() -> None:
    responses, baselines = random_units(0, 4)
    responses[:, 1], baselines[:, 1] = 7.0, 7.0
    responses[:, 2], baselines[:, 2] = responses[:, 0] * 1e-9, baselines[:, 0] * 1e-9
    found = tuned(responses, baselines)
    assert found.dead.tolist() == [False, True, True, False]
    assert found.drive[1] == found.selectivity[1] == 0
    for name in (
        "orientation",
        "frequency",
        "phase",
        "bandwidth",
        "modulation",
        "orientation_interval",
        "frequency_interval",
        "orientation_curve",
        "frequency_curve",
    ):
        assert np.isnan(getattr(found, name)[1:3]).all(), name
        assert name == "bandwidth" or not np.isnan(getattr(found, name)[[0, 3]]).any(), name
    assert not found.oriented[1]
    silent = tuned(np.zeros_like(responses), np.zeros_like(baselines))
    assert silent.dead.all()


def test_a_unit_that_is_silent_in_noise_is_driven_without_bound() -> None:
    responses, baselines = random_units(0, 1)
    assert 0 < tuned(responses, np.zeros_like(baselines)).drive[0] <= 1000


def test_intervals_hold_the_estimate_and_tell_noise_from_tuning() -> None:
    random = np.random.default_rng(1)
    clear = np.stack([gaussian_unit(angle, 0.12, 1.4) for angle in np.linspace(0, 179, 30)], 1)
    nothing = random.normal(size=(len(GRATINGS), 30))
    responses = np.concatenate([clear, nothing], 1)
    noise = np.concatenate([np.zeros((1, 60)), random.normal(size=(30, 60))])
    found = tuned(responses, noise, 200)
    low, high = found.orientation_interval.T
    assert (low <= found.orientation).all()
    assert (found.orientation <= high).all()
    assert (found.frequency_interval[:, 0] <= found.frequency).all()
    assert (found.frequency <= found.frequency_interval[:, 1]).all()
    assert found.oriented[:30].all()
    assert found.oriented[30:].mean() < 0.2
    again = tuned(responses, noise, 200)
    assert np.array_equal(found.orientation_interval, again.orientation_interval)


def test_intervals_span_the_sub_grids() -> None:
    """Sine waves of random amplitudes: phases leave nothing open, which orientations are shown decides all."""
    random = np.random.default_rng(2)
    amplitude = random.exponential(size=(*GRATINGS.shape[:2], 1, 10))
    waves = (amplitude * np.cos(PHASES)[:, None]).reshape(len(GRATINGS), 10)
    found = tuned(waves, np.concatenate([np.zeros((1, 10)), random.normal(size=(30, 10))]), 100)
    assert np.ptp(found.orientation_interval, axis=1).min() > 5
    assert (np.ptp(found.frequency_interval, axis=1) > 0.02).mean() > 0.7


def test_an_interval_holds_its_estimate() -> None:
    draws = np.array([[1.0, 1.0], [2.0, 2.0]])
    assert interval(draws, np.array([5.0, 0.5]))[1, 0] == 5
    assert interval(draws, np.array([5.0, 0.5]))[0, 1] == 0.5
    assert interval(draws[:0], np.array([5.0, 0.5])).tolist() == [[5, 0.5], [5, 0.5]]


def test_fitting_drawn_phases_is_exact_for_sine_waves() -> None:
    gratings = Gratings(9, 1, (0.1, 0.2, 0.3), orientations=4, phases=5)
    table = gratings.columns()
    wave = 2 + 3 * np.cos(np.deg2rad(table["phase"]) + 1)
    shown = by_phase(wave[:, None], gratings)
    fitted = harmonics(shown, np.array([0.5]))
    assert fitted.mean == pytest.approx(np.full((4, 3, 1), 1.5))
    assert fitted.first == pytest.approx(np.full((4, 3, 1), 3 * np.exp(1j)))


def test_what_cannot_be_is_refused() -> None:
    responses, baselines = random_units(0)
    with pytest.raises(InputError, match="responses to 5 stimuli; there are 1152 gratings"):
        tuned(responses[:5], baselines)
    with pytest.raises(InputError, match=r"responses of shape \(1152,\); give \[stimuli, units\]"):
        tuned(responses[:, 0], baselines)
    with pytest.raises(InputError, match="2 responses to grey and noise; at least 3"):
        Baseline.of(baselines[:2])
    responses[3, 1] = np.nan
    with pytest.raises(InputError, match="responses that are not finite"):
        tuned(responses, baselines)
