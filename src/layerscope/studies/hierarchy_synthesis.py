"""Synthetic pictures of the units that a hierarchy report shows, each beside the strongest of the report's pictures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
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
from layerscope.records import Store, content_key
from layerscope.studies.crew import Crew
from layerscope.synthesis.ascent import maximise
from layerscope.synthesis.outcome import Synthesis, beside_natural
from layerscope.synthesis.recipes import Recipe, default_objective, recipe_for
from layerscope.types import Progress, no_progress

RECIPE = "standard"
Units = Mapping[str, Sequence[int]]
"""By layer."""
Shown = dict[str, dict[str, dict[str, Any]]]
Arrays = dict[str, NDArray[np.uint8]]


@dataclass(frozen=True)
class Drawn:
    """Pictures of the units that a report shows, drawn as a gallery draws them; a record for each layer, so that a
    report that was stopped goes on.

    report: the key of its record. pictures: among them are the strongest natural ones.
    """

    store: Store
    report: str
    pictures: Pictures
    seed: int = 0

    def keys(self, units: Units) -> list[str]:
        """Those of the records, layer by layer, of these units."""
        return [self._key(layer, some) for layer, some in units.items()]

    def by(self, crew: Crew, units: Units, on_progress: Progress = no_progress) -> tuple[Shown, Arrays]:
        """Pictures of these units by a crew, layer by layer.

        Gives facts by layer and unit (score, control, natural, ratio, status, note), and uint8 [height, width, 3] by
        "pictures/<layer>/<unit>". Progress counts units. WorkerError, after all others were drawn, for layers that end
        their workers each time.
        """
        keys = dict(zip(units, self.keys(units), strict=True))
        found = {layer: record for layer in units if (record := self.store.find(keys[layer])) is not None}
        todo = [layer for layer in units if layer not in found]
        naturals = _naturals(crew, todo, self.pictures)
        done, total = sum(len(units[layer]) for layer in found), sum(map(len, units.values()))
        work = ((layer, _asked(crew.model, layer, units[layer], self.seed)) for layer in todo)
        for layer, made in crew.all_made(_drawn, work, "pictures of {}".format):
            found[layer] = self.store.write(keys[layer], *_told(layer, units[layer], made, naturals[layer]))
            done += len(units[layer])
            on_progress(done, total, "units drawn")
        arrays = {name: array for layer in units for name, array in found[layer].arrays.items()}
        return {layer: found[layer].facts["units"] for layer in units}, arrays

    def _key(self, layer: str, units: Sequence[int]) -> str:
        return content_key(kind="pictures", report=self.report, layer=layer, units=list(units))


def shown_units(rows: Iterable[Mapping[str, Any]]) -> dict[str, list[int]]:
    """Of the rows of layers, the units of which pictures are shown."""
    return {row["name"]: sorted({*row["telling"], *row["sample"]}) for row in rows}


def _asked(model: VisionModel, layer: str, units: Sequence[int], seed: int) -> tuple[list[Objective], Recipe, int]:
    """What `_drawn` is given for a layer; the recipe fits the machine that asks, so that all draw alike."""
    objectives = [default_objective(Unit(layer, unit), model) for unit in units]
    return objectives, recipe_for(RECIPE, model.layer(layer), model), seed


def _drawn(model: VisionModel, objectives: Sequence[Objective], recipe: Recipe, seed: int) -> Synthesis:
    """What a worker does."""
    return maximise(model, objectives, recipe=recipe, seed=seed)


def _naturals(crew: Crew, layers: Sequence[str], pictures: Pictures) -> dict[str, Peaks]:
    if not layers:
        return {}
    kept = {layer: (Peak(),) for layer in layers}
    sweep_over(crew.model, pictures.pixels, kept, workers=crew.workers)
    return {layer: peak.compute() for layer, (peak,) in kept.items()}


def _told(
    layer: str, units: Sequence[int], made: Synthesis, naturals: Peaks
) -> tuple[dict[str, dict[str, Any]], Arrays]:
    """Facts and arrays of the record of a layer's pictures."""
    facts, arrays = {}, {}
    for place, unit in enumerate(units):
        facts[str(unit)] = _facts(made, place, naturals.best(unit, made.objectives[place]))
        arrays[f"pictures/{layer}/{unit}"] = as_rgb(np.asarray(made.images[place], dtype=np.uint8))
    return {"units": facts}, arrays


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
