"""Debiased CKA against its definition over all pairs of images."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from layerscope.dissection.similarity import cka, cka_matrix
from layerscope.errors import InputError


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def hsic(first: Tensor, second: Tensor) -> float:
    """Song et al. 2012, equation 5, literally."""
    k, l, n = first @ first.T, second @ second.T, len(first)  # noqa: E741
    k, l = k.fill_diagonal_(0), l.fill_diagonal_(0)  # noqa: E741
    one = torch.ones(n, dtype=torch.float64)
    total = (one @ k @ one) * (one @ l @ one) / ((n - 1) * (n - 2))
    return float((torch.trace(k @ l) + total - 2 / (n - 2) * (one @ k @ l @ one)) / (n * (n - 3)))


def direct(first: Tensor, second: Tensor) -> float:
    return hsic(first, second) / (hsic(first, first) * hsic(second, second)) ** 0.5


def plain(first: Tensor, second: Tensor) -> float:
    """Kornblith et al. 2019, biased."""
    first, second = first - first.mean(0), second - second.mean(0)
    return float((first.T @ second).norm() ** 2 / ((first.T @ first).norm() * (second.T @ second).norm()))


@pytest.mark.parametrize(("images", "units", "others"), [(4, 1, 1), (12, 3, 5), (30, 60, 7), (20, 90, 45)])
def test_is_the_formula_over_all_pairs(images, units, others):
    shared = noise(images, 1, seed=9)
    first, second = noise(images, units) + 2 * shared + 3, noise(images, others, seed=1) - shared
    assert cka(first, second) == pytest.approx(direct(first, second), rel=1e-9, abs=1e-12)
    assert cka(first.float(), second.float()) == pytest.approx(direct(first, second), rel=1e-4, abs=1e-5)


def test_a_layer_is_like_itself_shifted_turned_and_scaled():
    first = noise(40, 6)
    turn = torch.linalg.qr(noise(6, 6, seed=2)).Q
    assert cka(first, 1e-6 * first @ turn + 1e3) == pytest.approx(1, abs=1e-6)
    assert cka(first.reshape(40, 2, 3), first) == pytest.approx(1)
    assert cka(first, first * torch.tensor([1, 1, 1, 1, 1, 100])) < 0.9


def test_layers_that_share_nothing_are_at_zero_however_wide():
    pairs = [(noise(50, 200, seed=seed), noise(50, 200, seed=seed + 100)) for seed in range(20)]
    values = torch.tensor([cka(*pair) for pair in pairs])
    assert abs(values.mean()) < 3 * values.std() / 20**0.5
    assert abs(values.mean()) < 0.01
    assert min(plain(*pair) for pair in pairs) > 0.7


def test_matrix_is_symmetric_and_has_each_pair():
    layers = [noise(20, width, seed=width) + noise(20, 1, seed=99) for width in (3, 8, 40)]
    matrix = cka_matrix(layers)
    torch.testing.assert_close(matrix, matrix.T)
    torch.testing.assert_close(matrix.diagonal(), torch.ones(3, dtype=torch.float64))
    assert matrix[0, 2] == pytest.approx(cka(layers[0], layers[2]))
    twins = cka_matrix(layers, [noise(20, 4, seed=77)])
    assert twins.shape == (3, 1)
    assert twins[1, 0] == pytest.approx(direct(layers[1], noise(20, 4, seed=77)))


def test_a_dead_layer_is_like_nothing():
    matrix = cka_matrix([torch.full((10, 4), 0.1), noise(10, 4)])
    assert matrix.isnan().tolist() == [[True, True], [True, False]]


@pytest.mark.parametrize(("first", "second"), [((3, 2), (3, 2)), ((5, 2), (6, 2))])
def test_other_images_are_refused(first, second):
    with pytest.raises(InputError, match="give the same images to each layer, at least 4 of them"):
        cka(noise(*first), noise(*second))
    with pytest.raises(InputError, match="not finite"):
        cka(torch.full((5, 2), torch.nan), noise(5, 2))
