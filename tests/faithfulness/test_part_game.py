"""Games of parts: every logit equals that of a slow render, and what is made of them equals a literal one."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import combinations

import pytest
import torch
from known_scenes import additive, known_coalitions, literal_shapley, literal_sums, planted_game, random_game, subsets

from layerscope.errors import InputError
from layerscope.faithfulness.cases import exact_answer, exact_shares, orders
from layerscope.faithfulness.part_game import OTHERS, PLAYERS, choices, play
from layerscope.world import (
    PART_NAMES,
    MoveDistractors,
    NewBackground,
    RemovePart,
    RemoveParts,
    SwapPart,
    part_names,
    render,
)

CLASSES = ("a stone", "cup", "owl", "cat")
SIZE = 32


def predict(images):
    """[n, 4] logits: colours, in the middle more than at the border, and one that is bent."""
    around = torch.linspace(-1, 1, SIZE, dtype=torch.float64)
    weights = torch.exp(-(around[:, None] ** 2) - around[None, :] ** 2) / 20
    red, green, blue = (images.double() * weights).sum((2, 3)).T
    return torch.stack([red, green, red - 0.6 * green, (blue - 2) ** 2], 1)


@pytest.fixture(scope="module", params=["owl", "cat"])  # of six parts, and of seven
def scene(request):
    return render(1, seed=77, size=SIZE, things=request.param)


@pytest.fixture(scope="module")
def game(scene):
    return play(predict, scene, CLASSES, input_size=SIZE, batch=7)


def logits(scene, *changes):
    for change in changes:
        scene = scene.again(change)
    return predict(scene.images)[0].tolist()


def near(values):
    return pytest.approx(values, abs=1e-9)


def test_players_are_the_parts_that_show_most(scene, game):
    pixels = {name: int((scene.part[0] == PART_NAMES.index(name)).sum()) for name in part_names(scene.recipe.things[0])}
    seen = [name for name in pixels if pixels[name]]
    assert sorted(game.names) == sorted(seen)
    assert [pixels[name] for name in game.names] == sorted((pixels[name] for name in seen), reverse=True)
    assert game.players == min(PLAYERS, len(seen))
    for name, mask in zip(game.names, game.masks, strict=True):
        assert torch.equal(mask, scene.part[0] == PART_NAMES.index(name))


def test_every_choice_of_the_players_is_rendered(scene, game):
    players = range(game.players)
    assert set(game.values) == set(subsets(players))
    for kept, found in game.values.items():
        gone = [game.names[part] for part in players if part not in kept]
        assert found.tolist() == near(logits(scene, RemoveParts(gone)) if gone else logits(scene))
    assert game.whole.tolist() == near(logits(scene))


def test_what_is_rendered_besides(scene, game):
    assert [row.tolist() for row in game.dropped] == [near(logits(scene, RemovePart(name))) for name in game.names]
    for found, change in ((game.backgrounds, NewBackground), (game.distractors, MoveDistractors)):
        assert [row.tolist() for row in found] == [near(logits(scene, change(seed))) for seed in range(1, OTHERS + 1)]
    assert len({*map(tuple, game.backgrounds.tolist())}) == OTHERS


def test_parts_are_swapped_for_those_of_the_runner_up_that_has_some(scene, game):
    thing, ranked = scene.recipe.things[0], sorted(range(4), key=lambda one: -logits(scene)[one])
    donors = [
        one
        for one in ranked[1:]
        if CLASSES[one] not in ("a stone", thing) and set(part_names(CLASSES[one])) & set(game.names)
    ]
    assert game.others == ranked[1:]
    assert game.donor == donors[0]
    donor = CLASSES[game.donor]
    assert sorted(game.swaps) == [part for part, name in enumerate(game.names) if name in part_names(donor)]
    for part, found in game.swaps.items():
        assert found.tolist() == near(logits(scene, SwapPart(game.names[part], donor)))


def test_effects_are_what_the_logits_say(scene, game):
    for target in range(4):
        effects, whole = game.effects(target), logits(scene)[target]
        assert effects.score == near(whole)
        values = {kept: row[target].item() for kept, row in game.values.items()}
        shares = literal_shapley(values.__getitem__, game.players)
        for part, effect in enumerate(effects.parts):
            assert effect.part == game.names[part]
            assert effect.effect == near(whole - logits(scene, RemovePart(effect.part))[target])
            assert effect.shapley == (near(shares[part]) if part < game.players else None)
        assert math.fsum(part.shapley or 0 for part in effects.parts) == near(whole - values[frozenset()])
        assert effects.backgrounds == near([whole - row[target].item() for row in game.backgrounds])
        assert effects.distractors == near([whole - row[target].item() for row in game.distractors])
        assert effects.renders == 2**game.players + len(game.names) - game.players + 2 * OTHERS
        stay = len(game.names) - game.players
        assert (effects.note == "") == (stay == 0)
        assert not stay or effects.note.startswith(f"no Shapley values of the {stay} parts that show least")


def test_exact_answers_sum_to_the_effects_also_where_parts_touch(game):
    effects = game.effects(2)
    found, shares = exact_answer(effects), exact_shares(effects)
    assert orders(effects)
    assert literal_sums(found, game.masks) == pytest.approx([part.effect for part in effects.parts], abs=1e-7)
    players = effects.parts[: game.players]
    assert literal_sums(shares, game.masks[: game.players]) == pytest.approx([p.shapley for p in players], abs=1e-7)
    away = ~(torch.nn.functional.max_pool2d(game.masks.any(0)[None].float(), 3, 1, 1)[0] > 0)
    assert not found[away].any()


# --- planted games


def test_of_an_additive_game_a_parts_effect_is_its_shapley_value():
    worth = (0.5, -0.25, 2.0, 0.125, 4.0)
    effects = planted_game(additive(*worth, start=7)).effects(0)
    assert [part.effect for part in effects.parts] == near(list(worth))
    assert [part.shapley for part in effects.parts] == near(list(worth))


@pytest.mark.parametrize("seed", range(4))
def test_shapley_values_are_shared_out_whole_and_alike(seed):
    game = random_game(seed)
    for target in range(3):
        shares = [part.shapley for part in game.effects(target).parts]
        values = game.of(target)
        assert math.fsum(shares) == near(values[frozenset(range(5))] - values[frozenset()])
        assert shares == near(literal_shapley(values.__getitem__, 5))
    both = planted_game(lambda kept: 3.0 * ({1, 3} <= kept)).effects(0)
    assert [part.shapley for part in both.parts] == near([0, 1.5, 0, 1.5, 0])
    assert [part.effect for part in both.parts] == near([0, 3, 0, 3, 0])


@pytest.mark.parametrize("seed", range(12))
def test_sufficient_sets_are_the_smallest_that_are_enough(seed):
    game = random_game(seed)
    for label in range(3):
        expected = []
        for size in range(6):
            tried = [frozenset(kept) for kept in combinations(range(5), size)]
            expected = [kept for kept in tried if max(range(3), key=game.values[kept].tolist().__getitem__) == label]
            if expected:
                break
        assert set(game.sufficient(label)) == set(expected)
    assert planted_game(additive(1, 1), additive(9, 9, start=1), parts=2).sufficient(0) == []


def test_choices_are_all_subsets_the_whole_first():
    found = list(choices(4))
    assert found[0] == frozenset(range(4))
    assert sorted(map(sorted, found)) == sorted(map(sorted, subsets(range(4))))
    assert [len(kept) for kept in found] == sorted(map(len, found), reverse=True)


# --- what a scene may lack


def test_parts_that_are_not_seen_do_not_play():
    scenes = render(12, seed=2, size=SIZE, things="tree")
    hidden = [one for one in map(scenes.one, range(12)) if not (one.part == PART_NAMES.index("fruit")).any()]
    game = play(predict, hidden[0], CLASSES)
    assert sorted(game.names) == ["crown", "trunk"]
    assert len(game.values) == 4
    assert not orders(game.effects(0))  # too few for an order
    assert (game.donor, game.swaps) == (None, {})  # no other class has any


def test_a_scene_of_which_no_part_is_seen_is_no_game(scene):
    assert play(predict, replace(scene, part=torch.zeros_like(scene.part)), CLASSES) is None


def test_without_names_of_classes_nothing_is_swapped(scene, game):
    for classes in (None, ("one", "two", "three", "four")):
        plain = play(predict, scene, classes)
        assert (plain.donor, plain.swaps) == (None, {})
    torch.testing.assert_close(plain.dropped, game.dropped, rtol=0, atol=1e-9)


def test_outputs_without_a_name_give_no_parts(scene):
    """Four logits and one name: whatever the order of the others, only what has a name can be a donor."""
    for name in ("cup", "a stone"):
        game = play(predict, scene, (name,), input_size=SIZE)
        assert game.donor in (None, 0)
        assert (game.donor is None) == (not game.swaps)


def test_a_score_of_one_scene_known_by_its_bytes():
    """The game sees the same images as anybody who renders the scene without these parts."""
    scene = render(1, seed=3, size=SIZE, things="turtle")
    known, asked = known_coalitions(scene), []

    def counted(images):
        asked.extend((image * 255).round().to(torch.uint8).numpy().tobytes() for image in images)
        return images.new_zeros(len(images), 2)

    game = play(counted, scene)
    names = [known[one] for one in asked[: len(game.values)]]
    assert names == [frozenset(game.names[part] for part in kept) for kept in game.values]


def test_what_cannot_be_played_is_said(scene):
    with pytest.raises(InputError, match="scenes of 32 px for a network of 64 px; render them with size=64"):
        play(predict, scene, input_size=64)
    with pytest.raises(InputError, match="scenes that were changed already"):
        play(predict, scene.again(NewBackground(1)))
    with pytest.raises(InputError, match="a Tensor is no scene"):
        play(predict, scene.images)
    with pytest.raises(InputError, match="batch=0"):
        play(predict, scene, batch=0)
    with pytest.raises(InputError, match="predict gave"):
        play(lambda images: predict(images)[:, 0], scene)
    with pytest.raises(InputError, match="not finite"):
        play(lambda images: predict(images) / 0, scene)
