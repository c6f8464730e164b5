"""`--help`: quick, complete, with examples that the commands take; the cheap ones are run for real."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys

import pytest
import typer.main

from layerscope.cli import main
from layerscope.cli.commands import app

GROUP = typer.main.get_command(app)
COMMANDS = list(GROUP.commands)  # type: ignore[attr-defined]


def help_of(capsys, *command: str) -> str:
    assert main([*command, "--help"]) == 0
    return capsys.readouterr().out


def examples_in(text: str) -> list[str]:
    """The lines below "Examples:", which keep their breaks."""
    block = text.partition("\n  Examples:\n")[2].partition("\n\n")[0]
    return [line.strip() for line in block.splitlines()]


def examples() -> list[list[str]]:
    found = []
    for name, command in GROUP.commands.items():  # type: ignore[attr-defined]
        lines = command.help.partition("Examples:\n")[2].partition("\n\n")[0].splitlines()
        found += [pytest.param(words, id=" ".join(words)) for words in map(words_of, lines) if words[0] == name]
    return found


def words_of(line: str) -> list[str]:
    """The words after `layerscope`, without where the shell sends the output."""
    first, *words = shlex.split(line.partition(" > ")[0])
    assert first == "layerscope"
    return words


def test_commands_stand_in_the_order_in_which_people_want_them():
    making, looking = (
        ["tour", "gallery", "atlas", "animate", "explain", "hierarchy"],
        ["models", "layers", "site", "figure", "spritemap"],
    )
    assert [*making, *looking, "train", "benchmark", "doctor"] == COMMANDS


def test_the_list_of_commands_is_not_cut(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    shown = help_of(capsys)
    listed = shown.partition("\nCommands:\n")[2].splitlines()
    assert [line.split()[0] for line in listed] == COMMANDS
    assert all(line.endswith(".") and not line.endswith("...") for line in listed)


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_each_help_has_two_to_four_examples_of_its_own(capsys, monkeypatch, name):
    monkeypatch.setenv("COLUMNS", "80")
    shown = help_of(capsys, *name.split())
    lines = examples_in(shown)
    assert 2 <= len(lines) <= 4
    assert max(map(len, shown.splitlines())) <= 80
    assert all(re.match(rf"layerscope {name}\b" if name else "layerscope ", line) for line in lines)
    assert "--quiet" in shown
    assert "--json" in shown or not name


@pytest.mark.parametrize("words", examples())
def test_each_example_is_a_command_line_that_is_taken(words):
    command = GROUP.commands[words[0]]  # type: ignore[attr-defined]
    context = command.make_context(words[0], list(words[1:]))
    assert context.args == []


def test_examples_of_the_first_page_are_taken(capsys):
    for line in examples_in(help_of(capsys)):
        name, *words = words_of(line)
        assert GROUP.commands[name].make_context(name, words).args == []  # type: ignore[attr-defined]


def test_all_help_is_there_without_torch():
    code = (
        "import sys, layerscope.cli as c\n"
        f"for name in {COMMANDS!r}: c.main([name, '--help'])\n"
        "sys.exit(any(name in sys.modules for name in ('torch', 'matplotlib', 'sklearn', 'rich.progress')))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.count("Examples:") == len(COMMANDS)


CHEAP = ["models", "models --json", "layers", "layers torchvision:resnet18 --weights none", "doctor"]
DEAR = ["gallery --units conv3:26 --recipe draft", "explain scene:owl:7 --versus cat --methods deeplift,saliency"]


@pytest.mark.parametrize("line", [*CHEAP, *(pytest.param(line, marks=pytest.mark.slow) for line in DEAR)])
def test_examples_run_as_they_stand(capsys, monkeypatch, tmp_path, line):
    monkeypatch.chdir(tmp_path)
    assert line.split() in [one.values[0] for one in examples()]
    assert main(line.split()) == 0
    said = capsys.readouterr()
    assert said.err == ""
    if "--json" in line:
        json.loads(said.out)
