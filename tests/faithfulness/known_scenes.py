"""Planted scores and classifiers: each scene is known by its bytes, so what a change does is known exactly."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import combinations

import torch
from torch import Tensor

from layerscope.world import RemoveParts, Scenes, part_names

Game = Callable[[frozenset[str]], float]
"""What a set of parts is worth."""


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
