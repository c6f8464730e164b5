"""Measures of maps against known causes: the exact answer is best, its negative worst, and each equals a literal one."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from layerscope.errors import InputError
from layerscope.faithfulness.causes import LEAST_PARTS, PartEffect, SceneEffects, true_effects
from layerscope.faithfulness.controls import controls
from layerscope.faithfulness.intervals import BOOTSTRAPS, Mean, mean_over_images
from layerscope.faithfulness.measures import (
    JUDGED,
    MEASURES,
    RANDOM_MAPS,
    STEPS,
    case_of,
    exact_answer,
    judge,
    mass_over_area,
    pinned,
)
from layerscope.world import PART_NAMES, RemovePart, render

SCENES = 12


def score(images):
    """Red against green, in the middle more than at the border: parts count for it and against it."""
    around = torch.linspace(-1, 1, images.shape[-1])
    weights = torch.exp(-(around[:, None] ** 2) - around[None, :] ** 2)
    return ((images[:, 0] - 0.6 * images[:, 1]).double() * weights).sum((1, 2))


@pytest.fixture(scope="module")
def cases():
    scenes = render(SCENES, seed=77, size=32)
    found = [case_of(score, scenes.one(number)) for number in range(SCENES)]
    return [case for case in found if case is not None]


def planted(effects, size=20):
    parts = []
    for number, effect in enumerate(effects):
        mask = torch.zeros(size, size, dtype=torch.bool)
        mask[8 * (number // 2) + 1 :, :][:4, 8 * (number % 2) + 1 :][:, :4] = effect is not None
        parts.append(PartEffect(str(number), mask, effect or 0.0, None))
    return SceneEffects(0.0, tuple(parts), (), (), 0, "")


def test_scenes_that_say_nothing_are_no_cases():
    scenes = render(6, seed=77, size=32, things=["tree", "owl", "tree", "umbrella", "tree", "cup"])
    for number in range(6):
        scene = scenes.one(number)
        (effects,) = true_effects(score, scene, others=1, exact_up_to=0)
        seen = [part for part in effects.parts if part.pixels]
        assert (case_of(score, scene) is None) == (len(seen) < LEAST_PARTS)
    assert case_of(lambda images: images.new_zeros(len(images)), scenes.one(0)) is None  # all effects are the same


def test_the_exact_answer_gets_one_and_its_negative_minus_one(cases):
    for case in cases:
        found = judge(pinned(case), case)
        assert found["exact"]["part_rank"] == pytest.approx(1, abs=1e-12)
        assert found["inverted"]["part_rank"] == pytest.approx(-1, abs=1e-12)
        assert found["exact"]["cosine"] == pytest.approx(1 - case.chance, abs=1e-9)
        assert found["inverted"]["cosine"] == pytest.approx(-1 - case.chance, abs=1e-9)


def test_the_sums_of_the_exact_answer_are_the_effects_also_where_parts_touch(cases):
    for case in cases:
        answer = exact_answer(case.effects)
        for part in case.effects.parts:
            if part.pixels:
                rows, columns = part.mask.nonzero(as_tuple=True)
                around = torch.zeros_like(part.mask)
                for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
                    around[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2] = True
                assert answer[around].sum().item() == pytest.approx(part.effect, abs=1e-8)
    with pytest.raises(InputError, match="no part of the thing is seen"):
        exact_answer(planted([None, None, None]))


def test_random_maps_rank_parts_by_chance(cases):
    ranks = [judge({"random": pinned(case)["random"]}, case)["random"]["part_rank"] for case in cases]
    interval = mean_over_images(ranks)
    assert interval.low < 0 < interval.high


def test_a_flipped_and_a_shuffled_map_fall_to_the_bottom(cases):
    """Mutation: what is right stays right only with its sign and its places."""
    ranks = {"right": [], "flipped": [], "shuffled": []}
    for case in cases:
        exact = exact_answer(case.effects)
        order = torch.randperm(exact.numel(), generator=torch.Generator().manual_seed(case.seed))
        maps = {"right": exact, "flipped": -exact, "shuffled": exact.flatten()[order].view_as(exact)}
        for name, judged in judge(maps, case).items():
            ranks[name].append(judged["part_rank"])
    means = {name: mean_over_images(values) for name, values in ranks.items()}
    assert means["right"].low > means["shuffled"].high > means["shuffled"].low > means["flipped"].high


def test_every_measure_is_a_literal_one(cases):
    case = cases[3]
    values = torch.randn(32, 32, generator=torch.Generator().manual_seed(1))
    scene = render(1, seed=case.seed, size=32)
    sums, areas, truth = [], [[] for _ in range(RANDOM_MAPS)], []
    draws = [controls(case.image, RANDOM_MAPS * case.seed + 1 + draw)["random"].abs() for draw in range(RANDOM_MAPS)]
    for part in case.effects.parts:
        mask = scene.part[0] == PART_NAMES.index(part.part)
        if mask.any():
            wide = [
                (row, column)
                for row in range(32)
                for column in range(32)
                if mask[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2].any()
            ]
            sums.append(math.fsum(values[place].item() for place in wide))
            for of, draw in zip(areas, draws, strict=True):
                of.append(math.fsum(draw[place].item() for place in wide))
            truth.append((score(scene.images) - score(scene.again(RemovePart(part.part)).images)).item())
    cosine = lambda a, b: float(np.dot(a, b) / np.linalg.norm(a) / np.linalg.norm(b))  # noqa: E731
    found = judge({"map": values}, case)["map"]
    assert list(found) == list(JUDGED)
    assert found["part_rank"] == pytest.approx(spearmanr(sums, truth).statistic, abs=1e-9)
    chance = sum(cosine(of, truth) for of in areas) / RANDOM_MAPS
    assert found["cosine"] == pytest.approx(cosine(sums, truth) - chance, abs=1e-6)
    inside = sum(
        max(values[row, column].item(), 0) for row in range(32) for column in range(32) if scene.thing[0, row, column]
    )
    everywhere = sum(max(value, 0) for value in values.flatten().tolist())
    assert found["mass"] == pytest.approx(inside / everywhere / (scene.thing[0].sum().item() / 1024), rel=1e-5)


def test_deletion_takes_what_the_map_names_first():
    """A score that is the red of one corner: a map of that corner deletes it at once, its negative last."""
    corner = torch.zeros(32, 32)
    corner[:8, :8] = 1
    red = lambda images: (images[:, 0] * corner).sum((1, 2))  # noqa: E731
    scenes = render(12, seed=5, size=32)
    found = (case_of(red, scenes.one(number)) for number in range(12))
    case = next(case for case in found if case and not math.isnan(judge({"a": corner}, case)["a"]["deletion"]))
    judged = judge({"right": corner, "wrong": -corner}, case)
    at_once = round(1024 / STEPS) / 1024 / 2  # all 64 pixels are in the first block: half of it under the trapezoid
    assert judged["right"]["deletion"] == pytest.approx(at_once, abs=1e-6)
    assert judged["right"]["insertion"] == pytest.approx(1 - at_once, abs=1e-6)
    assert judged["wrong"]["deletion"] == pytest.approx(1 - at_once, abs=1e-6)
    assert judged["wrong"]["insertion"] == pytest.approx(at_once, abs=1e-6)


def test_mass_is_a_share_of_evidence_over_a_share_of_pixels():
    thing = torch.zeros(4, 4, dtype=torch.bool)
    thing[:2, :2] = True
    assert mass_over_area(torch.ones(4, 4), thing) == 1
    assert mass_over_area(thing.float(), thing) == 4
    assert mass_over_area(thing.float() - 10 * (~thing).float(), thing) == 4  # what speaks against does not count
    assert mass_over_area((~thing).float(), thing) == 0
    assert mass_over_area(-torch.ones(4, 4), thing) == 0  # no evidence for the label anywhere


def test_each_measure_says_which_way_is_better():
    assert {name: measure.better for name, measure in MEASURES.items()} == {
        "part_rank": "high",
        "cosine": "high",
        "mass": "high",
        "deletion": "low",
        "insertion": "high",
        "redrawn": "low",
        "seconds": "low",
    }
    assert [name for name, measure in MEASURES.items() if measure.causal] == ["part_rank", "cosine"]
    assert set(JUDGED) < set(MEASURES)


def test_what_cannot_be_judged_is_said(cases):
    with pytest.raises(InputError, match="2 scenes for one case; give one"):
        case_of(score, render(2, size=32))
    with pytest.raises(InputError, match="not finite"):
        judge({"map": torch.full((32, 32), math.inf)}, cases[0])
    with pytest.raises(InputError, match=r"map 'map' of shape \(31, 32\)"):
        judge({"map": torch.zeros(31, 32)}, cases[0])


# --- intervals


def test_an_interval_is_that_of_a_literal_bootstrap():
    values = [0.1, 0.9, 0.4, 0.4, -0.3, 0.7]
    generator = np.random.default_rng(3)
    drawn = generator.integers(6, size=(BOOTSTRAPS, 6))
    means = sorted(sum(values[place] for place in row) / 6 for row in drawn.tolist())
    found = mean_over_images(values, seed=3)
    assert found.value == pytest.approx(sum(values) / 6)
    assert found.low == pytest.approx(np.percentile(means, 2.5))
    assert found.high == pytest.approx(np.percentile(means, 97.5))
    assert found.images == 6
    assert mean_over_images(values, seed=3) == found


def test_intervals_hold_the_truth_about_as_often_as_they_promise():
    generator = np.random.default_rng(0)
    intervals = [mean_over_images(generator.normal(0.2, 1, 60), seed=turn) for turn in range(300)]
    held = sum(one.low <= 0.2 <= one.high for one in intervals) / 300
    assert 0.90 < held < 0.98


def test_unmeasured_images_are_left_out_and_one_image_has_no_interval():
    found = mean_over_images([math.nan, 1.0, 2.0])
    assert (found.value, found.images) == (1.5, 2)
    assert mean_over_images([math.nan, 1.0]) is None
    assert mean_over_images([]) is None


def test_intervals_that_share_a_point_overlap():
    assert Mean(1, 0, 2, 9).overlaps(Mean(3, 2, 4, 9))
    assert Mean(3, 2, 4, 9).overlaps(Mean(1, 0, 2, 9))
    assert not Mean(1, 0, 2, 9).overlaps(Mean(3, 2.1, 4, 9))
