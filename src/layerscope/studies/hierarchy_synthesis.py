"""Synthetic pictures of the units that a hierarchy report shows, each beside the strongest of the report's pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layerscope.capture.units import Unit
from layerscope.dissection.pictures import Pictures, in_batches
from layerscope.dissection.responses import as_the_network_takes_them
from layerscope.figures.pictures import as_rgb
from layerscope.models.model import VisionModel
from layerscope.passes.accumulators import Peak, Peaks
from layerscope.passes.sweep import sweep
from layerscope.synthesis.ascent import maximise
from layerscope.synthesis.outcome import Synthesis, beside_natural
from layerscope.synthesis.recipes import default_objective
from layerscope.types import Progress, no_progress

RECIPE = "standard"
Shown = dict[str, dict[str, dict[str, Any]]]


def synthesise(
    model: VisionModel,
    units: Mapping[str, Sequence[int]],
    pictures: Pictures,
    *,
    seed: int = 0,
    on_progress: Progress = no_progress,
) -> tuple[Shown, dict[str, NDArray[np.uint8]]]:
    """Pictures of some units by layer, drawn as a gallery draws them.

    Gives facts by layer and unit (score, control, natural, ratio, status, note), and uint8 [height, width, 3] by
    "pictures/<layer>/<unit>". Progress counts units.
    """
    naturals = _naturals(model, list(units), pictures)
    facts: Shown = {layer: {} for layer in units}
    arrays = {}
    done, total = 0, sum(map(len, units.values()))
    for layer, some in units.items():
        objectives = [default_objective(Unit(layer, unit), model) for unit in some]
        made = maximise(model, objectives, recipe=RECIPE, seed=seed)
        for place, unit in enumerate(some):
            strongest = naturals[layer].best(unit, str(objectives[place]))
            facts[layer][str(unit)] = _facts(made, place, strongest)
            arrays[f"pictures/{layer}/{unit}"] = as_rgb(np.asarray(made.images[place], dtype=np.uint8))
        done += len(some)
        on_progress(done, total, "units drawn")
    return facts, arrays


def _naturals(model: VisionModel, layers: Sequence[str], pictures: Pictures) -> dict[str, Peaks]:
    kept = {layer: (Peak(),) for layer in layers}
    sweep(model, as_the_network_takes_them(model, in_batches(pictures.pixels)), kept)
    return {layer: peak.compute() for layer, (peak,) in kept.items()}


def _facts(made: Synthesis, place: int, natural: float) -> dict[str, Any]:
    score = float(made.scores[place])
    ratio, status, note = beside_natural(score, natural, made.status[place], made.notes[place])
    return {
        "score": score,
        "control": float(made.controls[place]),
        "natural": natural,
        "ratio": ratio,
        "status": status,
        "note": note,
    }
