"""References for gradients, and for means of them over points that are drawn: at the very points that the tool drew."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from layerscope.benchmarks.attribution.case import Case
from layerscope.benchmarks.attribution.cells import Given, Judge, same_as
from layerscope.benchmarks.attribution.hooked import legendre
from layerscope.types import Images

_SPREAD = 0.02
"""How far the deviation of some 100,000 draws of noise may be from what was asked for, as a share of it."""


def gradient(case: Case, images: Images | None = None) -> Tensor:
    """Of the score at each image, by autograd."""
    leaf = (case.images if images is None else images).detach().clone().requires_grad_()
    return torch.autograd.grad(case.scores(leaf).sum(), leaf)[0]


def input_x_gradient(case: Case) -> Tensor:
    """Shrikumar et al. 2016."""
    return case.images * gradient(case)


def integrated_gradients(case: Case, steps: int) -> Tensor:
    """Sundararajan et al. 2017, equation 1, as the sum of Gauss and Legendre."""
    change = case.images - case.baseline
    parts = [weight * gradient(case, case.baseline + place * change) for place, weight in legendre(steps)]
    return change * torch.stack(parts).sum(0)


def smoothgrad(case: Case, samples: int, noise: float) -> Judge:
    """Smilkov et al. 2017: the mean gradient at points around the image, as far from it as asked for."""
    return _over_noise(case, samples, noise, lambda gradients: gradients.mean(0, keepdim=True))


def vargrad(case: Case, samples: int, noise: float) -> Judge:
    """Adebayo et al. 2018: the variance of the gradient at such points."""
    return _over_noise(case, samples, noise, lambda gradients: gradients.var(0, keepdim=True, correction=0))


def gradient_shap(case: Case, samples: int) -> Judge:
    """Lundberg and Lee 2017: the mean gradient on the line from baseline to image, times their difference."""
    change = case.images - case.baseline

    def judge(given: Given) -> float:
        points = drawn(case, given)
        places = ((points - case.baseline) * change).flatten(1).sum(1) / change.square().sum()
        off = (points - case.baseline - places.view(-1, 1, 1, 1) * change).abs().max()
        if len(points) != samples or off > 1e-6 or places.min() < 0 or places.max() > 1 or places.std() < 0.1:
            return math.inf  # it looked at other points than so many on the line
        return same_as(change * gradient(case, points).mean(0, keepdim=True))(given)

    return judge


def _over_noise(case: Case, samples: int, noise: float, moment: Callable[[Tensor], Tensor]) -> Judge:
    def judge(given: Given) -> float:
        points = drawn(case, given)
        if len(points) != samples or abs(float((points - case.images).std()) / noise - 1) > _SPREAD:
            return math.inf  # it looked at other points than so many around the image
        return same_as(moment(gradient(case, points)))(given)

    return judge


def drawn(case: Case, given: Given) -> Tensor:
    """What the network got besides image and baseline."""
    ends = torch.cat([case.images, case.baseline])
    return torch.stack([point for point in given.seen if not any(torch.equal(point, end) for end in ends)])
