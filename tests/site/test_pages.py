"""The files of a site: what they hold, what they are called, and that nobody's names or files can do harm."""

from __future__ import annotations

import hashlib
import io
import json
import re
import urllib.parse
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up import EXEMPLARS, HOSTILE, MakeGallery, picture, strip
from PIL import Image
from reading import assigned, index_of, local, site_files, tile

from layerscope.errors import InputError, StorageError
from layerscope.names import slug
from layerscope.records import write_whole
from layerscope.site import pages, sprites, summary
from layerscope.site.pages import check_site, write_site
from layerscope.site.reproduce import line

# --- what is written


def test_the_site_holds_every_number_of_every_unit(make_gallery: MakeGallery):
    folder = make_gallery()
    assert write_site(folder) == folder / "index.html"
    (network,) = index_of(folder)["networks"]
    assert [layer["name"] for layer in network["layers"]] == ["conv1", "conv2", "fc"]
    name, conv1 = assigned(local(folder, network["layers"][0]["data"]))
    assert name == "menagerie/conv1"
    assert [unit["unit"] for unit in conv1["units"]] == list(range(10))
    third = conv1["units"][3]
    expected = {
        "score": 2.2,
        "control": 0.25,
        "natural": 2.0,
        "ratio": 1.1,
        "saturated": 0.17,
        "status": "weak",
        "seed": 3,
    }
    assert {key: third[key] for key in expected} == expected
    assert third["note"] == "why it is weak"
    assert third["steps"] == 40
    assert third["trace"][0] == [0, 0.0]
    assert third["trace"][-1][0] == 39
    assert [one["label"] for one in third["exemplars"]] == ["house", "owl", "zebra"]


def test_the_summary_of_a_layer(make_gallery: MakeGallery):
    folder = make_gallery()
    write_site(folder)
    conv1 = index_of(folder)["networks"][0]["layers"][0]
    assert conv1["status"] == {"converged": 7, "dead": 1, "weak": 2}
    assert conv1["median"] == 1.4
    assert (conv1["made"], conv1["wanted"], conv1["units"]) == (10, 10, 10)
    assert [unit["unit"] for unit in conv1["sample"]] == [0, 2, 4, 6, 8, 1, 3, 5, 7, 9]


def test_pictures_lie_where_the_data_says_and_lose_nothing(make_gallery: MakeGallery):
    folder = make_gallery()
    write_site(folder)
    network = index_of(folder)["networks"][0]
    for layer in network["layers"]:
        data = assigned(local(folder, layer["data"]))[1]
        for place, unit in enumerate(data["units"]):
            np.testing.assert_array_equal(tile(folder, data["pictures"], place), picture(unit["unit"]))
            for turn in range(EXEMPLARS):
                crop = tile(folder, data["exemplars"], place * EXEMPLARS + turn)
                np.testing.assert_array_equal(crop, picture(unit["unit"] + 7 * turn, 12))
        assert data["exemplars"]["crops"] == EXEMPLARS
        for one in layer["sample"]:
            np.testing.assert_array_equal(tile(folder, network["glance"], one["tile"]), picture(one["unit"]))


def test_every_address_in_the_page_is_a_file_beside_it(make_gallery: MakeGallery):
    folder = make_gallery()
    page = write_site(folder).read_text()
    addresses = re.findall(r'(?:src|href)="([^"#]+)"', page)
    assert len(addresses) > 10
    for address in addresses:
        assert address == "data:," or local(folder, address).is_file(), address
    everything = b"".join(data for name, data in site_files(folder).items() if not name.endswith(".webp"))
    hosts = set(re.findall(rb"(?:https?:)?//[a-z0-9.]+\.[a-z]+[^\s\"']*", everything))
    assert hosts <= {b"http://www.w3.org/2000/svg"}  # the name of a format, not an address
    assert b"fetch(" not in everything
    assert b"innerHTML" not in everything


def test_the_line_of_python_names_everything_that_makes_the_picture(make_gallery: MakeGallery):
    folder = make_gallery()
    write_site(folder)
    layers = index_of(folder)["networks"][0]["layers"]
    conv1, fc = (assigned(local(folder, layers[place]["data"]))[1]["units"] for place in (0, 2))
    expected = (
        "import layerscope as ls; ls.maximise(ls.load_model('menagerie'), [{}], recipe='standard', seed=3).images[0]"
    )
    assert conv1[5]["python"] == expected.format("ls.channel('conv1:5')")
    assert fc[1]["python"] == expected.format("ls.logit(1)")


def test_the_line_of_python_names_a_class_by_its_number(make_gallery: MakeGallery):
    """The class "2" may be number 0."""
    folder = make_gallery(labels=["2", "10", "1"])
    write_site(folder)
    fc = assigned(local(folder, index_of(folder)["networks"][0]["layers"][2]["data"]))[1]["units"]
    assert ["ls.logit(0)" in fc[0]["python"], fc[0]["label"]] == [True, "2"]


def test_the_line_of_python_for_a_combination_and_a_recipe_of_ones_own():

    unit = {
        "layer": "a'b",
        "unit": 2,
        "objective": "channel a'b:2 - 0.5 * diversity a'b",
        "seed": 1,
        "recipe": {"lr": 0.1},
    }
    assert line({"network": {"spec": None}, "recipe": {"lr": 0.1}}, unit) == (
        "import layerscope as ls; from layerscope.synthesis.recipes import Recipe; "
        "ls.gallery(model, units=\"a'b:2\", recipe=Recipe(**{'lr': 0.1}), seed=1)"
    )


# --- what is missing


def test_a_gallery_that_is_half_made_is_shown_with_what_is_there(make_gallery: MakeGallery):
    folder = make_gallery(made=lambda index: index < 4)
    write_site(folder)
    conv1, _, fc = index_of(folder)["networks"][0]["layers"]
    assert (conv1["made"], conv1["wanted"]) == (4, 10)
    assert (fc["made"], fc["wanted"]) == (4, 4)


def test_a_gallery_of_which_nothing_is_made_yet(make_gallery: MakeGallery):
    folder = make_gallery(made=lambda index: False)
    write_site(folder)
    network = index_of(folder)["networks"][0]
    assert network["glance"] is None
    assert [(layer["made"], layer["median"], layer["sample"]) for layer in network["layers"]] == [(0, None, [])] * 3


def test_a_damaged_record_counts_as_missing(make_gallery: MakeGallery):
    folder = make_gallery()
    victim = min((folder / "menagerie" / "records").rglob("*.safetensors"))
    victim.write_bytes(victim.read_bytes()[:-1])
    write_site(folder)
    assert sum(layer["made"] for layer in index_of(folder)["networks"][0]["layers"]) == 23


def test_without_natural_images_there_is_no_ratio_and_no_exemplar(make_gallery: MakeGallery):
    folder = make_gallery(natural=False, facts={"probe": None})
    write_site(folder)
    network = index_of(folder)["networks"][0]
    data = assigned(local(folder, network["layers"][0]["data"]))[1]
    assert data["exemplars"] is None
    assert data["units"][3]["ratio"] is None


def test_no_gallery_is_one_line(tmp_path: Path):
    (tmp_path / "gallery.json").write_text('{"made by": "another program"}')
    with pytest.raises(
        InputError,
        match=r"^no gallery, no atlas, no hierarchy report, no explanation and no leaderboard below .*; make one with `layerscope .*`$",
    ):
        write_site(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["gallery.json"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schema": 99}, "has schema 99, this Layerscope reads 1"),
        ({"network": {}}, "does not name its network"),
        ({"layers": [{"name": "conv1"}]}, "does not describe a gallery"),
        ({"layers": [{"name": "conv1", "keys": ["../" * 22], "indices": [0]}]}, "is not a record key"),
        ({"layers": [{"name": "conv1", "keys": [], "indices": [0]}]}, "does not describe a gallery"),
        ({"layers": [{"name": "conv1", "keys": [], "indices": []}] * 2}, "lists a layer twice"),
    ],
)
def test_a_gallery_that_cannot_be_understood_is_named(make_gallery: MakeGallery, change: dict[str, Any], words: str):
    folder = make_gallery(facts=change)
    with pytest.raises(InputError, match=f"gallery.json.*{words}.*; make"):
        write_site(folder)


def test_a_gallery_file_that_is_no_json(tmp_path: Path):
    (tmp_path / "gallery.json").write_text("{")
    with pytest.raises(InputError, match=r"gallery.json is not JSON .*; make the gallery again"):
        write_site(tmp_path)


def test_exemplars_that_are_no_images_are_named(make_gallery: MakeGallery, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("made_up.strip", lambda index: np.arange(9, dtype=np.uint8))
    folder = make_gallery()
    with pytest.raises(InputError, match=r"exemplars in layer 'conv1' of .*menagerie are no images; delete"):
        write_site(folder)


# --- names are data


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_data_and_never_markup_or_a_path(make_gallery: MakeGallery, name: str):
    folder = make_gallery(name, folder="gallery", layers=[name], labels=[name, "owl"], units=2)
    page = write_site(folder).read_bytes()
    (network,) = index_of(folder)["networks"]
    assert network["title"] == name
    assert network["layers"][0]["name"] == name
    assert assigned(local(folder, network["layers"][1]["data"]))[1]["units"][0]["label"] == name
    for path in site_files(folder):
        assert re.fullmatch(r"[a-z0-9._/-]{1,140}", path), path
        assert ".." not in path
    assert page.count(b"<script") == len(pages._SCRIPTS) + 1
    assert b"onerror" not in page.replace(b"onerror=alert(1)&gt;", b"")
    assert b"49" not in re.findall(rb"<li>(.*?)</li>", page, re.DOTALL)[0]
    data = b"".join(text for path, text in site_files(folder).items() if path.endswith(("index.js", "fc.js")))
    assert b"<" not in data.replace(b"\\u003c", b"")
    outside = {path.relative_to(folder).parts[0] for path in folder.rglob("*")}
    assert outside == {"gallery", "index.html", "site"}


@given(st.lists(st.text(max_size=60), min_size=2, max_size=6, unique=True))
def test_two_names_never_share_a_slug(names: list[str]):
    slugs = [slug(name) for name in names]
    assert len({one.lower() for one in slugs}) == len(names)
    for one in slugs:
        assert re.fullmatch(r"[a-z0-9]([a-z0-9._-]{0,46}[a-z0-9])?", one)
        assert slug(one) == one or re.search(r"-[0-9a-f]{10}$", one), "only a hashed name may change again"


@pytest.mark.parametrize(("name", "expected"), [("layer4.1.conv2", "layer4.1.conv2"), ("conv_3", "conv_3")])
def test_plain_names_stay_readable(name: str, expected: str):
    assert slug(name) == expected


@pytest.mark.parametrize("name", ["Conv1", "con", "nul.x", "a..b", "conv1.", "conv1-0123456789", "é", " conv1"])
def test_names_that_some_disk_would_confuse_are_hashed(name: str):
    assert re.fullmatch(r"[a-z0-9.-]+-[0-9a-f]{10}", slug(name))
    assert slug(name) != name


def test_two_galleries_of_one_network_are_told_apart_by_their_folders(make_gallery: MakeGallery):
    make_gallery(folder="draft/menagerie")
    folder = make_gallery(folder="fine/menagerie")
    write_site(folder)
    titles = [network["title"] for network in index_of(folder)["networks"]]
    assert titles == ["menagerie (draft/menagerie)", "menagerie (fine/menagerie)"]


def test_layers_whose_files_could_collide_do_not(make_gallery: MakeGallery):
    folder = make_gallery(
        "index.js", folder="gallery", layers=["glance", "conv", "Conv", "conv.exemplars", "conv.0"], units=2
    )
    write_site(folder)
    paths = [path.lower() for path in site_files(folder)]
    assert len(set(paths)) == len(paths)
    for layer in index_of(folder)["networks"][0]["layers"]:
        assert len(assigned(local(folder, layer["data"]))[1]["units"]) == layer["made"] > 0


# --- again


def test_the_same_records_give_the_same_bytes_and_nothing_is_written_twice(make_gallery: MakeGallery):
    folder = make_gallery()
    write_site(folder)
    first = site_files(folder)
    times = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    write_site(folder)
    assert site_files(folder) == first
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()} == times


def test_files_of_earlier_runs_go_and_the_users_own_stay(make_gallery: MakeGallery):
    make_gallery("other")
    folder = make_gallery()
    write_site(folder)
    before = site_files(folder)
    assert any("/other/" in path for path in before)
    mine = folder / "site" / "pictures" / "mine.txt"
    mine.write_text("mine")
    (folder / "other" / "gallery.json").unlink()
    write_site(folder)
    after = site_files(folder)
    assert not [path for path in after if "other" in path]
    assert not (folder / "site" / "pictures" / "other").exists()
    assert mine.read_text() == "mine"
    assert (folder / "other" / "records").is_dir()
    ours = set(after) - {"index.html", "site/files.json", "site/pictures/mine.txt"}
    assert json.loads(after["site/files.json"]) == sorted(path.removeprefix("site/") for path in ours)


def test_a_list_of_files_cannot_point_out_of_the_site(make_gallery: MakeGallery):
    folder = make_gallery()
    write_site(folder)
    precious = folder / "precious.txt"
    precious.write_text("mine")
    names = ["../precious.txt", str(precious), "client/../../precious.txt", "./../precious.txt"]
    (folder / "site" / "files.json").write_text(json.dumps(names))
    write_site(folder)
    assert precious.read_text() == "mine"


def test_a_run_that_breaks_off_leaves_the_old_door_and_is_tidied_by_the_next(
    make_gallery: MakeGallery, monkeypatch: pytest.MonkeyPatch
):
    folder = make_gallery()
    write_site(folder)
    before = site_files(folder)
    make_gallery("newer")
    count = 0

    def interrupted(path: Path, data: bytes) -> None:
        nonlocal count
        count += 1
        if count > 6:
            raise KeyboardInterrupt
        write_whole(path, data)

    monkeypatch.setattr("layerscope.site.files.write_whole", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_site(folder)
    monkeypatch.undo()
    assert (folder / "index.html").read_bytes() == before["index.html"]
    assert set(site_files(folder)) > set(before)
    (folder / "newer" / "gallery.json").unlink()
    write_site(folder)
    assert site_files(folder) == before


def test_somebody_elses_site_is_left_alone(make_gallery: MakeGallery):
    folder = make_gallery()
    (folder / "index.html").write_text("<h1>mine</h1>")
    with pytest.raises(StorageError, match=r"index.html was not made by Layerscope; give another folder"):
        write_site(folder)
    assert (folder / "index.html").read_text() == "<h1>mine</h1>"
    (folder / "index.html").unlink()
    (folder / "site").mkdir()
    for content in ("mine", "{}", "[1"):
        (folder / "site" / "files.json").write_text(content)
        with pytest.raises(StorageError, match=r"site holds files that Layerscope did not make; give another folder"):
            write_site(folder)
    assert not (folder / "index.html").exists()


def test_what_is_wrong_with_a_folder_is_said_before_any_work(make_gallery: MakeGallery, tmp_path: Path):
    check_site(tmp_path)
    check_site(str(tmp_path / "missing"))
    assert list(tmp_path.iterdir()) == []
    folder = make_gallery()
    before = sorted(folder.rglob("*"))
    check_site(folder)
    assert sorted(folder.rglob("*")) == before
    write_site(folder)
    check_site(folder)
    (folder / "menagerie" / "gallery.json").write_text("{")
    with pytest.raises(InputError, match=r"gallery.json is not JSON"):
        check_site(folder)
    (folder / "index.html").write_text("<h1>mine</h1>")
    with pytest.raises(StorageError, match=r"index.html was not made by Layerscope"):
        check_site(folder)


def test_a_site_folder_of_somebody_else_is_said_before_any_work(tmp_path: Path):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "mine.txt").write_text("mine")
    with pytest.raises(StorageError, match=r"site holds files that Layerscope did not make"):
        check_site(tmp_path)


def test_a_site_that_cannot_be_written_is_one_line(make_gallery: MakeGallery):
    folder = make_gallery()
    (folder / "site").write_text("a file")
    with pytest.raises(StorageError, match=r"site is a file, not a folder; give another folder") as error:
        write_site(folder)
    assert "\n" not in str(error.value)
    assert not (folder / "index.html").exists()


# --- sprites and summaries


def test_many_pictures_spread_over_sheets_and_keep_their_places(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sprites, "_LARGEST_SHEET", 16 * 16 * 5)
    sprite = sprites.pack([picture(index) for index in range(12)])
    assert len(sprite.sheets) > 1
    for place in range(12):
        sheet = np.asarray(Image.open(io.BytesIO(sprite.sheets[place // sprite.per_sheet])).convert("RGB"))
        row, column = divmod(place % sprite.per_sheet, sprite.columns)
        found = sheet[row * 16 : row * 16 + 16, column * 16 : column * 16 + 16]
        np.testing.assert_array_equal(found, picture(place))


@given(st.integers(1, 4000), st.integers(1, 1500), st.integers(1, 400))
def test_no_sheet_is_larger_than_the_format_allows(count: int, width: int, height: int):
    columns, per_sheet = sprites._layout(count, width, height)
    assert columns >= 1
    assert per_sheet >= 1
    assert per_sheet % columns == 0
    assert columns * width <= 16_383
    assert per_sheet // columns * height <= 16_383


@pytest.mark.parametrize("side", [97, 127, 128])
def test_large_pictures_are_nearly_kept_and_do_not_bleed_into_each_other(side: int):
    colours = [(200, 40, 40), (30, 60, 200)] * 2
    sprite = sprites.pack([np.full((side, side, 3), colour, np.uint8) for colour in colours])
    sheet = np.asarray(Image.open(io.BytesIO(sprite.sheets[0])).convert("RGB")).astype(int)
    pitch = side + 2 * sprite.gutter
    for place, colour in enumerate(colours):
        top, left = (pitch * at + sprite.gutter for at in divmod(place, sprite.columns))
        assert np.abs(sheet[top : top + side, left : left + side] - colour).max() < 16


def test_a_strip_is_cut_into_its_crops_and_filled_up_with_grey():
    tiles = sprites.crops_of([strip(0).tobytes(), b""], [EXEMPLARS, 0], largest=96)
    assert len(tiles) == 2 * EXEMPLARS
    for turn in range(EXEMPLARS):
        np.testing.assert_array_equal(tiles[turn], picture(7 * turn, 12))
        assert (tiles[EXEMPLARS + turn] == 128).all()


def test_the_first_page_gets_smaller_copies_of_large_pictures():
    sprite = sprites.pack([picture(1, 200)], largest=96)
    assert sprite.tile == (96, 96)


def test_grey_pictures_are_shown(make_gallery: MakeGallery, monkeypatch: pytest.MonkeyPatch):
    natural = strip(3)
    monkeypatch.setattr("made_up.picture", lambda index, side=16: np.full((side, side, 1), index, np.uint8))
    monkeypatch.setattr("made_up.strip", lambda index: natural)
    folder = make_gallery()
    write_site(folder)
    data = assigned(local(folder, index_of(folder)["networks"][0]["layers"][0]["data"]))[1]
    np.testing.assert_array_equal(tile(folder, data["pictures"], 7), np.full((16, 16, 3), 7))


@pytest.mark.parametrize(("channels", "shown"), [(2, (7, 8, 0)), (4, (7, 8, 9))])
def test_pictures_of_other_channels_are_shown(
    make_gallery: MakeGallery, monkeypatch: pytest.MonkeyPatch, channels: int, shown: tuple[int, ...]
):
    natural = strip(3)
    colours = np.arange(channels, dtype=np.uint8)
    monkeypatch.setattr("made_up.picture", lambda index, side=16: np.tile(colours + np.uint8(index), (side, side, 1)))
    monkeypatch.setattr("made_up.strip", lambda index: natural)
    folder = make_gallery()
    write_site(folder)
    data = assigned(local(folder, index_of(folder)["networks"][0]["layers"][0]["data"]))[1]
    np.testing.assert_array_equal(tile(folder, data["pictures"], 7), np.tile(np.uint8(shown), (16, 16, 1)))


def test_the_units_that_stand_for_a_layer_are_evenly_spaced_and_not_chosen():
    units: list[dict[str, Any]] = [{"status": "dead", "ratio": None}] * 24
    assert summary.sample(units, 12) == [0, 4, 8, 12, 16, 20, 2, 6, 10, 14, 18, 22]
    assert summary.sample(units[:3], 12) == [0, 2, 1]
    assert summary.sample([], 12) == []


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1.2345678, 1.2346),
        (-0.0, 0.0),
        (7, 7.0),
        (None, None),
        (float("nan"), None),
        (float("inf"), None),
        (True, None),
        ("1", None),
    ],
)
def test_numbers_are_shown_to_five_digits_or_not_at_all(value: Any, expected: float | None):
    assert summary.number(value) == expected


def test_a_long_trace_is_thinned_and_keeps_its_ends():
    values = np.append(np.arange(1000, dtype=np.float32), np.nan)
    thinned = summary._trace(values[np.isfinite(values)])
    assert thinned["steps"] == 1000
    assert len(thinned["trace"]) == 96
    assert thinned["trace"][0] == [0, 0.0]
    assert thinned["trace"][-1] == [999, 999.0]
    assert all(step == value for step, value in thinned["trace"])


def test_addresses_change_with_what_they_lead_to(make_gallery: MakeGallery):
    folder = make_gallery()
    write_site(folder)
    for url in index_of(folder)["networks"][0]["glance"]["sheets"]:
        assert urllib.parse.urlsplit(url).query == hashlib.sha256(local(folder, url).read_bytes()).hexdigest()[:10]
