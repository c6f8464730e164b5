"""Make pictures that climb objectives: plan who climbs with whom, climb, measure on the network itself."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from layerscope import objectives as ob
from layerscope.capture.evaluating import evaluating
from layerscope.capture.hooks import capture
from layerscope.capture.units import Unit
from layerscope.errors import InputError
from layerscope.models.model import VisionModel
from layerscope.models.precision import Precision
from layerscope.models.private_copy import private_copy
from layerscope.models.spectrum import Spectrum
from layerscope.objectives import OUTPUT, Objective
from layerscope.synthesis.batching import halved, in_batches, out_of_memory
from layerscope.synthesis.climb import Ascent, Climbed, Party, never_climbed
from layerscope.synthesis.images import Parametrisation
from layerscope.synthesis.outcome import Jury, Status, Synthesis, judge, saturation
from layerscope.synthesis.picked import PickedConv, picked_in
from layerscope.synthesis.recipes import Recipe, default_objective, parametrisation, recipe_for
from layerscope.synthesis.seeded import on_canvas
from layerscope.types import Images, Progress, no_progress

if TYPE_CHECKING:
    from layerscope.capture.layers import Layer

Plan = dict[tuple[Recipe, tuple[str, ...]], list[Party]]
_CopyKey = tuple[tuple[str, ...], float, Precision, int]
_WINDOW = 256
"""Pictures that are climbed before they are judged: their starts and ends are kept meanwhile."""
_JUDGED = 8
"""Pictures that are scored in one batch, always: see climb.py."""


@dataclasses.dataclass(frozen=True)
class _Picture:
    image: np.ndarray
    score: float
    control: float
    trace: np.ndarray
    status: Status
    note: str
    frames: np.ndarray | None


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
    _check(len(objectives), starts, frames)
    bound = [bound_objective(one, model) for one in objectives]
    colours = spectrum or Spectrum.from_card(model.card, model.channels)
    with torch.inference_mode(False), torch.enable_grad():
        plan = _plan(model, bound, recipe, steps, starts)
        work = _Work(model, colours, seed, frames, _ticker(plan, on_progress))
        found = dict(pair for (made, _), parties in plan.items() for pair in work.pictures(made, parties))
    pictures = [found[place] for place in range(len(bound))]
    return _synthesis(pictures, bound, model.channels, time.perf_counter() - began)


class _Work:
    """What all pictures of one call share."""

    def __init__(
        self, model: VisionModel, spectrum: Spectrum, seed: int, frames: int, on_step: Callable[[str], None]
    ) -> None:
        self.model, self.spectrum, self.seed, self.frames, self.on_step = model, spectrum, seed, frames, on_step
        self.normalise = _normaliser(model)
        self.copies: dict[_CopyKey, tuple[nn.Module, PickedConv | None]] = {}
        self.most: int | None = None

    def pictures(self, recipe: Recipe, parties: list[Party]) -> Iterator[tuple[int, _Picture]]:
        """The pictures of parties with equal layers, each with its place in the call."""
        single = [party for party in parties if _reads_one_unit(party)]
        others = [party for party in parties if not _reads_one_unit(party)]
        for some in [*in_batches(single, _WINDOW, _pictures_of), *in_batches(others, _WINDOW, _pictures_of)]:
            found = self._found(recipe, some)
            again = [self._moved(party) for party in some if any(one.status == "dead" for one in found[party.places])]
            moved = [party for party in again if party is not None]
            if moved:
                found |= self._second_try(recipe, moved, found)
            for places, pictures in found.items():
                yield from zip(places, pictures, strict=True)

    def _moved(self, party: Party) -> Party | None:
        """A gradient of exactly zero: climb the value before the activation function."""
        moved = _before_activation(party.objective, self.model)
        return None if moved is None else dataclasses.replace(party, climbs=moved)

    def _second_try(
        self, recipe: Recipe, parties: list[Party], first: Mapping[tuple[int, ...], list[_Picture]]
    ) -> dict[tuple[int, ...], list[_Picture]]:
        second: dict[tuple[int, ...], list[_Picture]] = {}
        for layers, one in dict.fromkeys((party.climbs.layers, _reads_one_unit(party)) for party in parties):
            alike = [party for party in parties if (party.climbs.layers, _reads_one_unit(party)) == (layers, one)]
            second |= self._found(recipe, alike)
        for party in parties:
            if any(one.status == "dead" for one in second[party.places]):
                second[party.places] = first[party.places]
                continue
            note = f"its gradient was zero, so {party.climbs} was climbed in its place"
            second[party.places] = [_noted(one, note) for one in second[party.places]]
        return second

    def _found(self, recipe: Recipe, parties: list[Party]) -> dict[tuple[int, ...], list[_Picture]]:
        """Climb parties and judge what came of it, by their places."""
        images = parametrisation(recipe, self.spectrum, self.model.device)
        done, note = self._climbed(recipe, images, parties)
        jury = Jury(self.model, images, recipe.shown, _JUDGED)
        spreads = jury.spreads(never_climbed(recipe, images, _JUDGED), [party.objective for party in parties])
        ends = jury.scores([(one.party.objective, one.end) for one in done])
        starts = jury.scores([(one.party.objective, one.start) for one in done])
        found = {}
        for one, spread, score, control in zip(done, spreads, ends, starts, strict=True):
            rows = range(len(one.party.places))
            pictures = [_picture(one, row, float(score[row]), float(control[row]), float(spread)) for row in rows]
            found[one.party.places] = [_noted(picture, note) for picture in pictures]
        return found

    def _climbed(self, recipe: Recipe, images: Parametrisation, parties: list[Party]) -> tuple[list[Climbed], str]:
        """All parties, in their order, in batches that memory holds; and what is to be said of the batches."""
        done: dict[tuple[int, ...], Climbed] = {}
        asked = recipe.together
        size = min(asked, self.most or asked)
        while len(done) < len(parties):
            private, picked = self._private(parties[0], recipe, size)
            ascent = Ascent(private, self.normalise, recipe, images, self.seed, self.on_step, self.frames, picked)
            try:
                for one in ascent([party for party in parties if party.places not in done], size):
                    done[one.party.places] = one
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
                size = self.most = halved(size, max(len(party.places) for party in parties), error)
        note = "" if size == asked else f"climbed {size} at a time instead of {asked}, for want of memory"
        return [done[party.places] for party in parties], note

    def _private(self, party: Party, recipe: Recipe, size: int) -> tuple[nn.Module, PickedConv | None]:
        """The copy that parties like this one climb, `size` at a time, and its last convolution if that is picked."""
        layers, one = party.climbs.layers, _reads_one_unit(party)
        key = (layers, recipe.leak, recipe.precision, size if one else 0)
        if key not in self.copies:
            private = private_copy(
                self.model.module, _example(self.model), layers, recipe.leak, recipe.precision, blocked=True
            )
            self.copies[key] = private, picked_in(private, layers[0], size) if one else None
        return self.copies[key]


def bound_objective(given: Objective | Unit | str, model: VisionModel) -> Objective:
    """What `maximise` climbs for an objective, a unit or its text, or the name of a class."""
    if isinstance(given, Objective):
        return given.bind(model)
    if isinstance(given, str) and (":" not in given or given in (model.class_names or ())):
        return ob.logit(given).bind(model)
    if not isinstance(given, Unit | str):
        raise InputError(f"{given!r} is nothing to climb; give an objective, a unit such as 'conv3:5', or a class name")
    return default_objective(Unit.parse(given) if isinstance(given, str) else given, model)


def _check(count: int, starts: Images | None, frames: int) -> None:
    if starts is not None and len(starts) != count:
        raise InputError(f"{len(starts)} starts for {count} objectives; give one for each")
    if frames < 0 or frames == 1:
        raise InputError(f"frames={frames}; give 2 or more (the first is the start, the last the picture), or 0")


def _plan(
    model: VisionModel, bound: Sequence[Objective], recipe: str | Recipe, steps: int | None, starts: Images | None
) -> Plan:
    """Who climbs with whom: pictures with the same recipe and layers, groups of diversity kept whole."""
    groups: dict[str, list[int]] = {}
    for place, objective in enumerate(bound):
        groups.setdefault(str(objective) if objective.grouped else f"{place}", []).append(place)
    plan: Plan = {}
    for places in groups.values():
        objective = bound[places[0]]
        made = _recipe(model, objective, recipe, steps)
        if len(places) > made.together:
            raise InputError(
                f"{len(places)} pictures of {str(objective)!r}; a group with diversity has at most {made.together}"
            )
        begins = () if starts is None else tuple(on_canvas(starts[list(places)], made.wander.canvas))
        plan.setdefault((made, objective.layers), []).append(Party(objective, objective, tuple(places), begins))
    return {(_that_fits(model, made, layers), layers): parties for (made, layers), parties in plan.items()}


def _recipe(model: VisionModel, objective: Objective, recipe: str | Recipe, steps: int | None) -> Recipe:
    if isinstance(recipe, str):
        recipe = recipe_for(recipe, _deepest(objective, model), model)
    if objective.positioned:  # rows and columns are those of the network's input size
        recipe = dataclasses.replace(recipe, view=model.input_size)
    return recipe if steps is None else dataclasses.replace(recipe, steps=steps)


def _deepest(objective: Objective, model: VisionModel) -> Layer | None:
    if OUTPUT in objective.layers:
        return None
    return next(
        layer for layer in reversed(model.layers()) if layer.name in {model.layer(n).name for n in objective.layers}
    )


def _that_fits(model: VisionModel, recipe: Recipe, layers: tuple[str, ...]) -> Recipe:
    """The recipe at the network's input size where the network does not take a smaller picture up to these layers."""
    if recipe.shown >= model.input_size:
        return recipe
    try:
        with evaluating(model.module), capture(model, list(layers)):
            model.module(_example(model)[..., : recipe.shown, : recipe.shown].to(model.dtype))
    except (
        RuntimeError,
        AssertionError,
        ValueError,
    ):  # how networks refuse a size; at full size the same error is raised
        return dataclasses.replace(recipe, view=model.input_size)
    return recipe


def _normaliser(model: VisionModel) -> Callable[[Images], Images]:
    """The model's normalisation in float32, as its private copy computes, whatever its own dtype is."""
    device = model.device
    mean, std = (torch.tensor(v, dtype=torch.float32, device=device).view(-1, 1, 1) for v in (model.mean, model.std))
    factor, offset = 1 / std, -mean / std
    return lambda images: torch.addcmul(offset, images, factor)


def _example(model: VisionModel) -> torch.Tensor:
    """One image of noise, normalised, float32."""
    shape = (1, model.channels, model.input_size, model.input_size)
    noise = torch.rand(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float32)
    return _normaliser(model)(noise.to(model.device))


def _before_activation(objective: Objective, model: VisionModel) -> Objective | None:
    """The same objective before the last operation inside its layer: its last part that puts out the same shape."""
    if len(objective.layers) != 1 or objective.layers == (OUTPUT,):
        return None
    layer = model.layer(objective.layers[0])
    inner = [one for one in model.layers() if one.name.startswith(f"{layer.name}.") and one.shape == layer.shape]
    return objective.moved(objective.layers[0], inner[-1].name).bind(model) if inner else None


def _picture(one: Climbed, row: int, score: float, control: float, spread: float) -> _Picture:
    trace = one.trace[row].numpy()
    status, note = judge(trace, score, control, spread, bool(one.dead[row]))
    frames = None if one.frames is None else _last(one.frames[row])
    return _Picture(_last(one.end[row]), score, control, trace, status, note, frames)


def _reads_one_unit(party: Party) -> bool:
    return len(party.places) == 1 and party.climbs.unit_read is not None


def _pictures_of(party: Party) -> int:
    return len(party.places)


def _noted(picture: _Picture, note: str) -> _Picture:
    return dataclasses.replace(picture, note="; ".join(filter(None, [note, picture.note])))


def _last(images: torch.Tensor) -> np.ndarray:
    """[..., channel, height, width] -> [..., height, width, channel]."""
    return images.movedim(-3, -1).contiguous().numpy()


def _synthesis(found: Sequence[_Picture], bound: Sequence[Objective], channels: int, seconds: float) -> Synthesis:
    return Synthesis(
        images=_stacked([one.image for one in found]),
        scores=np.array([one.score for one in found], dtype=np.float32),
        controls=np.array([one.control for one in found], dtype=np.float32),
        trace=_traces([one.trace for one in found]),
        saturated=np.array([saturation(one.image[..., :channels]) for one in found], dtype=np.float32),
        status=tuple(one.status for one in found),
        notes=tuple(one.note for one in found),
        objectives=tuple(str(objective) for objective in bound),
        seconds=seconds,
        frames=None if found[0].frames is None else _stacked([one.frames for one in found if one.frames is not None]),
    )


def _stacked(images: Sequence[np.ndarray]) -> np.ndarray:
    if len({image.shape for image in images}) == 1:
        return np.stack(images)
    mixed = np.empty(len(images), dtype=object)
    mixed[:] = images
    return mixed


def _traces(traces: Sequence[np.ndarray]) -> np.ndarray:
    filled = np.full((len(traces), max(map(len, traces))), np.nan, dtype=np.float32)
    for row, trace in zip(filled, traces, strict=True):
        row[: len(trace)] = trace
    return filled


def _ticker(plan: Plan, on_progress: Progress) -> Callable[[str], None]:
    """Counts steps of batches; a second try of a dead one runs beyond the plan and is not counted."""
    total = sum(
        recipe.steps * sum(1 for _ in in_batches(parties, recipe.together, _pictures_of))
        for (recipe, _), parties in plan.items()
    )
    done = 0

    def tick(what: str) -> None:
        nonlocal done
        done = min(done + 1, total)
        on_progress(done, total, what)

    return tick
