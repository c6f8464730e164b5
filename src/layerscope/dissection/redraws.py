"""What measures would have been for other stimuli of the same kinds: how sure a label is.

Gratings and hues: every second orientation, phase and hue, beginning at either, with the noise drawn anew; selectivity,
a mean over frequencies, of half of these (half-sampling). Textures: the exemplars that choose, and those that score,
drawn anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from layerscope.dissection.early import EarlyStimuli, EarlyTuning, tuning_of
from layerscope.dissection.stimuli.gratings import Gratings
from layerscope.dissection.stimuli.hues import Hues
from layerscope.dissection.stimuli.textures import Textures
from layerscope.dissection.texture import texture_tuning

Drawn = dict[str, NDArray[np.float32]]
_Shown = NDArray[np.float32]
_FEW = 6  # frequencies of which half would not do for a tuning curve
GRATING_MEASURES = ("drive", "selectivity")
COLOUR_MEASURES = ("grating_drive", "grating_selectivity", "field_drive", "index")


def early_draws(shown: Sequence[_Shown], stimuli: EarlyStimuli, draws: int, seed: int = 0) -> Drawn:
    """[draws, units] of each measure that edges and colours are told by; of `shown` as `tuning_of` takes it."""
    random = np.random.default_rng([seed, 5])
    found = [_drawn(shown, stimuli, random) for _ in range(draws)]
    return {name: np.stack([one[name] for one in found]).astype(np.float32) for name in (found[0] if found else ())}


def drawn_tuning(early: EarlyTuning, drawn: Drawn, draw: int) -> EarlyTuning:
    """The tuning with the measures of one draw."""
    gratings = replace(early.gratings, **{name: drawn[name][draw] for name in GRATING_MEASURES})
    if early.colour is None:
        return EarlyTuning(gratings, None)
    return EarlyTuning(gratings, replace(early.colour, **{name: drawn[name][draw] for name in COLOUR_MEASURES}))


def texture_draws(responses: _Shown, textures: Textures, draws: int, seed: int = 0) -> Drawn:
    """[draws, units] of the modulation; of `responses` as `texture_tuning` takes them."""
    random = np.random.default_rng([seed, 6])
    shaped = responses.reshape(*textures.shape, -1)
    found = []
    for _ in range(draws):
        order = np.empty(textures.exemplars, dtype=np.int64)
        for start in (0, 1):  # those of even number choose, the others score
            own = np.arange(start, textures.exemplars, 2)
            order[start::2] = random.choice(own, len(own))
        tuned = texture_tuning(shaped[:, order].reshape(responses.shape), textures, bootstraps=0)
        found.append(tuned.best_modulation)
    return {"texture_modulation": np.stack(found).astype(np.float32)} if found else {}


def _drawn(
    shown: Sequence[_Shown], stimuli: EarlyStimuli, random: np.random.Generator
) -> dict[str, NDArray[np.float64]]:
    """A drive is the largest of all frequencies: half of them would have less, and not by chance."""
    thin, fewer = _thinned(shown, stimuli, random)
    found = _measures(tuning_of(thin, fewer, bootstraps=0))
    half = _measures(tuning_of(*_of_half_the_frequencies(thin, fewer, random), bootstraps=0))
    return found | {name: half[name] for name in found if name.endswith("selectivity")}


def _measures(tuning: EarlyTuning) -> dict[str, NDArray[np.float64]]:
    found = {name: getattr(tuning.gratings, name) for name in GRATING_MEASURES}
    if tuning.colour is not None:
        found |= {name: getattr(tuning.colour, name) for name in COLOUR_MEASURES}
    return found


def _thinned(
    shown: Sequence[_Shown], stimuli: EarlyStimuli, random: np.random.Generator
) -> tuple[list[_Shown], EarlyStimuli]:
    """Responses to some of the stimuli, and which these are."""
    baselines, gratings, *coloured = shown
    noise = random.integers(1, len(baselines), len(baselines) - 1)
    orientation, phase, hue = (int(start) for start in random.integers(0, 2, 3))
    kept = [baselines[np.concatenate([[0], noise])]]
    thin, fewer = _every_second(gratings, stimuli.gratings, orientation, phase)
    kept.append(thin)
    chromatic = []
    for responses, one in zip(coloured, stimuli.chromatic, strict=False):
        thin, which = _every_second(responses, one, orientation, None)
        kept.append(thin)
        chromatic.append(which)
    hues = None
    if stimuli.hues is not None:
        thin, hues = _half_the_hues(coloured[-1], stimuli.hues, hue)
        kept.append(thin)
    return kept, replace(stimuli, gratings=fewer, chromatic=tuple(chromatic), hues=hues)


def _every_second(
    responses: _Shown, gratings: Gratings, orientation: int, phase: int | None
) -> tuple[_Shown, Gratings]:
    """Which one is first turns all orientations and phases alike, and so changes no measure that is drawn here."""
    shaped = responses.reshape(*gratings.shape, -1)[orientation::2]
    fewer = replace(gratings, orientations=len(shaped))
    if phase is not None:
        shaped = shaped[:, :, phase::2]
        fewer = replace(fewer, phases=shaped.shape[2])
    return shaped.reshape(-1, shaped.shape[-1]), fewer


def _of_half_the_frequencies(
    shown: Sequence[_Shown], stimuli: EarlyStimuli, random: np.random.Generator
) -> tuple[list[_Shown], EarlyStimuli]:
    baselines, gratings, *coloured = shown
    thin, fewer = _with_frequencies(gratings, stimuli.gratings, _half(stimuli.gratings, random))
    if not stimuli.chromatic:
        return [baselines, thin, *coloured], replace(stimuli, gratings=fewer)
    same = _half(stimuli.chromatic[0], random)
    along = [_with_frequencies(*pair, same) for pair in zip(coloured, stimuli.chromatic, strict=False)]
    kept = [baselines, thin, *(responses for responses, _ in along), *coloured[len(along) :]]
    return kept, replace(stimuli, gratings=fewer, chromatic=tuple(which for _, which in along))


def _half(gratings: Gratings, random: np.random.Generator) -> NDArray[np.int64]:
    """The numbers of half of the frequencies, in their order; of all where there are few."""
    count = len(gratings.frequencies)
    return np.arange(count) if count < _FEW else np.sort(random.choice(count, count // 2, replace=False))


def _with_frequencies(responses: _Shown, gratings: Gratings, numbers: NDArray[np.int64]) -> tuple[_Shown, Gratings]:
    shaped = responses.reshape(*gratings.shape, -1)[:, numbers]
    fewer = replace(gratings, frequencies=tuple(gratings.frequencies[number] for number in numbers))
    return shaped.reshape(-1, shaped.shape[-1]), fewer


def _half_the_hues(responses: _Shown, hues: Hues, start: int) -> tuple[_Shown, Hues]:
    colours = int(np.prod(hues.shape))
    shaped = responses[:colours].reshape(*hues.shape, -1)[:, :, :, start::2]
    fewer = replace(hues, hues=shaped.shape[3])
    return np.concatenate([shaped.reshape(-1, shaped.shape[-1]), responses[colours:]]), fewer
