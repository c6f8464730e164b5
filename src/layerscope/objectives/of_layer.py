"""What objectives that read one layer share: its name, and where its units are."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import torch

from layerscope.capture.layers import units_first
from layerscope.capture.positions import Units, at_position
from layerscope.objectives.algebra import Activations, Objective, unbound

if TYPE_CHECKING:
    from layerscope.capture.layers import Layer
    from layerscope.models.model import VisionModel


@dataclass(frozen=True)
class OfLayer(Objective):
    """An objective of one layer; `unit_axis` is known once it is bound."""

    layer: str
    unit_axis: int | None = dataclasses.field(default=None, compare=False)

    @property
    def layers(self) -> tuple[str, ...]:
        return (self.layer,)

    def bind(self, model: VisionModel) -> Self:
        layer = model.layer(self.layer)
        self._check(layer)
        return dataclasses.replace(self, unit_axis=layer.unit_axis)

    def moved(self, layer: str, to: str) -> Self:
        return dataclasses.replace(self, layer=to, unit_axis=None) if self.layer == layer else self

    def _check(self, layer: Layer) -> None:
        """Raise if `layer` cannot serve this objective."""

    def _units(self, activations: Activations) -> Units:
        if self.unit_axis is None:
            raise unbound(self)
        return units_first(activations[self.layer], self.unit_axis)


def check_position(position: tuple[int, int], layer: Layer) -> None:
    """Raise InputError where `layer` has no (row, column) `position`."""
    positions = [size for axis, size in enumerate(layer.shape, start=1) if axis != layer.unit_axis]
    at_position(torch.empty(0, 0, *positions), position)
