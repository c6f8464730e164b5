"""Where the cases of a leaderboard come from: scenes of the menagerie, whose causes are known, or a user's images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from layerscope.capture.evaluating import evaluating
from layerscope.errors import InputError
from layerscope.faithfulness.cases import Case
from layerscope.faithfulness.causes import LEAST_PARTS
from layerscope.faithfulness.intervals import LEAST
from layerscope.faithfulness.photo_cases import Chosen, cases_of
from layerscope.faithfulness.scene_cases import drawn_anew, logits_of, scene_case
from layerscope.faithfulness.scoring import predicted_logits, rendered
from layerscope.models.datasets import TEST_SEED
from layerscope.models.model import VisionModel
from layerscope.studies.leaderboard_bench import Numbered
from layerscope.types import Progress
from layerscope.world import CLASS_NAMES, Scenes, render
from layerscope.world.scene import SIZES

MOST = 100_000
SCENE_SEED = TEST_SEED + 3_000_000
"""First scene seed of the leaderboard with seed 0: no network was trained, tested or calibrated on these scenes, and no
measure was chosen by them (those of TEST_SEED + 1,000,000 served for that)."""
CHECKED = 16
"""Cases about which further questions are asked too: it costs a method some eight maps more for each."""


@dataclass(frozen=True)
class SceneSource:
    """`count` scenes, the same for every network of one size; more is asked of the first `checked` that tell something.

    Like PhotoSource it has an `identity`, what decides which cases these are; `facts`, what the manifest says of them;
    `arguments`, the keywords of `leaderboard` that ask for them; a check of networks, and the cases of one, with their
    numbers and what is known of all.
    """

    count: int
    seed: int
    size: int
    checked: int = CHECKED

    @property
    def first(self) -> int:
        return SCENE_SEED + self.seed * MOST

    @property
    def identity(self) -> Mapping[str, Any]:
        return {"source": "menagerie", "scenes": self.count, "first": self.first, "checked": self.checked}

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"asked": self.count, "first": self.first, "source": "menagerie", "masks": "scenes"}

    @property
    def arguments(self) -> Mapping[str, Any]:
        return {"scenes": self.count}

    @cached_property
    def rendered(self) -> Scenes:
        return render(self.count, seed=self.first, size=self.size)

    def check(self, model: VisionModel) -> None:
        """Raise InputError for a network that takes no scenes."""
        if model.channels != 3 or not SIZES[0] <= model.input_size <= SIZES[1]:
            raise InputError(
                f"{model.name!r} takes {model.channels} channels of {model.input_size} px; scenes have 3, and "
                f"{SIZES[0]} to {SIZES[1]} px; give images= of your own for other networks"
            )

    def cases(self, model: VisionModel, on_progress: Progress) -> tuple[Numbered, Mapping[str, Any]]:
        """Raises InputError where too few scenes say anything."""
        found: list[tuple[int, Case]] = []
        other = drawn_anew(model)
        for number in range(self.count):
            on_progress(number, self.count, "causes")
            case = scene_case(model, self.rendered.one(number), other if len(found) < self.checked else None)
            if case is not None:
                found.append((number, case))
        if len(found) < LEAST:
            raise InputError(
                f"{len(found)} of {self.count} scenes show {LEAST_PARTS} parts or more whose effects on "
                f"{model.name!r} differ; {LEAST} are needed, give more scenes"
            )
        return found, {"telling": len(found), "accuracy": self._accuracy(model)}

    def _accuracy(self, model: VisionModel) -> float | None:
        """The share of the scenes that are named rightly; None for a network of other classes."""
        names = model.class_names
        if not names or not set(CLASS_NAMES) <= set(names):
            return None
        with evaluating(model.module):
            labels = predicted_logits(logits_of(model), rendered(self.rendered, 64)).argmax(1).tolist()
        truths = [CLASS_NAMES[label] for label in self.rendered.labels.tolist()]
        right: list[bool] = [names[label : label + 1] == (truth,) for label, truth in zip(labels, truths, strict=True)]
        return sum(right) / len(right)


@dataclass(frozen=True, eq=False)
class PhotoSource:
    """Images of a folder, as each network takes them, with masks of things where there are any."""

    chosen: Chosen
    seed: int
    checked: int = CHECKED

    @property
    def count(self) -> int:
        return len(self.chosen.pictures)

    @property
    def identity(self) -> Mapping[str, Any]:
        """By what the files hold, wherever they lie."""
        return {"source": self.chosen.folder.name, "files": self.chosen.fingerprint, "checked": self.checked}

    @property
    def facts(self) -> Mapping[str, Any]:
        masks = self.chosen.masks
        found = {"asked": self.chosen.found, "first": None, "source": self.chosen.folder.name}
        return {**found, "masks": None if masks is None else masks.kind}

    @property
    def arguments(self) -> Mapping[str, Any]:
        masks = self.chosen.masks
        told = {"images": str(self.chosen.folder), **({} if masks is None else {"masks": str(masks.path)})}
        return told if self.count == self.chosen.found else {"scenes": self.count, **told}

    def check(self, model: VisionModel) -> None:
        """Any network of classes will do, for LEAST pictures or more."""
        if self.count < LEAST:
            raise InputError(
                f"{self.count} picture{'s' * (self.count > 1)} in {str(self.chosen.folder)!r}; {LEAST} are needed for "
                "means with intervals"
            )

    def cases(self, model: VisionModel, on_progress: Progress) -> tuple[Numbered, Mapping[str, Any]]:
        """Raises InputError as `cases_of` does."""
        found = cases_of(model, self.chosen, checked=self.checked, seed=self.seed, on_progress=on_progress)
        return list(enumerate(found)), {"telling": len(found), "accuracy": None}
