"""Sums and ReLUs that a packed convolution does on the way: the same values and gradients, and only where nothing else
reads what is between."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck

from layerscope.capture.hooks import capture
from layerscope.models import fused
from layerscope.models.fused import fuse
from layerscope.models.leaky import LeakyBackwardReLU
from layerscope.models.packed import PackedConv, can_pack, packed
from layerscope.models.private_copy import private_copy

pytestmark = pytest.mark.skipif(
    not can_pack(), reason="this torch has no oneDNN operations that take packed weights of a convolution"
)
LEAK = 0.1


@pytest.fixture(autouse=True)
def _parts_count_as_a_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused, "LIBRARIES", (*fused.LIBRARIES, __name__))


Call = Callable[["Part", Tensor], Tensor]


class Part(nn.Module):
    """Two convolutions of 6 channels, a ReLU and a module that does nothing; `call` is its forward."""

    def __init__(self, call: Call) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.conv, self.other = nn.Conv2d(6, 6, 3, padding=1), nn.Conv2d(6, 6, 1)
        self.nothing, self.relu = nn.Identity(), LeakyBackwardReLU(LEAK)
        self.call = call

    def forward(self, x: Tensor) -> Tensor:
        return self.call(self, x)


def _outside(part: Part, x: Tensor) -> Tensor:
    """It calls a module that is no part of it, as another thread may while a trace is made."""
    return part.relu(part.conv(x)) + ELSEWHERE(torch.ones(1))


def _in_place(part: Part, x: Tensor) -> Tensor:
    y = part.conv(x)
    y += x
    return part.relu(y)


def _both_ways(part: Part, x: Tensor) -> Tensor:
    y = part.conv(x)
    return part.relu(y) + y


def _sum_is_read_again(part: Part, x: Tensor) -> Tensor:
    y = part.conv(x) + x
    return part.relu(y) * y


def _by_value(part: Part, x: Tensor) -> Tensor:
    return part.relu(part.conv(x)) if x.sum() > 0 else x


def _without_gradients(part: Part, x: Tensor) -> Tensor:
    with torch.no_grad():
        y = part.relu(part.conv(x))
    return y + x


ELSEWHERE = nn.Linear(1, 1).requires_grad_(False)
# what is called, and of each call of a convolution: whether it adds a skip, whether it rectifies
CALLS: dict[str, tuple[Call, list[tuple[bool, bool]]]] = {
    "ReLU": (lambda part, x: part.relu(part.conv(x)), [(False, True)]),
    "ReLU past a module that does nothing": (lambda part, x: part.relu(part.nothing(part.conv(x))), [(False, True)]),
    "sum": (lambda part, x: part.relu(part.nothing(part.conv(x)) + x), [(True, True)]),
    "sum, the other way round": (lambda part, x: part.relu(torch.add(x, part.conv(x))), [(True, True)]),
    "sum in place": (_in_place, [(True, True)]),
    "sum of two": (lambda part, x: part.relu(part.conv(x) + part.other(x)), [(False, False), (True, True)]),
    "sum by a method": (lambda part, x: part.relu(part.conv(x).add(x)), [(True, True)]),
    "one after the other": (
        lambda part, x: part.relu(part.other(part.relu(part.conv(x))) + x),
        [(False, True), (True, True)],
    ),
    "one convolution twice": (lambda part, x: part.relu(part.conv(part.conv(x))), [(False, False), (False, True)]),
    "a module outside": (_outside, [(False, True)]),
    "no ReLU": (lambda part, x: part.conv(x) + x, [(False, False)]),
    "another operation between": (lambda part, x: part.relu(part.conv(x) * 2), [(False, False)]),
    "a weighted sum": (lambda part, x: part.relu(torch.add(part.conv(x), x, alpha=2)), [(False, False)]),
    "a constant": (lambda part, x: part.relu(part.conv(x) + 1), [(False, False)]),
    "read before the ReLU too": (_both_ways, [(False, False)]),
    "the sum is read again": (_sum_is_read_again, [(False, False)]),
    "twice the same": (lambda part, x: part.relu((y := part.conv(x)) + y), [(False, False)]),
    "without gradients": (_without_gradients, [(False, False)]),
    "cannot be traced": (_by_value, [(False, False)]),
}


@pytest.mark.parametrize("kind", CALLS)
def test_values_and_gradients_are_those_of_the_operations_one_by_one(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    call, wanted_calls = CALLS[kind]
    literal = Part(call).requires_grad_(False)
    fast = _packed(copy.deepcopy(literal))
    fuse(fast, [])
    calls = _watched(monkeypatch)
    x = torch.randn(2, 6, 9, 8, generator=torch.Generator().manual_seed(0)).contiguous(
        memory_format=torch.channels_last
    )
    x = x + 0.1  # whose sum is above 0
    wanted, slope = _with_gradient(literal, x)
    got, gradient = _with_gradient(fast, x)
    assert sorted(calls) == sorted(wanted_calls)
    torch.testing.assert_close(got, wanted, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(gradient, slope, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("target", ["conv", "nothing"])
def test_what_is_asked_for_keeps_its_value(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fast = _packed(Part(lambda part, x: part.relu(part.nothing(part.conv(x)))))
    fuse(fast, [target])
    calls = _watched(monkeypatch)
    fast(torch.randn(1, 6, 5, 5))
    assert calls == [(False, False)]


def test_a_hook_between_sees_what_it_saw(monkeypatch: pytest.MonkeyPatch) -> None:
    fast = _packed(Part(lambda part, x: part.relu(part.nothing(part.conv(x)))))
    fast.nothing.register_forward_hook(lambda module, inputs, output: output - 1)
    fuse(fast, [])
    calls = _watched(monkeypatch)
    fast(torch.randn(1, 6, 5, 5))
    assert calls == [(False, False)]


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("block", [BasicBlock, Bottleneck])
def test_a_residual_block_is_fused_in_a_private_copy(
    block: type[BasicBlock | Bottleneck], stride: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All its ReLUs and its sum; against a float64 copy with none of that."""
    torch.manual_seed(1)
    planes = 8
    width = planes * block.expansion
    skip = nn.Sequential(nn.Conv2d(width, width, 1, stride), nn.BatchNorm2d(width)) if stride > 1 else None
    part = nn.Sequential(nn.Conv2d(3, width, 3), nn.ReLU(), block(width, planes, stride, skip), nn.Conv2d(width, 4, 1))
    x = torch.randn(2, 3, 17, 16)
    fast = private_copy(part.eval(), x, ["3"], LEAK, blocked=True)
    literal = private_copy(part, x, ["3"], LEAK).double()
    calls = _watched(monkeypatch)
    got, gradient = _with_gradient(fast, x)
    wanted, slope = _with_gradient(literal, x.double())
    convolutions = 2 if block is BasicBlock else 3
    assert calls.count((True, True)) == 1
    assert calls.count((False, True)) == convolutions  # all but the last, and the one before the block
    torch.testing.assert_close(got.double(), wanted, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(gradient.double(), slope, atol=1e-5, rtol=1e-5)


def test_a_function_that_is_asked_for_is_still_called(monkeypatch: pytest.MonkeyPatch) -> None:
    part = nn.Sequential(nn.Conv2d(3, 8, 3), BasicBlock(8, 8), BasicBlock(8, 8)).eval()
    x = torch.randn(2, 3, 12, 11)
    fast = private_copy(part, x, ["2/add"], LEAK, blocked=True)
    calls = _watched(monkeypatch)
    with capture(fast, ["2/add"]) as activations, torch.no_grad():
        fast(x)
        got = activations["2/add"]
    assert calls == [(False, False), (False, True), (True, True), (False, False), (False, False)]
    with capture(part, ["2/add"]) as activations, torch.no_grad():
        part(x)
        torch.testing.assert_close(got, activations["2/add"], atol=1e-5, rtol=1e-5)


def test_traces_of_two_threads_leave_the_class_as_it_was() -> None:
    """The second begins while the first is under way, and would end after it."""
    before = nn.Module.__call__, nn.Module.__getattr__
    first_in, second_in, first_done = threading.Event(), threading.Event(), threading.Event()

    def first(part: Part, x: Tensor) -> Tensor:
        first_in.set()
        second_in.wait(0.3)  # in vain, where one waits for the other
        return part.relu(part.conv(x))

    def second(part: Part, x: Tensor) -> Tensor:
        second_in.set()
        first_done.wait(5)
        return part.relu(part.conv(x))

    parts = [_packed(Part(call)) for call in (first, second)]
    with ThreadPoolExecutor(2) as pool:
        done = pool.submit(fuse, parts[0], [])
        first_in.wait(5)
        other = pool.submit(fuse, parts[1], [])
        done.result()
        first_done.set()
        other.result()
    assert (nn.Module.__call__, nn.Module.__getattr__) == before
    assert all("forward" in vars(part) for part in parts)


def test_a_copy_of_a_fused_copy_reads_its_own_weights() -> None:
    fast = _packed(Part(lambda part, x: part.relu(part.conv(x))))
    fuse(fast, [])
    second = copy.deepcopy(fast)
    assert isinstance(second.conv, PackedConv)
    second.conv.bias.data.fill_(-100.0)
    x = torch.randn(1, 6, 5, 5)
    assert second(x).max() == 0
    assert fast(x).max() > 0


def test_the_networks_own_forward_is_not_touched() -> None:
    part = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 6, 3), nn.ReLU(), nn.Conv2d(6, 2, 1))
    private_copy(part, torch.randn(1, 3, 12, 12), ["4"], LEAK, blocked=True)
    assert "forward" not in vars(part)
    assert [type(child) for child in part] == [nn.Conv2d, nn.ReLU, nn.Conv2d, nn.ReLU, nn.Conv2d]


def _packed(part: Part) -> Part:
    part.requires_grad_(False).to(memory_format=torch.channels_last)
    part.conv, part.other = packed(part.conv), packed(part.other)
    return part


def _watched(monkeypatch: pytest.MonkeyPatch) -> list[tuple[bool, bool]]:
    """Of each call of a packed convolution: whether it adds a skip, whether it rectifies."""
    calls: list[tuple[bool, bool]] = []
    forwards = PackedConv.forwards

    def watched(self: PackedConv, x: Tensor, skip: Tensor | None = None, rectified: bool = False) -> Tensor:
        calls.append((skip is not None, rectified))
        return forwards(self, x, skip, rectified)

    monkeypatch.setattr(PackedConv, "forwards", watched)
    return calls


def _with_gradient(module: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    leaf = x.clone().requires_grad_(True)
    y = module(leaf)
    (gradient,) = torch.autograd.grad(F.silu(y).sum(), leaf)
    return y.detach(), gradient
