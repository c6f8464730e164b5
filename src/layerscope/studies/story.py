"""The forward pass as a story: in each main layer the units that mattered most for a score, verified by ablation."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from layerscope.attribution.baselines import blurred
from layerscope.attribution.checks import rank_correlation
from layerscope.attribution.score import Score
from layerscope.capture.head import Head
from layerscope.capture.hooks import capture
from layerscope.capture.layers import Layer, units_first
from layerscope.capture.positions import grid_of
from layerscope.errors import InputError
from layerscope.studies.reference import Reference
from layerscope.types import Images, Progress, no_progress

SHOWN, OTHERS = 6, 18
"""Units that are shown of a layer, and others, drawn at random, that the prediction is tried on besides."""
LEAST_FOR = 2
"""Of those shown, so many are predicted to speak for the score, where there are such."""
NO_CHANGE = 1e-6
"""Of the score's size: a smaller change is rounding, and counts as none."""


@dataclass(frozen=True, eq=False)
class Mattered:
    """One unit, and what it did to the score.

    Attributes:
        unit: its number.
        predicted: change of the score, to first order, if the unit is set to its mean everywhere; 0 for rounding.
        true: the change when it is; 0 for rounding.
        fired: [rows, columns] its activation in this image; one value where it has no map.
        peak: (row, column) of the largest; None where it has no map.
        mean: what it was set to.
        strongest: its largest activation in this image.
    """

    unit: int
    predicted: float
    true: float
    fired: Tensor
    peak: tuple[int, int] | None
    mean: float
    strongest: float


@dataclass(frozen=True, eq=False)
class Chapter:
    """One layer of the story.

    Attributes:
        layer: which.
        shown: the units with the largest predicted changes, the largest first, LEAST_FOR that speak for the score
            among them.
        agreement: rank correlation of predicted and true changes over the units tried (those shown and others drawn at
            random); None where one of the two is constant.
        changing: how many of the units shown change the score.
        foretold: how many of those change it with the predicted sign.
        tried: how many units.
    """

    layer: Layer
    shown: tuple[Mattered, ...]
    agreement: float | None
    changing: int
    foretold: int
    tried: int

    @property
    def within(self) -> float | None:
        """The share of the units shown whose change has the predicted sign; None where none changes anything."""
        return self.foretold / self.changing if self.changing else None


def tell(
    score: Score,
    image: Images,
    layers: Sequence[Layer],
    reference: Reference | None,
    *,
    seed: int = 0,
    batch: int = 32,
    on_progress: Progress = no_progress,
) -> tuple[Chapter, ...]:
    """The units that mattered for the score of one image [1, channel, height, width], layer by layer.

    Contribution is gradient times (activation - mean), summed over positions: of what was tried, it predicts best what
    an ablation does. The mean of a unit is that over the reference's images, or without one over the map of this image
    without its detail: the mean over its own map changes nothing where the network takes means of maps.
    Layers that the score does not depend on are left out.
    """
    means = _blurred_means(score, image, layers) if reference is None else _known_means(reference, layers)
    chapters = []
    for done, layer in enumerate(layers):
        on_progress(done, len(layers), "units that mattered")
        try:
            head = Head(score.model, layer.name, score, image)
        except InputError:  # what is explained is computed before it
            continue
        chapters.append(_chapter(head, layer, means[layer.name].to(head.activation), seed, batch))
    return tuple(chapters)


def _known_means(reference: Reference, layers: Sequence[Layer]) -> dict[str, Tensor]:
    return {layer.name: reference.unit_means(layer.name) for layer in layers}


def _blurred_means(score: Score, image: Images, layers: Sequence[Layer]) -> dict[str, Tensor]:
    """By layer [units]: over the maps of the image without its detail."""
    if not layers:
        return {}
    with torch.no_grad(), capture(score.model, [layer.name for layer in layers]) as activations:
        score.model(blurred(image))
    return {layer.name: _by_unit(activations[layer.name], layer).mean(1) for layer in layers}


def _chapter(head: Head, layer: Layer, means: Tensor, seed: int, batch: int) -> Chapter:
    """means: [units]."""
    predicted = _settled(_predicted(head, layer, means), head.output)
    tried = _tried(predicted, seed)
    true = _settled(_ablated(head, layer, means, tried, batch) - head.output, head.output)
    shown = tuple(
        _mattered(units_first(head.activation, layer.unit_axis)[:, unit], unit, predicted, change, means)
        for unit, change in zip(tried[:SHOWN], true[:SHOWN].tolist(), strict=True)
    )
    changing = [one for one in shown if one.true]
    foretold = sum(one.predicted * one.true > 0 for one in changing)
    return Chapter(layer, shown, rank_correlation(predicted[tried], true), len(changing), foretold, len(tried))


def _settled(changes: Tensor, score: Tensor) -> Tensor:
    """Changes, 0 where they are rounding."""
    return changes.where(changes.abs() >= NO_CHANGE * score.abs(), torch.zeros_like(changes))


def _predicted(head: Head, layer: Layer, means: Tensor) -> Tensor:
    """[units]: gradient times (mean - activation), summed over positions."""
    activation = head.activation.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(head(activation).sum(), activation)
    return (_by_unit(gradient, layer) * (means[:, None] - _by_unit(head.activation, layer))).sum(1)


def _by_unit(activation: Tensor, layer: Layer) -> Tensor:
    """[units, positions] of the one image."""
    return units_first(activation, layer.unit_axis)[0].reshape(layer.units, -1)


def _tried(predicted: Tensor, seed: int) -> list[int]:
    """The units to ablate: the largest predictions first, some of them for the score, then others drawn at random."""
    largest = predicted.abs().argsort(descending=True, stable=True).tolist()
    order = torch.randperm(len(largest), generator=torch.Generator().manual_seed(seed)).tolist()
    speaking = [unit for unit in largest if predicted[unit] < 0][:LEAST_FOR]
    top = speaking + [unit for unit in largest if unit not in speaking][: SHOWN - len(speaking)]
    top.sort(key=largest.index)
    return top + [unit for unit in order if unit not in top][:OTHERS]


def _ablated(head: Head, layer: Layer, means: Tensor, tried: Sequence[int], batch: int) -> Tensor:
    """[tried] the score with one unit set to its mean everywhere, for each of the units."""
    scores = []
    for start in range(0, len(tried), batch):
        chosen = tried[start : start + batch]
        activations = head.activation.repeat(len(chosen), *(1,) * (head.activation.ndim - 1))
        units = units_first(activations, layer.unit_axis)
        for place, unit in enumerate(chosen):
            units[place, unit] = means[unit]
        with torch.no_grad():
            scores.append(head(activations))
    return torch.cat(scores)


def _mattered(fired: Tensor, unit: int, predicted: Tensor, true: float, means: Tensor) -> Mattered:
    """fired: [1, *positions]."""
    grid = _grid(fired)
    place = int(grid.argmax())
    return Mattered(
        unit=unit,
        predicted=float(predicted[unit]),
        true=true,
        fired=grid.float().cpu(),
        peak=(place // grid.shape[1], place % grid.shape[1]) if grid.numel() > 1 else None,
        mean=float(means[unit]),
        strongest=float(fired.max()),
    )


def _grid(fired: Tensor) -> Tensor:
    """[rows, columns]; one value where the unit has no map, or tokens that are no square of patches."""
    with contextlib.suppress(InputError):
        grid = grid_of(fired[:, None])[0, 0]
        if grid.ndim == 2:
            return grid
    return fired.max().view(1, 1)
