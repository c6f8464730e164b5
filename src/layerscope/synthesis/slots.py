"""The rows of a batch that climbs: whose picture is in each, and how far it is.

A row whose picture is done is taken by the next in line, so that no step is spent on pictures that have settled. Each
row has its own parameters, optimiser state, step count and randomness.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from layerscope.synthesis.images import Parametrisation
from layerscope.synthesis.recipes import Recipe
from layerscope.types import Images

DRAWN = 4
"""Numbers of each step that are the transforms' (Wander.draw); what follows is the parametrisation's."""


@dataclass
class Place:
    """A group of pictures that climbs in some rows; they begin, step and end together."""

    rows: list[int]
    steps: int = 0
    """How many it has taken."""
    frames: list[Tensor] = field(default_factory=list)


class Slots:
    """`size` rows of parameters. Rows that nobody holds go on as they are: their gradients are not used."""

    def __init__(self, size: int, recipe: Recipe, images: Parametrisation, some: torch.Generator) -> None:
        self.recipe, self.device = recipe, images.device
        start, extra = images.init(some), images.draw(1, some)
        self.parameters = [start.clone().to(self.device) for _ in range(size)]
        self.drawn = start.new_zeros(size, recipe.steps, DRAWN + extra.shape[1], device=self.device)
        self.trace = start.new_zeros(size, recipe.steps, device=self.device)
        self.moved = torch.ones(size, dtype=torch.bool, device=self.device)
        self.free = list(range(size))
        groups = [{"params": [one]} for one in self.parameters]
        self.adam = torch.optim.Adam(groups, recipe.lr, fused=True)

    def take(self, parameters: Sequence[Tensor], drawn: Sequence[Tensor]) -> Place:
        """Rows for a group of pictures, with their parameters and what is drawn for each of their steps [steps, k]."""
        rows, self.free = self.free[: len(parameters)], self.free[len(parameters) :]
        for row, start, draws in zip(rows, parameters, drawn, strict=True):
            self.parameters[row].copy_(start)
            self.drawn[row] = draws.to(self.device)
            self.adam.state.pop(self.parameters[row], None)
        return Place(rows)

    def release(self, place: Place) -> None:
        self.free = sorted([*self.free, *place.rows])

    def stacked(self) -> Tensor:
        """The parameters of all rows, [size, ...], a leaf to differentiate by."""
        return torch.stack(self.parameters).requires_grad_(True)

    def draws(self, places: Sequence[Place]) -> Tensor:
        """What is drawn for this step, [size, k]."""
        steps = [0] * len(self.parameters)
        for place in places:
            for row in place.rows:
                steps[row] = place.steps
        return self.drawn[range(len(steps)), steps]

    def step(self, places: Sequence[Place], scores: Tensor, gradient: Tensor) -> None:
        """One step of Adam for the rows of `places`; scores [size] and gradient [size, ...] are of all rows."""
        recipe, rows = self.recipe, [row for place in places for row in place.rows]
        self.trace[rows, [place.steps for place in places for _ in place.rows]] = scores[rows].to(self.trace.dtype)
        for place in places:
            lr = recipe.lr * recipe.lr_end ** (place.steps / recipe.steps)
            for row in place.rows:
                self.parameters[row].grad = gradient[row]
                self.adam.param_groups[row]["lr"] = lr
                if place.steps == 0:
                    self.moved[row] = gradient[row].abs().amax() > 0
            place.steps += 1
        self.adam.step()
        for parameter in self.parameters:
            parameter.grad = None

    def settled(self, place: Place) -> bool:
        """Whether the pictures may stop: all steps are taken, or the recipe lets settled ones stop before and they are.

        Settled: the mean of the last eighth of all steps is above that of the eighth before by less than
        `recipe.settle` of what was gained so far; asked now and then, and not in the first half.
        """
        recipe = self.recipe
        if place.steps >= recipe.steps:
            return True
        eighth = recipe.steps // 8
        if not recipe.settle or place.steps * 2 < recipe.steps or eighth < 2 or place.steps % eighth:
            return False
        trace = self.trace[place.rows, : place.steps]
        last, before = trace[:, -eighth:].mean(1), trace[:, -2 * eighth : -eighth].mean(1)
        return bool((last - before < recipe.settle * (last - trace[:, 0])).all())


def middles(images: Parametrisation, parameters: Tensor, recipe: Recipe) -> Images:
    """The pictures of parameters [n, ...], as they are shown: the middle of their canvases."""
    with torch.no_grad():
        return recipe.wander.middle(images.render(parameters))
