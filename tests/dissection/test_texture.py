"""Texture modulation: literal formulas, a fair test, and no peeking at the exemplars that are scored."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from planted_filters import TextureNet, seen_as_they_are
from scipy import stats

from layerscope.dissection.responses import respond
from layerscope.dissection.stimuli.textures import Textures
from layerscope.dissection.texture import modulation, sign_flip, texture_tuning
from layerscope.errors import InputError

SMALL = Textures(16, 3, exemplars=8, families=("dots", "fur", "brick"))


def random_responses(seed: int, units: int = 5) -> NDArray[np.float64]:
    return np.random.default_rng(seed).exponential(size=(len(SMALL), units))


def test_every_number_is_its_definition() -> None:
    shown = random_responses(0)
    found = texture_tuning(shown, SMALL)
    for unit in range(5):
        grid = shown[:, unit].reshape(3, 8, 2).copy()
        for exemplar in range(8):
            grid[:, exemplar] /= sum(grid[:, exemplar].ravel()) / 6
        excess = [sum(grid[f, k, 0] - grid[f, k, 1] for k in range(0, 8, 2)) for f in range(3)]
        best = excess.index(max(excess))
        held = grid[best, 1::2]
        assert found.best[unit] == best
        up, down = held[:, 0].mean(), held[:, 1].mean()
        assert found.best_modulation[unit] == pytest.approx((up - down) / (up + down))
        for family in range(3):
            up, down = grid[family, :, 0].mean(), grid[family, :, 1].mean()
            assert found.modulation[unit, family] == pytest.approx((up - down) / (up + down))
        observed = sum(held[:, 0] - held[:, 1])
        flips = [
            sum(s * (a - b) for s, (a, b) in zip(signs, held, strict=True))
            for signs in itertools.product((1, -1), repeat=4)
        ]
        assert found.p[unit] == pytest.approx(sum(flip >= observed - 1e-9 for flip in flips) / 16)
        mine, others = grid[best, 1::2, 0], np.concatenate([grid[f, 1::2, 0] for f in range(3) if f != best])
        within = np.mean(
            [
                grid[f, 1::2, 0].var(ddof=1) + (grid[f, 1::2, 0].mean() - others.mean()) ** 2
                for f in range(3)
                if f != best
            ]
        )
        spread = math.sqrt((mine.var(ddof=1) + within) / 2)
        assert found.selectivity[unit] == pytest.approx((mine.mean() - others.mean()) / spread)
        means = [grid[f, :, 0].mean() for f in range(3)]
        inside = np.mean([grid[f, :, 0].var(ddof=1) for f in range(3)])
        assert found.invariance[unit] == pytest.approx(np.var(means, ddof=1) / inside)
        assert found.best_interval[unit, 0] <= found.best_modulation[unit] <= found.best_interval[unit, 1]


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 15), st.integers(0, 1000))
def test_sign_flips_agree_with_scipy(pairs: int, seed: int) -> None:
    differences = np.random.default_rng(seed).normal(0.3, size=(pairs, 2))
    found = sign_flip(differences)
    for unit in range(2):
        wanted = stats.permutation_test(
            (differences[:, unit],), np.mean, permutation_type="samples", alternative="greater", n_resamples=20_000
        ).pvalue
        assert found[unit] == pytest.approx(wanted, abs=0.025 if pairs > 14 else 1e-9)


def test_no_difference_is_no_evidence() -> None:
    assert sign_flip(np.zeros((10, 3))).tolist() == [1, 1, 1]
    assert sign_flip(np.ones((10, 1))) == pytest.approx(1 / 1024)
    assert sign_flip(np.ones((40, 1)))[0] <= 1e-3
    assert sign_flip(-np.ones((10, 1))) == pytest.approx(1)


def test_the_test_is_fair_though_the_best_of_many_families_is_chosen() -> None:
    textures = Textures(16, 3, exemplars=20)
    found = texture_tuning(np.random.default_rng(0).exponential(size=(len(textures), 4000)), textures, bootstraps=0)
    assert (found.p < 0.05).mean() == pytest.approx(0.05, abs=0.01)
    assert (found.p < 0.01).mean() == pytest.approx(0.01, abs=0.005)
    assert abs(found.best_modulation.mean()) < 0.01
    assert found.modulation.max(1).mean() > 0.1  # what choosing and scoring on the same exemplars would tell


def test_contrast_of_the_exemplars_is_taken_out() -> None:
    """One exemplar a thousand times as strong as the others would decide alone."""
    shown = random_responses(1).reshape(3, 8, 2, -1)
    strong = shown.copy()
    strong[:, 3] *= 1000
    one, other = (texture_tuning(each.reshape(len(SMALL), -1), SMALL) for each in (shown, strong))
    for name in ("modulation", "best_modulation", "p", "selectivity"):
        assert getattr(one, name) == pytest.approx(getattr(other, name)), name


def test_silent_units_have_no_modulation() -> None:
    shown = random_responses(2)
    shown[:, 1] = 0
    found = texture_tuning(shown, SMALL)
    assert found.dead.tolist() == [False, True, False, False, False]
    assert found.p[1] == 1
    assert found.best_modulation[1] == found.selectivity[1] == found.invariance[1] == 0
    assert modulation(np.array([1.0, 0.0]), np.array([0.0, 0.0])).tolist() == [1, 0]


def test_structure_is_told_from_energy() -> None:
    """Bars that are not crossed are structure: a twin has as many, but crossed. Energy is the same in both."""
    textures = Textures(64, 3)
    model = seen_as_they_are(TextureNet(), 64)
    responses = respond(model, textures, ["units"], reading="excitation")["units"].numpy()
    found = texture_tuning(responses, textures)
    assert found.p[0] < 0.01
    assert (found.p[1:] > 0.05).all()
    assert found.best_modulation[0] > 0.3
    assert (np.abs(found.best_modulation[1:]) < 0.1).all()
    assert textures.families[found.best[0]] == "rings"
    assert found.best_interval[0, 0] > 0.2
    # mutation: were texture and twin swapped, nothing would be left
    swapped = responses.reshape(*textures.shape, -1)[:, :, ::-1].reshape(responses.shape)
    assert texture_tuning(swapped, textures).families[texture_tuning(swapped, textures).best[0]] != "rings"


@pytest.mark.slow
def test_energy_passes_as_often_as_chance() -> None:
    model = seen_as_they_are(TextureNet(), 64)
    ps = []
    for seed in range(12):
        textures = Textures(64, 3, seed=seed)
        responses = respond(model, textures, ["units", "energies"], reading="excitation")
        assert texture_tuning(responses["units"].numpy(), textures).p[0] < 0.01
        ps.append(texture_tuning(responses["energies"].numpy(), textures).p)
    assert np.mean(np.array(ps) < 0.05) < 0.12


def test_what_cannot_be_is_refused() -> None:
    shown = random_responses(0)
    with pytest.raises(InputError, match="responses to 3 stimuli; there are 48 textures and twins"):
        texture_tuning(shown[:3], SMALL)
    with pytest.raises(InputError, match="responses below 0; texture modulation is of excitation"):
        texture_tuning(shown - 1, SMALL)
