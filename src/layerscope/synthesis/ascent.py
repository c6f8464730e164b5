"""Make pictures that climb objectives: plan who climbs with whom, climb, measure on the network itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from weakref import WeakKeyDictionary

from torch import nn

from layerscope import objectives as ob
from layerscope.capture.evaluating import undisturbed
from layerscope.capture.units import Unit
from layerscope.errors import InputError
from layerscope.given import progress_to, shown, whole_number
from layerscope.models.model import VisionModel
from layerscope.models.spectrum import Spectrum
from layerscope.objectives import Objective
from layerscope.synthesis.checks import (
    Asked,
    checked_frames,
    checked_model,
    checked_spectrum,
    checked_starts,
    checked_steps,
    listed,
)
from layerscope.synthesis.outcome import Synthesis
from layerscope.synthesis.pictures import together
from layerscope.synthesis.plan import plan_of, ticker
from layerscope.synthesis.recipes import Recipe, default_objective
from layerscope.synthesis.work import Work
from layerscope.types import Images, Progress, no_progress


def maximise(
    model: VisionModel,
    objectives: Asked | Sequence[Asked],
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

    Pictures climb `recipe.together` at a time (8; in networks of large inputs up to 32, on a GPU up to 64), and a batch
    is always filled up, which keeps a picture's bytes the same in any company: a single picture costs as much as one.

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
    colours = checked_spectrum(spectrum, checked_model(model))
    steps, frames, seed = checked_steps(steps), checked_frames(frames), whole_number("seed", seed, 0)
    asked, told = listed(objectives), progress_to(on_progress)
    checked_starts(starts, len(asked))
    bound = [bound_objective(one, model) for one in asked]
    with _turn(model.module), undisturbed(model.module):
        plan = plan_of(model, bound, recipe, steps, starts)
        written = isinstance(recipe, str) and starts is None  # a recipe of one's own asks for its ascent
        work = Work(model, colours, seed, frames, written, ticker(plan, told))
        found = dict(pair for (made, _), parties in plan.items() for pair in work.pictures(made, parties))
    pictures = [found[place] for place in range(len(bound))]
    return together(pictures, bound, model.channels, time.perf_counter() - began)


_TURNS: WeakKeyDictionary[nn.Module, threading.RLock] = WeakKeyDictionary()


def _turn(module: nn.Module) -> threading.RLock:
    """One call at a time: what a network is lent for a call would be taken for its own by another thread's."""
    return _TURNS.setdefault(module, threading.RLock())


def bound_objective(given: Asked, model: VisionModel) -> Objective:
    """What `maximise` climbs for an objective, a unit or its text, or the name of a class."""
    if isinstance(given, Objective):
        return given.bind(model)
    if isinstance(given, str) and (":" not in given or given in (model.class_names or ())):
        return ob.logit(given).bind(model)
    if not isinstance(given, Unit | str):
        raise InputError(
            f"{shown(given)} is nothing to climb; give an objective, a unit such as 'conv3:5', or a class name"
        )
    return default_objective(Unit.parse(given) if isinstance(given, str) else given, model)
