"""`layerscope layers`: what it says of a network, for people at any width and for machines."""

from __future__ import annotations

import json
import math
import subprocess
import sys

import pytest
import torch
from rich.cells import cell_len

from layerscope.capture.layers import Layer
from layerscope.capture.uncalled import Parametrised, Uncalled, parametrised, uncalled
from layerscope.cli import layer_table, main
from layerscope.models.sources import load_model

NETWORKS = """
import torch
from torch import nn
import torch.nn.functional as F
import layerscope as ls

class Net(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.first, self.relu, self.head = nn.Conv2d(channels, 4, 5, 2, 2), nn.ReLU(), nn.Linear(4, 2)
        self.parts = nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4)])
        self.drop, self.scale = nn.Dropout(), nn.Parameter(torch.ones(1))

    def forward(self, x):
        x = self.relu(self.first(x)).mean((2, 3)) * self.scale
        for part in self.parts:
            x = F.linear(x, part.weight, part.bias)
        return self.head(x)

def net(channels=3):
    return ls.wrap(Net(channels), 32, name="net")

def grey():
    return net(1)

def spectral():
    return net(5)

def silent():
    class Silent(nn.Module):
        def forward(self, x):
            return x
    return Silent()

def nothing():
    class Nothing(nn.Module):
        def __init__(self):
            super().__init__()
            self.part = nn.Identity()
        def forward(self, x):
            self.part(0)
            return x
    return Nothing()

def loud():
    print("made")
    class Loud(nn.Sequential):
        def forward(self, x):
            print("run")
            return super().forward(x)
    return ls.wrap(Loud(nn.Conv2d(3, 4, 3)), 16)

def chinese():
    parts = {"卷积层": nn.Conv2d(3, 4, 3), "relu": nn.ReLU(), "一个相当长的卷积层名字" * 3: nn.Conv2d(4, 4, 3)}
    net = nn.Sequential()
    for name, part in parts.items():
        net.add_module(name, part)
    return ls.wrap(net, 16)
"""


@pytest.fixture(autouse=True)
def unlimited_width(monkeypatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture
def network(tmp_path) -> str:
    path = tmp_path / "nets.py"
    path.write_text(NETWORKS)
    return f"{path}:net"


def said(capsys, *arguments: str) -> str:
    assert main(["layers", *arguments]) == 0
    return capsys.readouterr().out


def test_table_and_what_hooks_do_not_see(capsys, network):
    lines = said(capsys, network).splitlines()
    assert lines[0] == (
        f"{network}: 355 parameters, 32 x 32 px, 3 channels, mean 0.485 0.456 0.406, std 0.229 0.224 0.225, "
        "input as in the file, weights of the file"
    )
    assert lines[2].split() == ["name", "kind", "shape", "units", "axis", "stride", "field", "offset"]
    assert lines[3].split() == ["first", "Conv2d", "4", "x", "16", "x", "16", "4", "1", "2", "5", "0"]
    assert lines[5].split() == ["head", "Linear", "2", "2", "1", "-", "all", "-"]
    assert lines[7].startswith("field: side in pixels of what one position sees; all: the whole image. offset: ")
    assert lines[9:] == [
        "Never called, so that no hook fires there:",
        "  2 x Linear: weights used functionally by the network; parts.0, parts.1",
        "  drop (Dropout): the network runs without it",
        "",
        "Parameters that no leaf holds:",
        "  the network itself (Net): scale",
    ]


def test_json(capsys, network):
    facts = json.loads(said(capsys, network, "--json"))
    assert facts["model"] == network
    assert (facts["parameters"], facts["input_size"], facts["channels"]) == (355, 32, 3)
    assert (facts["mean"], facts["input_from"]) == ([0.485, 0.456, 0.406], "the file")
    assert [layer["receptive_field"] for layer in facts["layers"]] == [5, 5, None]
    assert [layer["status"] for layer in facts["layers"]] == ["exact", "exact", "whole image"]
    assert facts["uncalled"][2] == {"name": "drop", "kind": "Dropout", "why": "the network runs without it"}
    assert facts["parametrised"] == [{"name": "", "kind": "Net", "parameters": ["scale"]}]
    assert "effective" not in facts["layers"][0]


def test_effective_fields(capsys, network):
    facts = json.loads(said(capsys, network, "--effective", "--json"))
    measured = {layer["name"]: layer["effective"] for layer in facts["layers"]}
    assert 3 <= measured["first"] <= 5
    assert measured["head"] is None
    lines = said(capsys, network, "--effective").splitlines()
    assert lines[2].split()[-1] == "effective"
    assert lines[3].split()[-1] == f"{measured['first']:.1f}"
    assert lines[5].split()[-1] == "-"


@pytest.mark.parametrize(("function", "channels"), [("grey", 1), ("spectral", 5)])
def test_other_numbers_of_channels_throughout(capsys, network, tmp_path, function, channels):
    spec = network.replace(":net", f":{function}")
    plural = "s" if channels > 1 else ""
    means = " ".join(["0.5"] * channels)
    assert f"32 x 32 px, {channels} channel{plural}, mean {means}, std {means}," in said(capsys, spec)
    command = ["gallery", spec, "--units", "first:1", "--units", "head", "--recipe", "draft", "--probe", "none"]
    assert main([*command, "--out", str(tmp_path / "out")]) == 0
    assert "3 pictures made" in capsys.readouterr().out


@pytest.mark.parametrize(
    "command", [["layers"], ["gallery", "--units", "head:0", "--recipe", "draft", "--probe", "none"]]
)
def test_a_file_that_is_run_is_said_in_one_line(capsys, network, tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    assert main([command[0], network, *command[1:]]) == 0
    file = network.rpartition(":")[0]
    warnings = [line for line in capsys.readouterr().err.splitlines() if line.startswith("running ")]
    assert warnings == [f"running {file} for net(): all code in it; open only files that you trust"]


def test_nothing_is_said_to_run_where_nothing_is(capsys, tmp_path):
    assert main(["layers", "menagerie"]) == 0
    assert capsys.readouterr().err == ""
    assert main(["layers", "nowhere.py:net"]) == 2
    assert capsys.readouterr().err == "error: no file 'nowhere.py'; the form is path/to/file.py:function\n"


def test_nothing_to_list(capsys, network):
    assert main(["layers", network.replace(":net", ":silent")]) == 2
    assert "silent' is a single Silent, without parts to list; nothing to list" in capsys.readouterr().err
    assert main(["layers", network.replace(":net", ":nothing")]) == 2
    assert "no layers that put out tensors with one entry per image; nothing to list" in capsys.readouterr().err


def test_what_the_network_prints_is_no_part_of_the_list(capsys, network):
    assert main(["layers", network.replace(":net", ":loud"), "--json"]) == 0
    made = capsys.readouterr()
    assert json.loads(made.out)["layers"][0]["name"] == "0"
    assert {"made", "run"} <= set(made.err.splitlines())


def test_a_reader_that_leaves_is_no_error():
    command = [sys.executable, "-m", "layerscope", "layers", "menagerie"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.close()
        assert running.stderr.read() == b""
    assert running.returncode == 0


def test_wide_characters_stay_in_their_columns(capsys, network, monkeypatch):
    spec = network.replace(":net", ":chinese")
    starts = {
        cell_len(line.partition(kind)[0])
        for line in said(capsys, spec).splitlines()
        for kind in ("Conv2d", "ReLU")
        if kind in line
    }
    assert len(starts) == 1
    monkeypatch.setenv("COLUMNS", "60")
    table = said(capsys, spec).split("\n\n")[1]
    assert "…" in table
    assert max(map(cell_len, table.splitlines())) <= 60


@pytest.mark.parametrize("name", ["vit_b_32", "swin_t", "resnet18"])
def test_no_line_is_wider_than_the_terminal(name):
    model = load_model(f"torchvision:{name}", weights="none")
    leaves, owners = uncalled(model, (3, 224, 224)), parametrised(model)
    for width in (44, 80, 200):
        table = layer_table.layer_table(model.layers(), width)
        texts = (
            layer_table.headline(layer_table.facts_of(model, name), width),
            table,
            layer_table.unseen(leaves, owners, width),
        )
        assert max(len(line) for text in texts for line in text.splitlines()) <= width
        header = table.splitlines()[0].split()
        assert {"name", "units", "field"} <= set(header)
        missing = {"kind", "shape", "axis", "stride", "offset"} - set(header)
        words = " ".join(table.splitlines())
        left_out = words.partition("Left out for want of room: ")[2].partition(" (all with --json)")[0]
        assert set(filter(None, left_out.split(", "))) == missing
        assert bool(missing) == (width < 100)


def test_the_terminal_decides_how_wide(capsys, network, monkeypatch):
    for columns in ("40", "1"):
        monkeypatch.setenv("COLUMNS", columns)
        assert 30 < max(map(len, said(capsys, network).splitlines())) <= 40


def test_a_headline_of_published_weights(capsys, tmp_path, monkeypatch):
    from torchvision import models

    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    url = models.ResNet18_Weights.DEFAULT.url
    torch.save(models.resnet18(weights=None).state_dict(), folder / url.rpartition("/")[2])
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert said(capsys, "torchvision:resnet18").splitlines()[0] == (
        "torchvision:resnet18: 11,689,512 parameters, 224 x 224 px, 3 channels, mean 0.485 0.456 0.406, "
        "std 0.229 0.224 0.225, weights published (ResNet18_Weights.IMAGENET1K_V1)"
    )
    random = said(capsys, "torchvision:resnet18", "--weights", "none").splitlines()[0]
    assert random.endswith(", input as in ResNet18_Weights.IMAGENET1K_V1, random weights")


def layer(name: str, status: str) -> Layer:
    return Layer(name, "Conv2d", (8, 4, 4), 1, 8, 2, None if status in ("whole image", "unknown") else 99, 0.5, status)


def test_marks_of_fields_and_only_the_words_that_are_needed():
    table = layer_table.layer_table([layer("a", "exact"), layer("b", "upper bound"), layer("c", "unknown")], 200)
    assert [line[-14:-8].strip() for line in table.splitlines()[:4]] == ["field", "99", "<= 99", "?"]
    assert "<= at most that; ?: unknown. offset" in table
    assert "all:" not in table
    effective = layer_table.layer_table([layer("a", "exact"), layer("b", "exact")], 200, {"a": 41.25, "b": math.nan})
    assert [line.split()[-1] for line in effective.splitlines()[:3]] == ["effective", "41.2", "-"]


def test_reasons_are_grouped_where_each_parent_is_to_blame():
    leaves = [
        Uncalled(f"blocks.{index}.proj", "Linear", f"weights used functionally by 'blocks.{index}'")
        for index in range(5)
    ]
    leaves += [
        Uncalled(f"blocks.{index}.drop", "Drop", f"its parent 'blocks.{index}' runs without it") for index in range(2)
    ]
    leaves += [Uncalled("a.b.c", "Linear", "weights used functionally by 'a'")]
    assert layer_table.unseen(leaves, [], 200).splitlines()[1:] == [
        "  5 x Linear: weights used functionally by their parents; blocks.0.proj, blocks.1.proj, blocks.2.proj, …",
        "  2 x Drop: their parents run without them; blocks.0.drop, blocks.1.drop",
        "  a.b.c (Linear): weights used functionally by 'a'",
    ]
    assert layer_table.unseen([], [], 200) == ""
    owners = [Parametrised("a", "Scale", ("x", "y")), Parametrised("b", "Scale", ("x", "y"))]
    assert layer_table.unseen([], owners, 200).splitlines() == [
        "Parameters that no leaf holds:",
        "  2 x Scale: x, y; a, b",
    ]
