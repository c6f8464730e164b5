"""How pictures are put together for one forward pass, and what to do where memory does not hold them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from layerscope.errors import InputError

T = TypeVar("T")


def in_batches(groups: Sequence[T], most: int, size_of: Callable[[T], int]) -> Iterator[list[T]]:
    """Groups in their order, as many as hold at most `most` pictures; one that is larger comes alone."""
    batch: list[T] = []
    held = 0
    for group in groups:
        if batch and held + size_of(group) > most:
            yield batch
            batch, held = [], 0
        batch.append(group)
        held += size_of(group)
    if batch:
        yield batch


def halved(size: int, least: int, error: BaseException) -> int:
    """Half a batch, and at least the largest group of pictures. Raises InputError where it was no more before."""
    if size <= least:
        what = "one picture" if least == 1 else f"a group of {least} pictures"
        raise InputError(
            f"memory does not hold {what} of this network; draw smaller pictures (recipe='draft'), or use a device "
            "with more memory"
        ) from error
    return max(size // 2, least)
