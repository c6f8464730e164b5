"""Pictures of an image, changed: more of something that the network sees in it, or what one layer sees of it.

Feature accentuation (Hamblin et al. 2024) starts from the image itself, in its own spectrum, and climbs an objective
while a layer is held near what it was; so the score before the ascent is the image's own. A caricature (Olah et al.,
Lucid) is drawn from noise until a layer's activations point where those of the image point, as strongly as they can.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from layerscope import objectives as ob
from layerscope.capture.evaluating import undisturbed
from layerscope.capture.hooks import capture
from layerscope.errors import InputError
from layerscope.figures.words import plural
from layerscope.given import finite_number, shown
from layerscope.models.private_copy import private_copy
from layerscope.objectives import Objective
from layerscope.synthesis.ascent import bound_objective, maximise
from layerscope.synthesis.checks import Asked, checked_model, listed
from layerscope.synthesis.depth import map_at
from layerscope.synthesis.recipes import Recipe, recipe_for
from layerscope.types import Images, Progress, no_progress

if TYPE_CHECKING:
    from layerscope.models.model import VisionModel
    from layerscope.models.spectrum import Spectrum
    from layerscope.synthesis.outcome import Synthesis

ACCENTUATION = Recipe(
    "accentuation",
    "seeded",
    steps=64,
    lr=0.4,
    lr_end=0.2,
    decay=1.0,
    rotate=0.05,
    scale=(0.97, 1.05),
    shift=0.03,
)
CARICATURE = Recipe("caricature", "fourier", steps=128, rms=0.25, rotate=0.05, scale=(0.97, 1.05), shift=0.03)
KEPT_AT = 0.5
"""Accentuations are held near the image in the map at this share of the network's depth, if no layer is named."""


def accentuate(
    model: VisionModel,
    images: Images,
    objectives: Asked | Sequence[Asked],
    *,
    keep: float = 1.0,
    layer: str | None = None,
    recipe: Recipe | None = None,
    steps: int | None = None,
    seed: int = 0,
    frames: int = 0,
    on_progress: Progress = no_progress,
) -> Synthesis:
    """Change images so that the network sees more of something in them (feature accentuation, Hamblin et al. 2024).

    `images`: [n, channel, side, side] in [0, 1], of the network's input size. `objectives`: as `maximise` takes them,
    one for all images or one for each.
    `keep`: how strongly `layer` (by default the map halfway through the network) is held near its activations for the
    image. With 1, losing all of them costs what the objective would gain, to first order, from a change as large as
    the image's own contrast; 0 lets go.

    Scores and controls are the objective alone, after and before: the control is the image's own score. Raises
    InputError for images of another size, and what `maximise` raises.
    """
    images, keep = _checked(checked_model(model), images), finite_number("keep", keep, 0)
    made = _fitted(model, ACCENTUATION if recipe is None else recipe)
    bound = _one_each(model, images, objectives)
    if keep:
        layer = model.layer(layer).name if layer is not None else _halfway(model)
        known, prices = ob.activations_of(model, images, layer), _worth(model, images, bound, made.leak)
        bound = [
            ob.penalised(one, float(f"{keep * price:.3g}") * ob.distance(layer, row))
            for one, price, row in zip(bound, prices, known, strict=True)
        ]
    return maximise(
        model, bound, recipe=made, steps=steps, seed=seed, starts=images, frames=frames, on_progress=on_progress
    )


def caricature(
    model: VisionModel,
    images: Images,
    layer: str,
    *,
    power: float = 1.0,
    recipe: Recipe | None = None,
    steps: int | None = None,
    seed: int = 0,
    spectrum: Spectrum | None = None,
    frames: int = 0,
    on_progress: Progress = no_progress,
) -> Synthesis:
    """Draw what `layer` sees of images, exaggerated (caricature: Lucid, recipes/caricature).

    `images`: [n, channel, side, side] in [0, 1], of the network's input size. From noise, a picture climbs the
    projection of its activations on those of the image, times this `power` of their cosine, at every position.

    Controls are the scores of the images themselves: a picture above its control is more of what the layer sees in the
    image than the image is; notes tell of those below. Raises InputError for images of another size, and what
    `maximise` raises.
    """
    images = _checked(checked_model(model), images)
    made = _fitted(model, CARICATURE if recipe is None else recipe)
    layer = model.layer(layer).name
    known = ob.activations_of(model, images, layer)
    bound = [ob.likeness(layer, row, power).bind(model) for row in known]
    starts = images if made.parametrisation == "seeded" else None
    art = maximise(
        model,
        bound,
        recipe=made,
        steps=steps,
        seed=seed,
        spectrum=spectrum,
        starts=starts,
        frames=frames,
        on_progress=on_progress,
    )
    own = np.array([float(one({layer: row[None]})) for one, row in zip(bound, known, strict=True)], dtype=np.float32)
    notes = (_below(note, score, control) for note, score, control in zip(art.notes, art.scores, own, strict=True))
    return dataclasses.replace(art, controls=own, notes=tuple(notes))


def _checked(model: VisionModel, images: Images) -> Images:
    side = model.input_size
    if not isinstance(images, torch.Tensor):
        raise InputError(f"a {type(images).__name__} is no images; give a tensor [n, {model.channels}, {side}, {side}]")
    if images.ndim != 4 or not len(images) or tuple(images.shape[1:]) != (model.channels, side, side):
        raise InputError(
            f"images of {list(images.shape)} do not fit {model.name!r}; give [1 or more, {model.channels}, {side}, "
            f"{side}], values in [0, 1]"
        )
    if not images.is_floating_point():
        raise InputError(f"images are {images.dtype}; give floats with values in [0, 1]")
    images = images.detach().to("cpu", torch.float32)
    least, most = float(images.min()), float(images.max())
    if not 0 <= least <= most <= 1:
        raise InputError(f"the images' values go from {least:.3g} to {most:.3g}; give values in [0, 1]")
    return images


def _one_each(model: VisionModel, images: Images, objectives: Asked | Sequence[Asked]) -> list[Objective]:
    given = listed(objectives)
    if len(given) not in (1, len(images)):
        counts = f"{plural(len(given), 'objective')} for {plural(len(images), 'image')}"
        raise InputError(f"{counts}; give one for all, or one for each")
    bound = [bound_objective(one, model) for one in given]
    return bound * len(images) if len(bound) == 1 else bound


def _fitted(model: VisionModel, recipe: Recipe) -> Recipe:
    """At the network's input size, in the precision that is fast there. Raises InputError for what is no Recipe."""
    if not isinstance(recipe, Recipe):
        raise InputError(f"{shown(recipe)} is no Recipe; make one with ls.Recipe, or leave it out")
    return dataclasses.replace(recipe, view=model.input_size, precision=recipe_for("standard", None, model).precision)


def _halfway(model: VisionModel) -> str:
    found = map_at(model, KEPT_AT)
    if found is None:
        raise InputError(f"{model.name!r} has no layer with positions; name the one to keep with layer=, or keep=0")
    return found


def _worth(model: VisionModel, images: Images, bound: Sequence[Objective], leak: float) -> list[float]:
    """To first order, what each objective would gain from a change of its image as large as the image's contrast."""
    copies: dict[tuple[str, ...], nn.Module] = {}
    worth = []
    with undisturbed(model.module):
        std = torch.tensor(model.std, dtype=torch.float32).view(-1, 1, 1)
        inputs = (images - torch.tensor(model.mean, dtype=torch.float32).view(-1, 1, 1)) / std
        for image, values, objective in zip(images, inputs.to(model.device), bound, strict=True):
            layers = objective.layers
            if layers not in copies:
                copies[layers] = private_copy(model.module, values[None], layers, leak)
            leaf = values[None].clone().requires_grad_(True)
            with capture(copies[layers], list(layers), detach=False) as activations:
                copies[layers](leaf)
                score = objective({name: activations[name] for name in layers}).sum()
            (gradient,) = torch.autograd.grad(score, leaf)
            contrast = image - image.mean((1, 2), keepdim=True)
            worth.append(float((gradient[0].cpu() / std).norm() * contrast.norm()))
    return worth


def _below(note: str, score: float, control: float) -> str:
    if score >= control:
        return note
    return "; ".join(filter(None, [note, f"{score / control:.0%} of what the image itself scores: not exaggerated"]))
