"""One pass, many accumulators: exact, whatever the batches, shards and order."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from layerscope.errors import InputError, UnknownNameError
from layerscope.models.model import VisionModel, wrap
from layerscope.passes.accumulators import Peak, Top, TopK
from layerscope.passes.sweep import sweep


def literal_top(units: Tensor, k: int) -> list[list[tuple[float, int, int, int]]]:
    """Every unit's best (score, image, row, column), by sorting all images."""
    images, many, _, width = units.shape
    table = []
    for unit in range(many):
        best = []
        for image in range(images):
            flat = units[image, unit].flatten().tolist()
            place = flat.index(max(flat))
            best.append((flat[place], image, place // width, place % width))
        table.append(sorted(best, key=lambda one: (-one[0], one[1]))[:k])
    return table


def as_table(top: Top) -> list[list[tuple[float, int, int, int]]]:
    columns = [part.tolist() for part in (top.scores, top.images, top.rows, top.columns)]
    return [list(zip(*rows, strict=True)) for rows in zip(*columns, strict=True)]


activations = st.integers(0, 2**31).map(
    # few values, so that there are many ties
    lambda seed: torch.randint(0, 4, (9, 3, 2, 3), generator=torch.Generator().manual_seed(seed)).float()
)


@settings(max_examples=60, deadline=None)
@given(activations, st.integers(1, 12), st.permutations(range(5)), st.lists(st.integers(1, 8), min_size=4, max_size=4))
def test_shards_in_any_order_equal_the_whole(units: Tensor, k: int, order: list[int], cuts: list[int]) -> None:
    edges = sorted({0, *cuts, 9})
    pieces = [(units[a:b], a) for a, b in itertools.pairwise(edges)]
    tops, peaks = TopK(k), Peak()
    for number in (number for number in order if number < len(pieces)):
        shard, peak = TopK(k), Peak()
        shard.update(*pieces[number])
        peak.update(*pieces[number])
        tops.merge(shard)
        peaks.merge(peak)
    assert as_table(tops.compute()) == literal_top(units, k)
    found = peaks.compute()
    torch.testing.assert_close(found.mean, units.mean((2, 3)).amax(0))
    assert torch.equal(found.anywhere, units.amax((0, 2, 3)))
    torch.testing.assert_close(found.centre, units[:, :, :, 1].mean(2).amax(0))


def test_merging_what_saw_nothing_changes_nothing() -> None:
    units = torch.rand(3, 2, 2, 2)
    top, peak = TopK(2), Peak()
    top.update(units, 0)
    peak.update(units, 0)
    top.merge(TopK(2))
    peak.merge(Peak())
    assert as_table(top.compute()) == literal_top(units, 2)
    assert torch.equal(peak.compute().anywhere, units.amax((0, 2, 3)))


def test_single_values_and_tokens_have_positions_too() -> None:
    flat, tokens = TopK(1), TopK(1)
    flat.update(torch.tensor([[1.0, 5.0], [3.0, 2.0]]), 10)
    tokens.update(torch.tensor([[[0.0, 7.0, 7.0]]]), 0)
    assert as_table(flat.compute()) == [[(3.0, 11, 0, 0)], [(5.0, 10, 0, 0)]]
    assert as_table(tokens.compute()) == [[(7.0, 0, 0, 1)]]


@pytest.fixture
def model() -> VisionModel:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(64, 5))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    return wrap(module, input_size=6)


IMAGES = torch.rand(11, 3, 6, 6, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("batch_size", [1, 4, 11, 64])
def test_a_sweep_fills_all_layers_in_one_forward_per_batch(model: VisionModel, batch_size: int) -> None:
    tops = {"0": TopK(3), "1": TopK(3), "": TopK(3)}
    peak = Peak()
    calls: list[int] = []
    assert model.layers()  # listed once, by a forward of its own
    model.module[0].register_forward_hook(lambda *_: calls.append(1))
    seen = sweep(model, IMAGES, {"0": [tops["0"], peak], "1": [tops["1"]], "": [tops[""]]}, batch_size=batch_size)
    assert seen == 11
    assert len(calls) == -(-11 // batch_size)
    with torch.no_grad():
        convolved = model.module.eval()[0](model.normalise(IMAGES)).clone()
        wanted = {"0": convolved, "1": convolved.relu(), "": model(IMAGES)[..., None, None]}
    for layer, units in wanted.items():
        literal, found = literal_top(units, 3), as_table(tops[layer].compute())
        assert [[one[1:] for one in row] for row in found] == [[one[1:] for one in row] for row in literal]
        torch.testing.assert_close(tops[layer].compute().scores, torch.tensor([[o[0] for o in row] for row in literal]))
    torch.testing.assert_close(peak.compute().anywhere, convolved.amax((0, 2, 3)))


def test_iterables_and_shards_give_the_same(model: VisionModel) -> None:
    whole, batches, one, two = (TopK(4) for _ in range(4))
    sweep(model, IMAGES, {"0": [whole]})
    sweep(model, iter([IMAGES[:3], IMAGES[3:3], IMAGES[3:]]), {"0": [batches]})
    sweep(model, IMAGES[7:], {"0": [one]}, first=7)
    sweep(model, IMAGES[:7], {"0": [two]})
    one.merge(two)
    assert torch.equal(whole.compute().images, batches.compute().images)
    assert torch.equal(whole.compute().images, one.compute().images)


def test_the_network_is_left_as_it_came(model: VisionModel) -> None:
    module = model.module.train()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    sweep(model, IMAGES, {"0": [TopK(1)]})
    assert all(part.training for part in module.modules())
    assert not any(part._forward_hooks for part in module.modules())
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_progress_counts_images(model: VisionModel) -> None:
    seen: list[tuple[int, int, str]] = []
    sweep(model, IMAGES, {"0": [Peak()]}, batch_size=5, on_progress=lambda *now: seen.append(now))
    assert seen == [(5, 11, "images"), (10, 11, "images"), (11, 11, "images")]


def test_what_cannot_be_is_refused(model: VisionModel) -> None:
    with pytest.raises(UnknownNameError, match="no layer '9'"):
        sweep(model, IMAGES, {"9": [Peak()]})
    with pytest.raises(InputError, match="no images to sweep"):
        sweep(model, IMAGES[:0], {"0": [Peak()]})
    with pytest.raises(InputError, match="batch_size=0"):
        sweep(model, IMAGES, {"0": [Peak()]}, batch_size=0)
    with pytest.raises(InputError, match="k=0 strongest images"):
        TopK(0)
    with pytest.raises(InputError, match="has seen no images"):
        Peak().compute()
