"""Objectives that read the output of a network: its classes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from layerscope.errors import InputError, UnknownNameError
from layerscope.objectives.algebra import OUTPUT, Activations, Objective, Scores, mean_position, unbound

if TYPE_CHECKING:
    from layerscope.models.model import VisionModel


@dataclass(frozen=True)
class _Logit(Objective):
    target: str | int
    index: int | None = dataclasses.field(default=None, compare=False)
    label: str | None = dataclasses.field(default=None, compare=False)

    @property
    def layers(self) -> tuple[str, ...]:
        return (OUTPUT,)

    @property
    def logits(self) -> float:
        return 1.0

    def __call__(self, activations: Activations) -> Scores:
        if self.index is None:
            raise unbound(self)
        logits = activations[OUTPUT]
        if logits.ndim < 2:
            raise InputError(f"the network puts out {tuple(logits.shape)}, without an axis of classes; explain a unit")
        if not self.index < logits.shape[1]:
            raise UnknownNameError(
                f"no class {self.index}; the network's output has classes 0 to {logits.shape[1] - 1}"
            )
        return mean_position(logits[:, self.index])

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

    @property
    def logits(self) -> float:
        return 1.0

    def __call__(self, activations: Activations) -> Scores:
        return mean_position(torch.logsumexp(activations[OUTPUT], dim=1))

    def bind(self, model: VisionModel) -> Objective:
        return self

    def moved(self, layer: str, to: str) -> Objective:
        return self

    def __str__(self) -> str:
        return "any class"


def logit(target: str | int) -> Objective:
    """The network's output for one class, by name or index, before any softmax."""
    return _Logit(target)


def margin(first: str | int, second: str | int) -> Objective:
    """How much more the network sees `first` than `second`: the difference of their logits."""
    return logit(first) - logit(second)


def any_class() -> Objective:
    """The logarithm of the summed exponentials of all logits; logit minus this is the log-probability."""
    return _AnyClass()


def class_of(objective: Objective) -> int | None:
    """The class whose logit a bound objective is; None for any other objective."""
    return objective.index if isinstance(objective, _Logit) else None


def _class_label(names: Sequence[str] | None, index: int) -> str:
    if names is None:
        return str(index)
    return names[index] if list(names).count(names[index]) == 1 else f"{names[index]} ({index})"
