"""References for methods that read a layer: activations and gradients by plain hooks, maps by their formulas."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from layerscope.benchmarks.attribution.case import Case
from layerscope.benchmarks.attribution.cells import Judge, adds_up_to
from layerscope.benchmarks.attribution.propagated import guided_backprop, guided_backprop_of_relu
from layerscope.types import Images

Formula = Callable[[Tensor, Tensor], Tensor]
"""From activation and gradient [batch, units, rows, columns] to a map [batch, rows, columns]."""


@contextmanager
def hooked(case: Case, layer: str, edit: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """The network goes on with a copy of what `edit` makes of the output of "name" or, as "name#2", of one call."""
    name, _, call = layer.partition("#")
    calls = iter(range(1000))

    def hook(part: nn.Module, inputs: object, output: Tensor) -> Tensor | None:
        return edit(output).clone() if next(calls) == int(call or 0) else None

    handle = case.model.module.get_submodule(name).register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


def at_layer(case: Case, layer: str, images: Images) -> tuple[Tensor, Tensor]:
    """Activation of the layer and gradient of the scores there, both as the layer puts it out."""
    kept: list[Tensor] = []

    def keep(output: Tensor) -> Tensor:
        kept[:] = [output.detach().clone().requires_grad_()]
        return kept[0]

    with hooked(case, layer, keep):
        scores = case.scores(images)
    return kept[0].detach(), torch.autograd.grad(scores.sum(), kept[0])[0]


def from_layer(case: Case, layer: str, images: Images, activation: Tensor) -> Tensor:
    """[batch] scores with another activation at the layer."""
    with hooked(case, layer, lambda _: activation):
        return case.scores(images)


def units_first(case: Case, layer: str, activation: Tensor) -> Tensor:
    """[batch, units, ...]"""
    moved: Tensor = activation.movedim(case.model.layer(layer).unit_axis, 1)
    return moved


def on_grid(case: Case, layer: str, activation: Tensor) -> Tensor:
    """[batch, units, rows, columns]; of tokens the last ones that make a square."""
    units = units_first(case, layer, activation)
    if units.ndim == 4:
        return units
    side = int(units.shape[2] ** 0.5)
    patches: Tensor = units[:, :, -side * side :].unflatten(2, (side, side))
    return patches


def cam(case: Case, formula: Formula) -> Tensor:
    """[batch, 1, height, width]: the map of the default layer, at the size of the images."""
    activation, gradient = (on_grid(case, case.layer, one) for one in at_layer(case, case.layer, case.images))
    return enlarged(case, formula(activation, gradient))


def enlarged(case: Case, maps: Tensor) -> Tensor:
    """[batch, rows, columns] to [batch, 1, height, width], bilinearly."""
    return F.interpolate(maps[:, None], case.images.shape[2:], mode="bilinear")


def grad_cam(activation: Tensor, gradient: Tensor) -> Tensor:
    """Selvaraju et al. 2017, equations 1 and 2, without the ReLU."""
    return (activation * gradient.mean((2, 3), keepdim=True)).sum(1)


def grad_cam_plus_plus(activation: Tensor, gradient: Tensor) -> Tensor:
    """Chattopadhyay et al. 2018, equations 10 and 19, without the factor exp(score)."""
    below = 2 * gradient**2 + activation.sum((2, 3), keepdim=True) * gradient**3
    alpha = torch.where(below == 0, 0.0, gradient**2 / below)
    return (activation * (alpha * gradient.clamp(min=0)).sum((2, 3), keepdim=True)).sum(1)


def xgrad_cam(activation: Tensor, gradient: Tensor) -> Tensor:
    """Fu et al. 2020, equation 8; units that are off weigh nothing."""
    total = activation.sum((2, 3), keepdim=True)
    share = torch.where(total == 0, 0.0, activation / total)
    return (activation * (share * gradient).sum((2, 3), keepdim=True)).sum(1)


def hires_cam(activation: Tensor, gradient: Tensor) -> Tensor:
    """Draelos and Carin 2020."""
    return (activation * gradient).sum(1)


def layer_cam(activation: Tensor, gradient: Tensor) -> Tensor:
    """Jiang et al. 2021, equations 5 and 6, without the ReLU at the end."""
    return (activation * gradient.relu()).sum(1)


def eigen_cam(activation: Tensor, gradient: Tensor) -> Tensor:
    """Muhammad and Yeasin 2020, by the eigenvectors of the places' products; signed as gradient times activation."""
    places = activation.flatten(2)
    values, vectors = torch.linalg.eigh(places.transpose(1, 2) @ places)
    component = vectors[..., -1] * values[:, -1:].clamp(min=0).sqrt()
    sign = (component * (activation * gradient).sum(1).flatten(1)).sum(1, keepdim=True).sign()
    signed: Tensor = component * sign
    return signed.view_as(activation[:, 0])


def guided_grad_cam(case: Case) -> Tensor | None:
    """Selvaraju et al. 2017, section 3.2: guided backpropagation times Grad-CAM, enlarged after its ReLU."""
    return _guided(case, guided_backprop(case))


def guided_grad_cam_of_relu(case: Case) -> Tensor | None:
    """The same where other rectifiers, for which nothing was published, keep their gradient."""
    return _guided(case, guided_backprop_of_relu(case))


def _guided(case: Case, guided: Tensor | None) -> Tensor | None:
    return None if guided is None else guided * cam(case, lambda *pair: grad_cam(*pair).relu())


def ablation_cam(case: Case) -> Tensor:
    """Desai and Ramaswamy 2020: each unit weighed by how much the score falls when it is set to zero."""
    maps = []
    for image in case.images.split(1):
        with torch.no_grad():
            activation = at_layer_alone(case, image)
            axis = case.model.layer(case.layer).unit_axis
            falls = [case.scores(image) - part for part in _without_units(case, image, activation, axis)]
        weights = torch.cat(falls)[None, :, None, None]
        maps.append((on_grid(case, case.layer, activation) * weights).sum(1))
    return enlarged(case, torch.cat(maps))


def _without_units(case: Case, image: Tensor, activation: Tensor, axis: int) -> Iterator[Tensor]:
    units = activation.shape[axis]
    for first in range(0, units, 32):
        some = range(first, min(first + 32, units))
        variants = activation.repeat(len(some), *(1,) * (activation.ndim - 1))
        for place, unit in enumerate(some):
            variants[place].select(axis - 1, unit).zero_()
        try:
            yield from_layer(case, case.layer, image, variants)  # what comes before the layer runs once
        except RuntimeError:  # what goes around the layer is joined to it
            yield from_layer(case, case.layer, image.repeat(len(some), 1, 1, 1), variants)


def at_layer_alone(case: Case, images: Images) -> Tensor:
    """The activation of the default layer."""
    kept: list[Tensor] = []

    def keep(output: Tensor) -> Tensor:
        kept[:] = [output.detach().clone()]
        return output

    with torch.no_grad(), hooked(case, case.layer, keep):
        case.scores(images)
    return kept[0]


def score_cam(case: Case, top: int) -> Tensor:
    """Wang et al. 2020, algorithm 1, with the units that vary most: one forward for each."""
    maps = []
    for image in case.images.split(1):
        units = on_grid(case, case.layer, at_layer_alone(case, image))[0]
        order = units.flatten(1).std(1).argsort(descending=True)[:top]
        scores = []
        for unit in units[order]:
            mask = F.interpolate(unit[None, None], image.shape[2:], mode="bilinear")
            spread = mask.max() - mask.min()
            mask = (mask - mask.min()) / spread if spread > 0 else torch.zeros_like(mask)
            with torch.no_grad():
                scores.append(case.scores(image * mask))
        weights = torch.cat(scores).softmax(0)[:, None, None]
        maps.append((units[order] * weights).sum(0))
    return enlarged(case, torch.stack(maps))


def layer_gradient_x_activation(case: Case) -> Tensor:
    """Shrikumar et al. 2016, at the layer that is overwritten."""
    activation, gradient = at_layer(case, case.overwritten, case.images)
    return units_first(case, case.overwritten, activation * gradient)


def layer_integrated_gradients(case: Case, steps: int) -> Tensor:
    """Sundararajan et al. 2017, between the two activations of the layer: the sum of Gauss and Legendre, literally."""
    layer = case.overwritten
    here, there = (at_layer(case, layer, images)[0] for images in (case.images, case.baseline))
    total = torch.zeros_like(here)
    for place, weight in legendre(steps):
        point = (there + place * (here - there)).requires_grad_()
        scores = from_layer(case, layer, case.images, point)
        total += weight * torch.autograd.grad(scores.sum(), point)[0]
    return units_first(case, layer, (here - there) * total)


def layer_difference(case: Case) -> Judge:
    """Values have to add up to the scores, less those with the activations that the baselines have at the layer.

    That can be a hundred-millionth of the score (ConvNeXt scales what its blocks add by 1e-6), where float64 has few
    digits left: errors are relative to a ten-thousandth of the score or more.
    """
    there = at_layer(case, case.overwritten, case.baseline)[0]
    with torch.no_grad():
        scores = case.scores(case.images)
        return adds_up_to(scores - from_layer(case, case.overwritten, case.images, there), least=1e-4 * scores.abs())


def conductance(case: Case, steps: int) -> Tensor:
    """Dhamdhere et al. 2018: change of the activation times its gradient, summed by the trapezoidal rule."""
    pairs = [_between(case, step / steps) for step in range(steps + 1)]
    return units_first(
        case, case.overwritten, _sum((b - a) * (g + h) / 2 for (a, g), (b, h) in itertools.pairwise(pairs))
    )


def conductance_of_captum(case: Case, steps: int) -> Tensor:
    """The same as Captum adds it up: at the places of Gauss and Legendre, each change times the gradient before it."""
    pairs = [_between(case, place) for place, _ in legendre(steps + 1)]
    return units_first(case, case.overwritten, _sum((b - a) * g for (a, g), (b, _) in itertools.pairwise(pairs)))


def internal_influence(case: Case, steps: int) -> Tensor:
    """Leino et al. 2018: the mean gradient at the layer along the line from baseline to image."""
    return units_first(
        case, case.overwritten, _sum(weight * _between(case, place)[1] for place, weight in legendre(steps))
    )


def _between(case: Case, place: float) -> tuple[Tensor, Tensor]:
    return at_layer(case, case.overwritten, case.baseline + place * (case.images - case.baseline))


def _sum(parts: Iterator[Tensor]) -> Tensor:
    return torch.stack(list(parts)).sum(0)


def legendre(steps: int) -> list[tuple[float, float]]:
    """Places in (0, 1) and weights that add up to one."""
    places, weights = np.polynomial.legendre.leggauss(steps)
    pairs: Any = zip((places + 1) / 2, weights / 2, strict=True)
    return [(float(place), float(weight)) for place, weight in pairs]
