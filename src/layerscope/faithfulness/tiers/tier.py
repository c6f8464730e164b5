"""What a provable tier is, and how its questions are asked: networks built so that what speaks for a class is known.

Nothing is trained. Every image comes with its looks for every choice of its parts, so that effects are computed, in
float64 where the network is small, and not guessed.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from layerscope.attribution.checks import redrawn
from layerscope.faithfulness.cases import NOISE, NOISES, Case, Question, map_with_sums
from layerscope.faithfulness.measures import by_response
from layerscope.faithfulness.part_game import Coalition, PartGame
from layerscope.faithfulness.scoring import ScoreOf, predicted_logits
from layerscope.models.model import VisionModel
from layerscope.types import Images

SIZE = 64
"""Side of all images of tiers, in pixels."""
BATCH = 64


@dataclass(frozen=True, eq=False)
class Tier:
    """Cases of one network, or kind of network, whose true causes are known by construction.

    Attributes:
        name: its key.
        title: as tables call it.
        words: what is planted, and what a right map shows.
        measure: name of the measure that says whether a method is right here.
        model: the network that the cases ask about.
        cases: the images.
    """

    name: str
    title: str
    words: str
    measure: str
    model: VisionModel
    cases: tuple[Case, ...]


@dataclass(frozen=True, eq=False)
class Choices:
    """How an image looks for choices of its parts: for all of them, or at least with all parts, and without each.

    Attributes:
        names: of the parts.
        masks: bool [parts, height, width], where each is seen. Those of patches are two pixels apart or more.
        regions: float64 [parts, height, width] of 0 and 1, where the right answer has its values.
        images: float32 [channel, height, width] in [0, 1], by the numbers of the parts that are there.
    """

    names: tuple[str, ...]
    masks: Tensor
    regions: Tensor
    images: Mapping[Coalition, Tensor]

    @property
    def everyone(self) -> Coalition:
        return frozenset(range(len(self.names)))

    @property
    def whole(self) -> Tensor:
        """The image as it is, with all parts."""
        return self.images[self.everyone]

    @property
    def alone(self) -> Images:
        """[1 + parts, channel, height, width]: the image, and the image without each part."""
        without = (self.images[self.everyone - {part}] for part in range(len(self.names)))
        return torch.stack([self.whole, *without])

    def pasted(self, mask: Tensor, image: Tensor) -> Choices:
        """The same with what another image shows in the mask, bool [height, width], in front."""
        return self.under(lambda own: torch.where(mask, image, own))

    def under(self, change: Callable[[Tensor], Tensor]) -> Choices:
        """With all parts, and without each, every image changed in the same way."""
        everyone = self.everyone
        kept = [everyone, *(everyone - {part} for part in range(len(self.names)))]
        return replace(self, images={some: change(self.images[some]) for some in kept})


def precise(model: VisionModel) -> ScoreOf:
    """Images -> logits, computed in float64 by a copy of the network."""
    twin = replace(model, module=copy.deepcopy(model.module).double())
    return lambda images: twin(images.double())


def logits_of(predict: ScoreOf, images: Images) -> Tensor:
    """float64 [n, classes], on the CPU."""
    return predicted_logits(predict, images.split(BATCH))


def question(model: VisionModel, predict: ScoreOf, shown: Choices, target: int) -> Question:
    """What speaks for `target` in the image, with the right answer: each part's region sums to the part's effect.

    predict: images -> logits of the model, the precise ones where there are such.
    """
    logits = logits_of(predict, shown.alone)
    return answered(model, shown, target, logits[0] - logits[1:])


def answered(model: VisionModel, shown: Choices, target: int, effects: Tensor) -> Question:
    """The same, where the effects [parts, classes] are known already."""
    return Question(model, shown.whole, target, map_with_sums(shown.regions, effects[:, target].tolist()))


def game(predict: ScoreOf, shown: Choices, backgrounds: Images, distractors: Images) -> PartGame:
    """The game of the parts, all of which play. backgrounds, distractors: the image with others, [n, ...] each."""
    logits = logits_of(predict, torch.stack([*shown.images.values(), *backgrounds, *distractors]))
    values = dict(zip(shown.images, logits, strict=False))
    on_others, moved = logits[len(values) :].split([len(backgrounds), len(distractors)])
    dropped = torch.stack([values[shown.everyone - {part}] for part in range(len(shown.names))])
    return PartGame(shown.names, shown.masks, values, dropped, on_others, moved, swaps={})


def noisy(model: VisionModel, predict: ScoreOf, shown: Choices, target: int, seed: int) -> dict[str, Question]:
    """The question under noise, NOISES times: by name. The noise is the same with and without each part."""
    changed = {
        f"{NOISE}{draw}": shown.under(lambda image, draw=draw: by_response.noisy(image, draw, seed))  # type: ignore[misc]
        for draw in range(NOISES)
    }
    return {name: question(model, predict, one, target) for name, one in changed.items()}


def redrawn_twin(model: VisionModel, seed: int) -> VisionModel:
    """The network with its top layers drawn anew."""
    return replace(model, module=redrawn(model.module, seed), name=f"{model.name}, redrawn")
