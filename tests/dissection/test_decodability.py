"""Linear readers: what they read is there, and what is not there they do not read."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import t as student
from torch import Tensor

from layerscope.dissection.decodability import corrected_interval, decodability
from layerscope.dissection.discovery import each_of
from layerscope.errors import InputError


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def planted(images: int, units: int, classes: int, strength: float, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Features with a class in a few directions, and the class."""
    labels = torch.arange(images) % classes
    return strength * noise(classes, units, seed=seed + 1)[labels] + noise(images, units, seed=seed), labels


def test_a_planted_class_is_read_and_noise_is_not():
    features, labels = planted(200, 20, 4, 1.0)
    twin = noise(200, 20, seed=5)
    found = decodability(features, labels, [twin, noise(200, 20, seed=6)], splits=10)
    assert found.accuracy.value > 0.95
    assert found.chance == 0.25
    assert found.shuffled.low < 0.25 < found.shuffled.high
    assert abs(found.shuffled.value - 0.25) < 0.08
    assert found.beyond_shuffled.low > 0.4
    assert found.beyond_twins is not None
    assert found.beyond_twins.low > 0.4
    assert len(found.twins) == 2
    assert max(found.twins) < 0.4
    assert found.beyond_twins.value == pytest.approx(found.accuracy.value - np.mean(found.twins))
    assert found.beyond_shuffled.value == pytest.approx(found.accuracy.value - found.shuffled.value)


def test_shuffled_labels_take_all_that_was_there():
    features, labels = planted(200, 20, 4, 1.0)
    wrong = labels[torch.randperm(200, generator=torch.Generator().manual_seed(1))]
    found = decodability(features, wrong, [features], splits=10)
    assert abs(found.accuracy.value - 0.25) < 0.1
    assert found.beyond_shuffled.covers_zero
    assert found.beyond_twins == pytest.approx(found.beyond_twins)
    assert found.beyond_twins is not None
    assert found.beyond_twins.covers_zero


def test_what_random_weights_tell_as_well_is_not_learned():
    """Features from which the class is read with ease, in the twins, too."""
    features, labels = planted(200, 20, 4, 1.0)
    twins = [planted(200, 20, 4, 1.0, seed=seed)[0] for seed in (10, 20, 30)]
    found = decodability(features, labels, twins, splits=5)
    assert found.accuracy.value > 0.9
    assert found.beyond_shuffled.low > 0.3
    assert found.beyond_twins is not None
    assert found.beyond_twins.covers_zero
    assert decodability(features, labels, splits=5).beyond_twins is None


def test_twins_that_differ_widely_say_little():
    features, labels = planted(200, 20, 4, 1.0)
    alike = decodability(features, labels, [noise(200, 20, seed=5), noise(200, 20, seed=6)], splits=5)
    apart = decodability(features, labels, [noise(200, 20, seed=5), features], splits=5)
    assert alike.beyond_twins is not None
    assert apart.beyond_twins is not None
    assert apart.beyond_twins.value > 0.3
    assert apart.beyond_twins.covers_zero
    width, between = apart.beyond_twins.high - apart.beyond_twins.value, np.var(apart.twins, ddof=1) * 1.5
    assert width > student.ppf(0.975, 4) * between**0.5
    assert not alike.beyond_twins.covers_zero


def test_more_units_than_images_are_no_head_start():
    """Shuffled labels stay at chance where a reader could fit anything."""
    found = decodability(noise(100, 700), torch.arange(100) % 2, splits=5)
    assert abs(found.accuracy.value - 0.5) < 0.15
    features, labels = planted(100, 700, 2, 0.3)
    assert decodability(features.reshape(100, 7, 100), labels, splits=5).accuracy.value > 0.9


def test_unequal_classes_do_not_raise_chance():
    labels = (torch.arange(200) % 10 == 0).long()
    found = decodability(noise(200, 10), labels, splits=20)
    assert abs(found.accuracy.value - 0.5) < 0.1
    assert abs(found.shuffled.value - 0.5) < 0.1
    weak = noise(200, 10) + 3 * labels[:, None] * torch.tensor([1.0] + [0.0] * 9)
    assert decodability(weak, labels, splits=20).accuracy.value > 0.75  # who says "common" always is at 0.5


def test_images_of_one_group_stay_on_one_side():
    """A scene is read from its twin in the fitted images, where they may be apart: here, the wrong way round."""
    scene = noise(60, 40).repeat_interleave(2, 0)
    labels, groups = torch.arange(120) % 2, torch.arange(120) // 2
    features = scene + 0.01 * noise(120, 40, seed=2)
    apart, together = decodability(features, labels), decodability(features, labels, groups=groups)
    assert apart.accuracy.value < 0.4
    assert abs(together.accuracy.value - 0.5) < 0.1


def test_interval_is_that_of_nadeau_and_bengio():
    values = np.array([0.5, 0.6, 0.8, 0.7])
    mean, variance = values.mean(), ((values - values.mean()) ** 2).sum() / 3
    half = student.ppf(0.975, 3) * ((1 / 4 + 0.25) * variance) ** 0.5
    found = corrected_interval(values, 0.25)
    assert (found.value, found.low, found.high) == pytest.approx((mean, mean - half, mean + half))


def test_a_reading_takes_its_seed_and_leaves_random_states():
    states = torch.get_rng_state(), np.random.get_state()[1].copy()
    features, labels = planted(60, 8, 3, 0.3)
    first, again, other = (decodability(features, labels, splits=4, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert torch.equal(torch.get_rng_state(), states[0])
    np.testing.assert_array_equal(np.random.get_state()[1], states[1])


def test_constant_units_do_no_harm():
    features, labels = planted(60, 8, 2, 1.0)
    assert decodability(torch.cat([features, torch.ones(60, 3)], 1), labels, splits=4).accuracy.value > 0.9
    assert decodability(torch.ones(60, 3), labels, splits=4).accuracy.value == 0.5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": torch.zeros(40)}, r"1 classes with \[40\] images; give 2 classes or more, 5 images of each"),
        ({"labels": (torch.arange(40) < 3).long()}, "give 2 classes or more, 5 images of each"),
        ({"splits": 1}, "an interval needs at least 2"),
        ({"features": torch.zeros(39, 3)}, r"features of shape \(39, 3\) for 40 labels"),
        ({"features": torch.full((40, 3), torch.nan)}, r"give finite \[images, ...\]"),
        ({"twins": [torch.zeros(41, 3)]}, r"features of shape \(41, 3\) for 40 labels"),
        ({"groups": torch.zeros(40)}, "5 different ones or more"),
        ({"groups": torch.arange(41)}, "give one per image"),
        ({"groups": torch.arange(40) // 20 * 20 + torch.arange(40) // 10}, "5 different ones or more"),
        ({"groups": torch.where(torch.arange(40) % 2 == 0, 0, torch.arange(40))}, "give more groups"),
    ],
)
def test_what_cannot_be_read_is_refused(change, message):
    features, labels = planted(40, 3, 2, 1.0)
    with pytest.raises(InputError, match=message):
        decodability(**{"features": features, "labels": labels, **change})


def test_only_the_interval_beyond_the_twins_has_the_level():
    features, labels = planted(120, 12, 3, 0.5)
    twins = [noise(120, 12, seed=5), noise(120, 12, seed=6)]
    plain, wide = (decodability(features, labels, twins, splits=5, level=level) for level in (0.95, each_of(40)))
    assert (plain.accuracy, plain.shuffled, plain.beyond_shuffled) == (
        wide.accuracy,
        wide.shuffled,
        wide.beyond_shuffled,
    )
    half, wanted = (one.beyond_twins.high - one.beyond_twins.value for one in (wide, plain))
    assert half > wanted * student.ppf(1 - 0.05 / 80, 5) / student.ppf(0.975, 5)  # 4 of splits and 1 of twins at most


def test_two_variances_have_the_degrees_of_freedom_of_welch_and_satterthwaite():
    values, ratio, more = np.array([0.1, 0.3, 0.2, 0.4]), 0.25, 0.02
    own = (1 / 4 + ratio) * values.var(ddof=1)
    degrees = (own + more) ** 2 / (own**2 / 3 + more**2 / 2)
    half = student.ppf(0.995, degrees) * (own + more) ** 0.5
    found = corrected_interval(values, ratio, more, 0.99, 2)
    assert (found.value, found.high - found.value) == pytest.approx((0.25, half))
    assert corrected_interval(values, ratio).high == pytest.approx(0.25 + student.ppf(0.975, 3) * own**0.5)
    assert corrected_interval(np.full(4, 0.5), ratio).low == 0.5
