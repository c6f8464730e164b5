"""A last convolution that computes the climbed units only changes nothing but the time."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from small_nets import seeded
from torch import Tensor, nn

import layerscope.objectives as ob
from layerscope.models.model import VisionModel, wrap
from layerscope.synthesis import work
from layerscope.synthesis.ascent import maximise
from layerscope.synthesis.picked import SomeChannels, picked_alike, picked_in
from layerscope.synthesis.recipes import Recipe

RECIPE = Recipe("of the test", "fourier", view=32, steps=16, settle=0.2, together=4)


class Wide(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 24, 3, padding=1)
        self.bn, self.fc = nn.BatchNorm2d(24), nn.Linear(24, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.bn(self.second(self.first(x).relu())).relu().mean((2, 3)))


@pytest.fixture
def wide() -> VisionModel:
    return wrap(seeded(Wide()), 32)


@pytest.mark.parametrize("kind", ["excitation", "neuron"])
def test_pictures_are_those_of_the_whole_convolution_after_refills_too(
    wide: VisionModel, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sought = [getattr(ob, kind)(f"second:{unit}") for unit in (5, 23, 0, 7, 7, 19, 2, 11, 3, 14)]
    used = []
    monkeypatch.setattr(work, "picked_alike", lambda *given: used.append(picked_alike(*given)) or used[-1])
    part = maximise(wide, sought, recipe=RECIPE)
    monkeypatch.setattr(work, "picked_alike", lambda *given: None)
    whole = maximise(wide, sought, recipe=RECIPE)
    assert isinstance(used[0], SomeChannels)
    assert np.abs(part.images.astype(int) - whole.images.astype(int)).max() <= 1  # sums in another order
    np.testing.assert_allclose(part.trace, whole.trace, rtol=1e-4)
    np.testing.assert_allclose(part.scores, whole.scores, rtol=1e-3)
    assert len({row.tobytes() for row in part.trace}) == 9  # of ten pictures two are one


def test_rows_have_their_units() -> None:
    conv = seeded(nn.Sequential(nn.Conv2d(3, 9, 3)))[0]
    x = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    picked = SomeChannels(conv, 3)
    torch.testing.assert_close(picked(x), conv(x)[:, :3])
    picked.pick(1, 8)
    picked.pick(0, 8)
    torch.testing.assert_close(picked(x), conv(x)[:, [8, 8, 2]])
    picked.pick(1, 4)
    torch.testing.assert_close(picked(x), conv(x)[:, [8, 4, 2]])


@pytest.mark.parametrize(
    ("module", "layer"),
    [
        (nn.Sequential(nn.Conv2d(3, 4, 3)), "0"),
        (nn.Sequential(nn.Conv2d(6, 24, 3, groups=2)), "0"),
        (nn.Sequential(nn.Linear(3, 9)), "0"),
        (nn.Sequential(nn.Conv2d(3, 9, 3)), "0#1"),
        (nn.Sequential(nn.Conv2d(3, 9, 3)), ""),
        (nn.Sequential(nn.Conv2d(3, 9, 3)), "0/add"),
    ],
)
def test_what_cannot_be_picked_stays(module: nn.Sequential, layer: str) -> None:
    before = module[0]
    assert picked_in(module, layer, 4) is None
    assert module[0] is before


class Past(Wide):
    def __init__(self) -> None:
        super().__init__()
        self.steps = [self.first, self.second]

    def forward(self, x: Tensor) -> Tensor:
        for step in self.steps:
            x = step(x).relu()
        return self.fc(x.mean((2, 3)))


class Asking(Wide):
    def forward(self, x: Tensor) -> Tensor:
        assert self.second.out_channels == self.fc.in_features
        return super().forward(x)


@pytest.mark.parametrize(
    "shortage",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: not enough memory"),
    ],
)
def test_want_of_memory_is_not_taken_for_a_network_that_does_not_take_it(
    monkeypatch: pytest.MonkeyPatch, shortage: Exception
) -> None:
    def short(self: SomeChannels, x: torch.Tensor) -> torch.Tensor:
        raise shortage

    monkeypatch.setattr(SomeChannels, "forward", short)
    with pytest.raises(type(shortage)):
        picked_alike(seeded(Wide()), "second", 4, torch.rand(1, 3, 32, 32))


@pytest.mark.parametrize("kind", [Past, Asking])
def test_a_network_that_does_not_take_it_keeps_its_own(kind: type[Wide]) -> None:
    module = seeded(kind())
    before = module.second
    assert picked_alike(module, "second", 4, torch.rand(1, 3, 32, 32)) is None
    assert module.second is before
    art = maximise(wrap(module, 32), ["second:3"], recipe=RECIPE)
    assert art.scores[0] > art.controls[0]


def test_a_hook_that_changes_the_layer_is_climbed_with_it(wide: VisionModel) -> None:
    wide.module.second.register_forward_hook(lambda module, inputs, output: -output)
    art = maximise(wide, [ob.channel("second:3")], recipe=dataclasses.replace(RECIPE, steps=40))
    assert art.scores[0] > art.controls[0]
    again = wrap(seeded(Wide()), 32)
    against = maximise(again, [-ob.channel("second:3")], recipe=dataclasses.replace(RECIPE, steps=40))
    assert art.scores[0] == pytest.approx(against.scores[0], rel=0.2)
