"""`attribute` and METHODS: what can be asked, what comes back, and what is refused in words."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
import torch
from cheap_options import few
from small_nets import SmallNet, seeded, small_model
from tasks import pictures
from torch import Tensor, nn

import layerscope as ls
from layerscope.attribution.checks import rank_correlation, redrawn, with_noise
from layerscope.attribution.memory import batch_within
from layerscope.attribution.methods import METHODS, attribute
from layerscope.attribution.task import Found, Method, Task
from layerscope.errors import CaptureError, InputError, UnknownNameError
from layerscope.models.model import VisionModel

IMAGES = pictures(3)


@pytest.fixture(scope="module")
def model() -> VisionModel:
    return small_model()


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_every_method_says_what_it_is(method: Method) -> None:
    assert METHODS[method.name] is method
    assert re.fullmatch(r"[a-z_]+", method.name)
    assert method.title
    assert method.about.endswith(".")
    assert re.search(r"(19|20)\d\d", method.source)
    assert re.search(r"forward", method.cost)
    assert set(method.needs) <= {"layer", "baseline"}
    assert "layer" in method.needs or not method.layered
    assert "baseline" in method.needs or method.claims != "difference"


@pytest.mark.parametrize(
    ("given", "kind", "words"),
    [
        ({"method": "deeplfit"}, UnknownNameError, "no attribution method 'deeplfit'; nearest: deeplift"),
        ({"target": "owls"}, UnknownNameError, "no class 'owls'; nearest: owl"),
        ({"target": 9}, UnknownNameError, "no class '9' in 'small'; classes count from 0 to 4"),
        ({"target": "conv2:99"}, UnknownNameError, "no unit 'conv2:99'"),
        ({"target": ["owl", "cat"]}, InputError, "2 targets for 3 images; give one, or one per image"),
        ({"target": []}, InputError, "0 targets for 3 images"),
        ({"target": torch.rand(3)}, InputError, "is a float; give a class"),
        ({"method": "grad_cam", "layer": "conv9"}, UnknownNameError, "no layer 'conv9'; nearest: conv"),
        ({"method": "grad_cam", "layer": "fc"}, InputError, "without rows and columns"),
        ({"method": "grad_cam", "layer": "relu#2", "target": "conv2:1"}, CaptureError, "computed before layer 'relu#2'"),
        ({"method": "saliency", "layer": "conv2"}, InputError, "'saliency' uses no layer; leave layer= out"),
        ({"method": "saliency", "baseline": "blur"}, InputError, "'saliency' uses no baseline; leave baseline= out"),
        ({"baseline": "grey"}, UnknownNameError, "no baseline 'grey'; there are: blur"),
        ({"baseline": torch.zeros(2, 3, 32, 32)}, InputError, "does not fit images of (3, 3, 32, 32)"),
        ({"steps": 3}, UnknownNameError, "no option of 'deeplift': 'steps'; there are none"),
        ({"method": "smoothgrad", "sample": 3}, UnknownNameError, "'sample'; nearest: samples"),
        ({"memory": "much"}, InputError, "'much'"),
        ({"memory": 0}, InputError, "memory=0 is no budget"),
        ({"memory": -1}, InputError, "-1"),
        ({"memory": None}, InputError, "memory=None is no budget"),
        ({"images": 3 * IMAGES - 1}, InputError, "give values in [0, 1], not normalised"),
        ({"images": torch.full((1, 3, 32, 32), torch.nan)}, InputError, "the images hold values that are not finite"),
        ({"images": IMAGES[:0]}, InputError, "without a pixel to explain; give at least one image"),
        ({"images": IMAGES[0]}, InputError, "images of shape (3, 32, 32); 'small' takes a tensor [batch, 3, height"),
        ({"images": IMAGES[:, :1]}, InputError, "images of shape (3, 1, 32, 32)"),
        ({"images": IMAGES.numpy()}, InputError, "images of a ndarray"),
        ({"images": IMAGES.double()}, InputError, "images are torch.float64 and 'small' computes in torch.float32"),
        ({"images": (255 * IMAGES).byte()}, InputError, "pass images.to(torch.float32) / 255"),
        ({"images": IMAGES.to("meta")}, InputError, "images are on meta and 'small' on cpu; pass images.to('cpu')"),
    ],
)  # fmt: skip
def test_what_is_refused_in_one_line(model: VisionModel, given: dict[str, Any], kind: type, words: str) -> None:
    with pytest.raises(kind) as error:
        attribute(model, **{"images": IMAGES, "target": "owl"} | given)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def _nonsense(default: object) -> tuple[object, ...]:
    """Values that an option of this default cannot have."""
    if isinstance(default, float):
        return (-1.0, float("nan"), "much", True)
    return ("nonsense", 3) if isinstance(default, str) else (-1, 0, 2.5, "many", True)


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [
        (name, option, value)
        for name, method in METHODS.items()
        for option, default in method.options().items()
        for value in _nonsense(default)
    ],
)
def test_options_without_sense_are_refused_in_one_line(model: VisionModel, name: str, option: str, value: Any) -> None:
    with pytest.raises(InputError) as error:
        attribute(model, IMAGES[:1], "owl", name, **{option: value})
    assert str(value) in str(error.value)
    assert "\n" not in str(error.value)


def test_batch_norm_without_statistics_is_refused() -> None:
    norm = nn.BatchNorm2d(4, track_running_stats=False)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), norm, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    for target in (None, 1, "0:1"):
        with pytest.raises(InputError, match="statistics of the batch"):
            attribute(ls.wrap(net, 32), IMAGES, target, "saliency")


def test_targets_are_those_of_each_image_in_their_order(model: VisionModel) -> None:
    targets = ["owl", "conv2:5", "owl"]
    made = attribute(model, IMAGES, targets, "saliency")
    assert made.targets == ("logit owl", "channel conv2:5", "logit owl")
    for number, target in enumerate(targets):
        alone = attribute(model, IMAGES[number : number + 1], target, "saliency")
        torch.testing.assert_close(made.values[number], alone.values[0])
        torch.testing.assert_close(made.scores[number], alone.scores[0])
        assert made.checks[number].score == pytest.approx(alone.checks[0].score)
        assert made.checks[number].redrawn == pytest.approx(alone.checks[0].redrawn, abs=1e-5)
    assert not torch.allclose(made.values[0], attribute(model, IMAGES[:1], "cat", "saliency").values[0])


def test_no_target_is_the_predicted_class_of_each_image(model: VisionModel) -> None:
    images = pictures(8, seed=3) * torch.linspace(0, 1, 8).view(-1, 1, 1, 1)
    classes = model(images).argmax(1)
    assert len(classes.unique()) > 1
    made = attribute(model, images, None, "saliency", checks=False)
    assert made.targets == tuple(f"logit {model.class_names[number]}" for number in classes)
    torch.testing.assert_close(made.scores, model(images).amax(1).detach())
    for same in (classes, classes.tolist(), [model.class_names[number] for number in classes]):
        torch.testing.assert_close(made.values, attribute(model, images, same, "saliency", checks=False).values)


def test_a_baseline_of_each_image_goes_with_it_whatever_the_targets(model: VisionModel) -> None:
    baselines = pictures(3, seed=5)
    made = attribute(model, IMAGES, ["owl", "cat", "owl"], baseline=baselines)
    assert made.baseline == "given"
    for number, target in enumerate(made.targets):
        own = slice(number, number + 1)
        alone = attribute(model, IMAGES[own], target.split()[-1], baseline=baselines[own])
        torch.testing.assert_close(made.values[own], alone.values)


def test_what_was_chosen_is_said(model: VisionModel) -> None:
    chosen, named = (attribute(model, IMAGES, "owl", "grad_cam", layer=layer) for layer in (None, "relu"))
    assert (chosen.layer, chosen.chosen, chosen.baseline) == ("relu#2", True, None)
    assert (named.layer, named.chosen) == ("relu#0", False)
    assert attribute(model, IMAGES, "owl").baseline == "blur"
    assert attribute(model, IMAGES, "owl", baseline="own mean").baseline == "own mean"
    assert attribute(model, IMAGES, "owl", "saliency", checks=False).layer is None


def test_targets_with_several_default_layers_need_a_name(model: VisionModel) -> None:
    targets = ["owl", "conv2:5", "owl"]
    with pytest.raises(InputError, match=r"another one from target to target \(relu#2, .*\); name one with layer="):
        attribute(model, IMAGES, targets, "layer_gradient_x_activation")
    assert attribute(model, IMAGES, targets, "layer_gradient_x_activation", layer="relu#0").values.shape == (
        3,
        8,
        16,
        16,
    )


@pytest.mark.parametrize(("memory", "batch"), [(1, 1), (1e6, 8), ("1 MiB", 8), ("1 GiB", 256), ("1TB", 256)])
def test_the_budget_of_memory_is_a_number_of_images(model: VisionModel, memory: float | str, batch: int) -> None:
    kept = 8 * 16 * 16 * 6 + 12 * 8 * 8 * 2 + 5  # float32 values of the leaf layers: conv, norm and ReLU twice ..
    expected = min(256, max(1, int((2**20 if memory == "1 MiB" else 1e6) / (4 * kept)))) if batch == 8 else batch
    assert batch_within(model, IMAGES, memory) == expected
    assert batch_within(model, pictures(1, size=64), "1 MiB") == pytest.approx(expected / 4, abs=1) or batch != 8


def test_no_more_images_run_at_once_than_the_budget_allows() -> None:
    net, seen = SmallNet().eval(), []
    net.conv1.register_forward_hook(lambda part, args, output: seen.append(len(output)))
    model = ls.wrap(net, 32, class_names=["a", "b", "c", "d", "e"])
    for name in METHODS:
        attribute(model, IMAGES, 0, name, memory=1, checks=False, **few(name))
        assert max(seen) <= 2, name  # a head is compared with the network once, on two copies of one image


def test_a_network_that_cannot_be_copied_is_explained_with_a_note() -> None:
    net = SmallNet().eval()
    net.lines = (line for line in "ab")
    made = attribute(ls.wrap(net, 32), IMAGES, 0, "saliency")
    assert made.checks[0].redrawn is None
    assert made.checks[0].noise is not None
    assert any("cannot be drawn anew: cannot pickle 'generator'" in note for note in made.checks[0].notes)


def test_the_method_is_asked_again_for_a_network_drawn_anew_and_for_noise(model: VisionModel) -> None:
    checks = attribute(model, IMAGES, "owl", "input_x_gradient", seed=3).checks
    other = replace(model, module=redrawn(model.module, seed=3))
    for number, image in enumerate(IMAGES.split(1)):
        plain, anew = (attribute(one, image, "owl", "input_x_gradient", checks=False).maps for one in (model, other))
        noisy = attribute(model, with_noise(image, seed=3), "owl", "input_x_gradient", checks=False).maps
        assert checks[number].redrawn == pytest.approx(rank_correlation(plain, anew), abs=1e-4)
        assert checks[number].noise == pytest.approx(rank_correlation(plain, noisy), abs=1e-4)
        assert checks[number].noise < 0.999


def test_where_the_method_refuses_the_other_network_that_is_noted(
    model: VisionModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(task: Task) -> Found:
        if task.score.model.module is not model.module:
            raise InputError("this network decides by what it sees")
        return Found(task.images)

    monkeypatch.setitem(METHODS, "picky", Method("picky", "Picky", "Refuses.", "2000", run))
    check = attribute(model, IMAGES, 0, "picky").checks[0]
    assert check.redrawn is None
    assert check.noise > 0.9
    assert check.notes == (
        "Not compared with the network with its top layers drawn anew: this network decides by what it sees",
    )


def test_nothing_of_the_graph_comes_out(model: VisionModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(task: Task) -> Found:
        values = task.images.clone().requires_grad_() * 2
        return Found(values, values.sum((1, 2, 3)))

    monkeypatch.setitem(METHODS, "loose", Method("loose", "Loose", "Holds on.", "2000", run, claims="score"))
    assert not attribute(model, IMAGES, "owl", "loose").values.requires_grad


def test_what_a_method_does_not_expect_is_not_swallowed(model: VisionModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(task: object) -> Found:
        raise ZeroDivisionError("a defect")

    monkeypatch.setitem(METHODS, "broken", Method("broken", "Broken", "Breaks.", "2000", run))
    with pytest.raises(ZeroDivisionError, match="a defect"):
        attribute(model, IMAGES, "owl", "broken")


class _Boxes(nn.Module):
    """Puts out no classes: a dict of two maps."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Conv2d(3, 4, 3, stride=2), nn.Conv2d(4, 6, 1)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        x = self.body(x).relu()
        return {"boxes": self.head(x), "features": x}


def test_networks_that_are_no_classifiers_explain_units_and_say_so_about_classes() -> None:
    model = ls.wrap(seeded(_Boxes()), 32)
    made = attribute(model, IMAGES, "head:2@3,4", "input_x_gradient")
    assert made.targets == ("neuron head:2@3,4",) * 3
    assert made.values[:, :, :6].abs().sum() == 0  # row 3 sees no pixel above row 6
    assert made.values[:, :, 6:9, 8:11].any()
    with pytest.raises(InputError, match=r"not \[batch, classes\]: it predicts no class; give target="):
        attribute(model, IMAGES)
