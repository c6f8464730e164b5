"""Cases of scenes: each question's image, class and network are what they are called, and the answers are exact."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from known_scenes import literal_sums, widened
from small_nets import SmallNet, seeded, small_model
from torch import nn

from layerscope.errors import InputError
from layerscope.faithfulness.cases import (
    ASKED,
    BACKGROUND,
    NOISE,
    NOISES,
    OTHER,
    PATCH,
    REDRAWN,
    seen_parts,
)
from layerscope.faithfulness.measures.by_response import NOISY
from layerscope.faithfulness.part_game import OTHERS
from layerscope.faithfulness.scene_cases import UNCHANGED, drawn_anew, logits_of, scene_case
from layerscope.models.model import wrap
from layerscope.models.sources import load_model
from layerscope.world import PART_NAMES, MoveDistractors, NewBackground, render

ALWAYS = {ASKED, OTHER, BACKGROUND, REDRAWN, *(f"{NOISE}{draw}" for draw in range(NOISES))}


@pytest.fixture(scope="module", params=["small cat", "small tree", "bundled hut"])
def asked(request):
    """A network, a scene and its case; in all of them there is a patch."""
    model = small_model() if request.param.startswith("small") else load_model("menagerie")
    seed = {"small cat": 77, "small tree": 86, "bundled hut": 79}[request.param]
    scene = render(1, seed=seed, size=model.input_size)
    other = drawn_anew(model)
    case = scene_case(model, scene, other)
    assert set(case.questions) == ALWAYS | {PATCH}
    return model, scene, other, case


def logits(model, image):
    with torch.no_grad():
        return model(image[None])[0].double().tolist()


def near(values):
    return pytest.approx(values, abs=1e-4)


def test_what_is_asked_is_the_class_that_is_predicted(asked):
    model, scene, _, case = asked
    scores = logits(model, scene.images[0])
    assert torch.equal(case.asked.image, scene.images[0])
    assert case.asked.target == scores.index(max(scores))
    assert case.asked.model is model
    assert case.asked.score(scene.images).tolist() == near([max(scores)])
    assert case.game.whole.tolist() == near(scores)
    assert torch.equal(case.thing, scene.thing[0].bool())
    assert case.seed == scene.seeds[0]
    assert case.thorough
    effects = [part.effect for part in seen_parts(case.effects)]
    assert literal_sums(case.asked.exact, case.game.masks) == pytest.approx(effects, abs=1e-6)
    shares = [part.shapley for part in case.effects.parts if part.shapley is not None]
    assert literal_sums(case.asked.shares, case.game.masks[: len(shares)]) == pytest.approx(shares, abs=1e-6)


def test_the_patch_alone_differs_lies_away_from_the_thing_and_leaves_the_score(asked):
    model, scene, _, case = asked
    question, target = case.questions[PATCH], case.asked.target
    differs = (question.image != case.asked.image).any(0)
    assert case.patch.any()
    assert not (differs & ~case.patch).any()
    assert not set(widened(case.thing)) & set(map(tuple, case.patch.nonzero().tolist()))
    assert not (scene.part[0] == PART_NAMES.index("clutter"))[case.patch].any()
    before, after = (logits(model, image)[target] for image in (case.asked.image, question.image))
    everything = abs((case.game.whole - case.game.values[frozenset()])[target].item())
    assert abs(after - before) <= UNCHANGED * everything + 1e-5
    moved = [scene.again(MoveDistractors(seed)) for seed in range(1, OTHERS + 1)]
    pixels = [one.images[0][:, case.patch] for one in moved]
    assert any(torch.equal(question.image[:, case.patch], one) for one in pixels)  # distractors as they are rendered
    assert question.target == target
    assert question.model is model
    assert question.exact is case.asked.exact


def test_of_all_patches_it_is_the_one_that_changes_least(asked):
    model, scene, _, case = asked
    target, clutter = case.asked.target, PART_NAMES.index("clutter")
    away = torch.ones_like(case.thing)
    for place in widened(case.thing):
        away[place] = False
    changes = []
    for seed in range(1, OTHERS + 1):
        moved = scene.again(MoveDistractors(seed))
        image = case.asked.image.clone()
        patch = (moved.part[0] == clutter) & (scene.part[0] != clutter) & away
        image[:, patch] = moved.images[0][:, patch]
        if patch.any():
            changes.append(abs(logits(model, image)[target] - logits(model, case.asked.image)[target]))
    chosen = abs(logits(model, case.questions[PATCH].image)[target] - logits(model, case.asked.image)[target])
    assert chosen == near(min(changes))


def test_the_background_is_the_one_that_changes_the_score_least(asked):
    model, scene, _, case = asked
    question, target = case.questions[BACKGROUND], case.asked.target
    images = [scene.again(NewBackground(seed)).images[0] for seed in range(1, OTHERS + 1)]
    whole = logits(model, case.asked.image)[target]
    changes = [abs(logits(model, image)[target] - whole) for image in images]
    assert torch.equal(question.image, images[changes.index(min(changes))])
    assert not torch.equal(question.image, case.asked.image)
    assert question.target == target


def test_noise_is_small_and_another_one_each_time(asked):
    _, _, _, case = asked
    images = [case.questions[f"{NOISE}{draw}"].image for draw in range(NOISES)]
    for image in images:
        assert 0 < (image - case.asked.image).abs().max() <= NOISY + 1e-6
        assert 0 <= image.min() <= image.max() <= 1
    assert len({image.sum().item() for image in images}) == NOISES


def test_the_other_class_has_exact_answers_of_its_own(asked):
    model, scene, _, case = asked
    question, scores = case.questions[OTHER], logits(model, scene.images[0])
    ranked = sorted(range(len(scores)), key=lambda one: -scores[one])
    assert question.target == (ranked[1] if case.game.donor is None else case.game.donor)
    assert question.target != case.asked.target
    assert torch.equal(question.image, case.asked.image)
    effects = case.game.effects(question.target)
    assert literal_sums(question.exact, case.game.masks) == pytest.approx([p.effect for p in effects.parts], abs=1e-6)
    players = [part.shapley for part in effects.parts[: case.game.players]]
    assert literal_sums(question.shares, case.game.masks[: len(players)]) == pytest.approx(players, abs=1e-6)
    assert not torch.allclose(question.exact, case.asked.exact)


def test_redrawn_is_the_same_question_to_another_network(asked):
    model, _, other, case = asked
    question = case.questions[REDRAWN]
    assert question.model is other
    assert (question.exact, question.shares) == (None, None)
    assert torch.equal(question.image, case.asked.image)
    assert question.target == case.asked.target
    assert other.class_names == model.class_names
    assert other.fingerprint != model.fingerprint
    same = [torch.equal(a, b) for a, b in zip(model.module.parameters(), other.module.parameters(), strict=True)]
    assert same[0]  # the bottom stays
    assert not all(same)
    assert logits(other, case.asked.image) != near(logits(model, case.asked.image))


def test_distractors_next_to_the_thing_do_not_count(asked):
    _, scene, _, case = asked
    near_thing = set(widened(case.thing))
    distractors = set(map(tuple, (scene.part[0] == PART_NAMES.index("clutter")).nonzero().tolist()))
    assert set(map(tuple, case.clutter.nonzero().tolist())) == distractors - near_thing


def test_without_a_redrawn_network_only_the_main_question_is_asked():
    model, scene = small_model(), render(1, seed=86, size=32)
    plain, thorough = scene_case(model, scene), scene_case(model, scene, drawn_anew(model))
    assert list(plain.questions) == [ASKED]
    assert not plain.thorough
    assert plain.patch is None
    assert torch.equal(plain.asked.exact, thorough.asked.exact)
    assert plain.chance == thorough.chance
    assert -1 < plain.chance < 1


def test_the_module_is_left_as_it_came():
    model = small_model()
    module = model.module.train()
    module.bn1.eval()  # flags of its own
    flags = [part.training for part in module.modules()]
    weights = {name: value.clone() for name, value in module.state_dict().items()}
    module.fc.weight.grad = torch.ones_like(module.fc.weight)
    other = drawn_anew(model)
    scene_case(model, render(1, seed=86, size=32), other)
    assert [part.training for part in module.modules()] == flags
    assert all(torch.equal(value, weights[name]) for name, value in module.state_dict().items())
    assert torch.equal(module.fc.weight.grad, torch.ones_like(module.fc.weight))
    assert [name for name, weight in module.named_parameters() if weight.grad is not None] == ["fc.weight"]
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in module.modules())
    assert all(weight.requires_grad for weight in module.parameters())


def test_a_network_in_training_is_asked_as_it_predicts():
    """Statistics of a batch would make the score depend on what else is in it."""
    scene, model = render(1, seed=86, size=32), small_model()
    evaluated = scene_case(model, scene).game
    model.module.train()
    torch.testing.assert_close(scene_case(model, scene).game.dropped, evaluated.dropped)


def test_scenes_that_say_nothing_are_no_cases():
    model = small_model()
    scenes = render(12, seed=2, size=32, things="tree")
    unripe = next(one for one in map(scenes.one, range(12)) if not (one.part == PART_NAMES.index("fruit")).any())
    assert scene_case(model, unripe) is None  # two parts
    assert scene_case(model, replace(unripe, part=torch.zeros_like(unripe.part))) is None
    constant = replace(model, module=seeded(SmallNet()))
    nn.init.zeros_(constant.module.fc.weight)
    assert scene_case(constant, render(1, seed=86, size=32)) is None  # all parts do the same


def test_a_network_of_doubles_gets_doubles():
    model = small_model()
    image = render(1, seed=86, size=32).images
    single = logits_of(model)(image)
    model.module.double()
    double = logits_of(model)(image)
    assert double.dtype == torch.float64
    torch.testing.assert_close(double.float(), single, rtol=1e-4, atol=1e-4)


def test_a_network_that_cannot_be_drawn_anew_has_none():
    class Locked(nn.Linear):
        def __deepcopy__(self, _):
            raise TypeError("cannot be copied")

    for module in (nn.Flatten(), nn.Sequential(nn.Flatten(), Locked(3 * 8 * 8, 2))):
        assert drawn_anew(wrap(module, 8, name="plain")) is None


def test_what_is_no_case_is_said():
    model = small_model()
    with pytest.raises(InputError, match="2 scenes for one case; give one"):
        scene_case(model, render(2, size=32))
    with pytest.raises(InputError, match="scenes of 48 px for a network of 32 px"):
        scene_case(model, render(1, size=48))
    with pytest.raises(InputError, match="changed already"):
        scene_case(model, render(1, seed=86, size=32).again(NewBackground(1)))
    broken = small_model()
    nn.init.constant_(broken.module.fc.bias, math.nan)
    with pytest.raises(InputError, match="not finite"):
        scene_case(broken, render(1, seed=86, size=32))
