"""Means and intervals over images and networks: equal to literal bootstraps with the same draws."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layerscope.faithfulness.intervals import BOOTSTRAPS, Mean, mean_over_images

NAN = math.nan


def literal(table, seed: int) -> Mean:
    """Crossed, in loops: in each draw networks and images are drawn apart, and a value counts once for each pair."""
    table = [row for row in table if not all(map(math.isnan, row))]  # a network that was not asked is not drawn
    networks, images = len(table), len(table[0])
    generator = np.random.default_rng(seed)
    of_images = generator.multinomial(images, [1 / images] * images, BOOTSTRAPS)
    of_networks = generator.multinomial(networks, [1 / networks] * networks, BOOTSTRAPS)
    drawn = []
    for often_image, often_network in zip(of_images.tolist(), of_networks.tolist(), strict=True):
        values = []
        for row, often in zip(table, often_network, strict=True):
            for value, times in zip(row, often_image, strict=True):
                values += [value] * (often * times)
        known = [value for value in values if not math.isnan(value)]
        drawn += [math.fsum(known) / len(known)] if known else []
    known = [value for row in table for value in row if not math.isnan(value)]
    low, high = np.percentile(drawn, [2.5, 97.5])
    counted = sum(not all(map(math.isnan, column)) for column in zip(*table, strict=True))
    return Mean(math.fsum(known) / len(known), float(low), float(high), counted)


def close(found: Mean, expected: Mean) -> bool:
    return found.images == expected.images and (found.value, found.low, found.high) == pytest.approx(
        (expected.value, expected.low, expected.high), abs=1e-12
    )


TABLES = {
    "one network": [[0.1, 0.9, 0.4, 0.4, -0.3, 0.7]],
    "three networks": [[0.1, 0.9, 0.4, 0.3], [0.2, 0.8, 0.5, -0.1], [0.9, 1.0, 0.7, 0.6]],
    "gaps": [[0.1, NAN, 0.4, 0.3], [NAN, 0.8, 0.5, -0.1], [NAN, NAN, 0.7, 0.6]],
    "a network without values": [[NAN, NAN, NAN, NAN], [1.0, 2.0, 4.0, 0.5]],
}


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("seed", [0, 3])
def test_an_interval_is_that_of_a_literal_crossed_bootstrap(name, seed):
    assert close(mean_over_images(TABLES[name], seed=seed), literal(TABLES[name], seed))


def test_one_row_is_the_plain_bootstrap():
    """The same distribution as that of images drawn with their numbers; and a row alone is a table of one row."""
    values = np.random.default_rng(1).normal(size=40)
    found = mean_over_images(values, seed=5)
    drawn = np.random.default_rng(9).integers(40, size=(20000, 40))
    low, high = np.percentile(values[drawn].mean(1), [2.5, 97.5])
    assert found.value == pytest.approx(values.mean())
    assert (found.low, found.high) == (pytest.approx(low, abs=0.02), pytest.approx(high, abs=0.02))
    assert mean_over_images(values[None], seed=5) == found
    assert mean_over_images(list(values), seed=5) == found


def test_two_networks_that_agree_are_one_with_twice_the_values():
    values = [0.1, 0.9, 0.4, 0.4, -0.3, 0.7]
    one, two = mean_over_images(values), mean_over_images([values, values])
    assert (two.value, two.low, two.high) == (pytest.approx(one.value), pytest.approx(one.low), pytest.approx(one.high))
    assert (one.images, two.images) == (6, 6)


def test_networks_that_differ_widen_the_interval():
    row = np.random.default_rng(0).normal(size=50)
    widths = []
    for apart in (0.0, 0.5, 2.0):
        found = mean_over_images(np.stack([row - apart, row, row + apart]))
        assert found.value == pytest.approx(row.mean())
        widths.append(found.high - found.low)
    assert widths[0] < widths[1] < widths[2]
    assert widths[2] > 2.5  # three networks two apart: mostly between them, however many images there are


def test_images_that_no_network_could_measure_do_not_count():
    table = [[0.1, NAN, 0.4, 0.3, NAN, 0.2], [NAN, NAN, 0.5, -0.1, NAN, 0.6]]
    assert mean_over_images(table) == mean_over_images([[0.1, 0.4, 0.3, 0.2], [NAN, 0.5, -0.1, 0.6]])
    found = mean_over_images([NAN, 1.0, 2.0, 1.0, 2.0])
    assert (found.value, found.images) == (1.5, 4)


@pytest.mark.parametrize(
    "values", [[], [1.0], [1.0, 2.0, 3.0], [NAN, NAN, NAN, NAN], [[NAN, 1.0], [NAN, NAN]], [[], []]]
)
def test_fewer_than_four_images_have_no_interval(values):
    assert mean_over_images(values) is None


def test_intervals_hold_the_truth_about_as_often_as_they_promise():
    generator = np.random.default_rng(0)
    intervals = [mean_over_images(generator.normal(0.2, 1, 60), seed=turn) for turn in range(300)]
    held = sum(one.low <= 0.2 <= one.high for one in intervals) / 300
    assert 0.90 < held < 0.98


@settings(max_examples=50, deadline=None, derandomize=True)
@given(
    values=st.lists(st.floats(-100, 100), min_size=4, max_size=12), seed=st.integers(0, 5), shift=st.floats(-100, 100)
)
def test_an_interval_lies_within_the_values_and_moves_with_them(values, seed, shift):
    found = mean_over_images(values, seed)
    assert found == mean_over_images(values, seed)
    assert min(values) - 1e-9 <= found.low <= found.high <= max(values) + 1e-9
    moved = mean_over_images([value + shift for value in values], seed)
    assert (moved.low, moved.high) == pytest.approx((found.low + shift, found.high + shift), abs=1e-8)
    turned = mean_over_images([-value for value in values], seed)
    assert (turned.low, turned.high) == pytest.approx((-found.high, -found.low), abs=1e-8)


def test_facts_hold_four_decimals_of_their_size_and_come_back():
    facts = Mean(0.123456, -1234.56, 0.00123456, 9).facts()
    assert facts == {"value": 0.1235, "low": -1235.0, "high": 0.001235, "images": 9}
    assert Mean.of_facts(facts).facts() == facts
