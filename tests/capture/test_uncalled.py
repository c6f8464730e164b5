"""Leaves that no forward calls: the reasons, on planted networks and on all classifiers of torchvision."""

from __future__ import annotations

import random
from collections import Counter
from itertools import chain

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from layerscope.capture.layers import list_layers
from layerscope.capture.uncalled import Parametrised, Uncalled, parametrised, uncalled
from layerscope.errors import CaptureError

SHAPE = (3, 8, 8)


def reasons(module: nn.Module, shape: tuple[int, int, int] = SHAPE) -> dict[str, str]:
    return {leaf.name: leaf.why for leaf in uncalled(module, shape)}


class Attention(nn.Module):
    """Uses the weights of two parts without calling them, and has a buffer that only it reads."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(3, 9)
        self.norm = nn.BatchNorm2d(3, affine=False)
        self.drop = nn.Dropout(0.1)

    def forward(self, x: Tensor) -> Tensor:
        normed = F.batch_norm(x, self.norm.running_mean, self.norm.running_var)
        return F.linear(normed.movedim(1, -1), self.qkv.weight, self.qkv.bias).movedim(-1, 1)


class Planted(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = Attention()
        self.stages = nn.ModuleList([nn.Sequential(nn.Conv2d(9, 4, 1), nn.Identity()), nn.Sequential()])
        self.steps = nn.Sequential(nn.ReLU(), nn.Sigmoid())
        self.first, self.same = nn.ReLU(), nn.Tanh()
        self.alias = self.same
        self.tied = nn.Conv2d(9, 4, 1)
        self.tied.weight = self.stages[0][0].weight
        self.auxiliary = nn.Sequential(nn.Conv2d(4, 2, 1), nn.BatchNorm2d(2), nn.Dropout2d())
        self.forgotten = nn.ModuleDict({"a": nn.Sequential(nn.Linear(2, 2), nn.ReLU())})
        self.scale = nn.ParameterList([nn.Parameter(torch.ones(4, 1, 1))])

    def forward(self, x: Tensor) -> Tensor:
        x = self.stages[0](self.attention(x)) * self.scale[0]
        x = self.alias(self.steps[0](x))
        if self.training:
            self.seen = self.auxiliary(x)
            random.random()
            np.random.rand()
        return x


EXPECTED = {
    "attention.qkv": "weights used functionally by 'attention'",
    "attention.norm": "weights used functionally by 'attention'",
    "attention.drop": "its parent 'attention' runs without it",
    "stages.1": "empty: it has nothing to run",
    "steps.1": "the network runs without it",
    "first": "the network runs without it",
    "tied": "its weights are those of 'stages.0.0' too",
    "auxiliary.0": "called in training only",
    "auxiliary.1": "called in training only",
    "auxiliary.2": "called in training only",
    "forgotten.a.0": "part of 'forgotten', which is never called",
    "forgotten.a.1": "part of 'forgotten', which is never called",
    "scale": "weights used functionally by the network",
}


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_each_reason(device: str) -> None:
    with torch.device(device):
        module = Planted()
    assert reasons(module) == EXPECTED
    assert uncalled(module, SHAPE)[0] == Uncalled("attention.qkv", "Linear", EXPECTED["attention.qkv"])


def test_a_forward_that_is_run_past_the_hooks() -> None:
    class Past(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.relu, self.tanh = nn.Conv2d(3, 3, 1), nn.ReLU(), nn.Tanh()

        def forward(self, x: Tensor) -> Tensor:
            return self.relu.forward(self.conv.forward(x))

    past, module = "its forward is run without a call, past its hooks", Past()
    before = _everything(module)
    assert reasons(module) == {"conv": past, "relu": past, "tanh": "the network runs without it"}
    assert _everything(module) == before


def test_operators_of_higher_order_are_let_through() -> None:
    class Chooses(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.idle = nn.Conv2d(3, 3, 1), nn.ReLU()

        def forward(self, x: Tensor) -> Tensor:
            return torch.ops.higher_order.cond(x.sum() > 0, torch.sin, torch.cos, (self.conv(x),))

    assert reasons(Chooses()) == {"idle": "the network runs without it"}


def test_caches_are_as_they_came() -> None:
    class Caches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.position, self.conv = nn.Linear(2, 3), nn.Conv2d(3, 3, 1)
            self.cache: dict[str, Tensor] = {}
            self.sizes, self.names, self.order = [3], {"a"}, {"a": 1, "b": 2}

        def forward(self, x: Tensor) -> Tensor:
            if "p" not in self.cache:
                self.cache["p"] = self.position(torch.ones(1, 2)).view(1, 3, 1, 1)
            self.sizes.append(len(x))
            self.names -= {"a"}
            self.names.add("b")
            self.order["a"] = self.order.pop("a") + 1
            return self.conv(x) + self.cache["p"]

    module = Caches()
    objects = [module.cache, module.sizes, module.names, module.order]
    for use in (lambda: reasons(module), lambda: list_layers(module, SHAPE)):
        use()
        after = [module.cache, module.sizes, module.names, module.order]
        assert after == [{}, [3], {"a"}, {"a": 1, "b": 2}]
        assert all(one is other for one, other in zip(after, objects, strict=True))
        assert list(module.order) == ["a", "b"]


def test_a_surrounding_part_that_is_not_the_parent() -> None:
    class Steps(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.steps = nn.Sequential(nn.ReLU(), nn.Tanh())

        def forward(self, x: Tensor) -> Tensor:
            return self.steps[0](x)

    assert reasons(nn.Sequential(Steps())) == {"0.steps.1": "'0' runs without it"}


def test_the_network_is_as_it_came() -> None:
    module = Planted().eval()
    module.stages[0].train()
    module.auxiliary[1].running_mean[0] = -0.0
    module.auxiliary[1].running_mean[1] = float("nan")
    before = _everything(module)
    uncalled(module, SHAPE)
    assert _everything(module) == before
    assert "auxiliary.1" in EXPECTED  # its running statistics move in train mode, and `seen` is set


def _everything(module: nn.Module) -> list[object]:
    tensors = [
        (name, id(value), value._version, value.detach().numpy().tobytes(), value.grad, value.requires_grad)
        for name, value in chain(module.named_parameters(), module.named_buffers())
    ]
    parts = [
        (name, list(vars(part)), part.training, len(part._forward_hooks), len(part._forward_pre_hooks))
        for name, part in module.named_modules()
    ]
    generators = torch.get_rng_state().numpy().tobytes(), random.getstate(), str(np.random.get_state())
    return [tensors, parts, generators]


class FailsInTraining(Planted):
    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            raise RuntimeError("no training here")
        return super().forward(x)


def test_a_network_that_fails_in_train_mode_proves_nothing() -> None:
    module = FailsInTraining().eval()
    before = _everything(module)
    found = reasons(module)
    assert {found[name] for name in found if name.startswith("auxiliary")} == {
        "part of 'auxiliary', which is never called"
    }
    assert _everything(module) == before


def test_a_network_that_fails_passes_its_error_on_and_is_as_it_came() -> None:
    module = nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(5, 5, 1))
    before = _everything(module)
    with pytest.raises(RuntimeError, match="expected input"):
        uncalled(module, SHAPE)
    assert _everything(module) == before
    with pytest.raises(CaptureError, match=r"input shape \(3, 8\) is not"):
        uncalled(module, (3, 8))  # type: ignore[arg-type]


@pytest.mark.parametrize("gradients", [True, False])
def test_attention_on_its_fast_path_and_beside_it(gradients: bool) -> None:
    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patches, self.attention = nn.Conv2d(3, 8, 4, 4), nn.MultiheadAttention(8, 2, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            tokens = self.patches(x).flatten(2).mT
            return self.attention(tokens, tokens, tokens, need_weights=gradients)[0]

    module = Tokens().requires_grad_(gradients)
    assert reasons(module) == {"attention.out_proj": "weights used functionally by 'attention'"}
    own = Parametrised("attention", "MultiheadAttention", ("in_proj_weight", "in_proj_bias"))
    assert parametrised(module) == (own,)


@pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning", "ignore:`torch.jit:DeprecationWarning")
def test_scripted_parts() -> None:
    image, inner = torch.zeros(1, *SHAPE), nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU())
    traced, scripted = torch.jit.trace(inner, image), torch.jit.trace(nn.ReLU(), image)
    found = uncalled(nn.Sequential(traced, scripted, nn.ReLU()), SHAPE)
    inside = "inside the scripted '0', where hooks do not fire"
    assert found == (
        Uncalled("0.0", "Conv2d", inside),
        Uncalled("0.1", "ReLU", inside),
        Uncalled("1", "ReLU", "scripted: hooks do not fire there"),
    )
    with pytest.raises(CaptureError, match="scripted"):
        uncalled(traced, SHAPE)


def test_nothing_to_say_of_an_ordinary_network() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten())
    assert uncalled(module, SHAPE) == parametrised(module) == ()
    assert uncalled(torch.compile(module), SHAPE) == ()


def test_parameters_of_modules_with_children() -> None:
    module = nn.Sequential(Planted())
    module.shift = nn.Parameter(torch.zeros(1))
    module[0].token = nn.Parameter(torch.zeros(1))
    assert parametrised(module) == (
        Parametrised("", "Sequential", ("shift",)),
        Parametrised("0", "Planted", ("token",)),
    )


FAMILIES = {
    "efficientnet_b0": (7, "StochasticDepth", "its parent '"),
    "swin_t": (24, "Linear", "weights used functionally by '"),
    "swin_v2_t": (24, "Linear", "weights used functionally by '"),
    "vit_b_32": (12, "NonDynamicallyQuantizableLinear", "weights used functionally by '"),
    "googlenet": (10, None, "called in training only"),
    "inception_v3": (5, None, "called in training only"),
    "shufflenet_v2_x0_5": (13, "Sequential", "empty: it has nothing to run"),
    "resnet18": (0, None, ""),
    "convnext_tiny": (0, None, ""),
}
OWNERS = {
    "swin_t": Parametrised("features.1.0.attn", "ShiftedWindowAttention", ("relative_position_bias_table",)),
    "vit_b_32": Parametrised("", "VisionTransformer", ("class_token",)),
    "convnext_tiny": Parametrised("features.1.0", "CNBlock", ("layer_scale",)),
}


def without_memory(name: str) -> nn.Module:
    """A classifier of torchvision on the meta device: shapes without values."""
    from torchvision import models

    settings = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    try:
        with torch.device("meta"):
            return models.get_model(name, weights=None, **settings)
    except NotImplementedError:  # regnets compute their widths with tensors
        return models.get_model(name, weights=None).to("meta")


@pytest.mark.parametrize("name", FAMILIES)
def test_families_of_torchvision(name: str) -> None:
    module, (count, kind, why) = without_memory(name), FAMILIES[name]
    found = uncalled(module, (3, 299, 299) if name == "inception_v3" else (3, 224, 224))
    assert len(found) == count
    assert all(leaf.why.startswith(why) and kind in (None, leaf.kind) for leaf in found)
    assert all("'" not in leaf.why or leaf.name.startswith(leaf.why.split("'")[1] + ".") for leaf in found)
    assert OWNERS.get(name) in (None, *parametrised(module))


@pytest.mark.slow
def test_all_classifiers_of_torchvision() -> None:
    from torchvision import models

    counts: dict[str, int] = {}
    for name in models.list_models(module=models):
        if name != "regnet_y_128gf":  # 2.6 GB, of the same blocks as the other regnets
            size = 299 if name == "inception_v3" else 224
            counts[name] = len(uncalled(without_memory(name), (3, size, size)))
    families = Counter(name.split("_")[0] for name, count in counts.items() if count)
    assert families == {"efficientnet": 11, "swin": 6, "vit": 5, "shufflenet": 4, "googlenet": 1, "inception": 1}
    assert sum(count == 0 for count in counts.values()) == 51
    assert all(5 <= counts[name] <= 7 for name in counts if name.startswith("efficientnet"))
    assert {counts[name] for name in counts if name.startswith("swin")} == {24, 48}
    assert {counts[name] for name in counts if name.startswith("vit")} == {12, 24, 32}
