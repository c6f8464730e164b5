"""What all accumulators have in common: no order and no sharding changes the result; states come back; words."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from seen_units import IMAGES, Made, activations, assert_same, literal, orders, seen_in, seen_in_shards

from layerscope.errors import InputError
from layerscope.passes.accumulators import ImageMaxima, ImageMeans, Peak, TopK
from layerscope.passes.class_sums import ClassSums
from layerscope.passes.histogram import Histogram
from layerscope.passes.masks import ConceptMasks
from layerscope.passes.moments import Moments
from layerscope.passes.overlap import Overlap
from layerscope.passes.ranges import Range

LABELS = torch.tensor([0, 2, 2, -1, 0, 3, 2, 0, 3])
MASKS = torch.rand(IMAGES, 4, 8, 11, generator=torch.Generator().manual_seed(5)) > 0.6
THRESHOLDS = torch.tensor([[1.0, 0.0, 2.5], [0.0, 1.0, 3.0], [3.0, -1.0, 1.0]])
ALL: dict[str, Made] = {
    "TopK": lambda: TopK(4),
    "Peak": Peak,
    "ImageMeans": ImageMeans,
    "ImageMaxima": ImageMaxima,
    "Range": Range,
    "Histogram": lambda: Histogram(torch.tensor([-2.0, -4.0, 0.0]), torch.tensor([2.0, 4.0, 3.0]), bins=16),
    "thinned Histogram": lambda: Histogram(torch.full((3,), -2.0), torch.full((3,), 2.0), bins=16, positions=6),
    "Moments": Moments,
    "ClassSums": lambda: ClassSums(LABELS, classes=5),
    "Overlap": lambda: Overlap(ConceptMasks(MASKS), THRESHOLDS),
}
every = pytest.mark.parametrize("make", ALL.values(), ids=ALL)


@every
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31), order=orders(), through_state=st.booleans())
def test_neither_order_nor_shards_change_anything(
    make: Made, seed: int, order: list[tuple[int, int]], through_state: bool
) -> None:
    units = activations(seed)
    whole = seen_in(make(), units, [(0, IMAGES)])
    assert_same(seen_in(make(), units, order), whole)
    assert_same(seen_in_shards(make, units, order, through_state), whole)


@every
def test_an_interrupted_one_goes_on_from_its_state(make: Made) -> None:
    units = activations(1)
    one, other = make(), make()
    assert one.state() == {}
    assert one.nbytes == 0
    one.update(units[:4], 0)
    state = one.state()
    assert set(state) == set(one.KEPT)
    assert one.nbytes == sum(array.nbytes for array in state.values()) > 0
    kept = {name: array.copy() for name, array in state.items()}
    other.update(units[4:], 4)  # is forgotten
    other.restore(state)
    for accumulator in (one, other):
        accumulator.update(units[4:], 4)
    assert_same(one.compute(), other.compute())
    for name, array in state.items():  # a state is a copy
        np.testing.assert_array_equal(array, kept[name], strict=True)
    other.restore({})
    with pytest.raises(InputError, match="has seen no images; sweep some first"):
        other.compute()


@every
def test_merging_changes_only_the_one_that_is_merged_into(make: Made) -> None:
    units = activations(2)
    one, other, empty = make(), make(), make()
    other.update(units[:5], 0)
    before = other.state()
    one.merge(other)
    one.merge(empty)
    one.update(units[5:], 5)
    assert_same(one.compute(), seen_in(make(), units, [(0, IMAGES)]))
    for name, array in other.state().items():
        np.testing.assert_array_equal(array, before[name], strict=True)


@every
def test_results_and_activations_stay_as_they_are(make: Made) -> None:
    units = activations(3).requires_grad_()
    before = units.detach().clone()
    accumulator = make()
    accumulator.update(units[:4], 0)
    result, again = accumulator.compute(), accumulator.compute()
    accumulator.update(units[4:], 4)
    assert_same(result, again)
    assert torch.equal(units, before)
    for value in vars(result).values() if not isinstance(result, torch.Tensor) else [result]:
        assert not isinstance(value, torch.Tensor) or not value.requires_grad


@every
@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_other_precisions_are_taken_as_they_are(make: Made, dtype: torch.dtype) -> None:
    units = (activations(4) * 2).round() / 2  # halves have few digits
    assert_same(seen_in(make(), units.to(dtype), [(0, IMAGES)]), seen_in(make(), units, [(0, IMAGES)]), tolerance=1e-6)


@every
def test_another_layer_is_refused(make: Made) -> None:
    accumulator = make()
    accumulator.update(activations(0), 0)
    with pytest.raises(InputError, match=r"\b2\b.*give each layer"):
        accumulator.update(activations(0)[:, :2], 0)


def test_the_values_of_images_are_literally_so() -> None:
    units = activations(6)
    order = [(5, 9), (0, 2), (2, 5)]
    np.testing.assert_allclose(
        seen_in(ImageMeans(), units, order).numpy(), literal(units).mean(2), rtol=1e-6, atol=1e-7
    )
    np.testing.assert_array_equal(seen_in(ImageMaxima(), units, order).numpy(), literal(units).max(2))
    found = seen_in(Range(), units, order)
    np.testing.assert_array_equal(found.low.numpy(), literal(units).min((0, 2)))
    np.testing.assert_array_equal(found.high.numpy(), literal(units).max((0, 2)))


def test_room_above_a_range_is_never_empty() -> None:
    units = torch.tensor([[[0.0], [4.0], [-2.0]], [[0.0], [4.0], [2.0]]])
    raised = seen_in(Range(), units, [(0, 2)]).raised(0.5)
    assert raised.low.tolist() == [0.0, 4.0, -2.0]
    assert raised.high.tolist() == [1.5 / 1024, 4 + 6 / 1024, 4.0]
    Histogram(raised.low, raised.high)


def test_what_was_made_otherwise_is_not_merged() -> None:
    with pytest.raises(InputError, match=r"TopK\(k=3\) cannot be merged into TopK\(k=4\); make both alike"):
        TopK(4).merge(TopK(3))
    with pytest.raises(InputError, match=r"ClassSums\(classes=5, labels=[0-9a-f]{12}\) cannot be merged"):
        ClassSums(LABELS, 5).merge(ClassSums(LABELS.flip(0), 5))
    with pytest.raises(InputError, match=r"Peak\(\) cannot be merged into Range\(\)"):
        Range().merge(Peak())  # type: ignore[arg-type]


def test_the_state_of_another_kind_is_refused() -> None:
    words = "a state of high, low; TopK keeps columns, images, rows, scores: give the state of an accumulator"
    for take in (TopK(2).restore, TopK(2).absorb):
        with pytest.raises(InputError, match=re.escape(words)):
            take({"low": np.zeros(3), "high": np.zeros(3)})


def test_a_number_that_is_none_counts_as_the_strongest_instead_of_vanishing() -> None:
    units = torch.arange(8.0).view(8, 1, 1)
    units[6] = torch.nan
    top = TopK(2)
    for first in range(8):
        top.update(units[first : first + 1], first)
    assert top.compute().images.tolist() == [[6, 7]]


@every
def test_activations_that_were_changed_in_place_are_seen_anew(make: Made) -> None:
    memory = activations(7)[:4].clone()
    accumulator = make()
    accumulator.update(memory, 0)
    memory.copy_(activations(8)[:4])
    accumulator.update(memory, 4)
    wanted = seen_in(make(), torch.cat([activations(7)[:4], activations(8)[:4]]), [(0, 8)])
    assert_same(accumulator.compute(), wanted)
