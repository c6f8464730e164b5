"""One batch of pictures climbing together, without one changing another.

A batched convolution or matrix product may round differently in a batch of another size, though not at another place in
it (measured on CPU: batch 1, 3 and 16 differ from 8 in the last bits, places and 1, 2 or 4 threads do not). So every
batch has the same size, filled up with repeats, and nothing is reduced over it: a picture has the same bytes in any
company.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from layerscope.capture.hooks import capture
from layerscope.errors import InputError
from layerscope.objectives import Activations, Objective
from layerscope.synthesis.images import Parametrisation
from layerscope.synthesis.outcome import first_not_finite
from layerscope.synthesis.recipes import Recipe, climbed
from layerscope.types import Images

TOGETHER = 8


@dataclass(frozen=True)
class Party:
    """Pictures of one objective that see each other: one, or the group of an objective with diversity."""

    objective: Objective
    """What they are scored by, and what seeds them."""
    climbs: Objective
    """What they climb: the objective, or where it gives no gradient, one close to it."""
    places: tuple[int, ...]
    """Where its pictures stand in the whole call."""


@dataclass(frozen=True)
class Climb:
    """What came of a batch; rows in the order of the parties' pictures."""

    start: Images
    end: Images
    """The views in the middle of the canvases before and after, with the repeats that fill the batch."""
    trace: Tensor
    dead: Tensor


def climb(
    private: nn.Module,
    normalise: Callable[[Images], Images],
    parties: Sequence[Party],
    recipe: Recipe,
    images: Parametrisation,
    seed: int,
    on_step: Callable[[], None],
) -> Climb:
    """Climb the parties' objectives, at most TOGETHER pictures with equal layers. InputError for a score not finite."""
    generators = [
        _generator(seed, str(party.objective), recipe.name, n) for party in parties for n in range(len(party.places))
    ]
    parameters = _filled([images.init(one) for one in generators]).to(images.device).requires_grad_(True)
    drawn = _filled([recipe.wander.draw(recipe.steps, one) for one in generators]).to(images.device)
    adam = torch.optim.Adam([parameters], recipe.lr, fused=True)
    start = _middle(images, parameters, recipe)
    trace, dead = [], torch.zeros(len(generators), dtype=torch.bool)
    with capture(private, list(parties[0].climbs.layers), stop=True, detach=False) as activations:
        for step in range(recipe.steps):
            views = recipe.wander.apply(images.render(parameters), drawn[:, step])
            private(normalise(views))
            scores = _scores(activations, parties, recipe, step)
            (gradient,) = torch.autograd.grad(-scores.sum(), parameters)
            parameters.grad = gradient.contiguous()  # fused Adam pairs memory; a gradient through irfft2 is strided
            if step == 0:
                dead = (parameters.grad.flatten(1).abs().amax(1) == 0)[: len(generators)].cpu()
            adam.param_groups[0]["lr"] = recipe.lr * recipe.lr_end ** (step / recipe.steps)
            adam.step()
            trace.append(scores.detach())
            on_step()
    return Climb(start, _middle(images, parameters, recipe), torch.stack(trace, 1).cpu(), dead)


def never_climbed(recipe: Recipe, images: Parametrisation) -> Images:
    """A batch of starting pictures that belong to no objective, the same for all of a recipe."""
    starts = _filled([images.init(_generator(0, "never climbed", recipe.name, n)) for n in range(TOGETHER)])
    return _middle(images, starts.to(images.device), recipe)


def _generator(seed: int, objective: str, recipe: str, number: int) -> torch.Generator:
    digest = hashlib.sha256(repr((seed, objective, recipe, number)).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


def _filled(rows: Sequence[Tensor]) -> Tensor:
    return torch.stack([*rows, *[rows[-1]] * (TOGETHER - len(rows))])


def _middle(images: Parametrisation, parameters: Tensor, recipe: Recipe) -> Images:
    with torch.no_grad():
        return recipe.wander.middle(images.render(parameters))


def _scores(activations: Activations, parties: Sequence[Party], recipe: Recipe, step: int) -> Tensor:
    sizes = [len(party.places) for party in parties]
    sizes.append(TOGETHER - sum(sizes))
    split = {}
    for layer in parties[0].climbs.layers:
        if activations[layer].shape[0] != TOGETHER:
            shape = list(activations[layer].shape)
            raise InputError(
                f"layer {layer!r} gives {shape} for {TOGETHER} images; an objective needs one row per image"
            )
        split[layer] = torch.split(activations[layer], sizes)
    scores = torch.cat(
        [
            climbed(party.climbs, recipe)({layer: parts[at] for layer, parts in split.items()})
            for at, party in enumerate(parties)
        ]
    )
    wrong = first_not_finite(scores.detach())
    if wrong is not None:
        objective = [party.objective for party in parties for _ in party.places][wrong]
        raise InputError(
            f"objective {str(objective)!r} is {scores[wrong].item()} at step {step}; a picture needs finite scores: "
            "look for inf or nan in the network's weights, or lower the recipe's lr"
        )
    return scores
