"""How far values are from adding up to what they should."""

from __future__ import annotations

import torch
from torch import Tensor

_DIGITS = 8  # of the last digits that sums and scores of a float type can be off by


def completeness_gaps(values: Tensor, expected: Tensor, scores: Tensor) -> Tensor:
    """[batch]: |total - expected| as a share of |expected|, or of the rounding in it where that is more.

    values: [batch, ...]. expected: [batch], of which a score less another one may be left by rounding alone; NaN where
    there is nothing to add up to, and then in the result. scores: [batch] of the images.
    """
    totals, wanted = values.detach().flatten(1).double().sum(1), expected.detach().double()
    return (totals - wanted).abs() / torch.maximum(wanted.abs(), rounding(values, expected, scores))


def rounding(values: Tensor, expected: Tensor, scores: Tensor) -> Tensor:
    """[batch]: what rounding may add to the difference of two scores, and to the sum of values; above zero."""
    sizes, scores = values.detach().abs().flatten(1).double().sum(1), scores.detach().double()
    largest = torch.stack([sizes, scores.abs(), (scores - expected.detach().double()).abs()]).amax(0)
    return (_DIGITS * torch.finfo(values.dtype).eps * largest).clamp(min=torch.finfo(torch.float64).tiny)
