"""The lines of Python that the site shows: that they are Python, name what they have to, and make again what was made."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up import HOSTILE, write_gallery
from made_up_explanations import write_explanation
from made_up_hierarchies import write_hierarchy
from matplotlib.figure import Figure
from reading import assigned, index_of, local

import layerscope as ls
from layerscope.site import reproduce
from layerscope.site.pages import write_site
from layerscope.synthesis.recipes import default_objective

NAMES = (*HOSTILE, "'); import os; os.system('x') #", "\\'); import os #", "\"'\\")
NETWORK = {"name": "menagerie", "spec": "menagerie", "input_size": 64}
COMMAND = (
    "import layerscope as ls; ls.gallery(ls.load_model('menagerie'), units=['*'], recipe='draft', seed=2, probe=None)"
)


def run(line: str, **names: Any) -> Any:
    """What the last expression of a line gives."""
    *before, last = ast.parse(line).body
    assert isinstance(last, ast.Expr)
    exec(compile(ast.Module(before, []), "<line>", "exec"), names)
    return eval(compile(ast.Expression(last.value), "<line>", "eval"), names)


def literals(line: str) -> list[Any]:
    return [one.value for one in ast.walk(ast.parse(line)) if isinstance(one, ast.Constant)]


# --- what they say


def test_the_lines_of_a_layer_name_it_and_keep_what_else_was_asked():
    lines = reproduce.of_layer({"command": COMMAND}, "conv3", "gallery/menagerie")
    assert lines == {
        "gallery": "import layerscope as ls; "
        "ls.gallery(ls.load_model('menagerie'), units='conv3', recipe='draft', seed=2, probe=None)",
        "layer": "import layerscope as ls; ls.figures.layer('gallery/menagerie', 'conv3')",
        "ratios": "import layerscope as ls; ls.figures.ratios('gallery/menagerie', 'conv3')",
        "unit": ("import layerscope as ls; ls.figures.unit('gallery/menagerie', 'conv3:", "')"),
    }


@pytest.mark.parametrize(
    "command", [None, "", "x = (", "import os; os.remove('x')", "ls.explain(1)", "\0", "ls.gallery"]
)
def test_what_is_no_command_of_a_gallery_gives_no_line(command: str | None):
    assert reproduce.of_layer({"command": command}, "conv3", "g")["gallery"] is None


@given(st.text() | st.sampled_from(NAMES), st.text() | st.sampled_from(NAMES), st.integers(0, 10**6))
def test_hostile_names_are_texts_in_lines_and_nothing_else(layer: str, home: str, unit: int):
    lines = reproduce.of_layer({"command": COMMAND}, layer, home)
    report = reproduce.of_report_layer({"network": NETWORK, "seed": 0}, {}, layer, home)
    for before, after in (lines["unit"], report["tuning"]):
        assert literals(f"{before}{unit}{after}") == [home, f"{layer}:{unit}"]
    assert f"{layer}:{unit}" in literals(str(unit).join(report["picture"]))
    assert literals(lines["layer"]) == literals(report["preferences"]) == [home, layer]
    assert layer in literals(lines["gallery"])


def facts(**changed: Any) -> dict[str, Any]:
    image = {"source": "scene:owl:7", "scene": {"thing": "owl", "seed": 7}}
    target = {"text": "logit owl", "label": "owl", "index": 3}
    return {"image": image, "target": target, "versus": {"index": 1}, "seed": 4, **changed}


def method(name: str = "deeplift", question: str = "target", **more: Any) -> dict[str, Any]:
    return {"method": name, "question": question, "layer": "relu7", "baseline": "blur", **more}


def test_the_line_of_a_map_names_its_class_by_number_and_only_what_the_method_takes():
    header = {"network": NETWORK, "command": None}
    opened = (
        "import layerscope as ls; model = ls.load_model('menagerie'); "
        "images = ls.world.render(1, seed=7, size=64, things='owl').images; ls.attribute(model, images, "
    )
    line = reproduce.of_map(header, facts(), method())
    assert line == f"{opened}3, method='deeplift', baseline='blur', seed=4)"
    line = reproduce.of_map(header, facts(), method("grad_cam", "versus"))
    assert line == f"{opened}ls.margin(3, 1), method='grad_cam', layer='relu7', seed=4)"
    line = reproduce.of_map(header, facts(), method("integrated_gradients"))
    assert line == f"{opened}3, method='integrated_gradients', baseline='blur', seed=4, most_steps=128)"


def test_the_line_of_a_map_of_a_unit_or_of_a_photograph():
    header = {"network": NETWORK, "command": "import layerscope as ls; ls.explain(model, 'a b/photo.jpg', seed=4)"}
    target = {"text": "neuron conv3:5@2,4", "label": None, "index": None}
    line = reproduce.of_map(header, facts(target=target, image={"scene": None}), method())
    assert line is not None
    assert "read_photo('a b/photo.jpg', model.input_size, model.channels).pixels[None] / 255" in line
    assert "ls.attribute(model, images, ls.neuron('conv3:5@2,4'), " in line


@pytest.mark.parametrize(
    ("header", "changed", "asked"),
    [
        ({"command": "no line"}, {"image": {"scene": None}}, {}),
        ({}, {"target": {"text": "0.5 * channel a:1", "index": None}}, {}),
        ({}, {"versus": None}, {"question": "versus"}),
        ({}, {}, {"name": "of another version"}),
    ],
)
def test_where_nobody_can_say_how_there_is_no_line(header: Any, changed: Any, asked: Any):
    whole = {"network": NETWORK, "command": None, **header}
    assert reproduce.of_map(whole, facts(**changed), method(**asked)) is None


# --- what they do


def lines_of(folder: Path) -> Iterator[str]:
    """Every line that draws a figure, of layers for their second unit, as the pages of a site have them."""
    index = index_of(folder)
    for network in index["networks"]:
        yield from network["python"].values()
        for layer in network["layers"]:
            written = assigned(local(folder, layer["data"]))[1]["python"]
            yield from (written["layer"], written["ratios"], "1".join(written["unit"]))
    for image in index["images"]:
        data = assigned(local(folder, image["data"]))[1]
        yield from (line for key, line in data["python"].items() if key != "explain")
    for report in index["hierarchies"]["reports"]:
        data = assigned(local(folder, report["data"]))[1]
        yield from (line for key, line in data["python"].items() if key != "report")
        for layer in data["layers"]:
            written = layer["python"]
            yield from (written["preferences"], "1".join(written["tuning"]), "1".join(written["measures"]))


def test_every_line_that_draws_a_figure_draws_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """From the folder of index.html, as the pages say."""
    write_gallery(tmp_path, folder="gallery/it's", layers=("conv1",), units=9)
    write_explanation(tmp_path)
    write_hierarchy(tmp_path, layers=("relu1", "relu2"))
    write_site(tmp_path)
    monkeypatch.chdir(tmp_path)
    lines = list(lines_of(tmp_path))
    names = {line.split("ls.figures.")[1].split("(")[0] for line in lines}
    assert names <= set(ls.figures.__all__)
    assert len(names) > 15
    for line in lines:
        assert isinstance(run(line), Figure), line


def test_the_line_of_a_map_makes_the_map_that_the_explanation_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("os.fsync", lambda descriptor: None)
    model = ls.load_model("menagerie")
    made = ls.explain(model, "scene:owl:7", tmp_path, methods=["deeplift", "grad_cam"], gallery=None)
    for question in ("target", "versus"):
        for asked in made.facts["methods"]:
            if asked["question"] != question:
                continue
            line = reproduce.of_map({"network": NETWORK, "command": None}, made.facts, asked)
            assert line is not None
            maps = run(line).maps[0].numpy()
            np.testing.assert_allclose(maps, made.arrays[asked["map"]], atol=1e-5)


def test_the_line_of_a_report_makes_the_picture_that_the_report_shows():
    model = ls.load_model("menagerie")
    lines = reproduce.of_report_layer({"network": NETWORK, "seed": 5}, {"recipe": "draft"}, "relu1", "home")
    objective = default_objective(ls.Unit.parse("relu1:3"), model)
    expected = ls.maximise(model, [objective], recipe="draft", seed=5).images[0]
    np.testing.assert_array_equal(np.asarray(run("3".join(lines["picture"]))), np.asarray(expected))
