"""Which layers of a gallery and of a report hold the same units, and what is written of the units that mattered."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from made_up import MakeGallery, write_gallery
from made_up_explanations import write_explanation
from made_up_hierarchies import write_hierarchy
from reading import assigned, index_of, local

from layerscope.models.sources import load_model
from layerscope.site.links import pairs
from layerscope.site.pages import write_site
from layerscope.studies.main_layers import main_layers, same_units


def layer(name: str, units: int = 8, side: int = 16, **facts: Any) -> dict[str, Any]:
    return {"name": name, "units": units, "shape": [units, side, side], **facts}


def test_a_report_says_itself_which_layers_have_its_units():
    gallery = [layer("conv1"), layer("norm2"), layer("conv2")]
    report = [
        layer("relu1", same_units=["norm1", "conv1"]),
        layer("relu2", same_units=["norm2", "conv2"]),  # the nearest of those that are shown
        layer("conv3", same_units=["conv2"], units=4),  # not those of another number of units
    ]
    assert pairs(gallery, report) == [("conv1", "relu1"), ("norm2", "relu2")]


def test_a_layer_of_the_same_name_comes_first():
    assert pairs([layer("conv1"), layer("relu1")], [layer("relu1", same_units=["conv1"])]) == [("relu1", "relu1")]


def test_older_reports_are_paired_in_their_order_where_all_shapes_agree():
    report = [layer("relu1", before_rectifier="norm1"), layer("relu2", side=8, before_rectifier="norm2")]
    output = {"name": "logits", "units": 10, "shape": [10]}
    assert pairs([layer("conv1"), layer("conv2", side=8)], report) == [("conv1", "relu1"), ("conv2", "relu2")]
    assert pairs([layer("conv1"), layer("conv2", side=8), output], report) == [("conv1", "relu1"), ("conv2", "relu2")]
    assert pairs([layer("conv1"), layer("conv2")], report) == []
    assert pairs([layer("conv2", side=8)], report) == []
    assert pairs([layer("conv0"), layer("conv1"), layer("norm2", side=8), output], report) == [("norm2", "relu2")]


def test_a_report_of_today_is_not_paired_by_its_order():
    assert pairs([layer("other")], [layer("relu1", same_units=["conv1"])]) == []


def test_the_same_units_of_the_bundled_network_are_those_of_the_convolution_before():
    model = load_model("menagerie")
    assert [same_units(model, one) for one in main_layers(model)] == [
        (f"norm{place}", f"conv{place}") for place in range(1, 9)
    ]
    first, *_ = model.layers()
    assert same_units(model, first) == ()
    assert same_units(model, dataclasses.replace(first, name="nowhere")) == ()


def test_only_layers_of_the_same_network_are_paired(tmp_path: Path, make_gallery: MakeGallery):
    write_gallery(tmp_path)
    write_hierarchy(tmp_path, layers=("relu1", "conv2"), units=10)
    write_hierarchy(
        tmp_path, "other", layers=("relu1",), units=10, header={"network": {"name": "other", "fingerprint": "ab"}}
    )
    write_hierarchy(tmp_path, "none", layers=("relu1",), units=10, header={"network": {"name": "menagerie"}})
    write_site(tmp_path)
    assert [report["fingerprint"] for report in index_of(tmp_path)["hierarchies"]["reports"]] == ["0f" * 32, None, "ab"]
    first = index_of(tmp_path)["hierarchies"]["reports"][0]["slug"]
    assert index_of(tmp_path)["pairs"] == [
        ["menagerie", "conv1", first, "relu1"],
        ["menagerie", "conv2", first, "conv2"],
    ]


def test_units_that_mattered_are_written_once_and_small(tmp_path: Path):
    write_gallery(tmp_path)
    write_explanation(tmp_path)
    write_explanation(tmp_path, "photo", facts={"story": None})
    write_site(tmp_path)
    index = index_of(tmp_path)
    name, told = assigned(local(tmp_path, index["mattered"]))
    assert name == "mattered"
    assert told == {
        "owl-7-a33ee988ef": [
            {"layer": "relu1", "same": ["conv1"], "units": [[0, -0.75, -0.8], [3, 2.25, -0.8]]},
            {"layer": "relu2", "same": [], "units": [[0, -0.75, -0.8], [3, 2.25, -0.8]]},
        ]
    }


def test_without_a_story_nothing_is_written(tmp_path: Path):
    write_gallery(tmp_path)
    write_site(tmp_path)
    assert index_of(tmp_path)["mattered"] is None
    assert not (tmp_path / "site" / "mattered.js").exists()
