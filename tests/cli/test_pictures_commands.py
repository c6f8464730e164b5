"""`layerscope atlas` and `layerscope animate`: what they say, what they write, and what they refuse in one line."""

from __future__ import annotations

import dataclasses
import functools
import json
from pathlib import Path

import pytest
from PIL import Image

from layerscope.cli import main
from layerscope.studies import atlas as study
from layerscope.studies.probe import open_probe
from layerscope.synthesis import ascent
from layerscope.synthesis.recipes import EFFORTS


@pytest.fixture(autouse=True)
def _short(monkeypatch, tmp_path):
    """Few images and few steps, in an empty folder."""
    monkeypatch.setattr(study, "open_probe", functools.partial(open_probe, count=64))
    monkeypatch.setitem(EFFORTS, "draft", dataclasses.replace(EFFORTS["draft"], steps=0.06))
    monkeypatch.chdir(tmp_path)


ATLAS = ["atlas", "--layer", "relu5", "--grid", "2", "--layout", "pca+t-sne", "--recipe", "draft"]


def test_an_atlas_is_made_told_and_found_again(capsys):
    assert main(ATLAS) == 0
    first = capsys.readouterr().out
    assert "cells made, 0 found" in first
    assert "pictures are most like their own cell; chance is 1" in first
    assert "of nearest neighbours kept by pca+t-sne" in first
    assert Path("outputs/index.html").is_file()
    assert main([*ATLAS, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["layer"], told["made"]) == ("relu5", 0)
    assert told["found"] > 0
    assert told["layout"]["kept"] > told["layout"]["kept_shuffled"]
    assert Path(told["folder"], "atlas.json").is_file()


def test_ascents_are_written_as_one_moving_picture(capsys):
    words = ["animate", "--units", "conv2:3", "--units", "conv2:5", "--recipe", "draft", "--frames", "3"]
    assert main(words) == 0
    assert "2 ascents" in capsys.readouterr().out
    with Image.open("ascent.webp") as image:
        assert image.n_frames == 3
    assert main([*words, "--out", "two.gif", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["file"], told["pictures"], told["frames"]) == ("two.gif", 2, 3)
    assert list(told["scores"]) == ["conv2:3", "conv2:5"]


def test_a_place_that_cannot_be_written_is_found_before_the_ascent(capsys, monkeypatch):
    monkeypatch.setattr(ascent, "maximise", None)  # whoever calls it fails
    Path("file").touch()
    assert main(["animate", "--units", "conv2:3", "--out", "file/a.gif"]) == 2
    assert capsys.readouterr().err == (
        "error: cannot write file/a.gif: file is a file, not a folder; give another folder or move the file away\n"
    )
    assert [path.name for path in Path().iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["animate", "--units", "conv7"], "256 units; a moving sheet shows 64 at most"),
        (["animate", "--units", "conv2:3", "--out", "a.mp4"], "cannot write a moving picture as 'a.mp4'"),
        (["atlas", "--layer", "conv99"], "no layer 'conv99'"),
        (["atlas", "--layer", "relu5", "--layout", "som"], "no layout 'som'"),
        (["atlas", "--layer", "relu5", "--grid", "1000"], "grid=1000; give a whole number from 2 to 64"),
    ],
)
def test_what_cannot_be_done_is_one_line_before_any_work(capsys, words, message):
    assert main(words) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert not list(Path().iterdir())
