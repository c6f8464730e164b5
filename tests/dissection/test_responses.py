"""Responses: one number per unit and stimulus, for many layers in one sweep."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from layerscope.dissection.responses import Responses, centre, excitation, respond
from layerscope.dissection.stimuli.gratings import Baselines, Gratings
from layerscope.errors import InputError, UnknownNameError
from layerscope.models.model import VisionModel, wrap


@pytest.fixture
def model() -> VisionModel:
    torch.manual_seed(0)
    return wrap(
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Conv2d(4, 2, 3), nn.Flatten(), nn.Linear(32, 5)), 8
    )


def test_all_layers_in_one_sweep(model: VisionModel) -> None:
    stimuli = Baselines(8, 3, noise=12)
    images = stimuli.render(np.arange(13))
    calls: list[int] = []
    assert model.layers()
    assert model.layout  # probed once, by a forward of its own
    model.module[0].register_forward_hook(lambda _part, given, _out: calls.append(len(given[0])))
    seen: list[tuple[int, int, str]] = []
    found = respond(model, stimuli, ["0", "2", ""], batch_size=5, on_progress=lambda *now: seen.append(now))
    assert calls == [5, 5, 3]
    assert seen == [(13, 13, "images")]
    with torch.no_grad():
        first = model.module[0](model.normalise(images)).clone()
        second = model.module[2](first.relu())
        output = model(images)
    assert first.shape[-2:] == (6, 6)
    torch.testing.assert_close(found["0"], first[:, :, 3, 3])
    torch.testing.assert_close(found["2"], second[:, :, 2, 2])
    torch.testing.assert_close(found[""], output)
    excited = respond(model, stimuli, ["0"], reading="excitation")["0"]
    torch.testing.assert_close(excited, first.relu()[:, :, 1:5, 1:5].mean((2, 3)))


def test_one_position_is_read_where_a_side_is_even() -> None:
    """The mean of the four in the middle would be blind to bars as wide as the layer's stride."""
    module = nn.Conv2d(1, 1, 2, stride=2, bias=False)
    nn.init.constant_(module.weight, 0.25)
    model = wrap(module, 16, mean=[0.0], std=[1.0])
    gratings = Gratings(16, 1, (0.05, 0.1, 0.25), orientations=4, phases=4)  # bars of two pixels at last
    found = respond(model, gratings, [""])[""].view(4, 3, 4)
    assert found[2, 2].max() - found[2, 2].min() > 0.3


def test_other_shapes_have_a_centre_too() -> None:
    grid = torch.arange(2 * 3 * 5 * 4.0).view(2, 3, 5, 4)
    assert torch.equal(centre(grid), grid[:, :, 2, 2])
    tokens = torch.arange(2 * 3 * 10.0).view(2, 3, 10)  # a class token before 3 x 3 patches
    assert torch.equal(centre(tokens), tokens[:, :, 1 + 4])
    flat = torch.tensor([[1.0, -2.0]])
    assert torch.equal(centre(flat), flat)
    assert torch.equal(excitation(flat), torch.tensor([[1.0, 0.0]]))
    assert torch.equal(excitation(grid - 30), (grid - 30).clamp(min=0)[:, :, 1:4, 1:3].mean((2, 3)))


@settings(max_examples=40, deadline=None)
@given(
    st.permutations(range(4)),
    st.lists(st.integers(1, 8), min_size=3, max_size=3),
    st.sampled_from(["centre", "excitation"]),
)
def test_shards_in_any_order_equal_the_whole(order: list[int], cuts: list[int], reading: str) -> None:
    units = torch.randn(9, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    edges = sorted({0, *cuts, 9})
    whole, saved = Responses(reading), Responses(reading)
    for start, stop in [list(itertools.pairwise(edges))[n] for n in order if n < len(edges) - 1]:
        part = Responses(reading)
        part.update(units[start:stop], start)
        whole.merge(part)
        saved.absorb(part.state())
    read = {"centre": centre, "excitation": excitation}[reading]
    assert torch.equal(whole.compute(), read(units))
    assert torch.equal(saved.compute(), whole.compute())
    again = Responses(reading)
    again.restore(whole.state())
    assert torch.equal(again.compute(), whole.compute())


def test_only_the_numbers_are_kept() -> None:
    kept, units = Responses(), torch.randn(6, 5, 32, 32)
    kept.update(units, 0)
    wanted = centre(units).clone()
    units.zero_()
    assert torch.equal(kept.compute(), wanted)
    assert kept.nbytes == 6 * 5 * 4 + 6 * 8
    assert kept.compute().untyped_storage().nbytes() == 6 * 5 * 4


def test_networks_in_float64_and_of_one_channel() -> None:
    model = wrap(nn.Conv2d(1, 2, 3).double(), 6)
    assert respond(model, Baselines(6, 1, 4), [""])[""].dtype == torch.float32


def test_the_network_is_left_as_it_came(model: VisionModel) -> None:
    module = model.module.train()
    respond(model, Baselines(8, 3, 4), ["0"])
    assert all(part.training and not part._forward_hooks for part in module.modules())


def test_what_cannot_be_is_refused(model: VisionModel) -> None:
    with pytest.raises(InputError, match="stimuli of 1 channels; 'Sequential' takes 3"):
        respond(model, Baselines(8, 1), ["0"])
    with pytest.raises(UnknownNameError, match="no layer '7'"):
        respond(model, Baselines(8, 3), ["7"])
    with pytest.raises(UnknownNameError, match="no reading 'mean'"):
        respond(model, Baselines(8, 3), ["0"], reading="mean")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="has seen no images"):
        Responses().compute()
    with pytest.raises(InputError, match="cannot be merged"):
        Responses().merge(Responses("excitation"))
