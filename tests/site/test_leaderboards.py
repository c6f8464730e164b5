"""Leaderboards as the site reads them: whole, in order, and refused with the file's name where they are damaged."""

from __future__ import annotations

import json

import made_up
import made_up_explanations
import pytest
from made_up_leaderboards import METHODS, leaderboard_facts, write_leaderboard
from reading import index_of

from layerscope.errors import InputError
from layerscope.site.leaderboards import find_leaderboards
from layerscope.site.pages import check_site, write_site


def test_the_index_tells_all_rows(tmp_path):
    write_site(write_leaderboard(tmp_path))
    (board,) = index_of(tmp_path)["leaderboards"]
    assert board["title"] == board["network"]["name"] == "resnet18"
    assert [row["method"] for row in board["rows"] if not row["control"]] == sorted(
        METHODS, key=lambda name: -METHODS[name][0]
    )
    best = board["rows"][0]
    assert best["part_rank"] == {"value": 0.8, "low": 0.75, "high": 0.85, "images": 90}
    assert best["seconds"] == {"value": 0.02, "low": None, "high": None, "images": None}
    assert (best["against"], best["beats"], best["rank"]) == ("better", True, 1)
    assert board["scenes"] == {"asked": 100, "telling": 90, "accuracy": 0.97}
    assert board["python"] == "import layerscope as ls; ls.figures.leaderboard('leaderboard/resnet18', 'resnet18')"
    assert "resnet18" in (tmp_path / "index.html").read_text()


def test_a_leaderboard_alone_makes_a_site_and_one_without_rows_none(tmp_path):
    write_leaderboard(tmp_path, rows=[], complete=False)
    assert find_leaderboards(tmp_path) == ()
    with pytest.raises(InputError, match="no gallery, no hierarchy report, no explanation and no leaderboard below"):
        write_site(tmp_path)
    write_leaderboard(tmp_path)
    assert write_site(tmp_path).is_file()


def test_other_things_have_an_empty_list(tmp_path):
    made_up.write_gallery(tmp_path)
    write_site(tmp_path)
    assert index_of(tmp_path)["leaderboards"] == []


def test_two_of_one_network_are_told_apart_by_their_folders_the_larger_first(tmp_path):
    write_leaderboard(tmp_path, folder="a", scenes={"asked": 20, "telling": 19})
    write_leaderboard(tmp_path, folder="b", scenes={"asked": 100, "telling": 97})
    write_leaderboard(tmp_path, "alexnet", folder="c")
    titles = [board.title for board in find_leaderboards(tmp_path)]
    assert titles == ["resnet18 (leaderboard/b)", "resnet18 (leaderboard/a)", "alexnet"]


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
        ({"measures": []}, "no measures"),
        ({"scenes": None}, "does not describe a leaderboard"),
        ({"schema": 9}, "has schema 9, this Layerscope reads 1; measure it again"),
        ({"network": {}}, "does not name its network"),
        ({"reading": None}, "does not describe a leaderboard"),
    ],
)
def test_a_damaged_leaderboard_is_named(tmp_path, change, words):
    write_leaderboard(tmp_path, **change)
    with pytest.raises(InputError, match=words) as error:
        check_site(tmp_path)
    assert "leaderboard.json" in str(error.value)


def test_somebody_elses_file_of_that_name_is_left_alone(tmp_path):
    made_up.write_gallery(tmp_path)
    (tmp_path / "leaderboard.json").write_text('{"players": ["Ann"]}')
    write_site(tmp_path)
    assert index_of(tmp_path)["leaderboards"] == []


def test_numbers_that_are_none_are_shown_as_unknown(tmp_path):
    facts = leaderboard_facts()
    facts["rows"][0]["part_rank"]["value"] = "0.8"
    facts["rows"][1]["part_rank"] = None
    (tmp_path / "leaderboard.json").write_text(json.dumps(facts))
    write_site(tmp_path)
    (board,) = index_of(tmp_path)["leaderboards"]
    assert board["rows"][0]["part_rank"] is None
    assert board["rows"][1]["part_rank"] is None
