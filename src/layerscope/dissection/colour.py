"""Tuning of units to colour: which hue, and whether hue moves them more than light does.

All stimuli have one root mean square contrast over the channels, so that the drives can be compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from layerscope.dissection.harmonics import Baseline, Complex, Floats, Harmonics, by_phase, harmonics, responses_of
from layerscope.dissection.stimuli.gratings import Gratings
from layerscope.dissection.stimuli.hues import GREYS, Hues
from layerscope.dissection.tuning import interval, orientation_index
from layerscope.errors import InputError


class Seen(NamedTuple):
    """Gratings, and the responses [stimuli, units] to them."""

    responses: ArrayLike
    gratings: Gratings


@dataclass(frozen=True)
class ColourTuning:
    """Tuning of each unit, arrays [units] of float64. Drives are in standard deviations of the answers to noise."""

    grating_drive: Floats
    """Amplitude for the best grating along the best hue."""
    grating_selectivity: Floats
    """Orientation index for such gratings, as that of light-dark ones."""
    field_drive: Floats
    """How far the best even field or disc is moved by its hue: amplitude of the first harmonic over hues."""
    luminance_drive: Floats
    """The same for light: the best light-dark grating, or field or disc darker or lighter than grey."""
    index: Floats
    """(chromatic - luminance) / (chromatic + luminance) drive, in [-1, 1]; above 0, colour moves it more. 0 if dead."""
    hue: Floats
    """Preferred hue of fields and discs, in degrees in [0, 360): 0 red, 90 blue, 180 green, 270 yellow. NaN if dead."""
    hue_interval: Floats
    """[units, 2], degrees: 95 % bootstrap interval over shapes, lightnesses, saturations and every second hue."""
    axis: Floats
    """The hue axis of the best chromatic grating, in degrees in [0, 180): a grating has each hue and its opposite. For
    units that answer to all phases alike only which of red-green (0) and blue-yellow (90) is stronger."""
    hue_curve: Floats
    """[units, hues]: what each hue adds to grey of the same shape and lightness, mean over all of these; negative where
    it takes away. Its first harmonic points at the preferred hue. In deviations of the noise; NaN if dead."""
    dead: NDArray[np.bool_]

    @property
    def chromatic_drive(self) -> Floats:
        """The larger of those by gratings and by fields."""
        return np.maximum(self.grating_drive, self.field_drive)


def colour_tuning(
    luminance: Seen,
    chromatic: tuple[Seen, Seen],
    hues: tuple[ArrayLike, Hues],
    baseline: Baseline,
    *,
    bootstraps: int = 200,
    seed: int = 0,
) -> ColourTuning:
    """From responses [stimuli, units] to light-dark, (red-green, blue-yellow) gratings, and to hues, on one position.

    Raises InputError where responses do not fit their stimuli, or the two sets of chromatic gratings differ in more
    than their colours.
    """
    grey = baseline.grey
    light = harmonics(by_phase(*luminance), grey)
    amplitude, axes = _along_best_hue(*_chromatic(chromatic, grey))
    colours, greys = _split(*hues)
    moved = _hue_vectors(colours, hues[1].angles())
    best = amplitude.reshape(-1, amplitude.shape[2]).argmax(0)
    field = np.abs(moved[:, :, -1]).max((0, 1))
    chroma = np.maximum(amplitude.max((0, 1)), field)
    level = np.maximum(light.amplitude.max((0, 1)), _light_step(greys))
    dead, total = baseline.dead, chroma + level
    vector = moved.sum((0, 1, 2))
    hue = np.rad2deg(np.angle(vector)) % 360
    draws = _drawn_hues(colours, hues[1].angles(), bootstraps, seed)
    turns = (draws - hue + 180) % 360 - 180
    alive = np.where(dead, np.nan, 1.0)
    return ColourTuning(
        grating_drive=baseline.in_noise(amplitude.max((0, 1))),
        grating_selectivity=np.where(dead, 0.0, orientation_index(amplitude, chromatic[0].gratings.angles())),
        field_drive=baseline.in_noise(field),
        luminance_drive=baseline.in_noise(level),
        index=np.where(dead, 0.0, (chroma - level) / np.where(total > 0, total, 1.0)),
        hue=hue * alive,
        hue_interval=(hue + interval(turns, np.zeros_like(hue))).T * alive[:, None],
        axis=axes.reshape(-1, len(best))[best, np.arange(len(best))] * alive,
        hue_curve=baseline.in_noise(_hue_curve(colours, greys)).T * alive[:, None],
        dead=dead,
    )


def _chromatic(chromatic: tuple[Seen, Seen], grey: Floats) -> tuple[Harmonics, Harmonics]:
    first, second = (seen.gratings for seen in chromatic)
    if (first.axis, second.axis) != ("red-green", "blue-yellow") or (first.shape, first.frequencies) != (
        second.shape,
        second.frequencies,
    ):
        raise InputError(
            f"gratings along {first.axis} {first.shape} and {second.axis} {second.shape}; give the same ones along "
            "red-green and blue-yellow"
        )
    red_green, blue_yellow = (harmonics(by_phase(*seen), grey) for seen in chromatic)
    return red_green, blue_yellow


def _along_best_hue(red_green: Harmonics, blue_yellow: Harmonics) -> tuple[Floats, Floats]:
    """Amplitude for gratings along the best hue, and that hue's axis in degrees, [orientations, frequencies, units].

    A linear unit answers cos(h) a + sin(h) b to a grating along hue h, where a and b are its answers to both axes: the
    best h is the first principal axis of the two.
    """
    follows = red_green.modulated | blue_yellow.modulated
    a, b = (np.where(follows, one.first, np.maximum(one.mean, 0)) for one in (red_green, blue_yellow))
    together = np.where(follows, _real_product(a, b), 0.0)
    first, second = np.abs(a) ** 2, np.abs(b) ** 2
    apart = np.sqrt((first - second) ** 2 + 4 * together**2)
    amplitude = np.sqrt((first + second + apart) / 2)
    axis = np.rad2deg(np.arctan2(2 * together, first - second)) / 2 % 180
    return amplitude, axis


def _real_product(a: Complex, b: Complex) -> Floats:
    product: Floats = (a * b.conj()).real
    return product


def _split(responses: ArrayLike, hues: Hues) -> tuple[Floats, Floats]:
    """Responses to colours [shapes, lightnesses, saturations, hues, units], and to greys [shapes, greys, units]."""
    seen = responses_of(responses)
    if len(seen) != len(hues):
        raise InputError(f"responses to {len(seen)} stimuli; there are {len(hues)} hues and greys")
    colours = int(np.prod(hues.shape))
    return seen[:colours].reshape(*hues.shape, -1), seen[colours:].reshape(hues.shape[0], len(GREYS), -1)


def _hue_vectors(colours: Floats, angles: Floats) -> Complex:
    """First harmonic over hues [shapes, lightnesses, saturations, units]; whatever all hues share drops out."""
    turned = np.exp(1j * np.deg2rad(angles)) * (2 / len(angles))
    vectors: Complex = np.einsum("slthu,h->sltu", colours, turned)
    return vectors


def _hue_curve(colours: Floats, greys: Floats) -> Floats:
    """[hues, units]: mean over shapes, lightnesses and saturations of the response less that to grey as light."""
    same_light = greys[:, 1:-1]  # GREYS are the lightnesses, between two steps
    added: Floats = colours.mean((0, 1, 2)) - same_light.mean((0, 1))
    return added


def _light_step(greys: Floats) -> Floats:
    """[units]: the largest change from mean grey to a field or disc as far from it as the strongest colours."""
    middle = greys[:, len(GREYS) // 2]
    steps: Floats = np.abs(greys[:, [0, -1]] - middle[:, None]).max((0, 1))
    return steps


def _drawn_hues(colours: Floats, angles: Floats, count: int, seed: int) -> Floats:
    """Preferred hues, in degrees, of bootstrap draws of the conditions and of every second hue: [draws, units]."""
    random = np.random.default_rng([seed, 2])
    half = 2 if len(angles) >= 8 and len(angles) % 2 == 0 else 1
    vectors = [
        _hue_vectors(colours[..., start::half, :], angles[start::half]).reshape(-1, colours.shape[-1])
        for start in range(half)
    ]
    draws = np.empty((count, colours.shape[-1]))
    for draw in draws:
        chosen = vectors[int(random.integers(half))]
        draw[:] = np.rad2deg(np.angle(chosen[random.integers(0, len(chosen), len(chosen))].sum(0)))
    return draws
