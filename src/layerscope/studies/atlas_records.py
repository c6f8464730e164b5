"""The records of an atlas: its layout, its cells, and the manifest that lists them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import cached_property
from importlib.metadata import version
from typing import Any

import numpy as np

from layerscope.capture.layers import Layer
from layerscope.errors import InputError
from layerscope.models.model import VisionModel
from layerscope.records import Record
from layerscope.studies import atlas_cells as cells
from layerscope.studies.atlas_layout import grid_cells, lay_out
from layerscope.studies.atlas_vectors import Readers, Vectors, linear_readers, sample_vectors
from layerscope.studies.crew import Crew
from layerscope.studies.manifest import SCHEMA, network_facts, opening
from layerscope.studies.probe import Probe
from layerscope.synthesis.outcome import Synthesis
from layerscope.synthesis.recipes import recipe_for
from layerscope.types import Progress


def laid_out(
    crew: Crew, layer: Layer, probe: Probe, asked: dict[str, Any], method: str, on_progress: Progress
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Facts and arrays of the record of the layout: vectors with their places, and the cells with what they climb."""
    vectors = sample_vectors(crew, layer, probe, asked["seed"], on_progress)
    on_progress(0, 1, f"laying out {len(vectors.values)} vectors")
    found = lay_out(vectors.values, method, asked["seed"])
    on_progress(1, 1, f"laying out {len(vectors.values)} vectors")
    full = grid_cells(found.points, asked["grid"], asked["least"])
    if not full:
        raise InputError(
            f"no cell of {asked['grid']} times {asked['grid']} has {asked['least']} of the {len(vectors.values)} "
            "vectors; give a smaller grid= or least="
        )
    means = np.stack([vectors.values[members].astype(np.float64).mean(0) for _, _, members in full])
    numbers = {
        name: getattr(found, name) for name in ("kept", "kept_shuffled", "trust", "trust_shuffled", "neighbours")
    }
    facts = {
        "schema": SCHEMA,
        "kind": "atlas",
        "network": crew.model.name,
        "layer": layer.name,
        "layout": {"method": method, **numbers, "vectors": len(vectors.values), "silent": vectors.silent},
        "cells": [[row, column, len(members)] for row, column, members in full],
        "shown": sum(len(members) for _, _, members in full),
    }
    arrays = {
        **{name: getattr(vectors, name) for name in ("images", "rows", "columns", "values")},
        "points": found.points.astype(np.float32),
        "members": np.concatenate([members for _, _, members in full]),
        "means": means,
        "directions": cells.directions(vectors.values, means),
    }
    return facts, arrays


class CellRecords:
    """Makes the records of cells; nothing in one depends on when or with which others it was made."""

    def __init__(self, model: VisionModel, layer: Layer, atlas: Record, probe: Probe, recipe: str, seed: int) -> None:
        self.model, self.layer, self.atlas, self.probe, self.seed = model, layer, atlas, probe, seed
        self.recipe = dataclasses.asdict(recipe_for(recipe, layer, model))
        arrays = atlas.arrays
        self.vectors = Vectors(
            **{name: arrays[name] for name in ("values", "images", "rows", "columns")},
            silent=atlas.facts["layout"]["silent"],
        )
        ends = np.cumsum([count for _, _, count in atlas.facts["cells"]])
        self.members = np.split(arrays["members"], ends[:-1])

    @cached_property
    def readers(self) -> Readers | None:
        return linear_readers(self.model, self.layer, self.probe)

    def of(self, place: int, synthesis: Synthesis, at: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """Facts and arrays of the cell `place`, whose picture stands at `at` of the synthesis."""
        arrays, members = self.atlas.arrays, self.members[place]
        row, column, count = self.atlas.facts["cells"][place]
        mean, layer, picture = arrays["means"][place], self.layer, synthesis.images[at]
        chosen = cells.nearest(members, self.vectors, mean)
        found = cells.mean_activation(self.model, layer, picture)
        facts: dict[str, Any] = {
            "schema": SCHEMA,
            "kind": "cell",
            "network": self.model.name,
            "layer": layer.name,
            "row": row,
            "column": column,
            "activations": count,
            "objective": synthesis.objectives[at],
            "score": float(synthesis.scores[at]),
            "control": float(synthesis.controls[at]),
            **cells.likeness(found, arrays["means"], place, self.seed),
            "classes": cells.classes_of(members, self.vectors, self.probe),
            "attributed": cells.attributed(mean, self.readers, self.model.class_names),
            "crops": [self.probe.label(int(self.vectors.images[one])) for one in chosen],
            "saturated": float(synthesis.saturated[at]),
            "status": synthesis.status[at],
            "note": synthesis.notes[at],
            "recipe": self.recipe,
            "seed": self.seed,
        }
        crops = cells.strip(chosen, self.vectors, layer, self.probe)
        return facts, {"picture": np.asarray(picture, dtype=np.uint8), "exemplars": crops}


def manifest_of(
    model: VisionModel, layer: Layer, atlas: Record, keys: Sequence[str], probe: Probe, asked: dict[str, Any]
) -> dict[str, Any]:
    """What `atlas.json` says."""
    told = ("name", "kind", "units", "unit_axis", "stride", "receptive_field", "status")
    options = ", ".join(f"{name}={value!r}" for name, value in asked.items())
    return {
        "schema": SCHEMA,
        "kind": "atlas",
        "layerscope": version("layerscope"),
        "network": network_facts(model),
        "layer": {**{name: getattr(layer, name) for name in told}, "shape": list(layer.shape)},
        "probe": {"name": probe.name, "images": len(probe.data), "fingerprint": probe.fingerprint},
        **{name: asked[name] for name in ("grid", "least", "recipe", "seed")},
        "layout": atlas.facts["layout"],
        "shown": atlas.facts["shown"],
        "key": atlas.key,
        "cells": [
            {"row": row, "column": column, "activations": count, "key": key}
            for (row, column, count), key in zip(atlas.facts["cells"], keys, strict=True)
        ],
        "command": f"import layerscope as ls; ls.atlas({opening(model)}, {layer.name!r}, {options})",
    }
