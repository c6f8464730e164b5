"""Does speed change the pictures? The same ascent written literally beside the one that is fast.

Literally: one picture at a time, the network as it is, all of it run in float32 with a hook on the layer, gradients to
all weights, `torch.optim.Adam`. The same random numbers: start and transforms are drawn by the same generators.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from layerscope import objectives as ob
from layerscope.benchmarks.report import Row
from layerscope.benchmarks.synthesis.judged import scores_of
from layerscope.benchmarks.synthesis.settings import Target, fitted, own_copy, spread
from layerscope.models.model import VisionModel
from layerscope.models.spectrum import Spectrum
from layerscope.synthesis.ascent import maximise
from layerscope.synthesis.climb import generator_of
from layerscope.synthesis.outcome import to_bytes
from layerscope.synthesis.recipes import Recipe, parametrisation
from layerscope.types import Progress

BOUND = 0.01
LITERAL, FAST = "literal, float32", "fast, float32"


def rows_of(model: VisionModel, targets: Sequence[Target], units: int, steps: int, on_progress: Progress) -> list[Row]:
    """How far the objective is from that of the literal pictures: rows per layer for the fast ascent in each number
    format, and for the literal one in float64, which tells what rounding alone does to a long ascent."""
    rows: list[Row] = []
    for done, target in enumerate(targets):
        on_progress(done, len(targets), "exactness")
        channels = spread(model.layer(target.layer).units, units)
        recipe = dataclasses.replace(fitted(model, target.view), steps=steps, leak=0.0)
        scores = {
            name: scores_of(model, pictures, target.layer, channels, target.view)
            for name, pictures in _pictures(model, target.layer, channels, recipe).items()
        }
        plain = scores.pop(LITERAL)
        about: Row = {"network": model.name, "layer": target.layer, "units": len(channels), "steps": steps}
        rows += [{**about, "ascent": name, **_change(fast, plain, name == FAST)} for name, fast in scores.items()]
    return rows


def _pictures(model: VisionModel, layer: str, channels: Sequence[int], recipe: Recipe) -> dict[str, NDArray[np.uint8]]:
    """By ascent."""
    made = {
        name: np.concatenate([literal_picture(model, layer, channel, recipe, dtype) for channel in channels])
        for name, dtype in ((LITERAL, torch.float32), ("literal, float64", torch.float64))
    }
    for precision in dict.fromkeys(("float32", recipe.precision)):
        varied = dataclasses.replace(recipe, precision=precision)
        made[f"fast, {precision}"] = maximise(model, _objectives(layer, channels), recipe=varied).images
    return made


def literal_picture(
    model: VisionModel, layer: str, channel: int, recipe: Recipe, dtype: torch.dtype = torch.float32
) -> NDArray[np.uint8]:
    """The 8-bit picture [1, height, width, 3] of a channel by the slow loop."""
    module, seen = own_copy(model).to(dtype).eval(), dict[str, Tensor]()
    module.get_submodule(layer).register_forward_hook(_into(seen))
    images = parametrisation(recipe, Spectrum.from_card(model.card, model.channels))
    generator = generator_of(0, str(_objectives(layer, [channel])[0].bind(model)), recipe.name, 0)
    parameters = images.init(generator)[None].requires_grad_(True)
    drawn = recipe.wander.draw(recipe.steps, generator)
    adam = torch.optim.Adam([parameters], lr=recipe.lr)
    for step in range(recipe.steps):
        adam.zero_grad()
        views = recipe.wander.apply(images.render(parameters), drawn[step][None])
        module(model.normalise(views).to(dtype))
        (-seen["activation"][:, channel].mean()).backward()
        adam.param_groups[0]["lr"] = recipe.lr * recipe.lr_end ** (step / recipe.steps)
        adam.step()
    with torch.no_grad():
        shown = to_bytes(recipe.wander.middle(images.render(parameters)))
    made: NDArray[np.uint8] = shown.permute(0, 2, 3, 1).numpy()
    return made


def _objectives(layer: str, channels: Sequence[int]) -> list[ob.Objective]:
    return [ob.channel(f"{layer}:{channel}") for channel in channels]


def _into(seen: dict[str, Tensor]) -> Any:
    def note(part: nn.Module, inputs: object, output: Tensor) -> None:
        seen["activation"] = output

    return note


def _change(fast: NDArray[np.float32], plain: NDArray[np.float32], asked: bool) -> Row:
    """In percent of the literal objective: of the mean over units, and of the unit that changed most."""
    each = 100 * (fast / plain - 1)
    mean = float(100 * (fast.mean() / plain.mean() - 1))
    return {
        "mean_percent": round(mean, 3),
        "worst_percent": round(float(each[np.abs(each).argmax()]), 3),
        "held": abs(mean) <= 100 * BOUND if asked else None,
    }
