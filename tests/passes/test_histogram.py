"""Counts are those of a literal loop, and thresholds leave the asked share of the values above them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from seen_units import activations, literal, seen_in
from torch import Tensor

from layerscope.errors import InputError
from layerscope.passes import histogram
from layerscope.passes.histogram import Counts, Histogram

LOW, HIGH = torch.tensor([-2.0, -4.0, 0.0]), torch.tensor([2.0, 4.0, 3.0])


def literal_counts(units: Tensor, bins: int) -> np.ndarray:
    values = literal(units)
    counts = np.zeros((values.shape[1], bins + 2), dtype=np.int64)
    for unit in range(values.shape[1]):
        low, high = float(LOW[unit]), float(HIGH[unit])
        for value in values[:, unit].ravel():
            place = 0 if value < low else bins + 1 if value >= high else 1 + int((value - low) / (high - low) * bins)
            counts[unit, place] += 1
    return counts


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([1, 8, 16, 64]))
def test_counts_are_those_of_a_literal_loop(seed: int, bins: int) -> None:
    units = activations(seed)
    found = seen_in(Histogram(LOW, HIGH, bins), units, [(0, 9)])
    np.testing.assert_array_equal(found.counts.numpy(), literal_counts(units, bins))


def test_maps_of_one_position_are_counted_in_whatever_order_they_lie_in_memory() -> None:
    values = torch.linspace(-1, 1, 12).view(4, 3)
    found = seen_in(Histogram(LOW, HIGH, 8), values[..., None, None], [(0, 4)])
    np.testing.assert_array_equal(found.counts.numpy(), literal_counts(values[..., None, None], 8))


def test_infinite_values_are_in_the_outer_bins_and_no_numbers_are_refused() -> None:
    units = torch.tensor([[[torch.inf], [-torch.inf], [1.0]]])
    counts = seen_in(Histogram(LOW, HIGH, 2), units, [(0, 1)]).counts
    assert counts.tolist() == [[0, 0, 0, 1], [1, 0, 0, 0], [0, 1, 0, 0]]
    units[0, 2] = torch.nan
    with pytest.raises(InputError, match=r"activations that are no numbers \(NaN\)"):
        Histogram(LOW, HIGH).update(units, 0)


def test_thinning_takes_the_same_places_whatever_the_batch_and_all_places_alike() -> None:
    places = torch.arange(36.0).view(1, 1, 6, 6).expand(900, 1, 6, 6)
    low, high = torch.zeros(1), torch.full((1,), 36.0)
    taken = seen_in(Histogram(low, high, 36, positions=10), places, [(0, 900)]).counts[0, 1:-1]
    assert int(taken.sum()) == 900 * 9  # every 4th
    assert taken.min() > 0.85 * 225
    assert taken.max() < 1.15 * 225
    assert seen_in(Histogram(low, high, 36, positions=36), places, [(0, 900)]).counts[0, 1:-1].tolist() == [900] * 36
    assert int(seen_in(Histogram(low, high, positions=None), places, [(0, 900)]).counts.sum()) == 900 * 36


def test_counts_beyond_int32_go_on_in_int64(monkeypatch: pytest.MonkeyPatch) -> None:
    units = torch.zeros(1, 3, 50)
    one, other = Histogram(LOW, HIGH, 4), Histogram(LOW, HIGH, 4)
    one.update(units, 0)
    other.update(units, 1)
    monkeypatch.setattr(histogram, "_MOST", 99)
    assert one.compute().counts.dtype == torch.int32
    one.merge(other)
    assert one.compute().counts.dtype == torch.int64
    other.update(units, 2)
    assert other.compute().counts.dtype == torch.int64
    assert one.compute().counts.sum(1).tolist() == other.compute().counts.sum(1).tolist() == [100] * 3
    third = Histogram(LOW, HIGH, 4)
    third.restore(one.state())
    assert third.compute().counts.dtype == torch.int64


RATES = (0.0025, 0.01, 0.04, 0.16, 0.5, 0.9)


@pytest.mark.parametrize("shape", ["normal", "rectified", "heavy"])
def test_thresholds_leave_the_asked_share_above(shape: str) -> None:
    values = torch.randn(400, 1, 500, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    values = {"normal": values, "rectified": (values - 1).clamp(min=0), "heavy": values**3}[shape]
    high = values.max() * 1.5
    counts = seen_in(Histogram(values.min()[None], high[None], positions=None), values, [(0, 400)])
    bin_width = float(high - values.min()) / 1024
    for rate, threshold in zip(RATES, counts.quantiles(RATES)[0].tolist(), strict=True):
        literally = float(np.quantile(values.numpy(), 1 - rate))
        assert abs(threshold - literally) <= bin_width * 1.001
        share = float((values > threshold).double().mean())
        if shape == "rectified" and rate > 0.16:
            assert share < rate  # all that is above 0 is less than the rate, and zeros are not let in
        elif shape == "normal":
            assert share == pytest.approx(rate, rel=0.02)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 30), min_size=7, max_size=7).filter(any), st.floats(0.001, 0.999))
def test_thresholds_lie_in_the_bin_where_the_rate_is_reached(counts: list[int], rate: float) -> None:
    found = float(Counts(torch.zeros(1), torch.full((1,), 5.0), torch.tensor([counts])).quantiles([rate])[0, 0])
    above = {edge: sum(counts[edge + 1 :]) for edge in range(6)}  # at or above each edge
    wanted = rate * sum(counts)
    if above[5] > wanted:
        assert found == 5.0
        return
    edge = min(edge for edge in above if above[edge] <= wanted)
    assert max(edge - 1, 0) <= found <= edge
    inside = counts[edge]
    if edge and inside > wanted:
        assert found == edge
    elif edge and inside:
        assert above[edge] + (edge - found) * inside == pytest.approx(wanted)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(InputError, match=r"unit 1 has the range 1 to 1; .*Range\(\)\.compute\(\)\.raised\(\)"):
        Histogram(torch.tensor([0.0, 1.0]), torch.tensor([1.0, 1.0]))
    with pytest.raises(InputError, match="unit 0 has the range nan to 1"):
        Histogram(torch.tensor([torch.nan]), torch.tensor([1.0]))
    with pytest.raises(InputError, match="unit 0 has the range 0 to inf"):
        Histogram(torch.tensor([0.0]), torch.tensor([torch.inf]))
    with pytest.raises(InputError, match="bins=0, positions=128; at least 1"):
        Histogram(LOW, HIGH, bins=0)
    with pytest.raises(InputError, match="bins=8, positions=0; at least 1"):
        Histogram(LOW, HIGH, bins=8, positions=0)
    with pytest.raises(InputError, match="5 units for a histogram of 3"):
        Histogram(LOW, HIGH).update(torch.zeros(1, 5, 2), 0)
    counts = seen_in(Histogram(LOW, HIGH), activations(0), [(0, 9)])
    for rates in ([], [0.0], [0.1, 1.0]):
        with pytest.raises(InputError, match="give shares between 0 and 1"):
            counts.quantiles(rates)
