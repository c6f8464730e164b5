"""Every method has its page, with its source, and no page is of something else."""

from __future__ import annotations

import json

import method_pages
import pytest
import reference_pages
from snippets import ROOT

import layerscope as ls

TEXTS = ROOT / "docs/methods"


def test_every_method_has_a_page_and_every_page_a_method():
    assert {path.stem for path in TEXTS.glob("*.md")} == {"index", *ls.METHODS}


@pytest.mark.parametrize("name", list(ls.METHODS))
def test_a_page_has_each_section_and_says_what_the_package_says(name):
    written = (TEXTS / f"{name}.md").read_text("utf-8")
    sections = [line.removeprefix("## ") for line in written.splitlines() if line.startswith("#")]
    assert sections == list(method_pages.SECTIONS)
    _, formula, misleads = written.split("## ")
    assert "```math\n" in formula
    assert len(misleads.split()) > 20
    page = method_pages.complete(name, written)
    method = ls.METHODS[name]
    for fact in (
        f"# {method.title}\n",
        method.about,
        method.source,
        method.cost,
        written,
        "## Measured",
        *method.options(),
    ):
        assert fact in page


def test_a_score_comes_from_the_stored_leaderboard_beside_its_controls(tmp_path, monkeypatch):
    rank = {"value": 0.5, "low": 0.25, "high": 0.75, "images": 3}
    rows = [
        {
            "method": "deeplift",
            "title": "DeepLift",
            "network": "net",
            "control": False,
            "part_rank": rank,
            "seconds": 0.1,
        },
        {"method": "lrp", "title": "LRP", "network": "net", "control": False, "part_rank": rank, "seconds": 0.2},
        {"method": "edges", "title": "Edges", "network": "net", "control": True, "part_rank": rank, "seconds": None},
    ]
    path = tmp_path / "leaderboard.json"
    path.write_text(json.dumps({"rows": rows, "manifest": {"command": "measure --json", "date": "2026-01-02"}}))
    monkeypatch.setattr("tables.MEASURED", tmp_path)
    monkeypatch.setattr(method_pages, "LEADERBOARD", "measure")
    said = method_pages.score("deeplift")
    assert "| **DeepLift** | net | 0.50 (0.25 to 0.75) | 0.1 |" in said
    assert "Edges (control)" in said
    assert "LRP" not in said
    assert "`measure`, 2026-01-02" in said
    assert "has no row" in method_pages.score("occlusion")
    assert "No score" in method_pages.score("conductance")


def test_the_advice_says_which_methods_beat_what_knows_no_network(tmp_path, monkeypatch):
    monkeypatch.setattr("tables.MEASURED", tmp_path)
    monkeypatch.setattr(method_pages, "LEADERBOARD", "measure")
    assert method_pages.finding() == "Not measured yet: `measure` does it."
    rows = [
        {"title": title, "network": network, "control": control, "beats_controls": beats}
        for title, network, control, beats in (
            ("A", "one", False, True),
            ("B", "one", False, False),
            ("Edges", "one", True, None),
            ("A", "two", False, False),
        )
    ]
    (tmp_path / "measure.json").write_text(json.dumps({"rows": rows, "manifest": {"command": "measure --json"}}))
    assert method_pages.finding().endswith("of 2 methods on `one`, A; of 1 methods on `two`, none.")
    assert "<!-- finding -->" in (TEXTS / "index.md").read_text("utf-8")


def test_the_reference_shows_every_public_name_once():
    shown = "\n".join(text for _, _, text in reference_pages.pages())
    assert set(reference_pages.public()) == set(ls.__all__)
    for name in ls.__all__:
        assert shown.count(f"heading: layerscope.{name}\n") == 1
