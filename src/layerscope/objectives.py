"""What to look for: an objective maps the activations of a network to one score per image.

Objectives add up: `channel("conv3:5") - 0.5 * diversity("conv3")`. No operation changes its operands. Two objectives
with the same text are the same objective. `bind(model)` resolves class names and unit axes; only a bound one can be
called.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor, nn

from layerscope.capture.layers import units_first
from layerscope.capture.units import Unit
from layerscope.errors import InputError, UnknownNameError

if TYPE_CHECKING:
    from layerscope.capture.layers import Layer
    from layerscope.models.model import VisionModel

Activations = Mapping[str, Tensor]
"""Activations by layer name; "" is the output of the network."""

Scores = Float[Tensor, "batch"]
"""One score per image."""

Units = Float[Tensor, "batch units *positions"]
"""Activations with the units on axis 1, as `units_first` gives them."""

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

    def leaky(self, share: float) -> Objective:
        """What to climb in its place so that a unit that is off everywhere still gives a gradient."""
        return self

    @property
    def terms(self) -> tuple[tuple[float, Objective], ...]:
        """The weighted terms whose sum it is."""
        return ((1.0, self),)

    @property
    def grouped(self) -> bool:
        """Whether the score of an image depends on the other images of its group."""
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
    def grouped(self) -> bool:
        return any(term.grouped for _, term in self.weighted)

    @property
    def positioned(self) -> bool:
        return any(term.positioned for _, term in self.weighted)

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


def _signed(weight: float, term: Objective) -> str:
    size = abs(weight)
    return f"{'-' if weight < 0 else '+'} {'' if size == 1 else f'{size:g} * '}{term}"


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
        return _mean_position(self._units(activations)[:, self.index])

    def __str__(self) -> str:
        return f"channel {self.unit}"


class _Excitation(_OfUnit):
    def __call__(self, activations: Activations) -> Scores:
        return _mean_position(self._units(activations)[:, self.index].clamp(min=0))

    def leaky(self, share: float) -> Objective:
        return self + share * _Channel(self.layer, self.unit_axis, self.index)

    def __str__(self) -> str:
        return f"excitation {self.unit}"


class _Neuron(_OfUnit):
    def __call__(self, activations: Activations) -> Scores:
        units = self._units(activations).narrow(1, self.index, 1)
        return (at_centre(units) if self.position is None else _at(units, self.position))[:, 0]

    def __str__(self) -> str:
        return f"neuron {self.unit}"


@dataclass(frozen=True)
class _Direction(_OfLayer):
    vector: tuple[float, ...] = ()

    def __call__(self, activations: Activations) -> Scores:
        units = self._units(activations)
        vector = units.new_tensor(self.vector)
        return _mean_position(torch.tensordot(units, vector / vector.norm(), dims=([1], [0])))

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


@dataclass(frozen=True)
class _Logit(Objective):
    target: str | int
    index: int | None = dataclasses.field(default=None, compare=False)
    label: str | None = dataclasses.field(default=None, compare=False)

    @property
    def layers(self) -> tuple[str, ...]:
        return (OUTPUT,)

    def __call__(self, activations: Activations) -> Scores:
        if self.index is None:
            raise InputError(
                f"{str(self)!r} is not bound to a network; call objective.bind(model) before scoring with it"
            )
        logits = activations[OUTPUT]
        if not self.index < logits.shape[1]:
            raise UnknownNameError(
                f"no class {self.index}; the network's output has classes 0 to {logits.shape[1] - 1}"
            )
        return _mean_position(logits[:, self.index])

    def bind(self, model: VisionModel) -> Objective:
        index = model.class_index(self.target)
        return dataclasses.replace(self, index=index, label=_class_label(model.class_names, index))

    def moved(self, layer: str, to: str) -> Objective:
        return self

    def __str__(self) -> str:
        return f"logit {self.target if self.label is None else self.label}"


@dataclass(frozen=True)
class _AnyClass(Objective):
    @property
    def layers(self) -> tuple[str, ...]:
        return (OUTPUT,)

    def __call__(self, activations: Activations) -> Scores:
        return _mean_position(torch.logsumexp(activations[OUTPUT], dim=1))

    def bind(self, model: VisionModel) -> Objective:
        return self

    def moved(self, layer: str, to: str) -> Objective:
        return self

    def __str__(self) -> str:
        return "any class"


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


def logit(target: str | int) -> Objective:
    """The network's output for one class, by name or index, before any softmax."""
    return _Logit(target)


def margin(first: str | int, second: str | int) -> Objective:
    """How much more the network sees `first` than `second`: the difference of their logits."""
    return logit(first) - logit(second)


def any_class() -> Objective:
    """The logarithm of the summed exponentials of all logits; logit minus this is the log-probability."""
    return _AnyClass()


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


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Eval mode and no gradients inside, for measuring a network itself; each part gets its own flag back."""
    flags = [(part, part.training) for part in module.modules()]
    try:
        for part, _ in flags:
            part.training = False
        with torch.no_grad():
            yield
    finally:
        for part, flag in flags:
            part.training = flag


def at_centre(units: Units) -> Tensor:
    """[batch, units]: each unit at the middle cell of its map, or the mean of the middle cells where a side is even."""
    grid = _grid(units)
    for axis in range(2, grid.ndim):
        side = grid.shape[axis]
        grid = grid.narrow(axis, (side - 1) // 2, 2 - side % 2)
    return grid.flatten(2).mean(2) if grid.ndim > 2 else grid


def _at(units: Tensor, position: tuple[int, int]) -> Tensor:
    grid = _grid(units)
    row, column = position
    if grid.ndim != 4 or not (row < grid.shape[2] and column < grid.shape[3]):
        raise InputError(
            f"no position {row},{column}; the map here is {' x '.join(map(str, grid.shape[2:])) or 'one value'}"
        )
    return grid[:, :, row, column]


def _grid(units: Tensor) -> Tensor:
    """Tokens [batch, units, tokens] as the square of patches at their end; other shapes as they are."""
    if units.ndim != 3:
        return units
    side = math.isqrt(units.shape[2])
    return units[..., units.shape[2] - side * side :].reshape(*units.shape[:2], side, side)


def _mean_position(values: Tensor) -> Scores:
    return values.flatten(1).mean(1) if values.ndim > 1 else values


def _unbound(objective: Objective) -> InputError:
    return InputError(f"{str(objective)!r} is not bound to a network; call objective.bind(model) before scoring")


def _everywhere(unit: Unit | str) -> Unit:
    unit = _as_unit(unit)
    if unit.position is not None:
        raise InputError(f"a channel is a mean over positions, but {str(unit)!r} names one; use neuron({str(unit)!r})")
    return unit


def _as_unit(unit: Unit | str) -> Unit:
    return Unit.parse(unit) if isinstance(unit, str) else unit


def _check_position(unit: Unit, layer: Layer) -> None:
    positions = [size for axis, size in enumerate(layer.shape, start=1) if axis != layer.unit_axis]
    _at(torch.empty(0, 0, *positions), unit.position or (0, 0))


def _class_label(names: Sequence[str] | None, index: int) -> str:
    if names is None:
        return str(index)
    return names[index] if list(names).count(names[index]) == 1 else f"{names[index]} ({index})"
