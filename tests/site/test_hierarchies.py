"""The files of hierarchy reports: what they hold, which are shown, and that nobody's names or files can do harm."""

from __future__ import annotations

import urllib.parse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from made_up import MakeGallery, picture
from made_up_explanations import MakeExplanation
from made_up_hierarchies import EXEMPLARS, PROBE, SIDE, MakeHierarchy, hierarchy_facts, label_of
from reading import assigned, index_of, local, site_files, tile

from layerscope.dissection.stimuli.colours import hue_directions
from layerscope.records import write_whole
from layerscope.site import manifests
from layerscope.site.explained import rounded
from layerscope.site.pages import write_site
from layerscope.site.reported_units import hue_colour
from layerscope.studies import hierarchy_networks


def entry(folder: Path, place: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = index_of(folder)["hierarchies"]["reports"][place]
    return found


def data_of(folder: Path, place: int = 0) -> dict[str, Any]:
    return assigned(local(folder, entry(folder, place)["data"]))[1]


def layer_of(folder: Path, place: int = 1) -> dict[str, Any]:
    return assigned(local(folder, entry(folder)["layers"][place]["data"]))[1]


# --- what is written


def test_a_folder_with_nothing_but_a_report_makes_a_site(make_hierarchy: MakeHierarchy):
    folder = make_hierarchy()
    assert write_site(folder) == folder / "index.html"
    index = index_of(folder)
    assert index["networks"] == index["images"] == []
    assert index["hierarchies"]["missing"] == index["hierarchies"]["making"] == []
    shown = entry(folder)
    assert (shown["title"], shown["shown"], shown["false_rate"], shown["twins"]) == ("menagerie", True, 0.03125, 5)
    assert shown["words"].startswith("A hierarchy is shown")
    assert shown["fingerprint"] == "0f" * 32
    assert [layer["name"] for layer in shown["layers"]] == ["conv1", "conv2", "conv3", "conv4"]
    assert shown["layers"][1]["shares"]["texture"] == [0.75, 0.03125]
    assert "<li>menagerie</li>" in (folder / "index.html").read_text()


def test_the_report_holds_every_fact_of_its_record(make_hierarchy: MakeHierarchy):
    folder = make_hierarchy()
    write_site(folder)
    name, data = assigned(local(folder, entry(folder)["data"]))
    assert name == "hierarchy:menagerie"
    expected = hierarchy_facts(("conv1", "conv2", "conv3", "conv4"), 16, ("owl",), True, True, True)
    for key in ("shown", "words", "false_rate", "trend", "trend_p", "together", "tasks", "recipe"):
        assert data[key] == expected[key]
    for told, wanted in zip(data["layers"], expected["layers"], strict=True):
        assert {key: told[key] for key in wanted} == rounded(wanted)
    assert data["cka"][0] == [1.0, 0.75, 0.5, 0.25]
    assert data["cka_twins"][0] == [0.1, -0.025, -0.15, -0.275]
    assert data["command"] == "import layerscope as ls; ls.hierarchy(ls.load_model('menagerie'), seed=3)"
    assert (data["profile"], data["seed"], data["twins"], data["skipped"]) == ("quick", 3, 5, [])


def test_every_unit_is_there_with_every_number(make_hierarchy: MakeHierarchy):
    folder = make_hierarchy()
    write_site(folder)
    name, layer = assigned(local(folder, entry(folder)["layers"][1]["data"]))
    assert name == "hierarchy:menagerie/conv2"
    assert layer["units"]["unit"] == list(range(16))
    assert layer["units"]["label"] == [label_of(unit) for unit in range(16)]
    assert layer["units"]["object_evidence"][6] == 7.0
    assert layer["units"]["object_passed"][6] is True
    assert layer["units"]["versus_scattered_auc"] == [0.75] * 16
    assert layer["units"]["orientation"][:2] == [None, 22.5]
    assert "layer" not in layer["units"]
    assert "bandwidth" not in layer["units"]  # nobody has one
    assert layer["exemplars"][5] == [5, 6, 7, 8, 9, 10, 11, 0, 1]
    assert layer["scores"][5] == [9.0 - turn for turn in range(EXEMPLARS)]
    assert layer["boxes"][5] == [[0.25, 0.5, 0.5]] * EXEMPLARS


def test_tuning_curves_are_those_of_their_units_and_dead_ones_have_none(make_hierarchy: MakeHierarchy):
    folder = make_hierarchy()
    write_site(folder)
    tuning = layer_of(folder)["tuning"]
    assert {name: len(curves) for name, curves in tuning.items()} == {"orientation": 16, "frequency": 16, "hue": 16}
    assert tuning["orientation"][0] is tuning["hue"][0] is tuning["frequency"][0] is None
    np.testing.assert_allclose(tuning["frequency"][3], 1 + np.cos(np.arange(4) + 3), rtol=1e-4)


def test_the_shown_units_lie_in_the_report_itself(make_hierarchy: MakeHierarchy):
    folder = make_hierarchy()
    write_site(folder)
    told = data_of(folder)["layers"][1]
    assert told["chosen"]["units"]["unit"] == [1, 2, 0, 7]  # those that tell most, then those drawn at random
    assert told["chosen"]["exemplars"] == [layer_of(folder)["exemplars"][unit] for unit in (1, 2, 0, 7)]
    assert told["dots"]["orientation"] == layer_of(folder)["units"]["orientation"]
    assert set(told["dots"]) == {
        *("unit", "label", "confidence", "edge_passed", "colour_passed", "orientation", "orientation_selectivity"),
        *("frequency", "hue", "colour_index"),
    }


def test_pictures_are_those_of_the_record(make_hierarchy: MakeHierarchy):
    folder = make_hierarchy()
    write_site(folder)
    data = data_of(folder)
    for place in range(PROBE):
        np.testing.assert_array_equal(tile(folder, data["probe_sheet"], place), picture(place, SIDE))
    for layer in data["layers"]:
        assert set(layer["tiles"]) == {"1", "2", "7"}  # unit 0 is dead
        for unit, place in layer["tiles"].items():
            np.testing.assert_array_equal(tile(folder, data["pictures"], place), picture(40 + int(unit)))


def test_a_grey_probe_a_folder_without_masks_and_no_hues(make_hierarchy: MakeHierarchy):
    folder = make_hierarchy(channels=1, masks=False, hues=False)
    write_site(folder)
    data = data_of(folder)
    np.testing.assert_array_equal(tile(folder, data["probe_sheet"], 3), np.repeat(picture(3, SIDE)[..., :1], 3, 2))
    assert data["stimuli"]["hues"] is data["stimuli"]["hue_colours"] is None
    assert "hue" not in data["layers"][0]["dots"]
    assert set(layer_of(folder)["tuning"]) == {"orientation", "frequency"}
    assert data["skipped"] == ["parts: the folder has no masks, so there is no test for them"]
    assert not [name for name in layer_of(folder)["units"] if name.startswith("part_")]


def test_a_report_in_which_nothing_was_found(make_hierarchy: MakeHierarchy):
    folder = make_hierarchy(shown=False)
    write_site(folder)
    assert entry(folder)["shown"] is False
    assert [layer["depth"] for layer in data_of(folder)["layers"]] == [None] * 4
    assert data_of(folder)["layers"][0]["telling"] == []


def test_hues_have_the_colours_of_the_stimuli():
    for degrees in range(0, 360, 15):
        (direction,) = hue_directions(torch.tensor([float(degrees)])).tolist()
        drawn = [int(hue_colour(degrees)[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        expected = [min(1.0, max(0.0, 0.55 + 0.3 * part)) for part in direction]
        np.testing.assert_allclose(drawn, expected, atol=1 / 255)


# --- tables to download


def test_the_tables_that_lie_beside_the_record_can_be_downloaded(make_hierarchy: MakeHierarchy):
    folder = make_hierarchy(folder="a b/ü#?&%/..x")
    write_site(folder)
    tables = data_of(folder)["tables"]
    assert [one["name"] for one in tables] == ["units.csv", "layers.csv", "report.json"]
    for one in tables:
        assert one["url"].startswith("./a%20b/")
        path = folder / urllib.parse.unquote(one["url"])
        assert path.stat().st_size == one["bytes"]


def test_tables_that_are_not_there_are_not_linked(make_hierarchy: MakeHierarchy):
    folder = make_hierarchy(tables=False)
    write_site(folder)
    assert [one["name"] for one in data_of(folder)["tables"]] == []


def test_a_folder_named_like_a_scheme_stays_a_folder(make_hierarchy: MakeHierarchy):
    folder = make_hierarchy(folder="javascript:alert(1)")
    write_site(folder)
    assert data_of(folder)["tables"][0]["url"] == "./javascript%3Aalert%281%29/units.csv"


# --- which are shown


def test_reports_that_are_being_made_are_counted_and_not_shown(make_hierarchy: MakeHierarchy):
    make_hierarchy()
    folder = make_hierarchy("resnet18", complete=False)
    write_site(folder)
    found = index_of(folder)["hierarchies"]
    assert [one["title"] for one in found["reports"]] == ["menagerie"]
    assert found["making"] == ["resnet18"]
    assert not [name for name in site_files(folder) if "resnet18" in name]


def test_a_report_without_its_record_is_missing(make_hierarchy: MakeHierarchy):
    folder = make_hierarchy()
    for path in folder.rglob("*.safetensors"):
        path.write_bytes(path.read_bytes()[:-1])
    write_site(folder)
    found = index_of(folder)["hierarchies"]
    assert found == {"reports": [], "missing": ["menagerie"], "making": []}


def test_two_reports_of_one_name_are_told_apart(make_hierarchy: MakeHierarchy):
    make_hierarchy(folder="first")
    folder = make_hierarchy(folder="second/below")
    write_site(folder)
    titles = [one["title"] for one in index_of(folder)["hierarchies"]["reports"]]
    assert titles == ["menagerie (first)", "menagerie (second/below)"]
    assert len({one["slug"] for one in index_of(folder)["hierarchies"]["reports"]}) == 2


def test_galleries_explanations_and_reports_live_on_one_site(
    make_gallery: MakeGallery, make_explanation: MakeExplanation, make_hierarchy: MakeHierarchy
):
    make_gallery()
    make_explanation()
    folder = make_hierarchy()
    write_site(folder)
    index = index_of(folder)
    assert [len(index["networks"]), len(index["images"]), len(index["hierarchies"]["reports"])] == [1, 1, 1]
    before = site_files(folder)
    write_site(folder)
    assert site_files(folder) == before


def test_the_gallery_says_which_units_it_has(make_gallery: MakeGallery):
    make_gallery()
    folder = make_gallery("some", made=lambda index: index != 2)
    write_site(folder)
    whole, some = (network["layers"][0]["some"] for network in index_of(folder)["networks"])
    assert whole is None
    assert some == [0, 1, 3, 4, 5, 6, 7, 8, 9]


def test_a_report_that_went_away_leaves_no_file(make_gallery: MakeGallery, make_hierarchy: MakeHierarchy):
    make_gallery()
    folder = make_hierarchy()
    write_site(folder)
    for path in sorted((folder / "hierarchy").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    write_site(folder)
    assert not (folder / "site" / "hierarchy").exists()


def test_someone_elses_hierarchy_json_is_passed_over(make_gallery: MakeGallery):
    folder = make_gallery()
    write_whole(folder / "other" / "hierarchy.json", b'{"kind": "of royalty"}')
    write_whole(folder / "third" / "hierarchy.json", b"[]")
    write_site(folder)
    assert index_of(folder)["hierarchies"]["reports"] == []


def test_the_schema_is_that_of_the_study():
    assert manifests.SCHEMA == hierarchy_networks.SCHEMA
