"""Stimuli drawn anew: measures scatter about themselves, and not between two values only."""

from __future__ import annotations

import numpy as np

from layerscope.dissection.early import EarlyStimuli, tuning_of
from layerscope.dissection.redraws import early_draws
from layerscope.dissection.stimuli.gratings import Baselines, Gratings
from layerscope.dissection.stimuli.hues import Hues

FREQUENCIES = tuple(np.geomspace(0.05, 0.35, 8).tolist())


def test_selectivity_is_drawn_over_frequencies_and_scatters_about_what_it_is():
    chromatic = tuple(
        Gratings(16, 3, FREQUENCIES, axis, orientations=8, phases=4) for axis in ("red-green", "blue-yellow")
    )
    stimuli = EarlyStimuli(
        Gratings(16, 3, FREQUENCIES, orientations=8), chromatic, Hues(16, hues=8), Baselines(16, 3, 16)
    )
    random = np.random.default_rng(0)
    shown = [random.normal(size=(len(one), 5)).astype(np.float32) for one in stimuli.sets]
    drawn, whole = early_draws(shown, stimuli, 30), tuning_of(shown, stimuli, bootstraps=0)
    for name, value in (
        ("selectivity", whole.gratings.selectivity),
        ("grating_selectivity", whole.colour.grating_selectivity),
    ):
        assert all(len(np.unique(unit)) > 20 for unit in drawn[name].T), name
        assert np.all(np.abs(drawn[name].mean(0) - value) < 0.2), name
