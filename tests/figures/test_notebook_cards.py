"""What results show in notebooks: every picture with its number, names as text, nothing from elsewhere."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import made_up
import numpy as np
import pytest
import torch
from made_up_explanations import write_explanation
from made_up_hierarchies import write_hierarchy
from PIL import Image
from torch import nn

import layerscope as ls
from layerscope.attribution.result import Attribution, Checks
from layerscope.figures.source import opened
from layerscope.figures.words import number, short
from layerscope.studies.explain import Explanation
from layerscope.studies.gallery import Gallery
from layerscope.studies.hierarchy import Hierarchy
from layerscope.synthesis.outcome import Synthesis


class Card(HTMLParser):
    """The words of a card, the texts of its pictures, and its tags."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html, self.words, self.tags, self.pictures, self.open = html, "", set(), [], []
        self.feed(html)
        assert not self.open, "every element is closed"

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.tags.add(tag)
        if tag == "img":
            assert given["src"].startswith(("data:image/webp;base64,", "data:image/png;base64,"))
            self.pictures.append(given)
        if tag not in ("img", "br"):
            self.open.append(tag)
            self.words += " "
        assert not {name for name in given if name.startswith("on")}

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words += data


def card(result) -> Card:
    found = Card(result._repr_html_())
    assert not re.search(r"""(src|href)="(?!data:)|url\(|<script|<style|<link""", found.html), (
        "nothing is loaded, no style leaks out"
    )
    assert "\n" not in repr(result)
    assert len(repr(result)) < 400
    return found


def pixels(picture: dict[str, str]) -> np.ndarray:
    with Image.open(io.BytesIO(base64.b64decode(picture["src"].partition(",")[2]))) as image:
        return np.asarray(image.convert("RGB"))


def synthesis(objective: str = "channel conv1:3", count: int = 2) -> Synthesis:
    images = np.stack([made_up.picture(place) for place in range(count)])
    steps = np.zeros((count, 4), np.float32)
    scores = np.arange(count, dtype=np.float32) + 1.5
    return Synthesis(images, scores, scores / 10, steps, scores / 100, ("converged", "weak") * (count // 2), ("", "still rising") * (count // 2), (objective,) * count, 1.25)  # fmt: skip


def test_a_synthesis_shows_each_picture_with_score_control_and_status():
    found = card(synthesis())
    for words in (
        "2 pictures that climbed",
        "channel conv1:3",
        "score 1.50",
        "before the ascent 0.150",
        "1.5% saturated",
        "weak",
        "still rising",
        "took 1.2 s",
    ):
        assert words in re.sub(r"\s+", " ", found.words), words
    assert [one["alt"] for one in found.pictures][
        1
    ] == "channel conv1:3: score 2.50, before the ascent 0.250, saturated 0.025, weak"
    np.testing.assert_array_equal(pixels(found.pictures[1]), made_up.picture(1))
    assert repr(synthesis()) == "Synthesis(2 pictures: 1 converged, 1 weak; 1.2 s)"
    many = card(synthesis(count=60))
    assert len(many.pictures) == 48
    assert "and 12 more" in many.words


def test_scenes_show_their_labels_and_what_the_thing_covers():
    scenes = ls.world.render(2, seed=3, things="owl")
    found = card(scenes)
    share = scenes.thing[1].float().mean().item()
    assert f"owl, seed 4: covers {100 * share:.1f}%" == found.pictures[1]["alt"]
    assert "2 scenes of 64 × 64 px" in found.words
    assert repr(scenes) == "Scenes(2 of 64 px, seeds 3 to 4)"


def test_a_gallery_shows_twelve_units_of_each_layer_with_their_ratios(gallery):
    found = card(Gallery(gallery, "menagerie", ("conv1", "conv2", "fc"), 3, 81, 1.0))
    assert len(found.pictures) == 12 + 12 + 4
    assert [one["alt"] for one in found.pictures][:2] == ["unit 0: 0.50×, converged", "unit 3: 1.10×, weak"]
    np.testing.assert_array_equal(pixels(found.pictures[1]), made_up.picture(3))
    assert "unit 0, owl: 0.50×, converged" in [one["alt"] for one in found.pictures]
    assert repr(Gallery(gallery, "menagerie", ("conv1",), 3, 81, 1.0)).startswith(
        "Gallery('menagerie': 84 units of 1 layer, 3 made now; in "
    )


def explained(folder: Path) -> Explanation:
    with opened("explanation", folder) as report:
        return Explanation(folder, report.record, made=False)


def test_an_explanation_shows_its_labels_and_the_maps_with_their_checks(explanation):
    found = card(explained(explanation))
    words = re.sub(r"\s+", " ", found.words)
    for said in (
        "Why owl?",
        "right: the scene shows owl",
        "90.0% 80.0% 3.00",
        "Deeplift parts 0.900 redrawn 0.250 gap 2.0% full colour at ±0.010",
        "kernelshap needs more passes",
    ):
        assert said in words, said
    assert "not good: all evidence is negative" in words
    assert len(found.pictures) == 4, "the image and three maps"


def test_an_image_that_the_network_does_not_know_is_said_to_be_so(tmp_path):
    write_explanation(tmp_path, scene=False, folder="photo")
    assert "This image is unlike what the network knows." in card(explained(tmp_path / "photo")).words


def reported(folder: Path) -> Hierarchy:
    with opened("hierarchy", folder) as report:
        return Hierarchy(folder, report.record, 0, 1.0)


def test_a_hierarchy_shows_its_finding_shares_beside_twins_and_the_figure(hierarchy, tmp_path):
    found = card(reported(hierarchy))
    words = re.sub(r"\s+", " ", found.words)
    for said in (
        "A hierarchy is shown: menagerie",
        "false labels in held-out twins 3.1%",
        "conv1 16 0.75 0.03",
        "+0.740 (0.615 to 0.865) 0 (−0.250 to 0.250)",
    ):
        assert said in words, said
    assert found.html.count('<b style="font-weight:650;opacity:1">0.75</b>') == 4, (
        "bold where it is beyond the twins for sure"
    )
    assert len(found.pictures) == 1
    write_hierarchy(tmp_path, shown=False, folder="h")
    assert "No hierarchy is shown" in card(reported(tmp_path / "h")).words


def attribution(values: torch.Tensor, target: str = "logit owl") -> Attribution:
    checks = Checks(
        score=3.0,
        total=2.5,
        expected=2.5,
        gap=0.02,
        finite=True,
        positive=0.6,
        negative=0.4,
        redrawn=0.25,
        noise=None,
        seconds=1.0,
    )
    return Attribution(
        values,
        (checks,) * len(values),
        "deeplift",
        (target,) * len(values),
        torch.tensor([3.0]),
        None,
        False,
        "blur",
        1.5,
    )


def test_an_attribution_shows_its_maps_with_their_checks_or_the_units_that_count():
    values = torch.zeros(1, 3, 8, 8)
    values[0, 0, 2] = 4.0
    found = card(attribution(values))
    assert found.pictures[0]["alt"] == "deeplift for logit owl: score 3.00, gap 2.0%, redrawn 0.250, noise –"
    shown = pixels(found.pictures[0])
    assert shown[2, 3].tolist() == [219, 100, 16]
    assert "full colour at 4.00" in found.words
    units = torch.tensor([[0.0, -2.0, 0.5]])
    assert "1: −2.00, 2: +0.500" in card(attribution(units)).words
    assert "empty map" in card(attribution(torch.zeros(1, 3, 8, 8))).words


def test_a_model_its_layers_activations_and_the_methods_are_tables():
    model = ls.wrap(
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 2)),
        8,
        name="small",
        class_names=["owl", "cat"],
    )
    words = re.sub(r"\s+", " ", card(model).words)
    assert "input 3 × 8 × 8 parameters 402 classes 2" in words
    assert "0 Conv2d 4 × 6 × 6 4 3 px 1" in words
    assert repr(model) == "VisionModel('small': 3 x 8 x 8, 2 classes)"
    assert isinstance(model.layers(), tuple)
    assert "3 Linear 2 2 whole image –" in re.sub(r"\s+", " ", card(model.layers()).words)
    assert repr(model.layers()) == "4 layers: 0, 1, 2, 3"
    with ls.capture(model, "1") as activations:
        assert card(activations).words
        model(torch.rand(2, 3, 8, 8))
    values = activations["1"]
    assert f"1 2 × 4 × 6 × 6 {number(float(values.mean()))} " in re.sub(r"\s+", " ", card(activations).words)
    methods = re.sub(r"\s+", " ", Card(ls.METHODS._repr_html_()).words)
    assert ls.METHODS["deeplift"].about in methods
    assert repr(ls.METHODS).startswith(f"{len(ls.METHODS)} attribution methods: ")


def test_a_model_that_cannot_run_says_so_in_its_card():
    model = ls.wrap(nn.Sequential(nn.Flatten(), nn.Linear(7, 2)), 8, name="broken")
    assert "cannot run on an image of shape (3, 8, 8)" in card(model).words


@pytest.mark.parametrize("hostile", made_up.HOSTILE)
def test_names_are_text_in_every_card(hostile, tmp_path):
    made_up.write_gallery(tmp_path, hostile, folder="g", labels=(hostile, "owl"), layers=("conv1",), units=2)
    write_explanation(tmp_path, hostile, network=hostile, folder="e", classes=(hostile, "owl"))
    results = [
        Gallery(tmp_path / "g", hostile, ("conv1",), 1, 1, 1.0),
        explained(tmp_path / "e"),
        synthesis(hostile),
        attribution(torch.zeros(1, 3, 4, 4), hostile),
    ]
    results.append(ls.wrap(nn.Sequential(nn.Conv2d(3, 4, 3)), 8, name=hostile, class_names=[hostile] * 4))
    for result in results:
        found = Card(result._repr_html_())
        assert found.tags <= {
            "div",
            "b",
            "bdi",
            "span",
            "img",
            "br",
            "code",
            "table",
            "thead",
            "tbody",
            "tr",
            "th",
            "td",
        }
        assert (short(hostile, 12).rstrip("…") if hostile else "") in found.words
        assert len(found.html) < 400_000
        found.html.encode()
