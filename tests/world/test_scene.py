"""Scenes: the same bytes always, and a truth that agrees with the picture."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from layerscope.errors import InputError, UnknownNameError
from layerscope.world import CLASS_NAMES, NO_EDGE, PART_NAMES, TEXTURE_NAMES, THINGS, part_names, render
from layerscope.world.palette import COLOUR_NAMES, name_colours
from layerscope.world.scene import _edges

MASKS = ("thing", "part", "texture", "colour", "edge")


KNOWN_TONES = [
    118.8, 123.0, 123.9, 142.1, 115.2, 127.0, 133.6, 145.3, 138.5, 84.4,
    167.8, 149.9, 150.4, 125.1, 145.3, 93.4, 115.3, 133.5, 147.4, 166.8,
]  # fmt: skip


def same(first, second) -> bool:
    return all(torch.equal(getattr(first, name), getattr(second, name)) for name in ("pixels", "labels", *MASKS))


@settings(max_examples=8, deadline=None)
@given(start=st.integers(0, 40), count=st.integers(1, 9), chunk=st.integers(1, 16), seed=st.integers(-(2**40), 2**40))
def test_a_scene_depends_on_its_seed_alone(start, count, chunk, seed):
    alone = render(count, seed=seed + start, size=40, chunk=chunk)
    among_others = render(50, seed=seed, size=40)
    assert torch.equal(alone.pixels, among_others.pixels[start : start + count])
    assert torch.equal(alone.part, among_others.part[start : start + count])


def test_the_number_of_threads_changes_nothing():
    before = torch.get_num_threads()
    scenes = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            scenes.append(render(48, seed=7))
    finally:
        torch.set_num_threads(before)
    assert same(scenes[0], scenes[1])
    assert same(scenes[0], scenes[2])


def test_the_world_is_the_one_that_the_bundled_networks_know():
    """A change of any pixel of the world must be meant: the bundled networks were trained on these."""
    scenes = render(40, seed=0, things=[name for name in CLASS_NAMES for _ in range(2)])
    tones = scenes.pixels.float().mean((1, 2, 3)).view(20, 2).mean(1)
    assert torch.allclose(tones, torch.tensor(KNOWN_TONES), atol=0.2)


def test_neighbouring_seeds_share_nothing():
    scenes = render(2, seed=0, things="owl")
    assert (scenes.pixels[0] != scenes.pixels[1]).float().mean() > 0.9


@pytest.mark.parametrize("size", [32, 64, 96, 256])
def test_sizes_show_the_same_scene(size):
    small, large = render(4, seed=3, size=32), render(4, seed=3, size=size)
    shrunk = torch.nn.functional.interpolate(large.images, size=32, mode="area")
    assert (shrunk - small.images).abs().mean() < 0.05
    assert large.pixels.shape == (4, 3, size, size)


def test_each_scene_draws_its_own_thing():
    counts = torch.bincount(render(600, seed=0, size=32).labels, minlength=20)
    assert len(counts) == len(CLASS_NAMES) == 20
    assert counts.min() > 10


def test_masks_name_what_is_there():
    scenes = render(len(CLASS_NAMES), seed=5, things=CLASS_NAMES)
    for index, name in enumerate(CLASS_NAMES):
        seen = {PART_NAMES[part] for part in scenes.part[index].unique().tolist()}
        assert seen <= {*part_names(name), "background", "clutter"}
        assert len(seen & set(part_names(name))) >= len(part_names(name)) // 2
        of_thing = torch.isin(scenes.part[index], torch.tensor([PART_NAMES.index(part) for part in part_names(name)]))
        assert (of_thing == (scenes.thing[index] == 1)).float().mean() > 0.97
        assert 0.03 < scenes.thing[index].float().mean() < 0.8
    assert scenes.texture.max() < len(TEXTURE_NAMES)
    assert scenes.colour.max() < len(COLOUR_NAMES)


def test_the_coat_is_where_the_texture_mask_says():
    scenes = render(8, seed=5, things="zebra")
    body = scenes.part == PART_NAMES.index("body")
    assert (scenes.texture[body] == TEXTURE_NAMES.index("stripes")).all()


@pytest.mark.parametrize(
    ("rgb", "name"),
    [((0, 0, 0), "black"), ((0.5, 0.5, 0.5), "grey"), ((1, 1, 1), "white"), ((0.9, 0.05, 0.05), "red"), ((1, 0.5, 0), "orange"),
     ((1, 0.95, 0.1), "yellow"), ((0.1, 0.7, 0.2), "green"), ((0.1, 0.2, 0.9), "blue"), ((0.5, 0.1, 0.8), "purple"),
     ((1, 0.6, 0.75), "pink"), ((0.4, 0.22, 0.08), "brown")],
)  # fmt: skip
def test_colours_have_their_names(rgb, name):
    assert COLOUR_NAMES[int(name_colours(torch.tensor(rgb, dtype=torch.float32)[:, None])[0])] == name


@pytest.mark.parametrize("eighth", range(8))
def test_edge_orientation_of_a_known_edge(eighth):
    """A straight edge at k * 22.5 degrees, counter-clockwise from the horizontal, is labelled k."""
    angle = eighth * np.pi / 8
    y, x = torch.meshgrid(torch.linspace(-1, 1, 33), torch.linspace(-1, 1, 33), indexing="ij")
    side = -x * np.sin(angle) - y * np.cos(angle)  # y points down
    image = ((side * 16).clamp(-1, 1) * 127 + 127).to(torch.uint8).expand(1, 3, -1, -1)
    edge = _edges(image)[0]
    assert (edge[edge != NO_EDGE] == eighth).float().mean() > 0.9
    assert (edge != NO_EDGE).sum() > 20
    assert edge[0, 0] == NO_EDGE or eighth == 6


def test_natural_colours_are_usual_and_random_ones_are_not():
    def redness(colours) -> float:
        scenes = render(64, seed=0, size=32, things="mushroom", colours=colours)
        cap = scenes.part == PART_NAMES.index("cap")
        return (scenes.colour[cap] == COLOUR_NAMES.index("red")).float().mean().item()

    assert redness("natural") > 0.3 > redness("random")


def test_part_dropout_takes_one_part_in_its_share_of_scenes():
    whole, dropped = render(200, seed=0, size=32), render(200, seed=0, size=32, part_dropout=1 / 8)
    changed = (whole.pixels != dropped.pixels).flatten(1).any(1)
    assert 0.05 < changed.float().mean() < 0.2
    assert torch.equal(whole.labels, dropped.labels)
    every = render(200, seed=0, size=64, part_dropout=1.0)
    for index, label in enumerate(every.labels.tolist()):
        core = THINGS[CLASS_NAMES[label]].core
        assert all((every.part[index] == PART_NAMES.index(part)).any() for part in core)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"count": 0}, "cannot render 0 scenes"), ({"count": 1, "size": 31}, "size 31 is out of range; scenes are 32 to 256"),
     ({"count": 2, "things": ["owl"]}, "1 things for 2 scenes"), ({"count": 1, "size": 40.5}, "size 40.5 is out of range"),
     ({"count": 1, "chunk": 0}, "chunk=0, part_dropout=0.0, seed=0; chunk is at least 1"), ({"count": 1, "part_dropout": 5}, "part_dropout a share"),
     ({"count": 1, "seed": 2**63}, "seed of at most 62 bits")],
)  # fmt: skip
def test_bad_input_is_said(arguments, message):
    with pytest.raises(InputError, match=message):
        render(**arguments)


def test_unknown_names_list_the_nearest():
    with pytest.raises(UnknownNameError, match="no thing 'zebr'; nearest: zebra"):
        render(1, things="zebr")
    with pytest.raises(UnknownNameError, match="no colours 'neon'; there are: natural, random"):
        render(1, colours="neon")
