"""Agreement of seeds on the scale of its two controls."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from layerscope.faithfulness.agreement import agreement


def made(spread: float, seed: int = 0, features: int = 40):
    """Three pictures of one unit that differ by `spread`, four copies of each that differ by 0.1, others at random."""
    generator = np.random.default_rng(seed)
    pattern = generator.normal(size=features)
    own = pattern + spread * generator.normal(size=(3, features))
    moved = own[:, None] + 0.1 * generator.normal(size=(3, 4, features))
    return own, moved, generator.normal(size=(6, features))


def test_agreement_is_that_of_the_literal_definition():
    own, moved, others = made(0.7)
    rho = lambda one, two: float(spearmanr(one, two).statistic)  # noqa: E731
    pairs = [rho(own[i], own[j]) for i, j in ((0, 1), (0, 2), (1, 2))]
    other = np.mean([rho(one, two) for one in own for two in others])
    itself = np.mean([rho(own[i], copy) for i in range(3) for copy in moved[i]])
    found = agreement(own, moved, others)
    assert found.value == pytest.approx((np.mean(pairs) - other) / (itself - other))
    assert found.least == pytest.approx((min(pairs) - other) / (itself - other))
    assert (found.pairs, found.other, found.itself) == pytest.approx((np.mean(pairs), other, itself))


def test_pictures_that_differ_as_their_copies_agree_and_those_of_other_units_do_not():
    assert agreement(*made(0.07)).value == pytest.approx(1, abs=0.05)
    values = []
    for seed in range(20):
        _, _, others = made(0.1, seed)
        strangers = np.random.default_rng(100 + seed).normal(size=(3, 40))
        values.append(agreement(strangers, strangers[:, None] + 0.01, others).value)
    assert np.mean(values) == pytest.approx(0, abs=0.1)


def test_one_seed_or_no_other_unit_has_no_agreement():
    own, moved, others = made(0.1)
    assert agreement(own[:1], moved[:1], others) is None
    assert agreement(own, moved, others[:0]) is None


def test_a_layer_that_answers_to_all_alike_says_so():
    own, moved, _ = made(0.1)
    found = agreement(own, moved, np.repeat(own[:1], 4, 0))
    assert found.value is None or found.itself > found.other
    flat = agreement(np.ones((3, 9)), np.ones((3, 4, 9)), np.ones((4, 9)))
    assert flat.value is None
    assert "cannot be compared" in flat.words()
