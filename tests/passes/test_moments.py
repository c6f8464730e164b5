"""Moments and class sums against literal float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from seen_units import activations, literal, orders, seen_in

from layerscope.errors import InputError
from layerscope.passes.class_sums import ClassSums
from layerscope.passes.moments import Moments


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), orders(), st.sampled_from([(), (4, 5), (7,), (1, 1)]))
def test_moments_are_those_of_all_positions(seed: int, order: list[tuple[int, int]], shape: tuple[int, ...]) -> None:
    units = activations(seed, *shape) if shape else activations(seed, 1)[:, :, 0]
    found, values = seen_in(Moments(), units, order), literal(units)
    assert found.count == 9 * values.shape[2]
    np.testing.assert_allclose(found.mean.numpy(), values.mean((0, 2)), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(found.variance.numpy(), values.var((0, 2)), rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(found.active.numpy(), (values > 0).mean((0, 2)))


def test_moments_of_float64_are_exact() -> None:
    units = torch.randn(9, 3, 6, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found, values = seen_in(Moments(), units, [(0, 4), (4, 9)]), literal(units)
    np.testing.assert_allclose(found.mean.numpy(), values.mean((0, 2)), rtol=1e-12)
    np.testing.assert_allclose(found.variance.numpy(), values.var((0, 2)), rtol=1e-12)


def test_a_large_mean_costs_the_variance_no_digits() -> None:
    units = 10_000 + torch.randn(40, 2, 16, 16, generator=torch.Generator().manual_seed(0))
    found = seen_in(Moments(), units, [(0, 8), (8, 40)])
    np.testing.assert_allclose(found.variance.numpy(), literal(units).var((0, 2)), rtol=1e-4)


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 2**31),
    orders(),
    st.lists(st.integers(-1, 3), min_size=9, max_size=9).filter(lambda all: max(all) >= 0),
)
def test_class_means_are_those_of_the_images_of_the_class(
    seed: int, order: list[tuple[int, int]], labels: list[int]
) -> None:
    units = activations(seed)
    found, values = seen_in(ClassSums(torch.tensor(labels), classes=4), units, order), literal(units)
    for number in range(4):
        chosen = values[np.array(labels) == number]
        assert int(found.counts[number]) == len(chosen)
        if len(chosen):
            np.testing.assert_allclose(found.means[number].numpy(), chosen.mean((0, 2)), rtol=1e-6, atol=1e-7)
            np.testing.assert_allclose(found.maxima[number].numpy(), chosen.max(2).mean(0), rtol=1e-12, atol=1e-12)
        else:
            assert found.means[number].isnan().all()
            assert found.maxima[number].isnan().all()


def test_labels_that_cannot_be_are_refused() -> None:
    assert ClassSums(torch.tensor([0, 4, -1])).classes == 5
    with pytest.raises(InputError, match="labels 0 to 4 for 4 classes; give 0 to 3, or -1 for an image of no class"):
        ClassSums(torch.tensor([0, 4]), classes=4)
    with pytest.raises(InputError, match="labels -2 to 1 for 2 classes"):
        ClassSums(torch.tensor([-2, 1]))
    with pytest.raises(InputError, match="labels -1 to -1 for 0 classes"):
        ClassSums(torch.tensor([-1, -1]))
    for wrong in (torch.zeros(3), torch.zeros(2, 2, dtype=torch.int64), torch.zeros(0, dtype=torch.int64)):
        with pytest.raises(InputError, match="give one whole number per image"):
            ClassSums(wrong)
    with pytest.raises(InputError, match="image 4 has no label; there are 4: give one each"):
        ClassSums(torch.tensor([0, 1, 0, 1])).update(torch.zeros(3, 2, 1), 2)
