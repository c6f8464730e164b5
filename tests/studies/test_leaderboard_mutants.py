"""Mutations of a real method on the bundled network: whatever breaks it, the measures of causes see it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import layerscope as ls
from layerscope.faithfulness.explainers import of_control, of_method
from layerscope.faithfulness.measures.catalogue import MEASURES
from layerscope.studies.leaderboard_bench import measured
from layerscope.studies.leaderboard_rows import against
from layerscope.studies.leaderboard_sources import SceneSource
from layerscope.types import no_progress

SCENES, CLASSES = 40, 20
METHOD, ASKED = "deeplift", ("asked", "other")
SEEN_BY = {
    "flipped": ("density_rank", "target", "infidelity_blur"),
    "shuffled": ("density_rank", "target", "infidelity_blur"),
    "off_by_one": ("target", "infidelity_blur"),  # the next class may be a twin, whose parts do the same
}
"""By mutant, the measures that see it on few scenes."""


def flipped(questions):
    return [-answer for answer in of_method(METHOD)(questions)]


def shuffled(questions):
    generator = torch.Generator().manual_seed(0)
    answers = of_method(METHOD)(questions)
    return [one.flatten()[torch.randperm(one.numel(), generator=generator)].view_as(one) for one in answers]


def off_by_one(questions):
    return of_method(METHOD)([replace(one, target=(one.target + 1) % CLASSES) for one in questions])


@pytest.fixture(scope="module")
def values():
    source = SceneSource(SCENES, 1, 64, checked=SCENES)  # not those of the leaderboard
    found, _ = source.cases(ls.load_model("menagerie"), no_progress)
    cases = [(number, replace(case, questions={one: case.questions[one] for one in ASKED})) for number, case in found]
    wanted = {name for names in SEEN_BY.values() for name in names}
    explainers = {"right": of_method(METHOD), "random": of_control("random")}
    explainers |= {mutant.__name__: mutant for mutant in (flipped, shuffled, off_by_one)}
    return {name: measured(explain, cases, SCENES, wanted=wanted) for name, explain in explainers.items()}


@pytest.mark.parametrize("mutant", SEEN_BY)
def test_a_broken_method_falls_below_the_right_one_on_the_same_scenes(values, mutant):
    for name in SEEN_BY[mutant]:
        found = against(values["right"][name], values[mutant][name], MEASURES[name].better)
        means = [np.nanmean(values[one][name]) for one in ("right", mutant)]
        assert found == "better", (name, means)


@pytest.mark.parametrize("mutant", SEEN_BY)
def test_a_broken_method_is_no_better_than_a_random_map(values, mutant):
    for name in {"density_rank", "target"} & set(SEEN_BY[mutant]):
        assert against(values[mutant][name], values["random"][name], "high") != "better", name
