"""Leaderboards as the site reads them: whole, in order, and refused with the file's name where they are damaged."""

from __future__ import annotations

import json
import re
from importlib.resources import files

import made_up
import made_up_explanations
import pytest
from made_up_leaderboards import (
    CONTROLS,
    FAILING,
    METHODS,
    TIERS,
    leaderboard_facts,
    users_facts,
    write_facts,
    write_leaderboard,
)
from reading import index_of

from layerscope.errors import InputError
from layerscope.faithfulness.measures.catalogue import MEASURES
from layerscope.site.leaderboards import find_leaderboards
from layerscope.site.pages import check_site, write_site

FAILED = {"measure": "a", "passes": False, "apart": None, "told": [], "missed": [], "stable": None, "words": "w"}


def board_of(folder):
    write_site(folder)
    (board,) = index_of(folder)["leaderboards"]
    return board


def test_the_index_tells_all_rows(tmp_path):
    board = board_of(write_leaderboard(tmp_path))
    assert board["title"] == board["network"]["name"] == "resnet18"
    assert [row["method"] for row in board["rows"]] == [*METHODS, *CONTROLS]
    best = board["rows"][0]
    assert best["density_rank"] == {"value": 0.8, "low": 0.74, "high": 0.86, "images": 200}
    assert best["seconds"] == {"value": 0.02, "low": None, "high": None, "images": None}
    assert (best["against_random"], best["beats"], best["rank"]) == ("better", True, 1)
    assert board["first"] == "density_rank"
    expected = {
        "asked": 200,
        "telling": 190,
        "checked": 180,
        "accuracy": 0.97,
        "source": "menagerie",
        "masks": "scenes",
    }
    assert board["scenes"] == expected
    assert [one["name"] for one in board["networks"]] == [f"resnet18 of seed {seed}" for seed in range(3)]
    assert board["python"] == {
        "leaderboard": "import layerscope as ls; ls.figures.leaderboard('leaderboard/resnet18', 'resnet18')",
        "provable": "import layerscope as ls; ls.figures.provable('leaderboard/resnet18', 'resnet18')",
    }
    assert "resnet18" in (tmp_path / "index.html").read_text()


def test_the_index_tells_what_measures_and_scenes_are_worth(tmp_path):
    board = board_of(write_leaderboard(tmp_path))
    assert {one["measure"] for one in board["meta"] if one["passes"] is False} == set(FAILING)
    assert [one["passes"] for one in board["meta"] if one["measure"] == "seconds"] == [None]
    assert not {one["name"] for one in board["measures"] if one["headline"]} & set(FAILING)
    assert [tier["tier"] for tier in board["tiers"]] == list(TIERS)
    exact = [row["right"]["value"] for tier in board["tiers"] for row in tier["rows"] if row["method"] == "exact"]
    assert exact == [1.0] * len(TIERS)
    assert [one["natural"] for one in board["familiar"]] == [True] * 4 + [False] * 2
    assert board["familiar"][-1]["unlike"]["value"] == 0.64


@pytest.mark.parametrize(
    ("against", "ahead"),
    [
        ({"random": "better", "centre": "better", "edges": "better", "even": "better"}, True),
        ({"random": "better", "centre": "better", "edges": "better", "even": None}, True),
        ({"random": "better", "centre": "overlaps", "edges": "better", "even": "better"}, False),
        ({"random": "better", "centre": "better", "edges": "worse", "even": "better"}, False),
        ({"random": None, "centre": "better", "edges": "better", "even": "better"}, False),
        ({"random": None, "centre": None, "edges": None, "even": None}, False),
        (None, False),
    ],
)
def test_ahead_is_what_beats_every_control_that_could_be_compared(tmp_path, against, ahead):
    facts = leaderboard_facts()
    facts["rows"][0]["against"]["mass"] = against
    best, *_, control = board_of(write_facts(tmp_path, facts))["rows"]
    assert ("mass" in best["ahead"]) is ahead
    assert control["ahead"] == []


def test_every_measure_of_the_catalogue_has_a_group_on_the_page():
    script = files("layerscope.site").joinpath("templates", "yardsticks.js").read_text()
    lists = re.findall(r"const BY_\w+ = \[(.*?)\];", script, re.DOTALL)
    grouped = [name for found in lists for name in re.findall(r'"(\w+)"', found)]
    assert sorted(grouped) == sorted(MEASURES)


@pytest.mark.parametrize("empty", [{}, {"meta": [], "tiers": [], "familiar": []}])
def test_parts_that_are_not_there_are_empty(tmp_path, empty):
    facts = leaderboard_facts()
    for part in ("meta", "tiers", "familiar"):
        del facts[part]
    board = board_of(write_facts(tmp_path, {**facts, **empty}))
    assert board["meta"] == board["tiers"] == board["familiar"] == []


def test_a_leaderboard_alone_makes_a_site_and_one_without_rows_none(tmp_path):
    write_leaderboard(tmp_path, rows=[], complete=False)
    assert find_leaderboards(tmp_path) == ()
    with pytest.raises(
        InputError, match="no gallery, no atlas, no hierarchy report, no explanation and no leaderboard below"
    ):
        write_site(tmp_path)
    write_leaderboard(tmp_path)
    assert write_site(tmp_path).is_file()


def test_other_things_have_an_empty_list(tmp_path):
    made_up.write_gallery(tmp_path)
    write_site(tmp_path)
    assert index_of(tmp_path)["leaderboards"] == []


def test_two_of_one_network_are_told_apart_by_their_folders_the_larger_first(tmp_path):
    scenes = leaderboard_facts()["scenes"]
    write_leaderboard(tmp_path, folder="a", scenes={**scenes, "asked": 20, "telling": 19})
    write_leaderboard(tmp_path, folder="b", scenes={**scenes, "asked": 100, "telling": 97})
    write_leaderboard(tmp_path, "alexnet", folder="c")
    titles = [board.title for board in find_leaderboards(tmp_path)]
    assert titles == ["resnet18 (leaderboard/b)", "resnet18 (leaderboard/a)", "alexnet"]


def test_one_of_a_users_images_says_whose_they_are_and_comes_last(tmp_path):
    write_facts(tmp_path, users_facts("resnet18", "photos"), "a")
    write_facts(tmp_path, users_facts("resnet18", "x-rays"), "b")
    write_leaderboard(tmp_path, folder="c")
    titles = [board.title for board in find_leaderboards(tmp_path)]
    assert titles == ["resnet18", "resnet18 on images of photos", "resnet18 on images of x-rays"]


def test_images_say_which_methods_explained_them(tmp_path):
    made_up_explanations.write_explanation(tmp_path)
    write_site(tmp_path)
    (image,) = index_of(tmp_path)["images"]
    assert [method for _, method in image["methods"]] == ["deeplift", "gradcam", "layercam"]  # kernelshap refused
    assert len({question for question, _ in image["methods"]}) == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rows": [{}]}, r"does not describe a leaderboard \(KeyError: 'method'\); measure it again"),
        ({"rows": 3}, "does not describe a leaderboard"),
        ({"measures": [{"name": "a", "title": "a", "words": "", "better": "sideways"}]}, "better='sideways'"),
        (
            {"measures": [{"name": "a", "title": "a", "words": "", "needs": "", "better": "low"}]},
            "KeyError: 'headline'",
        ),
        ({"measures": []}, "no measures"),
        ({"first": "gone"}, "first='gone'"),
        ({"scenes": None}, "does not describe a leaderboard"),
        ({"scenes": {"asked": 3}}, "KeyError: 'source'"),
        ({"networks": None}, "does not describe a leaderboard"),
        ({"meta": [{**FAILED, "missed": 3}]}, "does not describe a leaderboard"),
        ({"meta": [{"measure": "a"}]}, "KeyError: 'passes'"),
        ({"tiers": [{"tier": "a", "title": "a", "words": ""}]}, "KeyError: 'rows'"),
        ({"tiers": [{"tier": "a", "title": "a", "words": "", "rows": []}]}, "KeyError: 'measure_title'"),
        ({"familiar": [{"change": "a", "title": "a"}]}, "KeyError: 'natural'"),
        ({"schema": 1}, "has schema 1, this Layerscope reads 2; measure it again"),
        ({"network": {}}, "does not name its network"),
        ({"reading": None}, "does not describe a leaderboard"),
    ],
)
def test_a_damaged_leaderboard_is_named(tmp_path, change, words):
    write_leaderboard(tmp_path, **change)
    with pytest.raises(InputError, match=words) as error:
        check_site(tmp_path)
    assert "leaderboard.json" in str(error.value)
    assert "\n" not in str(error.value)


def test_somebody_elses_file_of_that_name_is_left_alone(tmp_path):
    made_up.write_gallery(tmp_path)
    (tmp_path / "leaderboard.json").write_text('{"players": ["Ann"]}')
    write_site(tmp_path)
    assert index_of(tmp_path)["leaderboards"] == []


def test_numbers_that_are_none_are_shown_as_unknown(tmp_path):
    facts = leaderboard_facts()
    facts["rows"][0]["part_rank"]["value"] = "0.8"
    facts["rows"][1]["part_rank"] = None
    facts["tiers"][0]["rows"][0]["right"] = None
    (tmp_path / "leaderboard.json").write_text(json.dumps(facts))
    board = board_of(tmp_path)
    assert board["rows"][0]["part_rank"] is None
    assert board["rows"][1]["part_rank"] is None
    assert board["tiers"][0]["rows"][0]["right"] is None
