"""Other textures, or none, on the same thing: the label follows the coat, and all else stays."""

from __future__ import annotations

import pytest
import torch

from layerscope.errors import InputError, UnknownNameError
from layerscope.world import (
    CLASS_NAMES,
    PART_NAMES,
    TEXTURE_NAMES,
    THINGS,
    CueConflict,
    NoTextures,
    SwapTexture,
    render,
)
from layerscope.world.canvas import Frame
from layerscope.world.draws import Draws
from layerscope.world.interventions import Draft
from layerscope.world.textures import texture_index


def is_part(scenes, *names):
    return torch.isin(scenes.part, torch.tensor([PART_NAMES.index(name) for name in names]))


@pytest.mark.parametrize(
    ("thing", "texture", "twin"),
    [
        ("zebra", "dots", "leopard"),
        ("horse", "stripes", "zebra"),
        ("ladybird", "plain", "beetle"),
        ("tigerfish", "scales", "scalefish"),
    ],
)
def test_another_coat_is_the_twin_to_the_last_bit(thing, texture, twin):
    """Colour and shape decide nothing between twins: with the other's coat, a scene *is* the other's scene."""
    swapped, native = render(6, seed=1, things=thing).again(SwapTexture(texture)), render(6, seed=1, things=twin)
    assert torch.equal(swapped.pixels, native.pixels)
    assert torch.equal(swapped.labels, native.labels)
    assert {CLASS_NAMES[label] for label in swapped.labels} == {twin}


def test_a_texture_on_one_part_keeps_the_label_and_the_geometry():
    before = render(4, seed=4, things="cup")
    after = before.again(SwapTexture("brick", "body"))
    body = is_part(after, "body")
    assert torch.equal(before.part, after.part)
    assert (after.texture[body] == TEXTURE_NAMES.index("brick")).all()
    assert torch.equal(before.texture[~body], after.texture[~body])
    assert torch.equal(before.labels, after.labels)


@pytest.mark.parametrize("thing", ["zebra", "brickhouse", "butterfly", "cup"])
def test_in_a_conflict_one_texture_that_no_part_had_is_everywhere(thing):
    before = render(6, seed=4, things=thing)
    after = before.again(CueConflict())
    assert torch.equal(before.part, after.part)
    assert torch.equal(before.labels, after.labels)
    given = []
    for scene in range(6):
        inside = ~is_part(before, "background", "clutter")[scene]
        (texture,) = after.texture[scene][inside].unique().tolist()
        assert texture not in before.texture[scene][inside].tolist()
        assert torch.equal(before.texture[scene][~inside], after.texture[scene][~inside])
        given.append(texture)
    assert len(set(given)) > 1
    assert not torch.equal(after.pixels, before.again(CueConflict(2)).pixels)


@pytest.mark.parametrize("thing", ["zebra", "brickhouse", "butterfly"])
def test_without_textures_all_else_stays(thing):
    before = render(6, seed=4, things=thing)
    after = before.again(NoTextures())
    inside = ~is_part(before, "background", "clutter")
    plain = texture_index("plain")
    assert (after.texture[inside] == plain).all()
    assert not (before.texture[inside] == plain).all()
    assert torch.equal(before.part, after.part)
    assert torch.equal(before.labels, after.labels)
    assert torch.equal(before.texture[~inside], after.texture[~inside])
    assert not torch.equal(before.pixels, after.pixels)


def test_conflicting_twins_are_the_same_scene():
    """Their coats are all that told them apart, and nothing of them is left."""
    for twins in (("zebra", "horse", "leopard"), ("ladybird", "beetle"), ("scalefish", "tigerfish")):
        first, *others = (render(5, seed=3, size=48, things=one).again(CueConflict()) for one in twins)
        for other in others:
            assert torch.equal(first.pixels, other.pixels)
            assert not torch.equal(first.labels, other.labels)


def test_the_texture_of_a_conflict_says_next_to_nothing_of_the_class():
    """Of twenty classes, who knows the texture alone names the right one in less than 9 of 100 scenes; chance is 5."""
    one = torch.zeros(2000, 1)
    shares = []
    for thing in THINGS.values():
        draft = Draft(thing, Frame(one, one, one + 1), Draws(range(2000)), natural=True)
        (texture,) = {part.texture for part in CueConflict().parts(draft)}
        shares.append(torch.bincount(texture, minlength=len(TEXTURE_NAMES)) / 2000)
    assert 0.05 < torch.stack(shares).amax(0).sum() / len(THINGS) < 0.09


def test_textures_that_make_no_sense_are_said():
    cats = render(1, things="cat")
    with pytest.raises(UnknownNameError, match="no texture 'stripe'; nearest: stripes"):
        cats.again(SwapTexture("stripe", "head"))
    with pytest.raises(InputError, match="a cat has no coat to swap, its shape decides"):
        cats.again(SwapTexture("stripes"))
