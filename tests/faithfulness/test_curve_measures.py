"""Measures of maps by curves, equal to slow literal ones; and the catalogue of all measures."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from known_scenes import SIDE, planted_case, random_game, weighed

from layerscope.attribution.baselines import blurred
from layerscope.errors import InputError
from layerscope.faithfulness.cases import ASKED, OTHER, Case, Question
from layerscope.faithfulness.measures import by_curves
from layerscope.faithfulness.measures.by_curves import LEAST_FALL, STEPS
from layerscope.faithfulness.measures.catalogue import JUDGED, MEASURES, judge


def drawn(seed: int) -> torch.Tensor:
    return torch.randn(SIDE, SIDE, generator=torch.Generator().manual_seed(seed))


def literal_areas(score, image, fill, values) -> tuple[float, float]:
    """Pixel by pixel in the order of the map, the score read after each block."""
    pixels, order = SIDE * SIDE, values.flatten().argsort(descending=True).tolist()
    stops = {round(step * pixels / STEPS) for step in range(STEPS + 1)}
    areas = []
    for start, end in ((image, fill), (fill, image)):
        now, points = start.clone(), []
        for count in range(pixels + 1):
            if count in stops:
                points.append((count / pixels, score(now[None]).item()))
            if count < pixels:
                row, column = divmod(order[count], SIDE)
                now[:, row, column] = end[:, row, column]
        area = sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in pairwise(points))
        low, high = score(fill[None]).item(), score(image[None]).item()
        areas.append((area - low) / (high - low))
    return areas[0], areas[1]


def test_areas_are_those_of_changing_pixel_after_pixel():
    known = 0
    for seed in range(8):
        case, values = planted_case(None, seed=seed, other=1), drawn(seed)
        found, image = by_curves.judge(case, {ASKED: values}), case.asked.image
        for suffix, fill in (("", blurred(image[None])[0]), ("_black", torch.zeros_like(image))):
            both = [found[f"deletion{suffix}"], found[f"insertion{suffix}"]]
            high, low = case.asked.score(torch.stack([image, fill])).tolist()
            if high - low > LEAST_FALL * max(abs(high), abs(low)):
                known += 1
                assert both == pytest.approx(literal_areas(case.asked.score, image, fill, values), abs=1e-6)
            else:
                assert all(map(math.isnan, both))
    assert 3 <= known < 16  # both happen


@pytest.mark.parametrize("share", [0.9, 1.1])
def test_a_score_that_hardly_falls_has_no_scale(share):
    """The red of one corner, which black takes from 1 to 0, above a floor that nothing changes."""
    model = weighed()
    corner = torch.zeros(SIDE, SIDE)
    corner[:6, :6] = 1 / 36
    with torch.no_grad():
        model.module.weights.zero_()[0, 0] = corner
    model.module.floor = 1 / (share * LEAST_FALL) - 1  # the score falls by 1 of 1 / (share * LEAST_FALL)
    case = Case({name: Question(model, torch.ones(3, SIDE, SIDE), 0) for name in (ASKED, OTHER)})
    found = by_curves.judge(case, {ASKED: corner})
    assert math.isnan(found["deletion_black"]) == (share < 1)
    assert math.isnan(found["insertion_black"]) == (share < 1)


def test_black_is_measured_for_thorough_cases_only():
    found = by_curves.judge(planted_case(None), {ASKED: drawn(0)})
    assert set(found) == {"deletion", "insertion"}


def test_deletion_takes_what_the_map_names_first():
    """A score that is the red of one corner: a map of that corner deletes it at once, its negative last."""
    model, corner = weighed(), torch.zeros(SIDE, SIDE)
    corner[:6, :6] = 1
    with torch.no_grad():
        model.module.weights.zero_()[0, 0] = corner
    case = Case({name: Question(model, corner.expand(3, -1, -1), 0) for name in (ASKED, OTHER)})
    right, wrong = (by_curves.judge(case, {ASKED: values}) for values in (corner, -corner))
    at_once = round(SIDE**2 / STEPS) / SIDE**2 / 2  # all of it is in the first block: half of that by the trapezoid
    for suffix in ("", "_black"):
        assert right[f"deletion{suffix}"] == pytest.approx(at_once, abs=1e-6)
        assert right[f"insertion{suffix}"] == pytest.approx(1 - at_once, abs=1e-6)
        assert wrong[f"deletion{suffix}"] == pytest.approx(1 - at_once, abs=1e-6)
        assert wrong[f"insertion{suffix}"] == pytest.approx(at_once, abs=1e-6)


# --- the catalogue


LOW = {
    "distractors", "independence", "deletion", "deletion_black", "infidelity", "infidelity_blur", "max_sensitivity",
    "redrawn", "seconds",
}  # fmt: skip


def test_each_measure_says_which_way_is_better_and_all_but_seconds_are_judged():
    assert {name for name, measure in MEASURES.items() if measure.better == "low"} == LOW
    assert next(iter(MEASURES)) == "density_rank"
    assert list(JUDGED) == [name for name in MEASURES if name != "seconds"]
    assert all(measure.name == name and measure.title and measure.words for name, measure in MEASURES.items())
    assert set(judge(planted_case(None), {ASKED: drawn(0)})) == set(JUDGED)
    assert all(math.isnan(value) for value in judge(planted_case(random_game(0)), {}).values())


def test_maps_that_do_not_fit_are_refused_in_one_line():
    case = planted_case(random_game(0), other=1)
    with pytest.raises(
        InputError, match=r"a map of shape \(25, 26\) in answer to 'other', of an image of \(26, 26\); give"
    ):
        judge(case, {ASKED: drawn(0), OTHER: drawn(0)[1:]})
    with pytest.raises(InputError, match=r"an answer to 'marked', which this case does not ask; it asks asked, other"):
        judge(case, {ASKED: drawn(0), "marked": drawn(0)})
    for value in (math.inf, math.nan):
        with pytest.raises(InputError, match=r"in answer to 'asked'.*; give finite \[height, width\]"):
            judge(case, {ASKED: drawn(0) * value})
