"""Atlases as the site tells them: whole, with a control beside each number, and refused where they are damaged."""

from __future__ import annotations

import json
import statistics

import numpy as np
import pytest
from made_up import picture
from made_up_atlases import PLACES, cell_facts, write_atlas
from reading import assigned, index_of, local, tile

from layerscope.errors import InputError
from layerscope.site.pages import check_site, write_site


def written(folder):
    write_site(folder)
    index = index_of(folder)["atlases"]
    return index, [assigned(local(folder, entry["data"]))[1] for entry in index]


def test_the_index_tells_how_good_the_map_is_beside_chance(tmp_path):
    ((entry,), _) = written(write_atlas(tmp_path))
    cells = [cell_facts(at, *place) for at, place in enumerate(PLACES)]
    ranked = [cell for cell in cells if cell["rank"] is not None]
    assert entry["title"] == "conv2 of menagerie"
    assert [entry[name] for name in ("kept", "kept_shuffled", "trust", "trust_shuffled")] == [0.61, 0.014, 0.96, 0.5]
    assert (entry["ranked"], entry["nearest"]) == (5, 4)
    assert entry["cosine"] == statistics.median(cell["cosine"] for cell in ranked)
    assert (entry["other"], entry["wanted"]) == (0.3, len(PLACES))
    assert entry["places"] == [list(place) for place in PLACES]


def test_each_cell_has_its_picture_and_its_numbers(tmp_path):
    (_, (data,)) = written(write_atlas(tmp_path))
    for at, (cell, place) in enumerate(zip(data["cells"], PLACES, strict=True)):
        facts = cell_facts(at, *place)
        for name in (
            "row",
            "column",
            "activations",
            "cosine",
            "other",
            "rank",
            "of",
            "classes",
            "attributed",
            "status",
        ):
            assert cell[name] == facts[name], name
        assert np.array_equal(tile(tmp_path, data["pictures"], at), picture(at))
    assert data["crops"]["crops"] == 3
    assert data["python"]["figure"] == "import layerscope as ls; ls.figures.atlas('atlas/menagerie/conv2')"


def test_what_is_being_made_is_counted(tmp_path):
    write_atlas(tmp_path, made=2)
    ((half, none), (data, empty)) = written(write_atlas(tmp_path, layer="conv3", made=0))
    assert (len(half["places"]), half["wanted"], len(data["cells"])) == (2, len(PLACES), 2)
    assert (none["places"], none["cosine"], none["preview"], empty["cells"]) == ([], None, None, [])


def test_two_of_one_layer_are_told_apart(tmp_path):
    write_atlas(tmp_path, folder="a")
    (index, _) = written(write_atlas(tmp_path, folder="b"))
    assert [entry["title"] for entry in index] == ["conv2 of menagerie (a)", "conv2 of menagerie (b)"]


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ({"schema": 9}, "has schema 9"),
        ({"layer": {}}, "does not name its layer"),
        ({"probe": None}, "does not name its probe"),
        ({"key": "x"}, "names no record"),
        ({"cells": [{"key": "x"}]}, "is not a record key"),
        ({"cells": 3}, "does not describe an atlas"),
        ({"layout": {}}, "are no atlas"),
    ],
)
def test_damaged_manifests_are_refused_by_name(tmp_path, header, message):
    with pytest.raises(InputError, match=message):
        write_site(write_atlas(tmp_path, header=header))


def test_no_json_is_refused_before_any_work(tmp_path):
    (write_atlas(tmp_path) / "atlas/menagerie/conv2/atlas.json").write_text("{")
    with pytest.raises(InputError, match="is not JSON"):
        check_site(tmp_path)


def test_somebody_elses_file_of_that_name_is_left_alone(tmp_path):
    write_atlas(tmp_path)
    (tmp_path / "atlas.json").write_text(json.dumps({"maps": ["Europe"]}))
    assert len(written(tmp_path)[0]) == 1
