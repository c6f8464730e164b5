"""What to call a unit: the most demanding test that it passes, and how sure that is.

A unit for objects also has an edge and a colour that it likes best, so the tests have an order; to call a unit by its
strongest evidence would compare what cannot be compared. Edge and colour are on one floor: a unit may have both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from layerscope.errors import InputError, UnknownNameError

TESTS = {"object": 3, "part": 2, "texture": 1, "colour": 0, "edge": 0}
"""Each test and how deep in the hierarchy it stands; a deeper one is the more demanding."""
JOINT = {frozenset({"colour", "edge"}): "colour-edge"}
"""What a unit is called that passes several tests of one depth."""
NONE, DEAD = "none", "dead"
CATEGORIES = {**TESTS, **{joint: TESTS[next(iter(tests))] for tests, joint in JOINT.items()}, NONE: None, DEAD: None}
"""Each label and its depth; none and dead have none."""
POLYSEMANTIC = 1.5
"""A unit has two meanings where its best concept is less than so many times as strong as one of another category."""


@dataclass(frozen=True)
class UnitLabel:
    """What a unit is called.

    Attributes:
        category: one of CATEGORIES.
        confidence: share of the bootstraps in which it has this label; None without bootstraps.
        runner_up: among the tests that are not in the label, that with the most evidence; None for a dead unit, or
            where there is no other test.
        runner_up_passed: whether the unit passes that one as well.
        polysemantic: whether concepts of different categories are about as strong.
    """

    category: str
    confidence: float | None
    runner_up: str | None
    runner_up_passed: bool
    polysemantic: bool


def label_units(
    passed: Mapping[str, Tensor],
    evidence: Mapping[str, Tensor],
    alive: Tensor,
    *,
    bootstraps: Mapping[str, Tensor] | None = None,
    polysemantic: Tensor | None = None,
) -> tuple[UnitLabel, ...]:
    """Label the units of one layer.

    `passed`: by test (those of TESTS that were made), bool [units]. `evidence`: of the same tests, [units], in standard
    deviations of the null, only for the runner-up. `alive`: bool [units]. `bootstraps`: of the same tests, bool [n,
    units], what passes where stimuli are drawn anew. `polysemantic`: bool [units]. Raises UnknownNameError for a test
    that does not exist, InputError for shapes that do not fit.
    """
    _check(passed, evidence, alive, bootstraps)
    labels = _categories(passed, alive)
    seconds = [_runner_up(label, evidence, unit) for unit, label in enumerate(labels)]
    return tuple(
        UnitLabel(
            category=label,
            confidence=None if bootstraps is None else _confidence(label, bootstraps, unit, bool(alive[unit])),
            runner_up=second,
            runner_up_passed=second is not None and bool(passed[second][unit]),
            polysemantic=polysemantic is not None and label != DEAD and bool(polysemantic[unit]),
        )
        for unit, (label, second) in enumerate(zip(labels, seconds, strict=True))
    )


def category_of(passed: Sequence[str], alive: bool = True) -> str:
    """The label of a unit that passes these tests. Raises UnknownNameError."""
    for test in passed:
        if test not in TESTS:
            raise UnknownNameError.among("test", test, TESTS)
    if not alive:
        return DEAD
    if not passed:
        return NONE
    deepest = max(TESTS[test] for test in passed)
    best = frozenset(test for test in passed if TESTS[test] == deepest)
    return next(iter(best)) if len(best) == 1 else JOINT[best]


def tests_of(label: str) -> frozenset[str]:
    """The tests that give a label: two for a joint one, none for none and dead."""
    joint = next((tests for tests, name in JOINT.items() if name == label), frozenset({label}))
    return joint & TESTS.keys()


def polysemantic_units(
    values: Tensor,
    passed: Tensor,
    categories: Sequence[str],
    ratio: float = POLYSEMANTIC,
    related: Tensor | None = None,
) -> Tensor:
    """bool [units]: where concepts of two categories pass and the better is less than `ratio` times as strong.

    `values`, `passed`: [units, concepts], such as IoU and whether it holds; `categories`: of each concept. `related`:
    bool [concepts, concepts], pairs that lie at one place, as a shell and its turtle: these are one meaning. Raises
    InputError for shapes that do not fit.
    """
    if values.shape != passed.shape or values.ndim != 2 or values.shape[1] != len(categories):
        raise InputError(
            f"values {tuple(values.shape)}, passed {tuple(passed.shape)} and {len(categories)} categories; "
            "give [units, concepts] twice and a category per concept"
        )
    held = values.detach().cpu().double().where(passed.cpu(), -torch.inf)
    first, concept = held.max(1)
    one = torch.tensor([[mine == other for other in categories] for mine in categories])
    alike = one if related is None else one | related.cpu()
    second = held.masked_fill(alike[concept], -torch.inf).amax(1)
    close: Tensor = second.isfinite() & (first < ratio * second)
    return close


def category_counts(labels: Sequence[UnitLabel]) -> dict[str, int]:
    """How many units have each label of CATEGORIES."""
    found = [label.category for label in labels]
    return {category: found.count(category) for category in CATEGORIES}


def _categories(passed: Mapping[str, Tensor], alive: Tensor) -> list[str]:
    return [
        category_of([test for test, holds in passed.items() if bool(holds[unit])], bool(alive[unit]))
        for unit in range(len(alive))
    ]


def _confidence(label: str, bootstraps: Mapping[str, Tensor], unit: int, alive: bool) -> float:
    rounds = {test: holds[:, unit].tolist() for test, holds in bootstraps.items()}
    drawn = [
        category_of([test for test, holds in zip(rounds, row, strict=True) if holds], alive)
        for row in zip(*rounds.values(), strict=True)
    ]
    return drawn.count(label) / len(drawn)


def _runner_up(label: str, evidence: Mapping[str, Tensor], unit: int) -> str | None:
    others = [test for test in evidence if test not in tests_of(label)]
    return max(others, key=lambda test: float(evidence[test][unit])) if others and label != DEAD else None


def _check(
    passed: Mapping[str, Tensor],
    evidence: Mapping[str, Tensor],
    alive: Tensor,
    bootstraps: Mapping[str, Tensor] | None,
) -> None:
    for test in passed:
        if test not in TESTS:
            raise UnknownNameError.among("test", test, TESTS)
    for what, given in {"evidence": evidence, "bootstraps": passed if bootstraps is None else bootstraps}.items():
        if set(given) != set(passed) or not passed:
            raise InputError(
                f"{what} of {sorted(given)} for the tests {sorted(passed)}; give the same tests, one or more"
            )
    rows = [*passed.values(), *evidence.values(), *(() if bootstraps is None else bootstraps.values())]
    if alive.ndim != 1 or any(row.shape[-1:] != alive.shape for row in rows):
        raise InputError(f"{[tuple(row.shape) for row in rows]} for {tuple(alive.shape)} units; all need one per unit")
    if bootstraps is not None and (
        len({len(row) for row in bootstraps.values()}) > 1 or not min(map(len, bootstraps.values()))
    ):
        raise InputError("bootstraps of different or no rounds; give [rounds, units] of each test")
