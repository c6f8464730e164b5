"""Spritemaps: each tile is the picture of its unit, the map says where and what it scores, sheets stay small enough."""

from __future__ import annotations

import json
from types import SimpleNamespace

import made_up
import numpy as np
import pytest
from PIL import Image

import layerscope as ls
from layerscope.errors import InputError, UnknownNameError
from layerscope.figures import spritemap as module


def made_synthesis(count: int, side: int = 16, channels: int = 3) -> SimpleNamespace:
    images = np.stack([made_up.picture(place, side)[..., :channels] for place in range(count)])
    return SimpleNamespace(
        images=images,
        scores=np.arange(count, dtype=np.float32),
        controls=np.full(count, 0.5, np.float32),
        status=("converged",) * count,
        objectives=tuple(f"neuron conv3:{place // 2}" for place in range(count)),
    )


def size_of(path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def tiles_of(paths) -> dict[str, np.ndarray]:
    """What the map names, cut out of the sheets."""
    *sheets, listed = paths
    facts = json.loads(listed.read_text())
    assert facts["sheets"] == [sheet.name for sheet in sheets]
    pixels = []
    for sheet in sheets:
        with Image.open(sheet) as image:
            pixels.append(np.asarray(image.convert("RGB")))
    side = facts["tile"]
    return {
        name: pixels[told["sheet"]][told["y"] : told["y"] + side, told["x"] : told["x"] + side]
        for name, told in facts["units"].items()
    }


def test_each_unit_of_a_gallery_is_where_the_map_says(gallery, tmp_path):
    paths = ls.spritemap(gallery, tmp_path / "all.png", tile=16, columns=7)
    tiles, facts = tiles_of(paths), json.loads(paths[-1].read_text())
    assert len(tiles) == 84
    for layer, units in (("conv1", 40), ("conv2", 40), ("fc", 4)):
        for index in range(units):
            assert np.array_equal(tiles[f"{layer}:{index}"], made_up.picture(index)), (layer, index)
    told = made_up.unit_facts("menagerie", "conv2", 3, None)
    entry = facts["units"]["conv2:3"]
    assert {name: entry[name] for name in ("score", "control", "natural", "ratio", "status")} == {
        name: told[name] for name in ("score", "control", "natural", "ratio", "status")
    }
    assert facts["columns"] == 7
    assert size_of(paths[0]) == (7 * 16, 12 * 16)


def test_one_layer_and_a_tile_of_another_size(gallery, tmp_path):
    tiles = tiles_of(ls.spritemap(gallery, tmp_path / "fc.png", tile=48, layer="fc"))
    assert list(tiles) == [f"fc:{index}" for index in range(4)]
    assert np.array_equal(tiles["fc:2"], made_up.picture(2).repeat(3, 0).repeat(3, 1))  # pixel by pixel


def test_what_is_not_made_yet_is_left_out(tmp_path):
    made_up.write_gallery(tmp_path, units=5, made=lambda index: index != 2)
    tiles = tiles_of(ls.spritemap(tmp_path / "menagerie", tmp_path / "some.png", tile=16, layer="conv1"))
    assert list(tiles) == ["conv1:0", "conv1:1", "conv1:3", "conv1:4"]
    assert np.array_equal(tiles["conv1:3"], made_up.picture(3))


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_a_synthesis_is_named_by_its_objectives(tmp_path, channels):
    made = made_synthesis(5, channels=channels)
    paths = ls.spritemap(made, tmp_path / "made.png", tile=16)
    tiles = tiles_of(paths)
    assert list(tiles) == [
        "neuron conv3:0",
        "neuron conv3:0 #2",
        "neuron conv3:1",
        "neuron conv3:1 #2",
        "neuron conv3:2",
    ]
    for place, found in enumerate(tiles.values()):
        shown = made.images[place]
        for channel in range(3):
            truth = shown[..., 0] if channels == 1 else shown[..., channel] if channel < channels else 0 * shown[..., 0]
            assert np.array_equal(found[..., channel], truth)
    assert json.loads(paths[-1].read_text())["units"]["neuron conv3:1 #2"]["score"] == 3


def test_more_than_a_format_holds_goes_on_several_sheets(tmp_path, monkeypatch):
    monkeypatch.setitem(module._LARGEST_SIDE, ".png", 50)
    made = made_synthesis(11)
    paths = ls.spritemap(made, tmp_path / "many.png", tile=16)
    assert [path.name for path in paths] == ["many-0.png", "many-1.png", "many.json"]
    assert all(max(size_of(path)) <= 50 for path in paths[:-1])
    for picture, found in zip(made.images, tiles_of(paths).values(), strict=True):
        assert np.array_equal(found, picture)


def test_webp_is_close_and_the_same_every_time(gallery, tmp_path):
    first, again = (ls.spritemap(gallery, tmp_path / name / "all.webp", tile=16) for name in "ab")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in again]
    assert np.abs(tiles_of(first)["conv1:5"].astype(int) - made_up.picture(5)).mean() < 12


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"path": "map.jpg"}, r"cannot write a spritemap as 'map.jpg'; give a path that ends in .png or .webp"),
        ({"tile": 0}, "tile=0; give a whole number from 1 to 4,096"),
        ({"columns": 9000}, r"9000 columns of 64 pixels are wider than the 16383 that .webp allows"),
        ({"tile": 20_000}, "tile=20000; give a whole number from 1 to 4,096"),
        ({"layer": "conv9"}, "no layer 'conv9'"),
        ({"source": 3}, "a int is no gallery"),
        ({"source": made_synthesis(2), "layer": "conv1"}, "chooses a layer of a gallery"),
    ],
)
def test_what_cannot_be_written_is_said(gallery, tmp_path, options, message):
    asked = {"source": gallery, "path": "map.webp", **options}
    source, path = asked.pop("source"), tmp_path / asked.pop("path")
    with pytest.raises((InputError, UnknownNameError), match=message):
        ls.spritemap(source, path, **asked)
    assert not list(tmp_path.iterdir())
