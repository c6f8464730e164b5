"""Objectives along a direction in the space of a layer's units, everywhere or at one position."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from torch import Tensor

from layerscope.capture.positions import at_centre, at_position
from layerscope.errors import InputError
from layerscope.figures.words import plural
from layerscope.given import finite_number, shown
from layerscope.objectives.algebra import Activations, Objective, Scores, mean_position
from layerscope.objectives.of_layer import OfLayer, check_position

if TYPE_CHECKING:
    from layerscope.capture.layers import Layer

Place = tuple[int, int] | Literal["centre"] | None
LEAST_COSINE = 0.1
"""Cosines count as at least this, so that a picture that starts off the direction still has a gradient (Lucid)."""


@dataclass(frozen=True)
class _Direction(OfLayer):
    vector: tuple[float, ...] = ()
    power: float = 0.0
    at: Place = None

    @property
    def positioned(self) -> bool:
        return isinstance(self.at, tuple)

    def __call__(self, activations: Activations) -> Scores:
        units = self._units(activations)
        if self.at is not None:
            units = at_centre(units) if self.at == "centre" else at_position(units, self.at)
        vector = units.new_tensor(self.vector)
        along = units.movedim(1, -1) @ (vector / vector.norm())
        return mean_position(by_cosine(along, units.norm(dim=1), self.power))

    def _check(self, layer: Layer) -> None:
        if len(self.vector) != layer.units:
            raise InputError(
                f"a direction of {plural(len(self.vector), 'value')} does not fit {layer.name}; it has "
                f"{plural(layer.units, 'unit')}"
            )
        if isinstance(self.at, tuple):
            check_position(self.at, layer)

    def __str__(self) -> str:
        digest = hashlib.sha256(repr(self.vector).encode()).hexdigest()[:8]
        where = f"@{','.join(map(str, self.at))}" if isinstance(self.at, tuple) else f"@{self.at}" if self.at else ""
        return f"direction {self.layer}{where} ({len(self.vector)} values, {digest}){power_text(self.power)}"


def direction(layer: str, vector: Tensor | Sequence[float], *, power: float = 0.0, at: Place = None) -> Objective:
    """The mean over positions of the projection on `vector` [units], which is scaled to length one.

    `power`: the projection is multiplied by this power of its cosine with the activations, so that a picture has to
    point along the direction, and not only to be strong (Carter et al. 2019, "Activation Atlas"; 0: not at all).
    `at`: only at (row, column), or at the "centre" as `neuron` has it.
    Raises InputError for a vector that is all zero or not finite, or a negative power.
    """
    values = _numbers(layer, vector)
    length = math.sqrt(sum(value * value for value in values))
    if not (math.isfinite(length) and length > 0):
        raise InputError(
            f"a direction needs finite values that are not all zero; the one for {layer!r} has length {length}"
        )
    if at is not None and at != "centre" and not isinstance(at, tuple):
        raise InputError(f"at={at!r} is no place; give (row, column), 'centre', or None for the mean over all")
    return _Direction(layer, vector=values, power=checked_power(power), at=at)


def _numbers(layer: str, vector: Tensor | Sequence[float]) -> tuple[float, ...]:
    try:
        return tuple(float(value) for value in (vector.flatten().tolist() if isinstance(vector, Tensor) else vector))
    except (TypeError, ValueError, OverflowError):
        raise InputError(
            f"{shown(vector)} is no direction in {shown(layer)}; give numbers, one for each unit of the layer"
        ) from None


def by_cosine(along: Tensor, length: Tensor, power: float) -> Tensor:
    """Projections times the power of their cosines, which count as at least LEAST_COSINE; both of equal shape."""
    if not power:
        return along
    return along * (along / (length + 1e-6)).clamp(min=LEAST_COSINE) ** power


def checked_power(power: float) -> float:
    """The power, as a number of at least 0; else InputError."""
    return finite_number("power", power, 0)


def power_text(power: float) -> str:
    """How a text tells the power of the cosine; "" for 0."""
    return f" x cosine^{power!r}" if power else ""
