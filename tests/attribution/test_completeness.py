"""How far values are from adding up, and what of that is rounding."""

from __future__ import annotations

import math

import pytest
import torch

from layerscope.attribution.completeness import completeness_gaps, rounding


def test_the_gap_is_a_share_of_what_is_expected() -> None:
    values = torch.tensor([[1.0, 1.5], [0.0, 0.0], [-3.0, -1.0], [1.0, 1.0]])
    expected = torch.tensor([2.0, 0.0, -2.0, math.nan])
    gaps = completeness_gaps(values, expected, torch.ones(4))
    assert gaps[:3].tolist() == [0.25, 0.0, 1.0]
    assert gaps[3].isnan()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("values", "expected", "score"), [([1e3, -1e3], 0.0, 0.0), ([0.0, 0.0], 0.0, 1e3), ([0.0, 0.0], 1e3, 0.0)]
)
def test_rounding_is_that_of_values_and_scores(
    dtype: torch.dtype, values: list[float], expected: float, score: float
) -> None:
    floor = rounding(torch.tensor([values], dtype=dtype), torch.tensor([expected]), torch.tensor([score]))
    assert 1e3 <= float(floor) / (8 * torch.finfo(dtype).eps) <= 2e3


def test_a_difference_that_is_rounding_makes_no_gap() -> None:
    """Two scores of 100,000 that are the same up to their last digit."""
    values, scores = torch.tensor([[0.004, 0.0]]), torch.tensor([1e5])
    assert completeness_gaps(values, torch.zeros(1), scores) < 0.05
    assert completeness_gaps(values, torch.zeros(1), torch.zeros(1)) > 1e4
