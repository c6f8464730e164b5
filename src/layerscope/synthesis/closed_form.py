"""The best picture of a unit of the first convolution, written down instead of climbed.

Before anything bends its values, such a unit is affine in the image: of all images in [0, 1] the best is 1 where its
kernel is positive, 0 where it is negative, and anything (grey, here) where it does not look. No image scores higher.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from layerscope.capture.evaluating import undisturbed
from layerscope.capture.hooks import capture
from layerscope.models.model import VisionModel
from layerscope.objectives import Objective
from layerscope.synthesis.climb import Climbed, Party
from layerscope.synthesis.outcome import to_bytes
from layerscope.types import Images

EXACT = "written down, not climbed: no image with values in [0, 1] scores higher"
_PROBES = 3
"""Random images at which the gradient has to be the same."""
_SAME = 1e-4


def written_down(model: VisionModel, party: Party, side: int, frames: int = 0) -> Climbed | None:
    """The best picture of `side` pixels, with plain grey as its start; None where the objective is not affine.

    `trace` holds one value, the score as the gradient predicts it: that of grey and half the gradient's length in L1.
    """
    if len(party.places) > 1 or not _reads_first_convolution(model, party.climbs):
        return None
    generator = torch.Generator().manual_seed(0)
    shape = (1, model.channels, side, side)
    looked = [_gradient(model, party.climbs, torch.rand(shape, generator=generator)) for _ in range(_PROBES)]
    grey = torch.full(shape, 128 / 255)
    score, gradient = _gradient(model, party.climbs, grey)
    if not gradient.any() or any(not _alike(gradient, other) for _, other in looked):
        return None
    best = torch.where(gradient == 0, grey, (gradient > 0).float())
    predicted = score + (gradient * (best - grey)).sum()
    start, end = to_bytes(grey), to_bytes(best)
    shown = torch.stack([start, *[end] * (frames - 1)], 1) if frames else None
    return Climbed(party, start, end, predicted.float().cpu().view(1, 1), torch.tensor([False]), shown)


def _reads_first_convolution(model: VisionModel, objective: Objective) -> bool:
    """Whether it reads one unit of a convolution that sees single pixels of the image, and nothing more."""
    if objective.unit_read is None:
        return False
    layer = model.layer(objective.unit_read[0])
    module = dict(model.module.named_modules()).get(layer.name)
    if not isinstance(module, nn.Conv2d):
        return False
    sides = [(size - 1) * dilation + 1 for size, dilation in zip(module.kernel_size, module.dilation, strict=True)]
    return layer.receptive_field == max(sides)


def _gradient(model: VisionModel, objective: Objective, image: Images) -> tuple[Tensor, Tensor]:
    """The score of an image and its gradient, on the CPU."""
    seen = image.to(model.device, model.dtype, copy=True).requires_grad_(True)
    with undisturbed(model.module), capture(model, list(objective.layers), detach=False) as activations:
        model.module(model.normalise(seen))
        score = objective(activations).sum()
    (gradient,) = torch.autograd.grad(score, seen)
    return score.detach().float().cpu(), gradient.float().cpu()


def _alike(one: Tensor, other: Tensor) -> bool:
    return bool((one - other).abs().max() <= _SAME * one.abs().max())
