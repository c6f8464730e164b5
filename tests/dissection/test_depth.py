"""A hierarchy that is there is shown, and none where it is not."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.stats import spearmanr

from layerscope.dissection.depth import LayerCounts, depth_trend, order_p, spearman
from layerscope.dissection.discovery import net_share, unit_correlation
from layerscope.dissection.labels import CATEGORIES
from layerscope.errors import InputError, UnknownNameError

Shares = dict[str, float]
RISING: list[Shares] = [
    {"edge": 0.4, "colour": 0.1, "colour-edge": 0.1},
    {"edge": 0.3, "texture": 0.2},
    {"edge": 0.1, "texture": 0.4, "part": 0.1},
    {"texture": 0.2, "part": 0.4},
    {"part": 0.4, "object": 0.2},
    {"part": 0.1, "object": 0.6},
]
CHANCE: Shares = dict.fromkeys(("object", "part", "texture", "colour", "edge"), 0.005)


def drawn(shares: Shares, units: int, generator: np.random.Generator) -> dict[str, int]:
    own = {category: shares.get(category, 0.0) for category in CATEGORIES}
    own["none"] = 1 - sum(own.values())
    return dict(zip(own, generator.multinomial(units, list(own.values())).tolist(), strict=True))


def network(layers: list[Shares], units: int = 128, twins: int = 5, seed: int = 0) -> list[LayerCounts]:
    generator = np.random.default_rng(seed)
    return [
        LayerCounts(
            f"conv{at}", drawn(shares, units, generator), [drawn(CHANCE, units, generator) for _ in range(twins)]
        )
        for at, shares in enumerate(layers, 1)
    ]


def test_a_planted_hierarchy_is_shown():
    found = depth_trend(network(RISING))
    assert found.shown
    assert found.trend.value == 1
    assert found.trend.low > 0.8
    assert found.p == 1 / 720
    assert found.words.startswith(
        "A hierarchy is shown: deeper layers code more demanding things (rank correlation 1.00, "
    )
    assert "6 of 6 layers code anything beyond their random twins" in found.words
    for layer in found.layers:
        assert layer.index is not None
        assert layer.index.low <= layer.index.value <= layer.index.high
        assert layer.net_share.low > 0
    assert found.layers[0].index.value < 0.1
    assert found.layers[-1].index.value > 2.5


def test_index_is_the_mean_depth_of_net_shares():
    own = {"object": 10, "part": 20, "texture": 30, "edge": 15, "colour": 5, "none": 20}
    twins = [{"part": 10, "edge": 5, "none": 85}, {"part": 0, "edge": 15, "none": 75, "dead": 10}]
    found = depth_trend([LayerCounts("conv1", own, twins)])
    net = {"object": 0.1, "part": (0.2 - 0.05) / 0.95, "texture": 0.3, "edge": (0.15 - 0.1) / 0.9, "colour": 0.05}
    depths = {"object": 3, "part": 2, "texture": 1, "edge": 0, "colour": 0}
    expected = sum(depths[test] * net[test] for test in net) / sum(net.values())
    assert found.layers[0].index is not None
    assert found.layers[0].index.value == pytest.approx(expected)
    assert found.layers[0].net_share.value == pytest.approx((0.8 - 0.15) / 0.85)


def test_part_and_object_swapped_is_seen():
    swap = {"part": "object", "object": "part"}
    swapped = [{swap.get(category, category): share for category, share in shares.items()} for shares in RISING]
    right, wrong = depth_trend(network(RISING)), depth_trend(network(swapped))
    assert wrong.trend.value < right.trend.value
    assert wrong.p > right.p
    assert wrong.layers[-1].index.value < right.layers[-1].index.value - 0.5


def test_layers_upside_down_show_none():
    found = depth_trend(network(RISING[::-1]))
    assert found.trend.value == -1
    assert found.p == 1
    assert not found.shown
    assert found.words.startswith("No hierarchy shown: what layers code does not rise with depth beyond chance")


def test_the_same_in_each_layer_shows_none():
    shown = [depth_trend(network([RISING[2]] * 6, seed=seed), bootstraps=300).shown for seed in range(40)]
    assert np.mean(shown) <= 0.05


def test_a_random_network_shows_none():
    for seed in range(40):
        found = depth_trend(network([CHANCE] * 6, seed=seed), bootstraps=200)
        assert not found.shown
        assert found.words.startswith("No hierarchy shown: ")
        assert sum(layer.index is not None for layer in found.layers) <= 2
    assert "of 6 layers code anything beyond their random twins, and a trend needs 4." in found.words


def test_what_the_twins_have_as_well_is_no_hierarchy():
    """The twins dropped would be a hierarchy: the same rising labels, in networks that learned nothing."""
    generator = np.random.default_rng(0)
    counts = [[drawn(shares, 128, generator) for _ in range(6)] for shares in RISING]
    layers = [LayerCounts(f"conv{at}", own, twins) for at, (own, *twins) in enumerate(counts)]
    assert not depth_trend(layers).shown
    none = {"none": 128}
    assert depth_trend([LayerCounts(layer.layer, layer.network, [none] * 5) for layer in layers]).shown
    with pytest.raises(InputError, match="layer 'conv0' has no twins, so nothing could be beyond them"):
        depth_trend([LayerCounts(layer.layer, layer.network, []) for layer in layers])


def counted(*layers: tuple[int, int, int]) -> list[LayerCounts]:
    """Textures, parts and units, beside twins that have none."""
    return [
        LayerCounts(str(at), {"texture": texture, "part": part, "none": units - texture - part}, [{"none": units}] * 5)
        for at, (texture, part, units) in enumerate(layers)
    ]


def test_one_layer_out_of_order_among_four_is_within_chance():
    found = depth_trend(counted((800, 100, 1000), (600, 300, 1000), (100, 800, 1000), (300, 600, 1000)))
    assert found.trend.low == pytest.approx(0.8)
    assert found.p == 4 / 24
    assert not found.shown


def test_a_rise_within_the_scatter_of_units_is_none():
    found = depth_trend(counted((20, 20, 60), (20, 21, 60), (20, 22, 60), (20, 23, 60)))
    assert (found.trend.value, found.p) == (1, 1 / 24)
    assert found.trend.low < 0
    assert not found.shown
    assert "does not rise with depth beyond chance (rank correlation 1.00, interval -" in found.words


def test_three_layers_are_too_few():
    found = depth_trend(network(RISING[::2]))
    assert found.trend.value == 1
    assert not found.shown
    assert not depth_trend(network(RISING[::2]), level=0.8).shown
    assert (
        found.words == "No hierarchy shown: 3 of 3 layers code anything beyond their random twins, and a trend needs 4."
    )


def test_a_dead_network_shows_none():
    found = depth_trend([LayerCounts(str(at), {"dead": 8}, [{"none": 8}] * 2) for at in range(5)])
    assert (found.trend.value, found.p, found.shown) == (0, 1, False)
    assert {layer.index for layer in found.layers} == {None}


@pytest.mark.parametrize("values", [[1.0, 2, 3, 4, 5], [0.1, 0.3, 0.2, 0.2, 0.9, 0.5], [2.0, 1], [1.0, 1, 1, 1]])
def test_p_counts_all_orders(values):
    if len(set(values)) > 1:
        assert spearman(np.array(values)) == pytest.approx(spearmanr(range(len(values)), values).statistic)
        orders = [spearmanr(range(len(values)), order).statistic for order in itertools.permutations(values)]
        known = np.mean([one >= spearman(np.array(values)) - 1e-9 for one in orders])
    else:
        assert spearman(np.array(values)) == 0
        known = 1
    assert order_p(np.array(values)) == pytest.approx(known)


def test_p_of_many_layers_is_by_random_orders():
    values = np.random.default_rng(0).normal(size=20) + 0.05 * np.arange(20)
    known = spearmanr(range(20), values, alternative="greater").pvalue
    assert order_p(values) == pytest.approx(known, abs=0.02)
    assert order_p(values) == order_p(values)
    assert order_p(np.arange(30.0)) == 1 / 10000
    assert order_p(np.array([2.0])) == 1


def test_undefined_indices_are_left_out_of_a_trend():
    assert spearman(np.array([1, np.nan, 2, 3])) == 1
    assert spearman(np.array([np.nan, np.nan])) == 0


def test_a_trend_takes_its_seed_and_leaves_the_random_state():
    state = np.random.get_state()[1].copy()
    layers = network(RISING, units=30)
    assert depth_trend(layers, seed=1) == depth_trend(layers, seed=1)
    assert depth_trend(layers, seed=1) != depth_trend(layers, seed=2)
    np.testing.assert_array_equal(np.random.get_state()[1], state)


def test_what_does_not_fit_is_refused():
    with pytest.raises(InputError, match="0 layers and 2000 bootstraps; give at least one of each"):
        depth_trend([])
    with pytest.raises(UnknownNameError, match="no label 'objekt'; nearest: object"):
        depth_trend([LayerCounts("a", {"objekt": 3}, [{"none": 3}])])
    with pytest.raises(InputError, match=r"layer 'a' has labels of \[3, 4\] units, in the network and its twins"):
        depth_trend([LayerCounts("a", {"object": 3}, [{"none": 4}])])
    with pytest.raises(InputError, match=r"layer 'a' has labels of \[0, 0\] units"):
        depth_trend([LayerCounts("a", {}, [{}])])


def test_intervals_of_layers_and_labels_are_one_family():
    """Six layers with six labels and any of them: each interval is as wide as 42 that hold together need."""
    layers = network(RISING)
    counts = [
        [sum(one.values()) - one["none"] - one["dead"] for one in (layer.network, *layer.twins)] for layer in layers
    ]
    alike = unit_correlation((128, twins) for _, *twins in counts)
    for layer, (own, *twins) in zip(depth_trend(layers).layers, counts, strict=True):
        assert layer.net_share == net_share(own, 128, twins, 1 - 0.05 / 42, correlation=alike)
