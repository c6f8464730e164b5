from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerscope.capture.units import Unit
from layerscope.errors import InputError

NAMES = st.from_regex(r"[a-z0-9_]{1,8}(\.[a-z0-9_]{1,8}){0,3}(#[0-9]{1,2})?", fullmatch=True) | st.just("")
COUNTS = st.integers(0, 10**6)
UNITS = st.builds(Unit, NAMES, COUNTS, st.none() | st.tuples(COUNTS, COUNTS))


@given(UNITS)
def test_text_gives_the_unit_back(unit: Unit) -> None:
    assert Unit.parse(str(unit)) == unit


@given(st.lists(UNITS, max_size=6))
def test_units_sort_whether_they_have_a_position_or_not(units: list[Unit]) -> None:
    ordered = sorted(units)
    assert all(not later < earlier for earlier, later in pairwise(ordered))
    assert sorted(reversed(units)) == ordered


def test_the_parts_of_a_unit() -> None:
    assert Unit.parse(" layer4.1.relu#1:37@3,4 ") == Unit("layer4.1.relu#1", 37, (3, 4))
    assert Unit.parse(":5") == Unit("", 5)
    assert Unit("a", 1) < Unit("a", 1, (0, 0)) < Unit("a", 2) < Unit("b", 0)


@pytest.mark.parametrize(
    "text", ["", "conv", "conv:", "conv:x", "conv:-1", "conv:1@2", "conv:1@2,", "a:b:1", "conv 1:2"]
)
def test_text_that_is_no_unit(text: str) -> None:
    with pytest.raises(InputError, match=r"is no unit; write layer:channel or layer:channel@row,column"):
        Unit.parse(text)


def test_negative_indices() -> None:
    with pytest.raises(InputError, match=r"'a:-1' has a negative index"):
        Unit("a", -1)
    with pytest.raises(InputError, match=r"count from 0"):
        Unit("a", 1, (0, -1))
