"""What a network does to its gradients, or to who watches it, is the same in the fast copy as in the plain one."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from layerscope.capture.hooks import capture
from layerscope.models import fused
from layerscope.models.leaky import LeakyBackwardReLU
from layerscope.models.packed import PackedConv, can_pack
from layerscope.models.private_copy import private_copy

pytestmark = pytest.mark.skipif(
    not can_pack(), reason="this torch has no oneDNN operations that take packed weights of a convolution"
)
LEAK = 0.1
X = torch.randn(3, 3, 12, 12, generator=torch.Generator().manual_seed(0))


class Turned(torch.autograd.Function):
    """Its input as it is, which no trace sees, and the gradient the other way round."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return -0.3 * gradients[0]


class Part(nn.Module):
    def __init__(self, call: Callable[[Part, Tensor], Tensor], inplace: bool = False) -> None:
        super().__init__()
        self.conv, self.other = nn.Conv2d(6, 6, 3, padding=1), nn.Conv2d(6, 6, 1)
        self.nothing, self.relu, self.relu2 = nn.Identity(), nn.ReLU(inplace), nn.ReLU(inplace)
        self.call = call

    def forward(self, x: Tensor) -> Tensor:
        return self.call(self, x)


def net(call: Callable[[Part, Tensor], Tensor], inplace: bool = False) -> nn.Sequential:
    torch.manual_seed(1)
    stem, head = nn.Conv2d(3, 6, 3, stride=2, padding=1), nn.Conv2d(6, 5, 3)
    return nn.Sequential(stem, Part(call, inplace), head).eval()


def _skip_is_changed_between(part: Part, x: Tensor) -> Tensor:
    skip = part.other(x)
    y = part.conv(x) + skip
    z = part.relu2(skip)
    return part.relu(y) + z


def _only_for_tensors(part: Part, x: Tensor) -> Tensor:
    y = part.relu(part.conv(x) + x)
    return Turned.apply(y) if isinstance(y, Tensor) else y


def _written_down(part: Part, x: Tensor) -> Tensor:
    part.kept = part.conv(x)
    return part.relu(part.kept) + part.kept


def _switched(part: Part, x: Tensor) -> Tensor:
    torch.set_grad_enabled(False)
    y = part.relu(part.conv(x))
    torch.set_grad_enabled(True)
    return y + x


FORWARDS: dict[str, Callable[[Part, Tensor], Tensor]] = {
    "plain": lambda part, x: part.relu(part.nothing(part.conv(x)) + x),
    "gradient turned before the convolution": lambda part, x: part.relu(part.conv(Turned.apply(x)) + x),
    "gradient turned after it": lambda part, x: part.relu(Turned.apply(part.conv(x))),
    "gradient turned in the skip": lambda part, x: part.relu(part.conv(x) + Turned.apply(x)),
    "skip changed between": _skip_is_changed_between,
    "only for tensors": _only_for_tensors,
    "written down": _written_down,
    "gradients switched off and on": _switched,
}


@pytest.mark.parametrize("library", [False, True])
@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize("name", FORWARDS)
def test_of_any_forward(name: str, inplace: bool, library: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where its module were one of a library, whose forwards are traced: then the gradient itself is compared."""
    if library:
        monkeypatch.setattr(fused, "LIBRARIES", (*fused.LIBRARIES, __name__))
    network = net(FORWARDS[name], inplace and "turned after" not in name)  # torch itself refuses that one in place
    fast, plain = (private_copy(network, X[:1], ["2"], LEAK, blocked=blocked) for blocked in (True, False))
    assert torch.is_grad_enabled()
    _assert_alike(fast, plain, "2")
    traced = "forward" in vars(fast[1])
    assert traced <= library
    assert traced or name != "plain" or not library


HOOKS: dict[str, Callable[[nn.Module], object]] = {
    "forward": lambda part: part.register_forward_hook(lambda module, inputs, output: output * 1.5),
    "before": lambda part: part.register_forward_pre_hook(lambda module, inputs: (inputs[0] * 1.5,)),
    "backward": lambda part: part.register_full_backward_hook(lambda module, by, of: (by[0] * -2,)),
    "before backward": lambda part: part.register_full_backward_pre_hook(lambda module, of: (of[0] * -2,)),
}


@pytest.mark.parametrize("part", ["0", "1", "1.conv", "1.nothing", "1.relu"])
@pytest.mark.parametrize("kind", HOOKS)
def test_of_modules_with_hooks(kind: str, part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused, "LIBRARIES", (*fused.LIBRARIES, __name__))
    network = net(FORWARDS["plain"])
    HOOKS[kind](network.get_submodule(part))
    fast = private_copy(network, X[:1], ["2"], 0.0, blocked=True)
    _assert_alike(fast, network, "2")


def test_a_forward_of_its_own_is_kept() -> None:
    network = nn.Sequential(nn.Conv2d(3, 6, 3), nn.Sequential(nn.Conv2d(6, 6, 3), nn.ReLU()), nn.Conv2d(6, 2, 1)).eval()
    inner = network[1]
    inner.forward = lambda x: -inner[1](inner[0](x))
    fast = private_copy(network, X[:1], ["2"], 0.0, blocked=True)
    _assert_alike(fast, network, "2")


class Aliased(nn.Module):
    """A network that calls a part of itself "alias", too."""

    def __init__(self) -> None:
        super().__init__()
        self.body = net(lambda part, x: part.relu(part.conv(x)))
        self.alias = self.body[1].conv

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


@pytest.mark.parametrize("name", ["body.1.conv", "alias"])
def test_a_target_by_another_name_keeps_its_value(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused, "LIBRARIES", (*fused.LIBRARIES, __name__))
    network = Aliased().eval()
    _assert_alike(private_copy(network, X[:1], [name], LEAK, blocked=True), network, name)


def test_a_skip_from_before_a_relu_in_place_of_two_targets() -> None:
    """It means what comes after the ReLU, which has to stay in place though several values are asked for."""
    network = net(lambda part, x: part.conv(part.relu(x)) + x, inplace=True)
    for blocked in (True, False):
        fast = private_copy(network, X[:1], ["1.conv", "2"], LEAK, blocked=blocked)
        assert isinstance(fast.get_submodule("1.relu"), LeakyBackwardReLU)
        with torch.no_grad():
            network(X)
            wanted = network(X)
        torch.testing.assert_close(fast(X.clone().requires_grad_(True)).detach(), wanted, atol=1e-5, rtol=1e-5)


def test_a_copy_that_has_run_can_be_copied() -> None:
    fast = private_copy(net(FORWARDS["plain"]), X[:1], ["2"], LEAK, blocked=True)
    wanted = fast(X)
    assert any(type(part) is PackedConv for part in fast.modules())
    torch.testing.assert_close(copy.deepcopy(fast)(X), wanted)


def test_want_of_gradients_beyond_the_target_is_no_obstacle() -> None:
    def twice(part: Part, x: Tensor) -> Tensor:
        return part.relu(part.conv(x)).add_(1)  # of a ReLU, whose result is kept for the gradient

    fast = private_copy(net(twice), X[:1], ["0"], LEAK, blocked=True)
    _assert_alike(fast, net(twice), "0")


def _assert_alike(fast: nn.Module, plain: nn.Module, target: str) -> None:
    results = []
    for network in (fast, plain):
        leaf = X.clone().requires_grad_(True)
        with capture(network, [target], detach=False) as activations:
            network(leaf)
            values = activations[target]
        weights = torch.randn(values.shape, generator=torch.Generator().manual_seed(2))
        (gradient,) = torch.autograd.grad((values * weights).sum(), leaf)
        results.append((values.detach(), gradient))
    for got, wanted in zip(*results, strict=True):
        torch.testing.assert_close(got, wanted, atol=1e-5, rtol=1e-4)
