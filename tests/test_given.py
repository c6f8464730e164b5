"""Numbers and paths at the door: what is taken, and the words for what is not."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from layerscope.errors import InputError
from layerscope.given import finite_number, path_to, progress_to, shown, whole_number
from layerscope.types import no_progress

HUGE = pytest.param(10**5000, id="huge")
"""Python writes no whole number of more than 4300 digits."""


@pytest.mark.parametrize("value", [3, np.int64(3), np.array(3), torch.tensor(3)])
def test_whole_numbers_of_any_library_become_ints(value: Any) -> None:
    assert type(whole_number("n", value, 3, 3)) is int
    assert whole_number("n", value, 3, 3) == 3


@pytest.mark.parametrize(
    "value",
    [
        2,
        5,
        True,
        "3",
        3.0,
        float("nan"),
        None,
        [3],
        np.array([3, 3]),
        torch.rand(2),
        1 << 70,
        HUGE,
        torch.tensor(True),
        torch.empty((), dtype=torch.int64, device="meta"),
    ],
)
def test_what_is_no_whole_number_of_the_range(value: Any) -> None:
    with pytest.raises(InputError, match=r"^n=.*; give a whole number from 3 to 4$"):
        whole_number("n", value, 3, 4)


@pytest.mark.parametrize("value", [0.5, np.float32(0.5), np.array(0.5), torch.tensor(0.5)])
def test_numbers_of_any_library_become_floats(value: Any) -> None:
    assert type(finite_number("x", value, 0.5, 0.5)) is float
    assert finite_number("x", value) == 0.5


@pytest.mark.parametrize(
    "value",
    [
        -0.1,
        2,
        True,
        "1",
        float("nan"),
        float("inf"),
        None,
        [1],
        np.ones(1),
        10**400,
        1j,
        HUGE,
        pytest.param(-(10**5000), id="-huge"),
        Decimal("sNaN"),
        torch.empty((), device="meta"),
    ],
)
def test_what_is_no_number_of_the_range(value: Any) -> None:
    with pytest.raises(InputError, match=r"^x=.*; give a number of at least 0 and at most 1$"):
        finite_number("x", value, 0, 1)


@pytest.mark.parametrize(
    ("range_", "words"),
    [
        ({}, "a finite number"),
        ({"least": 0}, "a number of at least 0"),
        ({"least": 0, "above": True}, "a number above 0"),
        ({"least": 0, "most": 600, "above": True}, "a number above 0 and at most 600"),
        ({"most": 1}, "a number of at most 1"),
    ],
)
def test_the_words_for_a_range(range_: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError) as caught:
        finite_number("x", float("-inf"), **range_)
    assert str(caught.value) == f"x=-inf; give {words}"
    if range_.get("above"):
        with pytest.raises(InputError):
            finite_number("x", 0, **range_)


def test_paths() -> None:
    assert path_to("out", "a/b") == path_to("out", Path("a/b")) == Path("a/b")
    for wrong in (None, 5, b"a", ["a"], "a\0b"):
        with pytest.raises(InputError, match=r"^out=.* is no path; give a text or a pathlib.Path$"):
            path_to("out", wrong)  # type: ignore[arg-type]


def test_progress() -> None:
    assert progress_to(no_progress) is no_progress
    for wrong, words in ((None, "None"), ("a", "'a'"), (5, "5"), ([print] * 9, "a list")):
        with pytest.raises(InputError) as caught:
            progress_to(wrong)  # type: ignore[arg-type]
        text = "is no function; give one that takes (done, total, what)"
        assert str(caught.value) == f"on_progress={words} {text}"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a\nb", r"'a\nb'"),
        ("n" * 70, f"'{'n' * 60}'…"),
        (None, "None"),
        ((1, 2), "(1, 2)"),
        (list(range(99)), "a list"),
        (torch.zeros(2, 2), "a Tensor"),
        ([torch.zeros(2, 2)], "a list"),
        (2**199, str(2**199)),
        pytest.param(-(10**5000), "a number of about 5,000 digits", id="-huge"),
        ([10**5000], "a list"),
    ],
)
def test_values_are_shown_on_one_line(value: object, text: str) -> None:
    assert shown(value) == text


@pytest.mark.parametrize("check", [whole_number, finite_number])
@pytest.mark.parametrize("value", [True, np.bool_(True), np.array(True), torch.tensor(True)])
def test_true_is_no_number(check: Callable[..., float], value: Any) -> None:
    with pytest.raises(InputError, match=r"^n=(True|a \w+); give a (whole )?number of at least 1$"):
        check("n", value, 1)
