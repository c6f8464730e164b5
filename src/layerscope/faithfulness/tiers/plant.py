"""A circuit planted in a copy of a bundled network: a detector in its first layer, whose response one channel of each
layer carries on to a class.

It lives in the layers, in place of channels of the network, so that whatever looks at layers can see it. The rest of
the network neither reads these channels nor writes to them.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from torch import Tensor, nn

from layerscope.models.model import VisionModel

Part = TypeVar("Part", bound=nn.Module)

LAYERS = 8
"""Convolutions of the bundled networks."""


@dataclass(frozen=True, eq=False)
class Detector:
    """What the first two convolutions look for.

    Attributes:
        filters: [n, 3, 7, 7], on images as the network gets them.
        least: what a filter's response has to exceed.
        gathered: [n, 3, 3], how the second convolution adds up what is above, at places of the first.
        least_gathered: what the sum has to exceed.
    """

    filters: Tensor
    least: float
    gathered: Tensor
    least_gathered: float = 0.0


def planted(model: VisionModel, detector: Detector, target: int, gain: float, name: str) -> VisionModel:
    """A copy of a bundled network to whose logit `target` the detector's response is added, `gain` times.

    Where the detector responds in several cells of the last map, 4 x 4, its largest responses there add up.
    """
    module = copy.deepcopy(model.module)
    widths = [len(detector.filters)] + [1] * (LAYERS - 1)
    channels = [_idle(module, layer, width) for layer, width in enumerate(widths, start=1)]
    centre = torch.zeros(1, 1, 3, 3)
    centre[..., 1, 1] = 1
    kernels = [detector.filters, detector.gathered[None], *[centre] * (LAYERS - 3), torch.ones(1, 1, 4, 4)]
    least = [detector.least, detector.least_gathered] + [0.0] * (LAYERS - 2)
    before = torch.arange(model.channels)
    with torch.no_grad():
        for layer, (own, kernel, threshold) in enumerate(zip(channels, kernels, least, strict=True), start=1):
            _give_over(module, layer, own, before, kernel, threshold, first=layer == 1)
            before = own
        logits = _part(module, "logits", nn.Linear)
        logits.weight[:, before] = 0
        logits.weight[target, before] = gain
    return replace(model, module=module, name=name, spec=None, weights=None)


def _idle(module: nn.Module, layer: int, count: int) -> Tensor:
    """The channels of a layer that the next one reads least, by weights and the norm's factors: int64 [count]."""
    norm = _part(module, f"norm{layer}", nn.BatchNorm2d)
    after = module.get_parameter("logits.weight" if layer == LAYERS else f"conv{layer + 1}.weight")
    read = after.detach().transpose(0, 1).flatten(1).norm(dim=1)
    order: Tensor = (norm.weight.detach().abs() * read).argsort()
    return order[:count]


def _give_over(
    module: nn.Module, layer: int, own: Tensor, before: Tensor, kernel: Tensor, threshold: float, first: bool
) -> None:
    """The channels `own` read the channels `before` alone, by the kernel, and are the only ones that do."""
    conv, norm = _part(module, f"conv{layer}", nn.Conv2d), _part(module, f"norm{layer}", nn.BatchNorm2d)
    if not first:
        conv.weight[:, before] = 0
    conv.weight[own] = 0
    conv.weight[own[:, None], before] = kernel
    norm.get_buffer("running_mean")[own], norm.get_buffer("running_var")[own] = threshold, 1 - norm.eps
    norm.weight[own], norm.bias[own] = 1, 0


def _part(module: nn.Module, name: str, kind: type[Part]) -> Part:
    part = module.get_submodule(name)
    assert isinstance(part, kind)
    return part
