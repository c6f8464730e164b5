"""Colour tuning, against literal formulas in float64 and linear units whose hue is known."""

from __future__ import annotations

import cmath
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from planted_filters import blob, colour_of, gabor

from layerscope.dissection.colour import ColourTuning, Seen, colour_tuning
from layerscope.dissection.early import EarlyStimuli
from layerscope.dissection.harmonics import Baseline
from layerscope.dissection.stimuli.hues import GREYS, LIGHTNESSES
from layerscope.dissection.stimuli.stimuli import Stimuli
from layerscope.errors import InputError

STIMULI = EarlyStimuli.of(17, 3, 17)
assert STIMULI.hues is not None
HUES = STIMULI.hues
SETS: tuple[Stimuli, ...] = (STIMULI.baselines, STIMULI.gratings, *STIMULI.chromatic, HUES)
IMAGES = [one.render(np.arange(len(one))).double().numpy().reshape(len(one), -1) for one in SETS]
Array = NDArray[np.float64]


def linear(*filters: Array) -> list[Array]:
    """What linear units of these filters [3, 17, 17] answer to each set."""
    return [images @ np.stack(filters).reshape(len(filters), -1).T for images in IMAGES]


def tuned(shown: list[Array], bootstraps: int = 20) -> ColourTuning:
    _, light, red_green, blue_yellow, hues = shown
    pair = Seen(red_green, STIMULI.chromatic[0]), Seen(blue_yellow, STIMULI.chromatic[1])
    baseline = Baseline.of(*shown)
    return colour_tuning(Seen(light, STIMULI.gratings), pair, (hues, HUES), baseline, bootstraps=bootstraps)


def coloured(drawn: Array, colour: Array) -> Array:
    return drawn * colour[:, None, None]


@settings(max_examples=30, deadline=None)
@given(st.floats(0, 359.99), st.floats(1, 5), st.floats(1e-4, 1e4))
def test_the_hue_of_a_blob_is_exact(hue: float, sigma: float, scale: float) -> None:
    found = tuned(linear(coloured(blob(sigma), colour_of(hue)) * scale))
    assert abs((found.hue[0] - hue + 180) % 360 - 180) < 1e-4
    assert abs((found.axis[0] - hue + 90) % 180 - 90) < 1e-3
    assert found.index[0] > 0.99
    assert found.field_drive[0] > found.grating_drive[0] / 2 > 1
    assert np.ptp(found.hue_interval[0]) < 1e-3


def test_light_and_colour_are_told_apart() -> None:
    grey = np.ones(3)
    bars = gabor(30, 0.12, 0.5)
    units = linear(
        coloured(blob(2), grey),
        coloured(bars, grey),
        coloured(bars, colour_of(200)),
        coloured(blob(2), grey + 2 * colour_of(10)),
    )
    found = tuned(units)
    assert (found.index[:2] < -0.99).all()
    assert found.index[2] > 0.99
    assert found.axis[2] == pytest.approx(20, abs=0.01)
    assert found.grating_selectivity[2] > 0.5 > found.grating_selectivity[3]
    assert found.grating_drive[2] > 3 * found.field_drive[2]
    assert found.hue[3] == pytest.approx(10, abs=0.01)
    # grey + 2 hue: light has the norm of (1, 1, 1), sqrt 3, and hue that of twice a unit vector
    assert found.index[3] == pytest.approx((2 - 3**0.5) / (2 + 3**0.5), abs=0.02)


def test_an_even_step_of_light_counts_too() -> None:
    """A unit that sums all pixels is moved more by a lighter field than by any grating."""
    units = linear(np.ones((3, 17, 17)), coloured(blob(5), np.ones(3)))
    sums = [3 * 17 * 17, 3 * blob(5).sum()]
    noise = Baseline.of(*units).noise
    assert tuned(units).luminance_drive * noise == pytest.approx([0.24 * each for each in sums], rel=1e-5)


def test_any_hue_of_a_grating_counts_alike() -> None:
    """Only two axes are shown, but a unit half-way between them is driven as much as one on them."""
    units = linear(*(coloured(gabor(60, 0.1, 1.0), colour_of(hue)) for hue in (0, 45, 90, 130, 210)))
    found = tuned(units)
    drives = found.grating_drive * Baseline.of(*units).noise
    assert drives == pytest.approx(np.full(5, drives[0]), rel=1e-6)
    assert found.axis == pytest.approx([0, 45, 90, 130, 30], abs=1e-3)


def literal_curve(responses: Array) -> list[float]:
    """By hue, what it adds to grey of its shape and lightness: the mean over twelve conditions."""
    known = list(zip(responses, HUES.table(), strict=True))
    greys = {(one["shape"], one["lightness"]): value for value, one in known if one["saturation"] == 0}
    curve = []
    for hue in HUES.angles():
        added = [value - greys[one["shape"], one["lightness"]] for value, one in known if one["hue"] == hue]
        assert len(added) == 12
        curve.append(sum(added) / 12)
    return curve


def literal(shown: list[Array], unit: int) -> dict[str, float | list[float]]:
    """The definitions, written out for one unit in loops."""
    baselines, light, red_green, blue_yellow, hues = (each[:, unit] for each in shown)
    sd = baselines[1:].std(ddof=1)

    def first(rows: Array, phases: int) -> list[complex]:
        turns = [cmath.exp(-2j * math.pi * n / phases) for n in range(phases)]
        return [2 / phases * sum(v * t for v, t in zip(row, turns, strict=True)) for row in rows.reshape(-1, phases)]

    best = 0.0
    for a, b in zip(first(red_green, 4), first(blue_yellow, 4), strict=True):
        for hue in np.linspace(0, math.pi, 3601):
            best = max(best, abs(math.cos(hue) * a + math.sin(hue) * b))
    table, vector, field = HUES.table(), 0j, 0.0
    for shape in ("field", "disc"):
        for lightness in LIGHTNESSES:
            for saturation in (0.12, 0.24):
                sum_ = sum(
                    value * cmath.exp(1j * math.radians(one["hue"])) * 2 / 24
                    for value, one in zip(hues, table, strict=True)
                    if (one["shape"], one["lightness"], one["saturation"]) == (shape, lightness, saturation)
                )
                vector += sum_
                field = max(field, abs(sum_)) if saturation == 0.24 else field
    level = max(abs(value) for value in first(light, 8))
    for shape in ("field", "disc"):
        greys = {
            one["lightness"]: v
            for v, one in zip(hues, table, strict=True)
            if one["shape"] == shape and one["saturation"] == 0
        }
        level = max(level, *(abs(greys[end] - greys[0.5]) for end in (GREYS[0], GREYS[-1])))
    return {
        "grating_drive": best / sd,
        "field_drive": field / sd,
        "luminance_drive": level / sd,
        "index": (max(best, field) - level) / (max(best, field) + level),
        "hue": math.degrees(cmath.phase(vector)) % 360,
        "hue_curve": [added / sd for added in literal_curve(hues)],
    }


def test_every_number_is_its_definition() -> None:
    random = np.random.default_rng(0)
    shown = linear(*random.normal(size=(4, 3, 17, 17)))
    found = tuned(shown)
    for unit in range(4):
        for name, wanted in literal(shown, unit).items():
            assert getattr(found, name)[unit] == pytest.approx(wanted, rel=1e-5), name


def test_a_response_that_all_hues_share_is_no_hue() -> None:
    """A unit that falls silent at any colour has no preferred one, and is not driven by hue; nor is one by lightness."""
    shown = linear(coloured(blob(2), np.ones(3)))
    table = HUES.columns()
    shown[4] = shown[4] - 50 * (table["saturation"] > 0)[:, None] + 30 * (table["lightness"] != 0.5)[:, None]
    found = tuned(shown)
    assert found.field_drive[0] < 1e-6
    assert found.hue_curve[0] == pytest.approx(np.full(24, found.hue_curve[0, 0]))
    assert found.hue_curve[0, 0] * Baseline.of(*shown).noise[0] == pytest.approx(-50)


def test_units_that_answer_to_all_phases_are_colour_tuned_too() -> None:
    shown = linear(coloured(gabor(60, 0.1, 0.0), colour_of(90)), coloured(gabor(60, 0.1, np.pi / 2), colour_of(90)))
    grey = shown[0][0]
    energy = [((each - grey) ** 2).sum(1, keepdims=True) for each in shown]
    found = tuned(energy)
    assert found.grating_drive[0] > 5
    assert found.axis[0] == 90
    assert found.index[0] > 0.99


def test_dead_units_have_nothing_to_tell() -> None:
    shown = linear(np.zeros((3, 17, 17)), coloured(blob(2), colour_of(0)))
    found = tuned(shown)
    assert found.dead.tolist() == [True, False]
    assert found.chromatic_drive[0] == found.luminance_drive[0] == found.index[0] == found.grating_selectivity[0] == 0
    assert np.isnan([found.hue[0], found.axis[0], *found.hue_interval[0], *found.hue_curve[0]]).all()
    assert not np.isnan(found.hue_curve[1]).any()


def test_what_cannot_be_is_refused() -> None:
    shown = linear(coloured(blob(2), colour_of(0)))
    baseline, light = Baseline.of(*shown), Seen(shown[1], STIMULI.gratings)
    red_green, blue_yellow = (Seen(shown[2 + k], STIMULI.chromatic[k]) for k in (0, 1))
    with pytest.raises(InputError, match="give the same ones along red-green and blue-yellow"):
        colour_tuning(light, (blue_yellow, red_green), (shown[4], HUES), baseline)
    other = Seen(shown[3], replace(STIMULI.chromatic[1], orientations=8))
    with pytest.raises(InputError, match="give the same ones along red-green and blue-yellow"):
        colour_tuning(light, (red_green, other), (shown[4], HUES), baseline)
    with pytest.raises(InputError, match="responses to 3 stimuli; there are 298 hues and greys"):
        colour_tuning(light, (red_green, blue_yellow), (shown[4][:3], HUES), baseline)
