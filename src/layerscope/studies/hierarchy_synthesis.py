"""Synthetic pictures of the units that a hierarchy report shows, each beside the strongest of the report's pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layerscope.capture.units import Unit
from layerscope.dissection.pictures import Pictures
from layerscope.figures.pictures import as_rgb
from layerscope.models.model import VisionModel
from layerscope.objectives import Objective
from layerscope.passes.accumulators import Peak, Peaks
from layerscope.passes.spread import sweep_over
from layerscope.studies.crew import Crew
from layerscope.synthesis.ascent import maximise
from layerscope.synthesis.outcome import Synthesis, beside_natural
from layerscope.synthesis.recipes import Recipe, default_objective, recipe_for
from layerscope.types import Progress, no_progress

RECIPE = "standard"
Shown = dict[str, dict[str, dict[str, Any]]]


def synthesise(
    crew: Crew,
    units: Mapping[str, Sequence[int]],
    pictures: Pictures,
    *,
    seed: int = 0,
    on_progress: Progress = no_progress,
) -> tuple[Shown, dict[str, NDArray[np.uint8]]]:
    """Pictures of some units by layer, drawn as a gallery draws them; by a crew, layer by layer.

    Gives facts by layer and unit (score, control, natural, ratio, status, note), and uint8 [height, width, 3] by
    "pictures/<layer>/<unit>". Progress counts units.
    """
    naturals = _naturals(crew, list(units), pictures)
    facts: Shown = {layer: {} for layer in units}
    arrays = {}
    done, total = 0, sum(map(len, units.values()))
    for layer, future in crew.each(_drawn, ((layer, _asked(crew.model, layer, units[layer], seed)) for layer in units)):
        made: Synthesis = future.result()
        for place, unit in enumerate(units[layer]):
            strongest = naturals[layer].best(unit, made.objectives[place])
            facts[layer][str(unit)] = _facts(made, place, strongest)
            arrays[f"pictures/{layer}/{unit}"] = as_rgb(np.asarray(made.images[place], dtype=np.uint8))
        done += len(units[layer])
        on_progress(done, total, "units drawn")
    return facts, arrays


def _asked(model: VisionModel, layer: str, units: Sequence[int], seed: int) -> tuple[list[Objective], Recipe, int]:
    """What `_drawn` is given for a layer; the recipe fits the machine that asks, so that all draw alike."""
    objectives = [default_objective(Unit(layer, unit), model) for unit in units]
    return objectives, recipe_for(RECIPE, model.layer(layer), model), seed


def _drawn(model: VisionModel, objectives: Sequence[Objective], recipe: Recipe, seed: int) -> Synthesis:
    """What a worker does."""
    return maximise(model, objectives, recipe=recipe, seed=seed)


def _naturals(crew: Crew, layers: Sequence[str], pictures: Pictures) -> dict[str, Peaks]:
    kept = {layer: (Peak(),) for layer in layers}
    sweep_over(crew.executor, crew.model, pictures.pixels, kept, network=crew.network)
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
