"""The record of one unit of a gallery: all that is known of its picture, beside the picture."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layerscope.models.model import VisionModel
from layerscope.studies.exemplars import Naturals
from layerscope.studies.gallery_work import Card, Job
from layerscope.studies.manifest import SCHEMA
from layerscope.synthesis.outcome import Synthesis, beside_natural


def record_of(
    model: VisionModel,
    job: Job,
    synthesis: Synthesis,
    place: int,
    natural: Naturals | None,
    card: Card,
    seed: int,
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Facts and arrays of one unit's record; nothing in it depends on when or with whom it was made."""
    index, score = job.unit.index, float(synthesis.scores[place])
    strongest = natural.peaks.best(index, str(job.objective)) if natural else None
    ratio, status, note = beside_natural(score, strongest, synthesis.status[place], synthesis.notes[place])
    facts: dict[str, Any] = {
        "schema": SCHEMA,
        "kind": "unit",
        "network": model.name,
        "layer": job.layer.name,
        "unit": index,
        "label": _label(model, job),
        "objective": str(job.objective),
        "score": score,
        "control": float(synthesis.controls[place]),
        "natural": strongest,
        "ratio": ratio,
        "saturated": float(synthesis.saturated[place]),
        "status": status,
        "note": note,
        "card": card,
        "recipe": dataclasses.asdict(job.recipe),
        "seed": seed,
        "exemplars": natural.facts(index) if natural else [],
    }
    arrays: dict[str, NDArray[Any]] = {
        "picture": np.asarray(synthesis.images[place], dtype=np.uint8),
        "trace": np.asarray(synthesis.trace[place], dtype=np.float32),
        "exemplars": natural.strip(index) if natural else np.zeros(0, dtype=np.uint8),
    }
    return facts, arrays


def _label(model: VisionModel, job: Job) -> str | None:
    """The class that a unit of the output stands for."""
    of_output = str(job.objective).startswith("logit ")
    return model.class_names[job.unit.index] if of_output and model.class_names else None
