"""Class activation maps without gradients: each unit weighed by what the score does without it, or with it alone."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from layerscope.attribution.at_layer import activation_of, as_map, on_grid
from layerscope.attribution.baselines import BASELINES, baseline_images
from layerscope.attribution.score import Score
from layerscope.attribution.task import Found, Method, Task, count
from layerscope.capture.head import Head
from layerscope.capture.layers import units_first
from layerscope.errors import UnknownNameError
from layerscope.models.private_copy import private_copy
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


def score_cam(task: Task, *, top: int | None = None, weights: str = "softmax") -> Found:
    """Each unit weighed by the score of the image seen through its map (Wang et al. 2020, algorithm 1).

    The map of a unit, at the size of the image and stretched to [0, 1], is multiplied with the image as the network
    gets it, so that what is masked becomes the colour that normalisation turns into zero. The score is what the task
    explains: for a class its logit, before any softmax over classes.

    top: only so many units, those whose maps differ most from place to place (standard deviation); None takes all.
    weights: "softmax" over the units, as published, which makes all weights positive; or "difference", the score less
        that of an image of that colour alone.
    """
    if weights not in WEIGHTS:
        raise UnknownNameError.among("kind of weights:", weights, WEIGHTS)
    if top is not None:
        count("top", top)
    fast, cells = _fast(task.score, task.images), []
    for image in task.images.split(1):
        units = on_grid(task.site, units_first(activation_of(task, image), task.site.unit_axis))[0]
        chosen = units if top is None else units[units.flatten(1).std(1).topk(min(top, len(units))).indices]
        scores, nothing = _seen_through(fast, task.score.model.normalise(image), chosen, task.batch)
        shares = scores.softmax(0) if weights == "softmax" else scores - nothing
        cells.append(torch.einsum("kij,k->ij", chosen, shares))
    left_out = top is not None and top < task.site.units
    approximated = {"units": f"{top} of {task.site.units}, those that vary most over the map"} if left_out else {}
    return Found(as_map(torch.stack(cells), task.images), approximated=approximated)


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


def _seen_through(score: Score, inputs: Tensor, units: Tensor, batch: int) -> tuple[Tensor, Tensor]:
    """[units]: the score of one image (as the network gets it) through each map; and [1], without any image.

    A map that is the same everywhere lets nothing through, so that it costs no forward.
    """
    varying = units.flatten(1).amax(1) > units.flatten(1).amin(1)
    with torch.no_grad():
        nothing = score.of_inputs(torch.zeros_like(inputs))
        scores = nothing.expand(len(units)).clone()
        for some in _places(varying, batch):
            masks = F.interpolate(units[some][:, None], inputs.shape[2:], mode="bilinear", align_corners=False)
            masks = masks - masks.amin((2, 3), keepdim=True)
            scores[some] = score.of_inputs(inputs * (masks / masks.amax((2, 3), keepdim=True)))
    return scores, nothing


def _places(mask: Tensor, most: int) -> Iterator[Tensor]:
    """The places where a mask [length] holds, so many at a time."""
    return iter(mask.nonzero()[:, 0].split(most))


def _fast(score: Score, images: Images) -> Score:
    """The same score from a copy of the network that is faster: frozen, BatchNorm folded, channels_last."""
    module = score.model.module
    if any(weight.dtype != torch.float32 for weight in module.parameters()):
        return score
    layers = [layer for layer in score.objective.layers if layer]
    return score.on(private_copy(module, score.model.normalise(images[:1]), layers, leak=0.0))


METHODS: tuple[Method, ...] = (
    Method(
        name="ablation_cam",
        title="Ablation-CAM",
        about="The units of a layer, each weighed by how much the score falls when it is set to zero. Without the "
        "published final ReLU and division by the score: `values.clamp(min=0)` is the published map of a positive one.",
        source="Desai and Ramaswamy 2020, Ablation-CAM, IEEE WACV",
        run=ablation_cam,
        needs=("layer",),
        cost="1 forward, 1 forward of what comes after the layer for each unit",
    ),
    Method(
        name="score_cam",
        title="Score-CAM",
        about="The units of a layer, each weighed by the score of the image seen through its map. Without the "
        "published final ReLU: `values.clamp(min=0)` is the published map.",
        source="Wang et al. 2020, Score-CAM, arXiv:1910.01279",
        run=score_cam,
        needs=("layer",),
        cost="1 forward for each unit",
    ),
)
