"""The command line: exit codes, one-line errors, and real output of each command."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn

from layerscope.cli import main
from layerscope.errors import StorageError
from layerscope.synthesis.recipes import EFFORTS

NETWORK = """
from torch import nn
import layerscope as ls

def net():
    layers = nn.Conv2d(3, 4, 5, 2, 2), nn.ReLU(), nn.Conv2d(4, 6, 3, 1, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 2)
    return ls.wrap(nn.Sequential(*layers), 32, name="net", class_names=["no", "yes"])
"""


@pytest.fixture
def network(tmp_path) -> str:
    path = tmp_path / "net.py"
    path.write_text(NETWORK)
    return f"{path}:net"


def refused(capsys, *arguments: str) -> str:
    """The one line of a command that is refused with exit code 2."""
    assert main(list(arguments)) == 2
    said = capsys.readouterr()
    lines = [line for line in said.err.splitlines() if line.startswith("error:")]
    assert len(lines) == 1
    assert said.err.splitlines()[-1] == lines[0]
    assert said.out == ""
    return lines[0]


def test_help_imports_no_torch():
    code = "import sys, layerscope.cli as c; c.main(['--help']); sys.exit('torch' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert shown.returncode == 0
    assert all(command in shown.stdout for command in ("tour", "models", "layers", "gallery", "train", "benchmark"))


def test_models_lists_what_can_be_opened(capsys):
    assert main(["models", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [row["model"] for row in listed["bundled"]] == ["menagerie", "menagerie:robust"]
    assert "torchvision:resnet18" in listed["torchvision"]
    assert main(["models"]) == 0
    assert "path/to/file.py:function" in capsys.readouterr().out


def test_gallery_makes_records_and_a_site(capsys, network, tmp_path):
    out = tmp_path / "out"
    command = [
        "gallery",
        network,
        "--units",
        "2:3",
        "--units",
        "6",
        "--recipe",
        "draft",
        "--probe",
        "none",
        "--out",
        str(out),
    ]
    assert main(command) == 0
    assert "3 pictures made, 0 found, 2 layers" in capsys.readouterr().out
    assert (out / "index.html").is_file()
    assert main([*command, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["made"], facts["found"], facts["layers"]) == (0, 3, ["2", "6"])
    assert Path(facts["folder"], "gallery.json").is_file()
    assert facts["site"] == (out / "index.html").as_uri()
    assert main(["site", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"folder": str(out), "site": facts["site"]}
    drawn = tmp_path / "unit.svg"
    assert main(["figure", facts["folder"], "unit", "2:3", "--out", str(drawn)]) == 0
    assert capsys.readouterr().out == f"figure in {drawn}\n"
    assert "<svg" in drawn.read_text()
    folder, sheet = facts["folder"], str(tmp_path / "all.png")
    assert main(["spritemap", folder, "--tile", "16", "--columns", "2", "--out", sheet, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {"sheets": [sheet], "positions": str(tmp_path / "all.json"), "pictures": 3}
    with Image.open(sheet) as image:
        assert image.size == (32, 32)
    places = json.loads(Path(told["positions"]).read_text())["units"]
    assert {name: (one["x"], one["y"]) for name, one in places.items()} == {
        "2:3": (0, 0),
        "6:0": (16, 0),
        "6:1": (0, 16),
    }
    assert main(["spritemap", folder, "--layer", "2", "--out", str(tmp_path / "one.webp")]) == 0
    assert capsys.readouterr().out == (
        f"1 picture in {tmp_path / 'one.webp'}; where each lies, in {tmp_path / 'one.json'}\n"
    )
    assert refused(capsys, "spritemap", folder, "--layer", "3").startswith("error: no layer '3'; there are: 2, 6")
    assert refused(capsys, "spritemap", folder, "--out", str(drawn)).startswith("error: cannot write a spritemap as")
    assert refused(capsys, "spritemap", str(out)).startswith("error: no gallery.json in ")
    said = refused(capsys, "figure", facts["folder"], "unit")
    assert said.startswith("error: the figure 'unit' takes ")
    assert said.endswith(" after its name, and nothing was given")
    assert refused(capsys, "figure", facts["folder"], "unt").startswith("error: no figure 'unt'; nearest: unit")


@pytest.mark.parametrize("weights", ["none", "checkpoint.pth"])
def test_gallery_of_a_torchvision_network(capsys, monkeypatch, tmp_path, weights):
    """Real loading code on a real architecture: random weights, and a checkpoint file that the test makes."""
    monkeypatch.setitem(EFFORTS, "draft", replace(EFFORTS["draft"], steps=0.02))  # what is drawn does not matter
    if weights != "none":
        import torchvision

        network = torchvision.models.resnet18(num_classes=7)
        with torch.no_grad():
            network.fc.bias.copy_(torch.arange(7.0))
        weights = str(tmp_path / weights)
        torch.save({"state_dict": {f"module.{key}": value for key, value in network.state_dict().items()}}, weights)
    command = [
        "gallery",
        "torchvision:resnet18",
        "--weights",
        weights,
        "--units",
        "layer1.0.conv1:3",
        "--units",
        "fc:2",
    ]
    assert main([*command, "--recipe", "draft", "--probe", "none", "--out", str(tmp_path / "out")]) == 0
    assert "2 pictures made" in capsys.readouterr().out
    facts = json.loads((tmp_path / "out" / "gallery" / "resnet18" / "gallery.json").read_text())
    assert [layer["units"] for layer in facts["layers"]] == [64, 1000 if weights == "none" else 7]
    assert f"weights={weights!r}" in facts["command"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gallery", "menagery"], "error: no network 'menagery'; nearest: menagerie"),
        (["gallery", "torchvision:resnet81"], "error: no torchvision network 'resnet81'; nearest: resnet18"),
        (["gallery", "NETWORK", "--units", "conv9"], "error: no layer 'conv9'; there are: 0, 1, 2"),
        (["gallery", "NETWORK", "--units", "2:77"], "error: no unit '2:77'; 2 has units 0 to 5"),
        (["gallery", "NETWORK", "--recipe", "quick"], "error: no recipe 'quick'; there are: draft, standard, fine"),
        (["gallery", "NETWORK", "--seed", "-1"], "error: Invalid value for '--seed': "),
        (["gallery", "NETWORK", "--seed", "one"], "error: Invalid value for '--seed': "),
        (["gallery", "NETWORK", "--probe", "nowhere"], "error: no folder 'nowhere'; give a folder that holds one folder of pictures per class"),
        (["gallery", "NETWORK", "--weights", "missing.pth"], "error: no weights file 'missing.pth'"),
        (["train", "--data", "nowhere"], "error: no folder 'nowhere'"),
        (["benchmark", "sloth"], "error: no benchmark 'sloth'; there are: world"),
        (["galery"], "error: no command 'galery'; nearest: gallery, layers; see layerscope --help"),
        (["gallery", "--recip", "draft"], "error: no option '--recip'; nearest: --recipe, --engine, --weights; see layerscope gallery --help"),
        (["explain"], "error: Missing argument 'IMAGE"),
        (["gallery", "NETWORK", "--engine", "threads"], "error: no engine 'threads'; "),
        (["gallery", "NETWORK", "--engine", "processes:99999"], "error: engine 'processes:99999' has more processes than help on "),
    ],
)  # fmt: skip
def test_wrong_input_is_one_line_and_leaves_nothing(capsys, network, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    assert refused(capsys, *(network if word == "NETWORK" else word for word in arguments)).startswith(message)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_checkpoint_that_does_not_fit_names_the_keys(capsys, tmp_path):
    path = tmp_path / "wrong.pth"
    torch.save({"conv1.weight": torch.zeros(3, 3), "other": torch.zeros(1)}, path)
    said = refused(capsys, "layers", "torchvision:resnet18", "--weights", str(path))
    assert "wrong.pth" in said
    assert "other" in said
    assert "conv1.weight" in said


def test_a_pickled_network_is_refused_without_running_it(capsys, tmp_path):
    path = tmp_path / "pickled.pth"
    torch.save(nn.Linear(2, 2), path)
    assert "state_dict()" in refused(capsys, "layers", "torchvision:resnet18", "--weights", str(path))


def test_no_network_and_no_cached_weights_is_said(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.download_url_to_file", _unreachable)
    said = refused(capsys, "layers", "torchvision:resnet18")
    assert "weights=PATH" in said
    assert str(tmp_path) in said


def _unreachable(*_: object, **__: object) -> None:
    raise OSError("unreachable")


def test_a_folder_that_cannot_be_written(capsys, network, tmp_path):
    (tmp_path / "file").write_text("")
    said = refused(
        capsys, "gallery", network, "--probe", "none", "--recipe", "draft", "--out", str(tmp_path / "file" / "out")
    )
    assert "is a file, not a folder; give another folder" in said


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission(capsys, network, tmp_path):
    tmp_path.chmod(0o500)
    assert "permission denied" in refused(capsys, "gallery", network, "--probe", "none", "--out", str(tmp_path / "out"))


def test_a_full_disk_half_way_loses_nothing(capsys, network, tmp_path, monkeypatch):
    """The disk is full at the third record: one line, the first two kept whole, and the same command goes on."""
    from layerscope.records import Store

    real, calls = Store.write, []

    def write(self, key, facts, arrays):
        calls.append(key)
        if len(calls) == 3:
            raise StorageError(
                "cannot write: the disk or its quota is full; make room and run the same again: what was made is kept"
            )
        return real(self, key, facts, arrays)

    command = [
        "gallery",
        network,
        "--units",
        "2",
        "--recipe",
        "draft",
        "--probe",
        "none",
        "--out",
        str(tmp_path / "out"),
    ]
    with monkeypatch.context() as patched:
        patched.setattr(Store, "write", write)
        assert "is full; make room and run the same again" in refused(capsys, *command)
    assert main(command) == 0
    assert "4 pictures made, 2 found" in capsys.readouterr().out


def test_somebody_elses_site_is_left_alone(capsys, network, tmp_path):
    page = tmp_path / "out" / "index.html"
    page.parent.mkdir()
    page.write_text("<h1>mine</h1>")
    assert "index.html" in refused(capsys, "gallery", network, "--probe", "none", "--out", str(page.parent))
    assert list(page.parent.iterdir()) == [page]


def test_no_arguments_show_the_help(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["layerscope"])
    assert main() == 0
    said = capsys.readouterr()
    assert "Commands" in said.out
    assert "error" not in said.err


def test_interrupted_is_130(capsys, network, tmp_path, monkeypatch):
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("layerscope.studies.gallery_work.maximise", interrupt)
    assert main(["gallery", network, "--probe", "none", "--out", str(tmp_path / "out")]) == 130
    assert "interrupted; what was made is kept" in capsys.readouterr().err


def test_a_defect_of_ours_is_1_with_its_traceback(capsys, network, tmp_path, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, "lightning")

    monkeypatch.setattr("layerscope.studies.gallery_work.maximise", fail)
    assert main(["gallery", network, "--probe", "none", "--out", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err
    assert "Traceback" in said
    assert said.splitlines()[-1] == "error: a defect of Layerscope; please report the lines above"


def test_train_on_a_folder(capsys, tmp_path):
    from PIL import Image

    for name, colour in (("a", (220, 30, 30)), ("b", (30, 30, 220))):
        (tmp_path / "data" / name).mkdir(parents=True)
        for index in range(12):
            Image.new("RGB", (64, 64), tuple(min(255, channel + index) for channel in colour)).save(
                tmp_path / "data" / name / f"{index}.png"
            )
    out = tmp_path / "out"
    command = ["train", "--data", str(tmp_path / "data"), "--images", "256", "--out", str(out)]
    assert main(command) == 0
    assert "accuracy" in capsys.readouterr().out
    assert main([*command, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["folder"], facts["weights"]) == (str(out), str(out / "weights.safetensors"))
    assert 0 <= facts["accuracy"] <= 1
    assert {path.name for path in out.iterdir()} >= {
        "weights.safetensors",
        "resume.safetensors",
        "step-000001.safetensors",
    }


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device here that is always full")
def test_a_full_disk_behind_the_output_is_2_and_one_line():
    command = [sys.executable, "-m", "layerscope", "--version"]
    with Path("/dev/full").open("w") as full:
        shown = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert shown.returncode == 2
    assert shown.stderr == "error: cannot write the result: the disk or its quota is full; send it elsewhere\n"


def test_the_module_runs_as_a_program():
    shown = subprocess.run(
        [sys.executable, "-m", "layerscope", "--version"], capture_output=True, text=True, check=True
    )
    assert shown.stdout.startswith("layerscope 0.")
    script = Path(sys.executable).with_name("layerscope")
    shown = subprocess.run([script, "gallery", "nothing"], capture_output=True, text=True, check=False)
    assert shown.returncode == 2
    assert shown.stderr.startswith("error: no network 'nothing'")
