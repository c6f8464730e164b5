"""References for methods that change an image and look again: masks made by hand, one forward after the other."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor

from layerscope.benchmarks.attribution.case import Case
from layerscope.benchmarks.attribution.cells import Given, Judge, same_as
from layerscope.benchmarks.attribution.sampled import drawn

_SPREAD = 0.2
"""How far the mean of a few masks may be from the chance of a cell to be visible."""


def grid(case: Case, cells: int) -> Tensor:
    """[height, width]: the image cut into cells x cells pieces, by their numbers."""
    height, width = case.images.shape[2:]
    rows, columns = (torch.arange(side) * cells // side for side in (height, width))
    return rows[:, None] * cells + columns


def occlusion(case: Case, window: int, stride: int) -> Tensor:
    """Zeiler and Fergus 2014: how far the score falls without a square, on average over those that cover a pixel."""
    total, covered = torch.zeros_like(case.images[:, :1]), torch.zeros_like(case.images[:, :1])
    places = [_places(side, window, stride) for side in case.images.shape[2:]]
    for top, left in itertools.product(*places):
        hole = torch.zeros_like(covered, dtype=torch.bool)
        hole[:, :, top : top + window, left : left + window] = True
        total += _falls(case, hole) * hole
        covered += hole
    return total / covered


def feature_ablation(case: Case, cells: int) -> Tensor:
    """By how much the score falls without a piece, spread evenly over it."""
    pieces, values = grid(case, cells), torch.zeros_like(case.images[:, :1])
    for piece in range(cells * cells):
        hole = (pieces == piece).expand_as(values)
        values += _falls(case, hole) * hole / (pieces == piece).sum()
    return values


def shapley(case: Case, cells: int) -> Tensor:
    """Shapley 1953: what a piece adds to the others on average over all orders, from all choices of pieces."""
    pieces, count = grid(case, cells), cells * cells
    choices = [frozenset(some) for size in range(count + 1) for some in itertools.combinations(range(count), size)]
    scores = {some: _without(case, ~torch.isin(pieces, torch.tensor(sorted(some)))) for some in choices}
    values = torch.zeros_like(case.images[:, :1])
    for piece in range(count):
        effect = torch.zeros(len(case.images), dtype=case.images.dtype)
        for some in choices:
            if piece not in some:
                orders = math.factorial(len(some)) * math.factorial(count - len(some) - 1) / math.factorial(count)
                effect += orders * (scores[some | {piece}] - scores[some])
        values += effect.view(-1, 1, 1, 1) * (pieces == piece) / (pieces == piece).sum()
    return values


def lime(case: Case, cells: int, samples: int, width: float) -> Judge:
    """Ribeiro et al. 2016, on the choices that the tool drew: a weighted linear model, by its normal equations."""
    pieces, count = grid(case, cells), cells * cells

    def judge(given: Given) -> float:
        points = given.seen[-samples:]
        kept = torch.stack(
            [((points - case.images).abs().sum(1) * (pieces == n)).sum((1, 2)) == 0 for n in range(count)], 1
        )
        rows = torch.cat([torch.ones(len(points), 1), kept], 1).double()
        distances = 1 - kept.sum(1) / (kept.sum(1) * count).double().sqrt().clamp(min=1)
        weights = torch.exp(-(distances**2) / (2 * width**2))
        with torch.no_grad():
            scores = case.scores(points)
        effects = torch.linalg.solve(rows.T @ (weights[:, None] * rows), rows.T @ (weights * scores))[1:]
        return same_as((effects / pieces.flatten().bincount())[pieces][None, None])(given)

    return judge


def rise(case: Case, masks: int, keep: float) -> Judge:
    """Petsiuk et al. 2018, on the masks that the tool drew: the covariance of a pixel's visibility and the score."""
    change = case.images - case.baseline

    def judge(given: Given) -> float:
        points = drawn(case, given)
        seen = ((points - case.baseline) * change).sum(1, keepdim=True) / change.square().sum(1, keepdim=True)
        off = (points - case.baseline - seen * change).abs().max()
        if len(points) != masks or off > 1e-6 or abs(float(seen.mean()) - keep) > _SPREAD:
            return math.inf  # it looked at something else than so many masked images
        with torch.no_grad():
            scores = case.scores(points).view(-1, 1, 1, 1)
        return same_as((scores * seen).mean(0, keepdim=True) - scores.mean() * seen.mean(0, keepdim=True))(given)

    return judge


def _places(side: int, window: int, stride: int) -> list[int]:
    """From 0 on until one reaches the border, or over it."""
    places = [0]
    while places[-1] + window < side:
        places.append(places[-1] + stride)
    return places


def _falls(case: Case, hole: Tensor) -> Tensor:
    """[batch, 1, 1, 1]: the scores, less those with the baseline where the hole is."""
    with torch.no_grad():
        return (case.scores(case.images) - _without(case, hole)).view(-1, 1, 1, 1)


def _without(case: Case, hole: Tensor) -> Tensor:
    with torch.no_grad():
        return case.scores(torch.where(hole, case.baseline, case.images))
