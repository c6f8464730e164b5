"""`layerscope gallery --plan`: a table or JSON of what it will take, nothing on disk; and bars that keep to the work."""

from __future__ import annotations

import json

import pytest

from layerscope.cli import main, output, planning
from layerscope.cli.progress import progress_bar
from layerscope.engine import usable_cores
from layerscope.types import Counted

NETWORK = """
from torch import nn
import layerscope as ls

def net():
    layers = nn.Conv2d(3, 4, 5, 2, 2), nn.ReLU(), nn.Conv2d(4, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 2)
    return ls.wrap(nn.Sequential(*layers), 32, name="net", class_names=["no", "yes"])
"""


@pytest.fixture
def command(tmp_path) -> list[str]:
    (tmp_path / "net.py").write_text(NETWORK)
    out = str(tmp_path / "out")
    return ["gallery", f"{tmp_path / 'net.py'}:net", "--recipe", "draft", "--probe", "none", "--out", out]


def test_a_plan_is_a_table_and_makes_nothing(capsys, command, tmp_path):
    assert main([*command, "--plan"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["layer", "units", "made", "picture", "canvas", "steps", "batch", "core", "time"]
    assert [line.split()[:4] for line in lines[1:4]] == [["0", "4", "0", "32"], ["2", "6", "0", "32"], ["6", "2", "0", "32"]]  # fmt: skip
    assert lines[5].startswith("net: 12 units of 3 layers: ")
    assert lines[5].endswith(" in this process")
    assert [path.name for path in tmp_path.iterdir()] == ["net.py"]


def test_a_plan_as_json_knows_what_is_there_and_the_workers(capsys, command):
    assert main([*command, "--units", "2:3", "--quiet"]) == 0
    capsys.readouterr()
    assert main([*command, "--units", "2", "--plan", "--json", "--engine", "processes:2"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert [(row["layer"], row["units"], row["found"]) for row in facts["layers"]] == [("2", 6, 1)]
    assert facts["workers"] == min(2, usable_cores())
    assert 0 < facts["seconds"] <= facts["core_seconds"]


def test_seeds_are_planned(capsys, command):
    assert main([*command, "--plan", "--json", "--seeds", "3"]) == 0
    three = json.loads(capsys.readouterr().out)
    assert three["seeds"] == 3


def test_a_plan_for_no_engine_is_refused(capsys, command):
    assert main([*command, "--plan", "--engine", "threads"]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: no engine 'threads'")


def test_more_processes_than_cores_are_no_more_workers():
    assert planning._workers("local") is None
    assert planning._workers(f"processes:{usable_cores() + 1}") == usable_cores()


def test_the_time_left_is_that_of_the_work_and_the_count_that_of_units(capsys, monkeypatch):
    """Half of the units are a tenth of the work: after 10 seconds of that, 90 are left."""
    clock = iter([0.0, 0.0, 10.0, 10.0])
    monkeypatch.setattr("layerscope.cli.progress.time.monotonic", lambda: next(clock))
    output.begin()
    output.speak(True)
    with progress_bar("title") as report:
        report(Counted(0, 0.0), 8, "conv1")
        report(Counted(4, 0.1), 8, "conv1")
    output.begin()
    assert capsys.readouterr().err.splitlines() == ["title: conv1 0/8", "title: conv1 4/8, 90 s left"]
