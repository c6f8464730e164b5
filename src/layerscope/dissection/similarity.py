"""How alike two layers see the same images: debiased linear CKA (Kornblith et al. 2019; Nguyen, Raghu, Kornblith 2021).

Plain CKA nears 1 for any two layers with more units than images. The unbiased estimate of HSIC (Song et al. 2012,
equation 5) has no such bias: layers that share nothing are at 0 on average, and a single estimate may be below it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from layerscope.errors import InputError

LEAST_IMAGES = 4
"""Fewer have no unbiased estimate."""


@dataclass(frozen=True, eq=False)
class _Sums:
    """What HSIC needs of one layer: its features, and of its Gram matrix without diagonal the sums of the rows."""

    features: Tensor
    squares: Tensor
    rows: Tensor

    @classmethod
    def of(cls, features: Tensor) -> _Sums:
        centred = _narrow(_centred(features))
        squares = centred.square().sum(1)
        return cls(centred, squares, centred @ centred.sum(0) - squares)


def cka(first: Tensor, second: Tensor) -> float:
    """Debiased linear CKA of two layers' features [images, ...] of the same images, at most 1.

    It stays the same when features are shifted, turned or multiplied by one number. nan where a layer says the same of
    all images. Takes time in images x units x units, no matrix of all pairs of images. Raises InputError for fewer than
    4 images, or another number of them in each.
    """
    return float(cka_matrix((first,), (second,))[0, 0])


def cka_matrix(layers: Sequence[Tensor], others: Sequence[Tensor] | None = None) -> Tensor:
    """float64 [layers, others]: `cka` of each layer's features with each of the others' (default: the layers')."""
    rows = [_Sums.of(features) for features in layers]
    columns = rows if others is None else [_Sums.of(features) for features in others]
    counts = {len(sums.features) for sums in (*rows, *columns)}
    if len(counts) > 1 or min(counts, default=0) < LEAST_IMAGES:
        raise InputError(f"features of {sorted(counts)} images; give the same images to each layer, at least 4 of them")
    cross = torch.tensor([[_hsic(a, b) for b in columns] for a in rows], dtype=torch.float64)
    own_rows, own_columns = (_own(sums) for sums in (rows, columns))
    return cross / (own_rows[:, None] * own_columns[None, :]).sqrt()


def _own(layers: Sequence[_Sums]) -> Tensor:
    own = torch.tensor([_hsic(sums, sums) for sums in layers], dtype=torch.float64)
    return torch.where(own > 0, own, torch.nan)


def _hsic(a: _Sums, b: _Sums) -> float:
    """The unbiased estimate, by sums over features: the diagonals are taken off instead of never added up."""
    n = len(a.features)
    trace = (a.features.T @ b.features).square().sum() - a.squares @ b.squares
    totals = a.rows.sum() * b.rows.sum() / ((n - 1) * (n - 2))
    return float((trace + totals - 2 / (n - 2) * (a.rows @ b.rows)) / (n * (n - 3)))


def _centred(features: Tensor) -> Tensor:
    """float64 [images, features]; centred, and of size about 1, so that large sums do not cancel."""
    flat = features.detach().to("cpu", torch.float64).reshape(len(features), -1)
    if not bool(flat.isfinite().all()):
        raise InputError("features that are not finite; similarity needs numbers")
    centred = flat - flat.mean(0)
    largest = float(centred.abs().max()) if centred.numel() else 0.0
    rounding = 1e-12 * float(flat.abs().max()) if flat.numel() else 0.0
    return centred / largest if largest > rounding else torch.zeros_like(centred)


def _narrow(centred: Tensor) -> Tensor:
    """Features no wider than there are images, with the same Gram matrix."""
    if centred.shape[1] <= len(centred):
        return centred
    values, vectors = torch.linalg.eigh(centred @ centred.T)
    narrow: Tensor = vectors * values.clamp(min=0).sqrt()
    return narrow
