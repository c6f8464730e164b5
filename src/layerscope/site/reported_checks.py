"""Whether a hierarchy report holds what its pages read: names, types and shapes, so that no page fails in a browser."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from layerscope.errors import InputError

Check = Callable[[str, Any], None]
"""Raises ValueError in words where what stands at a place is wrong."""
_WORDS = re.compile(r"^(layer|label|runner_up|texture|class|selective_class|.*_concept)$")
_ANSWERS = re.compile(r"^(polysemantic|.*_(passed|responds|beyond_twins))$")
_SHOWN = 60  # letters of what is wrong


def _of(words: str, holds: Callable[[Any], bool]) -> Check:
    def check(place: str, value: Any) -> None:
        if not holds(value):
            given = "nothing" if value is None else repr(value)
            raise ValueError(f"{place} is {given[:_SHOWN]}, not {words}")

    return check


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


_text = _of("text", lambda value: isinstance(value, str))
_flag = _of("true or false", lambda value: isinstance(value, bool))
_number = _of("a number", _is_number)
_count = _of("a whole number from 0", _is_count)
_object = _of("an object", lambda value: isinstance(value, dict))


def _maybe(check: Check) -> Check:
    return lambda place, value: None if value is None else check(place, value)


def _each(check: Check, least: int = 0) -> Check:
    """A list of at least so many."""

    def every(place: str, value: Any) -> None:
        if not isinstance(value, list) or len(value) < least:
            raise ValueError(
                f"{place} is {repr(value)[:_SHOWN]}, not a list" + (f" of at least {least}" if least else "")
            )
        for turn, one in enumerate(value):
            check(f"{place}[{turn}]", one)

    return every


def _values(check: Check) -> Check:
    """An object of any names."""

    def every(place: str, value: Any) -> None:
        _object(place, value)
        for name, one in value.items():
            check(f"{place}.{name[:_SHOWN]}", one)

    return every


def _has(**parts: Check) -> Check:
    """An object that has these names, whatever else it has; one that is missing counts as nothing."""

    def every(place: str, value: Any) -> None:
        _object(place, value)
        for name, check in parts.items():
            check(f"{place}.{name}" if place else name, value.get(name))

    return every


def _both(*checks: Check) -> Check:
    def every(place: str, value: Any) -> None:
        for check in checks:
            check(place, value)

    return every


def _columns(place: str, value: Any) -> None:
    """A table of units by column: words, answers and numbers, each by the name of its column."""
    _object(place, value)
    for name, column in value.items():
        kind = _text if _WORDS.search(name) else _flag if _ANSWERS.search(name) else _number
        _each(_maybe(kind))(f"{place}.{name[:_SHOWN]}", column)


_interval = _has(value=_number, low=_maybe(_number), high=_maybe(_number))
_reading = _has(
    accuracy=_interval,
    shuffled=_interval,
    beyond_twins=_maybe(_interval),
    twins=_each(_number),
    chance=_number,
)
_HEADER = _has(
    network=_object,
    probe=_maybe(_has(classes=_maybe(_each(_text)), controls=_maybe(_each(_text)), images=_maybe(_count))),
    profile=_maybe(_text),
    twins=_count,
    seed=_maybe(_number),
    skipped=_each(_text),
    command=_maybe(_text),
    layerscope=_maybe(_text),
)
_PICTURE = _has(
    **dict.fromkeys(("score", "natural", "ratio", "control"), _maybe(_number)),
    **dict.fromkeys(("status", "note"), _maybe(_text)),
)
_LAYER = _has(
    name=_text,
    kind=_maybe(_text),
    units=_count,
    stride=_maybe(_number),
    receptive_field=_maybe(_number),
    effective_field=_maybe(_number),
    shape=_each(_count),
    same_units=_maybe(_each(_text)),
    before_rectifier=_maybe(_text),
    shares=_values(_has(units=_count, share=_number, twins=_number)),
    net=_both(_values(_interval), _has(any=_interval)),
    false_rate=_number,
    polysemantic=_count,
    depth=_maybe(_interval),
    decodability=_values(_reading),
    telling=_each(_count),
    sample=_each(_count),
    pictures=_maybe(_values(_PICTURE)),
)
_FACTS = _has(
    shown=_flag,
    words=_text,
    false_rate=_number,
    trend=_interval,
    trend_p=_maybe(_number),
    together=_number,
    tasks=_values(_text),
    stimuli=_has(orientations=_each(_number, 1), frequencies=_each(_number, 1), hues=_maybe(_each(_number, 1))),
    layers=_each(_LAYER, 1),
    units=_columns,
)


def check_header(path: object, header: Mapping[str, Any]) -> None:
    """Raise InputError in words where the `hierarchy.json` at `path` does not hold what the pages read."""
    try:
        _HEADER("", header)
    except ValueError as cause:
        raise InputError(f"{path} cannot be shown: {cause}; make the report again") from None


def check_facts(facts: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Raise ValueError in words where a record does not hold the facts and arrays of a report, or in another shape."""
    _FACTS("", facts)
    layers: Sequence[Mapping[str, Any]] = facts["layers"]
    for name in ("cka", "cka_twins"):
        _shape(arrays, name, (len(layers), len(layers)))
    lengths = {name: len(values) for name, values in facts["units"].items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"the columns of units are between {min(lengths.values())} and {max(lengths.values())} long")
    for layer in layers:
        _check_layer(layer, facts["stimuli"], arrays)


def _check_layer(layer: Mapping[str, Any], stimuli: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    name, units = layer["name"], layer["units"]
    exemplars = _shape(arrays, f"exemplars/{name}", (units, None))[1]
    _shape(arrays, f"exemplar_scores/{name}", (units, exemplars))
    _shape(arrays, f"exemplar_boxes/{name}", (units, exemplars, 3))
    for kind, values in (("orientation", "orientations"), ("frequency", "frequencies"), ("hue", "hues")):
        if f"tuning/{name}/{kind}" in arrays:
            _shape(arrays, f"tuning/{name}/{kind}", (units, len(stimuli[values] or ())))


def _shape(arrays: Mapping[str, NDArray[Any]], name: str, wanted: tuple[int | None, ...]) -> tuple[int, ...]:
    """The shape of an array, which has to be the one wanted; None is any length."""
    if name not in arrays:
        raise ValueError(f"there is no array {name[:_SHOWN]!r}")
    shape = arrays[name].shape
    if len(shape) != len(wanted) or any(one not in (None, there) for one, there in zip(wanted, shape, strict=True)):
        words = " x ".join("any" if one is None else str(one) for one in wanted)
        raise ValueError(f"the array {name[:_SHOWN]!r} is {' x '.join(map(str, shape)) or 'a number'}, not {words}")
    return shape
