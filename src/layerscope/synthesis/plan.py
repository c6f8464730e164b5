"""Who climbs with whom, by which recipe."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch

from layerscope.capture.evaluating import evaluating
from layerscope.capture.hooks import capture
from layerscope.errors import InputError
from layerscope.models.memory import out_of_memory
from layerscope.models.model import VisionModel
from layerscope.objectives import OUTPUT, Objective
from layerscope.synthesis.batching import halved, in_batches
from layerscope.synthesis.checks import checked
from layerscope.synthesis.climb import Party
from layerscope.synthesis.recipes import Recipe, at_size, recipe_for
from layerscope.synthesis.seeded import on_canvas
from layerscope.types import Images, Progress

if TYPE_CHECKING:
    from layerscope.capture.layers import Layer

Plan = dict[tuple[Recipe, tuple[str, ...]], list[Party]]
"""Parties by what those that climb together have in common: recipe and layers."""
REFUSALS = (RuntimeError, AssertionError, ValueError)
"""How networks refuse a picture of a size that does not suit them."""


def plan_of(
    model: VisionModel, bound: Sequence[Objective], recipe: str | Recipe, steps: int | None, starts: Images | None
) -> Plan:
    """Who climbs with whom: pictures with the same recipe and layers, groups of diversity kept whole."""
    groups: dict[str, list[int]] = {}
    for place, objective in enumerate(bound):
        groups.setdefault(str(objective) if objective.grouped else f"{place}", []).append(place)
    plan: Plan = {}
    fitted: dict[tuple[Recipe, tuple[str, ...]], Recipe] = {}
    for places in groups.values():
        objective = bound[places[0]]
        asked = _recipe(model, objective, recipe, steps), objective.layers
        if asked not in fitted:
            fitted[asked] = that_fits(model, *asked)
        made = fitted[asked]
        if len(places) > made.together:
            raise InputError(
                f"{len(places)} pictures of {str(objective)!r}, and one batch holds {made.together}; give fewer, or a "
                "recipe with a larger together="
            )
        begins = () if starts is None else _begins(starts[list(places)], model, made)
        plan.setdefault((made, objective.layers), []).append(Party(objective, objective, tuple(places), begins))
    return plan


def _begins(starts: Images, model: VisionModel, recipe: Recipe) -> tuple[torch.Tensor, ...]:
    expected = [model.channels, recipe.view, recipe.view]
    if list(starts.shape[1:]) != expected:
        raise InputError(f"an image of {list(starts.shape[1:])} cannot start a picture of {expected}")
    return tuple(on_canvas(starts, recipe.wander.canvas))


def _recipe(model: VisionModel, objective: Objective, recipe: str | Recipe, steps: int | None) -> Recipe:
    if isinstance(recipe, str):
        recipe = recipe_for(recipe, _deepest(objective, model), model)
    checked(recipe)
    if objective.positioned:  # rows and columns are those of the network's input size
        recipe = at_size(recipe, model.input_size, model.device)
    return checked(recipe if steps is None else dataclasses.replace(recipe, steps=steps))


def _deepest(objective: Objective, model: VisionModel) -> Layer | None:
    if OUTPUT in objective.layers:
        return None
    names = {model.layer(name).name for name in objective.layers}
    layers = model.layers(functions=any("/" in name for name in names))
    return next(layer for layer in reversed(layers) if layer.name in names)


def that_fits(model: VisionModel, recipe: Recipe, layers: tuple[str, ...]) -> Recipe:
    """The recipe at the network's input size where the network does not take a smaller picture up to these layers.

    Raises InputError where memory does not hold one picture.
    """
    if recipe.shown >= model.input_size:
        return recipe
    try:
        with evaluating(model.module), capture(model, list(layers)):
            model.module(example_of(model)[..., : recipe.shown, : recipe.shown].to(model.dtype))
    except (*REFUSALS, MemoryError) as error:  # at full size the same error is raised
        if out_of_memory(error):
            halved(1, 1, error)
        return at_size(recipe, model.input_size, model.device)
    return recipe


def normaliser(model: VisionModel) -> Callable[[Images], Images]:
    """The model's normalisation in float32, as its private copy computes, whatever its own dtype is."""
    device = model.device
    mean, std = (torch.tensor(v, dtype=torch.float32, device=device).view(-1, 1, 1) for v in (model.mean, model.std))
    factor, offset = 1 / std, -mean / std
    return lambda images: torch.addcmul(offset, images, factor)


def example_of(model: VisionModel) -> torch.Tensor:
    """One image of noise, normalised, float32."""
    shape = (1, model.channels, model.input_size, model.input_size)
    noise = torch.rand(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float32)
    return normaliser(model)(noise.to(model.device))


def pictures_of(party: Party) -> int:
    """How many pictures a party has."""
    return len(party.places)


def ticker(plan: Plan, on_progress: Progress) -> Callable[..., None]:
    """Counts steps of batches, `tick(what, steps=1)`; a second try of a dead one runs beyond the plan, uncounted."""
    total = sum(
        recipe.steps * sum(1 for _ in in_batches(parties, recipe.together, pictures_of))
        for (recipe, _), parties in plan.items()
    )
    done = 0

    def tick(what: str, steps: int = 1) -> None:
        nonlocal done
        done = min(done + steps, total)
        on_progress(done, total, what)

    return tick
