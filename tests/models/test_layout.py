"""Images are laid out as a network takes them, and as fast as it does."""

from __future__ import annotations

import pytest
import torch
from small_nets import SmallNet, ViewingNet, seeded
from torch import Tensor, nn

from layerscope.conformance.trace import differences, state_of
from layerscope.models.layout import fast_layout
from layerscope.models.model import wrap


class Failing(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        raise ValueError("never")


@pytest.mark.parametrize(
    ("module", "layout"),
    [
        (SmallNet(), torch.channels_last),
        (ViewingNet(), torch.contiguous_format),
        (nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 2)), torch.channels_last),
        (Failing(), torch.contiguous_format),
    ],
)
def test_as_fast_as_the_network_takes_it(module: nn.Module, layout: torch.memory_format) -> None:
    before = state_of(module)
    assert fast_layout(module, (3, 32, 32)) == layout
    assert not differences(before, state_of(module))


def test_measured_once() -> None:
    model = wrap(seeded(SmallNet()), 32)
    forwards: list[object] = []
    model.module.register_forward_hook(lambda *_: forwards.append(None))
    assert {model.layout for _ in range(3)} == {torch.channels_last}
    assert len(forwards) == 1
