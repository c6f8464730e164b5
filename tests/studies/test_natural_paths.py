"""What natural images say for outcome cards: the ranks that a look at each image gives, whoever reads them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy.stats import rankdata
from small_nets import small_model

from layerscope.faithfulness.seen_means import TOGETHER, UnitSpot, seen_means
from layerscope.studies.crew import Crew
from layerscope.studies.exemplars import Naturals, find_naturals
from layerscope.studies.natural_paths import drawn_units, layers_before, natural_paths, other_spots, own_spots
from layerscope.studies.probe import open_probe

UNITS = [4, 0, 9, 11]


@pytest.fixture(scope="module")
def network():
    return small_model()


@pytest.fixture(scope="module")
def naturals(network) -> dict[str, Naturals]:
    probe = open_probe("menagerie", network, count=48)
    return find_naturals(network, [network.layer(name) for name in ("conv1", "conv2", "conv3")], probe)


def asked(naturals) -> list[tuple[Naturals, list[int]]]:
    return [(naturals["conv3"], UNITS[:2]), (naturals["conv2"], [3, 1]), (naturals["conv3"], UNITS[2:])]


def same(some, others) -> bool:
    """All that is told of each unit."""
    pairs = zip(some, others, strict=True)
    return all(
        np.array_equal(mine[name], theirs[name])
        for one, two in pairs
        for at in range(len(one.own))
        for mine, theirs in zip(one.of(at), two.of(at), strict=True)
        for name in {*mine, *theirs}
    )


def test_ranks_are_those_of_each_image_looked_at_alone(network, naturals):
    """Where the unit is strongest is looked for again, in each image."""
    shown, layer = naturals["conv3"], network.layer("conv3")
    earlier, drawn = layers_before(network, layer), drawn_units(layer, 0)
    (found,) = natural_paths(Crew(network), [(shown, UNITS)], 0)
    pixels, top = shown.probe.data.pixels, shown.top
    strongest = {int(top.images[unit, 0]): unit for unit in reversed(drawn)}  # the first of those drawn counts
    for at, unit in enumerate(UNITS):
        own, other = found.of(at)
        spots = [UnitSpot(spot.image, unit) for spot in own_spots(shown, unit)]
        rest = [UnitSpot(spot.image, strongest[spot.image]) for spot in other_spots(shown, unit, drawn)]
        assert len(spots) == 8
        assert rest
        for rows, wanted in ((own, spots), (other, rest)):
            means = seen_means(network, pixels, wanted, layer, earlier)
            assert set(rows) == set(means)
            for name, values in means.items():
                np.testing.assert_array_equal(rows[name], 2 * rankdata(values, axis=1))


def test_neither_memory_nor_an_executor_nor_company_changes_anything(network, naturals):
    whole = list(natural_paths(Crew(network), asked(naturals), 0))
    assert same(whole, natural_paths(Crew(network), asked(naturals), 0, memory=1))
    assert same(whole, (next(natural_paths(Crew(network), [one], 0)) for one in asked(naturals)))
    with ThreadPoolExecutor(2) as executor:
        assert same(whole, natural_paths(Crew.of(network, executor), asked(naturals), 0))
    assert not same(whole, natural_paths(Crew(network), asked(naturals), 1))  # other units are drawn


def test_each_image_is_run_once_and_no_further_than_the_last_layer_compared(network, naturals):
    calls = {"conv1": 0, "conv3": 0}

    def count(name):
        return lambda *_: calls.update({name: calls[name] + 1})

    hooks = [getattr(network.module, name).register_forward_hook(count(name)) for name in calls]
    try:
        told = list(natural_paths(Crew(network), asked(naturals), 0))
    finally:
        for hook in hooks:
            hook.remove()
    assert len(told) == 3
    looked = {
        spot.image
        for shown, units in asked(naturals)
        for unit in units
        for spot in (*own_spots(shown, unit), *other_spots(shown, unit, drawn_units(shown.layer, 0)))
    }
    assert len(looked) > TOGETHER
    assert calls == {"conv1": -(-len(looked) // TOGETHER), "conv3": 0}


def test_before_a_sum_are_the_layers_before_its_activation(network):
    before = layers_before(network, network.layer("/add"))
    assert before == layers_before(network, network.layer("relu#1"))
    assert [one.name for one in before] == ["relu#0"]


def test_without_earlier_layers_there_is_nothing_to_read(network, naturals):
    (found,) = natural_paths(Crew(network), [(naturals["conv1"], [0, 1])], 0)
    assert (found.ranks, found.of(1)) == ({}, ({}, {}))
