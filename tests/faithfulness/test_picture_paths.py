"""Paths of pictures: equal to a literal reading of the definition, right where the truth is known, silent where not."""

from __future__ import annotations

import math
from statistics import fmean

import numpy as np
import pytest

from layerscope.faithfulness.intervals import BOOTSTRAPS
from layerscope.faithfulness.picture_paths import paths_through, rank_similarity


def literal_ranks(row: list[float]) -> list[float]:
    """The mean place of all equal values, counted."""
    return [sum(other < one for other in row) + (sum(other == one for other in row) + 1) / 2 for one in row]


def literal_spearman(one: list[float], two: list[float]) -> float:
    ranks = [literal_ranks(list(row)) for row in (one, two)]
    means = [fmean(row) for row in ranks]
    product = math.fsum((a - means[0]) * (b - means[1]) for a, b in zip(*ranks, strict=True))
    lengths = [math.sqrt(math.fsum((a - mean) ** 2 for a in row)) for row, mean in zip(ranks, means, strict=True)]
    return product / (lengths[0] * lengths[1]) if min(lengths) > 0 else 0.0


def literal_path(picture, natural, other, seed: int) -> tuple[float, float, float, float]:
    """Value, interval and the place of the least typical natural image, in loops."""
    to_picture = [fmean(literal_spearman(one, mine) for one in picture) for mine in natural]
    among = [[literal_spearman(a, b) for b in natural] for a in natural]
    beside = [[literal_spearman(a, b) for b in natural] for a in other]
    count, many = len(natural), len(other)
    each = [fmean(among[i][j] for j in range(count) if j != i) for i in range(count)]
    zero = fmean(value for row in beside for value in row)
    generator = np.random.default_rng(seed)
    own_draws = generator.multinomial(count, [1 / count] * count, BOOTSTRAPS)
    other_draws = generator.multinomial(many, [1 / many] * many, BOOTSTRAPS)
    drawn = []
    for own, rest in zip(own_draws.tolist(), other_draws.tolist(), strict=True):
        mine = [i for i, times in enumerate(own) for _ in range(times)]
        theirs = [i for i, times in enumerate(rest) for _ in range(times)]
        pairs = [among[i][j] for i in mine for j in mine if i != j]
        base = fmean(beside[o][i] for o in theirs for i in mine)
        if pairs and fmean(pairs) > base:
            drawn.append((fmean(to_picture[i] for i in mine) - base) / (fmean(pairs) - base))
    low, high = np.percentile(drawn, [2.5, 97.5])
    apart = fmean(each) - zero
    return (fmean(to_picture) - zero) / apart, float(low), float(high), (min(each) - zero) / apart


def world(seed: int, own: int = 8, other: int = 12, features: int = 30, noise: float = 0.6):
    """Images of a unit are noisy copies of one pattern; images of other units have a pattern each."""
    generator = np.random.default_rng(seed)
    pattern = generator.normal(size=features)
    natural = pattern + noise * generator.normal(size=(own, features))
    return generator, pattern, natural, generator.normal(size=(other, features))


def test_rank_similarity_is_spearmans_with_mean_ranks_for_ties():
    generator = np.random.default_rng(0)
    some, others = generator.integers(0, 4, (3, 9)).astype(float), generator.integers(0, 4, (4, 9)).astype(float)
    others[1] = 2.0  # without any difference
    found = rank_similarity(some, others)
    expected = [[literal_spearman(list(a), list(b)) for b in others] for a in some]
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert (found[:, 1] == 0).all()


@pytest.mark.parametrize("seed", [0, 5])
def test_a_path_is_that_of_the_literal_definition(seed):
    _, pattern, natural, other = world(seed, own=5, other=6, features=7)
    pictures = np.stack([pattern + 0.3, -pattern[::-1]])
    found = paths_through({"a": pictures}, {"a": natural}, {"a": other}, seed)
    (layer,) = found.layers
    expected = literal_path(*(array.tolist() for array in (pictures, natural, other)), seed)
    assert (layer.value, layer.low, layer.high, layer.least) == pytest.approx(expected, abs=1e-9)
    assert (found.natural, found.other) == (5, 6)


def verdict_of(picture, natural, other) -> str:
    return paths_through({"a": picture[None]}, {"a": natural}, {"a": other}).layers[0].verdict


def test_a_natural_image_takes_the_same_path_as_often_as_a_range_of_eight_promises():
    """The ninth of nine alike is the least typical of them in one case out of nine."""
    found = []
    for seed in range(120):
        generator, pattern, natural, other = world(seed)
        found.append(verdict_of(pattern + 0.6 * generator.normal(size=len(pattern)), natural, other))
    assert 0.8 < found.count("same") / 120 < 0.97
    assert found.count("another") == 0


def test_an_image_of_another_unit_takes_another_path():
    found = []
    for seed in range(120):
        generator, pattern, natural, other = world(seed)
        found.append(verdict_of(generator.normal(size=len(pattern)), natural, other))
    assert found.count("same") == 0
    assert found.count("another") / 120 > 0.65  # the rest are alike by chance, and found to go part of the way


def test_half_of_a_pattern_goes_part_of_the_way():
    found = []
    for seed in range(60):
        generator, pattern, natural, other = world(seed, features=120, noise=0.4)
        half = np.where(np.arange(120) % 2, pattern, generator.normal(size=120))
        found.append(verdict_of(half, natural, other))
    assert found.count("part") / 60 > 0.9


def test_a_layer_without_a_common_pattern_does_not_tell_and_does_not_count():
    generator, pattern, natural, other = world(3)
    blind = generator.normal(size=(21, 30))
    found = paths_through(
        {"blind": blind[:1], "seeing": pattern[None]},
        {"blind": blind[1:9], "seeing": natural},
        {"blind": blind[9:], "seeing": other},
    )
    assert [one.verdict for one in found.layers] == ["untold", "same"]
    assert found.whole.value == pytest.approx(found.layers[1].value)
    assert found.words() == "same path as natural images through 1 of 1 layers; 1 more cannot tell"
    facts = found.facts()["layers"]
    assert facts[0]["value"] is None
    assert facts[1]["value"] == pytest.approx(found.layers[1].value, rel=1e-3)


def test_the_whole_weighs_layers_by_what_they_tell():
    _, pattern, natural, other = world(1)
    _, weak_pattern, weak, weak_other = world(2, noise=1.5)
    found = paths_through(
        {"a": pattern[None], "b": -weak_pattern[None]}, {"a": natural, "b": weak}, {"a": other, "b": weak_other}
    )
    one, two = found.layers
    assert "untold" not in (one.verdict, two.verdict)
    sums = [one.picture - one.other + two.picture - two.other, one.natural - one.other + two.natural - two.other]
    assert found.whole.value == pytest.approx(sums[0] / sums[1])


def test_too_few_natural_images_and_no_layers_are_said():
    _, pattern, natural, other = world(0)
    assert paths_through({"a": pattern[None]}, {"a": natural[:3]}, {"a": other}) is None
    assert paths_through({"a": pattern[None]}, {"a": natural}, {"a": other[:3]}) is None
    assert paths_through({"a": pattern[None]}, {}, {}) is None
    assert paths_through({}, {}, {}).words() == "no layer before it to compare"
