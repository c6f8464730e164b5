"""Activations for the tests of accumulators: seeded, with ties, and cut into batches in any order."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from layerscope.passes.base import Accumulator

IMAGES = 9
Made = Callable[[], Accumulator[Any]]


def activations(seed: int, *shape: int, many: int = IMAGES) -> Tensor:
    """Sixteenths between -4 and 4: [images, 3, *shape]; exact in any sum, and with many ties."""
    drawn = torch.randint(-64, 65, (many, 3, *(shape or (4, 5))), generator=torch.Generator().manual_seed(seed))
    return drawn.float() / 16


def literal(units: Tensor) -> NDArray[np.float64]:
    """[images, units, positions] in float64."""
    return units.double().numpy().reshape(*units.shape[:2], -1)


@st.composite
def orders(draw: st.DrawFn, many: int = IMAGES) -> list[tuple[int, int]]:
    """The images cut into batches, in any order: first and stop of each."""
    edges = sorted({0, *draw(st.lists(st.integers(1, many - 1), max_size=4)), many})
    return draw(st.permutations(list(itertools.pairwise(edges))))


def seen_in(made: Accumulator[Any], units: Tensor, order: Sequence[tuple[int, int]]) -> Any:
    """What one accumulator gives that sees the batches in this order."""
    for first, stop in order:
        made.update(units[first:stop], first)
    return made.compute()


def seen_in_shards(make: Made, units: Tensor, order: Sequence[tuple[int, int]], through_state: bool) -> Any:
    """What accumulators give that see one batch each and are merged, as objects or as what was saved of them."""
    whole = make()
    for first, stop in order:
        shard = make()
        shard.update(units[first:stop], first)
        if through_state:
            whole.absorb(shard.state())
        else:
            whole.merge(shard)
    return whole.compute()


def assert_same(one: Any, other: Any, tolerance: float = 1e-12) -> None:
    """Equal whole numbers, and floats that differ by 1e-12 at most."""
    for name, value in vars(one).items() if not isinstance(one, Tensor) else [("", one)]:
        wanted = getattr(other, name) if name else other
        if isinstance(value, Tensor) and value.is_floating_point():
            torch.testing.assert_close(value.double(), wanted.double(), rtol=tolerance, atol=tolerance, equal_nan=True)
        elif isinstance(value, Tensor):
            assert torch.equal(value, wanted), name
        else:
            assert value == wanted, name
