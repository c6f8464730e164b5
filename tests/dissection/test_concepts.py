"""Overlap, AUC and contrast against their definitions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from scipy.stats import kstest
from sklearn.metrics import roc_auc_score
from torch import Tensor

from layerscope.dissection.concepts import auc, auc_of, contrast, hit_rate, overlap_of, overlaps, selectivity_of
from layerscope.errors import InputError

IMAGES, UNITS, CONCEPTS, SIDE = 12, 5, 4, 6


@dataclass
class Counts:
    intersection: Tensor
    active: Tensor
    labelled: Tensor


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def maps(seed: int = 0) -> Tensor:
    return torch.randn(IMAGES, UNITS, SIDE, SIDE, generator=generator(seed), dtype=torch.float64)


def masks(seed: int = 1) -> Tensor:
    return torch.rand(IMAGES, CONCEPTS, SIDE, SIDE, generator=generator(seed)) < 0.2


def counted(activations: Tensor, labels: Tensor, thresholds: Tensor) -> Counts:
    """As the overlap accumulator counts: [concepts, units, thresholds], [units, thresholds], [concepts]."""
    on = activations[:, :, None] > thresholds[None, :, :, None, None]
    both = torch.einsum("iutyx,icyx->cut", on.double(), labels.double())
    return Counts(both, on.sum((0, 3, 4)), labels.sum((0, 2, 3)))


def dissected(activations: Tensor, labels: Tensor, threshold: Tensor) -> np.ndarray:
    """Network Dissection's IoU, literally: over all images |M and L| / |M or L|, per unit and concept."""
    found = np.zeros((UNITS, CONCEPTS))
    for unit in range(UNITS):
        for concept in range(CONCEPTS):
            both = either = 0
            for image in range(IMAGES):
                on = (activations[image, unit] > threshold[unit]).numpy()
                label = labels[image, concept].numpy()
                both += int((on & label).sum())
                either += int((on | label).sum())
            found[unit, concept] = both / either if either else 0
    return found


def test_overlap_is_that_of_network_dissection_at_the_threshold_chosen_elsewhere():
    thresholds = torch.linspace(-1, 2, 4).expand(UNITS, 4)
    choice, score = counted(maps(0), masks(1), thresholds), counted(maps(2), masks(3), thresholds)
    found = overlaps(choice, score)
    on_choice = np.stack([dissected(maps(0), masks(1), thresholds[:, at]) for at in range(4)], -1)
    on_score = np.stack([dissected(maps(2), masks(3), thresholds[:, at]) for at in range(4)], -1)
    np.testing.assert_array_equal(found.threshold, on_choice.argmax(-1))
    known = np.take_along_axis(on_score, on_choice.argmax(-1)[..., None], -1)[..., 0]
    np.testing.assert_allclose(found.iou, known, rtol=1e-12)
    assert len(found.threshold.unique()) > 1


def test_counts_may_have_every_axis():
    thresholds = torch.linspace(-1, 2, 4).expand(UNITS, 4)
    short = counted(maps(), masks(), thresholds)
    full = Counts(
        short.intersection, short.active.expand(CONCEPTS, -1, -1), short.labelled[:, None, None].expand(-1, UNITS, 4)
    )
    for name in ("iou", "threshold", "ceiling"):
        torch.testing.assert_close(getattr(overlaps(short, short), name), getattr(overlaps(full, full), name))


def test_choosing_and_scoring_on_the_same_images_flatters():
    """Units that know nothing: the IoU at the best of seven thresholds is above what it is on other images."""
    thresholds = torch.linspace(0.5, 2.2, 7).expand(UNITS, 7)
    flattered, honest = [], []
    for seed in range(0, 60, 4):
        labels = [
            masks(seed + at) & (torch.rand(IMAGES, CONCEPTS, 1, 1, generator=generator(seed + at)) < 0.3)
            for at in (1, 3)
        ]
        one, other = (counted(maps(seed + at), labels[at // 2], thresholds) for at in (0, 2))
        flattered.append(overlaps(one, one).iou.mean())
        honest.append(overlaps(other, one).iou.mean())
    difference = torch.stack(flattered) - torch.stack(honest)
    assert difference.mean() > 3 * difference.std() / len(difference) ** 0.5


def test_ceiling_is_reached_by_nested_areas_and_never_passed():
    q, p = 6, 24
    nested = Counts(torch.tensor([[[6.0]]]), torch.tensor([[q]]), torch.tensor([p]))
    assert overlaps(nested, nested).iou.item() == overlaps(nested, nested).ceiling.item() == q / p
    assert overlaps(nested, nested).of_ceiling.item() == 1
    found = overlaps(*[counted(maps(at), masks(at), torch.linspace(-1, 2, 4).expand(UNITS, 4)) for at in (0, 1)])
    assert bool((found.iou <= found.ceiling).all())


def test_nothing_overlaps_with_nothing():
    nothing = Counts(torch.zeros(2, 3, 1), torch.zeros(3, 1), torch.tensor([0, 5]))
    found = overlaps(nothing, nothing)
    assert float(found.iou.sum() + found.ceiling.sum() + found.of_ceiling.sum()) == 0


def test_counts_that_do_not_fit_are_refused():
    good = counted(maps(), masks(), torch.zeros(UNITS, 2))
    for name in ("intersection", "active", "labelled"):
        bad = Counts(**{**vars(good), name: getattr(good, name)[:-1]})
        with pytest.raises(InputError, match=r"both halves need \[concepts, units, thresholds\]"):
            overlaps(good, bad)


def test_overlap_as_a_function_of_labels():
    thresholds = torch.zeros(UNITS, 1)
    overlap = overlap_of((maps() > 0).flatten(2))
    np.testing.assert_allclose(overlap(masks().flatten(2)), dissected(maps(), masks(), thresholds[:, 0]), rtol=1e-12)
    half = overlap(0.5 * masks().flatten(2))
    both, area, covered = (
        0.5 * ((maps() > 0)[:, :1] & masks()).sum((0, 2, 3)),
        (maps()[:, 0] > 0).sum(),
        0.5 * masks().sum((0, 2, 3)),
    )
    torch.testing.assert_close(half[0], (both / (area + covered - both)).double(), rtol=1e-6, atol=0)
    with pytest.raises(InputError, match="give"):
        overlap_of(maps())
    with pytest.raises(InputError, match="labels of shape"):
        overlap(masks().flatten(2)[:3])


@pytest.mark.parametrize("levels", [None, 3])
def test_auc_is_that_of_scikit_learn(levels):
    responses = torch.randn(50, UNITS, generator=generator(), dtype=torch.float64)
    responses = responses if levels is None else (responses * levels).round()  # ties
    positive = torch.rand(50, CONCEPTS, generator=generator(1)) < torch.tensor([0.1, 0.3, 0.5, 0.9])
    known = [[roc_auc_score(positive[:, c], responses[:, u]) for c in range(CONCEPTS)] for u in range(UNITS)]
    np.testing.assert_allclose(auc(responses, positive), known, rtol=1e-12)


def test_auc_of_a_dead_unit_is_half_and_of_a_perfect_one_is_one():
    positive = torch.tensor([[True], [True], [False]])
    assert auc(torch.tensor([[0.0, 3, 1], [0, 2, 1], [0, 1, 2]]), positive)[:, 0].tolist() == [0.5, 1, 0]


def test_auc_without_two_kinds_of_images_is_refused():
    with pytest.raises(InputError, match="concepts in none or all of the 4 images cannot be told apart"):
        auc(torch.zeros(4, 1), torch.tensor([[True, True]] * 3 + [[True, False]]))
    with pytest.raises(InputError, match=r"give \[4 images, concepts\]"):
        auc(torch.zeros(4, 1), torch.ones(3, 1))
    with pytest.raises(InputError, match="give finite numbers"):
        auc_of(torch.full((4, 1), torch.nan))


def test_selectivity_and_hit_rate_are_those_of_the_definitions():
    responses = torch.randn(60, 4, generator=generator(), dtype=torch.float64).clamp(min=0)
    kind = torch.arange(60) % 3
    classes = torch.nn.functional.one_hot(kind).bool()
    found, hits = selectivity_of(responses)(classes), hit_rate(responses, classes, 0.05)
    for unit in range(4):
        for one in range(3):
            inside, outside = (responses[kind == one, unit], responses[kind != one, unit])
            known = (inside.mean() - outside.mean()) / (inside.mean() + outside.mean())
            assert found[unit, one] == pytest.approx(known.item())
            bar = min(level for level in outside if (outside > level).double().mean() <= 0.05)
            assert hits[unit, one] == pytest.approx((inside > bar).double().mean().item())


def test_a_selective_unit_may_miss_most_of_its_class():
    """Gale et al. 2019: why the hit rate stands beside the selectivity."""
    classes = torch.zeros(200, 1, dtype=torch.bool)
    classes[:100] = True
    responses = torch.zeros(200, 3)
    responses[:5, 0] = 1
    responses[:100, 1] = 1
    assert selectivity_of(responses)(classes)[:, 0].tolist() == [1, 1, 0]
    assert hit_rate(responses, classes)[:, 0].tolist() == pytest.approx([0.05, 1, 0])
    with pytest.raises(InputError, match="responses below 0 have no class selectivity"):
        selectivity_of(-responses)
    with pytest.raises(InputError, match="a share of the other images lies between 0 and 1"):
        hit_rate(responses, classes, 1)


def pairs(n: int, effect: float, units: int, seed: int) -> tuple[Tensor, Tensor]:
    """Images and their twins, alike but for the configuration."""
    scene = torch.randn(n, units, generator=generator(seed))
    first, second = torch.randn(2, n, units, generator=generator(seed + 1)) * 0.5 + scene
    return first + effect, second


def test_contrast_is_the_auc_with_the_paired_interval_of_delong():
    first, second = pairs(30, 0.5, 3, 0)
    found = contrast(first, second)
    for unit in range(3):
        x, y = first[:, unit].double(), second[:, unit].double()
        psi = (x[:, None] > y[None, :]).double() + 0.5 * (x[:, None] == y[None, :])
        v10, v01, area = psi.mean(1), psi.mean(0), psi.mean()
        cov = ((v10 - area) * (v01 - area)).sum() / 29
        se = ((v10.var() + v01.var() + 2 * cov) / 30).sqrt()
        assert found.auc[unit] == pytest.approx(area.item())
        assert found.high[unit] == pytest.approx((area + 1.959964 * se).clamp(max=1).item(), rel=1e-6)
        assert found.low[unit] == pytest.approx((area - 1.959964 * se).item(), rel=1e-6)


def test_contrast_tells_an_object_unit_from_a_part_unit():
    part, thing = contrast(*pairs(100, 0, 200, 0)), contrast(*pairs(100, 3, 200, 0))
    assert bool((thing.auc > 0.9).all())
    assert bool((thing.p == 0.001).all())
    assert 0.9 < float(((part.low < 0.5) & (part.high > 0.5)).double().mean()) < 0.99
    assert kstest(part.p.numpy(), "uniform").pvalue > 0.01
    swapped = contrast(*pairs(100, 3, 200, 0)[::-1])
    assert bool((swapped.p == 1).all())


def test_contrast_of_a_dead_unit_is_none():
    found = contrast(torch.zeros(9, 1), torch.zeros(9, 1))
    assert (found.auc.item(), found.low.item(), found.high.item(), found.p.item()) == (0.5, 0.5, 0.5, 1)


def test_contrast_leaves_the_random_state_and_takes_its_seed():
    state = torch.get_rng_state()
    first = contrast(*pairs(20, 0.2, 4, 0), seed=1).p
    assert torch.equal(first, contrast(*pairs(20, 0.2, 4, 0), seed=1).p)
    assert torch.equal(torch.get_rng_state(), state)
    with pytest.raises(InputError, match="give both as"):
        contrast(torch.zeros(3, 2), torch.zeros(4, 2))
    with pytest.raises(InputError, match="at least 1 is needed"):
        contrast(torch.zeros(3, 2), torch.zeros(3, 2), permutations=0)
