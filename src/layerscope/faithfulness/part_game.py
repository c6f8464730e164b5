"""The game that a thing's parts play for a network's output: its logits for every choice of the parts.

What a part does is told in two ways, which differ where parts stand in for each other: the score with all parts less
that without the part, and the part's Shapley value (Shapley 1953), its mean share over all choices of the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import torch
from torch import Tensor

from layerscope.faithfulness.causes import PartEffect, SceneEffects, shapley_values
from layerscope.faithfulness.scoring import ScoreOf, check_batch, check_scenes, predicted_logits, rendered
from layerscope.world import (
    PART_NAMES,
    THINGS,
    MoveDistractors,
    NewBackground,
    RemoveParts,
    Scenes,
    SwapPart,
    part_names,
)
from layerscope.world.interventions import Change

PLAYERS = 6
"""Most parts that play; of a thing with more, those that show most, while the others always stay."""
OTHERS = 3
"""Other backgrounds, and other places of the distractors."""

Coalition = frozenset[int]


@dataclass(frozen=True, eq=False)
class PartGame:
    """A network's logits for an image, and for that image without some of its parts, each rendered anew.

    Attributes:
        names: of the parts that are seen, the players first.
        masks: bool [parts, height, width], where each is seen.
        values: by the players that are there (their numbers), float64 [classes]; all choices of them.
        dropped: float64 [parts, classes], without each part alone.
        backgrounds: float64 [n, classes], on other backgrounds. distractors: with the distractors moved elsewhere.
        swaps: by number of a part, float64 [classes] with another class's part in its place. donor: that class.
    """

    names: tuple[str, ...]
    masks: Tensor
    values: Mapping[Coalition, Tensor]
    dropped: Tensor
    backgrounds: Tensor
    distractors: Tensor
    swaps: Mapping[int, Tensor]
    donor: int | None = None

    @cached_property
    def players(self) -> int:
        """How many parts play."""
        return max(map(len, self.values))

    @property
    def whole(self) -> Tensor:
        """float64 [classes], of the image as it is."""
        return self.values[frozenset(range(self.players))]

    @property
    def others(self) -> list[int]:
        """The classes that are not predicted, the runner-up first."""
        ranked: list[int] = self.whole.argsort(descending=True).tolist()
        return ranked[1:]

    def of(self, target: int) -> dict[Coalition, float]:
        """One class's logit for every choice of the players."""
        return {kept: float(logits[target]) for kept, logits in self.values.items()}

    def effects(self, target: int) -> SceneEffects:
        """What each cause does to one class's logit."""
        whole = self.whole[target]
        shares = shapley_values(self.of(target), self.players)
        parts = tuple(
            PartEffect(name, mask, float(whole - without[target]), shares[index] if index < self.players else None)
            for index, (name, mask, without) in enumerate(zip(self.names, self.masks, self.dropped, strict=True))
        )
        backgrounds, distractors = (
            (whole - found[:, target]).tolist() for found in (self.backgrounds, self.distractors)
        )
        renders = len(self.values) + len(self.names) - self.players + len(backgrounds) + len(distractors)
        stay = len(self.names) - self.players
        note = f"no Shapley values of the {stay} parts that show least: they always stay" if stay else ""
        return SceneEffects(float(whole), parts, tuple(backgrounds), tuple(distractors), renders, note)

    def sufficient(self, label: int) -> list[Coalition]:
        """The smallest choices of the players for which the network still predicts `label`; several of one size."""
        enough = [kept for kept, logits in self.values.items() if int(logits.argmax()) == label]
        least = min(map(len, enough), default=0)
        return [kept for kept in enough if len(kept) == least]


def choices(players: int) -> Iterator[Coalition]:
    """Every choice of the players, all of them first."""
    for size in range(players, -1, -1):
        for kept in combinations(range(players), size):
            yield frozenset(kept)


def play(
    predict: ScoreOf,
    scene: Scenes,
    classes: Sequence[str] | None = None,
    *,
    input_size: int | None = None,
    batch: int = 64,
) -> PartGame | None:
    """The game of one scene, by re-rendering it; None where none of the thing's parts is seen.

    The other class, whose parts are put in place of the scene's own, is the runner-up of those that have such parts.

    Args:
        predict: from float32 images [n, 3, size, size] in [0, 1] to logits [n, classes].
        scene: one scene, as first rendered.
        classes: what the logits are of; where none of them are things, no parts are swapped.
        input_size: of the network, in pixels; a scene of another size is refused.
        batch: most images at once.

    Raises InputError for a changed scene, one of another size, and logits that are not finite.
    """
    check_batch(batch)
    check_scenes(scene, input_size)
    names, masks = seen_parts(scene)
    if not names:
        return None
    players = min(PLAYERS, len(names))
    coalitions = list(choices(players))
    without = [RemoveParts([names[part] for part in range(players) if part not in kept]) for kept in coalitions]
    alone: list[Change] = [RemoveParts([name]) for name in names[players:]]
    elsewhere: list[Change] = [NewBackground(seed) for seed in range(1, OTHERS + 1)]
    elsewhere += [MoveDistractors(seed) for seed in range(1, OTHERS + 1)]
    logits = predicted_logits(predict, rendered(scene.variants([*without, *alone, *elsewhere]), batch))
    values = dict(zip(coalitions, logits, strict=False))
    rest = logits[len(coalitions) :]
    everyone = frozenset(range(players))
    dropped = torch.stack([*(values[everyone - {part}] for part in range(players)), *rest[: len(alone)]])
    backgrounds, distractors = rest[len(alone) :].split(OTHERS)
    donor, swaps = _swaps(predict, scene, names, values[everyone], classes or (), batch)
    return PartGame(names, masks, values, dropped, backgrounds, distractors, swaps, donor)


def seen_parts(scene: Scenes) -> tuple[tuple[str, ...], Tensor]:
    """Names of the thing's parts that are seen, those that show most first, and their masks [parts, height, width]."""
    parts = [(name, scene.part[0] == PART_NAMES.index(name)) for name in part_names(scene.recipe.things[0])]
    seen = sorted(((name, mask) for name, mask in parts if mask.any()), key=lambda part: -int(part[1].sum()))
    masks = torch.stack([mask for _, mask in seen]) if seen else torch.zeros(0, *scene.part.shape[1:], dtype=torch.bool)
    return tuple(name for name, _ in seen), masks


def _swaps(
    predict: ScoreOf, scene: Scenes, names: Sequence[str], whole: Tensor, classes: Sequence[str], batch: int
) -> tuple[int | None, dict[int, Tensor]]:
    """Of the other classes that have some of the parts that with the largest logit, and the logits with its parts."""
    label = int(whole.argmax())
    for donor in whole.argsort(descending=True).tolist() if classes else ():
        thing = classes[donor] if donor < len(classes) else ""
        if donor == label or thing not in THINGS or thing == scene.recipe.things[0]:
            continue
        shared = [index for index, name in enumerate(names) if name in part_names(thing)]
        if shared:
            changed = scene.variants([SwapPart(names[index], thing) for index in shared])
            logits = predicted_logits(predict, rendered(changed, batch))
            return donor, dict(zip(shared, logits, strict=True))
    return None, {}
