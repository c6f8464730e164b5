"""Reports on networks that learned nothing, drawn without any picture: how often does an interval say otherwise?

Units of one network are alike, as those of real random networks are: a twin whose first layer happens to be fond of
colour has many units for colour in all of its layers. Correlations as measured of random twins of a network with eight
layers: .02 to .03 for colour, and next to none for the other labels.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import beta, norm

from layerscope.dissection.discovery import net_share, unit_correlation
from layerscope.dissection.labels import CATEGORIES, UnitLabel
from layerscope.dissection.verdicts import ANY, CODED, LayerVerdict, unit_correlations

UNITS = (32, 48, 64, 96, 128, 192, 256, 256)
LABELS = {"colour": (0.015, 0.03), "part": (0.015, 0.006), "edge": (0.003, 0.01), "object": (0.002, 0.002)}
"""Share of the units of a random network that are called so, and how alike these are."""
LEARNED = {
    "object": (0, 0, 2, 12, 63, 159, 228, 212),
    "part": (1, 13, 25, 41, 40, 28, 20, 18),
    "edge": (4, 20, 4, 0, 0, 0, 0, 0),
    "colour": (6, 0, 3, 3, 1, 0, 0, 3),
}
"""Units of the bundled network in its layers."""
LEVEL = 1 - 0.05 / (len(UNITS) * (len(CODED) + 1))
Counts = dict[str, NDArray[np.int64]]


def random_networks(random: np.random.Generator, networks: int, along: float = 0.8) -> Counts:
    """By label, [layers, networks]: how many units are called so. `along`: how a network's layers go together."""
    found = {}
    for label, (share, alike) in LABELS.items():
        state, rows = random.normal(size=networks), []
        for units in UNITS:
            spread = 1 / alike - 1
            rates = beta.ppf(norm.cdf(state), share * spread, (1 - share) * spread)
            rows.append(random.binomial(units, rates))
            state = along * state + (1 - along**2) ** 0.5 * random.normal(size=networks)
        found[label] = np.array(rows)
    return found


def verdicts(counts: Counts) -> list[LayerVerdict]:
    """Of the first network, the others being its twins."""
    nobody = LayerVerdict((), {}, {}, {}, {}, {}, ())
    found = []
    for layer, units in enumerate(UNITS):
        networks = [
            {**dict.fromkeys(CATEGORIES, 0), **{label: int(rows[layer, at]) for label, rows in counts.items()}}
            for at in range(counts["part"].shape[1])
        ]
        labels = (UnitLabel("none", None, None, False, False),) * units
        found.append(replace(nobody, labels=labels, counts=networks[0], twins=tuple(networks[1:])))
    return found


def beyond(report: list[LayerVerdict], pooled: bool = True) -> list[tuple[int, str]]:
    alike = unit_correlations(report) if pooled else None
    return [
        (layer, label)
        for layer, verdict in enumerate(report)
        for label, share in verdict.net_shares(LEVEL, alike).items()
        if not share.covers_zero
    ]


@pytest.mark.parametrize("twins", [5, 10])
def test_few_reports_say_more_than_there_is(twins: int) -> None:
    """At most the promised 5 in 100 have any interval without 0; told by each layer alone, many have one."""
    random = np.random.default_rng(twins)
    reports = [verdicts(random_networks(random, 1 + twins)) for _ in range(80)]
    assert np.mean([bool(beyond(report)) for report in reports]) <= 0.05
    assert np.mean([bool(beyond(report, pooled=False)) for report in reports]) >= 0.12


def test_what_was_learned_is_found_all_the_same() -> None:
    random = np.random.default_rng(0)
    for _ in range(10):
        counts = random_networks(random, 6)
        for label, row in LEARNED.items():
            counts[label][:, 0] = row
        found = beyond(verdicts(counts))
        assert {(layer, "object") for layer in (4, 5, 6, 7)} <= set(found)
        assert (3, "part") in found
        assert sum(label == ANY for _, label in found) >= 6
        assert not [label for _, label in found if label in ("colour", "texture", "colour-edge")]


def test_correlation_is_the_part_of_the_variance_between_networks() -> None:
    """Literally, and as it was planted."""
    assert unit_correlation([(100, [10, 10, 10])]) == 0
    assert unit_correlation([(100, [0, 100])]) == 1
    assert unit_correlation([(100, [0, 0])]) == unit_correlation([(100, [7])]) == unit_correlation([]) == 0
    shares = np.array([0.0, 0.1, 0.2, 0.5])
    wanted = (shares.var(ddof=1) - 0.2 * 0.8 / 50) / (0.2 * 0.8 * (1 - 1 / 50))
    assert unit_correlation([(50, [0, 5, 10, 25])]) == pytest.approx(wanted)
    random = np.random.default_rng(0)
    rates = random.beta(0.1 * 19, 0.9 * 19, (400, 10))  # correlation 1 / (19 + 1)
    told = unit_correlation((64, random.binomial(64, row).tolist()) for row in rates)
    assert told == pytest.approx(0.05, abs=0.01)


def test_intervals_widen_with_correlation() -> None:
    plain, one, other = (net_share(60, 100, [5, 4, 6, 5, 5], 0.999, correlation=alike) for alike in (None, 0.0, 0.1))
    assert plain.value == one.value == other.value
    assert other.low < one.low < plain.low < plain.high < one.high < other.high
