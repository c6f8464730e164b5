"""Tables hold what is stored of their command, and nothing that was typed."""

from __future__ import annotations

import json
import re

import pytest
import tables
from snippets import ROOT


@pytest.mark.parametrize(
    "path",
    [path for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))) if "<!-- table:" in path.read_text("utf-8")],
    ids=lambda path: path.relative_to(ROOT).as_posix(),
)  # fmt: skip
def test_every_table_is_what_is_stored(path):
    text = path.read_text("utf-8")
    assert text.count("<!-- table:") == len(tables.BLOCK.findall(text)), "a table has no end"
    assert tables.filled(text) == text, f"run: python docs/tables.py {path.relative_to(ROOT)}"


@pytest.fixture
def measured(tmp_path, monkeypatch):
    rows = [
        {"name": "a", "net": {"edge": {"value": 0.123456, "low": 0.1, "high": 0.2}}, "n": 3},
        {"name": "b|c", "net": {}, "n": None},
    ]
    facts = {
        "command": "layerscope measure --all",
        "date": "2026-01-02T03:04",
        "versions": {"torch": "2.9"},
        "threads": 1,
        "machine": "x86_64",
    }
    (tmp_path / "one.json").write_text(json.dumps(facts | {"output": {"rows": rows, "other": [{"x": 1.5}]}}))
    monkeypatch.setattr(tables, "MEASURED", tmp_path)
    return tmp_path


def test_a_table_is_filled_from_the_stored_output(measured):
    filled = tables.filled("<!-- table: layerscope measure --all; columns: name, net.edge, n -->\nold\n<!-- end -->\n")
    assert "| name | edge | n |\n| --- | ---: | ---: |\n| a | 0.12 (0.10 to 0.20) | 3 |\n| b\\|c | - | - |\n" in filled
    assert "*`layerscope measure --all`, 2026-01-02, torch 2.9, 1 thread of x86_64*" in filled
    assert tables.filled(filled) == filled


def test_a_column_with_a_point_in_its_name_is_one(measured):
    assert tables.as_markdown([{"under_0.5": 0.976}]) == "| under_0.5 |\n| ---: |\n| 0.976 |"


def test_rows_and_tables_are_chosen(measured):
    assert "| x |\n| ---: |\n| 1.5 |" in tables.filled(
        "<!-- table: layerscope measure --all; table: other -->\n<!-- end -->"
    )
    filled = tables.filled("<!-- table: layerscope measure --all; columns: name; where: name=a -->\n<!-- end -->")
    assert "| a |" in filled
    assert "b\\|c" not in filled


def test_what_was_not_measured_says_so(measured):
    assert "Not measured yet" in tables.filled("<!-- table: layerscope other -->\n<!-- end -->")


def test_check_finds_a_typed_number_and_changes_nothing(measured, tmp_path, capsys):
    page = tmp_path / "page.md"
    page.write_text("<!-- table: layerscope measure --all; columns: n -->\n<!-- end -->\n")
    assert tables.main([str(page)]) == 0
    typed = page.read_text().replace("| 3 |", "| 4 |")
    page.write_text(typed)
    assert tables.main(["--check", str(tmp_path)]) == 1
    assert page.read_text() == typed
    assert str(page) in capsys.readouterr().out


def test_a_measurement_is_stored_with_its_command_and_without_long_lists(measured):
    path = tables.store(
        "layerscope benchmark world --quick", {"rows": [{"a": 1}], "units": [{}] * 201, "manifest": {"date": "x"}}, 0.5
    )
    assert path.name == "benchmark-world-quick.json"
    facts = json.loads(path.read_text())
    assert (facts["command"], facts["load"], facts["date"]) == ("layerscope benchmark world --quick", 0.5, "x")
    assert facts["output"] == {"rows": [{"a": 1}]}


def test_a_measurement_is_found_by_its_command_with_its_date_whatever_its_manifest_says(measured):
    command = "layerscope benchmark attribution --truth"
    tables.store(command, {"rows": [{"a": 1}], "manifest": {"command": f"{command} --json", "threads": 2}}, 0.0)
    made = tables.stored(command)
    assert made is not None
    assert re.fullmatch(rf"\*`{command}`, \d{{4}}-\d\d-\d\d, torch \S+, 2 threads of \w+\*", made.origin())


def test_no_command_is_stored_twice():
    commands = [tables.read(path).command for path in tables.MEASURED.glob("*.json")]
    assert len(commands) == len(set(commands))


@pytest.fixture
def board(tmp_path, monkeypatch):
    def measure(name, better, headline):
        return {"name": name, "title": name.title(), "better": better, "headline": headline}

    known = {"value": 0.5, "low": 0.25, "high": 0.75}
    facts = {
        "command": "layerscope judge",
        "networks": {"net:b": {"reading": ["One. Two.", "Three."], "refused": [], "scenes": {"telling": 9}}},
        "measures": [measure("rank", "high", True), measure("fall", "low", False), measure("none", "low", True)],
        "tiers": [{"tier": "fall", "title": "a line", "measure": "rank"}],
        "output": {
            "rows": [{"title": "A", "rank": known, "fall": known, "none": None}],
            "provable": [{"title": "A", "fall": known}],
            "meta": [{"measure": "rank", "missed": ["linear", "mark"]}, {"measure": "fall", "missed": []}],
        },
    }
    (tmp_path / "one.json").write_text(json.dumps(facts))
    monkeypatch.setattr(tables, "MEASURED", tmp_path)

    def body(asked):
        filled = tables.filled(f"<!-- table: layerscope judge{asked} -->\n<!-- end -->")
        return filled.removeprefix(f"<!-- table: layerscope judge{asked} -->\n\n").split("\n\n")[0]

    return body


def test_columns_of_measures_are_chosen_by_what_was_stored_and_say_which_way_is_better(board):
    columns = "; columns: title, rank, fall, none"
    value = "0.50 (0.25 to 0.75)"
    assert board(f"{columns}; only: headline") == f"| title | Rank ↑ |\n| --- | ---: |\n| A | {value} |"
    assert board(f"{columns}; only: rest") == f"| title | Fall ↓ |\n| --- | ---: |\n| A | {value} |"
    assert board(columns).startswith("| title | Rank ↑ | Fall ↓ | None ↓ |\n")


def test_columns_of_provable_networks_are_called_by_network_and_measure(board):
    assert board("; table: provable; columns: title, fall").startswith("| title | a line: Rank ↑ |\n")


def test_lists_are_read_as_words(board):
    assert board("; table: meta").endswith("| rank | linear, mark |\n| fall | - |")


def test_what_a_manifest_says_becomes_a_table_or_a_list_of_sentences(board):
    assert board("; table: networks.net:b.reading") == "- One. Two.\n- Three."
    assert board("; table: networks; columns: name, scenes.telling").endswith("| net:b | 9 |")
    assert board("; table: networks.net:b.refused") == "*None.*"
    assert board("; columns: title; where: title=B") == "*None.*"
    assert board("; table: networks.other.reading").startswith("*Not measured yet")
