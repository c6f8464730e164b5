"""Integrals along a path from baseline to image: where to cut it, and how finely."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from layerscope.attribution.task import at_least, count

Run = Callable[[int, Tensor], Tensor]
"""From a number of steps and the numbers of some images to the values [image, ...] of these."""


def until_complete(
    run: Run, expected: Tensor, *, steps: int, most_steps: int, tolerance: float
) -> tuple[Tensor, tuple[str, ...]]:
    """Values [batch, ...] that add up to what they should, from as many steps as that takes; and notes on it.

    Args:
        run: how values are made.
        expected: [batch], what the values of each image have to add up to.
        steps: to begin with; they double for those images that are not complete.
        most_steps: never more than these.
        tolerance: the largest gap, |total - expected| / |expected|, of what is complete. A gap that is no more than
            the rounding of the sum is none.

    Raises InputError for fewer than one step, most_steps below steps, and a tolerance below 0.
    """
    count("steps", steps)
    count("most_steps", most_steps, steps)
    at_least("tolerance", tolerance, 0)
    values, taken = run(steps, torch.arange(len(expected))), steps
    open_ = _open(values, expected, tolerance)
    more = len(open_)
    while len(open_) and taken < most_steps:
        taken = min(2 * taken, most_steps)
        values[open_] = run(taken, open_)
        open_ = _open(values, expected, tolerance)
    return values, _notes(values, expected, open_, more, steps, taken)


def completeness_gap(values: Tensor, expected: Tensor) -> Tensor:
    """[batch]: |total - expected| / |expected|; 0 where both are zero."""
    totals, expected = values.detach().flatten(1).double().sum(1), expected.detach().double()
    return (totals - expected).abs() / expected.abs().clamp(min=torch.finfo(torch.float64).tiny)


def gauss_legendre(steps: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Places in (0, 1) and their weights, which add up to 1; exact for polynomials up to degree 2 * steps - 1.

    Both [steps], of the dtype and on the device of `like`.
    """
    places, weights = _legendre(steps)
    return torch.tensor(places, dtype=torch.float64).to(like), torch.tensor(weights, dtype=torch.float64).to(like)


@lru_cache(maxsize=32)
def _legendre(steps: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    places, weights = np.polynomial.legendre.leggauss(steps)
    return tuple(((1 + places) / 2).tolist()), tuple((weights / 2).tolist())


def _open(values: Tensor, expected: Tensor, tolerance: float) -> Tensor:
    """The numbers of the images that are not complete."""
    totals, sizes = (one.detach().flatten(1).double().sum(1) for one in (values, values.abs()))
    rounded = (totals - expected).abs() <= 8 * torch.finfo(values.dtype).eps * sizes
    return (~(rounded | (completeness_gap(values, expected) <= tolerance))).nonzero()[:, 0].cpu()


def _notes(values: Tensor, expected: Tensor, open_: Tensor, more: int, steps: int, taken: int) -> tuple[str, ...]:
    notes = []
    if taken > steps:
        notes.append(f"{more} of {len(values)} images took more than {steps} steps, up to {taken}.")
    if len(open_):
        gap = float(completeness_gap(values, expected)[open_].max())
        notes.append(
            f"{len(open_)} of {len(values)} images do not add up after {taken} steps: the gap is up to {gap:.2g}; "
            "most_steps= allows more."
        )
    return tuple(notes)
