"""By how much the score falls without a part of the image, which is set to the baseline."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from captum.attr import FeatureAblation, Occlusion
from torch import Tensor

from layerscope.attribution.forwards import Forwards
from layerscope.attribution.segments import Segments, segments_of
from layerscope.attribution.task import Found, Method, Task, count
from layerscope.errors import InputError


def occlusion(task: Task, *, window: int | None = None, stride: int | None = None, precision: str = "full") -> Found:
    """By how much the score falls when a square is set to the baseline (Zeiler and Fergus 2014).

    The value of a pixel is the mean over all squares that cover it; those at the lower and right border may be cut off.

    window: side of the squares in pixels; None is a seventh of the shorter side of the image.
    stride: from one square to the next, in pixels; None is half the window.
    precision: "full", or "bfloat16" for about twice the speed where the processor has it.
    """
    side = min(task.images.shape[-2:])
    window = count("window", max(1, side // 7) if window is None else window)
    stride = count("stride", max(1, window // 2) if stride is None else stride)
    if window > side or stride > window:
        raise InputError(
            f"window={window} and stride={stride} for images of {side} px; give a window that fits and a stride that "
            "is no longer than it"
        )
    forwards, channels = Forwards(task, precision), task.images.shape[1]
    values = [
        Occlusion(forwards.near(image)).attribute(
            image,
            sliding_window_shapes=(channels, window, window),
            strides=(channels, stride, stride),
            baselines=reference,
            perturbations_per_eval=forwards.batch,
        )
        for image, reference in _pairs(task)
    ]
    return forwards.found(torch.cat(values)[:, :1].to(task.images))  # all channels hold the same


def feature_ablation(task: Task, *, segments: Segments = 49, precision: str = "full") -> Found:
    """By how much the score falls when a piece of the image is set to the baseline, spread evenly over the piece.

    segments: about how many superpixels, or whole numbers [height, width] that name the piece of each pixel.
    precision: as of `occlusion`.
    """
    forwards, values = Forwards(task, precision), []
    for image, reference in _pairs(task):
        pieces = segments_of(image, segments)
        drops = FeatureAblation(forwards.near(image)).attribute(
            image, baselines=reference, feature_mask=pieces[None, None], perturbations_per_eval=forwards.batch
        )
        values.append(drops[:, :1] / pieces.flatten().bincount()[pieces])  # all channels hold the same
    return forwards.found(torch.cat(values))


def _pairs(task: Task) -> Iterator[tuple[Tensor, Tensor]]:
    """Each image and its baseline, [1, channel, height, width]."""
    return zip(task.images.split(1), task.references.split(1), strict=True)


METHODS: tuple[Method, ...] = (
    Method(
        name="occlusion",
        title="Occlusion",
        about="By how much the score falls when a square is set to the baseline, on average over the squares that "
        "cover a pixel.",
        source="Zeiler and Fergus 2014, Visualizing and understanding convolutional networks, arXiv:1311.2901",
        run=occlusion,
        needs=("baseline",),
        cost="about 170 forwards",
    ),
    Method(
        name="feature_ablation",
        title="Feature ablation",
        about="By how much the score falls when a superpixel is set to the baseline; spread evenly over it.",
        source="Kokhlikyan et al. 2020, Captum, arXiv:2009.07896",
        run=feature_ablation,
        needs=("baseline",),
        cost="50 forwards",
    ),
)
