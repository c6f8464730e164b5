"""Measures of maps by regions: equal to slow literal ones and scikit-learn's, and right where the answer is known."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from known_scenes import SIDE, planted_case
from sklearn.metrics import roc_auc_score

from layerscope.faithfulness.cases import ASKED, MARKED, PATCH, UNMARKED
from layerscope.faithfulness.measures.by_regions import (
    MEASURES,
    density,
    judge,
    mass_over_area,
    pointing,
    told_apart,
)

EVERYWHERE = [(row, column) for row in range(SIDE) for column in range(SIDE)]


def drawn(seed: int) -> torch.Tensor:
    return torch.randn(SIDE, SIDE, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def region(seed: int, share: float = 0.2) -> torch.Tensor:
    return torch.rand(SIDE, SIDE, generator=torch.Generator().manual_seed(seed)) < share


def case_of_regions(seed: int = 0):
    """Every region and every question that the measures know."""
    case = planted_case(None, seed=seed, patch=0, marked=0, unmarked=0)
    regions = {name: region(10 * seed + number) for number, name in enumerate(("thing", "clutter", "patch", "mark"))}
    return replace(case, **regions)


QUESTIONS = (ASKED, PATCH, MARKED, UNMARKED)


@pytest.mark.parametrize("seed", range(4))
def test_every_measure_is_a_literal_one(seed):
    case = case_of_regions(seed)
    maps = {name: drawn(100 * seed + number) for number, name in enumerate(QUESTIONS)}
    found = judge(case, maps)
    asked = {place: maps[ASKED][place].item() for place in EVERYWHERE}
    on_thing = [place for place in EVERYWHERE if case.thing[place]]
    positive = math.fsum(max(value, 0) for value in asked.values())
    mass = math.fsum(max(asked[place], 0) for place in on_thing) / positive
    expected = {
        "mass": mass / (len(on_thing) / len(EVERYWHERE)),
        "pointing": float(max(asked, key=asked.get) in on_thing),
    }
    for name, question, where in (("distractors", ASKED, case.clutter), ("independence", PATCH, case.patch)):
        sizes = {place: abs(maps[question][place].item()) for place in EVERYWHERE}
        inside = [sizes[place] for place in EVERYWHERE if where[place]]
        expected[name] = sum(inside) / len(inside) / (sum(sizes.values()) / len(sizes))
    marked, unmarked = (roc_auc_score(case.mark.flatten(), maps[name].flatten()) for name in (MARKED, UNMARKED))
    expected |= {"shortcut": marked, "contrast": marked - unmarked}
    assert found == pytest.approx(expected, abs=1e-12)
    assert list(found) == [measure.name for measure in MEASURES]


def test_the_right_map_is_best_its_negative_worst_and_an_even_one_in_between():
    case = case_of_regions()
    right = {
        ASKED: case.thing & ~case.clutter, PATCH: ~case.patch, MARKED: case.mark, UNMARKED: ~case.mark,
    }  # fmt: skip
    wrong = {ASKED: case.clutter & ~case.thing, PATCH: case.patch, MARKED: ~case.mark, UNMARKED: case.mark}
    even = dict.fromkeys(QUESTIONS, torch.ones(SIDE, SIDE))
    right, wrong = ({name: mask.double() for name, mask in some.items()} for some in (right, wrong))
    most = {name: 1 / getattr(case, name).double().mean().item() for name in ("thing", "clutter", "patch")}
    order = ("mass", "pointing", "distractors", "independence", "shortcut", "contrast")
    best, worst, middle = ([judge(case, some)[name] for name in order] for some in (right, wrong, even))
    inside = (case.clutter & ~case.thing).sum().item() / case.clutter.sum().item()
    crowded = inside / (case.clutter & ~case.thing).double().mean().item()
    assert best == pytest.approx([most["thing"], 1, 0, 0, 1, 1])
    assert worst == pytest.approx([0, 0, crowded, most["patch"], 0, -1])
    assert middle == pytest.approx([1, case.thing.double().mean().item(), 1, 1, 0.5, 0])


def test_a_map_shuffled_or_of_another_image_says_nothing_of_the_mark():
    found = {"right": [], "flipped": [], "shuffled": []}
    for seed in range(20):
        case = case_of_regions(seed)
        right = case.mark + 0.3 * drawn(seed)
        order = torch.randperm(SIDE * SIDE, generator=torch.Generator().manual_seed(seed))
        maps = {"right": right, "flipped": -right, "shuffled": right.flatten()[order].view(SIDE, SIDE)}
        for name, values in maps.items():
            found[name].append(judge(case, {MARKED: values})["shortcut"])
    assert max(found["flipped"]) < 0.1 < 0.9 < min(found["right"])
    assert sum(found["shuffled"]) / 20 == pytest.approx(0.5, abs=0.03)


def test_mass_is_a_share_of_evidence_over_a_share_of_pixels():
    thing = torch.zeros(4, 4, dtype=torch.bool)
    thing[:2, :2] = True
    assert mass_over_area(torch.ones(4, 4), thing) == 1
    assert mass_over_area(thing.float(), thing) == 4
    assert mass_over_area(thing.float() - 10 * (~thing).float(), thing) == 4  # what speaks against does not count
    assert mass_over_area((~thing).float(), thing) == 0
    assert mass_over_area(-torch.ones(4, 4), thing) == 0  # no evidence for the label anywhere


def test_of_several_largest_values_the_share_on_the_thing_counts():
    thing = torch.tensor([[True, True, False, False]])
    assert pointing(torch.tensor([[3.0, 0.0, 3.0, 3.0]]), thing) == pytest.approx(1 / 3)
    assert pointing(torch.tensor([[-1.0, -2.0, -3.0, -4.0]]), thing) == 1
    assert pointing(torch.zeros(1, 4), thing) == 0.5


def test_an_empty_map_has_no_density():
    assert math.isnan(density(torch.zeros(SIDE, SIDE), region(0)))
    assert density(-torch.ones(SIDE, SIDE), region(0)) == 1  # size counts, not the sign


def test_regions_that_are_not_known_or_not_there_are_not_measured():
    full, nothing = torch.ones(SIDE, SIDE, dtype=torch.bool), torch.zeros(SIDE, SIDE, dtype=torch.bool)
    maps = {name: drawn(number) for number, name in enumerate(QUESTIONS)}
    for where in (None, full, nothing):
        case = replace(case_of_regions(), thing=where, clutter=where, patch=where, mark=where)
        assert judge(case, maps) == {}
    assert judge(case_of_regions(), {}) == {}
    assert set(judge(case_of_regions(), {MARKED: drawn(0)})) == {"shortcut"}
    assert set(judge(case_of_regions(), {UNMARKED: drawn(0)})) == set()


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    values=st.lists(st.integers(-4, 4), min_size=SIDE, max_size=SIDE),
    seed=st.integers(0, 1000),
    scale=st.floats(0.01, 100),
)
def test_the_area_under_the_roc_curve_is_scikit_learns_with_its_symmetries(values, seed, scale):
    """Many ties; of ranks alone; with the sign or the sides changed it is one less it."""
    given_map = torch.tensor([values], dtype=torch.float64)
    inside = region(seed, 0.4)[:1]
    inside[0, 0], inside[0, 1] = True, False
    found = told_apart(given_map, inside)
    assert found == pytest.approx(roc_auc_score(inside.flatten(), given_map.flatten()), abs=1e-12)
    assert told_apart(scale * given_map**3 + scale, inside) == pytest.approx(found, abs=1e-12)
    assert told_apart(-given_map, inside) == pytest.approx(1 - found, abs=1e-12)
    assert told_apart(given_map, ~inside) == pytest.approx(1 - found, abs=1e-12)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6), scale=st.floats(1e-3, 1e3))
def test_no_measure_by_regions_depends_on_the_size_of_a_map(seed, scale):
    case = case_of_regions(seed % 100)
    maps = {name: drawn(seed + number) for number, name in enumerate(QUESTIONS)}
    scaled = {name: scale * values for name, values in maps.items()}
    assert judge(case, scaled) == pytest.approx(judge(case, maps), rel=1e-9)
