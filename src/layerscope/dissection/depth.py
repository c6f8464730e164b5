"""Whether what units code gets more demanding with depth: the depth index of each layer, and its trend.

The index of a layer is the mean depth of what its units code beyond random twins: sum of w s over sum of s, with the
net shares s = (share - twins' share) / (1 - twins' share) and the depths w of `labels.TESTS`: edge and colour 0,
texture 1, part 2, object 3. Its trend is Spearman's rank correlation with the order of the layers. The report must be
able to say that there is none: a layer with nothing beyond its twins has no index, and a trend is shown only where its
interval lies above 0 and few orders of the layers would give one as strong. Neither alone would do: where shares thin
out with depth, what is left of noise in them is a rising index.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from layerscope.dissection.discovery import Interval, each_of, net_share, unit_correlation
from layerscope.dissection.labels import CATEGORIES
from layerscope.errors import InputError, UnknownNameError

LEAST_LAYERS = 4
"""With fewer, even a perfect order is one of six or less, which chance gives too often."""
MOST_EXACT = 8
"""Layers up to which all orders are gone through."""
_ORDERS = 9999
_CODED = [depth is not None for depth in CATEGORIES.values()]
FAMILY = sum(_CODED) + 1
"""Net shares that are told of a layer: of each label, and of any."""
_DEPTHS = [depth for depth in CATEGORIES.values() if depth is not None]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LayerCounts:
    """How many units of a layer have each label (`labels.category_counts`): of the network, and of each twin."""

    layer: str
    network: Mapping[str, int]
    twins: Sequence[Mapping[str, int]]


@dataclass(frozen=True)
class LayerDepth:
    """Of one layer.

    Attributes:
        layer: its name.
        net_share: of units that code anything at all, beyond the twins; all layers' intervals hold together.
        index: 0 (edges and colours) to 3 (objects); None where the net share is not above 0 for sure.
    """

    layer: str
    net_share: Interval
    index: Interval | None


@dataclass(frozen=True)
class DepthTrend:
    """Of all layers.

    Attributes:
        layers: in the order of the network.
        trend: Spearman's correlation of depth and index, over the layers that have one; 0 where fewer than two do. Its
            interval is by bootstrap over units and twins.
        p: how often a random order of these layers gives a trend as large; exact for up to 8 layers.
        shown: whether the hierarchy holds: at least 4 layers, interval above 0, p at most 1 - level.
        words: the finding in a sentence.
    """

    layers: tuple[LayerDepth, ...]
    trend: Interval
    p: float
    shown: bool
    words: str


def depth_trend(
    layers: Sequence[LayerCounts], *, bootstraps: int = 2000, level: float = 0.95, seed: int = 0
) -> DepthTrend:
    """Depth index of each layer, given in the order of the network, and whether it rises with depth.

    Bootstraps draw units of each layer, twins, and units of the twins. Raises InputError for no layers, a layer without
    units or twins, or one whose twins have another number of units; UnknownNameError for a label that is none of
    `labels.CATEGORIES`.
    """
    if not layers or bootstraps < 1:
        raise InputError(f"{len(layers)} layers and {bootstraps} bootstraps; give at least one of each")
    generator = np.random.default_rng(seed)
    tables = [_table(layer) for layer in layers]
    shares = _beyond_twins(tables, level)
    some = np.array([share.low > 0 for share in shares])
    index = np.array([_index(table[0], table[1:]) for table in tables])
    drawn = np.stack([_redrawn(table, bootstraps, generator) for table in tables], 1)
    found = tuple(
        LayerDepth(layers[at].layer, shares[at], _interval(index[at], drawn[:, at], level) if some[at] else None)
        for at in range(len(layers))
    )
    trend = _interval(spearman(index[some]), np.array([spearman(row) for row in drawn[:, some]]), level)
    p = order_p(index[some], seed)
    shown = bool(some.sum() >= LEAST_LAYERS and trend.low > 0 and p <= 1 - level)
    return DepthTrend(found, trend, p, shown, _words(found, trend, p, shown))


def spearman(values: Floats) -> float:
    """Rank correlation of values with their places; undefined ones are left out, and 0 where no two differ."""
    ranks = rankdata(values[np.isfinite(values)])
    places = np.arange(len(ranks), dtype=np.float64)
    if len(ranks) < 2 or np.ptp(ranks) == 0:
        return 0.0
    return float(np.corrcoef(places, ranks)[0, 1])


def order_p(values: Floats, seed: int = 0) -> float:
    """Share of the orders of the values whose rank correlation with their places is as large; 1 for fewer than two.

    All orders for up to 8 values, otherwise 9999 random ones and the given one.
    """
    ranks = rankdata(values)
    places = np.arange(len(ranks))
    if len(ranks) < 2:
        return 1.0
    if len(ranks) <= MOST_EXACT:
        orders = np.array(list(itertools.permutations(ranks)))
    else:
        generator = np.random.default_rng(seed)
        orders = np.vstack([ranks, generator.permuted(np.tile(ranks, (_ORDERS, 1)), axis=1)])
    return float((orders @ places >= ranks @ places - 1e-9).mean())


def _table(layer: LayerCounts) -> Floats:
    """[1 + twins, categories]: how many units have each label, of the network and of each twin."""
    if not layer.twins:
        raise InputError(f"layer {layer.layer!r} has no twins, so nothing could be beyond them; give at least one")
    table = np.zeros((1 + len(layer.twins), len(CATEGORIES)))
    for row, given in zip(table, (layer.network, *layer.twins), strict=True):
        for category, count in given.items():
            if category not in CATEGORIES:
                raise UnknownNameError.among("label", category, CATEGORIES)
            row[list(CATEGORIES).index(category)] = count
    units = table.sum(1)
    if table.min() < 0 or not units[0] or (units != units[0]).any():
        raise InputError(
            f"layer {layer.layer!r} has labels of {units.astype(int).tolist()} units, in the network and its twins; "
            "give one for each unit, as many in all of them"
        )
    return table


def _beyond_twins(tables: Sequence[Floats], level: float) -> list[Interval]:
    """The net share of each layer that codes anything; the intervals of all layers, and of all labels in them if these
    are made at the same level, hold together (Bonferroni)."""
    counts = [(int(table[0].sum()), table[:, _CODED].sum(1).astype(int).tolist()) for table in tables]
    alike = unit_correlation((units, twins) for units, (_, *twins) in counts)
    each = each_of(len(tables) * FAMILY, level)
    return [net_share(own, units, twins, each, correlation=alike) for units, (own, *twins) in counts]


def _redrawn(table: Floats, times: int, generator: np.random.Generator) -> Floats:
    """The index [times] of units drawn anew from the network's, twins drawn anew, and units of theirs."""
    units, shares = int(table[0].sum()), table / table[0].sum()
    own = generator.multinomial(units, shares[0], size=times)
    which = generator.integers(1, len(table), size=(times, len(table) - 1))
    twins = generator.multinomial(units, shares[which])
    return _index(own.astype(float), np.moveaxis(twins.astype(float), 1, 0))


def _index(own: Floats, twins: Floats) -> Floats:
    """Mean depth of net shares, of counts [..., categories] and [twins, ..., categories]; a share below 0 weighs
    nothing, and where none is above 0 the index is nan."""
    units = own.sum(-1, keepdims=True)
    base = (twins / units).mean(0)[..., _CODED]
    net = np.clip(own[..., _CODED] / units - base, 0, None) / np.maximum(1 - base, 1e-12)
    total = net.sum(-1)
    index: Floats = np.divide(net @ np.array(_DEPTHS), total, out=np.full(total.shape, np.nan), where=total > 0)
    return index


def _interval(value: float, drawn: Floats, level: float) -> Interval:
    low, high = np.nanquantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(value), float(low), float(high))


def _words(layers: Sequence[LayerDepth], trend: Interval, p: float, shown: bool) -> str:
    beyond = sum(layer.index is not None for layer in layers)
    numbers = f"rank correlation {trend.value:.2f}, interval {trend.low:.2f} to {trend.high:.2f}, p = {p:.2g}"
    where = f"{beyond} of {len(layers)} layers code anything beyond their random twins"
    if shown:
        return f"A hierarchy is shown: deeper layers code more demanding things ({numbers}; {where})."
    if beyond < LEAST_LAYERS:
        return f"No hierarchy shown: {where}, and a trend needs {LEAST_LAYERS}."
    return f"No hierarchy shown: what layers code does not rise with depth beyond chance ({numbers}; {where})."
