"""Make pictures that climb objectives: plan who climbs with whom, climb, measure on the network itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from weakref import WeakKeyDictionary

import torch
from torch import nn

from layerscope import objectives as ob
from layerscope.capture.evaluating import undisturbed
from layerscope.capture.units import Unit
from layerscope.errors import InputError
from layerscope.models.model import VisionModel
from layerscope.models.spectrum import Spectrum
from layerscope.objectives import Objective
from layerscope.synthesis.outcome import Synthesis
from layerscope.synthesis.pictures import together
from layerscope.synthesis.plan import plan_of, ticker
from layerscope.synthesis.recipes import Recipe, default_objective
from layerscope.synthesis.work import Work
from layerscope.types import Images, Progress, no_progress


def maximise(
    model: VisionModel,
    objectives: Objective | Unit | str | Sequence[Objective | Unit | str],
    *,
    recipe: str | Recipe = "standard",
    steps: int | None = None,
    seed: int = 0,
    spectrum: Spectrum | None = None,
    starts: Images | None = None,
    frames: int = 0,
    on_progress: Progress = no_progress,
) -> Synthesis:
    """One picture per objective, that makes the network score it high (activation maximisation, Erhan et al. 2009).

    Pictures climb `recipe.together` at a time (8, in networks of large inputs up to 32), and a batch is always filled
    up, which keeps a picture's bytes the same in any company: a single picture costs as much as a batch.

    `objectives`: each an Objective, a Unit or its text ("conv3:5": drawn as galleries do), or the name of a class.
    `recipe`: "draft", "standard" or "fine", fitted to each layer's depth; or a Recipe, used as it is for all.
    `spectrum`: colours and frequencies of the pictures; by default those on the model's card, else of photographs.
    `starts`: images [n, channel, side, side] in [0, 1] that the pictures start from, one for each objective; the
    recipe's parametrisation has to take them ("seeded").
    `frames`: how many pictures of each ascent to keep, 2 or more, the first and the last with them; 0: none.

    Neurons and channels of a first convolution are not climbed: their best picture is written down (closed_form.py).

    A picture depends on (weights, objective, recipe, seed) only: its bytes are the same in any company and order.
    Images with an equal objective that holds a `diversity` term are the exception: they form one group (of at most
    `recipe.together`) and differ. Where memory does not suffice, batches are halved, and the pictures' notes say so.
    The user's module is left as it came. Raises UnknownNameError for a layer, unit, class or recipe that does not
    exist, and InputError where a score is not finite or there is nothing to climb.
    """
    began = time.perf_counter()
    if not isinstance(model, VisionModel):
        raise InputError(f"a {type(model).__name__} is no VisionModel; open it with load_model, or wrap(module)")
    objectives = [objectives] if isinstance(objectives, Objective | Unit | str) else list(objectives)
    if not objectives or (steps is not None and steps < 1):
        raise InputError(f"got {len(objectives)} objectives and steps={steps}; at least one of each is needed")
    _check(starts, len(objectives))
    if not isinstance(frames, int) or frames < 0 or frames == 1:
        raise InputError(f"frames={frames}; give 2 or more (the first is the start, the last the picture), or 0")
    bound = [bound_objective(one, model) for one in objectives]
    colours = spectrum or Spectrum.from_card(model.card, model.channels)
    with _turn(model.module), undisturbed(model.module):
        plan = plan_of(model, bound, recipe, steps, starts)
        written = isinstance(recipe, str) and starts is None  # a recipe of one's own asks for its ascent
        work = Work(model, colours, seed, frames, written, ticker(plan, on_progress))
        found = dict(pair for (made, _), parties in plan.items() for pair in work.pictures(made, parties))
    pictures = [found[place] for place in range(len(bound))]
    return together(pictures, bound, model.channels, time.perf_counter() - began)


_TURNS: WeakKeyDictionary[nn.Module, threading.RLock] = WeakKeyDictionary()


def _turn(module: nn.Module) -> threading.RLock:
    """One call at a time: what a network is lent for a call would be taken for its own by another thread's."""
    return _TURNS.setdefault(module, threading.RLock())


def bound_objective(given: Objective | Unit | str, model: VisionModel) -> Objective:
    """What `maximise` climbs for an objective, a unit or its text, or the name of a class."""
    if isinstance(given, Objective):
        return given.bind(model)
    if isinstance(given, str) and (":" not in given or given in (model.class_names or ())):
        return ob.logit(given).bind(model)
    if not isinstance(given, Unit | str):
        raise InputError(f"{given!r} is nothing to climb; give an objective, a unit such as 'conv3:5', or a class name")
    return default_objective(Unit.parse(given) if isinstance(given, str) else given, model)


def _check(starts: Images | None, count: int) -> None:
    if starts is None:
        return
    if not isinstance(starts, torch.Tensor) or not starts.is_floating_point():
        kind = starts.dtype if isinstance(starts, torch.Tensor) else type(starts).__name__
        raise InputError(f"starts of {kind} are no images; give a float tensor [n, channel, side, side] in [0, 1]")
    if len(starts) != count:
        raise InputError(f"{len(starts)} starts for {count} objectives; give one for each")
    if not bool(((starts >= 0) & (starts <= 1)).all()):
        raise InputError("the starts have values outside of [0, 1], or nan; give images with values in [0, 1]")
