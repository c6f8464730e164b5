"""What users give, checked at the door: each function returns the value, or raises InputError in one line."""

from __future__ import annotations

import math
import operator
from os import PathLike
from pathlib import Path
from typing import SupportsFloat, SupportsIndex

from layerscope.errors import InputError
from layerscope.types import Progress

_LONGEST = 200
"""Bits of a whole number that is shown: 60 digits."""


def whole_number(name: str, value: SupportsIndex, least: int, most: int | None = None, advice: str = "") -> int:
    """The value of an argument that counts something, from `least` to `most`, as an int; those of numpy are too.

    advice: what to say instead of the range, after "give".
    """
    number = None if _is_truth(value) or not hasattr(value, "__index__") else _index(value)
    if number is None or number < least or (most is not None and number > most):
        among = f"of at least {least}" if most is None else f"from {least} to {most:,}"
        raise InputError(f"{name}={shown(value)}; give {advice or f'a whole number {among}'}")
    return number


def finite_number(
    name: str, value: SupportsFloat, least: float | None = None, most: float | None = None, above: bool = False
) -> float:
    """The value of an argument that measures something, finite, at least `least` (or above it) and at most `most`."""
    number = _float(value)
    high = least is None or (number > least if above else number >= least)
    if not (math.isfinite(number) and high and (most is None or number <= most)):
        low = "" if least is None else f" above {least:g}" if above else f" of at least {least:g}"
        upper = "" if most is None else f"{' and' if low else ' of'} at most {most:g}"
        raise InputError(f"{name}={shown(value)}; give a {'' if low or upper else 'finite '}number{low}{upper}")
    return number


def path_to(name: str, value: str | PathLike[str]) -> Path:
    """The path that an argument names."""
    if not isinstance(value, (str, PathLike)) or "\0" in str(value):
        raise InputError(f"{name}={shown(value)} is no path; give a text or a pathlib.Path")
    return Path(value)


def progress_to(on_progress: Progress) -> Progress:
    """The function that is told how far the work is."""
    if not callable(on_progress):
        raise InputError(f"on_progress={shown(on_progress)} is no function; give one that takes (done, total, what)")
    return on_progress


def shown(value: object, most: int = 60) -> str:
    """A value as an error message shows it, on one line: numbers and short texts as they are, else its type."""
    if isinstance(value, (str, bytes)) and len(value) > most:
        return f"{value[:most]!r}…"
    if isinstance(value, int) and value.bit_length() > _LONGEST:
        return f"a number of about {math.log10(abs(value)):,.0f} digits"
    if value is None or isinstance(value, (bool, int, float, str, bytes)):
        return repr(value)
    text = _text(value) if isinstance(value, (tuple, list, dict)) else "\n"
    return text if len(text) <= most and "\n" not in text else f"a {type(value).__name__}"


def _text(value: object) -> str:
    """As Python writes it; a new line where it cannot."""
    try:
        return repr(value)
    except ValueError:  # Python writes no whole number of more than 4300 digits
        return "\n"


def _is_truth(value: object) -> bool:
    """Whether it is True or False, also as an array or a tensor."""
    return isinstance(value, bool) or str(getattr(value, "dtype", "")).endswith("bool")


def _index(value: SupportsIndex) -> int | None:
    try:
        return operator.index(value)
    except (TypeError, RuntimeError):  # arrays and tensors have the method, but not all of them are one whole number
        return None


def _float(value: SupportsFloat) -> float:
    """nan for what is no single number."""
    if _is_truth(value) or isinstance(value, (str, bytes)) or getattr(value, "shape", ()) != ():
        return math.nan
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError):  # of a signalling nan, of a tensor without values
        return math.nan
