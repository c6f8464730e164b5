"""The account of one image: every measurement of an explanation, as facts and arrays of its record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from layerscope.attribution.score import Score, as_objective
from layerscope.capture.evaluating import evaluating
from layerscope.capture.layers import Layer
from layerscope.errors import InputError
from layerscope.faithfulness.causes import SceneEffects, true_effects
from layerscope.faithfulness.flips import smallest_flip
from layerscope.models.model import VisionModel
from layerscope.models.pictures import as_rgb
from layerscope.objectives import Objective
from layerscope.objectives.classes import class_of
from layerscope.studies.evidence import Evidence, agreement, curve_facts, facts_of, gather, judge, map_name, read_output
from layerscope.studies.familiarity import calibration_words, familiar_facts, reach_words, story_words
from layerscope.studies.reference import Reference
from layerscope.studies.story import Chapter, Mattered, tell
from layerscope.studies.subject import Subject
from layerscope.studies.unit_pictures import UnitPictures
from layerscope.types import Progress
from layerscope.world import Scenes
from layerscope.world.interventions import Change, RemovePart

SCHEMA = 1
CLASSES = 5
"""Classes that are listed."""
BATCH = 64
"""Images at once where only scores are read."""


@dataclass(frozen=True)
class Asked:
    """What `explain` was asked for. target None: the predicted class. versus None: the runner-up."""

    target: Objective | None
    versus: int | None
    methods: tuple[str, ...]
    layer: str | None
    baseline: str
    seed: int
    memory: float | str


class Account:
    """Makes the facts of one explanation; `arrays` fills up with what they name."""

    def __init__(
        self,
        model: VisionModel,
        subject: Subject,
        asked: Asked,
        layers: Sequence[Layer],
        reference: Reference | None,
        pictures: UnitPictures,
        on_progress: Progress,
    ) -> None:
        self._model, self._subject, self._asked, self._layers = model, subject, asked, layers
        self._reference, self._pictures, self._progress = reference, pictures, on_progress
        some = next(iter(model.module.parameters()), subject.pixels.float())
        self._image = subject.image.to(some.device, some.dtype)
        self.arrays: dict[str, NDArray[Any]] = {"image": _rgb(subject.pixels)}

    def facts(self) -> dict[str, Any]:
        """All facts of the record."""
        found = gather(
            self._model,
            self._image,
            self._questions,
            self._asked.methods,
            layer=self._asked.layer,
            baseline=self._asked.baseline,
            seed=self._asked.seed,
            memory=self._asked.memory,
            on_progress=self._progress,
        )
        for one in found:
            if one.made is not None:
                self.arrays[map_name(one)] = one.map.numpy().astype(np.float32)
        return {
            "schema": SCHEMA,
            "kind": "explanation",
            "network": self._model.name,
            "image": self._subject.facts,
            "truth": self._subject.truth,
            "seed": self._asked.seed,
            "familiar": familiar_facts(self._model, self._image, self._reference),
            **self._classes(),
            "target": self._target_facts(),
            "versus": self._versus_facts(),
            "layer": self._layer_facts(found),
            "questions": list(self._questions),
            **self._judged(found),
            "story": self._story(),
            **self._truth(),
        }

    @cached_property
    def _logits(self) -> Tensor | None:
        """[classes]; None for a network that does not put out [batch, classes]."""
        with evaluating(self._model.module):
            output = read_output(self._model, self._image)
        return output[0].detach().float().cpu() if output.ndim == 2 else None

    @cached_property
    def _label(self) -> int | None:
        """The class that is explained; None for another objective than a class."""
        if self._asked.target is None:
            if self._logits is None:
                raise InputError(f"{self._model.name!r} predicts no class; give a target, as a unit 'layer:channel'")
            return int(self._logits.argmax())
        return class_of(self._asked.target)

    @cached_property
    def _rival(self) -> int | None:
        """The class that it is set against: the one asked for, or the strongest other one."""
        if self._label is None or self._logits is None or len(self._logits) < 2:
            return None
        if self._asked.versus is not None:
            return self._asked.versus
        order = [int(index) for index in self._logits.argsort(descending=True)]
        return next(index for index in order if index != self._label)

    @cached_property
    def _questions(self) -> dict[str, Objective]:
        """What is asked of the methods: why this, and why this rather than the other."""
        target = self._asked.target or as_objective(self._model, self._label or 0)
        if self._rival is None or self._rival == self._label:
            return {"target": target}
        return {"target": target, "versus": target - as_objective(self._model, self._rival)}

    def _name(self, label: int) -> str:
        names = self._model.class_names
        return names[label] if names is not None and label < len(names) else f"class {label}"

    def _classes(self) -> dict[str, Any]:
        """The most probable classes, and how probabilities were calibrated."""
        scale = self._reference.temperature if self._reference is not None else None
        facts: dict[str, Any] = {"temperature": scale, "calibration": calibration_words(self._reference), "labels": []}
        if self._logits is None:
            return facts
        plain, calibrated = self._logits.softmax(0), (self._logits / (scale or 1.0)).softmax(0)
        facts["labels"] = [
            {
                "class": self._name(index),
                "index": index,
                "logit": float(self._logits[index]),
                "probability": float(plain[index]),
                "calibrated": float(calibrated[index]) if scale is not None else None,
            }
            for index in self._logits.argsort(descending=True)[:CLASSES].tolist()
        ]
        return facts

    def _target_facts(self) -> dict[str, Any]:
        target = self._questions["target"]
        with evaluating(self._model.module):
            score = float(Score(self._model, target)(self._image)[0])
        label = str(target) if self._label is None else self._name(self._label)
        predicted = self._logits is not None and self._label == int(self._logits.argmax())
        return {"text": str(target), "label": label, "index": self._label, "score": score, "predicted": predicted}

    def _versus_facts(self) -> dict[str, Any] | None:
        if "versus" not in self._questions or self._logits is None or self._rival is None or self._label is None:
            return None
        margin, reference = float(self._logits[self._label] - self._logits[self._rival]), self._reference
        scale = reference.temperature if reference is not None else None
        return {
            "text": str(self._questions["versus"]),
            "label": self._name(self._rival),
            "index": self._rival,
            "margin": margin,
            "calibrated": margin / scale if scale is not None else None,
            "percentile": reference.share_below(margin) if reference is not None and scale is not None else None,
        }

    def _layer_facts(self, found: Sequence[Evidence]) -> dict[str, Any] | None:
        """The layer that class activation maps were drawn from."""
        made = next((one.made for one in found if one.made is not None and one.made.layer), None)
        if made is None or made.layer is None:
            return None
        layer = self._model.layer(made.layer)
        positions = [size for axis, size in enumerate(layer.shape, start=1) if axis != layer.unit_axis]
        return {"name": layer.name, "chosen": made.chosen, "positions": positions}

    def _judged(self, found: Sequence[Evidence]) -> dict[str, Any]:
        """Every map with its checks; curves, and how the maps agree."""
        asked = {question: [one for one in found if one.question == question] for question in self._questions}
        curves = None
        if self._label is not None and self._logits is not None:
            curves = judge(self._model, self._image, self._label, asked["target"], self._asked.seed, BATCH)
        return {
            "methods": [facts_of(one, curves if one.question == "target" else None, self._effects) for one in found],
            "agreement": {question: agreement(group) for question, group in asked.items()},
            "curves": {} if curves is None else {"target": curve_facts(curves, self._name(self._label or 0))},
        }

    def _story(self) -> dict[str, Any] | None:
        score = Score(self._model, self._questions["target"])
        with evaluating(self._model.module, gradients=True):
            chapters = tell(
                score,
                self._image,
                self._layers,
                self._reference,
                seed=self._asked.seed,
                on_progress=self._progress,
            )
        if not chapters:
            return None
        return {"words": story_words(chapters, self._reference), "layers": [self._chapter(one) for one in chapters]}

    def _chapter(self, chapter: Chapter) -> dict[str, Any]:
        layer = chapter.layer
        return {
            "layer": layer.name,
            "kind": layer.kind,
            "units": layer.units,
            "reach": reach_words(layer),
            "agreement": chapter.agreement,
            "within": chapter.within,
            "tried": chapter.tried,
            "shown": [self._unit(layer, unit) for unit in chapter.shown],
        }

    def _unit(self, layer: Layer, unit: Mattered) -> dict[str, Any]:
        place, picture = f"{layer.name}/{unit.unit}", self._pictures.find(layer, unit.unit)
        self.arrays[f"fired/{place}"] = unit.fired.numpy().astype(np.float32)
        if picture is not None:
            self.arrays[f"unit/{place}"] = picture.picture
        return {
            "unit": unit.unit,
            "contribution": -unit.predicted,
            "predicted": unit.predicted,
            "true": unit.true,
            "mean": unit.mean,
            "strongest": unit.strongest,
            "fired": f"fired/{place}",
            "peak": list(unit.peak) if unit.peak is not None else None,
            "picture": f"unit/{place}" if picture is not None else None,
            "ratio": picture.ratio if picture is not None else None,
            "status": picture.status if picture is not None else None,
            "gallery_layer": picture.layer if picture is not None else None,
        }

    @cached_property
    def _effects(self) -> SceneEffects | None:
        """What truly causes the score, where the image is an unchanged scene."""
        scene = self._subject.scene
        if scene is None or not _is_unchanged(scene):
            return None
        with evaluating(self._model.module):
            return true_effects(Score(self._model, self._questions["target"]), scene, batch=BATCH)[0]

    def _truth(self) -> dict[str, Any]:
        scene, effects = self._subject.scene, self._effects
        if scene is None or effects is None:
            return {"causes": None, "flip": None}
        seen = [part for part in effects.parts if part.pixels]
        without = scene.variants([RemovePart(part.part) for part in seen]) if seen else None
        parts = []
        for number, part in enumerate(seen):
            assert without is not None
            self.arrays[f"part/{part.part}"] = _rgb(without.pixels[number])
            facts = {"part": part.part, "pixels": part.pixels, "effect": part.effect, "shapley": part.shapley}
            parts.append({**facts, "picture": f"part/{part.part}"})
        causes = {
            "parts": parts,
            "hidden": [part.part for part in effects.parts if not part.pixels],
            "background": effects.background,
            "distractors": effects.distractor,
            "note": effects.note,
        }
        return {"causes": causes, "flip": self._flip(scene)}

    def _flip(self, scene: Scenes) -> dict[str, Any] | None:
        """The smallest change of the scene that flips the predicted class."""
        if self._logits is None:
            return None
        with evaluating(self._model.module):
            search = smallest_flip(lambda images: read_output(self._model, images), scene, batch=BATCH)
        flip = search.flip
        if flip is not None:
            self.arrays["flip"] = _rgb(flip.pixels)
        return {
            "found": flip is not None,
            "words": flip.words if flip is not None else None,
            "label": self._name(flip.label) if flip is not None else None,
            "probability": flip.probability if flip is not None else None,
            "tried": search.tried,
            "complete": search.complete,
            "picture": "flip" if flip is not None else None,
        }


def _is_unchanged(scene: Scenes) -> bool:
    return all(type(change) is Change for change in scene.recipe.changes)


def _rgb(pixels: Tensor) -> NDArray[np.uint8]:
    """uint8 [channels, height, width] as [height, width, 3]."""
    return as_rgb(pixels.permute(1, 2, 0).numpy())
