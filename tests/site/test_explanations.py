"""The files of explained images: what they hold, how maps are drawn, and that nobody's names or files can do harm."""

from __future__ import annotations

import io
import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_up import HOSTILE, MakeGallery, picture
from made_up_explanations import METHODS, SIDE, MakeExplanation, evidence
from PIL import Image
from reading import assigned, index_of, local, site_files, tile

from layerscope.errors import InputError
from layerscope.site import maps, pages
from layerscope.site.explained import best, rounded
from layerscope.site.pages import check_site, write_site


def data_of(folder: Path, place: int = 0) -> dict[str, Any]:
    return assigned(local(folder, index_of(folder)["images"][place]["data"]))[1]


def pixels(folder: Path, url: str) -> np.ndarray:
    return np.asarray(Image.open(local(folder, url)))


# --- what is written


def test_the_site_tells_of_an_explained_image(make_explanation: MakeExplanation):
    folder = make_explanation()
    assert write_site(folder) == folder / "index.html"
    index = index_of(folder)
    assert index["networks"] == []
    (entry,) = index["images"]
    assert entry["title"] == "owl 7"
    assert (entry["label"], entry["probability"], entry["truth"], entry["unlike"]) == ("owl", 0.9, "owl", False)
    assert entry["versus"] == {"label": "zebra", "margin": 1.0}
    name, data = assigned(local(folder, entry["data"]))
    assert name == f"image:{entry['slug']}"
    assert data["command"].startswith("import layerscope as ls; ls.explain(")
    assert data["questions"] == ["target", "versus"]
    assert [one["class"] for one in data["labels"]] == ["owl", "zebra", "turtle", "house"]
    assert data["image"]["crop"] == [80.3, 0, 560.1, 480]


def test_the_image_is_kept_as_the_network_saw_it(make_explanation: MakeExplanation):
    folder = make_explanation()
    write_site(folder)
    shown = data_of(folder)["image"]
    assert (shown["width"], shown["height"]) == (SIDE, SIDE)
    np.testing.assert_array_equal(pixels(folder, shown["url"]), picture(1, SIDE))
    assert index_of(folder)["images"][0]["image"]["url"] == shown["url"]


def test_every_map_is_drawn_as_it_is_recorded(make_explanation: MakeExplanation):
    folder = make_explanation()
    write_site(folder)
    methods = data_of(folder)["methods"]
    assert [(one["question"], one["method"]) for one in methods] == [
        (question, method) for question in ("target", "versus") for method in METHODS
    ]
    for method in methods:
        if method["error"] is not None:
            assert method["url"] is None
            continue
        values = evidence(METHODS.index(method["method"]))
        expected = np.abs(values) / values.max() if method["scale"] else np.zeros_like(values)
        drawn = pixels(folder, method["url"])
        np.testing.assert_array_equal(drawn[..., 3], np.rint(255 * expected))
        assert method["empty"] == (method["method"] == "layercam")
    drawn = pixels(folder, methods[0]["url"])
    assert tuple(drawn[0, 0]) == (*maps.FOR, 255)
    assert tuple(drawn[0, -1]) == (*maps.AGAINST, 255)


def test_the_colours_of_the_maps_are_those_of_the_pages(make_explanation: MakeExplanation):
    folder = make_explanation()
    write_site(folder)
    colours = index_of(folder)["colours"]
    assert {side: tuple(bytes.fromhex(colour[1:])) for side, colour in colours.items()} == {
        "for": maps.FOR,
        "against": maps.AGAINST,
        "fired": maps.FIRED,
    }
    styles = (folder / "site" / "client" / "explain.css").read_text()
    assert not re.search(r"--(for|against|fired):", styles), "they come with the data"


def test_the_story_shows_the_picture_of_each_unit_and_where_it_fired(make_explanation: MakeExplanation):
    folder = make_explanation()
    write_site(folder)
    story = data_of(folder)["story"]
    first, second = story["layers"]
    for unit in first["shown"]:
        np.testing.assert_array_equal(tile(folder, story["units"], unit["picture"]), picture(10 + unit["unit"]))
        assert unit["positions"] == [4, 4]
    assert [unit["picture"] for unit in second["shown"]] == [None, None]
    places = [unit["fired"] for layer in story["layers"] for unit in layer["shown"]]
    assert places == [0, 1, 2, 3]
    fired = np.arange(16, dtype=np.float32).reshape(4, 4)
    np.testing.assert_array_equal(tile(folder, story["fired"], 2), maps.fired_over(picture(1, SIDE), fired, side=160))


def test_scenes_without_a_part_and_the_flipped_one(make_explanation: MakeExplanation):
    folder = make_explanation()
    write_site(folder)
    data = data_of(folder)
    wing, eye = data["causes"]["parts"]
    np.testing.assert_array_equal(tile(folder, data["scenes"], wing["picture"]), picture(20))
    np.testing.assert_array_equal(tile(folder, data["scenes"], eye["picture"]), picture(21))
    np.testing.assert_array_equal(tile(folder, data["scenes"], data["flip"]["picture"]), picture(30))


def test_a_photograph_has_neither_causes_nor_a_flip(make_explanation: MakeExplanation):
    folder = make_explanation("photo.jpg", scene=False, facts={"versus": None, "layer": None, "story": None})
    write_site(folder)
    data = data_of(folder)
    assert [data[name] for name in ("causes", "flip", "scenes", "story", "versus")] == [None] * 5
    entry = index_of(folder)["images"][0]
    assert (entry["unlike"], entry["versus"], entry["truth"]) == (True, None, None)


def test_a_network_without_classes_has_no_label(make_explanation: MakeExplanation):
    target = {"text": "channel b:3", "label": "channel b:3", "index": None, "score": 0.25, "predicted": False}
    folder = make_explanation("photo.jpg", scene=False, facts={"labels": [], "target": target, "versus": None})
    write_site(folder)
    entry = index_of(folder)["images"][0]
    assert (entry["label"], entry["probability"]) == (None, None)
    assert (entry["asked"], entry["score"]) == ("channel b:3", 0.25)


def test_an_image_whose_methods_all_refused_has_no_map(make_explanation: MakeExplanation):
    folder = make_explanation(facts={"methods": []})
    write_site(folder)
    assert index_of(folder)["images"][0]["map"] is None


def test_every_address_in_the_page_and_the_data_is_a_file(make_explanation: MakeExplanation, make_gallery: MakeGallery):
    make_gallery()
    folder = make_explanation()
    page = write_site(folder).read_text()
    addresses = re.findall(r'(?:src|href)="([^"#]+)"', page)
    addresses += re.findall(r'"(site/[^"]+)"', json.dumps([index_of(folder), data_of(folder)]))
    assert len([address for address in addresses if "/images/" in address]) > 10
    for address in addresses:
        assert address == "data:," or local(folder, address).is_file(), address


# --- which map stands for an image


def entry(**facts: Any) -> dict[str, Any]:
    return {"url": "map", "empty": False, "question": "target", "part_rank": None, "verdicts": [], **facts}


def marks(*words: str) -> list[dict[str, str]]:
    return [{"mark": word} for word in words]


@pytest.mark.parametrize(
    ("others", "why"),
    [
        ([entry(part_rank=0.2), entry(verdicts=marks("good"))], "ranks the parts worse"),
        ([entry(empty=True, part_rank=1.0), entry(url=None, part_rank=1.0)], "is empty or refused"),
        ([entry(question="versus", part_rank=1.0)], "answers the second question"),
    ],
)
def test_the_best_map_ranks_the_parts_best(others: list[dict[str, Any]], why: str):
    chosen = entry(part_rank=0.9)
    assert (
        best([others[0], chosen, *others[1:]] if why != "answers the second question" else [chosen, *others]) is chosen
    )


def test_without_parts_the_best_map_has_the_fewest_poor_marks():
    methods = [
        entry(verdicts=marks("good", "good", "poor")),
        entry(verdicts=marks("open")),
        entry(verdicts=marks("good")),
    ]
    assert best(methods) is methods[2]
    assert best([]) is None


# --- what is missing or wrong


def test_galleries_only_have_no_images(make_gallery: MakeGallery):
    folder = make_gallery()
    write_site(folder)
    assert index_of(folder)["images"] == index_of(folder)["missing"] == []


def test_a_missing_or_damaged_record_is_counted(make_explanation: MakeExplanation):
    make_explanation("owl 7")
    make_explanation("owl 8")
    folder = make_explanation("owl 9")
    for image, damage in (("owl-7", b""), ("owl-8", None)):
        record = next((folder / "explain" / "menagerie" / image / "records").rglob("*.safetensors"))
        record.unlink() if damage is None else record.write_bytes(damage)
    write_site(folder)
    index = index_of(folder)
    assert [one["title"] for one in index["images"]] == ["owl 9"]
    assert sorted(index["missing"]) == ["owl 7", "owl 8"]


def test_a_site_of_missing_records_only(make_explanation: MakeExplanation):
    folder = make_explanation()
    next(folder.rglob("*.safetensors")).unlink()
    write_site(folder)
    assert index_of(folder)["missing"] == ["owl 7"]


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ({"schema": 2}, "has schema 2, this Layerscope reads 1; explain the image again"),
        ({"network": {}}, "does not name its network; explain the image again"),
        ({"image": "owl"}, "does not name its image; explain the image again"),
        ({"key": "../" * 22}, "names no record .*is not a record key.*; explain the image again"),
        ({"key": None}, "names no record .*; explain the image again"),
    ],
)
def test_an_explanation_that_cannot_be_understood_is_named(
    make_explanation: MakeExplanation, header: dict[str, Any], words: str
):
    folder = make_explanation(header=header)
    for judge in (check_site, write_site):
        with pytest.raises(InputError, match=f"explanation.json {words}") as error:
            judge(folder)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"schema": 2}, "has schema 2, this Layerscope reads 1"),
        ({"labels": None}, r"does not describe an explanation \(TypeError"),
        ({"methods": [{"method": "deeplift"}]}, r"does not describe an explanation \(KeyError: 'error'\)"),
        ({"flip": {"picture": "gone"}}, r"does not describe an explanation \(KeyError: 'gone'\)"),
        ({"story": "long"}, r"does not describe an explanation \(TypeError"),
    ],
)
def test_a_record_that_does_not_fit_is_named(make_explanation: MakeExplanation, facts: dict[str, Any], words: str):
    folder = make_explanation(facts=facts)
    check_site(folder)
    with pytest.raises(InputError, match=f"the record of .*explanation.json {words}.*; explain the image again"):
        write_site(folder)


def test_a_file_that_is_no_json_and_one_of_another_program(tmp_path: Path, make_explanation: MakeExplanation):
    folder = make_explanation()
    (folder / "other").mkdir()
    (folder / "other" / "explanation.json").write_text('{"kind": "apology"}')
    write_site(folder)
    assert len(index_of(folder)["images"]) == 1
    (folder / "other" / "explanation.json").write_text("{")
    with pytest.raises(InputError, match=r"explanation.json is not JSON .*; explain the image again or move the file"):
        write_site(folder)


# --- names are data


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_data_and_never_markup_or_a_path(make_explanation: MakeExplanation, name: str):
    folder = make_explanation(name, network=name, folder="images", classes=[name, "owl"])
    page = write_site(folder).read_bytes()
    (entry,) = index_of(folder)["images"]
    assert (entry["title"], entry["network"], entry["label"]) == (name, name, name)
    assert data_of(folder)["target"]["label"] == name
    for path in site_files(folder):
        assert re.fullmatch(r"[a-z0-9._/-]{1,140}", path), path
        assert ".." not in path
    assert page.count(b"<script") == len(pages._SCRIPTS) + 1
    assert b"onerror" not in page.replace(b"onerror=alert(1)&gt;", b"")
    data = b"".join(text for path, text in site_files(folder).items() if path.endswith(("index.js", "data.js")))
    assert b"<" not in data.replace(b"\\u003c", b"")
    assert {path.relative_to(folder).parts[0] for path in folder.rglob("*")} == {"images", "index.html", "site"}


def test_images_of_one_name_are_told_apart_by_their_network_or_folder(make_explanation: MakeExplanation):
    make_explanation("owl 7", folder="a")
    make_explanation("owl 7", folder="b")
    make_explanation("owl 7", folder="c", network="robust")
    folder = make_explanation("owl 8", folder="d")
    write_site(folder)
    titles = sorted(one["title"] for one in index_of(folder)["images"])
    assert titles == ["owl 7 in menagerie (a)", "owl 7 in menagerie (b)", "owl 7 in robust", "owl 8"]


def test_an_image_that_was_asked_several_ways_is_told_apart_by_the_question(make_explanation: MakeExplanation):
    make_explanation("owl 7", folder="a", header={"question": "why zebra"})
    make_explanation("owl 7", folder="b")
    make_explanation("owl 7", folder="c")
    folder = make_explanation("owl 7", folder="d", network="robust", header={"question": "why zebra"})
    write_site(folder)
    titles = sorted(one["title"] for one in index_of(folder)["images"])
    assert titles == [
        "owl 7 in menagerie (b)",
        "owl 7 in menagerie (c)",
        "owl 7 in menagerie: why zebra",
        "owl 7 in robust",
    ]


def test_a_layer_and_an_image_never_share_a_name_in_the_data(
    make_explanation: MakeExplanation, make_gallery: MakeGallery
):
    make_gallery("image", layers=["owl"])
    folder = make_explanation("owl")
    write_site(folder)
    layer = index_of(folder)["networks"][0]["layers"][0]["data"]
    assert assigned(local(folder, layer))[0] == "image/owl"
    assert assigned(local(folder, index_of(folder)["images"][0]["data"]))[0] == "image:owl"


# --- again


def test_the_latest_image_comes_first(make_explanation: MakeExplanation):
    for turn, name in enumerate(("owl 7", "owl 8", "owl 9")):
        folder = make_explanation(name)
        path = folder / "explain" / "menagerie" / name.replace(" ", "-") / "explanation.json"
        os.utime(path, (1000 + turn % 2, 1000 + turn % 2))
    write_site(folder)
    assert [one["title"] for one in index_of(folder)["images"]] == ["owl 8", "owl 7", "owl 9"]


def test_the_same_records_give_the_same_bytes_and_nothing_is_written_twice(make_explanation: MakeExplanation):
    folder = make_explanation()
    write_site(folder)
    first = site_files(folder)
    times = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    write_site(folder)
    assert site_files(folder) == first
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()} == times


def test_an_image_that_is_gone_leaves_nothing_behind(make_explanation: MakeExplanation):
    make_explanation("owl 7")
    folder = make_explanation("owl 8", folder="eight")
    write_site(folder)
    assert len(list((folder / "site" / "images").iterdir())) == 2
    (folder / "eight" / "explanation.json").unlink()
    write_site(folder)
    assert len(list((folder / "site" / "images").iterdir())) == 1


# --- maps as pictures


def decoded(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))


def test_a_map_is_one_scale_of_signed_opacity():
    values = np.float32([[0, 1, -1], [2, -9, 0.5], [np.nan, np.inf, -np.inf]])
    drawn = decoded(maps.overlay(values, scale=2.0))
    np.testing.assert_array_equal(drawn[..., 3], [[0, 128, 128], [255, 255, 64], [0, 255, 255]])
    assert {tuple(one) for one in drawn[values > 0][:, :3]} == {maps.FOR}
    assert {tuple(one) for one in drawn[values < 0][:, :3]} == {maps.AGAINST}


@pytest.mark.parametrize("scale", [0.0, float("nan")])
def test_a_map_without_a_scale_is_transparent(scale: float):
    assert decoded(maps.overlay(np.ones((2, 3), np.float32), scale))[..., 3].max() == 0


def test_both_sides_of_the_scale_are_equally_light():
    """OKLab (Ottosson 2020), written out."""
    lightness = []
    for colour in (maps.FOR, maps.AGAINST):
        coded = np.array(colour) / 255
        linear = np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)
        cones = [[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566]]
        cones += [[0.0883024619, 0.2817188376, 0.6299787005]]
        lightness.append(np.array([0.2104542553, 0.7936177850, -0.0040720468]) @ np.cbrt(np.array(cones) @ linear))
    assert lightness == pytest.approx([0.64, 0.64], abs=0.005)


def test_where_a_unit_fired_is_tinted_and_elsewhere_the_image_is_pale():
    image = np.full((8, 8, 3), (10, 20, 60), np.uint8)
    fired = np.float32([[4, 0], [-4, np.nan]])
    tinted = maps.fired_over(image, fired, side=64)
    assert tinted.shape == (8, 8, 3)
    pale = round(0.45 * 30 + 127.5)
    assert np.abs(tinted[-1, -1].astype(int) - pale).max() <= 1
    assert np.abs(tinted[-1, 0].astype(int) - pale).max() <= 1
    np.testing.assert_allclose(tinted[0, 0], 0.15 * pale + 0.85 * np.array(maps.FIRED), atol=1)


def test_a_unit_that_has_one_position_or_never_fired():
    image = picture(3)
    np.testing.assert_array_equal(maps.fired_over(image, np.float32([[5]]), side=64), image)
    assert np.ptp(maps.fired_over(image, np.zeros((2, 2), np.float32), side=64), axis=2).max() == 0


def test_a_large_image_is_made_smaller_for_its_units():
    assert maps.fired_over(np.zeros((100, 200, 3), np.uint8), np.ones((2, 2), np.float32), side=50).shape == (25, 50, 3)


def test_fractions_are_rounded_wherever_they_stand():
    assert rounded({"a": [1 / 3, {"b": 2, "c": True}], "d": "1.234567", "e": None}) == {
        "a": [0.33333, {"b": 2, "c": True}],
        "d": "1.234567",
        "e": None,
    }
