"""What a network says of one image, and the questions that are put to it: why this, and why this and not that."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from torch import Tensor

from layerscope.attribution.score import Score, as_objective, first_output
from layerscope.capture.evaluating import evaluating
from layerscope.errors import InputError
from layerscope.faithfulness.scoring import ScoreOf
from layerscope.models.model import VisionModel
from layerscope.objectives import Objective
from layerscope.objectives.classes import class_of
from layerscope.studies.asked import Asked
from layerscope.studies.reference import Reference
from layerscope.types import Images

CLASSES = 5
"""Classes that are listed."""


class Labels:
    """The classes of one image, what is explained of them, and how sure the network is.

    Raises InputError, naming network and image, where the network puts out what is not finite.
    """

    def __init__(self, model: VisionModel, image: Images, asked: Asked, name: str) -> None:
        """image: [1, channel, height, width]. name: what to call it."""
        self._model, self._image, self._asked = model, image, asked
        with evaluating(model.module):
            output = first_output(model(image))
            self.logits = output[0].detach().float().cpu() if output.ndim == 2 else None
            self.index = self._explained()
            self.score = float(Score(model, self.questions["target"])(image)[0])
        said = output if self.logits is not None else output.new_tensor(self.score)
        if not said.isfinite().all():
            raise InputError(
                f"{model.name!r} gives numbers that are not finite for {name!r}, so that nothing can be explained; "
                "check its weights, and the mean and std that it gets its input with"
            )

    @cached_property
    def rival(self) -> int | None:
        """The class that it is set against: the one asked for, or the strongest other one."""
        if self.index is None or self.logits is None or len(self.logits) < 2:
            return None
        if self._asked.versus is not None:
            return self._asked.versus if self._asked.versus != self.index else None
        return next(index for index in self._order if index != self.index)

    @cached_property
    def questions(self) -> dict[str, Objective]:
        """What is asked of the methods: why this, and why this rather than the other."""
        target = self._asked.target or as_objective(self._model, self.index or 0)
        if self.rival is None:
            return {"target": target}
        return {"target": target, "versus": target - as_objective(self._model, self.rival)}

    @property
    def what(self) -> str:
        """What is explained, in words: a class, or the text of another objective."""
        return str(self.questions["target"]) if self.index is None else self.name(self.index)

    def read(self, images: Images) -> Tensor:
        """[batch, classes] of images, in eval mode."""
        with evaluating(self._model.module):
            return first_output(self._model(images))

    @property
    def judged(self) -> tuple[str, ScoreOf]:
        """What is measured while pixels go, with its name: the probability of a class, where there is one."""
        index = self.index
        if index is not None and self.logits is not None and len(self.logits) > 1:
            return f"probability of {self.what}", lambda images: self.read(images).softmax(1)[:, index]
        return f"score of {self.what}", self._scores

    def name(self, index: int) -> str:
        """Of a class; with its number where several have that name."""
        names = self._model.class_names
        if names is None or index >= len(names):
            return f"class {index}"
        return names[index] if names.count(names[index]) == 1 else f"{names[index]} ({index})"

    def classes(self, temperature: float | None) -> list[dict[str, Any]]:
        """The most probable classes; probabilities only where there are several, calibrated ones with a temperature."""
        if self.logits is None:
            return []
        several = len(self.logits) > 1
        plain, calibrated = (self.logits / (scale or 1.0) for scale in (None, temperature))
        return [
            {
                "class": self.name(index),
                "index": index,
                "logit": float(self.logits[index]),
                "probability": float(plain.softmax(0)[index]) if several else None,
                "calibrated": float(calibrated.softmax(0)[index]) if several and temperature is not None else None,
            }
            for index in self._order[:CLASSES]
        ]

    def target(self) -> dict[str, Any]:
        """What is explained, for a record."""
        predicted = self.index is not None and self._order[:1] == [self.index]
        text = str(self.questions["target"])
        return {"text": text, "label": self.what, "index": self.index, "score": self.score, "predicted": predicted}

    def versus(self, reference: Reference | None, temperature: float | None) -> dict[str, Any] | None:
        """What it is set against, for a record.

        The percentile is that of the margin between the two strongest classes, so other margins have none.
        """
        if self.rival is None or self.logits is None or self.index is None:
            return None
        margin = float(self.logits[self.index] - self.logits[self.rival])
        leads = self._order[:2] == [self.index, self.rival]
        compared = reference is not None and reference.temperature is not None and leads
        return {
            "text": str(self.questions["versus"]),
            "label": self.name(self.rival),
            "index": self.rival,
            "margin": margin,
            "calibrated": margin / temperature if temperature is not None else None,
            "percentile": reference.share_below(margin) if reference is not None and compared else None,
        }

    @property
    def versus_note(self) -> str | None:
        """Why the class that was asked for is not set against the target."""
        if self._asked.versus is None or self._asked.versus != self.index:
            return None
        return f"The network calls this image {self.what} itself, so that there is nothing to set it against."

    @cached_property
    def _order(self) -> list[int]:
        """All classes, the strongest first."""
        return [] if self.logits is None else self.logits.argsort(descending=True).tolist()

    def _explained(self) -> int | None:
        """The class that is explained; None for another objective than a class."""
        if self._asked.target is not None:
            return class_of(self._asked.target)
        if self.logits is None:
            raise InputError(f"{self._model.name!r} predicts no class; give a target, as a unit 'layer:channel'")
        return int(self.logits.argmax())

    def _scores(self, images: Images) -> Tensor:
        with evaluating(self._model.module):
            return Score(self._model, self.questions["target"])(images)
