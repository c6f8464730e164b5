"""Leaderboards as figures: every row at its value, the controls behind, and what cannot be drawn is said."""

from __future__ import annotations

import itertools
import json

import made_up_leaderboards
import pytest
from made_up_leaderboards import CONTROLS, METHODS, TIERS

import layerscope as ls
from layerscope.errors import InputError, UnknownNameError
from layerscope.figures import leaderboard, provable
from layerscope.figures.paper import DPI

NAMES = ("part_rank", "seconds", "deletion")


def interval(value, spread=0.1):
    return {"value": value, "low": value - spread, "high": value + spread, "images": 9}


def row(method, value, control=False):
    told = {"method": method, "title": method.title(), "control": control}
    better = {"random": "better", "edges": "better", "even": None}
    against = {"part_rank": better, "deletion": {**better, "edges": "overlaps"}}
    return {
        **told,
        "against": against if method == "deeplift" else None,
        "part_rank": interval(value),
        "deletion": interval(value),
        "seconds": None if control else 10 * value,
    }


@pytest.fixture
def folder(tmp_path):
    facts = {
        "schema": 2,
        "kind": "leaderboard",
        "network": {"name": "net $x$"},
        "truth": True,
        "scenes": {"telling": 9},
        "seed": 3,
        "command": "ls.leaderboard(...)",
        "first": "part_rank",
        "measures": [
            {"name": name, "title": name, "better": "high" if name == "part_rank" else "low", "headline": name != "seconds"}
            for name in NAMES
        ],
        "meta": [{"measure": "deletion", "passes": False}],
        "rows": [row("lrp", 0.2), row("deeplift", 0.8), row("random", 0.0, True), row("edges", 0.4, True)],
    }  # fmt: skip
    (tmp_path / "leaderboard.json").write_text(json.dumps(facts))
    return tmp_path


def marked(axes):
    return [line for line in axes.lines if line.get_marker() in ("o", "D")]


def dots(axes):
    """Where they lie, by their height."""
    return {place: value for line in marked(axes) for value, place in line.get_xydata().tolist()}


def whiskers(axes):
    """Their ends, by their height."""
    lines = [path.vertices for found in axes.collections for path in found.get_paths()]
    return {line[0][1]: (line[0][0], line[-1][0]) for line in lines}


def labels(axes):
    return [label.get_text() for label in axes.get_yticklabels()]


def filled(axes):
    return {place for line in marked(axes) if line.get_markerfacecolor() != "white" for place in line.get_ydata()}


def test_headline_measures_side_by_side_controls_first_and_methods_from_the_best(folder):
    figure = leaderboard(folder)
    ranks, deletion = figure.axes
    assert (ranks.get_title(loc="left"), deletion.get_title(loc="left")) == ("part_rank", "deletion")
    assert labels(ranks) == ["Random", "Edges", "Deeplift", "Lrp"]
    assert labels(deletion) == [""] * 4
    assert dots(ranks) == dots(deletion) == {0: 0.0, 1: 0.4, 2: 0.8, 3: 0.2}
    assert whiskers(ranks)[2] == pytest.approx((0.7, 0.9))
    assert sorted(whiskers(ranks)) == [0, 1, 2, 3]
    assert "seed 3" in figure.said.words


def test_a_dot_is_filled_where_it_beats_every_map_that_knows_nothing_by_that_measure(folder):
    ranks, deletion = leaderboard(folder).axes
    assert (filled(ranks), filled(deletion)) == ({2}, set())
    assert ranks.get_xlabel() == "higher is better"
    assert deletion.get_xlabel() == "lower is better\nfails its check"
    (best,) = [line for line in ranks.lines if line.get_linestyle() == "--"]
    assert best.get_xdata() == [0.4, 0.4]
    (best,) = [line for line in deletion.lines if line.get_linestyle() == "--"]
    assert best.get_xdata() == [0.0, 0.0]


def test_what_is_compared_on_the_same_images_decides_and_not_how_far_intervals_lie_apart(folder):
    path = folder / "leaderboard.json"
    facts = json.loads(path.read_text())
    facts["rows"][0]["against"] = {"part_rank": {"random": "better", "edges": None, "even": "better"}}
    facts["rows"][1]["against"]["part_rank"]["edges"] = "overlaps"
    path.write_text(json.dumps(facts))
    assert filled(leaderboard(folder).axes[0]) == {3}  # lrp at 0.2, though the edges lie at 0.4


def test_the_leaderboards_first_measure_has_the_first_panel_and_orders_the_rows(folder):
    path = folder / "leaderboard.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "first": "seconds"}))
    figure = leaderboard(folder)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["seconds", "part_rank", "deletion"]
    assert labels(figure.axes[0])[2:] == ["Lrp", "Deeplift"]


def test_the_first_measure_asked_for_orders_the_rows_and_one_that_is_better_low_too(folder):
    (axes,) = leaderboard(folder, measures="seconds").axes
    assert labels(axes) == ["Random", "Edges", "Lrp", "Deeplift"]
    assert dots(axes) == {2: 2.0, 3: 8.0}  # controls have no seconds
    assert axes.get_xscale() == "log"
    assert labels(leaderboard(folder, measures=["seconds", "part_rank"]).axes[0])[2:] == ["Lrp", "Deeplift"]


def test_of_several_the_network_is_found(folder, tmp_path):
    (tmp_path / "net").mkdir()
    facts = json.loads((folder / "leaderboard.json").read_text())
    (folder / "leaderboard.json").unlink()
    (tmp_path / "net" / "leaderboard.json").write_text(json.dumps({**facts, "network": {"name": "net"}}))
    assert dots(leaderboard(tmp_path, "net").axes[0])


@pytest.mark.parametrize("draw", [leaderboard, provable])
def test_a_whole_leaderboard_is_drawn_the_same_each_time_and_inside_its_sheet(tmp_path, draw):
    made_up_leaderboards.write_leaderboard(tmp_path, "net", folder="net")
    figure = draw(tmp_path / "leaderboard" / "net")
    again = draw(tmp_path / "leaderboard", "net")
    first, second = (ls.figures.save(one, tmp_path / "a.svg").read_bytes() for one in (figure, again))
    assert first == second
    box = figure.get_tightbbox()
    assert 0 <= box.x0 < box.x1 <= figure.get_figwidth()
    assert 0 <= box.y0 < box.y1 <= figure.get_figheight()


def test_titles_of_narrow_panels_do_not_overlap(tmp_path):
    made_up_leaderboards.write_leaderboard(tmp_path, "net", folder="net")
    figure = leaderboard(tmp_path / "leaderboard" / "net")
    figure.set_dpi(DPI)  # that it was laid out at
    boxes = [axes._left_title.get_window_extent() for axes in figure.axes]
    assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))


def test_all_measures_stand_in_rows_of_panels(tmp_path):
    made_up_leaderboards.write_leaderboard(tmp_path, "net", folder="net")
    figure = leaderboard(tmp_path / "leaderboard" / "net", measures=list(made_up_leaderboards.MEASURES)[:12])
    assert sum(axes.axison for axes in figure.axes) == 12


def test_provable_networks_are_a_table_of_methods_by_networks(tmp_path):
    made_up_leaderboards.write_leaderboard(tmp_path, "net", folder="net")
    (axes,) = provable(tmp_path / "leaderboard" / "net").axes
    titles = [title for title, *_ in (*CONTROLS.values(), *METHODS.values())]
    assert labels(axes) == [title for title in titles if not title.startswith("Attention")]  # refused by all of them
    assert [label.get_text() for label in axes.get_xticklabels()] == [title for title, *_ in TIERS.values()]
    (exact,) = [text.get_text() for text in axes.texts if text.get_position() == (0.5, 5.53)]
    assert exact == "1.00"


def test_images_of_a_user_have_no_causes_in_their_title_and_no_provable_networks(tmp_path):
    made_up_leaderboards.write_facts(tmp_path, made_up_leaderboards.users_facts(), "u")
    figure = leaderboard(tmp_path / "leaderboard" / "u")
    assert figure.get_suptitle() == "Attribution methods on resnet50, 40 images of photos"
    with pytest.raises(InputError, match="no provable networks; measure it again on scenes with known causes"):
        provable(tmp_path / "leaderboard" / "u")


def test_what_cannot_be_drawn_is_said(folder):
    with pytest.raises(UnknownNameError, match="no network of this leaderboard 'other'"):
        leaderboard(folder, "other")
    with pytest.raises(UnknownNameError, match=r"no measure 'depth'; .*part_rank"):
        leaderboard(folder, measures="depth")
    with pytest.raises(InputError, match="no measures asked for"):
        leaderboard(folder, measures=[])
    facts = json.loads((folder / "leaderboard.json").read_text())
    (folder / "leaderboard.json").write_text(json.dumps({**facts, "rows": []}))
    with pytest.raises(InputError, match="no method has 'part_rank' in this leaderboard yet"):
        leaderboard(folder)
    (folder / "leaderboard.json").write_text(json.dumps({**facts, "first": None}))
    with pytest.raises(InputError, match="nothing is measured in this leaderboard yet"):
        leaderboard(folder)
    (folder / "leaderboard.json").write_text(json.dumps({**facts, "tiers": [{"tier": "a", "title": "a", "rows": []}]}))
    with pytest.raises(InputError, match="no method is judged on the provable networks"):
        provable(folder)
    (folder / "leaderboard.json").write_text(json.dumps({**facts, "schema": 1}))
    with pytest.raises(InputError, match="has schema 1, this Layerscope reads 2"):
        leaderboard(folder)
    with pytest.raises(InputError, match="no folder"):
        leaderboard(folder / "nowhere")
