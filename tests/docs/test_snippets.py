"""Every block of code of README.md and docs/ does what stands there. How they are read: `snippets`."""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from snippets import ROOT, Block, Page, alike, commands_of, difference, pages, read

from layerscope.cli import main

PAGES = pages()
SHELL = set("|&;<>$`")  # what only a shell understands
NETWORK = """
from collections import OrderedDict
import torch
from torch import nn
import layerscope as ls

def make():
    torch.manual_seed(0)
    layer4 = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.ReLU())
    parts = OrderedDict(layer4=layer4, pool=nn.AdaptiveAvgPool2d(1), flat=nn.Flatten(), fc=nn.Linear(4, 3))
    return ls.wrap(nn.Sequential(parts).eval(), 32)
"""


def _cases() -> list:
    """Pages with Python to run: those with slow blocks twice, once without these and once whole, as slow."""
    found = []
    for page in PAGES:
        blocks = [block for block in page.python if block.runs]
        name = page.path.relative_to(ROOT).as_posix()
        if quick := [block for block in blocks if not block.slow]:
            found.append(pytest.param(quick, id=name))
        if len(quick) < len(blocks):
            found.append(pytest.param(blocks, id=f"{name}, whole", marks=pytest.mark.slow))
    return found


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder as a reader has it: the repository's README, some pictures, and an own network."""
    from layerscope.world import render

    for label, thing in enumerate(("owl", "mushroom")):
        folder = tmp_path / "photos" / thing
        folder.mkdir(parents=True)
        scenes = render(3, seed=label, size=64, things=thing)
        for number, scene in enumerate(scenes.images):
            _picture(scene).save(folder / f"{number}.png")
    from PIL import Image
    from sklearn.datasets import load_sample_image  # a photograph that comes with it

    for name in ("flower.jpg", "photo.jpg"):
        Image.fromarray(load_sample_image("flower.jpg")).save(tmp_path / name)
    shutil.copy(ROOT / "README.md", tmp_path)
    (tmp_path / "my_network.py").write_text(NETWORK)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(
        "COLUMNS", raising=False
    )  # pages show what is printed where nobody looks at it, as wide as it is
    return tmp_path


def _picture(image):
    from PIL import Image

    return Image.fromarray((image.permute(1, 2, 0) * 255).round().byte().numpy())


@pytest.mark.parametrize("blocks", _cases())
def test_python_prints_what_the_page_says(blocks: list[Block], place):
    namespace: dict = {"__name__": "__main__"}
    for block in blocks:
        printed = io.StringIO()
        code = compile("\n" * (block.line) + block.code, str(block.page), "exec")  # lines of tracebacks are the page's
        with contextlib.redirect_stdout(printed), warnings.catch_warnings():
            exec(code, namespace)
        if block.printed is not None:
            wrong = difference(block.printed, printed.getvalue())
            assert not wrong, f"{block.name} prints something else: {wrong}"


@pytest.mark.parametrize(
    "block",
    [
        pytest.param(block, id=block.name, marks=[pytest.mark.slow] * block.slow)
        for page in PAGES
        for block in page.commands
        if block.runs
    ],
)
def test_commands_print_what_the_page_says(block: Block, place):
    for command, expected in commands_of(block):
        printed, code = run(command, place)
        assert expected is not None or code == 0, f"{block.name}: {command} ends with {code}:\n{printed}"
        if expected is not None:
            wrong = difference(expected, printed)
            assert not wrong, f"{block.name}: {command} prints something else: {wrong}"


def run(command: str, place: Path) -> tuple[str, int]:
    """What a command prints, errors included, and its exit code. Plain commands of ours run in this process."""
    words = shlex.split(command, comments=True)
    if words[0] == "layerscope" and not SHELL & set(command):
        return _in_process(words[1:])
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", command], cwd=place, env=os.environ | {"PATH": path}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )  # fmt: skip
    return done.stdout, done.returncode


def _in_process(words: list[str]) -> tuple[str, int]:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        code = main(words)
    return printed.getvalue(), code


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.path.relative_to(ROOT).as_posix())
def test_what_is_not_run_says_why(page: Page):
    for block in (*page.python, *page.commands):
        assert block.runs or len(block.mark.removeprefix("not run:").split()) > 1, block.name


@pytest.mark.parametrize(
    ("wanted", "found", "same"),
    [
        ("score  10.49, converged", "score 10.50, converged", True),
        ("score  10.49, converged", "score 11.49, converged", False),
        ("score  10.49, converged", "score 10.49, weak", False),
        ("gap 1e-07", "gap 4e-07", True),
        ("gap 1e-07", "gap 4e-05", False),
        ("7 of 8 layers", "6 of 8 layers", False),
        ("100% for", "99% for", True),
        ("100% for", "90% for", False),
        ("by -0.040", "by +0.040", False),
        ("192 pictures made, 28 s", "192 pictures made, 71 s", True),
        ("192 pictures made, 28 s", "191 pictures made, 28 s", False),
        ("record in outputs/… (696 s)", "record in outputs/menagerie (12 s)", True),
        ("record in outputs/… (696 s)", "tables in outputs/menagerie (12 s)", False),
        ("unit conv3:26", "unit conv3:27", False),
        ("1 made, 0 found, in outputs/…", "1 made, 0 found, in outputs/net-95c3", True),
        ("1 made, 0 found, in outputs/…", "0 made, 1 found, in outputs/net-95c3", False),
        ("net: 1,931,476 parameters, …", "net: 1,931,477 parameters, 3 channels", False),
    ],
)
def test_lines_are_compared_by_words_and_by_digits(wanted, found, same):
    assert alike(wanted, found) is same


def test_dots_stand_for_any_lines_and_nothing_else_is_let_through():
    assert not difference("a\n...\nd", "a\nb\nc\nd")
    assert not difference("a\n...", "a")
    assert "no line like 'd'" in difference("a\n...\nd", "a\nb\nc")
    assert difference("a", "a\nb")


def test_blocks_are_found_with_their_marks_and_their_output(tmp_path, monkeypatch):
    page = tmp_path / "page.md"
    page.write_text(
        "<!-- slow -->\n```python\na\n```\n\nprints\n\n```text\nb\n```\n\n<!-- not run: no network -->\n```bash\nc\n```\n\n```text\n$ d\ne\n```\n"
    )
    found = read(page)
    assert [(block.code, block.slow, block.printed) for block in found.python] == [("a\n", True, "b\n")]
    assert [(list(commands_of(block)), block.runs) for block in found.commands] == [
        ([("c", None)], False),
        ([("d", "e\n")], True),
    ]
    page.write_text("<!-- slow -->\n\nWords.\n")
    with pytest.raises(ValueError, match="no block"):
        read(page)
