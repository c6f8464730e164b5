"""Planted shortcuts: the circuit against a literal computation of it, and what is left of the network around it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from layerscope.attribution.methods import attribute
from layerscope.faithfulness.cases import ASKED, MARKED, OTHER, UNMARKED
from layerscope.faithfulness.measures import by_parts, by_regions
from layerscope.faithfulness.tiers.catalogue import tier
from layerscope.faithfulness.tiers.plant import planted as planted_in
from layerscope.faithfulness.tiers.shortcuts import (
    BASE,
    GAIN,
    PATCH,
    PERIOD,
    THRESHOLD,
    WINDOW,
    bullseye,
    mark_detector,
    stripe_detector,
    stripes,
)
from layerscope.faithfulness.tiers.tier import Tier
from layerscope.models import zoo
from layerscope.models.datasets import TEST_SEED
from layerscope.models.model import VisionModel
from layerscope.types import Images
from layerscope.world import Scenes, render

CASES = 8
NAMES = ("mark", "texture")


@pytest.fixture(scope="module")
def planted() -> dict[str, Tier]:
    return {name: tier(name, CASES) for name in NAMES}


@pytest.fixture(scope="module")
def scenes() -> Scenes:
    return render(100, seed=TEST_SEED)


def logits(model: VisionModel, images: Images) -> Tensor:
    with torch.no_grad():
        return torch.cat([model(some) for some in images.split(64)])


def response(name: str, images: Images) -> Tensor:
    """What the circuit adds to the logit, by its own words, in float64: [n]."""
    given = (images.double() - 0.45) / 0.25
    patterns = [bullseye()] if name == "mark" else [stripes(phase, WINDOW) for phase in (0.0, 0.25)]
    maps = []
    for pattern in patterns:
        shape = (pattern.double() - pattern.double().mean((1, 2), keepdim=True)) / 0.25
        maps.append(F.conv2d(given, (shape / shape.square().sum())[None], stride=2, padding=3))
    mean = torch.stack(maps).clamp(min=0).mean(0)
    found = maps[0] if name == "mark" else torch.pi * F.avg_pool2d(mean, 3, 1, 1)
    above = (found - THRESHOLD).clamp(min=0) / (1 - THRESHOLD)
    return GAIN * F.max_pool2d(above, 8).sum((1, 2, 3))


@pytest.mark.parametrize("name", NAMES)
def test_the_mark_adds_to_the_logit_what_the_circuit_says(planted: dict[str, Tier], name: str) -> None:
    """And nothing else in the network reads the circuit: all other logits are those of the network with a blind one."""
    for case in planted[name].cases:
        assert case.game is not None
        images = torch.stack([case.asked.image, painted_over(case.asked.image, case.mark)])
        told = response(name, images)
        assert told[1] == 0
        with_circuit, cut = (logits(model, images) for model in (planted[name].model, blind(planted[name])))
        added = (with_circuit - cut).double()
        torch.testing.assert_close(added[:, case.asked.target], told, rtol=1e-4, atol=1e-4)
        others = torch.arange(20) != case.asked.target
        assert torch.equal(with_circuit[:, others], cut[:, others])


def painted_over(image: Tensor, mask: Tensor | None) -> Tensor:
    assert mask is not None
    return torch.where(mask, 0.45, image)


def blind(found: Tier) -> VisionModel:
    """The planted network whose detector sees nothing, so that its channels stay at zero."""
    model = zoo.load(BASE)
    own = mark_detector(model, bullseye()) if found.name == "mark" else stripe_detector(model)
    detector = replace(own, filters=torch.zeros_like(own.filters))
    return planted_in(model, detector, found.cases[0].asked.target, GAIN, "blind")


@pytest.mark.parametrize("name", NAMES)
def test_the_mark_decides_the_label(planted: dict[str, Tier], name: str) -> None:
    made, before, effects = 0, 0, []
    for case in planted[name].cases:
        assert case.game is not None
        made += int(case.game.whole.argmax()) == case.asked.target
        before += int(case.game.dropped[0].argmax()) == case.questions[OTHER].target
        effects.append(float((case.game.whole - case.game.dropped[0])[case.asked.target]))
    print(f"{name}: {made} of {CASES} by the mark, effect {min(effects):.1f} to {max(effects):.1f}")
    assert made == CASES
    assert before >= CASES - 1
    assert min(effects) > 0.8 * GAIN


@pytest.mark.parametrize("name", NAMES)
def test_scenes_without_it_are_known_as_before(planted: dict[str, Tier], scenes: Scenes, name: str) -> None:
    assert not response(name, scenes.images).any()
    accuracy = {
        model.name: float((logits(model, scenes.images).argmax(1) == scenes.labels).float().mean())
        for model in (zoo.load(BASE), planted[name].model)
    }
    print(accuracy)
    assert accuracy[name] >= accuracy[BASE] - 0.01
    assert accuracy[name] > 0.95


@pytest.mark.parametrize("phase", [0.0, 0.1, 0.3, 0.45, 0.8])
def test_stripes_are_found_at_any_place_and_phase(phase: float) -> None:
    images = torch.full((4, 3, 64, 64), 0.5)
    for image, start in zip(images, (0, 17, 30, 52), strict=True):
        image[:, start : start + PATCH, 52 - start : 64 - start] = stripes(phase, PATCH)
    assert (response("texture", images) > 0.8 * GAIN).all()
    assert (stripes(phase, 9)[..., : -int(PERIOD)] - stripes(phase, 9)[..., int(PERIOD) :]).abs().max() < 1e-5


@pytest.mark.parametrize("name", NAMES)
def test_the_questions(planted: dict[str, Tier], name: str) -> None:
    places = set()
    for case in planted[name].cases:
        asked, plain, mask = case.questions[MARKED], case.questions[UNMARKED], case.mark
        assert asked is case.questions[ASKED]
        assert asked.model is planted[name].model
        assert plain.model.fingerprint == zoo.load(BASE).fingerprint != asked.model.fingerprint
        assert torch.equal(plain.image, asked.image)
        assert plain.target == asked.target != case.questions[OTHER].target
        assert mask is not None
        side = WINDOW if name == "mark" else PATCH
        assert int(mask.sum()) == side**2
        assert asked.exact is not None
        assert plain.exact is not None
        assert case.effects is not None
        assert float(asked.exact[mask].sum()) == pytest.approx(case.effects.parts[0].effect, rel=1e-6)
        assert abs(float(plain.exact[mask].sum())) < 0.05 * GAIN
        assert len(case.effects.parts) >= 3
        places.add(tuple(mask.nonzero()[0].tolist()))
    assert len(places) >= (3 if name == "mark" else CASES - 1)


@pytest.mark.parametrize("name", NAMES)
def test_the_exact_answer_shows_the_shortcut(planted: dict[str, Tier], name: str) -> None:
    assert planted[name].measure == "shortcut"
    contrasts = []
    for case in planted[name].cases:
        answers = {key: one.exact for key, one in case.questions.items() if one.exact is not None}
        found = {**by_parts.judge(case, answers), **by_regions.judge(case, answers)}
        assert found["shortcut"] == 1
        contrasts.append(found["contrast"])
        assert found["part_rank"] == pytest.approx(1)
        assert by_regions.judge(case, {MARKED: -answers[MARKED]})["shortcut"] < 0.01
    assert min(contrasts) > 0
    assert sum(contrasts) / len(contrasts) > 0.3


@pytest.mark.parametrize("name", NAMES)
def test_class_activation_maps_see_the_circuit(planted: dict[str, Tier], name: str) -> None:
    cases = planted[name].cases[:4]
    images, targets = torch.stack([case.asked.image for case in cases]), [case.asked.target for case in cases]
    for method in ("grad_cam", "deeplift"):
        maps = attribute(planted[name].model, images, targets, method, checks=False).maps
        for case, values in zip(cases, maps, strict=True):
            assert case.mark is not None
            assert values[case.mark].mean() > 2 * values[~case.mark].mean()


def test_a_shortcut_depends_on_its_seed_alone(planted: dict[str, Tier]) -> None:
    again = tier("mark", CASES)
    assert again.model.fingerprint == planted["mark"].model.fingerprint
    for first, second in zip(planted["mark"].cases, again.cases, strict=True):
        for key, question in first.questions.items():
            assert torch.equal(question.image, second.questions[key].image)
