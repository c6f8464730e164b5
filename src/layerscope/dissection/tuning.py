"""Tuning of units to gratings: orientation, spatial frequency, phase, and how sure that is.

Everything is meant for responses before the rectifier. After it, random filters look more selective than true Gabors:
a threshold cuts the tuning curve down to its tip (the iceberg effect).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from layerscope.dissection.harmonics import (
    Baseline,
    Floats,
    Harmonics,
    by_phase,
    drawn_phases,
    harmonics,
)
from layerscope.dissection.stimuli.gratings import Gratings

KNOWN = 45.0
"""Widest interval, in degrees, with which an orientation is worth telling: a quarter of all there are."""


@dataclass(frozen=True)
class GratingTuning:
    """Tuning of each unit, arrays [units] of float64; NaN where there is nothing to tell (dead units).

    Intervals [units, 2] are 95 % bootstrap intervals over the phases and over four sub-grids (every second
    orientation and frequency): how far the answer hangs on which gratings were shown.
    """

    drive: Floats
    """Amplitude for the best grating, in standard deviations of the answers to white noise of the same contrast."""
    selectivity: Floats
    """Orientation index |sum r exp(2i angle)| / sum r of the tuning averaged over frequencies, in [0, 1]."""
    orientation: Floats
    """Of the bars, in degrees in [0, 180): 0 is horizontal, counted counter-clockwise."""
    orientation_interval: Floats
    """In degrees, around the orientation, so that it may go below 0 and above 180."""
    frequency: Floats
    """Cycles per pixel; the first or last one shown, where responses still rise towards it."""
    frequency_interval: Floats
    bandwidth: Floats
    """Octaves between the frequencies of half the amplitude; NaN where the peak is at an end of those shown."""
    phase: Floats
    """Of the best grating at the middle of the image when the response is largest, in degrees in [0, 360)."""
    modulation: Floats
    """F1 / F0 of what the best grating adds to the response to grey: about 1.57 where it follows the phase as a linear
    filter before a rectifier does, 0 where it is the same for all phases (simple and complex cells)."""
    orientation_curve: Floats
    """[units, orientations]: amplitude, mean over the best frequency and its neighbours, those which tell the preferred
    orientation; as `drive`, in standard deviations of the answers to noise."""
    frequency_curve: Floats
    """[units, frequencies]: the same at the best orientation, whose peak the preferred frequency is."""
    dead: NDArray[np.bool_]

    @property
    def oriented(self) -> NDArray[np.bool_]:
        """Whether the orientation is known to within KNOWN degrees."""
        width: Floats = self.orientation_interval[:, 1] - self.orientation_interval[:, 0]
        return width < KNOWN


def grating_tuning(
    responses: ArrayLike, gratings: Gratings, baseline: Baseline, *, bootstraps: int = 200, seed: int = 0
) -> GratingTuning:
    """Tuning from responses [stimuli, units] to `gratings`, at one position of the map, before the rectifier.

    Raises InputError where the responses are not those to these gratings.
    """
    shown = by_phase(responses, gratings)
    fitted = harmonics(shown, baseline.grey)
    amplitude, angles, frequencies = fitted.amplitude, gratings.angles(), np.array(gratings.frequencies)
    alive = np.where(baseline.dead, np.nan, 1.0)
    orientation = preferred_orientation(amplitude, angles)
    frequency, bandwidth = preferred_frequency(amplitude, frequencies)
    turns, drawn = _bootstrap(shown, gratings, baseline, fitted.modulated, bootstraps, seed)
    turns = (turns - orientation + 90) % 180 - 90
    phase, modulation = _phase(shown, fitted, baseline)
    return GratingTuning(
        drive=baseline.in_noise(amplitude.max((0, 1))),
        selectivity=np.where(baseline.dead, 0.0, orientation_index(amplitude, angles)),
        orientation=orientation * alive,
        orientation_interval=(orientation + interval(turns, np.zeros_like(orientation))).T * alive[:, None],
        frequency=frequency * alive,
        frequency_interval=interval(drawn, frequency).T * alive[:, None],
        bandwidth=bandwidth * alive,
        phase=phase * alive,
        modulation=modulation * alive,
        orientation_curve=baseline.in_noise(_near_the_best(amplitude)).T * alive[:, None],
        frequency_curve=baseline.in_noise(_at_the_best(amplitude)).T * alive[:, None],
        dead=baseline.dead,
    )


def orientation_index(amplitude: Floats, angles: Floats) -> Floats:
    """[units]: |sum r exp(2i angle)| / sum r, r being [orientations, frequencies, units] averaged over frequencies.

    Averaged, because the best of many frequencies is selective in random filters too. 0 without any response.
    """
    curve = amplitude.mean(1)
    total = curve.sum(0)
    vector = np.abs(np.exp(2j * np.deg2rad(angles)) @ curve)
    return np.where(total > 0, vector / np.where(total > 0, total, 1.0), 0.0)


def preferred_orientation(amplitude: Floats, angles: Floats) -> Floats:
    """[units], degrees in [0, 180): vector mean of the squared amplitude, at the best frequency and its neighbours."""
    energy = (amplitude**2 * _near(amplitude)).sum(1)
    turned = np.rad2deg(np.angle(np.exp(2j * np.deg2rad(angles)) @ energy)) / 2
    degrees: Floats = turned % 180
    return degrees


def preferred_frequency(amplitude: Floats, frequencies: Floats) -> tuple[Floats, Floats]:
    """Frequency and bandwidth [units], by a parabola through the best of a unit's best orientation and its neighbours.

    Both axes are logarithmic; the bandwidth is in octaves at half the amplitude.
    """
    units, curve = np.arange(amplitude.shape[2]), _at_the_best(amplitude)
    top = curve.argmax(0)
    middle = np.clip(top, 1, len(frequencies) - 2)
    x = np.log(frequencies)[middle + np.array([[-1], [0], [1]])]
    y = np.log(np.maximum(curve, 1e-9 * curve.max(0) + 1e-300))[middle + np.array([[-1], [0], [1]]), units]
    slopes = np.diff(y, axis=0) / np.diff(x, axis=0)
    bend = (slopes[1] - slopes[0]) / (x[2] - x[0])
    bent = bend < 0
    bend = np.where(bent, bend, -1.0)
    vertex = np.clip((x[0] + x[1] - slopes[0] / bend) / 2, x[0], x[2])
    frequency = np.where(bent, np.exp(vertex), frequencies[top])
    bandwidth = np.where(bent & (top == middle), 2 * np.sqrt(np.log(2) / -bend) / np.log(2), np.nan)
    return frequency, bandwidth


def _near(amplitude: Floats) -> NDArray[np.bool_]:
    """[frequencies, units]: a unit's best frequency and its neighbours."""
    best = amplitude.max(0).argmax(0)
    near: NDArray[np.bool_] = np.abs(np.arange(amplitude.shape[1])[:, None] - best) <= 1
    return near


def _near_the_best(amplitude: Floats) -> Floats:
    """[orientations, units]: mean over the best frequency and its neighbours."""
    near = _near(amplitude)
    curve: Floats = (amplitude * near).sum(1) / near.sum(0)
    return curve


def _at_the_best(amplitude: Floats) -> Floats:
    """[frequencies, units]: at a unit's best orientation."""
    curve: Floats = amplitude[amplitude.max(1).argmax(0), :, np.arange(amplitude.shape[2])].T
    return curve


def interval(draws: Floats, estimate: Floats) -> Floats:
    """95 % percentile interval [2, units] of bootstrap draws [draws, units], widened to hold the estimate."""
    low, high = np.quantile(draws, [0.025, 0.975], axis=0) if len(draws) else (estimate, estimate)
    return np.stack([np.minimum(low, estimate), np.maximum(high, estimate)])


def _bootstrap(
    shown: Floats, gratings: Gratings, baseline: Baseline, modulated: NDArray[np.bool_], count: int, seed: int
) -> tuple[Floats, Floats]:
    """Orientations and frequencies of every draw, each [draws, units]."""
    random = np.random.default_rng([seed, 1])
    angles, frequencies = gratings.angles(), np.array(gratings.frequencies)
    halves = 2 if gratings.orientations >= 8 else 1, 2 if len(frequencies) >= 6 else 1
    turns, peaks = [], []
    for weights in drawn_phases(gratings.phases, count, seed):
        rows, columns = (slice(int(random.integers(half)), None, half) for half in halves)
        fitted = harmonics(shown[rows, columns], baseline.grey, weights)
        amplitude = np.where(modulated, np.abs(fitted.first), np.maximum(fitted.mean, 0))
        turns.append(preferred_orientation(amplitude, angles[rows]))
        peaks.append(preferred_frequency(amplitude, frequencies[columns])[0])
    empty = np.empty((0, shown.shape[3]))
    return np.array(turns) if turns else empty, np.array(peaks) if peaks else empty


def _phase(shown: Floats, fitted: Harmonics, baseline: Baseline) -> tuple[Floats, Floats]:
    """Preferred phase, and F1 / F0 of the rectified response, at the best grating of each unit."""
    orientations, frequencies, phases, units = shown.shape
    best = fitted.amplitude.reshape(-1, units).argmax(0)
    at = np.arange(units)
    phase = -np.rad2deg(np.angle(fitted.first.reshape(-1, units)[best, at])) % 360
    added = np.maximum(
        shown.reshape(orientations * frequencies, phases, units)[best, :, at] - baseline.grey[:, None], 0
    )
    mean = added.mean(1)
    first = np.abs(added @ np.exp(2j * np.pi * np.arange(phases) / phases)) * 2 / phases
    return phase, np.where(mean > 0, first / np.where(mean > 0, mean, 1.0), 0.0)
