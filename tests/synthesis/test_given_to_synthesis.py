"""What is no seed, number, image, layer or recipe is said in one line, before any work."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_nets import SmallNet, seeded

import layerscope as ls
from layerscope.errors import InputError
from layerscope.synthesis.recipes import Recipe

FEW = Recipe("few", "fourier", view=16, steps=3)
NAN = float("nan")


@pytest.fixture(scope="module")
def model() -> ls.VisionModel:
    return ls.wrap(seeded(SmallNet()), 32, class_names=["owl", "cat", "hut"], name="small")


def images() -> torch.Tensor:
    return torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def said(call: Any) -> str:
    with pytest.raises(InputError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": "a"}, "seed='a'; give a whole number of at least 0"),
        ({"seed": None}, "seed=None; give a whole number of at least 0"),
        ({"seed": -1}, "seed=-1; give a whole number of at least 0"),
        ({"seed": 1.5}, "seed=1.5; give a whole number of at least 0"),
        ({"seed": NAN}, "seed=nan; give a whole number of at least 0"),
        ({"seed": True}, "seed=True; give a whole number of at least 0"),
        ({"on_progress": "a"}, "on_progress='a' is no function; give one that takes (done, total, what)"),
        ({"steps": "a"}, "steps='a'; give a whole number from 1 to 1,000,000"),
        ({"steps": []}, "steps=[]; give a whole number from 1 to 1,000,000"),
        ({"frames": "a"}, "frames='a'; give 2 to 10,000"),
        ({"spectrum": "a"}, "spectrum='a' is no Spectrum; measure one with ls.Spectrum.of(images)"),
        ({"spectrum": torch.zeros(3, 3)}, "spectrum=a Tensor is no Spectrum"),
        ({"spectrum": ls.Spectrum.natural(1)}, "a spectrum of 1 channel, and 'small' takes 3; measure one on images"),
        ({"starts": torch.tensor(1.0)}, "starts of shape [] are no images; give [n, channel, side, side]"),
        ({"recipe": []}, "[] is no recipe; give 'draft', 'standard', 'fine', or a Recipe"),
        ({"recipe": Recipe}, "a type is no recipe; give 'draft'"),
    ],
)
def test_what_maximise_is_asked_in_vain(model: ls.VisionModel, options: dict[str, Any], message: str) -> None:
    assert said(lambda: ls.maximise(model, "conv2:1", **{"recipe": FEW, **options})).startswith(message)


@pytest.mark.parametrize(
    ("objectives", "message"),
    [
        (5, "5 names nothing to climb; give an objective or a unit, or a list of them"),
        (None, "None names nothing to climb; give an objective or a unit"),
        ([torch.zeros(3, 3)], "a Tensor is nothing to climb; give an objective, a unit such as 'conv3:5'"),
        (ls.diversity(5), "no layer '5'; there are: "),  # type: ignore[arg-type]
        (ls.layer_energy(None), "no layer 'None'; there are: "),  # type: ignore[arg-type]
    ],
)
def test_what_is_nothing_to_climb(model: ls.VisionModel, objectives: Any, message: str) -> None:
    assert said(lambda: ls.maximise(model, objectives, recipe=FEW)).startswith(message)


@pytest.mark.parametrize("vector", ["a", None, ["a"] * 8, 5, [10**400]])
def test_what_is_no_direction(vector: Any) -> None:
    message = said(lambda: ls.direction("conv2", vector))
    assert message.endswith(" is no direction in 'conv2'; give numbers, one for each unit of the layer")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pictures": "a"}, "pictures='a'; give a whole number from 2 to 4,096"),
        ({"pictures": NAN}, "pictures=nan; give a whole number from 2 to 4,096"),
        ({"pictures": 1 << 70}, "pictures=1180591620717411303424; give a whole number from 2 to 4,096"),
        ({"pictures": 9}, "9 pictures of 'from (excitation conv2:1) to (excitation conv2:2), climbed less"),
        ({"recipe": 5}, "5 is no recipe; give 'draft'"),
        ({"align": "a"}, "align='a'; give a number of at least 0"),
        ({"align": NAN}, "align=nan; give a number of at least 0"),
        ({"layer": 5}, "no layer '5'; there are: "),
        ({"layer": "conv9"}, "no layer 'conv9'; nearest: conv"),
        ({"frames": 1}, "frames=1; give 2 to 10,000"),
        ({"seed": "a"}, "seed='a'; give a whole number of at least 0"),
        ({"second": 5}, "5 is nothing to climb"),
        ({"model": "menagerie"}, "a str is no VisionModel; open it with load_model, or wrap(module)"),
    ],
)
def test_rows_that_lead_nowhere(
    model: ls.VisionModel, options: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[int] = []
    asked = {"model": model, "first": "conv2:1", "second": "conv2:2", "pictures": 3, "recipe": FEW, **options}
    told = said(lambda: ls.interpolate(**asked, on_progress=lambda *done: steps.append(done[0])))
    assert told.startswith(message)
    assert not steps  # nothing was climbed before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keep": "a"}, "keep='a'; give a number of at least 0"),
        ({"keep": float("inf")}, "keep=inf; give a number of at least 0"),
        ({"layer": 5}, "no layer '5'; there are: "),
        ({"recipe": "draft"}, "'draft' is no Recipe; make one with ls.Recipe, or leave it out"),
        ({"recipe": []}, "[] is no Recipe; make one with ls.Recipe, or leave it out"),
        ({"steps": "a"}, "steps='a'; give a whole number"),
        ({"seed": "a"}, "seed='a'; give a whole number"),
        ({"objectives": None}, "None names nothing to climb"),
        ({"images": images() > 0.5}, "images are torch.bool; give floats with values in [0, 1]"),
        ({"images": images().to(torch.complex64)}, "images are torch.complex64; give floats"),
        ({"images": images() * NAN}, "the images' values go from nan to nan; give values in [0, 1]"),
        ({"model": "menagerie"}, "a str is no VisionModel; open it with load_model, or wrap(module)"),
    ],
)
def test_accentuations_of_nothing(model: ls.VisionModel, options: dict[str, Any], message: str) -> None:
    asked = {"model": model, "images": images(), "objectives": "conv2:1", "steps": 2, **options}
    assert said(lambda: ls.accentuate(**asked)).startswith(message)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"power": "a"}, "power='a'; give a number of at least 0"),
        ({"power": NAN}, "power=nan; give a number of at least 0"),
        ({"layer": None}, "no layer 'None'; there are: "),
        ({"recipe": "draft"}, "'draft' is no Recipe; make one with ls.Recipe"),
        ({"spectrum": 5}, "spectrum=5 is no Spectrum"),
        ({"model": torch.nn.Identity()}, "a Identity is no VisionModel"),
    ],
)
def test_caricatures_of_nothing(model: ls.VisionModel, options: dict[str, Any], message: str) -> None:
    asked = {"model": model, "images": images(), "layer": "conv2", "steps": 2, **options}
    assert said(lambda: ls.caricature(**asked)).startswith(message)


def test_what_recipe_for_does_not_know(model: ls.VisionModel) -> None:
    assert said(lambda: ls.recipe_for([], None, model)).startswith("no recipe '[]'")  # type: ignore[arg-type]
    told = said(lambda: ls.recipe_for("draft", "conv2", model))  # type: ignore[arg-type]
    assert told == "'conv2' is no Layer; give model.layer(name), or None for the network's output"


def test_numbers_of_numpy_give_the_same_picture(model: ls.VisionModel) -> None:
    plain = ls.maximise(model, "conv2:1", recipe=FEW, seed=3, steps=2)
    same = ls.maximise(model, "conv2:1", recipe=FEW, seed=np.int64(3), steps=np.int64(2))  # type: ignore[arg-type]
    assert same.images.tobytes() == plain.images.tobytes()


@pytest.mark.parametrize("write", [ls.animate, ls.spritemap])
@pytest.mark.parametrize("place", [None, 5, "a\0.webp"])
def test_what_is_no_path(model: ls.VisionModel, write: Any, place: Any) -> None:
    made = ls.maximise(model, "conv2:1", recipe=FEW, frames=2)
    assert said(lambda: write(made, place)) == f"path={place!r} is no path; give a text or a pathlib.Path"


def test_a_spritemap_is_written_whole_or_not_at_all(model: ls.VisionModel, tmp_path: Path) -> None:
    made = ls.maximise(model, "conv2:1", recipe=FEW)
    (tmp_path / "map.json").mkdir()
    told = said(lambda: ls.spritemap(made, tmp_path / "map.png"))
    assert re.fullmatch(r"cannot write .*map\.json: there is a folder of that name; .*", told)
    assert [path.name for path in tmp_path.iterdir()] == ["map.json"]
