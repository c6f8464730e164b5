from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
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


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (("a", -1), r"^unit index=-1; give a whole number of at least 0$"),
        (("a", 1.5), r"^unit index=1.5; give a whole number"),
        (("a", float("nan")), r"^unit index=nan; give a whole number"),
        (("a", "b"), r"^unit index='b'; give a whole number"),
        (("a", True), r"^unit index=True; give a whole number"),
        (("a", 1, (0, -1)), r"^unit position=-1; give a whole number of at least 0$"),
        (("a", 1, (0.5, 1)), r"^unit position=0.5; give a whole number"),
        (("a", 1, (0,)), r"^\(0,\) is no position of a unit; give \(row, column\), or None for all of them$"),
        (("a", 1, 3), r"^3 is no position of a unit"),
        ((5, 1), r"^5 is no name of a unit's layer; give a text, as in 'layer4.1.conv2'$"),
    ],
)
def test_what_is_no_unit(asked: tuple[Any, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Unit(*asked)


def test_numbers_of_numpy_are_indices_as_others() -> None:
    made = Unit("a", np.int64(3), [np.int64(1), 2])  # type: ignore[arg-type]
    assert made == Unit("a", 3, (1, 2))
    assert repr(made) == repr(Unit("a", 3, (1, 2)))
