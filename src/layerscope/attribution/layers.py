"""What each unit of a layer, at each of its places, contributes to the score.

A neuron is a target like any other, so that all methods explain neurons too: `attribute(model, images, "conv3:5@2,4")`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from layerscope.attribution.at_layer import activation_and_gradient, at_images
from layerscope.attribution.deeplift import rescaled
from layerscope.attribution.steps import gauss_legendre, until_complete
from layerscope.attribution.task import Found, Method, Task, count
from layerscope.capture.head import Head, gradient_at
from layerscope.capture.layers import units_first

_AROUND = 1e-3  # of a difference between two scores


def layer_gradient_x_activation(task: Task) -> Found:
    """Gradient times activation of each unit at each place (Shrikumar et al. 2016)."""
    pairs = [activation_and_gradient(task, images) for images in task.images.split(task.batch)]
    return Found(torch.cat([activation * gradient for activation, gradient in pairs]))


def layer_integrated_gradients(task: Task, *, steps: int = 50, most_steps: int = 800, tolerance: float = 0.01) -> Found:
    """Integrated gradients along the line between two activations of a layer (Sundararajan et al. 2017, equation 1).

    From the activation of the baseline to that of the image; what goes around the layer stays that of the image. Only
    what comes after the layer runs. The values add up to the score less that with the baseline's activation.

    steps: to begin with (Gauss-Legendre); they double until the gap is at most `tolerance`, up to `most_steps`.
    """
    ends = _ends(task)

    def run(steps: int, numbers: Tensor) -> Tensor:
        return torch.cat([_integral(task, ends[number], steps) for number in numbers.tolist()])

    scores, without = torch.cat([end.score for end in ends]), torch.cat([end.without for end in ends])
    values, notes = until_complete(
        run, scores - without, scores, steps=steps, most_steps=most_steps, tolerance=tolerance
    )
    return Found(values, scores - without, own_notes=_with_ways_around(task, ends, notes))


def layer_deeplift(task: Task) -> Found:
    """DeepLift-Rescale from the activation of the baseline to that of the image (Shrikumar et al. 2017).

    What goes around the layer stays that of the image. Only what comes after the layer runs. The values add up to the
    score less that with the baseline's activation.
    """
    values, expected, ends = [], [], _ends(task)
    covered, approximated = Counter[str](), dict[str, str]()
    point = ends[0].head.activation.clone().requires_grad_()
    gradient_at(task.site.name, point, ends[0].head(point))  # raises where the score does not depend on the layer
    for end in ends:
        multipliers, score, before, used = rescaled(end.head, end.head.activation, end.baseline)
        values.append(units_first(multipliers * (end.head.activation - end.baseline), task.site.unit_axis))
        expected.append(score - before)
        covered |= used.covered
        approximated |= used.approximated
    notes = _with_ways_around(task, ends)
    return Found(torch.cat(values), torch.cat(expected), dict(covered), approximated, own_notes=notes)


def conductance(task: Task, *, steps: int = 20, most_steps: int = 320, tolerance: float = 0.01) -> Found:
    """How much of integrated gradients flows through each unit at each place (Dhamdhere et al. 2018).

    The gradient at the layer times the change of its activation, added up along the line from baseline to image
    (trapezoidal rule). The values add up to the difference of the scores where nothing goes around the layer.

    steps: to begin with; they double until the gap is at most `tolerance`, up to `most_steps`. For an image of which
    something goes around the layer there is nothing to add up to, and it stays at `steps`.
    """
    ends = _ends(task)

    def run(steps: int, numbers: Tensor) -> Tensor:
        return torch.cat([_flow(task, number, steps) for number in numbers.tolist()])

    scores = torch.cat([end.score for end in ends])
    expected = torch.cat([math.nan * end.score if end.around else end.score - end.baseline_score for end in ends])
    values, notes = until_complete(run, expected, scores, steps=steps, most_steps=most_steps, tolerance=tolerance)
    return Found(values, expected, own_notes=_with_ways_around(task, ends, notes, "the values need not add up"))


def internal_influence(task: Task, *, steps: int = 50) -> Found:
    """The mean gradient of each unit at each place along the line from baseline to image (Leino et al. 2018).

    steps: at which it is taken (Gauss-Legendre).
    """
    count("steps", steps)
    places, weights = gauss_legendre(steps, task.images)
    return Found(torch.cat([_mean_gradient(task, number, places, weights) for number in range(len(task.images))]))


@dataclass(frozen=True, eq=False)
class _Ends:
    """Both ends of the line between the activations of one image and of its baseline.

    Attributes:
        head: what comes after the layer, for the image.
        baseline: [1, ...], the activation of the baseline.
        baseline_score: [1], the score of the baseline.
        without: [1], the score of the image with the activation of the baseline.
    """

    head: Head
    baseline: Tensor
    baseline_score: Tensor
    without: Tensor

    @property
    def score(self) -> Tensor:
        """[1], the score of the image."""
        return self.head.output

    @property
    def around(self) -> bool:
        """Whether the score depends on the image in other ways than through the layer."""
        missed = (self.without - self.baseline_score).abs()
        rounding = torch.finfo(missed.dtype).eps ** 0.5 * torch.maximum(self.score.abs(), self.baseline_score.abs())
        return bool(missed > _AROUND * (self.score - self.baseline_score).abs() + rounding)


def _ends(task: Task) -> list[_Ends]:
    ends = []
    for images, references in zip(task.images.split(task.batch), task.references.split(task.batch), strict=True):
        baselines, scores = at_images(task, references)
        for image, baseline, score in zip(images.split(1), baselines.split(1), scores.split(1), strict=True):
            head = Head(task.score.model.module, task.site.name, task.score, image)
            with torch.no_grad():
                ends.append(_Ends(head, baseline, score, head(baseline)))
    return ends


def _with_ways_around(
    task: Task,
    ends: list[_Ends],
    notes: Sequence[tuple[str, ...]] | None = None,
    then: str = "the values add up to what the layer makes of the difference between image and baseline",
) -> tuple[tuple[str, ...], ...]:
    """The notes on each image, and what it means where part of its score goes around the layer."""
    said = f"Part of the score goes around layer {task.site.name!r}: {then}."
    given = notes if notes is not None else [()] * len(ends)
    return tuple((*own, said) if end.around else tuple(own) for own, end in zip(given, ends, strict=True))


def _integral(task: Task, ends: _Ends, steps: int) -> Tensor:
    """[1, units, *positions]: the change of the activation times its mean gradient along the line."""
    change, layer = ends.head.activation - ends.baseline, task.site
    total = torch.zeros_like(change)
    places, weights = gauss_legendre(steps, change)
    for some, weight in zip(places.split(task.batch), weights.split(task.batch), strict=True):
        points = (ends.baseline + _wide(some, change) * change).requires_grad_()
        gradients = gradient_at(layer.name, points, ends.head(points))
        total += (_wide(weight, change) * gradients).sum(0, keepdim=True)
    return units_first(change * total, layer.unit_axis)


def _flow(task: Task, number: int, steps: int) -> Tensor:
    """[1, units, *positions]: gradient times change of the activation, added up along the line between the images."""
    total, last = torch.zeros(()), None
    for points in _line(task, number, torch.linspace(0, 1, steps + 1, dtype=torch.float64)):
        activation, gradient = activation_and_gradient(task, points)
        if last is not None:
            activation, gradient = (torch.cat(pair) for pair in zip(last, (activation, gradient), strict=True))
        last = activation[-1:], gradient[-1:]
        total = total + (activation.diff(dim=0) * (gradient[1:] + gradient[:-1]) / 2).sum(0, keepdim=True)
    return total


def _mean_gradient(task: Task, number: int, places: Tensor, weights: Tensor) -> Tensor:
    """[1, units, *positions]"""
    total = torch.zeros(())
    for points, weight in zip(_line(task, number, places), weights.split(task.light), strict=True):
        _, gradient = activation_and_gradient(task, points)
        total = total + (_wide(weight, gradient) * gradient).sum(0, keepdim=True)
    return total


def _line(task: Task, number: int, places: Tensor) -> Iterator[Tensor]:
    """Images between the baseline (0) and the image of this number (1), some places at a time: light up to a layer."""
    image, baseline = task.images[number : number + 1], task.references[number : number + 1]
    for some in places.to(image).split(task.light):
        yield baseline + _wide(some, image) * (image - baseline)


def _wide(places: Tensor, like: Tensor) -> Tensor:
    """[place, 1, ...], with as many axes."""
    return places.view(-1, *(1,) * (like.ndim - 1))


METHODS: tuple[Method, ...] = (
    Method(
        name="layer_gradient_x_activation",
        title="Gradient x activation of a layer",
        about="The gradient of the score at each unit and place of a layer, times the activation there.",
        source="Shrikumar et al. 2016, Not just a black box, arXiv:1605.01713",
        run=layer_gradient_x_activation,
        needs=("layer",),
        cost="1 forward, 1 backward from the layer on",
        layered=True,
    ),
    Method(
        name="layer_integrated_gradients",
        title="Integrated gradients of a layer",
        about="The change of each unit from baseline to image, times its mean gradient between the two activations.",
        source="Sundararajan et al. 2017, Axiomatic attribution for deep networks, arXiv:1703.01365",
        run=layer_integrated_gradients,
        needs=("layer", "baseline"),
        cost="2 forwards, and a forward and a backward from the layer on for each step",
        claims="difference",
        layered=True,
    ),
    Method(
        name="layer_deeplift",
        title="DeepLift of a layer",
        about="What each unit adds to the score between the activations of baseline and image, in one pass.",
        source="Shrikumar et al. 2017, Learning important features through propagating activation differences",
        run=layer_deeplift,
        needs=("layer", "baseline"),
        cost="2 forwards, and 2 forwards and a backward from the layer on",
        claims="difference",
        layered=True,
    ),
    Method(
        name="conductance",
        title="Conductance",
        about="How much of the score's change flows through each unit while the baseline turns into the image.",
        source="Dhamdhere et al. 2018, How important is a neuron?, arXiv:1805.12233",
        run=conductance,
        needs=("layer", "baseline"),
        cost="1 forward, and 1 backward from the layer on, for each step",
        claims="difference",
        layered=True,
    ),
    Method(
        name="internal_influence",
        title="Internal influence",
        about="The mean gradient of the score at each unit and place while the baseline turns into the image.",
        source="Leino et al. 2018, Influence-directed explanations for deep convolutional networks, arXiv:1802.03788",
        run=internal_influence,
        needs=("layer", "baseline"),
        cost="1 forward, and 1 backward from the layer on, for each step",
        layered=True,
    ),
)
