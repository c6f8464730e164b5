"""The work of a step as galleries take it: without the channels of the climbed convolution that no picture asks for."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from layerscope.capture.evaluating import evaluating
from layerscope.capture.hooks import capture
from layerscope.models.model import VisionModel
from layerscope.synthesis import cost
from layerscope.synthesis.cost import Load
from layerscope.synthesis.plan import REFUSALS
from layerscope.synthesis.recipes import Recipe

Wanted = tuple[Recipe, tuple[str, ...]]
"""A recipe, and the layers that its objectives read, one unit each."""


def picked_loads(model: VisionModel, wanted: Sequence[Wanted]) -> list[tuple[Recipe, Load]]:
    """As `cost.loads`; of a plain convolution that is climbed only as many channels count as there are pictures in a
    batch (`synthesis.picked`)."""
    found = cost.loads(model, wanted)
    climbed = [_climbed(model, layers) for _, layers in wanted]
    names: dict[int, list[str]] = {}
    for (recipe, _), (_, layers), conv in zip(found, wanted, climbed, strict=True):
        if conv is not None:
            names.setdefault(recipe.shown, []).append(layers[0])
    places = {side: _positions(model, side, some) for side, some in names.items()}
    return [
        (recipe, load if conv is None else _picked(load, conv, places[recipe.shown].get(layers[0], 0), recipe.together))
        for (recipe, load), (_, layers), conv in zip(found, wanted, climbed, strict=True)
    ]


def _climbed(model: VisionModel, layers: tuple[str, ...]) -> nn.Conv2d | None:
    """The convolution that is climbed, where it can be computed in part."""
    name, _, call = layers[0].partition("#")
    conv = dict(model.module.named_modules()).get(name)
    if len(layers) > 1 or not isinstance(conv, nn.Conv2d) or type(conv) is not nn.Conv2d or call not in ("", "0"):
        return None
    return conv if conv.groups == 1 else None


def _positions(model: VisionModel, side: int, names: Sequence[str]) -> dict[str, int]:
    """Positions of the maps of layers for a picture of `side` pixels; none where the network refuses it."""
    pixels = torch.zeros(1, model.channels, side, side, device=model.device, dtype=model.dtype)

    def size(activation: Tensor) -> Tensor:
        return torch.tensor(activation[0, 0].numel())

    try:
        with evaluating(model.module), capture(model, sorted(set(names)), reduce=size) as sizes:
            model.module(pixels)
    except REFUSALS:  # deeper layers may refuse what these ones take
        return {}
    return {name: int(sizes[name]) for name in names}


def _picked(load: Load, conv: nn.Conv2d, positions: int, together: int) -> Load:
    channels = max(conv.out_channels - together, 0)
    left_out = channels * positions * conv.weight[0].numel()
    return dataclasses.replace(load, macs=load.macs - 2 * left_out)
