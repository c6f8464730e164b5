"""A unit is called by the most demanding test that it passes: all cases as tables."""

from __future__ import annotations

import itertools

import pytest
import torch

from layerscope.dissection.labels import (
    CATEGORIES,
    DEAD,
    JOINT,
    NONE,
    TESTS,
    UnitLabel,
    category_counts,
    category_of,
    label_units,
    polysemantic_units,
)
from layerscope.errors import InputError, UnknownNameError

CASES = {
    "": "none",
    "edge": "edge",
    "colour": "colour",
    "edge colour": "colour-edge",
    "texture": "texture",
    "edge texture": "texture",
    "edge colour texture": "texture",
    "part": "part",
    "texture part": "part",
    "edge colour texture part": "part",
    "object": "object",
    "part object": "object",
    "edge object": "object",
    "edge colour texture part object": "object",
}


def flags(*rows: str) -> dict[str, torch.Tensor]:
    return {test: torch.tensor([test in row.split() for row in rows]) for test in TESTS}


@pytest.mark.parametrize(("passed", "label"), CASES.items())
def test_the_most_demanding_test_names_the_unit(passed, label):
    assert category_of(passed.split()) == label
    assert category_of(passed.split()[::-1]) == label
    assert category_of(passed.split(), alive=False) == "dead"


def test_whatever_passes_has_a_label():
    for count in range(len(TESTS) + 1):
        for passed in itertools.combinations(TESTS, count):
            assert category_of(passed) in CATEGORIES
    assert list(CATEGORIES) == ["object", "part", "texture", "colour", "edge", "colour-edge", "none", "dead"]
    assert list(CATEGORIES.values()) == [3, 2, 1, 0, 0, 0, None, None]
    assert set(JOINT.values()) | set(TESTS) | {NONE, DEAD} == set(CATEGORIES)


def test_units_are_labelled_one_by_one():
    rows = list(CASES)
    passed = flags(*rows, "object")
    evidence = {test: torch.zeros(len(rows) + 1) for test in TESTS}
    alive = torch.tensor([True] * len(rows) + [False])
    labels = label_units(passed, evidence, alive)
    assert [label.category for label in labels] == [*CASES.values(), "dead"]
    counts = category_counts(labels)
    assert list(counts) == list(CATEGORIES)
    assert counts == {
        "object": 4,
        "part": 3,
        "texture": 3,
        "colour": 1,
        "edge": 1,
        "colour-edge": 1,
        "none": 1,
        "dead": 1,
    }
    assert sum(counts.values()) == len(labels)


def test_confidence_is_the_share_of_bootstraps_with_the_same_label():
    passed, evidence = flags("edge texture", "", "object"), {test: torch.zeros(3) for test in TESTS}
    rounds = [
        flags("edge", "", ""),
        flags("edge texture", "", "object"),
        flags("texture", "part", "object"),
        flags("part", "", ""),
    ]
    bootstraps = {test: torch.stack([one[test] for one in rounds]) for test in TESTS}
    labels = label_units(passed, evidence, torch.tensor([True, True, False]), bootstraps=bootstraps)
    assert [(label.category, label.confidence) for label in labels] == [("texture", 0.5), ("none", 0.75), ("dead", 1.0)]
    assert label_units(passed, evidence, torch.ones(3))[0].confidence is None


@pytest.mark.parametrize(
    ("passed", "strong", "runner_up", "runner_up_passed"),
    [
        ("object part", {"part": 3, "edge": 9}, "edge", False),
        ("object edge", {"part": 3, "edge": 9}, "edge", True),
        ("edge colour", {"edge": 9, "colour": 8, "texture": 1}, "texture", False),
        ("edge", {"edge": 9, "colour": 1}, "colour", False),
        ("", {"texture": 2, "object": 1}, "texture", False),
    ],
)
def test_runner_up_has_the_most_evidence_of_the_others(passed, strong, runner_up, runner_up_passed):
    evidence = {test: torch.tensor([float(strong.get(test, 0))]) for test in TESTS}
    label = label_units(flags(passed), evidence, torch.tensor([True]))[0]
    assert (label.runner_up, label.runner_up_passed) == (runner_up, runner_up_passed)


def test_a_dead_unit_has_no_runner_up_and_one_meaning():
    evidence = {test: torch.ones(1) for test in TESTS}
    label = label_units(flags("edge"), evidence, torch.tensor([False]), polysemantic=torch.tensor([True]))[0]
    assert label == UnitLabel("dead", None, None, False, False)
    assert label_units(flags("edge"), evidence, torch.tensor([True]), polysemantic=torch.tensor([True]))[0].polysemantic
    only = {"edge": torch.tensor([True])}
    assert label_units(only, {"edge": torch.ones(1)}, torch.tensor([True]))[0].runner_up is None


@pytest.mark.parametrize(
    ("values", "passed", "two"),
    [
        ([0.30, 0.25, 0.0], [1, 1, 1], True),  # a part and a texture, about as strong
        ([0.30, 0.15, 0.0], [1, 1, 1], False),
        ([0.30, 0.25, 0.0], [1, 0, 1], False),
        ([0.30, 0.00, 0.29], [1, 1, 1], False),  # two parts are one category
        ([0.30, 0.20, 0.29], [1, 1, 1], False),  # 1.5 times is enough
        ([0.30, 0.21, 0.29], [1, 1, 1], True),
        ([0.30, 0.25, 0.0], [0, 0, 0], False),
    ],
)
def test_polysemantic_units_have_two_categories_about_as_strong(values, passed, two):
    given = torch.tensor([values]), torch.tensor([passed]).bool(), ["part", "texture", "part"]
    assert polysemantic_units(*given).tolist() == [two]
    assert polysemantic_units(given[0], given[1], ["part"] * 3).tolist() == [False]
    assert polysemantic_units(*given, related=torch.zeros(3, 3).bool()).tolist() == [two]
    assert polysemantic_units(*given, related=torch.ones(3, 3).bool()).tolist() == [False]


def test_a_thing_and_its_part_are_one_meaning():
    values, passed = torch.tensor([[0.3, 0.29, 0.28], [0.3, 0.1, 0.28]]), torch.ones(2, 3).bool()
    related = torch.eye(3).bool()
    related[0, 1] = related[1, 0] = True  # the turtle and its shell; the third is green
    assert polysemantic_units(values, passed, ["object", "part", "colour"], related=related).tolist() == [True, True]
    passed[:, 2] = False
    assert polysemantic_units(values, passed, ["object", "part", "colour"], related=related).tolist() == [False, False]


def test_what_does_not_fit_is_refused():
    passed, evidence, alive = flags("edge"), {test: torch.ones(1) for test in TESTS}, torch.ones(1)
    with pytest.raises(UnknownNameError, match="no test 'texure'; nearest: texture"):
        label_units({"texure": torch.ones(1)}, {"texure": torch.ones(1)}, alive)
    with pytest.raises(UnknownNameError, match="no test 'wheel'"):
        category_of(["wheel"])
    with pytest.raises(InputError, match=r"evidence of \['edge'\] for the tests .*; give the same tests"):
        label_units(passed, {"edge": torch.ones(1)}, alive)
    with pytest.raises(InputError, match="give the same tests, one or more"):
        label_units({}, {}, alive)
    with pytest.raises(InputError, match="all need one per unit"):
        label_units(passed, evidence, torch.ones(2))
    with pytest.raises(InputError, match="bootstraps of different or no rounds"):
        label_units(passed, evidence, alive, bootstraps={test: torch.ones(0, 1) for test in TESTS})
    with pytest.raises(InputError, match="a category per concept"):
        polysemantic_units(torch.zeros(2, 3), torch.zeros(2, 3).bool(), ["part"])
