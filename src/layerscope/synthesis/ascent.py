"""Make pictures that climb objectives: plan who climbs with whom, climb, measure on the network itself."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
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
from layerscope.models.private_copy import private_copy
from layerscope.models.spectrum import Spectrum
from layerscope.objectives import OUTPUT, Objective
from layerscope.synthesis.climb import TOGETHER, Climb, Party, climb, never_climbed
from layerscope.synthesis.outcome import Status, Synthesis, judge, saturation, score_each, spread_of, to_bytes
from layerscope.synthesis.recipes import Recipe, default_objective, parametrisation, recipe_for
from layerscope.types import Images, Progress, no_progress

if TYPE_CHECKING:
    from layerscope.capture.layers import Layer

Plan = dict[tuple[Recipe, tuple[str, ...]], list[Party]]


@dataclasses.dataclass(frozen=True)
class _Picture:
    image: np.ndarray
    score: float
    control: float
    trace: np.ndarray
    status: Status
    note: str


def maximise(
    model: VisionModel,
    objectives: Objective | Unit | str | Sequence[Objective | Unit | str],
    *,
    recipe: str | Recipe = "standard",
    steps: int | None = None,
    seed: int = 0,
    spectrum: Spectrum | None = None,
    on_progress: Progress = no_progress,
) -> Synthesis:
    """One picture per objective, that makes the network score it high (activation maximisation, Erhan et al. 2009).

    Eight pictures climb at a time, and a batch is always filled up to eight, which keeps a picture's bytes the same in
    any company: a single picture costs as much as eight.

    `objectives`: each an Objective, a Unit or its text ("conv3:5": drawn as galleries do), or the name of a class.
    `recipe`: "draft", "standard" or "fine", fitted to each layer's depth; or a Recipe, used as it is for all.
    `spectrum`: colours and frequencies of the pictures; by default those on the model's card, else of photographs.

    A picture depends on (weights, objective, recipe, seed) only: its bytes are the same in any company and order.
    Images with an equal objective that holds a `diversity` term are the exception: they form one group (at most 8) and
    differ. The user's module is left as it came. Raises UnknownNameError for a layer, unit, class or recipe that does
    not exist, and InputError where a score is not finite or there is nothing to climb.
    """
    began = time.perf_counter()
    if not isinstance(model, VisionModel):
        raise InputError(f"a {type(model).__name__} is no VisionModel; open it with load_model, or wrap(module)")
    objectives = [objectives] if isinstance(objectives, Objective | Unit | str) else list(objectives)
    if not objectives or (steps is not None and steps < 1):
        raise InputError(f"got {len(objectives)} objectives and steps={steps}; at least one of each is needed")
    bound = [_objective(one, model) for one in objectives]
    colours = spectrum or Spectrum.from_card(model.card, model.channels)
    with torch.inference_mode(False), torch.enable_grad():
        plan = _plan(model, bound, recipe, steps)
        work = _Work(model, colours, seed, _ticker(plan, on_progress))
        found = dict(pair for (made, _), parties in plan.items() for pair in work.pictures(made, parties))
    return _synthesis([found[place] for place in range(len(bound))], bound, time.perf_counter() - began)


class _Work:
    """What all batches of one call share."""

    def __init__(self, model: VisionModel, spectrum: Spectrum, seed: int, on_step: Callable[[str], None]) -> None:
        self.model, self.spectrum, self.seed, self.on_step = model, spectrum, seed, on_step
        self.normalise = _normaliser(model)
        self.copies: dict[tuple[tuple[str, ...], float], nn.Module] = {}

    def pictures(self, recipe: Recipe, parties: list[Party]) -> Iterator[tuple[int, _Picture]]:
        """The pictures of parties with equal layers, each with its place in the call."""
        for batch in _batches(parties):
            for party, found in zip(batch, self._found(recipe, batch), strict=True):
                moved = (
                    _before_activation(party.objective, self.model)
                    if any(one.status == "dead" for one in found)
                    else None
                )
                yield from zip(
                    party.places, self._second_try(recipe, party, moved, found) if moved else found, strict=True
                )

    def _second_try(self, recipe: Recipe, party: Party, moved: Objective, first: list[_Picture]) -> list[_Picture]:
        """A gradient of exactly zero: climb the value before the activation function."""
        second = self._found(recipe, [dataclasses.replace(party, climbs=moved)])[0]
        if any(one.status == "dead" for one in second):
            return first
        note = f"its gradient was zero, so {moved} was climbed in its place"
        return [dataclasses.replace(one, note="; ".join(filter(None, [note, one.note]))) for one in second]

    def _found(self, recipe: Recipe, batch: list[Party]) -> list[list[_Picture]]:
        """Climb one batch and judge what came of it, party by party."""
        images = parametrisation(recipe, self.spectrum, _device(self.model))
        private = self._private(batch[0].climbs.layers, recipe)
        what = str(batch[0].objective)
        result = climb(private, self.normalise, batch, recipe, images, self.seed, lambda: self.on_step(what))
        shown = to_bytes(result.end)
        groups = [(party.objective, len(party.places)) for party in batch]
        scores, controls = (score_each(self.model, some, groups) for some in (shown, to_bytes(result.start)))
        spreads = spread_of(self.model, to_bytes(never_climbed(recipe, images)), [party.objective for party in batch])
        found, row = [], 0
        for party, spread in zip(batch, spreads, strict=True):
            rows = range(row, row + len(party.places))
            found.append([_picture(shown, result, scores, controls, float(spread), at) for at in rows])
            row = rows.stop
        return found

    def _private(self, layers: tuple[str, ...], recipe: Recipe) -> nn.Module:
        key = (layers, recipe.leak)
        if key not in self.copies:
            self.copies[key] = private_copy(self.model.module, _example(self.model), layers, recipe.leak)
        return self.copies[key]


def _objective(given: Objective | Unit | str, model: VisionModel) -> Objective:
    if isinstance(given, Objective):
        return given.bind(model)
    if isinstance(given, str) and (":" not in given or given in (model.class_names or ())):
        return ob.logit(given).bind(model)
    if not isinstance(given, Unit | str):
        raise InputError(f"{given!r} is nothing to climb; give an objective, a unit such as 'conv3:5', or a class name")
    return default_objective(Unit.parse(given) if isinstance(given, str) else given, model)


def _plan(model: VisionModel, bound: Sequence[Objective], recipe: str | Recipe, steps: int | None) -> Plan:
    """Who climbs with whom: pictures with the same recipe and layers, groups of diversity kept whole."""
    groups: dict[str, list[int]] = {}
    for place, objective in enumerate(bound):
        groups.setdefault(str(objective) if objective.grouped else f"{place}", []).append(place)
    plan: Plan = {}
    for places in groups.values():
        objective = bound[places[0]]
        if len(places) > TOGETHER:
            raise InputError(
                f"{len(places)} pictures of {str(objective)!r}; a group with diversity has at most {TOGETHER}"
            )
        made = _recipe(model, objective, recipe, steps)
        plan.setdefault((made, objective.layers), []).append(Party(objective, objective, tuple(places)))
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
    if recipe.view >= model.input_size:
        return recipe
    try:
        with evaluating(model.module), capture(model, list(layers)):
            some = next(iter(model.module.parameters()), torch.empty(0, dtype=torch.float32))
            model.module(_example(model)[..., : recipe.view, : recipe.view].to(some.dtype))
    except (
        RuntimeError,
        AssertionError,
        ValueError,
    ):  # how networks refuse a size; at full size the same error is raised
        return dataclasses.replace(recipe, view=model.input_size)
    return recipe


def _device(model: VisionModel) -> torch.device:
    return next((weight.device for weight in model.module.parameters()), torch.device("cpu"))


def _normaliser(model: VisionModel) -> Callable[[Images], Images]:
    """The model's normalisation in float32, as its private copy computes, whatever its own dtype is."""
    device = _device(model)
    mean, std = (torch.tensor(v, dtype=torch.float32, device=device).view(-1, 1, 1) for v in (model.mean, model.std))
    factor, offset = 1 / std, -mean / std
    return lambda images: torch.addcmul(offset, images, factor)


def _example(model: VisionModel) -> torch.Tensor:
    """One image of noise, normalised, float32."""
    shape = (1, model.channels, model.input_size, model.input_size)
    noise = torch.rand(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float32)
    return _normaliser(model)(noise.to(_device(model)))


def _batches(parties: Sequence[Party]) -> Iterator[list[Party]]:
    batch: list[Party] = []
    for party in parties:
        if sum(len(one.places) for one in batch) + len(party.places) > TOGETHER:
            yield batch
            batch = []
        batch = [*batch, party]
    yield batch


def _before_activation(objective: Objective, model: VisionModel) -> Objective | None:
    """The same objective before the last operation inside its layer: its last part that puts out the same shape."""
    if len(objective.layers) != 1 or objective.layers == (OUTPUT,):
        return None
    layer = model.layer(objective.layers[0])
    inner = [one for one in model.layers() if one.name.startswith(f"{layer.name}.") and one.shape == layer.shape]
    return objective.moved(objective.layers[0], inner[-1].name).bind(model) if inner else None


def _picture(
    shown: torch.Tensor, result: Climb, scores: np.ndarray, controls: np.ndarray, spread: float, row: int
) -> _Picture:
    trace = result.trace[row].numpy()
    status, note = judge(trace, float(scores[row]), float(controls[row]), spread, bool(result.dead[row]))
    image = shown[row].permute(1, 2, 0).contiguous().numpy()
    return _Picture(image, float(scores[row]), float(controls[row]), trace, status, note)


def _synthesis(found: Sequence[_Picture], bound: Sequence[Objective], seconds: float) -> Synthesis:
    return Synthesis(
        images=_stacked([one.image for one in found]),
        scores=np.array([one.score for one in found], dtype=np.float32),
        controls=np.array([one.control for one in found], dtype=np.float32),
        trace=_traces([one.trace for one in found]),
        saturated=np.array([saturation(one.image) for one in found], dtype=np.float32),
        status=tuple(one.status for one in found),
        notes=tuple(one.note for one in found),
        objectives=tuple(str(objective) for objective in bound),
        seconds=seconds,
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
    total = sum(recipe.steps * sum(1 for _ in _batches(parties)) for (recipe, _), parties in plan.items())
    done = 0

    def tick(what: str) -> None:
        nonlocal done
        done = min(done + 1, total)
        on_progress(done, total, what)

    return tick
