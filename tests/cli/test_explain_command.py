"""`layerscope explain`: several images, of which some are none; JSON; exit codes; what stays."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from layerscope.cli import main
from layerscope.studies import explain as explain_module
from layerscope.studies.subject import find_sources

NETWORK = """
import torch
from torch import nn

def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 6, 5, 2, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(96, 3)).eval()
"""


ODD = """
class Odd(nn.Module):
    def forward(self, x):
        return torch.where(x > x.mean(), x / 0, x) if x.sum() != 0 else x
"""
"""Infinite for whatever is not zero; the class stands below, as Python looks it up when it is called."""


@pytest.fixture
def network(tmp_path):
    (tmp_path / "net.py").write_text(NETWORK)
    return f"{tmp_path / 'net.py'}:network"


@pytest.fixture
def photo(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.jpg", quality=90)
    return str(tmp_path / "photo.jpg")


def explain(*arguments: str) -> int:
    return main(["explain", *arguments, "--methods", "deeplift,saliency"])


def test_an_image_of_a_users_own_network(network, photo, tmp_path, capsys):
    assert explain(photo, "--model", network, "--out", str(tmp_path / "out")) == 0
    said = capsys.readouterr()
    assert "photo.jpg: class " in said.out
    assert "  deeplift  +complete" in said.out
    assert said.out.rstrip().splitlines()[-1].startswith("open file://")
    assert (tmp_path / "out" / "index.html").is_file()
    assert len(list((tmp_path / "out" / "explain").rglob("explanation.json"))) == 1
    assert "error" not in said.err


def test_a_bad_image_is_one_line_and_the_rest_goes_on(network, photo, tmp_path, capsys):
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "text.jpg").write_text("no picture")
    bad = [str(tmp_path / name) for name in ("empty.png", "text.jpg", "missing.png")]
    assert explain(bad[0], photo, *bad[1:], "--model", network, "--out", str(tmp_path / "out")) == 2
    said = capsys.readouterr()
    assert "photo.jpg: class " in said.out
    lines = [line for line in said.err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 3
    assert all(name in line for name, line in zip(("empty.png", "text.jpg", "missing.png"), lines, strict=True))


def test_nothing_but_bad_images_writes_nothing(network, tmp_path, capsys):
    assert explain("missing.png", "--model", network, "--out", str(tmp_path / "out")) == 2
    assert capsys.readouterr().err.count("error: ") == 1
    assert not (tmp_path / "out").exists()


def test_json_is_all_facts_and_nothing_else(network, photo, tmp_path, capsys):
    assert explain(photo, "--model", network, "--out", str(tmp_path / "out"), "--json") == 0
    (facts,) = json.loads(capsys.readouterr().out)
    assert facts["image"]["name"] == "photo.jpg"
    assert [one["method"] for one in facts["methods"]] == ["deeplift", "saliency"] * 2


def test_a_folder_of_pictures(network, photo, tmp_path, capsys):
    Image.new("L", (9, 9), 7).save(tmp_path / "grey.png")
    assert explain(str(tmp_path), "--model", network, "--out", str(tmp_path.parent / "out")) == 0
    said = capsys.readouterr().out
    assert "grey.png: " in said
    assert "photo.jpg: " in said


def test_a_scene_of_the_bundled_network_says_what_flips_it(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(explain_module, "PROBED", 32)
    assert explain("scene:ladybird:3", "--out", str(tmp_path / "out")) == 0
    said = capsys.readouterr().out
    assert said.startswith("ladybird 3: ladybird ")
    assert "ladybird rather than" in said
    assert "it would be" in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["x.png", "--model", "menagery"], "no network 'menagery'"),
        (["x.png", "--target", "dragon"], "no class 'dragon'"),
        (["x.png", "--versus", "dragon"], "no class 'dragon'"),
        (["x.png", "--baseline", "grey"], "no baseline 'grey'"),
        (["x.png", "--layer", "conv99"], "no layer 'conv99'"),
        (["x.png", "--memory", "much"], "memory='much'"),
        (["x.png", "--memory", "0"], "memory='0' is no budget"),
        (["x.png", "--target", "owl", "--versus", "owl"], "versus needs a class as target, and another one than it"),
        (["x.png", "--target", "conv6:1", "--versus", "owl"], "versus needs a class as target, and another one"),
    ],
)
def test_options_that_are_wrong_are_one_line(arguments, words, tmp_path, capsys):
    assert main(["explain", *arguments, "--out", str(tmp_path / "out"), "--methods", "saliency"]) == 2
    said = capsys.readouterr()
    assert words in said.err
    assert len([line for line in said.err.splitlines() if line.startswith("error: ")]) == 1
    assert not (tmp_path / "out").exists()


def test_a_folder_that_holds_what_was_explained_before(network, photo, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert explain(".", "--model", network, "--json") == 0
        (facts,) = json.loads(capsys.readouterr().out)
        assert facts["image"]["name"] == "photo.jpg"
    (tmp_path / "outputs" / "own.png").write_bytes(b"")
    assert find_sources("outputs", tmp_path / "outputs") == ["outputs/own.png"], "in it, but for what was made"
    assert find_sources("outputs/explain", tmp_path / "outputs") != [], "what is asked for is looked at"


def test_images_that_share_a_name_are_told_apart(network, photo, tmp_path, capsys):
    (tmp_path / "other").mkdir()
    Image.new("RGB", (40, 40), (200, 30, 90)).save(tmp_path / "other" / "photo.jpg")
    arguments = (photo, str(tmp_path / "other" / "photo.jpg"), "--model", network, "--out", str(tmp_path / "out"))
    assert explain(*arguments, "--json") == 0
    first, second = json.loads(capsys.readouterr().out)
    assert first["folder"] != second["folder"]
    assert explain(*arguments) == 0
    heads = [line for line in capsys.readouterr().out.splitlines() if line.startswith("photo.jpg")]
    assert [line.partition(": ")[0] for line in heads] == [
        f"photo.jpg ({facts['folder']})" for facts in (first, second)
    ]


def test_a_folder_that_cannot_be_written_is_one_line_and_the_rest_goes_on(network, photo, tmp_path, capsys):
    Image.new("RGB", (40, 40), (200, 30, 90)).save(tmp_path / "plain.png")
    (tmp_path / "out" / "explain" / "network").mkdir(parents=True)
    (tmp_path / "out" / "explain" / "network" / "photo.jpg").write_text("no folder")
    out = str(tmp_path / "out")
    assert explain(photo, str(tmp_path / "plain.png"), "--model", network, "--out", out) == 2
    said = capsys.readouterr()
    assert "plain.png: class " in said.out
    (line,) = [line for line in said.err.splitlines() if line.startswith("error: ")]
    assert line.startswith(f"error: {photo}: cannot read {tmp_path}")
    assert "is a file, not a folder" in line


def test_an_image_that_the_network_cannot_be_asked_about_is_named(tmp_path, photo, capsys):
    (tmp_path / "net.py").write_text(NETWORK.replace("nn.Linear(96, 3))", "nn.Linear(96, 3), Odd())") + ODD)
    assert explain(photo, "--model", f"{tmp_path / 'net.py'}:network", "--out", str(tmp_path / "out")) == 2
    said = capsys.readouterr()
    (line,) = [line for line in said.err.splitlines() if line.startswith("error: ")]
    assert line.startswith(f"error: {photo}: 'network' gives numbers that are not finite for 'photo.jpg'")
    assert "check its weights" in line
    assert not (tmp_path / "out").exists()


def test_a_class_that_is_not_the_answer_in_words(network, photo, tmp_path, capsys):
    options = ("--model", network, "--methods", "saliency", "--out", str(tmp_path / "out"))
    assert explain(photo, *options, "--json") == 0
    first, second, *_ = json.loads(capsys.readouterr().out)[0]["labels"]
    assert explain(photo, *options, "--target", str(second["index"]), "--versus", str(first["index"])) == 0
    said = capsys.readouterr().out
    assert f"  asked about {second['class']}: score {second['logit']:.3g}\n" in said
    behind = f"no, it is {first['logit'] - second['logit']:.2f} logits behind"
    assert f"  {second['class']} rather than {first['class']}: {behind}\n" in said
    assert explain(photo, *options, "--target", "0:2") == 0
    said = capsys.readouterr().out
    assert "  asked about channel 0:2: score " in said
    assert "rather than" not in said
    assert explain(photo, *options, "--versus", str(first["index"])) == 0
    assert f"The network calls this image {first['class']} itself" in capsys.readouterr().out


def test_the_help_lists_all_baselines(capsys):
    assert main(["explain", "--help"]) == 0
    assert "own mean" in " ".join(capsys.readouterr().out.split())


def test_a_method_that_is_none(tmp_path, capsys):
    assert main(["explain", "x.png", "--methods", "deep", "--out", str(tmp_path)]) == 2
    assert "no method that draws maps of images: 'deep'" in capsys.readouterr().err
