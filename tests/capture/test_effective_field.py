from __future__ import annotations

import math
from dataclasses import dataclass

import planted_nets as planted
import pytest
import torch
from planted_nets import traces
from torch import Tensor, nn

from layerscope.capture.effective_field import effective_receptive_fields
from layerscope.errors import InputError, UnknownNameError


@dataclass
class Model:
    """The least that a model has to be."""

    module: nn.Module
    input_size: int = 16
    channels: int = 3

    def normalise(self, images: Tensor) -> Tensor:
        return (images - 0.5) / 0.25


class Small(nn.Module):
    """Convolutions, windows of tokens, several tensors, a reused module and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 4, 5, stride=2, padding=2), nn.Conv2d(4, 6, 3, padding=1)
        self.relu, self.pool, self.pair = nn.ReLU(inplace=True), nn.AvgPool2d(2), planted.TupleOutput.Pair()
        self.tokens, self.head = nn.Linear(6, 5), nn.Linear(80, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.two(self.relu(self.one(x.mul_(1)))))
        x = self.pair(self.pool(x))[0]
        return self.head(self.tokens(x.flatten(2).transpose(1, 2)).flatten(1))


def net(seed: int = 0) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Small().double()


def literal(module: nn.Module, names: dict[str, tuple[str, int]], inputs: Tensor, seed: int) -> dict[str, float]:
    """Image by image and unit by unit: the Jacobian at the centre first, the random sum of its rows afterwards."""
    sums = dict.fromkeys(names, 0.0)
    for number, image in enumerate(inputs):
        image = image[None].clone().requires_grad_()
        for key, (name, call) in names.items():
            outputs: list[Tensor] = []
            part = planted.out_of_place(module).eval()
            part.get_submodule(name).register_forward_hook(
                lambda _part, _args, out, outputs=outputs: outputs.append(out[0] if isinstance(out, tuple) else out)
            )
            part(image * 1)
            out = outputs[call]
            units = out[0, out.shape[1] // 8 * 5 if name == "tokens" else slice(None)]
            units = units if name == "tokens" else units[:, out.shape[2] // 2, out.shape[3] // 2]
            signs = (
                torch.randint(0, 2, (len(inputs), len(units)), generator=torch.Generator().manual_seed(2 * seed + 1))
                * 2
                - 1
            )
            jacobian = [torch.autograd.grad(unit, image, retain_graph=True)[0][0] for unit in units]
            total = sum(sign * row for sign, row in zip(signs[number].tolist(), jacobian, strict=True))
            sums[key] += total.abs().sum(0)
    return {key: side(total) for key, total in sums.items()}


def side(size: Tensor) -> float:
    """The smallest number of pixels that hold 95.45 %, one after the other."""
    held, count, values = 0.0, 0, sorted(size.flatten().tolist(), reverse=True)
    while held < 0.9545 * sum(values):
        held, count = held + values[count], count + 1
    return math.sqrt(count)


NAMES = {"one": ("one", 0), "relu#0": ("relu", 0), "two": ("two", 0), "relu#1": ("relu", 1), "pool": ("pool", 0),
         "pair[0]": ("pair", 0), "tokens": ("tokens", 0)}  # fmt: skip


@pytest.mark.parametrize("seed", [0, 3])
def test_against_the_literal_definition(seed: int) -> None:
    module, images = net(), torch.rand(3, 3, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    model = Model(module)
    fields = effective_receptive_fields(model, list(NAMES), images=images, batch_size=2, seed=seed)
    assert fields == pytest.approx(literal(module, NAMES, model.normalise(images), seed), abs=1e-12)
    assert effective_receptive_fields(model, list(NAMES), images=images, batch_size=3, seed=seed) == fields


def test_layers_alone_or_together_by_name_or_pattern() -> None:
    model, calls = Model(net()), list[tuple[int, int, str]]()
    every = effective_receptive_fields(model, "*", on_progress=lambda *call: calls.append(call))
    assert list(every) == ["one", "relu#0", "two", "relu#1", "pool", "pair[0]", "pair[1]", "tokens"]  # no head
    assert (len(calls), calls[-1]) == (4 * 8, (128, 128, "effective receptive fields"))
    assert effective_receptive_fields(model, "relu#1") == {"relu#1": every["relu#1"]}
    assert effective_receptive_fields(model, ["pair", "relu"]) == {"relu": every["relu#0"], "pair": every["pair[0]"]}
    assert effective_receptive_fields(model, "two", seed=1) != {"two": every["two"]}


@pytest.mark.parametrize("kernel", [1, 3, 9])
def test_a_box_filter_has_a_square(kernel: int) -> None:
    box = nn.Conv2d(1, 1, kernel, padding=kernel // 2, bias=False)
    nn.init.constant_(box.weight, 1.0)
    fields = effective_receptive_fields(Model(nn.Sequential(box, nn.Identity(), nn.ReLU()), 32, 1), "*")
    assert fields["0"] == fields["1"] == math.sqrt(math.ceil(0.9545 * kernel**2))


def test_deep_stacks_grow_with_the_root_of_their_depth() -> None:
    """Luo and others, section 2.2: n box filters side by side see about a Gaussian of variance n (k^2 - 1) / 12."""
    stack = nn.Sequential(*[nn.Conv2d(1, 1, 3, padding=1, bias=False) for _ in range(12)])
    for box in stack:
        nn.init.constant_(box.weight, 1 / 9)
    fields = effective_receptive_fields(Model(stack, 64, 1), "*", images=torch.rand(1, 1, 64, 64))
    for depth in (6, 9, 12):
        variance = depth * (3**2 - 1) / 12
        assert fields[str(depth - 1)] == pytest.approx(
            math.sqrt(math.pi * 2 * math.log(1 / (1 - 0.9545)) * variance), rel=0.04
        )


def test_a_dead_layer_has_none() -> None:
    conv = nn.Conv2d(3, 2, 3)
    nn.init.constant_(conv.bias, -1e3)
    fields = effective_receptive_fields(Model(nn.Sequential(conv, nn.ReLU())), "*")
    assert math.isnan(fields["1"])
    assert fields["0"] > 2


def test_the_network_is_left_as_it_was() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(), nn.ReLU())
    module[0].weight.requires_grad_(False)
    module[0].bias.grad = torch.ones(4)
    images, before = planted.image(size=16), traces(module)
    with torch.inference_mode():
        effective_receptive_fields(Model(module), "*", images=images)
    assert traces(module) == before
    with pytest.raises(UnknownNameError, match=r"no layer 'five'"):
        effective_receptive_fields(Model(module), "five")
    assert traces(module) == before


def test_bad_arguments() -> None:
    with pytest.raises(InputError, match=r"^0 images in batches of 4; give at least one image"):
        effective_receptive_fields(Model(net()), "one", images=torch.zeros(0, 3, 16, 16))
    with pytest.raises(InputError, match=r"in batches of 0"):
        effective_receptive_fields(Model(net()), "one", batch_size=0)


@pytest.mark.slow
def test_known_values() -> None:
    """A prototype with other images and other signs gave 10.7, 48, 90 and 139 px, for other weights."""
    from torchvision.models import alexnet

    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = alexnet(weights=None)
    layers = [f"features.{number}" for number in (0, 3, 6, 10)]
    fields = effective_receptive_fields(Model(module, 224), layers)
    assert list(fields.values()) == pytest.approx([10.7, 48, 90, 139], rel=0.03)
