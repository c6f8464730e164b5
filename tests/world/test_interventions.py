"""One thing changed, and all else bit-identical."""

from __future__ import annotations

import pytest
import torch

from layerscope.errors import InputError, UnknownNameError
from layerscope.world import (
    CLASS_NAMES,
    PART_NAMES,
    Change,
    CueConflict,
    MoveDistractors,
    NewBackground,
    NoTextures,
    Recolour,
    RemovePart,
    RemoveParts,
    ScrambleParts,
    Silhouette,
    SwapPart,
    SwapTexture,
    part_names,
    render,
)


def is_part(scenes, *names):
    return torch.isin(scenes.part, torch.tensor([PART_NAMES.index(name) for name in names]))


@pytest.mark.parametrize("thing", CLASS_NAMES)
def test_a_removed_part_is_gone_and_the_rest_stays(thing):
    before = render(3, seed=2, things=thing)
    part = part_names(thing)[-1]
    after = before.again(RemovePart(part))
    assert is_part(before, part).any()
    assert not is_part(after, part).any()
    others = [name for name in PART_NAMES if name != part]
    kept = is_part(before, *others)
    assert torch.equal(before.part[kept], after.part[kept])
    far = kept & (before.part == after.part)
    same = (before.pixels == after.pixels).all(1)
    assert same[far].float().mean() > 0.7  # what is left is the part's shadow and relief, next to it
    assert torch.equal(before.labels, after.labels)


@pytest.mark.parametrize(
    ("thing", "names"), [("owl", ("wing", "eye")), ("cup", part_names("cup")), ("car", ("hub", "hub"))]
)
def test_several_parts_go_at_once(thing, names):
    before = render(3, seed=2, things=thing)
    after = before.again(RemoveParts(names))
    assert not is_part(after, *names).any()
    kept = is_part(before, *[name for name in PART_NAMES if name not in names])
    assert torch.equal(before.part[kept], after.part[kept])
    assert torch.equal(before.labels, after.labels)


def test_one_part_is_a_case_of_several_and_no_part_of_none():
    before = render(3, seed=2, things="owl")
    one = before.again(RemovePart("wing"))
    for alike in (RemoveParts(("wing",)), RemoveParts(["wing"]), RemoveParts("wing")):
        assert torch.equal(before.again(alike).pixels, one.pixels)
    assert torch.equal(before.again(RemoveParts(())).pixels, before.pixels)
    assert RemoveParts(["wing", "eye"]) == RemoveParts(("wing", "eye"))
    assert torch.equal(
        before.again(RemoveParts(("wing", "eye"))).pixels, before.again(RemoveParts(("eye", "wing"))).pixels
    )


def test_removing_nothing_seen_changes_nothing():
    before = render(6, seed=2, things="tree")
    unripe = ~is_part(before, "fruit").flatten(1).any(1)
    after = before.again(RemovePart("fruit"))
    assert unripe.any()
    assert torch.equal(before.pixels[unripe], after.pixels[unripe])


def test_a_swapped_part_sits_where_the_old_one_sat():
    before = render(6, seed=4, things="cat")
    after = before.again(SwapPart("eye", "owl"))
    own, given = is_part(before, "eye"), is_part(after, "eye")
    overlap = (own & given).sum() / own.sum()
    assert overlap > 0.6
    assert (before.pixels != after.pixels).any(1)[own].float().mean() > 0.5


def test_a_part_may_become_another_kind_of_part():
    after = render(2, seed=4, things="car").again(SwapPart("wheel", "clock", "disc"))
    assert is_part(after, "disc").any()
    assert not is_part(after, "wheel").any()


def test_scrambled_parts_are_all_there_but_elsewhere():
    before = render(8, seed=6, things="cat")
    after = before.again(ScrambleParts())
    assert is_part(after, "ear").any()
    assert is_part(after, "nose").any()
    moved = [(is_part(before, name) != is_part(after, name)).any() for name in part_names("cat")]
    assert all(moved)
    assert not torch.equal(after.part, before.again(ScrambleParts(seed=2)).part)


def test_a_silhouette_is_one_dark_tone():
    before = render(5, seed=6, things="horse")
    after = before.again(Silhouette())
    assert torch.equal(before.thing, after.thing)
    inside = after.images.mean(1)[after.thing == 1]
    assert inside.mean() < 0.2
    assert inside.std() < 0.06


def test_a_new_background_leaves_the_thing():
    before = render(5, seed=6, things="owl")
    after = before.again(NewBackground())
    assert torch.equal(before.part, after.part)
    inside = -torch.nn.functional.max_pool2d(-before.thing[:, None].float(), 3, 1, 1)[:, 0] == 1  # outlines mix colours
    assert inside.float().mean() > 0.05
    assert torch.equal(before.colour[inside], after.colour[inside])
    assert (before.pixels != after.pixels).any(1)[is_part(before, "background")].float().mean() > 0.9


def test_moved_distractors_leave_thing_and_background():
    before = render(8, seed=6, things="owl")
    after = before.again(MoveDistractors())
    assert not torch.equal(is_part(before, "clutter"), is_part(after, "clutter"))
    untouched = is_part(before, "background") & is_part(after, "background")
    assert (before.colour == after.colour)[untouched].float().mean() > 0.98


def test_other_colours_leave_geometry_and_texture():
    before = render(8, seed=6, things="car")
    after = before.again(Recolour())
    assert torch.equal(before.part, after.part)
    assert torch.equal(before.texture, after.texture)
    background = is_part(before, "background")
    assert (before.colour == after.colour)[background].float().mean() > 0.98
    assert (before.colour != after.colour)[before.thing == 1].float().mean() > 0.2


def test_changes_that_make_no_sense_are_said():
    cats = render(1, things="cat")
    with pytest.raises(UnknownNameError, match="no part of a cat 'wing'"):
        cats.again(RemovePart("wing"))
    with pytest.raises(UnknownNameError, match="no part of a cat 'wing'"):
        cats.again(RemoveParts(("eye", "wing")))
    with pytest.raises(UnknownNameError, match="no part of a owl 'wheel'"):
        cats.again(SwapPart("eye", "owl", "wheel"))


@pytest.mark.parametrize("change", [NewBackground, MoveDistractors, Recolour])
def test_every_seed_of_a_change_changes_something(change):
    scenes = render(3, seed=9, things="owl")
    seen = [scenes.pixels, *(scenes.again(change(seed)).pixels for seed in (0, 1, 2))]
    assert not any(torch.equal(one, other) for place, one in enumerate(seen) for other in seen[:place])


MANY = [
    Change(),
    RemovePart("eye"),
    RemoveParts(("leg", "eye")),
    NewBackground(),
    SwapPart("eye", "owl"),
    SwapTexture("brick", "leg"),
    Recolour(),
    Silhouette(),
    RemovePart("eye"),
    ScrambleParts(),
    MoveDistractors(2),
    RemovePart("leg"),
    SwapPart("eye", "cat"),
    SwapTexture("dots", "eye"),
    CueConflict(),
    NoTextures(),
]


@pytest.mark.parametrize(("part_dropout", "chunk"), [(0.0, 32), (1.0, 5)])
def test_variants_are_the_changes_one_by_one(part_dropout, chunk):
    """To the last bit, in every mask, in order, also for scenes of several things and changes of every kind."""
    scenes = render(3, seed=8, size=48, things=("zebra", "turtle", "zebra"), part_dropout=part_dropout, chunk=chunk)
    together = scenes.variants(MANY)
    assert together.recipe.changes == tuple(MANY) * 3
    assert together.seeds == (8,) * 16 + (9,) * 16 + (10,) * 16
    for place, change in enumerate(MANY):
        alone = scenes.again(change)
        for name in ("pixels", "labels", "thing", "part", "texture", "colour", "edge"):
            assert torch.equal(getattr(together, name)[place::16], getattr(alone, name)), (change, name)


def test_variants_do_not_show_what_a_scene_lacks():
    trees = render(6, seed=2, things="tree", size=40)
    unripe = ~is_part(trees, "fruit").flatten(1).any(1)
    assert unripe.any()
    assert not unripe.all()
    changes = [Change(), RemovePart("trunk"), SwapTexture("brick", "crown")]
    together = trees.variants(changes)
    for place, change in enumerate(changes):
        assert torch.equal(together.pixels[place::3], trees.again(change).pixels)
        assert not is_part(together, "fruit")[place::3][unripe].any()


def test_variants_of_twins_show_their_twins_labels():
    scenes = render(2, seed=1, things="zebra", size=32).variants(
        [SwapTexture("dots"), RemovePart("leg"), SwapTexture("fur")]
    )
    assert [CLASS_NAMES[label] for label in scenes.labels] == ["leopard", "zebra", "horse"] * 2


def test_one_scene_of_many_is_that_scene():
    scenes = render(4, seed=5, size=40)
    for number in range(4):
        alone = scenes.one(number)
        assert alone.seeds == (5 + number,)
        assert torch.equal(alone.pixels[0], scenes.pixels[number])
        assert torch.equal(alone.part[0], scenes.part[number])
        assert torch.equal(alone.again(NewBackground()).pixels[0], scenes.again(NewBackground()).pixels[number])
    with pytest.raises(InputError, match="no scene 4; scenes count from 0 to 3"):
        scenes.one(4)


WORDS = [
    (Change(), "unchanged"),
    (RemovePart("wing"), "without wing"),
    (RemoveParts(("petal", "stem")), "without petal and stem"),
    (RemoveParts(("petal", "stem", "leaf")), "without petal, stem and leaf"),
    (RemoveParts(()), "without nothing"),
    (SwapTexture("dots"), "with dots texture on its coat"),
    (SwapTexture("fur", "leg"), "with fur texture on its leg"),
    (SwapPart("head", "cat"), "with the cat's head"),
    (SwapPart("wheel", "clock", "disc"), "with the clock's disc for its wheel"),
    (CueConflict(), "in a texture of other things"),
    (NoTextures(), "without textures"),
    (ScrambleParts(), "with its parts scattered"),
    (Silhouette(), "as a silhouette"),
    (NewBackground(), "on another background"),
    (MoveDistractors(), "with the distractors elsewhere"),
    (Recolour(), "in other colours"),
]


@pytest.mark.parametrize(("change", "words"), WORDS)
def test_changes_say_what_is_different(change, words):
    assert str(change) == words


def test_a_change_has_to_be_one():
    with pytest.raises(InputError, match=r"'wing' is no change; give for example RemovePart\('wing'\)"):
        render(1).again("wing")
    with pytest.raises(InputError, match="no changes to render the scenes with; give at least one"):
        render(1).variants([])
