"""What can be searched: the columns of site/search.js, against the records from which they were made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from made_up import HOSTILE, MakeGallery
from made_up_explanations import MakeExplanation
from made_up_hierarchies import MakeHierarchy
from reading import assigned, index_of

from layerscope.site.pages import write_site
from layerscope.site.searching import concept


def searched(folder: Path) -> dict[str, Any]:
    name, data = assigned(folder / "site" / "search.js")
    assert name == "search"
    return data


def test_units_are_columns_in_the_order_of_the_index(make_gallery: MakeGallery):
    folder = write_site(make_gallery(units=12, made=lambda index: index != 4)).parent
    (layers,) = searched(folder)["galleries"]
    (network,) = index_of(folder)["networks"]
    assert (
        [len(columns["ratio"]) for columns in layers] == [layer["made"] for layer in network["layers"]] == [11, 11, 4]
    )
    # Unit i has ratio 0.5 + 0.2 i; every fourth is weak, every seventh dead; unit 4 is missing.
    assert layers[0]["ratio"] == [50, 70, 90, 110, 150, 170, 190, 210, 230, 250, 270]
    assert layers[0]["status"] == "cccwcdwcccw"
    assert "label" not in layers[0]
    assert layers[2]["label"] == ["owl", "zebra", "turtle", "house"]
    assert index_of(folder)["search"].startswith("site/search.js?")


def test_without_a_ratio_there_is_the_score(make_gallery: MakeGallery):
    folder = write_site(make_gallery(natural=False, units=3)).parent
    columns = searched(folder)["galleries"][0][0]
    assert columns["ratio"] == [None, None, None]
    assert columns["score"] == [1.0, 1.4, 1.8]


def test_units_of_a_report_point_to_what_they_code(make_hierarchy: MakeHierarchy):
    folder = write_site(make_hierarchy(layers=("conv1", "conv2"))).parent
    data = searched(folder)
    coded = data["reports"][0][1]
    named = [None if place is None else tuple(data["concepts"][place]) for place in coded["concepts"]]
    # Units are labelled in turns: dead, edge, colour-edge, colour, texture, part, object, none.
    assert named[:8] == [
        None,
        ("edge", "orientation 30°"),  # 22.5 degrees lie between two multiples of 15: the even one
        ("colour-edge", "orientation 45°, hue 90°"),
        ("colour", "hue 135°"),
        ("texture", "stripes"),
        ("part", "wing"),
        ("object", "turtle"),
        None,
    ]
    assert coded["confidence"][:3] == [500, 510, 520]


@pytest.mark.parametrize(
    ("row", "found"),
    [
        ({"label": "edge", "orientation": 179.0}, ("edge", "orientation 0°")),
        ({"label": "edge", "orientation": 97.0}, ("edge", "orientation 90°")),
        ({"label": "colour", "hue": 355.0}, ("colour", "hue 0°")),
        ({"label": "colour", "hue": None}, ("colour", "unknown")),
        ({"label": "part", "part_concept": None}, ("part", "unknown")),
        ({"label": "part"}, ("part", "unknown")),
        ({"label": "object", "class": "x" * 500}, ("object", "x" * 160)),
        ({"label": "none", "texture": "stripes"}, None),
        ({"label": None}, None),
    ],
)
def test_what_a_unit_codes(row: dict[str, Any], found: tuple[str, str] | None):
    assert concept({name: ["another unit's", value] for name, value in row.items()}, 1) == found


def test_methods_with_the_marks_of_their_checks(make_explanation: MakeExplanation):
    folder = make_explanation("a.png")
    make_explanation("b.png")
    methods = {one["method"]: one for one in searched(write_site(folder).parent)["methods"]}
    assert set(methods) == {"deeplift", "gradcam", "layercam"}, "a method that failed explains nothing"
    assert {one["images"] for one in methods.values()} == {2}
    good = methods["deeplift"]["good"] / methods["deeplift"]["checks"]
    assert good > methods["gradcam"]["good"] / methods["gradcam"]["checks"], "only the first notices the top layers"


def test_the_same_records_give_the_same_bytes(make_gallery: MakeGallery, make_hierarchy: MakeHierarchy):
    make_gallery(units=3)
    path = write_site(make_hierarchy()).parent / "site" / "search.js"
    first = path.read_bytes()
    path.unlink()
    write_site(path.parent.parent)
    assert path.read_bytes() == first


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_stay_inside_the_data(make_gallery: MakeGallery, make_hierarchy: MakeHierarchy, name: str):
    make_gallery(name, folder="gallery", layers=[name], labels=[name, "owl"], units=2)
    folder = write_site(make_hierarchy(classes=[name, "owl"])).parent
    assert b"<" not in (folder / "site" / "search.js").read_bytes()
    label = searched(folder)["galleries"][0][1]["label"][0]
    assert label == (name[:160] or name)
