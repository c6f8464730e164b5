"""The account of one image: every measurement of an explanation, as facts and arrays of its record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layerscope.attribution.score import Score
from layerscope.capture.evaluating import evaluating
from layerscope.capture.layers import Layer
from layerscope.faithfulness.scoring import as_taken
from layerscope.models.model import VisionModel
from layerscope.studies.asked import Asked
from layerscope.studies.evidence import Evidence, agreement, curve_facts, facts_of, gather, judge, map_name
from layerscope.studies.familiarity import calibration_words, familiar_facts, reach_words, story_words
from layerscope.studies.labels import Labels
from layerscope.studies.main_layers import same_units
from layerscope.studies.reference import Reference
from layerscope.studies.scene_truth import BATCH, causes_of, effects_of, flip_of, rgb
from layerscope.studies.story import Chapter, Mattered, tell
from layerscope.studies.subject import Subject
from layerscope.studies.unit_pictures import UnitPictures
from layerscope.types import Progress

SCHEMA = 1


class Account:
    """Makes the facts of one explanation; `arrays` fills up with what they name.

    Raises InputError where the network puts out what is not finite for this image.
    """

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
        self._image = as_taken(model, subject.image)
        self._labels = Labels(model, self._image, asked, subject.name)
        self.arrays: dict[str, NDArray[Any]] = {"image": rgb(subject.pixels)}

    def facts(self) -> dict[str, Any]:
        """All facts of the record."""
        asked, questions = self._asked, self._labels.questions
        found = gather(
            self._model,
            self._image,
            questions,
            asked.methods,
            layer=asked.layer,
            baseline=asked.baseline,
            seed=asked.seed,
            memory=asked.memory,
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
            "seed": asked.seed,
            **self._said(),
            "layer": self._layer_facts(found),
            "questions": list(questions),
            **self._judged(found),
            "story": self._story(),
        }

    def _said(self) -> dict[str, Any]:
        """What the network says, how sure it is, and whether the image is of a kind that it knows."""
        labels, reference = self._labels, self._reference
        familiar = familiar_facts(self._model, self._image, reference)
        temperature = reference.temperature if reference is not None else None
        holds = None if familiar["unlike"] else temperature
        return {
            "familiar": familiar,
            "temperature": temperature,
            "calibration": calibration_words(reference, familiar["unlike"]),
            "labels": labels.classes(holds),
            "target": labels.target(),
            "versus": labels.versus(reference, holds),
            "versus_note": labels.versus_note,
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
        """Every map with its checks; curves, how the maps agree, and what is true where that is known."""
        scene, labels = self._subject.scene, self._labels
        asked = {question: [one for one in found if one.question == question] for question in labels.questions}
        what, score = labels.judged
        curves = judge(score, self._image, asked["target"], self._asked.seed, BATCH)
        effects = effects_of(self._model, scene, labels.questions)
        causes, flip = None, None
        if scene is not None and effects:
            causes, parts = causes_of(scene, effects["target"])
            flip, flipped = flip_of(scene, labels)
            self.arrays |= parts | flipped
        return {
            "methods": [
                facts_of(one, curves if one.question == "target" else None, effects.get(one.question)) for one in found
            ],
            "agreement": {question: agreement(group) for question, group in asked.items()},
            "curves": {"target": curve_facts(curves, what)},
            "causes": causes,
            "flip": flip,
        }

    def _story(self) -> dict[str, Any] | None:
        score = Score(self._model, self._labels.questions["target"])
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
        words = story_words(chapters, self._reference, self._labels.what)
        return {"words": words, "layers": [self._chapter(one) for one in chapters]}

    def _chapter(self, chapter: Chapter) -> dict[str, Any]:
        layer = chapter.layer
        return {
            "layer": layer.name,
            "kind": layer.kind,
            "units": layer.units,
            "same_units": list(same_units(self._model, layer)),
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
