"""Networks and requests that a user may come with: answered rightly, with a note, or refused in one line."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from cheap_options import few
from small_nets import CountingNet, SmallNet, seeded
from tasks import pictures
from torch import Tensor, nn

import layerscope as ls
from layerscope.attribution.methods import METHODS, attribute
from layerscope.errors import InputError
from layerscope.objectives import Activations, Objective, Scores

IMAGES = pictures(2)
every_method = pytest.mark.parametrize("name", METHODS)


def wrapped(module: nn.Module) -> ls.VisionModel:
    return ls.wrap(module.eval(), 32, class_names=("owl", "cat", "hut", "tree", "cup"))


def explained(name: str, model: ls.VisionModel, images: Tensor = IMAGES, **more: Any) -> ls.Attribution:
    layer = {"layer": "relu#1"} if "layer" in METHODS[name].needs else {}
    return attribute(model, images, 0, name, **layer, **few(name), **more)


# --- what is asked


@dataclass(frozen=True, eq=False)
class Mine(Objective):
    """Two of these have one text."""

    index: int

    @property
    def layers(self) -> tuple[str, ...]:
        return ("",)

    def __call__(self, activations: Activations) -> Scores:
        return activations[""][:, self.index]

    def bind(self, model: ls.VisionModel) -> Objective:
        return self

    def moved(self, layer: str, to: str) -> Objective:
        return self

    def __str__(self) -> str:
        return "my score"


def test_objectives_of_one_text_are_not_one_objective() -> None:
    model = wrapped(seeded(SmallNet()))
    made = attribute(model, IMAGES, [Mine(0), Mine(1)], "saliency", checks=False)
    assert torch.equal(made.values, attribute(model, IMAGES, [0, 1], "saliency", checks=False).values)
    near = [ls.logit(0) + weight * ls.logit(1) for weight in (0.5000001, 0.5000003, 300000.4)]
    assert len({str(one) for one in near}) == 3
    assert str(0.5 * ls.logit(1)) == "0.5 * logit 1"


@pytest.mark.parametrize("target", [np.int64(1), [1, torch.tensor(1)], torch.tensor([1, 1])])
def test_classes_of_other_libraries(target: Any) -> None:
    model = wrapped(seeded(SmallNet()))
    made = attribute(model, IMAGES, target, "saliency", checks=False)
    assert torch.equal(made.values, attribute(model, IMAGES, 1, "saliency", checks=False).values)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"model": nn.ReLU()}, "model is a ReLU; give what layerscope.load_model or layerscope.wrap makes"),
        ({"layer": 4, "method": "grad_cam"}, "layer is a int; give its name"),
        ({"method": ["saliency"]}, "no attribution method"),
        ({"method": "lrp", "composite": ["z+"]}, "no LRP composite"),
        ({"seed": "a"}, "seed='a'; give a whole number"),
        ({"seed": 1.5}, "seed=1.5; give a whole number"),
        ({"seed": 2**70}, "give a whole number of at most 63 bits"),
        ({"images": torch.rand(2, 3, 0, 0)}, "without a pixel to explain"),
        ({"target": torch.tensor([[1], [2]])}, r"targets of shape (2, 1); give one class, or one per image, [batch]"),
        ({"target": ls.diversity("conv3")}, "compares images with each other, so it is no score of one"),
        ({"method": "occlusion", "baseline": torch.rand(2, 3, 32, 32) * 1j}, "complex numbers"),
        ({"method": "smoothgrad", "noise": float("inf")}, "noise=inf; it has to be a number of at least 0"),
        ({"method": "lime", "segments": np.zeros((32, 32))}, "segments=a ndarray; it has to be a whole number"),
    ],
)  # fmt: skip
def test_what_is_refused(given: dict[str, Any], words: str) -> None:
    usual: dict[str, Any] = {
        "model": wrapped(seeded(SmallNet())),
        "images": IMAGES,
        "target": 0,
        "method": "saliency",
        "checks": False,
    }
    with pytest.raises(InputError, match=re.escape(words)) as refusal:
        attribute(**{**usual, **given})
    assert "\n" not in str(refusal.value)


def test_an_output_without_classes_is_no_class() -> None:
    model = wrapped(nn.Sequential(nn.Flatten(), nn.Linear(3072, 1), nn.Flatten(0)))
    with pytest.raises(InputError, match=r"puts out \(2,\), without an axis of classes"):
        attribute(model, IMAGES, 0, "saliency")


# --- networks


class Dropping(SmallNet):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.dropout(x, 0.3, training=True))


@pytest.mark.parametrize("name", ["saliency", "guided_backprop", "occlusion", "grad_cam", "kernel_shap"])
def test_a_network_that_draws_is_explained_alike_for_one_seed_and_that_is_noted(name: str) -> None:
    model, state = wrapped(seeded(Dropping())), torch.get_rng_state()
    made, again, other = (explained(name, model, checks=False, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(made.values, again.values)
    assert not torch.equal(made.values, other.values)
    assert made.checks[0].notes[-1].startswith("The network draws at random when it runs")
    assert torch.equal(torch.get_rng_state(), state)
    assert not any("draws at random" in note for note in explained(name, wrapped(seeded(SmallNet()))).checks[0].notes)


@every_method
def test_buffers_are_as_before(name: str) -> None:
    model = wrapped(seeded(CountingNet()))
    explained(name, model, checks=False)
    assert model.module.calls == 0


class Careful(SmallNet):
    """Overflows, as it says, with other weights."""

    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        assert not getattr(self, "known", True) or torch.equal(self.fc.weight, self.usual), "overflow"
        return y


def test_a_control_that_fails_is_noted() -> None:
    net = seeded(Careful())
    net.usual = net.fc.weight.detach().clone()
    check = explained("saliency", wrapped(net)).checks[0]
    assert check.redrawn is None
    assert "Not compared with the network with its top layers drawn anew: overflow" in check.notes


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@every_method
def test_compiled_parts_run_uncompiled(name: str) -> None:
    net, expected = seeded(SmallNet()), explained(name, wrapped(seeded(SmallNet())), checks=False)

    def never(*_: Any) -> Any:
        raise AssertionError("compiled")

    net.conv2 = torch.compile(net.conv2, backend=never)
    made = explained(name, wrapped(net), checks=False)
    torch.testing.assert_close(made.values, expected.values, rtol=1e-4, atol=1e-6)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("name", ["saliency", "grad_cam", "occlusion", "integrated_gradients", "layer_deeplift"])
def test_a_scripted_part_is_run_as_it_is(name: str) -> None:
    class Scripted(SmallNet):
        def __init__(self) -> None:
            super().__init__()
            self.head = torch.jit.script(nn.Sequential(nn.Identity()))

        def forward(self, x: Tensor) -> Tensor:
            return super().forward(self.head(x))

    made = explained(name, wrapped(seeded(Scripted())), checks=False)
    expected = explained(name, wrapped(seeded(SmallNet())), checks=False)
    torch.testing.assert_close(made.values, expected.values, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", sorted(set(METHODS) - {"deeplift", "lrp", "internal_influence"}))
def test_a_network_of_nans_has_a_map_of_nans(name: str) -> None:
    """Not so where only slopes count, which a ReLU has of NaN too."""

    class Broken(SmallNet):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x * torch.nan)

    made = explained(name, wrapped(seeded(Broken())))
    assert not any(check.finite and check.positive for check in made.checks)
    assert not made.checks[0].empty or made.values.isfinite().all()


@every_method
def test_what_is_set_around_the_call_changes_nothing(name: str) -> None:
    """Autocast, the default dtype, inference mode."""
    model = wrapped(seeded(SmallNet()))
    expected = explained(name, model, checks=False).values
    before = torch.get_default_dtype()
    try:
        torch.set_default_dtype(torch.float64)
        with torch.autocast("cpu", torch.bfloat16), torch.inference_mode():
            made = explained(name, model, checks=False).values
    finally:
        torch.set_default_dtype(before)
    torch.testing.assert_close(made, expected, rtol=1e-4, atol=1e-6)


def test_a_network_made_in_inference_mode_is_told_so() -> None:
    with torch.inference_mode():
        model = wrapped(seeded(SmallNet()))
    with pytest.raises(InputError, match=r"was made in torch.inference_mode\(\)"):
        explained("saliency", model)


class Normalised(nn.Module):
    def __init__(self, change: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.change, self.net = change, nn.Sequential(nn.Conv2d(3, 6, 3, bias=False), nn.ReLU(), nn.Conv2d(6, 5, 3, bias=False), nn.ReLU())  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return self.net(self.change(x)).mean((2, 3))


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x * 4 - 2,
        lambda x: (x - 0.5) / 0.25,
        lambda x: torch.add(x * 4, -2),
        lambda x: -(0.5 - x) * 4,
        lambda x: F.batch_norm(x, torch.full((3,), 0.5), torch.full((3,), 1 / 16), eps=0),
    ],
)
@pytest.mark.parametrize("composite", ["epsilon-plus-flat", "z+", "gamma"])
def test_relevance_is_the_same_however_a_network_normalises(change: Callable[[Tensor], Tensor], composite: str) -> None:
    inside, outside = seeded(Normalised(change)), seeded(Normalised(lambda x: x))
    models = ls.wrap(inside, 32, mean=0.0, std=1.0), ls.wrap(outside, 32, mean=0.5, std=0.25)
    made, expected = (attribute(model, IMAGES, 1, "lrp", composite=composite, checks=False) for model in models)
    torch.testing.assert_close(made.scores, expected.scores)
    torch.testing.assert_close(made.values, expected.values, rtol=1e-3, atol=1e-5 * float(expected.values.abs().max()))


def test_whether_something_goes_around_a_layer_is_a_matter_of_each_image() -> None:
    class Around(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.inside, self.fc = nn.Conv2d(3, 6, 3), nn.Tanh(), nn.Linear(6, 5)

        def forward(self, x: Tensor) -> Tensor:
            y = self.fc(torch.tanh(6 * self.inside(10 * self.conv(x)).mean((2, 3))))
            return y + 5 * F.relu(x.mean((1, 2, 3))[:, None] - 1.6)

    model = ls.wrap(seeded(Around()), 32, mean=0.0, std=0.25)
    images = torch.stack([IMAGES[0] * 0.3, IMAGES[0] * 0.5 + 0.5])  # dark, which does not pass around, and light
    both, alone = (
        attribute(model, some, 1, "conductance", layer="inside", baseline="black", steps=2, checks=False)
        for some in (images, images[:1])
    )
    torch.testing.assert_close(both.values[:1], alone.values)
    assert both.checks[0].gap == pytest.approx(alone.checks[0].gap, abs=1e-4)
    assert both.checks[1].gap is None
    assert [len([note for note in check.notes if "goes around" in note]) for check in both.checks] == [0, 1]


# --- the control


@pytest.mark.parametrize("target", ["conv1:3", "relu#1:2"])
def test_layers_that_what_is_explained_reads_are_drawn_anew(target: str) -> None:
    """Those above a unit would change nothing."""
    model = wrapped(seeded(SmallNet()))
    assert attribute(model, IMAGES, target, "saliency").checks[0].redrawn < 0.9


def test_a_map_without_ranks_says_so() -> None:
    model = wrapped(nn.Sequential(nn.Conv2d(3, 4, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5)))
    check = attribute(model, IMAGES, 0, "internal_influence", layer="0").checks[0]
    assert check.redrawn is None
    assert "This map, or that of the network with its top layers drawn anew, is the same everywhere" in check.notes[0]
