"""Objectives of a row of pictures that leads from one thing to another; the row is the group that climbs together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from layerscope.errors import InputError
from layerscope.objectives.algebra import Activations, Objective, Scores
from layerscope.objectives.of_layer import OfLayer

if TYPE_CHECKING:
    from layerscope.models.model import VisionModel

NEIGHBOUR_DECAY = 2.0
"""Pictures one place further apart are held together so many times more loosely (Lucid)."""


@dataclass(frozen=True)
class _Interpolation(Objective):
    first: Objective
    second: Objective

    @property
    def layers(self) -> tuple[str, ...]:
        return tuple(sorted({*self.first.layers, *self.second.layers}))

    @property
    def logits(self) -> float:
        return (self.first.logits + self.second.logits) / 2

    @property
    def grouped(self) -> bool:
        return True

    @property
    def positioned(self) -> bool:
        return self.first.positioned or self.second.positioned

    def __call__(self, activations: Activations) -> Scores:
        first, second = self.first(activations), self.second(activations)
        share = torch.linspace(0, 1, len(first), dtype=first.dtype, device=first.device)
        return first + share * (second - first)

    def bind(self, model: VisionModel) -> Objective:
        return _Interpolation(self.first.bind(model), self.second.bind(model))

    def moved(self, layer: str, to: str) -> Objective:
        return _Interpolation(self.first.moved(layer, to), self.second.moved(layer, to))

    def leaky(self, share: float) -> Objective:
        return _Interpolation(self.first.leaky(share), self.second.leaky(share))

    def __str__(self) -> str:
        return f"from ({self.first}) to ({self.second})"


class _Alignment(OfLayer):
    @property
    def grouped(self) -> bool:
        return True

    @property
    def aligned(self) -> bool:
        return True

    def __call__(self, activations: Activations) -> Scores:
        flat = self._units(activations).flatten(1)
        place = torch.arange(len(flat), device=flat.device)
        weights = NEIGHBOUR_DECAY ** -(place[:, None] - place).abs().to(flat.dtype)
        weights.fill_diagonal_(0)
        apart = torch.stack([(flat - one).square().mean(1) for one in flat])
        return -(weights * apart).sum(1) / flat.square().mean().clamp(min=1e-12)

    def __str__(self) -> str:
        return f"alignment {self.layer}"


def interpolation(first: Objective, second: Objective) -> Objective:
    """From `first` to `second`: the first picture of a group climbs the one, the last the other, those between a mix.

    Of n pictures, number i (from 0) scores (1 - i/(n-1)) * first + i/(n-1) * second; one alone climbs `first`. Neither
    may be grouped itself, else InputError.
    """
    for one in (first, second):
        if one.grouped:
            raise InputError(f"{str(one)!r} depends on its group already; interpolate between objectives of one image")
    return _Interpolation(first, second)


def alignment(layer: str) -> Objective:
    """How well the pictures of a row keep in place, seen in `layer`: 0 where all are equal, negative otherwise.

    Minus the mean squared difference to each other picture, halved for every place further away, as a share of the
    layer's mean square (Lucid, `alignment`). Add it to an `interpolation`; its pictures start from the same noise and
    are turned and shifted alike.
    """
    return _Alignment(layer)
