"""Cases: images whose true causes are known, what attribution methods are asked about each, and the right answers.

A method answers questions, each about one image, one class and one network, with a map. Measures compare its answers
with each other and with the truth.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from layerscope.attribution.score import Score
from layerscope.errors import InputError
from layerscope.faithfulness.causes import LEAST_PARTS, PartEffect, SceneEffects, part_rank, reach
from layerscope.faithfulness.controls import controls
from layerscope.faithfulness.part_game import PartGame
from layerscope.faithfulness.scoring import as_taken
from layerscope.models.model import VisionModel
from layerscope.objectives import logit

ASKED = "asked"
"""The question that every case asks: what speaks for the label?"""
OTHER, BACKGROUND, PATCH, MARKED, UNMARKED, NOISE, REDRAWN = (
    "other", "background", "patch", "marked", "unmarked", "noise", "redrawn"
)  # fmt: skip
"""Further ones, where a case has them: about another class; about the image on another background; with a patch that
leaves the score unchanged; with a mark that decides the label of this network, and the same image in a network that it
does not; under noise ("noise0", "noise1", ...); in the network with its top layers drawn anew."""
NOISES = 3

RANDOM_MAPS = 8
"""Random maps whose mean cosine is what chance gets in a case."""


@dataclass(frozen=True, eq=False)
class Question:
    """What speaks in this image for this class of this network?

    Attributes:
        model: the network that is asked about.
        image: float32 [channel, height, width] in [0, 1].
        target: number of the class.
        exact: float64 [height, width], the right answer by what each part does alone; None where it is not known.
        shares: the same by the parts' Shapley values.
    """

    model: VisionModel
    image: Tensor
    target: int
    exact: Tensor | None = None
    shares: Tensor | None = None

    @cached_property
    def score(self) -> Callable[[Tensor], Tensor]:
        """[n] logits of the class, of images [n, channel, height, width] wherever they lie."""
        score = Score(self.model, logit(self.target).bind(self.model), self.model.layout)
        return lambda images: score(as_taken(self.model, images))


@dataclass(frozen=True, eq=False)
class Case:
    """One image with all that maps of it are judged by; None where something is not known.

    Attributes:
        questions: by name, ASKED always among them.
        game: what its parts do.
        thing, clutter: bool [height, width], where the thing, and where distractors are seen.
        patch: where the patch is in the question PATCH.
        mark: where the mark is in the questions MARKED and UNMARKED.
        seed: of what is random about it.
    """

    questions: Mapping[str, Question]
    game: PartGame | None = None
    thing: Tensor | None = None
    clutter: Tensor | None = None
    patch: Tensor | None = None
    mark: Tensor | None = None
    seed: int = 0

    @property
    def thorough(self) -> bool:
        """Whether further questions are asked, and what costs much is measured."""
        return len(self.questions) > 1

    @property
    def asked(self) -> Question:
        return self.questions[ASKED]

    @cached_property
    def effects(self) -> SceneEffects | None:
        """What each part does to what is asked."""
        return None if self.game is None else self.game.effects(self.asked.target)

    @cached_property
    def chance(self) -> float:
        """The mean cosine that random maps of positive values get; NaN without an order of parts."""
        effects = self.effects
        if effects is None or not orders(effects):
            return math.nan
        draws = range(1, RANDOM_MAPS + 1)
        maps = [controls(self.asked.image, RANDOM_MAPS * self.seed + draw)["random"].abs() for draw in draws]
        return math.fsum(found.cosine for values in maps if (found := part_rank(values, effects))) / RANDOM_MAPS


def orders(effects: SceneEffects) -> bool:
    """Whether there are enough parts with different effects for an order of them to say something."""
    seen = seen_parts(effects)
    return len(seen) >= LEAST_PARTS and len({part.effect for part in seen}) > 1


def seen_parts(effects: SceneEffects) -> list[PartEffect]:
    return [part for part in effects.parts if part.pixels]


def exact_answer(effects: SceneEffects) -> Tensor:
    """The smallest map (by its squares) whose sum around each part that is seen is that part's true effect.

    float64 [height, width]. Raises InputError where no part is seen.
    """
    seen = seen_parts(effects)
    if not seen:
        raise InputError("no part of the thing is seen, so that there is no answer; give another scene")
    return map_with_sums(reach(torch.stack([part.mask for part in seen])), [part.effect for part in seen])


def exact_shares(effects: SceneEffects) -> Tensor | None:
    """The same for the Shapley values of the parts that have one; None where there is no such part."""
    players = [part for part in seen_parts(effects) if part.shapley is not None]
    if not players:
        return None
    shares = [part.shapley for part in players if part.shapley is not None]
    return map_with_sums(reach(torch.stack([part.mask for part in players])), shares)


def map_with_sums(regions: Tensor, sums: Sequence[float]) -> Tensor:
    """The smallest map [height, width] (by its squares) with these sums in regions [n, height, width] of 0 and 1."""
    flat = regions.double().flatten(1)
    weights = torch.linalg.pinv(flat @ flat.T) @ torch.tensor(sums, dtype=torch.float64)
    answer: Tensor = (weights @ flat).view(regions.shape[1:])
    return answer
