"""Class activation maps without gradients: each unit weighed by what the score does without it, or with it alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from layerscope.attribution.at_layer import activation_of, as_map, on_grid
from layerscope.attribution.baselines import BASELINES, baseline_images
from layerscope.attribution.forwards import Forwards
from layerscope.attribution.task import Found, Method, Task, count
from layerscope.capture.head import Head
from layerscope.capture.layers import units_first
from layerscope.errors import UnknownNameError
from layerscope.types import Images

WEIGHTS = ("softmax", "difference")


def ablation_cam(task: Task, *, to: str = "zero") -> Found:
    """Each unit weighed by how much the score falls without it (Desai and Ramaswamy 2020).

    The published weight is divided by the score; that one factor per image is left out, since it turns the sign where
    the score is negative and has no bound where it is small.

    to: "zero", or the name of a baseline: a unit is set to what it is for that image.
    """
    if to not in ("zero", *BASELINES):
        raise UnknownNameError.among("level to ablate to:", to, ("zero", *BASELINES))
    cells = []
    for image in task.images.split(1):
        head = Head(task.score.model.module, task.site.name, task.score, image)
        units = on_grid(task.site, units_first(head.activation, task.site.unit_axis))[0]
        level = torch.zeros_like(head.activation)
        if to != "zero":
            level = activation_of(task, baseline_images(image, task.score.model, to))
        weights = head.output - _without_each(task, head, level)
        cells.append(torch.einsum("kij,k->ij", units, weights))
    return Found(as_map(torch.stack(cells), task.images))


def score_cam(task: Task, *, top: int | None = None, weights: str = "softmax", precision: str = "full") -> Found:
    """Each unit weighed by the score of the image seen through its map (Wang et al. 2020, algorithm 1).

    The map of a unit is enlarged to the image, stretched to [0, 1] and laid over it: where it is 0 the image has the
    colour that normalisation turns into zero. The score is what the task explains: for a class its logit, before any
    softmax over classes.

    top: only so many units, those whose maps differ most from place to place (standard deviation); None takes all.
    weights: "softmax" over the units, as published, which makes all weights positive; or "difference", the score less
        that of an image of that colour alone.
    precision: "full" or "bfloat16", see `Forwards`.
    """
    if weights not in WEIGHTS:
        raise UnknownNameError.among("kind of weights:", weights, WEIGHTS)
    if top is not None:
        count("top", top)
    runs = len(task.images) * (task.site.units if top is None else top)
    forwards, cells = Forwards(task, precision, runs), []
    for image in task.images.split(1):
        units = on_grid(task.site, units_first(activation_of(task, image), task.site.unit_axis))[0]
        chosen = units if top is None else units[units.flatten(1).std(1).topk(min(top, len(units))).indices]
        scores, nothing = _seen_through(task, forwards, image, chosen)
        shares = scores.softmax(0) if weights == "softmax" else scores - nothing
        cells.append(torch.einsum("kij,k->ij", chosen, shares))
    found = forwards.found(as_map(torch.stack(cells), task.images))
    if top is None or top >= task.site.units:
        return found
    units_of = {"units": f"{top} of {task.site.units}, those that vary most over the map"}
    return replace(found, approximated={**found.approximated, **units_of})


def _without_each(task: Task, head: Head, level: Tensor) -> Tensor:
    """[units]: the score with each unit set to its level; the head alone runs, and not where nothing would change."""
    axis = task.site.unit_axis
    here, there = units_first(head.activation, axis)[0], units_first(level, axis)[0]
    scores = head.output.expand(len(here)).clone()
    with torch.no_grad():
        for some in _places((here != there).flatten(1).any(1), task.batch):
            variants = head.activation.repeat(len(some), *(1,) * (head.activation.ndim - 1))
            units_first(variants, axis)[torch.arange(len(some)), some] = there[some]
            scores[some] = head(variants)
    return scores


def _seen_through(task: Task, forwards: Forwards, image: Images, units: Tensor) -> tuple[Tensor, Tensor]:
    """[units]: the score of one image through each map; and [1], of the colour that is left where nothing is seen.

    A map that is the same everywhere lets nothing through, so that it costs no forward.
    """
    colour = baseline_images(image, task.score.model, "mean")
    nothing = forwards(colour)
    scores = nothing.expand(len(units)).clone()
    for some in _places(units.flatten(1).amax(1) > units.flatten(1).amin(1), task.light):
        masks = F.interpolate(units[some][:, None], image.shape[2:], mode="bilinear", align_corners=False)
        masks = masks - masks.amin((2, 3), keepdim=True)
        scores[some] = forwards(torch.lerp(colour, image, masks / masks.amax((2, 3), keepdim=True)))
    return scores, nothing


def _places(mask: Tensor, most: int) -> Iterator[Tensor]:
    """The places where a mask [length] holds, so many at a time."""
    return iter(mask.nonzero()[:, 0].split(most))


METHODS: tuple[Method, ...] = (
    Method(
        name="ablation_cam",
        title="Ablation-CAM",
        about="The units of a layer, each weighed by how much the score falls when it is set to zero. Without the "
        "division by the score and the final ReLU of the paper.",
        source="Desai and Ramaswamy 2020, Ablation-CAM, IEEE WACV",
        run=ablation_cam,
        needs=("layer",),
        cost="1 forward, 1 forward of what comes after the layer for each unit",
    ),
    Method(
        name="score_cam",
        title="Score-CAM",
        about="The units of a layer, each weighed by the score of the image seen through its map. Without the "
        "final ReLU of the paper, which `values.clamp(min=0)` makes up for.",
        source="Wang et al. 2020, Score-CAM, arXiv:1910.01279",
        run=score_cam,
        needs=("layer",),
        cost="1 forward for each unit",
    ),
)
