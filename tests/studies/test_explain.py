"""Explanations: what they hold, that it is true, that they are found again, and what is refused."""

from __future__ import annotations

import io
import json
import math

import numpy as np
import pytest
import torch
from PIL import Image
from small_nets import small_network
from torch import nn

import layerscope as ls
from layerscope.conformance.trace import differences, state_of
from layerscope.errors import InputError, StorageError, UnknownNameError
from layerscope.faithfulness.causes import part_rank, true_effects
from layerscope.site.pages import write_site
from layerscope.studies import explain as explain_module
from layerscope.studies.explain import Explainer

QUICK = ("deeplift", "guided_backprop", "grad_cam")


@pytest.fixture
def photo(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    path = tmp_path / "photo.png"
    Image.fromarray(pixels).resize((60, 40)).save(path)
    return path


@pytest.fixture
def probe(tmp_path):
    """A folder of class folders with a few pictures."""
    generator = np.random.default_rng(1)
    for name in ("one", "two", "three"):
        (tmp_path / "probe" / name).mkdir(parents=True)
        for number in range(20):
            pixels = generator.integers(0, 256, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "probe" / name / f"{number}.png")
    return tmp_path / "probe"


@pytest.fixture
def _short(monkeypatch):
    monkeypatch.setattr(explain_module, "PROBED", 128)


def every(value):
    """All numbers in nested facts."""
    if isinstance(value, dict):
        for one in value.values():
            yield from every(one)
    elif isinstance(value, list):
        for one in value:
            yield from every(one)
    elif isinstance(value, float):
        yield value


def test_a_photograph_of_a_users_network(photo, tmp_path):
    model = small_network()
    before = state_of(model.module)
    made = ls.explain(model, photo, tmp_path / "out", methods=QUICK)
    assert differences(before, state_of(model.module)) == ()
    facts, arrays = made.facts, made.arrays
    with torch.no_grad():
        logits = model(torch.from_numpy(arrays["image"]).permute(2, 0, 1)[None].float() / 255)[0]
    assert [one["index"] for one in facts["labels"]] == logits.argsort(descending=True).tolist()
    assert made.label == facts["labels"][0]["class"] == model.class_names[int(logits.argmax())]
    assert made.probability == pytest.approx(logits.softmax(0).max().item(), abs=1e-5)
    two = logits.topk(2).values
    assert facts["versus"]["margin"] == pytest.approx((two[0] - two[1]).item(), abs=1e-5)
    assert facts["questions"] == ["target", "versus"]
    assert [one["method"] for one in facts["methods"]] == [*QUICK, *QUICK]
    for one in facts["methods"]:
        assert arrays[one["map"]].shape == (32, 32)
        assert one["checks"]["redrawn"] is not None
        assert {verdict["check"] for verdict in one["verdicts"]} >= {"complete", "evidence"}
    assert facts["causes"] is None
    assert facts["flip"] is None
    assert facts["familiar"]["checked"] is False
    assert facts["labels"][0]["calibrated"] is None
    assert facts["image"] | {"sha256": ""} == {
        "name": "photo.png",
        "source": "photo.png",
        "sha256": "",
        "original": [60, 40],
        "crop": [10.0, 0.0, 50.0, 40.0],
        "notes": [],
        "scene": None,
    }
    assert all(math.isfinite(number) for number in every(facts))


def test_maps_of_the_record_are_those_of_attribute_and_the_files_for_papers_hold_them(photo, tmp_path):
    model = small_network()
    made = ls.explain(model, photo, tmp_path / "out", methods=QUICK)
    image = torch.from_numpy(made.arrays["image"]).permute(2, 0, 1)[None].float() / 255
    target, versus = made.facts["target"]["index"], made.facts["versus"]["index"]
    expected = ls.attribute(model, image, target, "deeplift").maps[0]
    assert np.allclose(made.arrays["map/target/deeplift"], expected, atol=1e-6)
    margin = ls.attribute(model, image, ls.margin(target, versus), "deeplift").maps[0]
    assert np.allclose(made.arrays["map/versus/deeplift"], margin, atol=1e-6)
    with np.load(made.folder / "maps.npz") as saved:
        assert np.array_equal(saved["map/target/deeplift"], made.arrays["map/target/deeplift"])
    with Image.open(made.folder / "explanation.png") as figure:
        assert min(figure.size) > 400
    assert (made.folder / "explanation.svg").read_text().startswith("<?xml")


def test_agreement_curves_and_controls(photo, tmp_path):
    facts = ls.explain(small_network(), photo, tmp_path / "out", methods=QUICK).facts
    agreement = facts["agreement"]["target"]
    assert agreement["methods"] == list(QUICK)
    matrix = np.array(agreement["matrix"])
    assert np.allclose(matrix, matrix.T)
    assert np.allclose(np.diag(matrix), 1)
    curves = facts["curves"]["target"]
    assert [(one["name"], one["kind"]) for one in curves["maps"]] == [(name, "method") for name in QUICK] + [
        (name, "control") for name in ("random", "edges", "centre")
    ]
    for one in curves["maps"]:
        assert one["deletion"][0] == pytest.approx(one["insertion"][-1]) == pytest.approx(curves["start"], abs=1e-5)
    assert curves["start"] == pytest.approx(facts["labels"][0]["probability"], abs=1e-5)


def test_a_target_and_a_rival_of_ones_own(photo, tmp_path):
    model = small_network()
    facts = ls.explain(model, photo, tmp_path / "out", target="three", versus="one", methods=("deeplift",)).facts
    assert (facts["target"]["label"], facts["versus"]["label"]) == ("three", "one")
    assert facts["versus"]["text"] == "logit three - logit one"
    unit = ls.explain(model, photo, tmp_path / "out", target="2:3", methods=("deeplift",)).facts
    assert unit["target"]["label"] == "channel 2:3"
    assert (unit["questions"], unit["versus"]) == (["target"], None)
    assert unit["curves"]["target"]["of"] == "score of channel 2:3"
    assert unit["curves"]["target"]["start"] == pytest.approx(unit["target"]["score"], abs=1e-5)
    assert "speaks most for or against channel 2:3:" in unit["story"]["words"]
    assert [chapter["layer"] for chapter in unit["story"]["layers"]] == ["1"]


def test_a_probe_folder_makes_familiarity_and_calibration(probe, tmp_path):
    model, known = small_network(), probe / "one" / "0.png"
    facts = ls.explain(model, known, tmp_path / "out", methods=("deeplift",), probe=str(probe)).facts
    assert (facts["familiar"]["checked"], facts["familiar"]["unlike"]) == (True, False)
    assert facts["familiar"]["probe"] == "probe"
    assert facts["temperature"] is not None
    assert facts["labels"][0]["calibrated"] is not None
    assert 0 <= facts["versus"]["percentile"] <= 1
    assert "60 images of probe" in facts["calibration"]


@pytest.mark.usefixtures("_short")
def test_a_scene_has_its_true_causes_and_its_smallest_flip(tmp_path):
    model = ls.load_model("menagerie")
    made = ls.explain(model, "scene:ladybird:3", tmp_path / "out", methods=("deeplift",))
    facts = made.facts
    assert (facts["truth"], made.label) == ("ladybird", "ladybird")
    scene = ls.world.render(1, seed=3, things="ladybird")
    assert np.array_equal(made.arrays["image"], scene.pixels[0].permute(1, 2, 0))
    body = next(part for part in facts["causes"]["parts"] if part["part"] == "head")
    without = scene.again(ls.world.RemovePart("head"))
    with torch.no_grad():
        change = model(scene.images) - model(without.images)
    assert body["effect"] == pytest.approx(change[0, facts["target"]["index"]].item(), abs=1e-4)
    assert np.array_equal(made.arrays[body["picture"]], without.pixels[0].permute(1, 2, 0))
    assert facts["flip"]["found"]
    with torch.no_grad():
        flipped = model(torch.from_numpy(made.arrays["flip"]).permute(2, 0, 1)[None].float() / 255).softmax(1)[0]
    assert model.class_names[int(flipped.argmax())] == facts["flip"]["label"] != "ladybird"
    assert flipped.max().item() == pytest.approx(facts["flip"]["probability"], abs=1e-4)
    assert not facts["familiar"]["unlike"]
    assert 0.5 < facts["labels"][0]["calibrated"] <= 1
    effects = true_effects(lambda images: model(images)[:, facts["target"]["index"]], scene)[0]
    rival = facts["versus"]["index"]
    margins = true_effects(lambda images: model(images)[:, facts["target"]["index"]] - model(images)[:, rival], scene)[
        0
    ]
    for one, truth in zip(facts["methods"], (effects, margins), strict=True):
        rank = part_rank(torch.from_numpy(made.arrays[one["map"]]), truth)
        assert (one["part_rank"], one["part_cosine"]) == (rank.spearman, pytest.approx(rank.cosine, abs=1e-4))
    assert facts["methods"][0]["part_cosine"] != facts["methods"][1]["part_cosine"]


@pytest.mark.usefixtures("_short")
def test_a_photograph_is_unlike_anything_that_the_menagerie_knows(tmp_path):
    noise = np.random.default_rng(0).integers(0, 2, (64, 64, 3), dtype=np.uint8) * 255
    Image.fromarray(noise).save(tmp_path / "noise.png")
    facts = ls.explain(
        ls.load_model("menagerie"), tmp_path / "noise.png", tmp_path / "out", methods=("deeplift",)
    ).facts
    assert facts["familiar"]["unlike"]
    assert "guess" in facts["familiar"]["words"]
    assert {one["calibrated"] for one in facts["labels"]} == {facts["versus"]["calibrated"]} == {None}
    assert facts["calibration"].endswith("calibration does not hold here.")


def test_what_is_there_is_found_again_and_other_questions_get_a_folder_of_their_own(photo, tmp_path):
    model, out = small_network(), tmp_path / "out"
    first = ls.explain(model, photo, out, methods=("deeplift",))
    again = ls.explain(model, photo, out, methods=("deeplift",))
    other = ls.explain(model, photo, out, methods=("deeplift",), target="two")
    assert (first.made, again.made, other.made) == (True, False, True)
    assert first.folder == again.folder != other.folder
    assert again.facts == first.facts
    manifest = json.loads((first.folder / "explanation.json").read_bytes())
    assert manifest["key"] == first.record.key
    with torch.no_grad():
        model.module[6].weight.add_(1)
    assert ls.explain(model, photo, out, methods=("deeplift",)).made


def test_a_method_that_refuses_says_so_in_its_place(photo, tmp_path):
    class Sorted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.fc = nn.Conv2d(3, 4, 3, 2), nn.Linear(4, 3)

        def forward(self, x):
            return self.fc(self.conv(x).flatten(2).sort(2).values[..., -5:].mean(2))

    model = ls.wrap(Sorted().eval(), 32, class_names=["one", "two", "three"])
    facts = ls.explain(model, photo, tmp_path / "out", methods=("deeplift", "saliency")).facts
    refused, made = facts["methods"][:2]
    assert "'sort'" in refused["error"]
    assert "map" not in refused
    assert made["error"] is None


def test_pictures_of_units_come_from_a_gallery_of_the_same_weights(photo, tmp_path):
    model = small_network()
    ls.gallery(model, "2", tmp_path / "gallery", recipe="draft", probe=None)
    story = ls.explain(model, photo, tmp_path / "out", methods=("deeplift",), gallery=tmp_path / "gallery")
    layers = {chapter["layer"]: chapter["shown"] for chapter in story.facts["story"]["layers"]}
    assert all(one["gallery_layer"] == "2" and one["status"] for one in layers["3"])
    assert story.arrays[layers["3"][0]["picture"]].ndim == 3
    assert all(one["picture"] is None for one in layers["1"])
    with torch.no_grad():
        model.module[0].weight.add_(0.1)
    other = ls.explain(model, photo, tmp_path / "other", methods=("deeplift",), gallery=tmp_path / "gallery")
    assert all(one["picture"] is None for chapter in other.facts["story"]["layers"] for one in chapter["shown"])


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"methods": ("deep",)}, UnknownNameError, "no method that draws maps of images: 'deep'"),
        (
            {"methods": ("layer_integrated_gradients",)},
            UnknownNameError,
            "no method that draws maps of images: 'layer_integrated_gradients'",
        ),
        ({"methods": ()}, InputError, "no methods asked for"),
        ({"target": "owl"}, UnknownNameError, "no class 'owl'"),
        ({"versus": "owl"}, UnknownNameError, "no class 'owl'"),
        ({"layer": "conv"}, UnknownNameError, "no layer 'conv'"),
        ({"baseline": "grey"}, UnknownNameError, "no baseline 'grey'"),
        ({"probe": "nowhere"}, InputError, "no folder 'nowhere'"),
        ({"methods": "saliency"}, InputError, "methods='saliency' is one text; give a list of names, as ['saliency']"),
        ({"seed": 1.5}, InputError, "seed=1.5; it has to be a whole number of at least 0"),
        ({"memory": "much"}, InputError, "memory='much'; give a number of bytes"),
        ({"memory": "0 GiB"}, InputError, "memory='0 GiB' is no budget"),
        ({"target": "1", "versus": "two"}, InputError, "versus needs a class as target, and another one than it"),
        ({"target": "2:3", "versus": "two"}, InputError, "another one than it; the target is 'channel 2:3'"),
        ({"target": "one versus two", "versus": "two"}, InputError, "versus needs a class as target"),
    ],
)
def test_what_is_refused_before_any_work(options, kind, words, photo, tmp_path):
    with pytest.raises(kind) as error:
        ls.explain(small_network(), photo, tmp_path / "out", **options)
    assert words in str(error.value)
    assert not (tmp_path / "out").exists()


class Convolved(nn.Module):
    """One size of map, and by default no classes."""

    def __init__(self, outputs: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.conv, self.relu, self.last = nn.Conv2d(3, 6, 5, 2), nn.ReLU(), nn.Conv2d(6, outputs or 4, 1)
        self.pooled = bool(outputs)

    def forward(self, x):
        x = self.last(self.relu(self.conv(x)))
        return x.mean((2, 3)) if self.pooled else x


def test_a_network_without_classes_is_asked_about_a_unit(photo, tmp_path):
    model = ls.wrap(Convolved().eval(), 32)
    made = ls.explain(model, photo, tmp_path / "out" / "explain", target="relu:2", methods=("deeplift",))
    assert made.facts["labels"] == []
    for ask in (lambda: made.label, lambda: made.probability):
        with pytest.raises(InputError, match=r"'Convolved' puts out no classes, so no label; see facts\['target'\]"):
            ask()
    assert write_site(tmp_path / "out").is_file()
    with pytest.raises(InputError, match="'Convolved' predicts no class; give a target, as a unit 'layer:channel'"):
        ls.explain(model, photo, tmp_path / "out", methods=("deeplift",))
    with pytest.raises(InputError, match=r"versus needs a network that puts out \[batch, classes\], at least two"):
        ls.explain(model, photo, tmp_path / "out", target="1", versus="2", methods=("deeplift",))


def test_a_network_of_one_output_has_a_score_and_no_probability(photo, tmp_path):
    model = ls.wrap(Convolved(1).eval(), 32)
    made = ls.explain(model, photo, tmp_path / "out" / "explain", methods=("deeplift",))
    (label,) = made.facts["labels"]
    assert (label["class"], label["probability"], label["calibrated"]) == ("class 0", None, None)
    assert label["logit"] == made.facts["target"]["score"]
    assert made.label == "class 0"
    with pytest.raises(InputError, match=r"'Convolved' has a single output, so no probability; see facts\['target'\]"):
        print(made.probability)
    curves = made.facts["curves"]["target"]
    assert curves["of"] == "score of class 0"
    assert curves["start"] == pytest.approx(label["logit"], abs=1e-6)
    assert write_site(tmp_path / "out").is_file()
    with pytest.raises(InputError, match=r"'Convolved' puts out \(1, 1\): leave versus out"):
        ls.explain(model, photo, tmp_path / "out", versus=0, methods=("deeplift",))


@pytest.mark.parametrize("option", ["target", "versus"])
def test_a_class_that_an_unnamed_network_does_not_have(option, photo, tmp_path):
    model = ls.wrap(small_network().module, 32)
    with pytest.raises(UnknownNameError, match="no class 500; the network's output has classes 0 to 2"):
        ls.explain(model, photo, tmp_path / "out", methods=("deeplift",), **{option: 500})
    assert not (tmp_path / "out").exists()


def test_a_network_whose_numbers_are_not_finite_is_named_with_the_image(photo, tmp_path):
    model = small_network()
    with torch.no_grad():
        list(model.module.parameters())[-1][1] = math.nan
    with pytest.raises(InputError, match=rf"'{model.name}' gives numbers that are not finite for 'photo.png'") as error:
        ls.explain(model, photo, tmp_path / "out", methods=("deeplift",))
    assert "check its weights, and the mean and std" in str(error.value)
    assert not (tmp_path / "out").exists()


def test_a_rival_that_the_network_predicts_is_said_of_the_image(photo, tmp_path):
    model = small_network()
    label = ls.explain(model, photo, tmp_path / "out", methods=("deeplift",)).label
    facts = ls.explain(model, photo, tmp_path / "out", methods=("deeplift",), versus=label).facts
    assert (facts["versus"], facts["questions"]) == (None, ["target"])
    assert facts["versus_note"].startswith(f"The network calls this image {label} itself")


def test_only_the_two_strongest_classes_are_compared_with_the_margins_of_the_probe(photo, probe, tmp_path):
    explainer = Explainer(small_network(), methods=("deeplift",), probe=str(probe))
    first, second, third, *_ = [one["class"] for one in explainer.explain(photo, tmp_path / "out").facts["labels"]]
    for target, versus, compared in ((first, second, True), (first, third, False), (second, first, False)):
        explainer.asked = Explainer(explainer.model, target=target, versus=versus, methods=("deeplift",)).asked
        assert (explainer.explain(photo, tmp_path / "out").facts["versus"]["percentile"] is not None) == compared


def test_classes_that_share_a_name_are_told_apart_by_their_numbers(photo, tmp_path):
    model = ls.wrap(small_network().module, 32, class_names=["crane"] * 5)
    facts = ls.explain(model, photo, tmp_path / "out", methods=("deeplift",)).facts
    assert [one["class"] for one in facts["labels"]] == [f"crane ({one['index']})" for one in facts["labels"]]
    assert facts["target"]["label"] == facts["labels"][0]["class"]
    assert facts["versus"]["label"] == facts["labels"][1]["class"]


def test_what_an_interrupt_left_out_is_made_up_for(photo, tmp_path, monkeypatch):
    model, out = small_network(), tmp_path / "out"

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(explain_module, "write_figures", interrupted)
        with pytest.raises(KeyboardInterrupt):
            ls.explain(model, photo, out, methods=("deeplift",))
    made = ls.explain(model, photo, out, methods=("deeplift",))
    whole = {path.name: path.read_bytes() for path in made.folder.iterdir() if path.is_file()}
    assert not made.made
    assert set(whole) == {"explanation.json", "explanation.png", "explanation.svg", "maps.npz"}
    for name in whole:
        (made.folder / name).unlink()
        assert not ls.explain(model, photo, out, methods=("deeplift",)).made
        assert (made.folder / name).is_file(), name
    before = (made.folder / "explanation.json").stat().st_mtime_ns
    ls.explain(model, photo, out, methods=("deeplift",))
    assert (made.folder / "explanation.json").stat().st_mtime_ns == before, "what is whole is left alone"


@pytest.mark.parametrize("image", [123, None, ["cat.png"], torch.rand(3, 32, 32)])
def test_an_image_of_another_kind_says_which_there_are(image, tmp_path):
    words = (
        rf"image is a {type(image).__name__}; give the path of one picture, '-', its bytes, an open file, 'scene:owl:7'"
    )
    with pytest.raises(InputError, match=words):
        ls.explain(small_network(), image, tmp_path / "out", methods=("deeplift",))


@pytest.mark.parametrize("source", ["scene:dragon:3", "scene:owl", "missing.png"])
def test_images_that_are_none(source, tmp_path):
    with pytest.raises(InputError) as error:
        ls.explain(small_network(), source, tmp_path / "out", methods=("deeplift",))
    assert "\n" not in str(error.value)


def test_scenes_need_the_networks_size_and_are_one(tmp_path):
    model = ls.load_model("menagerie")
    with pytest.raises(InputError, match="2 scenes of 64 px; give one of 64 px"):
        ls.explain(model, ls.world.render(2, seed=0), tmp_path)
    with pytest.raises(InputError, match="1 scenes of 96 px"):
        ls.explain(model, ls.world.render(1, seed=0, size=96), tmp_path)
    grey = ls.wrap(nn.Sequential(nn.Conv2d(1, 4, 3, 4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 16 * 16, 2)), 64)
    with pytest.raises(InputError, match="takes 1 channels"):
        ls.explain(grey, "scene:3", tmp_path)


def test_nothing_is_left_where_the_folder_cannot_be_written(photo, tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(StorageError, match="is a file, not a folder"):
        ls.explain(small_network(), photo, tmp_path / "file" / "out", methods=("deeplift",))
    assert (tmp_path / "file").read_text() == "no folder"


def test_the_command_gives_the_path_as_it_was_given_or_leaves_a_place_for_it(photo, monkeypatch):
    monkeypatch.chdir(photo.parent.parent)
    explainer = Explainer(small_network(), methods=("deeplift",))
    given = f"{photo.parent.name}/photo.png"
    subject = explain_module.read_subject(given, explainer.model)
    assert f"ls.explain(model, {given!r}, methods=" in explainer._command(subject)
    assert subject.facts["source"] == "photo.png", "a record holds no folders of the user's"
    for piped in (photo.read_bytes(), io.BytesIO(photo.read_bytes())):
        line = explainer._command(explain_module.read_subject(piped, explainer.model))
        assert "ls.explain(model, 'PATH OF THE PICTURE', methods=" in line
    menagerie = ls.load_model("menagerie")
    changed = ls.world.render(1, seed=3, things="ladybird").again(ls.world.RemovePart("head"))
    assert explain_module.read_subject(changed, menagerie).source == "PATH OF THE PICTURE"


def test_the_figure_says_what_full_colour_is_worth(photo, tmp_path):
    made = ls.explain(small_network(), photo, tmp_path / "out", methods=("deeplift", "vargrad"))
    texts = [text.get_text() for axes in ls.figures.maps(made).axes for text in axes.texts]
    deeplift, vargrad = made.facts["methods"][:2]
    assert any(text.startswith(f"full colour at ±{deeplift['scale']:.2g}\n".replace("-", "−")) for text in texts)
    assert any(text.startswith(f"full colour at {vargrad['scale']:.2g}\n".replace("-", "−")) for text in texts)
    assert (deeplift["signed"], vargrad["signed"]) == (True, False)


def test_the_command_makes_the_same_explanation_again(photo, tmp_path):
    explainer = Explainer(ls.load_model("menagerie"), target="owl", methods=("deeplift",), seed=3, probe=None)
    line = explainer._command(explain_module.read_subject("scene:owl:7", explainer.model))
    assert (
        line
        == "import layerscope as ls; ls.explain(ls.load_model('menagerie'), 'scene:owl:7', target='owl', methods=['deeplift'], probe='menagerie', seed=3)"
    )
