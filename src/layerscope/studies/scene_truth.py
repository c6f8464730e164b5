"""What truly causes the score of a rendered scene, and the smallest change that flips its label, for a record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from layerscope.attribution.score import Score
from layerscope.capture.evaluating import evaluating
from layerscope.faithfulness.causes import SceneEffects, true_effects
from layerscope.faithfulness.flips import smallest_flip
from layerscope.figures.pictures import as_rgb
from layerscope.models.model import VisionModel
from layerscope.objectives import Objective
from layerscope.studies.labels import Labels
from layerscope.world import Scenes
from layerscope.world.interventions import Change, RemovePart

BATCH = 64
"""Images at once where only scores are read."""

Arrays = dict[str, NDArray[Any]]


def effects_of(model: VisionModel, scene: Scenes | None, questions: Mapping[str, Objective]) -> dict[str, SceneEffects]:
    """The true effects on the score of each question; none where the image is no scene, or a changed one."""
    if scene is None or any(type(change) is not Change for change in scene.recipe.changes):
        return {}
    with evaluating(model.module):
        return {
            question: true_effects(Score(model, objective), scene, batch=BATCH)[0]
            for question, objective in questions.items()
        }


def causes_of(scene: Scenes, effects: SceneEffects) -> tuple[dict[str, Any], Arrays]:
    """What each part does, and pictures of the scene without it."""
    seen = [part for part in effects.parts if part.pixels]
    without = scene.variants([RemovePart(part.part) for part in seen]).pixels if seen else ()
    parts = [
        {
            "part": part.part,
            "pixels": part.pixels,
            "effect": part.effect,
            "shapley": part.shapley,
            "picture": f"part/{part.part}",
        }
        for part in seen
    ]
    facts = {
        "parts": parts,
        "hidden": [part.part for part in effects.parts if not part.pixels],
        "background": effects.background,
        "distractors": effects.distractor,
        "note": effects.note,
    }
    return facts, {f"part/{part.part}": rgb(pixels) for part, pixels in zip(seen, without, strict=True)}


def flip_of(scene: Scenes, labels: Labels) -> tuple[dict[str, Any] | None, Arrays]:
    """The smallest change of the scene that flips the predicted class; None where the network has less than two."""
    if labels.logits is None or len(labels.logits) < 2:
        return None, {}
    search = smallest_flip(labels.read, scene, batch=BATCH)
    flip, facts = search.flip, {"tried": search.tried, "complete": search.complete}
    if flip is None:
        return {"found": False, "words": None, "label": None, "probability": None, **facts, "picture": None}, {}
    found = {"words": flip.words, "label": labels.name(flip.label), "probability": flip.probability}
    return {"found": True, **found, **facts, "picture": "flip"}, {"flip": rgb(flip.pixels)}


def rgb(pixels: Tensor) -> NDArray[np.uint8]:
    """uint8 [channels, height, width] as [height, width, 3]."""
    return as_rgb(pixels.permute(1, 2, 0).numpy())
