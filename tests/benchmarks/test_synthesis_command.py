"""`layerscope benchmark synthesis`, made small: all its tables."""

from __future__ import annotations

import json

import pytest
import torch
from small_nets import SmallNet

from layerscope.benchmarks.synthesis import lucent, measure
from layerscope.benchmarks.synthesis.settings import Target
from layerscope.cli import main
from layerscope.models.model import wrap

TINY = measure.Extent(*[(Target("conv2", 16, 1.0, 1.0),)] * 2, 0.02, 2, 2, 1, 2, ("menagerie",), ("conv4",))


@pytest.fixture
def small(monkeypatch):
    torch.manual_seed(0)
    monkeypatch.setattr(measure, "calibrated", lambda: wrap(SmallNet().eval(), 32))
    monkeypatch.setattr(measure, "FULL", TINY)


def test_all_tables_without_lucent(small, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(lucent, "why_not", lambda device="cpu": "Lucent is not installed: here is how")
    assert main(["benchmark", "synthesis", "--rounds", "1", "--json", "--out", str(tmp_path)]) == 0
    made = json.loads(capsys.readouterr().out)
    assert {"rows", "roof", "exactness", "gallery", "objective", "trained"} <= set(made)
    assert [row["lucent_ms"] for row in made["rows"]] == [None, None]
    assert made["manifest"]["threads"] == 1
    assert "Lucent is not installed: here is how" in made["manifest"]["notes"]
    assert (tmp_path / "synthesis.png").stat().st_size > 5000
    assert [row["picture"] for row in made["trained"]] == ["layerscope, 128 px at 224", "layerscope, 48 px"] * 2


def test_all_tables_beside_lucent_for_people(small, monkeypatch, capsys):
    pytest.importorskip("lucent")
    if lucent.why_not():
        pytest.skip(lucent.why_not())
    monkeypatch.setenv("COLUMNS", "400")
    assert main(["benchmark", "synthesis", "--rounds", "1"]) == 0
    said = capsys.readouterr().out
    assert "bounds are kept" in said
    lines = said.splitlines()
    row = next(line for line in lines if line.startswith("conv2  fitted canvas"))
    assert row.split()[-1] in ("yes", "no")
    assert " to " in row
    assert sum(line.startswith("menagerie") and " px" in line for line in lines) == 8


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--networks", "resnet18"], "synthesis is timed on resnet50; leave out --networks"),
        (["--conformance"], "synthesis is timed on resnet50"),
        (["--methods", "lrp"], "--images, --masks and --methods are of attribution"),
        (["--rounds", "0"], "no rounds: there is nothing to do; give 1 or more"),
    ],
)
def test_options_that_synthesis_has_not(capsys, options, words):
    assert main(["benchmark", "synthesis", *options]) == 2
    assert words in capsys.readouterr().err
