"""Nulls fire as often as they promise where there is nothing, and find what is there."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.stats import kstest
from torch import Tensor

from layerscope.dissection.concepts import auc_of, overlap_of
from layerscope.dissection.nulls import TwinNull, permutation_null, upper_limit
from layerscope.errors import InputError

SIDE = 8


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def smooth_units(images: int, units: int, grid: int, seed: int) -> Tensor:
    """bool [images, units, positions]: smooth fields that know nothing of the image, the top 4 %."""
    fields = F.interpolate(noise(images, units, grid, grid, seed=seed), (SIDE, SIDE), mode="bilinear").flatten(2)
    flat = fields.transpose(0, 1).flatten(1)
    return fields > flat.quantile(0.96, dim=1)[None, :, None]


def masks(images: int, seed: int) -> Tensor:
    """float [images, concepts, positions]: blocks, in some of the images, of six concepts that differ in area."""
    generator = torch.Generator().manual_seed(seed)
    found = torch.zeros(images, 6, SIDE, SIDE)
    for image in range(images):
        for concept, side in enumerate((1, 2, 2, 3, 4, 6)):
            if torch.rand(1, generator=generator) < 0.4:
                row, column = torch.randint(0, SIDE - side + 1, (2,), generator=generator).tolist()
                found[image, concept, row : row + side, column : column + side] = 1
    return found.flatten(2)


def literal(statistic, labels: Tensor, permutations: int, seed: int) -> np.ndarray:
    """p of the maximum over concepts of studentised values, the observed one in the pool, in float64."""
    generator = torch.Generator().manual_seed(seed)
    orders = [torch.arange(len(labels))] + [
        torch.randperm(len(labels), generator=generator) for _ in range(permutations)
    ]
    pool = np.stack([statistic(labels[order]).numpy() for order in orders])
    z = (pool - pool.mean(0)) / np.where(pool.std(0, ddof=1) > 0, pool.std(0, ddof=1), np.inf)
    best = z.max(2)
    return (1 + (best[1:] >= best[0] - 1e-6).sum(0)) / (permutations + 1)


def test_p_is_that_of_the_literal_procedure():
    statistic, labels = overlap_of(smooth_units(20, 8, 4, 0)), masks(20, 1)
    np.testing.assert_allclose(permutation_null(statistic, labels, 19, seed=5).p, literal(statistic, labels, 19, 5))


def false_positives(
    grids: tuple[int, ...], seeds: range, images: int, units: int, permutations: int
) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {"p": [], "pooled_p": []}
    for grid in grids:
        for seed in seeds:
            statistic = overlap_of(smooth_units(images, units, grid, 100 + seed))
            null = permutation_null(statistic, masks(images, seed), permutations, seed=seed)
            for name, rates in found.items():
                rates.append(float((getattr(null, name) <= 0.05).double().mean()))
    return found


def test_permutations_fire_as_often_as_they_promise_on_smooth_noise():
    for name, rates in false_positives((2, 4, 8), range(8), 60, 60, 59).items():
        assert 0.035 < np.mean(rates) < 0.065, name


@pytest.mark.slow
def test_permutations_fire_as_often_as_they_promise_at_length():
    for grid in (2, 4, 8):
        for name, rates in false_positives((grid,), range(30), 150, 150, 99).items():
            assert 0.044 < np.mean(rates) < 0.056, (grid, name)


@pytest.mark.slow
def test_observed_outside_the_pool_fires_too_often():
    """Why the observed value is among those by which values are studentised."""
    rates = []
    for seed in range(40):
        statistic, labels = overlap_of(smooth_units(60, 60, 4, 100 + seed)), masks(60, seed)
        orders = [torch.randperm(60, generator=torch.Generator().manual_seed(b)) for b in range(19)]
        null = torch.stack([statistic(labels[order]) for order in orders])
        best = ((statistic(labels) - null.mean(0)) / null.std(0)).amax(1)
        rates.append(float(((null - null.mean(0)) / null.std(0) < best[:, None]).all(2).all(0).double().mean()))
    assert np.mean(rates) > 0.1  # nominal: 1 of 20


def test_units_that_respond_are_found_and_their_concept_too():
    labels = masks(80, 3)
    activity = labels.transpose(1, 2) @ torch.eye(6)[[5, 3, 1]].T  # units for concepts 5, 3 and 1
    active = torch.cat(
        [activity.transpose(1, 2) + 0.3 * noise(80, 3, SIDE * SIDE) > 0.6, smooth_units(80, 30, 4, 7)], 1
    )
    null = permutation_null(overlap_of(active), labels, 199)
    assert null.strongest[:3].tolist() == [5, 3, 1]
    assert null.p[:3].tolist() == [1 / 200] * 3
    assert bool((null.pooled_p[:3] < 1 / 1000).all())
    assert bool((null.evidence[:3].amax(1) > 10).all())
    assert float((null.p[3:] <= 0.05).double().mean()) < 0.2
    shuffled = permutation_null(
        overlap_of(active), labels[torch.randperm(80, generator=torch.Generator().manual_seed(1))], 199
    )
    assert bool((shuffled.p[:3] > 0.01).all())


def test_image_level_statistics_take_the_same_null():
    positive = noise(100, 3, seed=1) > 0.5
    responses = torch.cat([positive[:, :1] + noise(100, 1, seed=2), noise(100, 150, seed=3)], 1)
    null = permutation_null(auc_of(responses), positive, 199)
    assert null.strongest[0] == 0
    assert null.p[0] == 1 / 200
    assert kstest(null.p[1:].numpy(), "uniform").pvalue > 0.001


def test_images_change_places_in_their_groups_only():
    """A unit that knows the group alone is found without groups, and not with them."""
    groups = torch.arange(60) % 3
    labels = ((groups == 0) & (noise(60, seed=1) > 0))[:, None]
    responses = (groups == 0).float()[:, None] + 0.1 * noise(60, 1, seed=2)
    assert permutation_null(auc_of(responses), labels, 199).p.item() < 0.01
    assert permutation_null(auc_of(responses), labels, 199, groups=groups).p.item() > 0.05
    seen: list[Tensor] = []
    permutation_null(lambda order: (seen.append(order), torch.rand(2, 2))[1], torch.arange(60), 20, groups=groups)
    assert all(torch.equal(order % 3, groups) and torch.equal(order.sort().values, torch.arange(60)) for order in seen)
    assert len({tuple(order.tolist()) for order in seen}) == 21
    with pytest.raises(InputError, match="give one number per image"):
        permutation_null(auc_of(responses), labels, 9, groups=groups[:5])


def test_dead_units_have_no_evidence():
    null = permutation_null(overlap_of(torch.zeros(20, 2, SIDE * SIDE, dtype=torch.bool)), masks(20, 0), 19)
    assert null.p.tolist() == [1, 1]
    assert float(null.evidence.abs().sum()) == 0


def test_permutations_take_their_seed_and_leave_the_random_state():
    state = torch.get_rng_state()
    first, again, other = (
        permutation_null(auc_of(noise(30, 9)), noise(30, 2, seed=4) > 0, 50, seed=s).p for s in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(("images", "permutations"), [(1, 9), (9, 0)])
def test_too_little_to_permute_is_refused(images, permutations):
    with pytest.raises(InputError, match="at least 2 images and 1 are needed"):
        permutation_null(lambda labels: torch.zeros(1, 1), torch.zeros(images, 1), permutations)
    with pytest.raises(InputError, match="values are not finite"):
        permutation_null(lambda labels: torch.full((1, 1), torch.nan), torch.zeros(5, 1), 3)


# --- twins


def networks(count: int, units: int, seed: int, spread: float = 0.0) -> Tensor:
    """[networks, units, concepts]: values of untrained networks; concepts differ in size and scatter."""
    scale = torch.tensor([0.001, 0.01, 0.05, 0.2, 1.0, 3.0])
    return (noise(count, units, 6, seed=seed) + spread * noise(count, 1, 6, seed=seed + 1)).exp() * scale


def held_out_rate(twins: Tensor) -> float:
    """Share of the units of each twin that pass against the other twins alone: all of these are false."""
    found = [TwinNull.of(torch.cat([twins[:at], twins[at + 1 :]])).passes(twin) for at, twin in enumerate(twins)]
    return float(torch.stack(found).double().mean())


def test_threshold_is_the_quantile_of_the_maximum_over_concepts():
    twins, values = networks(5, 60, 0).double(), networks(1, 40, 1)[0].double()
    found = TwinNull.of(twins)
    pooled = twins.reshape(-1, 6).numpy()
    z = (pooled - pooled.mean(0)) / pooled.std(0, ddof=1).clip(0.1 * pooled.std(0, ddof=1).mean())
    own = (values.numpy() - pooled.mean(0)) / pooled.std(0, ddof=1).clip(0.1 * pooled.std(0, ddof=1).mean())
    np.testing.assert_allclose(found.evidence(values), own)
    below, above = np.sort(z.max(1))[296:298]
    assert found.threshold == pytest.approx(below + 0.99 * (above - below))  # 301 x .99 = 297.99 of 300
    np.testing.assert_array_equal(found.passes(values), own.max(1) > found.threshold)
    np.testing.assert_allclose(found.p(values), [(1 + (z.max(1) >= one).sum()) / 301 for one in own.max(1)])


def test_left_out_twins_pass_as_often_as_promised_and_so_does_a_random_network():
    rates, own = [], []
    for seed in range(0, 40, 2):
        twins = networks(5, 100, seed)
        rates.append(held_out_rate(twins))
        own.append(float(TwinNull.of(twins).passes(networks(1, 100, seed + 1000)[0]).double().mean()))
    assert 0.005 < np.mean(rates) < 0.015
    assert 0.005 < np.mean(own) < 0.015


def test_a_quantile_per_concept_would_let_random_units_through():
    """Why the maximum over concepts is what is compared."""
    twins, own = networks(5, 100, 0), networks(20, 100, 1).flatten(0, 1)
    assert float((own > twins.flatten(0, 1).quantile(0.99, dim=0)).any(1).double().mean()) > 0.04
    assert float(TwinNull.of(twins).passes(own).double().mean()) < 0.02


def test_units_beyond_the_twins_pass():
    values = networks(1, 50, 3)[0]
    values[:5, 2] = 5.0  # a hundred times the usual
    found = TwinNull.of(networks(5, 50, 0))
    assert bool(found.passes(values)[:5].all())
    assert found.evidence(values)[:5].argmax(1).tolist() == [2] * 5
    assert bool((found.p(values)[:5] == 1 / 251).all())


def test_networks_that_differ_are_seen_by_the_left_out_twins():
    """Narrow layers: units of one network are alike, so that a few twins promise too much; the report has to say so."""
    alike = [held_out_rate(networks(3, 16, seed, spread=1.5)) for seed in range(20)]
    assert np.mean(alike) > 0.04
    assert held_out_rate(networks(8, 200, 0)) < 0.02


def test_a_concept_on_which_all_twins_agree_is_not_infinitely_telling():
    twins, values = networks(4, 50, 0), networks(1, 50, 9)[0]
    twins[..., 0] = 0
    values[:, 0] = 1e-6
    assert float(TwinNull.of(twins).evidence(values)[:, 0].max()) < 1e-3
    assert TwinNull.of(torch.ones(2, 4, 2)).passes(torch.ones(3, 2)).tolist() == [False] * 3


def test_a_network_and_a_held_out_twin_are_judged_at_one_level():
    """Of as few units as narrow layers have: five twins judge the network, four a twin, each at 1 %."""
    random = np.random.default_rng(0)
    for units in (40, 48, 64):
        passed = [
            float((random.normal(size=50) > upper_limit(random.normal(size=twins * units), 0.99)).mean())
            for twins in (4, 5)
            for _ in range(4000)
        ]
        few, more = np.mean(passed[:4000]), np.mean(passed[4000:])
        assert 0.009 < few < 0.011
        assert 0.009 < more < 0.011


def test_no_verdict_without_twins():
    for wrong in (torch.zeros(0, 3, 2), torch.zeros(1, 3, 2), torch.zeros(3, 2)):
        with pytest.raises(InputError, match=r"give \[twins, units, concepts\] of 2 twins or more"):
            TwinNull.of(wrong)
    with pytest.raises(InputError, match="of the twins' 3 concepts"):
        TwinNull.of(torch.zeros(2, 3, 3)).passes(torch.zeros(3, 2))
    with pytest.raises(InputError, match="6 values are not finite"):
        TwinNull.of(torch.zeros(2, 3, 2)).passes(torch.full((3, 2), torch.nan))
    with pytest.raises(InputError, match=r"it lies between 0 and 1, such as 0\.99"):
        TwinNull.of(torch.zeros(2, 3, 2), quantile=99)
