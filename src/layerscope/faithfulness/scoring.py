"""Scores of many changed images: cut into batches, without gradients, and looked at before anybody counts on them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor

from layerscope.attribution.task import count
from layerscope.errors import InputError
from layerscope.models.model import VisionModel
from layerscope.types import Images
from layerscope.world.interventions import Change
from layerscope.world.scene import Scenes

ScoreOf = Callable[[Images], Tensor]
"""Images [n, channel, height, width] in [0, 1] -> one score per image, [n]: a logit, a probability, any objective."""


def scored(score: ScoreOf, batches: Iterable[Images]) -> Tensor:
    """The scores of all images, in order: float64 [n], on the CPU.

    Raises InputError where `score` gives anything but one finite number per image.
    """
    return _measured(score, batches, "score", "[{}], one number per image", axes=1)


def predicted_logits(predict: ScoreOf, batches: Iterable[Images]) -> Tensor:
    """The logits of all images, in order: float64 [n, classes], on the CPU. Raises InputError as `scored` does."""
    return _measured(predict, batches, "predict", "[{}, classes]", axes=2)


def rendered(scenes: Scenes, batch: int) -> Iterator[Images]:
    """The scenes' images, `batch` at a time."""
    for pixels in scenes.pixels.split(batch):
        yield pixels.float() / 255


def check_scenes(scenes: Scenes, input_size: int | None) -> None:
    """Raise InputError for scenes of another size than the network's input, or that were changed already.

    A change is made to the scene as first rendered, so it says nothing about one that was changed before.
    """
    if not isinstance(scenes, Scenes):
        raise InputError(f"a {type(scenes).__name__} is no scene; give scenes of layerscope.world.render")
    size = scenes.pixels.shape[-1]
    if input_size is not None and size != input_size:
        raise InputError(
            f"scenes of {size} px for a network of {input_size} px; render them with size={input_size}, "
            "since a resized scene is not what a re-render shows"
        )
    changed = next((change for change in scenes.recipe.changes if change != Change()), None)
    if changed is not None:
        raise InputError(f"scenes that were changed already ({changed}); give them as first rendered")


def check_batch(batch: int) -> None:
    """Raise InputError for a batch that is no whole number of at least one image."""
    count("batch", batch)


def as_taken(model: VisionModel, images: Images) -> Images:
    """Images on the device and in the dtype of the network."""
    weights = (weight for weight in model.module.parameters() if weight.is_floating_point())
    some = next(weights, images)
    return images.to(some.device, some.dtype)


def _measured(function: ScoreOf, batches: Iterable[Images], name: str, shape: str, axes: int) -> Tensor:
    measured = []
    with torch.no_grad():
        for images in batches:
            values = function(images)
            if not isinstance(values, Tensor) or values.ndim != axes or len(values) != len(images):
                given = tuple(values.shape) if isinstance(values, Tensor) else f"a {type(values).__name__}"
                raise InputError(f"{name} gave {given} for {len(images)} images; give {shape.format(len(images))}")
            if not values.isfinite().all():
                raise InputError(
                    f"{name} gave numbers that are not finite for {len(images)} changed images, so that nothing can be "
                    "judged by them; check the weights of the network, and how its input is normalised"
                )
            measured.append(values.detach().double().cpu())
    return torch.cat(measured)
