"""What a layer puts out for images, the gradient of a score there, and maps of it at the size of the image."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from layerscope.attribution.task import Task
from layerscope.capture.head import computed_before, gradient_at, run_from
from layerscope.capture.interventions import replace
from layerscope.capture.layers import Layer, units_first
from layerscope.capture.positions import grid_of
from layerscope.errors import InputError
from layerscope.types import Images


def activation_and_gradient(task: Task, images: Images) -> tuple[Tensor, Tensor]:
    """Of the task's layer for some images, and of the sum of their scores there; both [batch, units, *positions].

    A forward without a graph up to the layer, then a forward and a backward of what comes after it. Raises CaptureError
    where the score does not depend on the layer.
    """
    layer = task.site
    scores, activation = run_from(task.score.model.module, layer.name, task.score, images)
    gradient = gradient_at(layer.name, activation, scores)
    return units_first(activation.detach(), layer.unit_axis), units_first(gradient, layer.unit_axis)


def activation_of(task: Task, images: Images) -> Tensor:
    """What the task's layer puts out for some images, without a graph, in the network's own order of axes.

    Raises CaptureError where the score is computed before the layer.
    """
    return at_images(task, images)[0]


def at_images(task: Task, images: Images) -> tuple[Tensor, Tensor]:
    """As `activation_of`, and the scores [batch] of the images, without a graph."""
    layer, kept = task.site.name, list[Tensor]()

    def keep(activation: Tensor) -> Tensor:
        kept[:] = [activation.detach().clone()]
        return activation

    with torch.no_grad(), replace(task.score.model.module, {layer: keep}):
        scores = task.score(images)
    if not kept:
        raise computed_before(layer)
    return kept[0], scores


def on_grid(layer: Layer, units: Tensor) -> Tensor:
    """[batch, units, rows, columns]: units first, without tokens that are no patches.

    Raises InputError for a layer without rows and columns.
    """
    grid = grid_of(units)
    if grid.ndim != 4:
        raise InputError(
            f"layer {layer.name!r} puts out {tuple(layer.shape)} per image, without rows and columns to make a map of; "
            "name an earlier layer"
        )
    return grid


def as_map(cells: Tensor, images: Images) -> Tensor:
    """[batch, 1, height, width] of the images from [batch, rows, columns], by bilinear interpolation."""
    return F.interpolate(cells[:, None], images.shape[2:], mode="bilinear", align_corners=False)
