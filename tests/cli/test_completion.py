"""Shell completion: what the tab key offers, through the protocol of each shell, and in a real bash."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from layerscope.attribution.baselines import BASELINES
from layerscope.attribution.methods import METHODS
from layerscope.benchmarks.subjects import SUBJECTS
from layerscope.cli import bash_words, completion
from layerscope.cli import tables_in_source as tables
from layerscope.cli.commands import app
from layerscope.engine import FORMS, usable_cores
from layerscope.models.sources import import_torchvision
from layerscope.models.zoo import NAMES, load
from layerscope.studies.hierarchy import PROFILES
from layerscope.synthesis.recipes import EFFORTS

SCRIPT = Path(sys.executable).with_name("layerscope")


class Context:
    """Stands for the words before the one that is completed."""

    def __init__(self, **params: str) -> None:
        self.params = params


def test_names_read_from_source_are_those_of_the_tables():
    torchvision = import_torchvision()
    assert list(tables.torchvision_names()) == sorted(torchvision.list_models(module=torchvision))
    assert list(tables.attribution_methods()) == sorted(name for name, one in METHODS.items() if not one.layered)
    for module, table, real in (
        ("models.zoo", "NAMES", NAMES),
        ("synthesis.recipes", "EFFORTS", EFFORTS),
        ("studies.hierarchy", "PROFILES", PROFILES),
        ("benchmarks.subjects", "SUBJECTS", SUBJECTS),
        ("attribution.baselines", "BASELINES", BASELINES),
    ):
        assert tables.keys_of(module, table) == tuple(real), table
    model = load("menagerie")
    classes, layers = tables.bundled_card()
    assert classes == model.class_names
    assert set(layers) == {layer.name for layer in model.layers() if layer.kind in ("Conv2d", "BatchNorm2d", "Linear")}
    assert tables.keys_of("models.zoo", "nothing") == ()


def test_figures_are_those_of_the_library():
    from layerscope import figures

    assert set(tables.figure_names()) == set(figures.__all__) - {"save"}
    assert all(callable(getattr(figures, name)) for name in tables.figure_names())


def test_values(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("net.py", "notes.txt", ".hidden.py", "seven.pth", "photo.JPG"):
        (tmp_path / name).write_text("")
    (tmp_path / "folder").mkdir()
    assert completion.models("torchvision:resnet1") == [
        "torchvision:resnet101",
        "torchvision:resnet152",
        "torchvision:resnet18",
    ]
    assert completion.models("menagerie:") == ["menagerie:robust"]
    assert completion.models("n") == ["net.py"]
    assert completion.models("fo") == ["folder/"]
    assert completion.models(".h") == [".hidden.py"]
    assert completion.weights("") == ["none", "folder/", "seven.pth"]
    assert completion.images("scene:owl") == ["scene:owl:0", "scene:owl:1", "scene:owl:2"]
    assert completion.images("p") == ["photo.JPG"]
    assert completion.probes("m") == ["menagerie"]
    assert completion.naturals("n") == ["none"]
    assert completion.folders("nowhere/at/all") == []
    assert completion.methods("deeplift,sal") == ["deeplift,saliency"]
    assert "deeplift,deeplift" not in completion.methods("deeplift,d")
    assert completion.units(Context(model="menagerie"), "conv8") == ["conv8"]
    assert completion.units(Context(model="torchvision:resnet18"), "") == []
    assert completion.classes(Context(), "ow") == ["owl"]


def test_engines(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scheduler.json").write_text("{}")
    (tmp_path / "notes.txt").write_text("")
    monkeypatch.setattr(completion, "find_spec", lambda name: name if name in ("distributed", "ray") else None)
    offered = completion.engines("")
    assert offered == ["local", f"processes:{usable_cores()}", "dask:", "ray", "ray:"]
    assert {engine.partition(":")[0] for engine in offered} == {form.partition(":")[0] for form in FORMS}
    assert completion.engines("r") == ["ray", "ray:"]
    assert completion.engines("dask:") == ["dask:", "dask:scheduler.json"]
    assert completion.engines("dask:s") == ["dask:scheduler.json"]
    monkeypatch.setattr(completion, "find_spec", lambda name: None)
    assert completion.engines("") == ["local", f"processes:{usable_cores()}"]
    assert completion.engines("da") == []


WORDS = [
    ("layerscope gal", 1, ["gallery"]),
    ("layerscope layers torchvision:resnet1", 2, ["torchvision:resnet101", "torchvision:resnet152", "torchvision:resnet18"]),
    ("layerscope gallery menagerie --recipe d", 4, ["draft"]),
    ("layerscope gallery menagerie --units lo", 4, ["logits"]),
    ("layerscope explain x.png --methods deeplift,sal", 4, ["deeplift,saliency"]),
    ("layerscope hierarchy --profile ", 3, ["quick", "full"]),
    ("layerscope benchmark c", 2, ["capture"]),
    ("layerscope gallery --engine lo", 3, ["local"]),
    ("layerscope gallery --js", 2, ["--json"]),
]  # fmt: skip


def answered(shell: str, line: str, place: int) -> str:
    """What layerscope says to a shell, in a process of its own, as the shell would ask."""
    asked = {"_LAYERSCOPE_COMPLETE": f"complete_{shell}", "_TYPER_COMPLETE_ARGS": line}
    if shell == "fish":
        asked["_TYPER_COMPLETE_FISH_ACTION"] = "get-args"
    if shell == "bash":
        asked.update(COMP_WORDS="\n".join(line.split(" ")), COMP_CWORD=str(place))
    code = "import sys, layerscope.cli as c; sys.argv[0] = 'layerscope'\ntry: c.main([])\nfinally: assert 'torch' not in sys.modules"
    run = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **asked}, capture_output=True, text=True, check=False
    )
    assert run.stderr == ""
    return run.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize(("line", "place", "offered"), [WORDS[1], WORDS[4]])
def test_each_shell_is_answered_without_torch(shell, line, place, offered):
    said = answered(shell, line, place)
    if shell == "zsh":
        assert all(value.replace(":", r"\\:") in said for value in offered)
    else:
        assert said.split() == offered


@pytest.mark.parametrize(("line", "place", "offered"), WORDS)
def test_bash_in_this_process(capsys, monkeypatch, line, place, offered):
    monkeypatch.setenv(bash_words.COMPLETES, "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "\n".join(line.split(" ")))
    monkeypatch.setenv("COMP_CWORD", str(place))
    with pytest.raises(SystemExit), bash_words.answered():
        get_command(app).main(args=[], prog_name="layerscope", complete_var=bash_words.COMPLETES)
    assert capsys.readouterr().out.split() == offered


@pytest.mark.parametrize(
    ("words", "current", "whole", "known"),
    [
        (["layerscope", "layers", "torchvision", ":", "res"], 4, "layerscope layers torchvision:res", 12),
        (["layerscope", "layers", "torchvision", ":"], 3, "layerscope layers torchvision:", 12),
        (["layerscope", "explain", "scene", ":", "owl", ":", ""], 6, "layerscope explain scene:owl:", 10),
        (["layerscope", "layers", "torch"], 2, "layerscope layers torch", 0),
        (["layerscope", "gallery", "--recipe", "=", "dr"], 4, "layerscope gallery --recipe=dr", 0),
        (["layerscope", "explain", "x", "--model", "=", "menagerie", ":", "r"], 7, "layerscope explain x --model=menagerie:r", 10),
        (["layerscope", "layers", "menagerie", ":", "robust", "--js"], 5, "layerscope layers menagerie:robust --js", 0),
        (["layerscope", "layers"], 2, "layerscope layers ", 0),
    ],
)  # fmt: skip
def test_words_that_bash_took_apart(words, current, whole, known):
    made, place, kept = bash_words.joined(words, current)
    assert (" ".join(made), place, kept) == (whole, len(made) - 1, known)


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
def test_a_real_bash_completes_a_network_of_torchvision(tmp_path):
    environment = {**os.environ, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    shown = subprocess.run(
        [SCRIPT, "--show-completion", "bash"], env=environment, capture_output=True, text=True, check=True
    )
    (tmp_path / "completion.sh").write_text(
        f"export PATH={SCRIPT.parent}:$PATH\n{shown.stdout}\n"
        "COMP_WORDS=(layerscope layers torchvision : resnet1); COMP_CWORD=4\n"
        "_layerscope_completion layerscope\n"
        'printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    run = subprocess.run(
        ["bash", "--norc", str(tmp_path / "completion.sh")], capture_output=True, text=True, check=False
    )
    assert run.stdout.split() == ["resnet101", "resnet152", "resnet18"]


@pytest.mark.parametrize(("shell", "mark"), [("zsh", "#compdef layerscope"), ("fish", "complete --command layerscope")])
def test_scripts_of_other_shells(shell, mark):
    environment = {**os.environ, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    shown = subprocess.run(
        [SCRIPT, "--show-completion", shell], env=environment, capture_output=True, text=True, check=True
    )
    assert mark in shown.stdout
    assert "_LAYERSCOPE_COMPLETE" in shown.stdout


def test_completion_is_installed_for_the_shell_that_is_named(tmp_path):
    environment = {**os.environ, "HOME": str(tmp_path), "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    subprocess.run([SCRIPT, "--install-completion", "bash"], env=environment, capture_output=True, check=True)
    assert "_LAYERSCOPE_COMPLETE" in next((tmp_path / ".bash_completions").iterdir()).read_text()
