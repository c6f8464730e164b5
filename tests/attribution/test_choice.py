from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import torchvision.models as tv
from small_nets import SmallNet, seeded
from tasks import pictures
from torch import Tensor, nn
from torchvision.models.vision_transformer import VisionTransformer

import layerscope as ls
from layerscope import objectives as ob
from layerscope.attribution.choice import default_layer
from layerscope.attribution.score import Score, Target, as_objective
from layerscope.capture.evaluating import evaluating
from layerscope.capture.hooks import capture
from layerscope.conformance.trace import differences, state_of
from layerscope.errors import InputError
from layerscope.models.model import VisionModel, wrap


def chosen(model: VisionModel, target: Target = 2, size: int | None = None) -> str:
    with evaluating(model.module, gradients=True):
        return default_layer(Score(model, as_objective(model, target)), pictures(1, size or model.input_size)).name


def small() -> VisionModel:
    return wrap(seeded(SmallNet()), input_size=32)


def small_vit(**more: Any) -> nn.Module:
    net = VisionTransformer(64, 16, 3, 4, 64, 128, num_classes=10)
    nn.init.normal_(net.heads.head.weight)
    return net


# --- networks of the field

FIELD: dict[str, tuple[Callable[..., nn.Module], str]] = {
    # where the authors of the networks' maps read them: the last stage, the last activation before the last pooling
    "alexnet": (tv.alexnet, "features.11"),
    "vgg11_bn": (tv.vgg11_bn, "features.27"),
    "squeezenet": (tv.squeezenet1_1, "features"),
    "resnet18": (tv.resnet18, "layer4"),
    "densenet121": (tv.densenet121, "features"),
    "googlenet": (lambda **more: tv.googlenet(init_weights=False, **more), "inception5b"),
    "mobilenet_v2": (tv.mobilenet_v2, "features"),
    "shufflenet": (tv.shufflenet_v2_x0_5, "conv5"),
    "mnasnet": (tv.mnasnet0_5, "layers"),
    "regnet": (tv.regnet_y_400mf, "trunk_output"),
    "convnext": (tv.convnext_tiny, "features"),
    "swin": (tv.swin_t, "norm"),
    "vit": (small_vit, "encoder.layers.encoder_layer_2.ln_1"),
}
QUICK = ("squeezenet", "resnet18", "shufflenet", "vit")


def of_the_field(name: str) -> str:
    make, _ = FIELD[name]
    torch.manual_seed(0)
    net = make().eval() if name == "vit" else make(weights=None).eval()
    return chosen(wrap(net, 64 if name == "vit" else 96))


@pytest.mark.parametrize("name", QUICK)
def test_the_layer_that_the_field_reads(name: str) -> None:
    assert of_the_field(name) == FIELD[name][1]


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in FIELD if name not in QUICK])
def test_the_layer_that_the_field_reads_in_more_networks(name: str) -> None:
    assert of_the_field(name) == FIELD[name][1]


def test_the_bundled_network_whose_last_convolution_spans_the_whole_map() -> None:
    model = ls.load_model("menagerie")
    layer = model.layer(chosen(model))
    assert layer.shape[1:] == (4, 4)
    after = [
        other for other in model.layers()[model.layers().index(layer) + 1 :] if max(other.shape[1:], default=1) > 1
    ]
    assert all(other.kind == "Dropout" for other in after), after


# --- one rule each


class _Parts(nn.Module):
    """Parts one after the other, then the mean over positions and a linear layer; a part may be a function."""

    def __init__(self, *parts: nn.Module | Callable[[Tensor], Tensor], units: int = 6) -> None:
        super().__init__()
        self.order = parts
        for number, part in enumerate(parts):
            if isinstance(part, nn.Module):
                self.add_module(f"part{number}", part)
        self.fc = nn.Linear(units, 5)

    def forward(self, x: Tensor) -> Tensor:
        for part in self.order:
            x = part(x)
        return self.fc(x.flatten(2).mean(2))


def conv(stride: int = 4) -> nn.Module:
    return nn.Conv2d(3, 6, 5, stride=stride, padding=2)


class _Skip(nn.Module):
    """Its output is that of none of its parts."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.shortcut = nn.Conv2d(6, 6, 3, padding=1), nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.conv(x) + self.shortcut(x))


class _ClassToken(nn.Module):
    """Tokens of which the output reads the first ones alone, behind a layer that mixes them."""

    def __init__(self, extra: int = 1) -> None:
        super().__init__()
        self.patches, self.norm, self.mix = conv(), nn.LayerNorm(6), nn.Linear(64 + extra, 64 + extra)
        self.after, self.fc, self.extra = nn.ReLU(), nn.Linear(6, 5), extra

    def forward(self, x: Tensor) -> Tensor:
        patches = self.patches(x).flatten(2).transpose(1, 2)
        tokens = self.norm(torch.cat([torch.zeros_like(patches[:, : self.extra]), patches], 1))
        return self.fc(self.after(self.mix(tokens.transpose(1, 2)).transpose(1, 2))[:, : self.extra].mean(1))


class _AllConvolutional(nn.Module):
    """Its last map has one unit for each class."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.relu, self.classes = conv(), nn.ReLU(), nn.Conv2d(6, 5, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.classes(self.relu(self.conv(x))).mean((2, 3))


RULES: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "the activation rather than the convolution": (lambda: _Parts(conv(), nn.ReLU(inplace=True)), "part1"),
    "a convolution where there is nothing else": (lambda: _Parts(conv(), F.relu), "part0"),
    "not a pooling": (lambda: _Parts(conv(), nn.ReLU(), nn.MaxPool2d(2), nn.AdaptiveAvgPool2d(2)), "part1"),
    "not what ends with a pooling": (
        lambda: _Parts(nn.Sequential(conv(), nn.ReLU(), nn.Sequential(nn.AvgPool2d(2)))),
        "part0.1",
    ),
    "not what passes on": (lambda: _Parts(conv(), nn.ReLU(), nn.Dropout(), nn.Identity()), "part1"),
    "the largest container": (
        lambda: _Parts(nn.Sequential(conv(), nn.Sequential(nn.Sequential(nn.BatchNorm2d(6), nn.ReLU()))), nn.Dropout()),
        "part0",
    ),
    "the output of a block": (lambda: _Parts(conv(), _Skip(), nn.Identity()), "part1"),
    "not where one position is left": (lambda: _Parts(conv(), nn.ReLU(), nn.Conv2d(6, 6, 8), nn.ReLU()), "part1"),
    "not what passes on what a function made": (lambda: _Parts(conv(), F.relu, nn.Dropout()), "part0"),
    "not where one position matters": (_ClassToken, "norm"),
    "not where no patch matters": (lambda: _ClassToken(2), "norm"),
    "not a map of the classes": (_AllConvolutional, "relu"),
    "units last": (
        lambda: _Parts(conv(), lambda x: x.permute(0, 2, 3, 1), nn.LayerNorm(6), lambda x: x.permute(0, 3, 1, 2)),
        "part2",
    ),
}


@pytest.mark.parametrize("rule", RULES)
def test_each_rule(rule: str) -> None:
    make, layer = RULES[rule]
    assert chosen(wrap(seeded(make()), input_size=32)) == layer


UNITS: dict[str, str] = {
    "2": "relu#2",
    "1 versus 3": "relu#2",
    "relu#2:4": "relu#1",  # conv3 is what it reads, before the ReLU
    "conv3:4": "relu#1",
    "conv3:4@2,3": "relu#1",
    "bn2:3": "relu#0",
    "/add:3": "relu#0",
    "conv2:3": "relu#0",
    "fc:2": "relu#2",
}


@pytest.mark.parametrize("target", UNITS)
def test_a_layer_before_what_a_unit_reads(target: str) -> None:
    assert chosen(small(), target) == UNITS[target]


def test_other_objectives() -> None:
    assert chosen(small(), ob.layer_energy("conv3")) == "relu#1"
    assert chosen(small(), ob.logit(2) + ob.channel("conv2:3")) == "relu#2"
    assert chosen(small(), ob.layer_energy("relu#2")) == "relu#1"
    nested = wrap(seeded(_Parts(nn.Sequential(conv(), nn.Sequential(nn.BatchNorm2d(6), nn.ReLU())))), input_size=32)
    for name in ("part0", "part0.1", "part0.1.1"):
        assert chosen(nested, ob.layer_energy(name)) == "part0.1.0"


def test_it_depends_on_network_and_objective_alone() -> None:
    model = small()
    for size in (32, 48):
        assert chosen(model, size=size) == "relu#2"
    with evaluating(model.module, gradients=True):
        score = Score(model, as_objective(model, 2))
        black = torch.zeros(1, 3, 32, 32)
        assert default_layer(score, black).name == "relu#2"


def test_it_is_found_once_for_all_classes() -> None:
    model, calls = small(), []
    model.layers()
    model.module.register_forward_hook(lambda *_: calls.append(1))
    names = {chosen(model, target) for target in (2, 3, "1 versus 4")}
    assert (names, len(calls)) == ({"relu#2"}, 1)
    assert chosen(model, "relu#2:4") == "relu#1"
    assert chosen(model, 2, size=48) == "relu#2"
    assert len(calls) == 3


def test_the_first_image_decides_where_noise_moves_nothing() -> None:
    model, target = small(), "relu#2:4"
    bright = torch.zeros(2, 3, 32, 32)
    bright[0] = 5 * pictures(1, 32, seed=1)[0]
    noise = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad(), capture(model, "conv3") as activations:
        model(torch.cat([noise, bright]))
        most = activations["conv3"][:, 4].amax((1, 2))
        assert most[0] < most[1]
        model.module.conv3.bias[4] -= most[:2].mean()
    with evaluating(model.module, gradients=True):
        score = Score(model, as_objective(model, target))
        assert default_layer(score, bright).name == "relu#1"
        with pytest.raises(InputError, match="gets a gradient"):
            default_layer(score, bright.flip(0))


@pytest.mark.parametrize("frozen", [True, False])
def test_nothing_is_left_on_the_network(frozen: bool) -> None:
    model = small()
    model.module.train().requires_grad_(not frozen)
    model.layers()
    before = state_of(model.module)
    assert chosen(model) == "relu#2"
    assert differences(before, state_of(model.module)) == ()


def test_words_where_there_is_no_such_layer() -> None:
    flat = wrap(seeded(nn.Sequential(nn.Flatten(), nn.Linear(3 * 64, 8), nn.ReLU(), nn.Linear(8, 5))), input_size=8)
    for model, target in ((flat, 2), (small(), "conv1:3"), (small(), "relu#0:3")):
        with pytest.raises(
            InputError, match=r"has rows and columns through which .* gets a gradient.* name a layer with"
        ):
            chosen(model, target)
