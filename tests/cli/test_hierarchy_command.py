"""`layerscope hierarchy`: the finding in words, a row for each layer, JSON, and refusals in one line."""

from __future__ import annotations

import json
import re
from concurrent.futures import Executor
from itertools import pairwise

import pytest
import torch
from small_exhibits import small_reports
from small_nets import seeded
from torch import nn

from layerscope.cli import main, making
from layerscope.cli.hierarchy import planned
from layerscope.errors import InputError
from layerscope.models.model import VisionModel, wrap
from layerscope.studies.hierarchy import Plan


def network() -> VisionModel:
    widths = (3, 6, 8)
    parts = [
        part
        for before, width in pairwise(widths)
        for part in (nn.Conv2d(before, width, 5, 2, 2, bias=False), nn.BatchNorm2d(width), nn.ReLU())
    ]
    return wrap(seeded(nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3))), 32, name="small")


@pytest.fixture(scope="module", autouse=True)
def _small():
    with small_reports(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(making, "open_network", lambda spec, weights: network())
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("command")


def hierarchy(*arguments: str) -> int:
    return main(["hierarchy", *arguments])


def test_the_finding_is_said_and_then_the_layers(folder, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "1000")  # narrower ones get several lines for each row
    assert hierarchy("--out", str(folder)) == 0
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert lines[0].startswith("No hierarchy shown: ")
    assert lines[2].split() == [
        "layer",
        "units",
        "edge",
        "colour",
        "colour-edge",
        "texture",
        "part",
        "object",
        "any",
        "twins",
        "depth",
    ]
    assert [line.split()[:2] for line in lines[3:5]] == [["2", "6"], ["5", "8"]]
    assert lines[8].split() == ["layer", "edge", "texture", "shape", "object", "configuration"]
    assert [line.split()[0] for line in lines[9:11]] == ["2", "5"]
    assert all(re.fullmatch(r"[01]\.\d\d/[01]\.\d\d\+?", cell) for line in lines[9:11] for cell in line.split()[1:])
    assert any(line.startswith("held-out twins: ") and "all of these are false" in line for line in lines)
    assert lines[-3].startswith("tables and record in ")
    assert lines[-1].startswith("open file://")
    assert "hierarchy: 4 networks, yours and its random twins, with " in said.err
    assert len(list((folder / "hierarchy").rglob("units.csv"))) == 1


def test_json_has_all_facts(folder, capsys):
    assert hierarchy("--out", str(folder), "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["shown"] is False
    assert len(facts["units"]) == 14
    assert {row["name"] for row in facts["layers"]} == {"2", "5"}
    assert facts["units"][0]["layer"] == "2"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--profile", "thorough"], "error: no profile 'thorough'; there are: quick, full"),
        (["--engine", "process:2"], "error: no engine 'process:2'; nearest: processes:N"),
        (["--seed", "99999999999999"], "error: seed=99999999999999; give a whole number from 0 to 4,294,967,295"),
        (["--probe", "menagery"], "error: no folder 'menagery'; give 'menagerie', or a folder that holds one folder of pictures per class"),
    ],
)  # fmt: skip
def test_refusals_are_one_line(tmp_path, capsys, arguments, message):
    assert hierarchy("--out", str(tmp_path), *arguments) == 2
    assert capsys.readouterr().err.splitlines() == [message]
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_said_before_the_plan(tmp_path, capsys):
    (tmp_path / "hierarchy").write_text("")
    assert hierarchy("--out", str(tmp_path)) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith("error: cannot write ")
    assert said.endswith(" is a file, not a folder; give another folder or move the file away")


def test_the_engine_gets_the_work(tmp_path, capsys, monkeypatch):
    found = []

    def made(model: VisionModel, *given: object, executor: Executor, **how: object) -> None:
        found.append(executor.submit(torch.get_num_threads).result())
        raise InputError("that was all")

    monkeypatch.setattr("layerscope.studies.hierarchy.hierarchy", made)
    assert hierarchy("--out", str(tmp_path), "--engine", "processes:1") == 2
    assert found == [1]
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("hierarchy: 4 networks, ")
    assert said[0].endswith(" on 1 worker with a core each")
    assert said[-1] == "error: that was all"


def test_plans_are_said_in_seconds_or_minutes():
    assert planned(Plan(6, 1000, 90.2)) == "6 networks, yours and its random twins, with 1000 images each: about 90 s"
    assert planned(Plan(6, 1000, 240)).endswith(": about 4 minutes")
    assert planned(Plan(6, 1000, 240, workers=2)).endswith(": about 4 minutes on 2 workers with a core each")
