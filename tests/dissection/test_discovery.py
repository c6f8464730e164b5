"""False discoveries and intervals of shares, against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, false_discovery_control

from layerscope.dissection.discovery import benjamini_hochberg, design_effect, net_share, wilson
from layerscope.errors import InputError


def step_up(p: list[float], rate: float) -> list[bool]:
    """Benjamini and Hochberg 1995, literally: the largest k with p_(k) <= k rate / n, and all as small as that one."""
    largest = max((value for k, value in enumerate(sorted(p), 1) if value <= k * rate / len(p)), default=-1)
    return [value <= largest for value in p]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 300).map(lambda n: n / 300), min_size=1, max_size=40),
    st.sampled_from([0.011, 0.0507, 0.2003]),
)
def test_found_are_those_of_the_step_up_procedure(p, rate):
    found = benjamini_hochberg(torch.tensor(p, dtype=torch.float64), rate)
    assert found.found.tolist() == step_up(p, rate)
    np.testing.assert_allclose(found.adjusted, false_discovery_control(p))


def test_at_most_the_rate_of_what_is_found_is_false():
    generator = np.random.default_rng(0)
    false_shares, plain = [], []
    for _ in range(200):
        p = np.r_[generator.uniform(size=180), generator.beta(0.05, 5, size=20)]
        found = benjamini_hochberg(torch.from_numpy(p)).found.numpy()
        false_shares.append(found[:180].sum() / max(found.sum(), 1))
        plain.append((p <= 0.05)[:180].sum() / max((p <= 0.05).sum(), 1))
    assert np.mean(false_shares) < 0.06
    assert np.mean(plain) > 0.25


def test_nothing_to_test_finds_nothing():
    assert benjamini_hochberg(torch.empty(0)).found.shape == (0,)


@pytest.mark.parametrize("p", [[1.1], [-0.1], [float("nan")], [[0.5]]])
def test_what_is_no_p_value_is_refused(p):
    with pytest.raises(InputError, match=r"outside \[0, 1\]; give one row of p values"):
        benjamini_hochberg(torch.tensor(p))
    with pytest.raises(InputError, match="a false discovery rate lies between 0 and 1"):
        benjamini_hochberg(torch.tensor([0.5]), rate=1)


@pytest.mark.parametrize(("successes", "n"), [(0, 1), (1, 1), (0, 64), (3, 64), (32, 64), (64, 64), (500, 2048)])
@pytest.mark.parametrize("level", [0.9, 0.95, 0.999])
def test_wilson_is_that_of_scipy(successes, n, level):
    known = binomtest(successes, n).proportion_ci(level, method="wilson")
    share = wilson(successes, n, level)
    assert (share.value, share.low, share.high) == pytest.approx((successes / n, known.low, known.high), abs=1e-12)


@pytest.mark.parametrize(("successes", "n"), [(1, 0), (-1, 5), (6, 5)])
def test_a_share_of_nothing_is_refused(successes, n):
    with pytest.raises(InputError, match="a share needs at least one of which to count"):
        wilson(successes, n)
    with pytest.raises(InputError, match="a level of confidence lies between 0 and 1"):
        wilson(1, 2, level=95)


def test_net_share_is_what_is_beyond_the_twins():
    share = net_share(50, 100, [10, 10, 10])
    assert share.value == pytest.approx((0.5 - 0.1) / 0.9)
    assert 0 < share.low < share.value < share.high < 1
    assert not share.covers_zero
    # Newcombe 1998, method 10, literally
    own, base = wilson(50, 100), wilson(30, 300)
    assert share.low * 0.9 == pytest.approx(0.4 - ((0.5 - own.low) ** 2 + (base.high - 0.1) ** 2) ** 0.5)
    assert share.high * 0.9 == pytest.approx(0.4 + ((own.high - 0.5) ** 2 + (0.1 - base.low) ** 2) ** 0.5)


def test_net_share_at_the_ends():
    assert net_share(0, 64, [0, 0]).value == 0
    assert net_share(0, 64, [0, 0]).covers_zero
    assert net_share(64, 64, [0] * 5).value == 1
    assert net_share(64, 64, [64, 64]).covers_zero
    assert net_share(5, 64, [10]).value < 0
    with pytest.raises(InputError, match="no twins given"):
        net_share(3, 64, [])


@pytest.mark.parametrize("spread", [None, 10.0])
def test_a_random_network_is_not_beyond_its_twins(spread):
    """Also where pass rates differ from network to network, as those of narrow layers do."""
    generator = np.random.default_rng(1)
    covered, naive = [], []
    for _ in range(400):
        rates = np.full(7, 0.1) if spread is None else generator.beta(0.1 * spread, 0.9 * spread, 7)
        counts = generator.binomial(256, rates).tolist()
        covered.append(net_share(counts[0], 256, counts[1:]).covers_zero)
        naive.append(net_share(counts[0], 256, [round(np.mean(counts[1:]))] * 6).covers_zero)
    assert np.mean(covered) > (0.94 if spread is None else 0.87)  # six twins say little about how much networks differ
    assert np.mean(naive) > 0.9 if spread is None else np.mean(naive) < 0.6


def test_design_effect_is_one_for_independent_units():
    assert design_effect([0.1, 0.1], 100) == 1
    assert design_effect([0.0, 0.0], 100) == 1
    assert design_effect([0.3], 100) == 1
    assert design_effect([0.0, 0.2], 100) == pytest.approx(0.02 / (0.1 * 0.9 / 100))
