"""What pictures score: shown to the network itself, in float32 and without transforms, at a side that is told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from layerscope.capture.evaluating import evaluating
from layerscope.capture.hooks import capture
from layerscope.models.model import VisionModel

BOOTSTRAPS = 2000


def shown_at(pictures: NDArray[np.uint8], side: int) -> Tensor:
    """Pictures [n, height, width, channel] of any size as images [n, channel, side, side] in [0, 1], bilinear."""
    images = torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float() / 255
    if images.shape[-1] == side:
        return images
    return F.interpolate(images, size=(side, side), mode="bilinear", align_corners=False, antialias=True).clamp(0, 1)


def scores_of(
    model: VisionModel, pictures: NDArray[np.uint8], layer: str, channels: Sequence[int], side: int
) -> NDArray[np.float32]:
    """Of each picture the mean of its own channel, at `side` pixels."""
    with evaluating(model.module), torch.no_grad(), capture(model, [layer]) as activations:
        model.module(model.normalise(shown_at(pictures, side)))
        found = activations[layer].flatten(2).mean(2)
    scores: NDArray[np.float32] = found[torch.arange(len(channels)), torch.tensor(list(channels))].numpy()
    return scores


def ratio_of_means(over: NDArray[np.float32], under: NDArray[np.float32], seed: int = 0) -> dict[str, Any]:
    """The mean of `over` by that of `under`, both of the same units, with its 95 % bootstrap interval over units."""
    draws = np.random.default_rng(seed).integers(0, len(over), (BOOTSTRAPS, len(over)))
    low, high = np.quantile(over[draws].mean(1) / under[draws].mean(1), [0.025, 0.975])
    value = over.mean() / under.mean()
    return {name: round(float(one), 3) for name, one in {"value": value, "low": low, "high": high}.items()}
