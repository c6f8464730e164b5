"""Integrals along a path from baseline to image: where to cut it, and how finely."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from layerscope.attribution.completeness import completeness_gaps
from layerscope.attribution.task import at_least, count

Run = Callable[[int, Tensor], Tensor]
"""From a number of steps and the numbers of some images to the values [image, ...] of these."""


def until_complete(
    run: Run, expected: Tensor, scores: Tensor, *, steps: int, most_steps: int, tolerance: float
) -> tuple[Tensor, tuple[tuple[str, ...], ...]]:
    """Values [batch, ...] that add up to what they should, from as many steps as that takes; and notes on each image.

    Args:
        run: how values are made.
        expected: [batch], what the values of each image have to add up to; NaN where there is no such thing.
        scores: [batch] of the images.
        steps: to begin with; they double for those images that are not complete.
        most_steps: never more than these.
        tolerance: the largest gap (`completeness_gaps`) of what is complete.

    Raises InputError for fewer than one step, most_steps below steps, and a tolerance below 0.
    """
    count("steps", steps)
    count("most_steps", most_steps, steps)
    at_least("tolerance", tolerance, 0)
    values, taken = run(steps, torch.arange(len(expected))), [steps] * len(expected)
    at, claimed = steps, ~expected.isnan().cpu()

    def gaps() -> Tensor:
        return completeness_gaps(values, expected, scores).cpu()

    while at < most_steps and (open_ := (~(gaps() <= tolerance) & claimed).nonzero()[:, 0]).numel():
        at = min(2 * at, most_steps)
        values[open_] = run(at, open_)
        for number in open_.tolist():
            taken[number] = at
    notes = (
        _notes(gap, used, steps, tolerance) if here else ()
        for gap, used, here in zip(gaps().tolist(), taken, claimed.tolist(), strict=True)
    )
    return values, tuple(notes)


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


def _notes(gap: float, taken: int, steps: int, tolerance: float) -> tuple[str, ...]:
    if not gap <= tolerance:
        return (f"It does not add up after {taken} steps: the gap is {gap:.2g}; most_steps= allows more.",)
    return (f"It took {taken} steps, more than {steps}, to add up.",) if taken > steps else ()
