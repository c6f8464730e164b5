"""What is said where: results on standard output, progress on standard error, nothing where it is quiet."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import subprocess
import sys
import time

import pytest
from rich.cells import cell_len

from layerscope.cli import main, output
from layerscope.cli.progress import _left, progress_bar
from layerscope.cli.tables import table

NETWORK = """
from torch import nn
import layerscope as ls

def net():
    layers = nn.Conv2d(3, 4, 5, 2, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)
    return ls.wrap(nn.Sequential(*layers), 32, name="net", class_names=["no", "yes"])
"""
PROGRESS = """
import sys, time
from layerscope.cli import output
from layerscope.cli.progress import progress_bar
output.hush("-q" in sys.argv)
output.speak("-v" in sys.argv)
with progress_bar("a rather long title of a network that is drawn") as report:
    for done in range(1, 6):
        report(done, 5, "conv1")
        time.sleep(0.12)
print("result")
"""
COLOURS = re.compile(r"\x1b\[[0-9;]*(3[0-8]|4[0-8]|9[0-7])[0-9;]*m")


@pytest.fixture
def gallery(tmp_path) -> list[str]:
    (tmp_path / "net.py").write_text(NETWORK)
    units = ["--units", "0:1", "--recipe", "draft", "--probe", "none", "--out", str(tmp_path / "out")]
    return ["gallery", f"{tmp_path / 'net.py'}:net", *units]


def on_a_terminal(*arguments: str, **environment: str) -> tuple[str, str]:
    """Standard output (a pipe) and standard error (a terminal of 80 columns) of PROGRESS."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", PROGRESS, *arguments],
        stdout=subprocess.PIPE,
        stderr=theirs,
        env={"TERM": "xterm-256color", "COLUMNS": "80", **{k: v for k, v in os.environ.items() if k != "NO_COLOR"}}
        | environment,
    ) as running:
        os.close(theirs)
        said = _all_of(ours)
        assert running.stdout is not None
        result = running.stdout.read().decode()
    os.close(ours)
    assert running.returncode == 0, said
    return result, said


def _all_of(terminal: int) -> str:
    said, deadline = b"", time.monotonic() + 60
    while time.monotonic() < deadline:
        if not select.select([terminal], [], [], 1)[0]:
            continue
        try:
            chunk = os.read(terminal, 65536)
        except OSError:  # what Linux says when the other side is closed
            break
        if not chunk:
            break
        said += chunk
    return said.decode()


def test_a_terminal_gets_a_bar_with_the_time_left():
    result, said = on_a_terminal(TERM="xterm-256color")
    assert result == "result\n"
    assert re.search(r"[1-5]/5", said)
    assert len(re.findall(r"\d:\d\d:\d\d|-:--:--", said)) >= 2, "time taken and time left"
    assert COLOURS.search(said)


def test_no_color_is_respected():
    _, said = on_a_terminal(TERM="xterm-256color", NO_COLOR="1")
    assert re.search(r"[1-5]/5", said)
    assert not COLOURS.search(said)


@pytest.mark.parametrize(("arguments", "environment"), [([], {"TERM": "dumb"}), (["-q"], {"TERM": "xterm"}), (["-q", "-v"], {"TERM": "xterm"})])  # fmt: skip
def test_nothing_on_a_dumb_terminal_or_where_it_is_quiet(arguments, environment):
    assert on_a_terminal(*arguments, **environment) == ("result\n", "")


def test_a_bar_fits_a_narrow_terminal():
    _, said = on_a_terminal(TERM="xterm-256color", COLUMNS="40")
    lines = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", said).replace("\r", "\n").splitlines()
    assert any("5/5" in line for line in lines)
    assert max(map(cell_len, lines)) <= 40


def test_no_terminal_gets_nothing_unless_it_is_asked_for(capsys):
    for verbose, expected in ((False, []), (True, ["title: conv1 1/2", "title: conv2 2/2"])):
        output.begin()
        output.speak(verbose)
        with progress_bar("title") as report:
            report(1, 2, "conv1")
            report(2, 2, "conv2")
        assert capsys.readouterr().err.splitlines() == expected
    output.begin()


def test_lines_say_each_tenth_once_and_the_time_left(capsys, monkeypatch):
    clock = iter(range(1000))
    monkeypatch.setattr("layerscope.cli.progress.time.monotonic", lambda: float(next(clock)))
    output.begin()
    output.speak(True)
    with progress_bar("title") as report:
        for done in range(101):
            report(done, 100, "probe images")
    output.begin()
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[3].rstrip(",") for line in lines] == [f"{done}/100" for done in range(0, 101, 10)]
    assert all(line.endswith(" s left") for line in lines[1:-1])


def test_the_time_left_is_that_of_the_pace_so_far():
    assert _left(10, 5, 20) == ", 40 s left"
    assert _left(60, 1, 10) == ", 10 min left"
    assert _left(10, 0, 20) == ""
    assert _left(10, 5, 0) == ""


@pytest.mark.parametrize("place", ["before", "after", "short"])
def test_quiet_before_or_after_the_command(capsys, gallery, place):
    command = {"before": ["--quiet", *gallery], "after": [*gallery, "--quiet"], "short": ["-q", *gallery]}[place]
    assert main(command) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert len(said.out.splitlines()) == 2


def test_quiet_is_forgotten_by_the_next_command_line(capsys, gallery):
    assert main(["--quiet", *gallery]) == 0
    assert capsys.readouterr().err == ""
    assert main([*gallery, "--verbose"]) == 0
    assert "running " in capsys.readouterr().err


def test_errors_are_said_where_it_is_quiet_and_with_json(capsys):
    assert main(["gallery", "menagery", "--quiet", "--json"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.splitlines()) == 1
    assert said.err.startswith("error: no network 'menagery'")


def test_json_is_alone_on_standard_output(capsys, gallery):
    assert main([*gallery, "--json", "--verbose"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["made"] == 1
    assert "conv" in said.err or "0 1/1" in said.err


ROWS = [{"layer": "卷积1", "units": 32, "edge": "0.12+", "object": None}, {"layer": "relu2", "units": 4, "edge": "0.42+", "object": "0.50"}]  # fmt: skip


def test_tables_are_columns_where_they_fit_and_lines_where_not():
    assert table(ROWS, 80).splitlines() == [
        "layer  units  edge   object",
        "卷积1  32     0.12+  -",
        "relu2  4      0.42+  0.50",
    ]
    narrow = table(ROWS, 24).splitlines()
    assert narrow == [
        "卷积1",
        "  units 32, edge 0.12+,",
        "  object -",
        "relu2",
        "  units 4, edge 0.42+,",
        "  object 0.50",
    ]
    assert max(map(len, narrow)) <= 24


def test_the_table_of_networks_on_a_narrow_terminal(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "44")
    assert main(["models"]) == 0
    lines = capsys.readouterr().out.partition("\n\n")[0].splitlines()
    assert lines[0] == "menagerie"
    assert max(map(len, lines)) <= 44
