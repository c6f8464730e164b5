"""What users ask of a synthesis, checked before any work: each function raises InputError in one line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, get_args

import torch

from layerscope.capture.units import Unit
from layerscope.errors import InputError, UnknownNameError
from layerscope.figures.words import plural
from layerscope.given import finite_number, shown, whole_number
from layerscope.models.model import VisionModel
from layerscope.models.precision import Precision
from layerscope.models.spectrum import Spectrum
from layerscope.objectives import Objective
from layerscope.synthesis.kinds import KINDS
from layerscope.synthesis.recipes import EFFORTS, Recipe

if TYPE_CHECKING:
    from layerscope.types import Images

Asked = Objective | Unit | str
"""What a picture may be asked to climb."""
MOST_STEPS, MOST_FRAMES = 1_000_000, 10_000
MOST_TOGETHER = 4096
"""Pictures in a batch."""
LARGEST = 16_384
"""Side of a picture and of its canvas, pixels."""

_ABOVE_0 = ("magnify", "rms", "lr_end")
_FROM_0 = ("lr", "rotate", "shift", "cap", "alpha", "leak", "settle")
_ANY = ("flatten", "chroma_decay", "chroma", "lse_weight")


def checked_model(model: VisionModel) -> VisionModel:
    """The model itself."""
    if not isinstance(model, VisionModel):
        raise InputError(f"a {type(model).__name__} is no VisionModel; open it with load_model, or wrap(module)")
    return model


def listed(objectives: Asked | Sequence[Asked]) -> list[Asked]:
    """One objective or many, as a list of at least one."""
    if isinstance(objectives, Asked):
        return [objectives]
    found = list(objectives) if isinstance(objectives, Iterable) else []
    if not found:
        raise InputError(f"{shown(objectives)} names nothing to climb; give an objective or a unit, or a list of them")
    return found


def checked_steps(steps: int | None) -> int | None:
    return None if steps is None else whole_number("steps", steps, 1, MOST_STEPS)


def checked_frames(frames: int) -> int:
    advice = f"2 to {MOST_FRAMES:,} (the first is the start, the last the picture), or 0"
    if (count := whole_number("frames", frames, 0, MOST_FRAMES, advice)) == 1:
        raise InputError(f"frames=1; give {advice}")
    return count


def checked_spectrum(spectrum: Spectrum | None, model: VisionModel) -> Spectrum:
    """The spectrum, or that of the model's card."""
    if spectrum is None:
        return Spectrum.from_card(model.card, model.channels)
    if not isinstance(spectrum, Spectrum):
        raise InputError(f"spectrum={shown(spectrum)} is no Spectrum; measure one with ls.Spectrum.of(images)")
    if (channels := len(spectrum.mean)) != model.channels:
        raise InputError(
            f"a spectrum of {plural(channels, 'channel')}, and {model.name!r} takes {model.channels}; measure one on "
            "images of as many, with ls.Spectrum.of(images)"
        )
    return spectrum


def checked_starts(starts: Images | None, count: int) -> None:
    """Raise where `starts` are no images, one for each of `count` objectives; what side they need is known later."""
    if starts is None:
        return
    if not isinstance(starts, torch.Tensor) or not starts.is_floating_point():
        kind = starts.dtype if isinstance(starts, torch.Tensor) else type(starts).__name__
        raise InputError(f"starts of {kind} are no images; give a float tensor [n, channel, side, side] in [0, 1]")
    if starts.ndim != 4:
        raise InputError(f"starts of shape {list(starts.shape)} are no images; give [n, channel, side, side]")
    if len(starts) != count:
        raise InputError(f"{plural(len(starts), 'start')} for {plural(count, 'objective')}; give one for each")
    if not bool(((starts >= 0) & (starts <= 1)).all()):
        raise InputError("the starts have values outside of [0, 1], or nan; give images with values in [0, 1]")


def checked(recipe: Recipe) -> Recipe:
    """The recipe itself. Raises InputError for what is none, and for numbers that no picture can be made with."""
    if not isinstance(recipe, Recipe):
        raise InputError(f"{shown(recipe)} is no recipe; give {', '.join(map(repr, EFFORTS))}, or a Recipe")
    if not isinstance(recipe.name, str):
        raise InputError(f"a recipe has name={shown(recipe.name)}; give a text")
    if recipe.parametrisation not in tuple(KINDS):
        raise UnknownNameError.among("parametrisation", recipe.parametrisation, KINDS)
    if recipe.precision not in get_args(Precision):
        known = " or ".join(map(repr, get_args(Precision)))
        raise InputError(f"{_has(recipe, 'precision')}={shown(recipe.precision)}; give {known}")
    _check_numbers(recipe)
    side = max(recipe.wander.canvas, recipe.shown)
    if side > LARGEST or recipe.shown < 1:
        raise InputError(
            f"recipe {recipe.name!r} draws on {recipe.wander.canvas} pixels a side and shows the network "
            f"{recipe.shown}; give a view, shift, scale and magnify that keep both within 1 to {LARGEST:,}"
        )
    return recipe


def _check_numbers(recipe: Recipe) -> None:
    for name, limit in (("steps", MOST_STEPS), ("view", LARGEST), ("together", MOST_TOGETHER)):
        whole_number(_has(recipe, name), getattr(recipe, name), 1, limit)
    for name in _ABOVE_0:
        finite_number(_has(recipe, name), getattr(recipe, name), 0, above=True)
    for name in _FROM_0:
        finite_number(_has(recipe, name), getattr(recipe, name), 0)
    for name in (*_ANY, *(("decay",) if recipe.decay is not None else ())):
        finite_number(_has(recipe, name), getattr(recipe, name))
    finite_number(_has(recipe, "window"), recipe.window, 0, 1)
    scale = recipe.scale
    if not isinstance(scale, (tuple, list)) or len(scale) != 2:
        raise InputError(f"{_has(recipe, 'scale')}={shown(scale)}; give the least and the most, above 0")
    least, most = (finite_number(_has(recipe, "scale"), one, 0, above=True) for one in scale)
    if least > most:
        raise InputError(f"{_has(recipe, 'scale')}={shown(scale)}; give the least and the most, above 0")


def _has(recipe: Recipe, name: str) -> str:
    return f"recipe {recipe.name!r} has {name}"
