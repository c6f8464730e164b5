"""Does speed change the pictures? The same ascent written literally beside the one that is fast.

Literally: one picture at a time, the network as it is, all of it run in float32 with a hook on the layer, gradients to
all weights, `torch.optim.Adam`. The same random numbers: start and transforms are drawn by the same generators.

Two questions. At the end: is the objective of the pictures the same? Where the gradient of a deep layer is chaotic, two
ascents that differ by one rounding part for good, and the end tells rounding from error no more: the literal ascent in
float64 shows where. So also at each step of the literal path: do objective and gradient agree on the same views? (Of
the private copy with all units of its layer; that the ascent computes those of its batch only shows at the end.)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from layerscope import objectives as ob
from layerscope.benchmarks.report import Row
from layerscope.benchmarks.synthesis.judged import scores_of
from layerscope.benchmarks.synthesis.settings import Target, fitted, own_copy, spread
from layerscope.capture.hooks import capture
from layerscope.models.model import VisionModel
from layerscope.models.private_copy import private_copy
from layerscope.models.spectrum import Spectrum
from layerscope.synthesis.ascent import maximise
from layerscope.synthesis.climb import generator_of
from layerscope.synthesis.outcome import to_bytes
from layerscope.synthesis.plan import example_of
from layerscope.synthesis.recipes import Recipe, parametrisation
from layerscope.types import Progress

BOUND = 0.01
APART = 0.01
"""By how much the least cosine of gradients may be below that of the literal ascent in float64."""
DOUBLE, FAST = "literal, float64", "fast, float32"
TOGETHER = 16


@dataclass(frozen=True)
class Path:
    """A literal ascent: what was shown to the network at each step, and what came of it."""

    picture: NDArray[np.uint8]
    """[height, width, 3]."""
    views: Tensor
    """float32 [step, channel, height, width] in [0, 1]."""
    values: Tensor
    """The objective, float64 [step]."""
    gradients: Tensor
    """By the views."""


def rows_of(model: VisionModel, targets: Sequence[Target], units: int, steps: int, on_progress: Progress) -> list[Row]:
    """How far the objective is from that of the literal ascent: rows per layer for the fast ascent in each number
    format, and for the literal one in float64, which tells what rounding alone does."""
    rows: list[Row] = []
    for done, target in enumerate(targets):
        on_progress(done, len(targets), "exactness")
        channels = spread(model.layer(target.layer).units, units)
        recipe = dataclasses.replace(fitted(model, target.view), steps=steps, leak=0.0)
        about: Row = {"network": model.name, "layer": target.layer, "units": len(channels), "steps": steps}
        rows += [{**about, **row} for row in _rows(model, target, channels, recipe)]
    return rows


def _rows(model: VisionModel, target: Target, channels: Sequence[int], recipe: Recipe) -> list[Row]:
    paths = [literal_path(model, target.layer, channel, recipe) for channel in channels]
    plain = scores_of(model, np.stack([path.picture for path in paths]), target.layer, channels, target.view)
    rows: list[Row] = []
    for name, pictures, module in _others(model, target.layer, channels, recipe):
        scores = scores_of(model, pictures, target.layer, channels, target.view)
        rows.append(
            {"ascent": name, **at_the_end(scores, plain), **along(module, model, target.layer, channels, paths)}
        )
    return rows


def judged(rows: Sequence[Row]) -> list[Row]:
    """With whether the bound is kept: at each step, and at the end where rounding alone changes no unit by more."""
    alone = {_layer(row): row for row in rows if row["ascent"] == DOUBLE}
    return [row | {"held": _held(row, alone[_layer(row)]) if row["ascent"] == FAST else None} for row in rows]


def _layer(row: Row) -> tuple[object, object]:
    return row["network"], row["layer"]


def _held(row: Row, alone: Row) -> bool:
    at_the_end = abs(row["end_percent"]) <= 100 * BOUND or abs(alone["worst_percent"]) > 100 * BOUND
    each_step = row["step_percent"] <= 100 * BOUND and row["least_cosine"] >= alone["least_cosine"] - APART
    return bool(at_the_end and each_step)


def _others(
    model: VisionModel, layer: str, channels: Sequence[int], recipe: Recipe
) -> Iterator[tuple[str, NDArray[np.uint8], nn.Module]]:
    """Ascents beside the literal one: their names, their pictures, and the networks that they climb."""
    double = [literal_path(model, layer, channel, recipe, torch.float64).picture for channel in channels]
    yield DOUBLE, np.stack(double), own_copy(model).double()
    for precision in dict.fromkeys(("float32", recipe.precision)):
        varied = dataclasses.replace(recipe, precision=precision)
        made = maximise(model, _objectives(layer, channels), recipe=varied).images
        private = private_copy(model.module, example_of(model), [layer], recipe.leak, precision, blocked=True)
        yield f"fast, {precision}", made, private


def literal_path(
    model: VisionModel, layer: str, channel: int, recipe: Recipe, dtype: torch.dtype = torch.float32
) -> Path:
    """The ascent of a channel by the slow loop."""
    module, seen = own_copy(model).to(dtype).eval(), dict[str, Tensor]()
    module.get_submodule(layer).register_forward_hook(_into(seen))
    images = parametrisation(recipe, Spectrum.from_card(model.card, model.channels))
    generator = generator_of(0, str(_objectives(layer, [channel])[0].bind(model)), recipe.name, 0)
    parameters = images.init(generator)[None].requires_grad_(True)
    drawn = recipe.wander.draw(recipe.steps, generator)
    adam = torch.optim.Adam([parameters], lr=recipe.lr)
    shown: list[tuple[Tensor, Tensor, Tensor]] = []
    for step in range(recipe.steps):
        adam.zero_grad()
        views = recipe.wander.apply(images.render(parameters), drawn[step][None])
        views.retain_grad()
        module(model.normalise(views).to(dtype))
        value = seen["activation"][:, channel].mean()
        (-value).backward()
        assert views.grad is not None
        shown.append((views.detach(), value.detach().double()[None], -views.grad))
        adam.param_groups[0]["lr"] = recipe.lr * recipe.lr_end ** (step / recipe.steps)
        adam.step()
    with torch.no_grad():
        picture = to_bytes(recipe.wander.middle(images.render(parameters)))
    return Path(picture[0].permute(1, 2, 0).numpy(), *(torch.cat(list(some)) for some in zip(*shown, strict=True)))


def at_the_end(scores: NDArray[np.float32], plain: NDArray[np.float32]) -> Row:
    """In percent of the literal objective: of the mean over units, and of the unit that changed most."""
    each = 100 * (scores / plain - 1)
    return {
        "end_percent": round(float(100 * (scores.mean() / plain.mean() - 1)), 3),
        "worst_percent": round(float(each[np.abs(each).argmax()]), 3),
    }


def along(module: nn.Module, model: VisionModel, layer: str, channels: Sequence[int], paths: Sequence[Path]) -> Row:
    """Another network on the views of literal paths: the largest change of the objective at any step, in percent of
    the largest that the path reaches; and of the cosines between its gradients and theirs the mean and the least."""
    changes, cosines = [], []
    for channel, path in zip(channels, paths, strict=True):
        values, gradients = _at_views(module, model, layer, channel, path.views)
        changes.append(100 * (values - path.values).abs().max() / path.values.abs().max())
        cosines.append(F.cosine_similarity(gradients.flatten(1), path.gradients.flatten(1).double()))
    least, mean = torch.cat(cosines).min(), torch.cat(cosines).mean()
    return {
        "step_percent": float(f"{torch.stack(changes).max():.3g}"),
        "gradient_cosine": round(float(mean), 5),
        "least_cosine": round(float(least), 5),
    }


def _at_views(module: nn.Module, model: VisionModel, layer: str, channel: int, views: Tensor) -> tuple[Tensor, Tensor]:
    """Objective and gradient by the views, float64, a few views at a time."""
    dtype = next(module.parameters()).dtype
    found = []
    for some in views.split(TOGETHER):
        leaf = some.clone().requires_grad_(True)
        with capture(module.eval(), [layer], detach=False) as activations:
            module(model.normalise(leaf).to(dtype))
            values = activations[layer][:, channel].double().mean((1, 2))
        (gradient,) = torch.autograd.grad(values.sum(), leaf)
        found.append((values.detach(), gradient.double()))
    values, gradients = (torch.cat(list(some)) for some in zip(*found, strict=True))
    return values, gradients


def _objectives(layer: str, channels: Sequence[int]) -> list[ob.Objective]:
    return [ob.channel(f"{layer}:{channel}") for channel in channels]


def _into(seen: dict[str, Tensor]) -> Any:
    def note(part: nn.Module, inputs: object, output: Tensor) -> None:
        seen["activation"] = output

    return note
