"""Objectives that read one layer: a unit of it, or all of it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import torch
from torch import nn

from layerscope.capture.positions import at_centre, at_position
from layerscope.capture.units import Unit
from layerscope.errors import InputError, UnknownNameError
from layerscope.objectives.algebra import Activations, Objective, Scores, mean_position
from layerscope.objectives.of_layer import OfLayer, check_position

if TYPE_CHECKING:
    from layerscope.capture.layers import Layer


@dataclass(frozen=True)
class _OfUnit(OfLayer):
    index: int = 0
    position: tuple[int, int] | None = None

    @property
    def positioned(self) -> bool:
        return self.position is not None

    @property
    def unit_read(self) -> tuple[str, int] | None:
        return self.layer, self.index

    def reading(self, index: int) -> Self:
        return dataclasses.replace(self, index=index)

    @property
    def unit(self) -> Unit:
        return Unit(self.layer, self.index, self.position)

    def _check(self, layer: Layer) -> None:
        if not 0 <= self.index < layer.units:
            raise UnknownNameError(f"no unit {str(self.unit)!r}; {layer.name} has units 0 to {layer.units - 1}")
        if self.position is not None:
            check_position(self.position, layer)


class _Channel(_OfUnit):
    def __call__(self, activations: Activations) -> Scores:
        return mean_position(self._units(activations)[:, self.index])

    def __str__(self) -> str:
        return f"channel {self.unit}"


class _Excitation(_OfUnit):
    def __call__(self, activations: Activations) -> Scores:
        return mean_position(self._units(activations)[:, self.index].clamp(min=0))

    def leaky(self, share: float) -> Objective:
        return self + share * _Channel(self.layer, self.unit_axis, self.index)

    def __str__(self) -> str:
        return f"excitation {self.unit}"


class _Inhibition(_OfUnit):
    def __call__(self, activations: Activations) -> Scores:
        return mean_position(-self._units(activations)[:, self.index].clamp(max=0))

    def leaky(self, share: float) -> Objective:
        return self - share * _Channel(self.layer, self.unit_axis, self.index)

    def __str__(self) -> str:
        return f"inhibition {self.unit}"


class _Neuron(_OfUnit):
    def __call__(self, activations: Activations) -> Scores:
        units = self._units(activations).narrow(1, self.index, 1)
        return (at_centre(units) if self.position is None else at_position(units, self.position))[:, 0]

    def __str__(self) -> str:
        return f"neuron {self.unit}"


class _Energy(OfLayer):
    def __call__(self, activations: Activations) -> Scores:
        return self._units(activations).flatten(1).square().mean(1)

    def __str__(self) -> str:
        return f"energy {self.layer}"


class _Diversity(OfLayer):
    @property
    def grouped(self) -> bool:
        return True

    def __call__(self, activations: Activations) -> Scores:
        units = self._units(activations)
        flat = units.reshape(*units.shape[:2], -1)
        gram = nn.functional.normalize(torch.bmm(flat, flat.transpose(1, 2)).flatten(1), dim=1)
        others = (gram.sum(0) - gram) / max(len(gram) - 1, 1)
        return torch.sum(gram * others, 1)

    def __str__(self) -> str:
        return f"diversity {self.layer}"


def channel(unit: Unit | str) -> Objective:
    """The mean of one unit over all its positions. `unit`: "layer:channel" without a position, else InputError."""
    unit = _everywhere(unit)
    return _Channel(unit.layer, index=unit.index)


def excitation(unit: Unit | str) -> Objective:
    """The mean over positions of a unit's positive part: its channel as a ReLU would pass it on.

    Before an activation function the plain mean of a convolution is that of the image's colour, since edges of both
    signs cancel; after a ReLU the two are the same. `unit`: "layer:channel" without a position, else InputError.
    """
    unit = _everywhere(unit)
    return _Excitation(unit.layer, index=unit.index)


def inhibition(unit: Unit | str) -> Objective:
    """The mean over positions of how far a unit is below zero: what it is against, before an activation function.

    The negative of `excitation` is not that: it is best where the unit is merely off. After a ReLU it is always zero.
    `unit`: "layer:channel" without a position, else InputError.
    """
    unit = _everywhere(unit)
    return _Inhibition(unit.layer, index=unit.index)


def neuron(unit: Unit | str) -> Objective:
    """One unit at its own position, or at the centre of its map (the mean of the middle cells where a side is even).

    For a sequence of tokens, positions are those of the square of patches at its end (class tokens come first).
    """
    unit = _as_unit(unit)
    return _Neuron(unit.layer, index=unit.index, position=unit.position)


def layer_energy(layer: str) -> Objective:
    """The mean square of all activations of a layer (DeepDream: Mordvintsev et al. 2015)."""
    return _Energy(layer)


def diversity(layer: str) -> Objective:
    """How alike the images of a group are in `layer`: subtract it to get different pictures of one objective.

    For each image, the mean over the others of the cosine between Gram matrices, in [-1, 1] (Olah et al. 2017, section
    "Diversity"). The group is the batch that the objective is called on; in `maximise` it is the images with an equal
    objective text. Alone in its group, an image scores 0.
    """
    return _Diversity(layer)


def _everywhere(unit: Unit | str) -> Unit:
    unit = _as_unit(unit)
    if unit.position is not None:
        raise InputError(f"a channel is a mean over positions, but {str(unit)!r} names one; use neuron({str(unit)!r})")
    return unit


def _as_unit(unit: Unit | str) -> Unit:
    if not isinstance(unit, Unit | str):
        raise InputError(f"{unit!r} is no unit; write layer:channel, as in 'layer4.1.conv2:37'")
    return Unit.parse(unit) if isinstance(unit, str) else unit
