"""Planted scores, classifiers, games and cases: what each part does is known exactly."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain, combinations, permutations

import torch
from torch import Tensor, nn

from layerscope.faithfulness.cases import ASKED, Case, Question
from layerscope.faithfulness.part_game import Coalition, PartGame
from layerscope.models.model import VisionModel, wrap
from layerscope.world import RemoveParts, Scenes, part_names

Game = Callable[[frozenset[str]], float]
"""What a set of parts is worth."""
Worth = Callable[[Coalition], float]
"""The same by the parts' numbers."""

SIDE = 26
"""Of planted cases, in pixels."""
_SIZES = ((5, 5), (4, 5), (3, 5), (4, 3), (2, 4), (2, 2))
"""Height and width of each planted part: those that show most first, as in games of scenes."""


def coalitions(names: tuple[str, ...]) -> list[frozenset[str]]:
    return [frozenset(kept) for size in range(len(names) + 1) for kept in combinations(names, size)]


def known_coalitions(scene: Scenes) -> dict[bytes, frozenset[str]]:
    """Which parts each re-render shows, rendered one by one."""
    names = part_names(scene.recipe.things[0])
    known = {}
    for kept in coalitions(names):
        removed = RemoveParts([name for name in names if name not in kept])
        known[scene.again(removed).pixels[0].numpy().tobytes()] = kept
    return known


def bytes_of(image: Tensor) -> bytes:
    return (image * 255).round().to(torch.uint8).numpy().tobytes()


def played(known: Mapping[bytes, frozenset[str]], game: Game, otherwise: float = 0.0) -> Callable[[Tensor], Tensor]:
    """The score of an image: the worth of the parts that it shows."""

    def score(images: Tensor) -> Tensor:
        found = [known.get(bytes_of(image)) for image in images]
        return torch.tensor([otherwise if kept is None else game(kept) for kept in found], dtype=torch.float64)

    return score


def classified(known: Mapping[bytes, Tensor], otherwise: Tensor) -> Callable[[Tensor], Tensor]:
    """The logits of an image."""
    return lambda images: torch.stack([known.get(bytes_of(image), otherwise) for image in images])


# --- without scenes


def subsets(parts: Iterable[int]) -> list[Coalition]:
    some = list(parts)
    return [frozenset(kept) for kept in chain(*(combinations(some, size) for size in range(len(some) + 1)))]


def blocks(parts: int) -> Tensor:
    """Bool [parts, SIDE, SIDE]: rectangles of different sizes, three pixels or more apart."""
    masks = torch.zeros(parts, SIDE, SIDE, dtype=torch.bool)
    for number, (height, width) in enumerate(_SIZES[:parts]):
        row, column = 8 * (number // 3) + 1, 8 * (number % 3) + 1
        masks[number, row : row + height, column : column + width] = True
    return masks


def on_blocks(sums: Sequence[float]) -> Tensor:
    """float64 [SIDE, SIDE]: a map with these sums in the blocks, at their first pixels."""
    values = torch.zeros(SIDE, SIDE, dtype=torch.float64)
    for mask, amount in zip(blocks(len(sums)), sums, strict=True):
        values[tuple(mask.nonzero()[0].tolist())] = amount
    return values


def additive(*effects: float, start: float = 0.0) -> Worth:
    return lambda kept: start + math.fsum(effects[part] for part in kept)


def planted_game(
    *worths: Worth, parts: int = 5, swaps: Mapping[int, Sequence[float]] | None = None, donor: int | None = None
) -> PartGame:
    """The game of parts in `blocks` for one class or more. swaps: by part, the logits with another class's part."""
    values = {
        kept: torch.tensor([worth(kept) for worth in worths], dtype=torch.float64) for kept in subsets(range(parts))
    }
    dropped = torch.stack([values[frozenset(range(parts)) - {part}] for part in range(parts)])
    none = torch.zeros(0, len(worths), dtype=torch.float64)
    swapped = {part: torch.tensor(logits, dtype=torch.float64) for part, logits in (swaps or {}).items()}
    return PartGame(tuple(map(str, range(parts))), blocks(parts), values, dropped, none, none, swapped, donor)


def random_game(seed: int, parts: int = 5, classes: int = 3) -> PartGame:
    """Any numbers for every choice of the parts, and for the part of class 1 in the place of each."""
    generator = torch.Generator().manual_seed(seed)
    drawn = {kept: torch.randn(classes, generator=generator).tolist() for kept in subsets(range(parts))}
    worths = [lambda kept, target=target: drawn[kept][target] for target in range(classes)]
    swaps = {part: torch.randn(classes, generator=generator).tolist() for part in range(parts)}
    return planted_game(*worths, parts=parts, swaps=swaps, donor=1)


class Weighed(nn.Module):
    """One score per class: the weighted sum of the pixels, above a floor. weights: [classes, 3, height, width]."""

    def __init__(self, weights: Tensor) -> None:
        super().__init__()
        self.weights, self.floor = nn.Parameter(weights), 0.0

    def forward(self, images: Tensor) -> Tensor:
        return (images.double()[:, None] * self.weights.double()).sum((2, 3, 4)) + self.floor


def weighed(seed: int = 0, classes: int = 3) -> VisionModel:
    weights = torch.randn(classes, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))
    names = [f"class {number}" for number in range(classes)]
    return wrap(Weighed(weights).eval(), SIDE, mean=(0.0,) * 3, std=(1.0,) * 3, class_names=names, name="weighed")


def planted_case(game: PartGame | None, *, seed: int = 0, label: int = 0, **others: int) -> Case:
    """The case of a game. others: further questions about the same image, by name, with their classes."""
    image = torch.rand(3, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))
    questions = {name: Question(weighed(), image, target) for name, target in {ASKED: label, **others}.items()}
    return Case(questions, game, seed=seed)


# --- slow references


def widened(mask: Tensor) -> list[tuple[int, int]]:
    """The pixels in a mask or next to one in it, also across corners."""
    height, width = mask.shape
    return [
        (row, column)
        for row in range(height)
        for column in range(width)
        if mask[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2].any()
    ]


def literal_sums(values: Tensor, masks: Iterable[Tensor]) -> list[float]:
    return [math.fsum(values[place].item() for place in widened(mask)) for mask in masks]


def literal_shapley(worth: Worth, parts: int) -> list[float]:
    """The mean of what each adds over all orders in which the parts could come."""
    shares, orders = [0.0] * parts, list(permutations(range(parts)))
    for order in orders:
        for place, part in enumerate(order):
            shares[part] += (worth(frozenset(order[: place + 1])) - worth(frozenset(order[:place]))) / len(orders)
    return shares
