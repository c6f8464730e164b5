"""Are changed scenes still what the network knows? How sure it is of them, and how its activations lie.

Effects found by re-rendering mean something only where the changed scenes are like those the network was trained on;
holes in pixels, which many benchmarks make, are shown beside them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from layerscope.attribution.baselines import blurred
from layerscope.capture.evaluating import evaluating
from layerscope.faithfulness.flips import donors
from layerscope.faithfulness.intervals import mean_over_images
from layerscope.faithfulness.part_game import seen_parts
from layerscope.faithfulness.scene_cases import logits_of
from layerscope.models.model import VisionModel
from layerscope.studies.familiarity import familiar_facts
from layerscope.studies.main_layers import main_layers
from layerscope.studies.probe import open_probe
from layerscope.studies.reference import Reference, measure_reference
from layerscope.types import Progress
from layerscope.world import (
    PART_NAMES,
    THINGS,
    MoveDistractors,
    NewBackground,
    RemoveParts,
    Scenes,
    ScrambleParts,
    SwapPart,
)
from layerscope.world.catalogue import Thing
from layerscope.world.interventions import Change

SCENES = 40

Made = Callable[[Scenes], Tensor | None]
"""One scene -> its image [3, size, size] after a change; None where it cannot be changed so."""


def _again(change: Callable[[list[str], Thing], Change | None]) -> Made:
    """change: of the thing, and of its parts that are seen, those that show most first."""

    def made(scene: Scenes) -> Tensor | None:
        wanted = change(_seen(scene), THINGS[scene.recipe.things[0]])
        return None if wanted is None else scene.again(wanted).images[0]

    return made


def _rest(seen: list[str], thing: Thing) -> list[str]:
    return [name for name in seen if name not in thing.core]


def _without(names: list[str]) -> Change | None:
    return RemoveParts(names) if names else None


def _swapped(seen: list[str], thing: Thing) -> Change | None:
    """The first part that another thing can give, as that thing has it."""
    return next((SwapPart(name, donor.name) for name in seen for donor in donors(thing, name)), None)


def _hole(fill: Callable[[Tensor], Tensor]) -> Made:
    """The pixels of the part that shows most filled."""

    def made(scene: Scenes) -> Tensor | None:
        seen, image = _seen(scene), scene.images[0]
        if not seen:
            return None
        return torch.where(scene.part[0] == PART_NAMES.index(seen[0]), fill(image), image)

    return made


def _some(names: list[str]) -> list[str]:
    """Every second one, as a choice of the parts that leaves out large and small ones."""
    return names[::2]


CHANGES: Mapping[str, tuple[str, bool, Made]] = {
    "untouched": ("untouched", True, lambda scene: scene.images[0]),
    "part": ("without one part, not its core", True, _again(lambda seen, thing: _without(_rest(seen, thing)[:1]))),
    "core": (
        "without its core",
        True,
        _again(lambda seen, thing: _without([name for name in seen if name in thing.core])),
    ),
    "half": ("without every second part", True, _again(lambda seen, thing: _without(_some(seen)))),
    "largest": ("with its largest part alone", True, _again(lambda seen, thing: _without(seen[1:]))),
    "none": ("without any part", True, _again(lambda seen, thing: _without(seen))),
    "swap": ("with another thing's part", True, _again(_swapped)),
    "background": ("on another background", True, _again(lambda seen, thing: NewBackground())),
    "distractors": ("with the distractors elsewhere", True, _again(lambda seen, thing: MoveDistractors())),
    "blurred": ("a part's pixels blurred", False, _hole(lambda image: blurred(image[None])[0])),
    "black": ("a part's pixels black", False, _hole(torch.zeros_like)),
    "scrambled": ("with its parts scattered", False, _again(lambda seen, thing: ScrambleParts())),
    "noise": ("noise", False, lambda scene: _noise(scene.images[0], scene.seeds[0])),
}
"""By name: the change in words, whether it is one that causes are found by, and how it is made."""


def familiar_rows(model: VisionModel, scenes: Scenes, on_progress: Progress) -> list[dict[str, Any]]:
    """For each change: probability of the predicted class, share that keeps its label, share unlike what is known."""
    some = [scenes.one(number) for number in range(min(SCENES, len(scenes.seeds)))]
    with evaluating(model.module):
        reference = measure_reference(model, main_layers(model), open_probe("menagerie", model), on_progress)
        labels = {scene.seeds[0]: _of(model, scene.images[0])[0] for scene in some}
        return [
            _row(
                name, [(scene, image) for scene in some if (image := made(scene)) is not None], model, reference, labels
            )
            for name, (_, _, made) in CHANGES.items()
        ]


def _row(
    name: str,
    changed: list[tuple[Scenes, Tensor]],
    model: VisionModel,
    reference: Reference,
    labels: Mapping[int, int],
) -> dict[str, Any]:
    columns: dict[str, list[float]] = {"probability": [], "same": [], "unlike": []}
    for scene, image in changed:
        label, probability = _of(model, image)
        columns["probability"].append(probability)
        columns["same"].append(label == labels[scene.seeds[0]])
        found = familiar_facts(model, image[None], reference)
        columns["unlike"].append(found["unlike"] if found["checked"] else np.nan)
    means = {column: mean_over_images(np.array(values, float)) for column, values in columns.items()}
    title, natural, _ = CHANGES[name]
    facts = {column: mean and mean.facts() for column, mean in means.items()}
    return {"change": name, "title": title, "natural": natural, "scenes": len(changed), **facts}


def _of(model: VisionModel, image: Tensor) -> tuple[int, float]:
    """The predicted class of an image [3, size, size], and its probability."""
    sure, label = logits_of(model)(image[None]).softmax(1)[0].max(0)
    return int(label), float(sure)


def _seen(scene: Scenes) -> list[str]:
    return list(seen_parts(scene)[0])


def _noise(image: Tensor, seed: int) -> Tensor:
    return torch.rand(image.shape, generator=torch.Generator().manual_seed(seed))
