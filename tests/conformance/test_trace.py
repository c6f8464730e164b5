"""Everything that a call could leave behind is seen, and named."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from layerscope.conformance.trace import differences, state_of


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        self.tied = nn.Conv2d(3, 4, 3)
        self.tied.weight = self.conv.weight
        self.notes, self.plain = [torch.ones(2)], torch.ones(3)
        self.conv.weight.grad = torch.ones_like(self.conv.weight)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x))


class DispatchedThrough(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*args, **(kwargs or {}))


def _swap_there_and_back(net: nn.Module) -> None:
    """The same object, strides and content, in other memory."""
    net.norm.weight.data = net.norm.weight.data.clone()


CHANGES: tuple[tuple[str, Callable[[nn.Module], object]], ...] = (
    (r"conv: inside _forward_hooks is 1 entries, was 0 entries", lambda net: net.conv.register_forward_hook(print)),
    (r"conv: inside _forward_pre_hooks is 1 ", lambda net: net.conv.register_forward_pre_hook(print)),
    (r"conv: inside _backward_hooks is 1 ", lambda net: net.conv.register_full_backward_hook(print)),
    (r"the network: inside _state_dict_hooks is 1 ", lambda net: net._register_state_dict_hook(print)),
    (r"the network: extra is new: 1", lambda net: setattr(net, "extra", 1)),
    (r"the network: notes is gone, was <list>", lambda net: delattr(net, "notes")),
    (r"the network: inside notes is 2 entries, was 1 ", lambda net: net.notes.append(0)),
    (r"conv: padding is another one: <tuple>", lambda net: setattr(net.conv, "padding", tuple([0, 0]))),
    (r"conv: forward is new: <method>", lambda net: setattr(net.conv, "forward", net.tied.forward)),
    (r"norm: training is False, was True", lambda net: net.norm.eval()),
    (r"conv\.weight: requires_grad is False, was True", lambda net: net.conv.weight.requires_grad_(False)),
    (r"conv\.weight: grad is None, was <Tensor>", lambda net: setattr(net.conv.weight, "grad", None)),
    (r"conv\.weight: content of grad is ", lambda net: net.conv.weight.grad.add_(1)),
    (r"conv\.weight: _backward_hooks is 1 entries", lambda net: net.conv.weight.register_hook(print)),
    (r"conv\.weight: _post_accumulate_grad_hooks is 1", lambda net: net.conv.weight.register_post_accumulate_grad_hook(print)),
    (r"conv: inside _parameters is another one", lambda net: setattr(net.conv, "weight", nn.Parameter(net.conv.weight.detach()))),
    (r"norm\.weight: memory is ", _swap_there_and_back),
    (r"norm\.weight: dtype is torch\.float64", lambda net: setattr(net.norm.weight, "data", net.norm.weight.data.double())),
    (r"conv\.weight: strides is ", lambda net: net.to(memory_format=torch.channels_last)),
    (r"norm\.running_mean: content is ", lambda net: net.norm.running_mean[0].copy_(torch.tensor(-0.0))),
    (r"norm\.running_var: content is ", lambda net: net(torch.rand(2, 3, 5, 5))),
    (r"the network\.plain: content is ", lambda net: net.plain[1].zero_()),
    (r"the network\.notes\.0: content is ", lambda net: net.notes[0].zero_()),
    (r"torch's random state is ", lambda net: torch.rand(1)),
    (r"numpy's random state is ", lambda net: np.random.rand()),
    (r"random's state is ", lambda net: random.random()),
)  # fmt: skip


@pytest.mark.parametrize(("said", "change"), CHANGES, ids=lambda value: value if isinstance(value, str) else "")
def test_each_change_is_seen_and_named(said: str, change: Callable[[nn.Module], object]) -> None:
    net = Net()
    before = state_of(net)
    assert differences(before, state_of(net)) == ()
    change(net)
    lines = differences(before, state_of(net))
    assert any(line.startswith(said.replace("\\", "")) for line in lines), lines


def test_modes_of_torch_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    net = Net()
    before = state_of(net)

    def now() -> str:
        return " | ".join(differences(before, state_of(net)))

    with torch.no_grad():
        assert now() == "grad mode is False, was True"
    with torch.inference_mode():
        assert "inference mode is True, was False" in now()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert "autocast is " in now()
    with torch.overrides.BaseTorchFunctionMode():
        assert now() == "torch function modes is 1, was 0"
    with DispatchedThrough():
        assert now() == "dispatch modes is 1 entries, was 0 entries"
    handle = nn.modules.module.register_module_forward_hook(lambda *_: None)
    assert now() == "torch's _global_forward_hooks is 1 entries, was 0 entries"
    handle.remove()
    monkeypatch.setattr(torch, "cos", torch.sin)
    assert now() == "torch.cos is another one: <builtin_function_or_method>"
    monkeypatch.undo()
    monkeypatch.setattr(nn.Module, "register_forward_hook", print)
    assert now().startswith("torch.nn.modules.module.Module.register_forward_hook is ")
    monkeypatch.undo()
    assert now() == ""


def test_taking_a_snapshot_changes_nothing_and_reads_every_kind_of_tensor() -> None:
    net = nn.Sequential(nn.LazyLinear(2), nn.Linear(2, 2, device="meta"), nn.Linear(2, 2).bfloat16())
    net.register_buffer("empty", torch.empty(0))
    net.register_buffer("sparse", torch.eye(3).to_sparse())
    net.register_buffer("complex", torch.ones(2, dtype=torch.complex64).conj())
    net.register_buffer("graph", torch.ones(2, requires_grad=True) * 2)
    net.register_buffer("scalar", torch.tensor(1))
    first, second = state_of(net), state_of(net)
    assert differences(first, second) == ()
    net.scalar += 1
    net.sparse = net.sparse * 2
    assert {"the network.scalar: content", "the network.sparse: content"} <= {
        line.partition(" is ")[0] for line in differences(first, state_of(net))
    }
