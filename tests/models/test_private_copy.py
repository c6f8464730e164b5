"""The copy computes the same, is frozen and fast; the original does not notice."""

from __future__ import annotations

import copy

import pytest
import torch
from small_nets import SmallNet, ViewingNet, seeded, small_model
from torch import Tensor, nn

from layerscope.capture.hooks import capture
from layerscope.models.leaky import LeakyBackwardReLU
from layerscope.models.model import VisionModel
from layerscope.models.private_copy import private_copy

IMAGES = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(5))


@pytest.fixture
def model() -> VisionModel:
    return small_model()


def norms(module: nn.Module) -> list[str]:
    return [name for name, part in module.named_modules() if isinstance(part, nn.BatchNorm2d)]


def outputs(module: nn.Module, layers: list[str]) -> dict[str, Tensor]:
    with torch.no_grad(), capture(module, layers) as activations:
        module(IMAGES)
        return {layer: activations[layer].clone() for layer in layers}


@pytest.mark.parametrize("layers", [["", "conv3"], ["relu#1"], ["bn2"], ["conv1", "conv2"]])
def test_folding_is_exact(model: VisionModel, layers: list[str]) -> None:
    private = private_copy(model.module, IMAGES[:1], layers)
    for layer, value in outputs(model.module, layers).items():
        torch.testing.assert_close(outputs(private, layers)[layer], value, atol=1e-5, rtol=1e-5)


def test_folding_is_exact_on_resnet18() -> None:
    from torchvision.models import resnet18

    module = seeded(resnet18(weights=None))
    private = private_copy(module, IMAGES[:1], ["layer1.0.conv1", "layer4.1.relu#1"])
    assert norms(private) == ["layer1.0.bn1"]  # all but the one after a convolution that is looked at
    wanted = outputs(module, ["layer1.0.conv1", "layer4.1.relu#1", ""])
    got = outputs(private, list(wanted))
    for layer, value in wanted.items():
        assert (got[layer] - value).abs().max() <= 1e-5 * value.abs().max(), layer


@pytest.mark.parametrize(
    ("targets", "left"), [(["conv3"], []), (["conv1"], ["bn1"]), (["conv2", "bn1"], ["bn2"]), (["bn2"], [])]
)
def test_never_into_a_convolution_that_is_a_target(model: VisionModel, targets: list[str], left: list[str]) -> None:
    for _ in range(5):  # object ids must not decide
        assert norms(private_copy(model.module, IMAGES[:1], targets)) == left


class Odd(nn.Module):
    """Names and order lie: bn_a follows conv_b; conv_a's output is used twice; bn_c reads no convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_a, self.bn_a = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)
        self.conv_b, self.bn_b = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)
        self.bn_c = nn.BatchNorm2d(3)

    def forward(self, x: Tensor) -> Tensor:
        a = self.conv_a(self.bn_c(x))
        return self.bn_a(self.conv_b(self.bn_b(a) + a))


def test_the_order_of_execution_decides() -> None:
    module = seeded(Odd())
    private = private_copy(module, IMAGES[:1], [""])
    assert norms(private) == ["bn_b", "bn_c"]
    torch.testing.assert_close(outputs(private, [""])[""], outputs(module, [""])[""], atol=1e-5, rtol=1e-5)


def test_a_shared_convolution_is_left() -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.bn = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)

        def forward(self, x: Tensor) -> Tensor:
            return self.bn(self.conv(torch.relu(self.conv(x))))

    assert norms(private_copy(seeded(Shared()), IMAGES[:1], [""])) == ["bn"]


def test_a_network_that_goes_past_its_attributes_is_left_whole() -> None:
    class Past(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.bn = nn.Conv2d(3, 3, 3), nn.BatchNorm2d(3)
            self.steps = [self.conv]

        def forward(self, x: Tensor) -> Tensor:
            return self.bn(self.steps[0](x))

    module = seeded(Past())
    assert torch.equal(outputs(private_copy(module, IMAGES[:1], [""]), [""])[""], outputs(module, [""])[""])


def test_relu_forward_is_exact_and_backward_leaks() -> None:
    x = torch.tensor([-2.0, 0.0, 3.0], requires_grad=True)
    result = LeakyBackwardReLU(0.05)(x)
    (gradient,) = torch.autograd.grad(result, x, torch.tensor([1.0, 2.0, 3.0]))
    assert result.tolist() == [0.0, 0.0, 3.0]
    assert gradient.tolist() == pytest.approx([0.05, 0.1, 3.0])
    assert x.tolist() == [-2.0, 0.0, 3.0]


def test_relus_are_replaced_and_stay_shared(model: VisionModel) -> None:
    private = private_copy(model.module, IMAGES[:1], ["conv3"], leak=0.2)
    assert isinstance(private.relu, LeakyBackwardReLU)
    assert private.relu.leak == 0.2
    assert list(outputs(private, ["relu#2"])) == ["relu#2"]


def test_without_a_leak_the_relus_stay_as_they_are(model: VisionModel) -> None:
    private = private_copy(model.module, IMAGES[:1], ["conv3"], leak=0.0)
    assert type(private.relu) is nn.ReLU
    assert private.relu.inplace
    assert norms(private) == norms(private_copy(model.module, IMAGES[:1], ["conv3"]))


def test_the_copy_is_frozen_and_evaluates() -> None:
    module = seeded(SmallNet()).train()
    module(IMAGES).sum().backward()
    private = private_copy(module, IMAGES[:1], ["conv3"])
    assert not any(part.training for part in private.modules())
    assert all(not p.requires_grad and p.grad is None for p in private.parameters())


def test_the_original_does_not_notice(model: VisionModel) -> None:
    module = model.module.train()
    module.conv2.weight.requires_grad_(False)
    before, flags = copy.deepcopy(module.state_dict()), [p.requires_grad for p in module.parameters()]
    seed = torch.random.get_rng_state()
    private_copy(module, IMAGES[:1], ["conv3"])
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert [p.requires_grad for p in module.parameters()] == flags
    assert all(p.grad is None for p in module.parameters())
    assert all(part.training and not part._forward_hooks for part in module.modules())
    assert torch.equal(torch.random.get_rng_state(), seed)
    assert type(module.relu) is nn.ReLU
    assert module.relu.inplace


def test_channels_last_where_the_network_takes_it() -> None:
    """`view` of a map in channels_last fails; what can be folded is folded all the same."""
    for module, fast in ((SmallNet(), True), (ViewingNet(), False)):
        private = private_copy(seeded(module), IMAGES[:1], [""])
        assert private.conv2.weight.is_contiguous(memory_format=torch.channels_last) == fast
        assert norms(private) == []
        torch.testing.assert_close(outputs(private, [""])[""], outputs(module, [""])[""], atol=1e-5, rtol=1e-5)
