"""`layerscope doctor`: what it says here, and what it says where something is wrong."""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import json
import os
from importlib.resources import files

import pytest
import torch

from layerscope.cli import main
from layerscope.cli.doctor import examine, machine, packages, places
from layerscope.cli.doctor.finding import Finding, tried
from layerscope.models.zoo import NAMES


def found(findings: object) -> dict[str, Finding]:
    return {one.name: one for one in findings}  # type: ignore[attr-defined]


def test_what_it_says_here(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("COLUMNS", "10000")  # so that no line is broken where words are looked for
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "nothing"))
    monkeypatch.chdir(tmp_path)
    code = main(["doctor", "--out", str(tmp_path / "new" / "folder")])
    said = capsys.readouterr()
    assert (code, said.err) == (0, "")
    assert [line for line in said.out.splitlines() if line and line[0].isupper()] == [
        *("Installed", "This machine", "Results and weights", "Bundled networks"),
    ]
    assert f"torch {importlib.metadata.version('torch')}" in said.out
    assert "of 40 scenes rightly" in said.out
    assert list(tmp_path.iterdir()) == [], "nothing is left behind"


def test_json_for_machines(capsys, tmp_path):
    assert main(["doctor", "--out", str(tmp_path), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["ok"] is True
    by_name = {one["name"]: one for members in facts["sections"].values() for one in members}
    assert by_name["packages"]["facts"]["versions"]["torch"] == importlib.metadata.version("torch")
    assert by_name["processor"]["facts"]["threads"] == torch.get_num_threads()
    assert by_name["bf16, cpu"]["facts"]["speed"] > 0
    assert by_name["results"]["facts"]["writable"] is True
    assert by_name["self test"]["facts"]["right"] >= 32


def test_no_line_is_wider_than_the_terminal(tmp_path):
    made = examine(tmp_path)
    for width in (40, 80, 200):
        lines = made.words(width).splitlines()
        assert max(len(line) for line in lines if "/" not in line) <= width, "but for paths, which stay whole"


def test_a_damaged_file_of_weights_is_2_and_one_line(capsys, monkeypatch, tmp_path):
    folder = tmp_path / "weights"
    folder.mkdir()
    shipped = files("layerscope.models") / "weights"
    for name in (*NAMES.values(), "SHA256SUMS"):
        (folder / name).write_bytes((shipped / name).read_bytes())
    assert found(places.bundled())["bundled"].state == "good"
    monkeypatch.setattr(places, "files", lambda package: tmp_path)
    damaged = folder / "menagerie.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
    assert main(["doctor", "--out", str(tmp_path), "--quiet"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "error: menagerie.safetensors: the file is damaged: another checksum than was shipped; install Layerscope again"
    ]
    damaged.unlink()
    assert found(places.bundled())["menagerie.safetensors"].words == "the file is missing"


def test_the_shipped_checksums_are_those_of_the_files():
    folder = files("layerscope.models") / "weights"
    listed = dict(reversed(line.split()) for line in (folder / "SHA256SUMS").read_text().splitlines())
    assert listed == {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in sorted(NAMES.values())}


def test_weights_that_name_nothing_rightly_fail_the_self_test(monkeypatch):
    class Blind:
        def __call__(self, images: torch.Tensor) -> torch.Tensor:
            return torch.zeros(len(images), 20)

    monkeypatch.setattr(places, "load", lambda name: Blind())
    assert [one.state for one in places.self_test()] == ["broken", "broken"]


def test_a_probe_that_fails_says_so_and_the_others_go_on(capsys, monkeypatch, tmp_path):
    def fail() -> list[Finding]:
        raise OSError("lightning\nstruck")

    monkeypatch.setattr(machine, "accelerators", fail)
    monkeypatch.setattr(packages, "extras", fail)
    assert main(["doctor", "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert said.count("cannot be told: OSError: lightning struck") == 2
    assert "of 40 scenes rightly" in said
    assert tried("x", fail, "broken")[0].state == "broken"


def test_packages_that_are_missing_too_old_or_broken(monkeypatch):
    wanted = {"numpy": "0.1", "torch": None}
    real = packages._version
    monkeypatch.setattr(packages, "_version", lambda name: wanted.get(name, real(name)))
    wrong = found(packages.needed())
    assert (wrong["torch"].state, wrong["torch"].words) == ("broken", "not installed")
    assert wrong["torch"].advice.startswith("pip install 'torch")
    assert wrong["numpy"].words == "0.1, which is too old"

    def broken(name: str) -> None:
        raise RuntimeError(f"operator {name}::nms does not exist")

    monkeypatch.setattr(importlib, "import_module", broken)
    assert {one.name: one.state for one in packages.imported()} == {
        "import torch": "broken",
        "import torchvision": "broken",
    }


def test_extras_that_are_not_there_say_what_they_would_give(monkeypatch):
    monkeypatch.setattr(packages, "_version", lambda name: None)
    timm = found(packages.extras())["timm"]
    assert (timm.state, timm.advice) == ("absent", "pip install 'layerscope[timm]'")
    assert "timm:NAME" in timm.words
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert found(packages.browsers())["browser"].state == "absent"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written(tmp_path):
    tmp_path.chmod(0o500)
    assert found(places.results(tmp_path / "out"))["results"].state == "poor"


def test_a_path_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    assert found(places.results(tmp_path / "file"))["results"].state == "poor"


def test_pretrained_weights_that_are_there(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert found(places.downloaded())["pretrained"].state == "absent"
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    (tmp_path / "hub" / "checkpoints" / "resnet18.pth").write_bytes(b"weights")
    assert found(places.downloaded())["pretrained"].facts["files"] == ["resnet18.pth"]


def test_half_precision_that_is_wrong_is_not_called_good(monkeypatch):
    monkeypatch.setattr(machine, "_CLOSE", 1e-9)
    assert found(machine.half_precision())["bf16, cpu"].state == "poor"


def test_memory_of_a_container_counts(monkeypatch, tmp_path):
    (tmp_path / "memory.max").write_text("1000000\n")
    monkeypatch.setattr(machine, "_LIMITS", (str(tmp_path / "memory.max"), "/nowhere"))
    assert machine._memory()[0] == 1_000_000
    assert found(machine.processor())["memory"].state == "poor"
