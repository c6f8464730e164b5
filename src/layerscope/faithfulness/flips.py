"""The smallest change of a scene that makes the network say something else: "without petal and stem it is a clock".

A counterfactual in the scene's own terms, in the sense of Wachter, Mittelstadt, Russell (2018): parts go, or textures,
parts and colours are swapped, by re-rendering.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, islice

from torch import Tensor

from layerscope.attribution.task import count
from layerscope.errors import InputError
from layerscope.faithfulness.scoring import ScoreOf, check_batch, check_scenes, predicted_logits, rendered
from layerscope.world import (
    PART_NAMES,
    TEXTURE_NAMES,
    THINGS,
    Recolour,
    RemoveParts,
    Scenes,
    SwapPart,
    SwapTexture,
    part_names,
)
from layerscope.world.catalogue import Thing
from layerscope.world.interventions import Change

RECOLOURS = 3
"""Other colours that are tried."""


@dataclass(frozen=True, eq=False)
class Flip:
    """A change that flips the predicted class.

    Attributes:
        change: what was changed, to render it again; as text it reads "without petal and stem".
        size: how many changes it is: parts that went, or 1 for a swap.
        label: the new class, and its `probability`.
        pixels: uint8 [3, size, size], the scene after the change.
    """

    change: Change
    size: int
    label: int
    probability: float
    pixels: Tensor

    @property
    def words(self) -> str:
        """The change in words."""
        return str(self.change)


@dataclass(frozen=True, eq=False)
class FlipSearch:
    """What the search for the smallest flip found.

    Attributes:
        label: predicted for the scene as it is, and its `probability`.
        flip: the smallest change that flips it; of equally small ones, that with the surest new class. None where
            nothing that was tried flips it.
        tried: how many changes were rendered.
        complete: whether every change of the flip's size, or every change there is, was among them.
    """

    label: int
    probability: float
    flip: Flip | None
    tried: int
    complete: bool


def smallest_flip(
    predict: ScoreOf,
    scene: Scenes,
    *,
    most: int = 300,
    changes: Sequence[Sequence[Change]] | None = None,
    input_size: int | None = None,
    batch: int = 64,
) -> FlipSearch:
    """Search for the smallest change of a scene that flips the predicted class; the same search finds the same change.

    Args:
        predict: from float32 images [n, 3, size, size] in [0, 1] to logits [n, classes].
        scene: one scene, as first rendered.
        most: changes to render, at most.
        changes: lists of changes to try, those of size 1 first; by default those of `changes_by_size`.
        input_size: of the network, in pixels; a scene of another size is refused.
        batch: most images to classify at once.

    Raises InputError for several scenes, a changed scene, one of another size, and logits that are not finite.
    """
    check_batch(batch)
    count("most", most)
    check_scenes(scene, input_size)
    if len(scene.seeds) != 1:
        raise InputError(f"{len(scene.seeds)} scenes; give one, such as scenes.one(0)")
    before = predicted_logits(predict, rendered(scene, batch)).softmax(1)[0]
    label, tried, complete, flip = int(before.argmax()), 0, True, None
    for size, level in enumerate(changes_by_size(scene) if changes is None else changes, start=1):
        chosen = list(islice(level, most - tried))
        tried, complete = tried + len(chosen), len(chosen) == len(level)
        flip = _surest(predict, scene, chosen, label, size, batch) if chosen else None
        if flip is not None or not complete:
            break
    return FlipSearch(label, before[label].item(), flip, tried, complete)


def changes_by_size(scene: Scenes) -> Iterator[list[Change]]:
    """What can be changed in one scene, by size; parts that are not seen in it are left alone.

    Size 1: one part goes; the coat becomes that of a twin; one part gets another texture, or is replaced by another
    thing's part of that name (but for the cores by which things are known); the thing gets other colours. Size k: k
    parts go, but never all of them.
    """
    thing = THINGS[scene.recipe.things[0]]
    present = set(scene.part[0].unique().tolist())
    seen = [name for name in part_names(thing.name) if PART_NAMES.index(name) in present]
    yield [RemoveParts((name,)) for name in seen] + _swaps(scene, seen)
    for size in range(2, len(seen)):
        yield [RemoveParts(names) for names in combinations(seen, size)]


def _swaps(scene: Scenes, seen: list[str]) -> list[Change]:
    thing = THINGS[scene.recipe.things[0]]
    twins = [other for other in THINGS.values() if thing.shape and other.shape == thing.shape and other != thing]
    swaps: list[Change] = [SwapTexture(twin.coat) for twin in twins]
    for name in seen:
        worn = scene.texture[0][scene.part[0] == PART_NAMES.index(name)].unique().tolist()
        swaps += [SwapTexture(texture, name) for texture in TEXTURE_NAMES if worn != [TEXTURE_NAMES.index(texture)]]
    for name in seen:
        swaps += [SwapPart(name, donor.name) for donor in donors(thing, name)]
    return [*swaps, *(Recolour(seed) for seed in range(1, RECOLOURS + 1))]


def donors(thing: Thing, part: str) -> list[Thing]:
    """The things of another shape that have such a part to give.

    Not where it is the core of either: with another's core a thing is no longer changed, it is the other one.
    """
    others = [one for one in THINGS.values() if one != thing and not (thing.shape and one.shape == thing.shape)]
    return [one for one in others if part in part_names(one.name) and part not in (*one.core, *thing.core)]


def _surest(
    predict: ScoreOf, scene: Scenes, changes: Sequence[Change], label: int, size: int, batch: int
) -> Flip | None:
    """Of the changes that flip the class, that with the most probable new one; the first of equals."""
    changed = scene.variants(changes)
    sure, labels = predicted_logits(predict, rendered(changed, batch)).softmax(1).max(1)
    flips = (labels != label).nonzero()[:, 0].tolist()
    if not flips:
        return None
    # The same image gives logits that differ in the last digits by its place in the batch.
    best = max(flips, key=lambda index: round(sure[index].item(), 4))
    return Flip(changes[best], size, int(labels[best]), sure[best].item(), changed.pixels[best])
