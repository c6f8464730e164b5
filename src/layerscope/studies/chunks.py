"""How a gallery is cut into chunks: the units of one layer whose pictures are made in one go."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

Item = TypeVar("Item")
BATCHES = 4
"""Batches of a chunk: each chunk costs a private copy of the network, and a killed gallery loses what is in it."""
PER_WORKER = 2
"""Chunks for each worker at least, where there are enough units."""


def batches_of(layers: Sequence[tuple[int, int]], workers: int | None) -> int:
    """How many full batches a chunk has, for layers of (units, pictures in a batch): fewer where workers would idle.

    A chunk of less than one batch would cost as much as a full one.
    """
    for batches in range(BATCHES, 1, -1):
        chunks = sum(-(-units // (batches * together)) for units, together in layers)
        if chunks >= PER_WORKER * (workers or 0):
            return batches
    return 1


def in_chunks(items: Iterable[Item], layer: Callable[[Item], str], size: Callable[[Item], int]) -> Iterator[list[Item]]:
    """Items of one layer each, in the order in which the layers come first; `size` of the first item, at most."""
    by_layer: dict[str, list[Item]] = {}
    for item in items:
        by_layer.setdefault(layer(item), []).append(item)
    for members in by_layer.values():
        most = size(members[0])
        yield from (members[start : start + most] for start in range(0, len(members), most))
