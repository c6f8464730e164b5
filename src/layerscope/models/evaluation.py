"""How good a network is: accuracy, recall per class, accuracy under attack."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from layerscope.models.datasets import LabelledImages

Classifier = Callable[[Tensor], Tensor]
"""Images [batch, channels, size, size] in [0, 1] -> logits [batch, classes]."""


def l2_attack(
    classify: Classifier, images: Tensor, labels: Tensor, radius: float, steps: int, generator: torch.Generator
) -> Tensor:
    """Images within L2 distance `radius` (pixels in [0, 1]) that raise the loss: projected gradient ascent from a
    random start (Madry et al. 2018, section 2.1; one step as in Wong, Rice, Kolter 2020)."""
    shift = (
        _unit(torch.randn(images.shape, generator=generator))
        * radius
        * torch.rand(len(images), 1, 1, 1, generator=generator)
    )
    stride = radius * (1.25 if steps == 1 else 2.0 / steps)
    for _ in range(steps):
        shift.requires_grad_(True)
        with torch.enable_grad():
            loss = F.cross_entropy(classify(images + shift).float(), labels, reduction="sum")
            (slope,) = torch.autograd.grad(loss, shift)
        shift = shift.detach() + stride * _unit(slope)
        shift = shift * (radius / _norm(shift)).clamp(max=1)
        shift = (images + shift).clamp(0, 1) - images
    return (images + shift).detach()


def _norm(x: Tensor) -> Tensor:
    norms: Tensor = x.flatten(1).norm(dim=1)
    return norms.clamp(min=1e-12).view(-1, 1, 1, 1)


def _unit(x: Tensor) -> Tensor:
    return x / _norm(x)


def predict(classify: Classifier, data: LabelledImages, batch: int = 250) -> Tensor:
    """The most likely class of every image: int64 [images]."""
    with torch.no_grad():
        return torch.cat([classify(chunk.float() / 255).argmax(1) for chunk in data.pixels.split(batch)])


def recall_per_class(predicted: Tensor, data: LabelledImages) -> dict[str, float]:
    """Share of each class's images that are recognised; classes without images are left out."""
    right, present = predicted == data.labels, data.labels.unique().tolist()
    return {data.class_names[label]: right[data.labels == label].float().mean().item() for label in present}


def robust_accuracy(classify: Classifier, data: LabelledImages, radius: float, steps: int = 20, seed: int = 0) -> float:
    """Accuracy under `l2_attack` with `steps` steps."""
    generator, right = torch.Generator().manual_seed(seed), 0
    for pixels, labels in zip(data.pixels.split(250), data.labels.split(250), strict=True):
        attacked = l2_attack(classify, pixels.float() / 255, labels, radius, steps, generator)
        with torch.no_grad():
            right += int((classify(attacked).argmax(1) == labels).sum())
    return right / len(data)
