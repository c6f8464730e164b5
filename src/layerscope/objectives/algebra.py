"""Objectives and their algebra: sums, differences and multiples are objectives too."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from layerscope.errors import InputError

if TYPE_CHECKING:
    from layerscope.models.model import VisionModel

Activations = Mapping[str, Tensor]
"""Activations by layer name; "" is the output of the network."""

Scores = Float[Tensor, "batch"]
"""One score per image."""

OUTPUT = ""


class Objective(ABC):
    """A score per image, read from activations: `objective(activations) -> [batch]`."""

    @property
    @abstractmethod
    def layers(self) -> tuple[str, ...]:
        """The layers it reads, sorted; "" is the output of the network."""

    @abstractmethod
    def __call__(self, activations: Activations) -> Scores:
        """The score of each image. An unbound objective raises InputError."""

    @abstractmethod
    def bind(self, model: VisionModel) -> Objective:
        """The same objective, checked against `model`. Raises UnknownNameError for a layer, unit or class not there."""

    @abstractmethod
    def moved(self, layer: str, to: str) -> Objective:
        """The same objective read at the layer `to` wherever it read at `layer`; bind it again."""

    @property
    def unit_read(self) -> tuple[str, int] | None:
        """Layer and index of the unit, where it reads nothing but one unit; otherwise None."""
        return None

    def reading(self, index: int) -> Objective:
        """An objective with a `unit_read`, of activations that hold this unit at `index`."""
        raise InputError(f"{str(self)!r} does not read one unit")

    def leaky(self, share: float) -> Objective:
        """What to climb in its place so that a unit that is off everywhere still gives a gradient."""
        return self

    @property
    def terms(self) -> tuple[tuple[float, Objective], ...]:
        """The weighted terms whose sum it is."""
        return ((1.0, self),)

    @property
    def logits(self) -> float:
        """The sum of the weights of the logits in it; 0 where it reads none, and in a margin."""
        return 0.0

    @property
    def grouped(self) -> bool:
        """Whether the score of an image depends on the other images of its group."""
        return False

    @property
    def aligned(self) -> bool:
        """Whether the images of its group start from the same noise and are turned and shifted alike."""
        return False

    @property
    def positioned(self) -> bool:
        """Whether it reads at a named position, so that it has a meaning at the network's input size only."""
        return False

    def __add__(self, other: Objective | int) -> Objective:
        if isinstance(other, Objective):
            return _Combination(self.terms + other.terms)
        return self if other == 0 else NotImplemented  # sum() starts from 0

    __radd__ = __add__

    def __sub__(self, other: Objective) -> Objective:
        return self + -other if isinstance(other, Objective) else NotImplemented

    def __neg__(self) -> Objective:
        return self * -1.0

    def __mul__(self, factor: float) -> Objective:
        if not isinstance(factor, int | float):
            return NotImplemented
        return _Combination(tuple((weight * factor, term) for weight, term in self.terms))

    __rmul__ = __mul__


@dataclass(frozen=True)
class _Combination(Objective):
    weighted: tuple[tuple[float, Objective], ...]

    @property
    def terms(self) -> tuple[tuple[float, Objective], ...]:
        return self.weighted

    @property
    def layers(self) -> tuple[str, ...]:
        return tuple(sorted({layer for _, term in self.weighted for layer in term.layers}))

    @property
    def logits(self) -> float:
        return sum(weight * term.logits for weight, term in self.weighted)

    @property
    def grouped(self) -> bool:
        return any(term.grouped for _, term in self.weighted)

    @property
    def aligned(self) -> bool:
        return any(term.aligned for _, term in self.weighted)

    @property
    def positioned(self) -> bool:
        return any(term.positioned for _, term in self.weighted)

    @property
    def unit_read(self) -> tuple[str, int] | None:
        read = {term.unit_read for _, term in self.weighted}
        return read.pop() if len(read) == 1 else None

    def reading(self, index: int) -> Objective:
        return _Combination(tuple((weight, term.reading(index)) for weight, term in self.weighted))

    def __call__(self, activations: Activations) -> Scores:
        scores = [weight * term(activations) for weight, term in self.weighted]
        return torch.stack(scores).sum(0)

    def bind(self, model: VisionModel) -> Objective:
        return _Combination(tuple((weight, term.bind(model)) for weight, term in self.weighted))

    def moved(self, layer: str, to: str) -> Objective:
        return _Combination(tuple((weight, term.moved(layer, to)) for weight, term in self.weighted))

    def leaky(self, share: float) -> Objective:
        parts = [(weight * factor, part) for weight, term in self.weighted for factor, part in term.leaky(share).terms]
        return _Combination(tuple(parts))

    def __str__(self) -> str:
        first, *rest = [_signed(weight, term) for weight, term in self.weighted]
        return " ".join([first.removeprefix("+ ").replace("- ", "-", 1), *rest])


def mean_position(values: Tensor) -> Scores:
    """The mean of `values` [batch, *positions] over all positions."""
    return values.flatten(1).mean(1) if values.ndim > 1 else values


def _signed(weight: float, term: Objective) -> str:
    size = abs(weight)
    shown = f"{size:g}" if float(f"{size:g}") == size else repr(size)  # texts of what differs differ
    return f"{'-' if weight < 0 else '+'} {'' if size == 1 else f'{shown} * '}{term}"


def unbound(objective: Objective) -> InputError:
    return InputError(f"{str(objective)!r} is not bound to a network; call objective.bind(model) before scoring")
