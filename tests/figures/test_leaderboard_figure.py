"""The leaderboard as a figure: every row at its value, the controls behind, and what cannot be drawn is said."""

from __future__ import annotations

import json

import pytest

from layerscope.errors import InputError, UnknownNameError
from layerscope.figures.leaderboard_plot import leaderboard


def interval(value):
    return {"value": value, "low": value - 0.1, "high": value + 0.1, "images": 9}


def row(method, value, control=False, beats=False):
    told = {"method": method, "title": method.title(), "control": control, "beats_controls": beats}
    return {**told, "part_rank": interval(value), "seconds": None if control else 10 * value}


@pytest.fixture
def folder(tmp_path):
    facts = {
        "schema": 1,
        "kind": "leaderboard",
        "network": {"name": "net $x$"},
        "scenes": {"telling": 9},
        "seed": 3,
        "command": "ls.leaderboard(...)",
        "measures": [
            {"name": name, "title": name, "better": better}
            for name, better in (("part_rank", "high"), ("seconds", "low"))
        ],
        "rows": [row("lrp", 0.2), row("deeplift", 0.8, beats=True), row("random", 0.0, True), row("edges", 0.4, True)],
    }
    (tmp_path / "leaderboard.json").write_text(json.dumps(facts))
    return tmp_path


def dots(figure):
    """Where the one-point lines lie, by their height."""
    points = [line.get_xydata()[0].tolist() for line in figure.axes[0].lines if line.get_marker() in ("o", "D")]
    return {place: value for value, place in points}


def labels(figure):
    return [label.get_text() for label in figure.axes[0].get_yticklabels()]


def test_controls_come_first_and_methods_from_the_best(folder):
    figure = leaderboard(folder)
    assert [label.split()[0] for label in labels(figure)] == ["Random", "Edges", "Deeplift", "Lrp"]
    assert dots(figure) == {0: 0.0, 1: 0.4, 2: 0.8, 3: 0.2}
    assert figure.axes[0].get_xlabel() == "part_rank, higher is better; mean and 95 % interval over scenes"
    ends = [[*line.get_xdata()] for line in figure.axes[0].lines if [*line.get_ydata()] == [2, 2]]
    assert ends == [pytest.approx([0.7, 0.9])]
    filled = [line.get_markerfacecolor() != "white" for line in figure.axes[0].lines if line.get_marker() == "o"]
    assert filled == [True, False]
    assert "seed 3" in figure.said.words


def test_a_measure_that_is_better_low_is_ordered_so(folder):
    figure = leaderboard(folder, measure="seconds")
    assert [label.split()[0] for label in labels(figure)] == ["Lrp", "Deeplift"]  # controls have no seconds
    assert figure.axes[0].get_xscale() == "log"


def test_of_several_the_network_is_found(folder, tmp_path):
    (tmp_path / "net").mkdir()
    facts = json.loads((folder / "leaderboard.json").read_text())
    (folder / "leaderboard.json").unlink()
    (tmp_path / "net" / "leaderboard.json").write_text(json.dumps({**facts, "network": {"name": "net"}}))
    assert dots(leaderboard(tmp_path, "net"))


def test_what_cannot_be_drawn_is_said(folder):
    with pytest.raises(UnknownNameError, match="no network of this leaderboard 'other'"):
        leaderboard(folder, "other")
    with pytest.raises(UnknownNameError, match=r"no measure 'depth'; .*part_rank"):
        leaderboard(folder, measure="depth")
    facts = json.loads((folder / "leaderboard.json").read_text())
    (folder / "leaderboard.json").write_text(json.dumps({**facts, "rows": []}))
    with pytest.raises(InputError, match="no method has 'part_rank' in this leaderboard yet"):
        leaderboard(folder)
    with pytest.raises(InputError, match="no folder"):
        leaderboard(folder / "nowhere")
