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


RANK = {"value": 0.5, "low": 0.25, "high": 0.75, "images": 3}


def _row(method, title, control=False, **values):
    return {"method": method, "title": title, "network": "net", "control": control, "seconds": None, **values}


def _store(tmp_path, monkeypatch, rows, **more):
    """What a leaderboard said, as it is stored; more: other tables, and what its manifest says."""
    facts = {"command": "measure --json", "date": "2026-01-02", **more.pop("facts", {})}
    (tmp_path / "leaderboard.json").write_text(json.dumps({"rows": rows, **more, "manifest": facts}))
    monkeypatch.setattr("tables.MEASURED", tmp_path)
    monkeypatch.setattr(method_pages, "LEADERBOARD", "measure")


def test_a_score_comes_from_the_stored_leaderboard_beside_its_controls(tmp_path, monkeypatch):
    rows = [
        _row("deeplift", "DeepLift", part_rank=RANK, seconds=0.1),
        _row("lrp", "LRP", part_rank=RANK, seconds=0.2),
        _row("edges", "Edges", control=True, part_rank=RANK),
        _row("exact", "Exact", control=True, part_rank=RANK),
    ]
    _store(tmp_path, monkeypatch, rows)
    said = method_pages.score("deeplift")
    assert "**On `net`**\n\n| measure | **DeepLift** | Edges |\n| --- | ---: | ---: |\n" in said
    assert "| part rank ↑ | 0.50 (0.25 to 0.75) | 0.50 (0.25 to 0.75) |\n| seconds ↓ | 0.1 | - |" in said
    assert "LRP" not in said
    assert "Exact" not in said
    assert "provable" not in said
    assert "`measure`, 2026-01-02" in said
    assert "has no row" in method_pages.score("occlusion")
    assert "No score" in method_pages.score("conductance")


def test_a_score_is_of_headline_measures_and_of_networks_whose_answer_is_provable(tmp_path, monkeypatch):
    values = {"part_rank": RANK, "mass": RANK, "deletion": RANK}
    rows = [
        {**_row("deeplift", "DeepLift", **values), "network": network, "beats_controls": True}
        for network in ("net", "other")
    ]
    measures = [
        {"name": name, "title": title, "better": better, "headline": first}
        for name, title, better, first in (
            ("part_rank", "part rank", "high", False),
            ("mass", "mass", "high", True),
            ("deletion", "deletion", "low", True),
        )
    ]
    tiers = [{"tier": name, "title": f"the {name}", "measure": "part_rank"} for name in ("line", "sum")]
    provable = [
        {"method": "deeplift", "title": "DeepLift", "control": False, "line": RANK, "sum": None},
        {"method": "even", "title": "Even", "control": True, "line": RANK, "sum": RANK},
        {"method": "lrp", "title": "LRP", "control": False, "line": RANK, "sum": RANK},
    ]
    _store(tmp_path, monkeypatch, rows, provable=provable, facts={"measures": measures, "tiers": tiers})
    said = method_pages.score("deeplift")
    assert said.count("| mass ↑ |") == said.count("| deletion ↓ |") == 2
    assert "| part rank ↑ |" not in said
    proved = said.split("provable**")[1]
    assert "| measure | **DeepLift** | Even |" in proved
    assert "| the line: part rank ↑ | 0.50 (0.25 to 0.75) | 0.50 (0.25 to 0.75) |" in proved
    assert "the sum" not in proved


def test_the_advice_says_which_methods_beat_what_knows_no_network(tmp_path, monkeypatch):
    monkeypatch.setattr("tables.MEASURED", tmp_path)
    monkeypatch.setattr(method_pages, "LEADERBOARD", "measure")
    assert method_pages.finding() == "Not measured yet: `measure` does it."
    rows = [
        _row(title, title, control, beats_controls=beats, part_rank=RANK, mass=RANK) | {"network": network}
        for title, network, control, beats in (
            ("A", "one", False, True),
            ("B", "one", False, False),
            ("Edges", "one", True, None),
            ("A", "two", False, False),
        )
    ]
    meta = [{"network": "two", "measure": "part_rank", "passes": False}]
    _store(tmp_path, monkeypatch, rows, meta=meta)
    assert method_pages.finding().endswith(
        "are: on `one`, by part rank, A of 2 methods; on `two`, by mass, none of 1 methods."
    )
    assert "<!-- finding -->" in (TEXTS / "index.md").read_text("utf-8")


def test_the_reference_shows_every_public_name_once():
    shown = "\n".join(text for _, _, text in reference_pages.pages())
    assert set(reference_pages.public()) == set(ls.__all__)
    for name in ls.__all__:
        assert shown.count(f"heading: layerscope.{name}\n") == 1


def test_the_reference_shows_what_a_package_imports_lazily():
    import layerscope.figures

    shown = "\n".join(text for _, _, text in reference_pages.pages())
    for name in layerscope.figures.__all__:
        assert shown.count(f"heading: layerscope.figures.{name}\n") == 1
