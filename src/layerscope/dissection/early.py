"""Edges and colours: what units of early layers are tuned to, and whether that is more than random filters show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from layerscope.dissection.colour import ColourTuning, Seen, colour_tuning
from layerscope.dissection.harmonics import Baseline
from layerscope.dissection.nulls import upper_limit
from layerscope.dissection.responses import respond
from layerscope.dissection.stimuli.colours import chromatic_axes
from layerscope.dissection.stimuli.gratings import Baselines, Gratings, frequencies_for
from layerscope.dissection.stimuli.hues import Hues
from layerscope.dissection.stimuli.stimuli import Stimuli
from layerscope.dissection.tuning import GratingTuning, grating_tuning
from layerscope.errors import InputError
from layerscope.passes.spread import HERE, Workers
from layerscope.types import Progress, Steps, no_progress

if TYPE_CHECKING:
    from layerscope.models.model import VisionModel

CATEGORIES = ("edge", "colour", "colour-edge", "none")
QUANTILE = 0.99


@dataclass(frozen=True)
class EarlyStimuli:
    """Stimuli for edges and colours, of one size: gratings, light-dark and along two axes of hue, hues, baselines."""

    gratings: Gratings
    chromatic: tuple[Gratings, ...]
    hues: Hues | None
    baselines: Baselines

    @classmethod
    def of(cls, size: int, channels: int, receptive_field: int | None = None, seed: int = 0) -> EarlyStimuli:
        """For images of `size` pixels, and units that see `receptive_field` of them (the whole image by default).

        Hue needs three channels. Gratings along hues have every second frequency, and four phases.
        """
        frequencies = frequencies_for(size, receptive_field)
        axes = chromatic_axes(channels)
        every_second = frequencies[::2]
        return cls(
            gratings=Gratings(size, channels, frequencies),
            chromatic=tuple(Gratings(size, channels, every_second, axis, phases=4) for axis in axes),
            hues=Hues(size, None if receptive_field is None else receptive_field / 2) if axes else None,
            baselines=Baselines(size, channels, seed=seed),
        )

    @property
    def sets(self) -> tuple[Stimuli, ...]:
        """All sets: baselines, gratings, those along hues, hues."""
        return (self.baselines, self.gratings, *self.chromatic, *([self.hues] if self.hues else []))

    def __len__(self) -> int:
        """How many images there are in all."""
        return sum(map(len, self.sets))


@dataclass(frozen=True)
class EarlyTuning:
    """Tuning of the units of one layer; `colour` is None where images have no hues."""

    gratings: GratingTuning
    colour: ColourTuning | None


def early_tuning(
    model: VisionModel,
    layers: Sequence[str],
    stimuli: EarlyStimuli,
    *,
    bootstraps: int = 200,
    seed: int = 0,
    batch_size: int = 64,
    on_progress: Progress = no_progress,
) -> dict[str, EarlyTuning]:
    """Tuning of the units of each layer at the middle of its map; one sweep per set of stimuli, all layers at once.

    Give layers whose units are not rectified yet (convolutions, or the BatchNorm after them).
    Raises UnknownNameError for a layer that does not exist, InputError where the stimuli do not fit the network.
    """
    shown = early_responses(model, layers, stimuli, batch_size=batch_size, on_progress=on_progress)
    return {layer: tuning_of(seen, stimuli, bootstraps, seed) for layer, seen in shown.items()}


def early_responses(
    model: VisionModel,
    layers: Sequence[str],
    stimuli: EarlyStimuli,
    *,
    batch_size: int = 64,
    workers: Workers = HERE,
    on_progress: Progress = no_progress,
) -> dict[str, list[NDArray[np.float32]]]:
    """By layer what its units answer, [stimuli, units] for each set: baselines, gratings, those along hues, hues."""
    sets = stimuli.sets
    shown: dict[str, list[NDArray[np.float32]]] = {layer: [] for layer in layers}
    step = Steps(on_progress, len(stimuli))
    for one in sets:
        found = respond(model, one, layers, batch_size=batch_size, workers=workers, on_progress=step)
        step.on(len(one))
        for layer, responses in found.items():
            shown[layer].append(responses.numpy())
    return shown


def tuning_of(
    shown: Sequence[NDArray[np.float32]], stimuli: EarlyStimuli, bootstraps: int = 200, seed: int = 0
) -> EarlyTuning:
    """Tuning from what one layer's units answer, as `early_responses` gives it."""
    baselines, gratings, *coloured = shown
    baseline = Baseline.of(baselines, gratings, *coloured)
    tuned = grating_tuning(gratings, stimuli.gratings, baseline, bootstraps=bootstraps, seed=seed)
    if stimuli.hues is None:
        return EarlyTuning(tuned, None)
    red_green, blue_yellow = (Seen(*pair) for pair in zip(coloured[:2], stimuli.chromatic, strict=True))
    light = Seen(gratings, stimuli.gratings)
    hues = coloured[2], stimuli.hues
    colour = colour_tuning(light, (red_green, blue_yellow), hues, baseline, bootstraps=bootstraps, seed=seed)
    return EarlyTuning(tuned, colour)


@dataclass(frozen=True)
class Limits:
    """What units have to exceed: a high quantile of each measure over units that learned nothing."""

    drive: float
    selectivity: float
    grating_drive: float
    grating_selectivity: float
    field_drive: float

    @classmethod
    def of(cls, *nulls: EarlyTuning, quantile: float = QUANTILE) -> Limits:
        """From random filters of the same kernels, or one layer of random-weight twins, taken together; not dead ones.

        Of so few units that none of their values is high enough, the largest. Raises InputError where all are dead, or
        without any.
        """
        pooled = [np.concatenate(measure) for measure in zip(*map(_measures, nulls), strict=True)]
        if not pooled or not len(pooled[0]):
            raise InputError("no null unit answers to anything; take other random weights")
        limits = [upper_limit(measure, quantile) for measure in pooled]
        return cls(*limits, *[np.inf] * (5 - len(limits)))


def _measures(tuning: EarlyTuning) -> list[NDArray[np.float64]]:
    """What has limits, of the units that live: two measures, or five where images have hues."""
    gratings, colour = tuning.gratings, tuning.colour
    measures = [gratings.drive, gratings.selectivity]
    if colour is not None:
        measures += [colour.grating_drive, colour.grating_selectivity, colour.field_drive]
    return [measure[~gratings.dead] for measure in measures]


def passes_edge(tuning: EarlyTuning, limits: Limits) -> NDArray[np.bool_]:
    """[units]: driven by gratings, and selective for their orientation, beyond the limits.

    By light-dark ones; or, where colour moves a unit more than light does, by those along hues.
    """
    light = (tuning.gratings.drive > limits.drive) & (tuning.gratings.selectivity > limits.selectivity)
    colour = tuning.colour
    if colour is None:
        return light
    oriented = (colour.grating_drive > limits.grating_drive) & (colour.grating_selectivity > limits.grating_selectivity)
    return light | (oriented & (colour.index > 0))


def passes_colour(tuning: EarlyTuning, limits: Limits) -> NDArray[np.bool_]:
    """[units]: driven by hue beyond the limits, by gratings or by even fields, and more than by light."""
    colour = tuning.colour
    if colour is None:
        return np.zeros_like(tuning.gratings.dead)
    driven = (colour.grating_drive > limits.grating_drive) | (colour.field_drive > limits.field_drive)
    passed: NDArray[np.bool_] = driven & (colour.index > 0)
    return passed


def early_categories(tuning: EarlyTuning, limits: Limits) -> NDArray[np.str_]:
    """[units], one of CATEGORIES: the tests of edge and colour passed, alone or both; dead units have none."""
    edge, colour = passes_edge(tuning, limits), passes_colour(tuning, limits)
    names = np.array(CATEGORIES)
    found: NDArray[np.str_] = names[np.select([edge & colour, edge, colour], [2, 0, 1], default=3)]
    return found
