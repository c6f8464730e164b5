"""Tasks for attribution methods, as `attribute` makes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from layerscope.attribution.baselines import Baseline, baseline_images
from layerscope.attribution.score import Score, Target, as_objective
from layerscope.attribution.task import Found, Task
from layerscope.capture.evaluating import undisturbed
from layerscope.models.model import VisionModel


def task_for(
    model: VisionModel,
    images: Tensor,
    target: Target,
    *,
    layer: str | None = None,
    baseline: Baseline | None = None,
    seed: int = 0,
    batch: int = 16,
) -> Task:
    """A task, to be run inside `undisturbed(model.module)`."""
    return Task(
        Score(model, as_objective(model, target)),
        images.detach().clone(),
        baseline=None if baseline is None else baseline_images(images, model, baseline),
        layer=None if layer is None else model.layer(layer),
        seed=seed,
        batch=batch,
    )


def found(
    run: Callable[..., Found],
    model: VisionModel,
    images: Tensor,
    target: Target,
    *,
    options: dict[str, Any] | None = None,
    **more: Any,
) -> Found:
    """What a method finds; `more` goes into the task."""
    with undisturbed(model.module):
        return run(task_for(model, images, target, **more), **(options or {}))


def pictures(
    batch: int = 2, size: int = 32, channels: int = 3, seed: int = 0, dtype: torch.dtype = torch.float32
) -> Tensor:
    """Noise in [0, 1], [batch, channels, size, size]."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(batch, channels, size, size, generator=generator, dtype=torch.float64).to(dtype)
