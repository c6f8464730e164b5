"""Rows are taken by the next picture when one has settled, and no picture notices."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from small_nets import seeded
from torch import Tensor, nn

import layerscope.objectives as ob
from layerscope.models.model import VisionModel, wrap
from layerscope.models.spectrum import Spectrum
from layerscope.synthesis.ascent import maximise
from layerscope.synthesis.recipes import Recipe, parametrisation
from layerscope.synthesis.slots import Place, Slots

SETTLING = Recipe("settling", "fourier", view=32, steps=32, lr=0.2, settle=0.1, together=4)
UNITS = [f"conv3:{unit}" for unit in range(11)]


def lengths(trace: np.ndarray) -> list[int]:
    return np.isfinite(trace).sum(1).tolist()


def test_pictures_that_settle_early_make_room(model: VisionModel) -> None:
    counts = dict.fromkeys(("settling", "whole"), 0)
    traces = {}
    for name, settle in (("settling", 0.1), ("whole", 0.0)):

        def forwards(*_: object, name: str = name) -> None:
            counts[name] += 1

        recipe = dataclasses.replace(SETTLING, settle=settle)
        traces[name] = maximise(model, UNITS, recipe=recipe, on_progress=forwards).trace
    taken = lengths(traces["settling"])
    assert min(taken) < max(taken) <= 32
    assert min(taken) >= 16
    assert {one % 4 for one in taken} == {0}  # asked at eighths
    assert lengths(traces["whole"]) == [32] * 11
    assert counts["whole"] == 3 * 32
    assert sum(taken) / 4 <= counts["settling"] < 3 * 32
    for early, whole, steps in zip(traces["settling"], traces["whole"], taken, strict=True):
        assert early[:steps].tobytes() == whole[:steps].tobytes()


def test_bytes_are_the_same_alone_in_company_and_after_a_refill(model: VisionModel) -> None:
    company = maximise(model, UNITS, recipe=SETTLING)
    back = maximise(model, UNITS[::-1], recipe=SETTLING)
    for place, unit in enumerate(UNITS):
        alone = maximise(model, [unit], recipe=SETTLING)
        steps = alone.trace.shape[1]
        for art, row in ((company, place), (back, 10 - place)):
            assert art.images[row].tobytes() == alone.images[0].tobytes()
            assert art.trace[row, :steps].tobytes() == alone.trace[0].tobytes()
            assert lengths(art.trace)[row] == steps
            assert art.scores[row] == alone.scores[0]


def test_groups_settle_together_and_wait_for_rows_enough(model: VisionModel) -> None:
    group = ob.channel("conv3:2") - ob.diversity("conv3")
    art = maximise(model, [*[ob.layer_energy("conv3")] * 3, *[group] * 3, ob.layer_energy("conv3")], recipe=SETTLING)
    alone = maximise(model, [group] * 3, recipe=SETTLING)
    assert art.images[3:6].tobytes() == alone.images.tobytes()
    assert len(set(lengths(art.trace)[3:6])) == 1


def test_dead_units_have_a_second_try_among_living_ones() -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 12, 3)

        def forward(self, x: Tensor) -> Tensor:
            return torch.relu(self.conv(x))

    module = nn.Sequential(seeded(Block()))
    with torch.no_grad():
        module[0].conv.weight.mul_(0.3)
        module[0].conv.bias.fill_(1.0)
        module[0].conv.bias[::2] = -6.0
    model = wrap(module, 16, mean=[0.5] * 3, std=[0.5] * 3)
    recipe = dataclasses.replace(SETTLING, view=16)
    art = maximise(model, [f"0:{unit}" for unit in range(12)], recipe=recipe)
    climbed = ["climbed in its place" in note for note in art.notes]
    assert climbed == [unit % 2 == 0 for unit in range(12)]
    for unit in (0, 1, 10):
        alone = maximise(model, [f"0:{unit}"], recipe=recipe)
        assert alone.images[0].tobytes() == art.images[unit].tobytes()
        assert alone.notes[0] == art.notes[unit]


def slots(recipe: Recipe) -> Slots:
    return Slots(3, recipe, parametrisation(recipe, Spectrum.natural(3)), torch.Generator().manual_seed(0))


def test_settled_is_what_the_docstring_says() -> None:
    recipe = dataclasses.replace(SETTLING, steps=64, settle=0.1)
    rows = slots(recipe)
    generator = torch.Generator().manual_seed(1)
    for rate in (0.0, 0.01, 0.03, 0.1, 0.3):
        trace = 1 - torch.exp(-rate * torch.arange(64.0)) + torch.rand(64, generator=generator) * 0.01
        rows.trace[1] = trace
        for steps in range(1, 65):
            values = trace[:steps].double().numpy()
            asked = steps >= 32 and steps % 8 == 0
            gained = values[-8:].mean() - values[-16:-8].mean() if asked else np.inf
            wanted = steps == 64 or (asked and gained < 0.1 * (values[-8:].mean() - values[0]))
            assert rows.settled(Place([1], steps)) == wanted, (rate, steps)


def test_a_group_goes_on_while_one_of_it_rises() -> None:
    recipe = dataclasses.replace(SETTLING, steps=64)
    rows = slots(recipe)
    rows.trace[0] = torch.tensor([0.0] + [1.0] * 63)
    rows.trace[1] = torch.arange(64.0)
    assert rows.settled(Place([0], 40))
    assert not rows.settled(Place([1], 40))
    assert not rows.settled(Place([0, 1], 40))


def test_each_row_is_an_adam_of_its_own() -> None:
    recipe = dataclasses.replace(SETTLING, lr=0.1, lr_end=0.5, steps=8)
    rows = slots(recipe)
    draws = [torch.zeros(8, 4)]
    start = torch.zeros_like(rows.parameters[0])
    first = rows.take([start], draws)
    plain = start.clone().requires_grad_(True)
    adam = torch.optim.Adam([plain], 0.1)
    generator = torch.Generator().manual_seed(2)
    second = None
    for step in range(6):
        gradient = torch.randn(3, *start.shape, generator=generator)
        if step == 3:
            second = rows.take([start], draws)
        rows.step([one for one in (first, second) if one], torch.zeros(3), gradient)
        adam.param_groups[0]["lr"] = 0.1 * 0.5 ** (step / 8)
        plain.grad = gradient[0]
        adam.step()
        torch.testing.assert_close(rows.parameters[0], plain.detach(), atol=1e-6, rtol=1e-5)
    assert (first.steps, second.steps, second.rows) == (6, 3, [1])
    rows.release(first)
    assert rows.free == [0, 2]
    again = rows.take([start], draws)
    rows.step([again], torch.zeros(3), torch.ones(3, *start.shape))
    torch.testing.assert_close(rows.parameters[0], torch.full_like(start, -0.1), atol=1e-5, rtol=1e-4)  # no old moments
