"""Objectives that read one layer: a unit of it, a direction in it, or all of it."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from layerscope.capture.layers import units_first
from layerscope.capture.positions import Units, at_centre, at_position
from layerscope.capture.units import Unit
from layerscope.errors import InputError, UnknownNameError
from layerscope.objectives.algebra import Activations, Objective, Scores, mean_position

if TYPE_CHECKING:
    from layerscope.capture.layers import Layer
    from layerscope.models.model import VisionModel


@dataclass(frozen=True)
class _OfLayer(Objective):
    layer: str
    unit_axis: int | None = dataclasses.field(default=None, compare=False)

    @property
    def layers(self) -> tuple[str, ...]:
        return (self.layer,)

    def bind(self, model: VisionModel) -> Objective:
        layer = model.layer(self.layer)
        self._check(layer)
        return dataclasses.replace(self, unit_axis=layer.unit_axis)

    def moved(self, layer: str, to: str) -> Objective:
        return dataclasses.replace(self, layer=to, unit_axis=None) if self.layer == layer else self

    def _check(self, layer: Layer) -> None:
        """Raise if `layer` cannot serve this objective."""

    def _units(self, activations: Activations) -> Units:
        if self.unit_axis is None:
            raise InputError(
                f"{str(self)!r} is not bound to a network; call objective.bind(model) before scoring with it"
            )
        return units_first(activations[self.layer], self.unit_axis)


@dataclass(frozen=True)
class _OfUnit(_OfLayer):
    index: int = 0
    position: tuple[int, int] | None = None

    @property
    def positioned(self) -> bool:
        return self.position is not None

    @property
    def unit(self) -> Unit:
        return Unit(self.layer, self.index, self.position)

    def _check(self, layer: Layer) -> None:
        if not 0 <= self.index < layer.units:
            raise UnknownNameError(f"no unit {str(self.unit)!r}; {layer.name} has units 0 to {layer.units - 1}")
        if self.position is not None:
            _check_position(self.unit, layer)


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


class _Neuron(_OfUnit):
    def __call__(self, activations: Activations) -> Scores:
        units = self._units(activations).narrow(1, self.index, 1)
        return (at_centre(units) if self.position is None else at_position(units, self.position))[:, 0]

    def __str__(self) -> str:
        return f"neuron {self.unit}"


@dataclass(frozen=True)
class _Direction(_OfLayer):
    vector: tuple[float, ...] = ()

    def __call__(self, activations: Activations) -> Scores:
        units = self._units(activations)
        vector = units.new_tensor(self.vector)
        return mean_position(torch.tensordot(units, vector / vector.norm(), dims=([1], [0])))

    def _check(self, layer: Layer) -> None:
        if len(self.vector) != layer.units:
            raise InputError(
                f"a direction of {len(self.vector)} values does not fit {layer.name}; it has {layer.units} units"
            )

    def __str__(self) -> str:
        digest = hashlib.sha256(repr(self.vector).encode()).hexdigest()[:8]
        return f"direction {self.layer} ({len(self.vector)} values, {digest})"


class _Energy(_OfLayer):
    def __call__(self, activations: Activations) -> Scores:
        return self._units(activations).flatten(1).square().mean(1)

    def __str__(self) -> str:
        return f"energy {self.layer}"


class _Diversity(_OfLayer):
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


def neuron(unit: Unit | str) -> Objective:
    """One unit at its own position, or at the centre of its map (the mean of the middle cells where a side is even).

    For a sequence of tokens, positions are those of the square of patches at its end (class tokens come first).
    """
    unit = _as_unit(unit)
    return _Neuron(unit.layer, index=unit.index, position=unit.position)


def direction(layer: str, vector: Tensor | Sequence[float]) -> Objective:
    """The mean over positions of the projection on `vector` [units], which is scaled to length one."""
    values = tuple(float(value) for value in (vector.flatten().tolist() if isinstance(vector, Tensor) else vector))
    length = math.sqrt(sum(value * value for value in values))
    if not (math.isfinite(length) and length > 0):
        raise InputError(
            f"a direction needs finite values that are not all zero; the one for {layer!r} has length {length}"
        )
    return _Direction(layer, vector=values)


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


def _check_position(unit: Unit, layer: Layer) -> None:
    positions = [size for axis, size in enumerate(layer.shape, start=1) if axis != layer.unit_axis]
    at_position(torch.empty(0, 0, *positions), unit.position or (0, 0))
