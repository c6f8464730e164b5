"""An objective that is climbed less a penalty, and scored without it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from layerscope.objectives.algebra import Activations, Objective, Scores

if TYPE_CHECKING:
    from layerscope.models.model import VisionModel


@dataclass(frozen=True)
class _Penalised(Objective):
    objective: Objective
    penalty: Objective

    @property
    def layers(self) -> tuple[str, ...]:
        return tuple(sorted({*self.objective.layers, *self.penalty.layers}))

    @property
    def logits(self) -> float:
        return self.objective.logits

    @property
    def grouped(self) -> bool:
        return self.objective.grouped or self.penalty.grouped

    @property
    def aligned(self) -> bool:
        return self.objective.aligned or self.penalty.aligned

    @property
    def positioned(self) -> bool:
        return self.objective.positioned or self.penalty.positioned

    def __call__(self, activations: Activations) -> Scores:
        return self.objective(activations)

    def bind(self, model: VisionModel) -> Objective:
        return _Penalised(self.objective.bind(model), self.penalty.bind(model))

    def moved(self, layer: str, to: str) -> Objective:
        return _Penalised(self.objective.moved(layer, to), self.penalty)

    def leaky(self, share: float) -> Objective:
        return self.objective.leaky(share) - self.penalty

    def __str__(self) -> str:
        return f"{self.objective}, climbed less {self.penalty}"


def penalised(objective: Objective, penalty: Objective) -> Objective:
    """What scores as `objective`, but is climbed less `penalty`: the score stays that of the objective alone."""
    return _Penalised(objective, penalty)
