"""Pictures climb together in batches, without one changing another.

A batched convolution or matrix product may round differently in a batch of another size, though not at another place in
it (measured on CPU: places and 1, 2 or 4 threads do not differ). So every batch of a recipe has the same size, whoever
is in it, and nothing is reduced over it: a picture has the same bytes in any company.
"""

from __future__ import annotations

import hashlib
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from layerscope.capture.hooks import capture
from layerscope.errors import InputError
from layerscope.objectives import Activations, Objective
from layerscope.synthesis.images import Parametrisation
from layerscope.synthesis.outcome import first_not_finite, to_bytes
from layerscope.synthesis.picked import SomeChannels
from layerscope.synthesis.recipes import Recipe, climbed
from layerscope.synthesis.slots import DRAWN, Place, Slots, middles
from layerscope.types import Images


@dataclass(frozen=True)
class Party:
    """Pictures of one objective that see each other: one, or the group of an objective with diversity."""

    objective: Objective
    """What they are scored by, and what seeds them."""
    climbs: Objective
    """What they climb: the objective, or where it gives no gradient, one close to it."""
    places: tuple[int, ...]
    """Where its pictures stand in the whole call."""
    starts: tuple[Tensor, ...] = ()
    """Images [channel, height, width] that the pictures start from; none where they start from noise."""


@dataclass(frozen=True)
class Climbed:
    """What came of a party; rows in the order of its pictures."""

    party: Party
    start: Tensor
    end: Tensor
    """The pictures before and after, uint8 [n, channel, height, width]."""
    trace: Tensor
    """float32 [n, steps that were taken]."""
    dead: Tensor
    """bool [n]: no gradient at the first step."""
    frames: Tensor | None
    """The pictures on the way, uint8 [n, frames, channel, height, width]."""


@dataclass(frozen=True)
class Ascent:
    """What all parties of one recipe, and the same layers, share. Calling it climbs."""

    private: nn.Module
    normalise: Callable[[Images], Images]
    recipe: Recipe
    images: Parametrisation
    seed: int
    on_step: Callable[[str], None]
    frames: int = 0
    picked: SomeChannels | None = None
    """The layer that is climbed, where it computes only the units of these parties, of one picture each."""

    def __call__(self, parties: Sequence[Party], together: int) -> Iterator[Climbed]:
        """Climb the parties, `together` pictures at a time; each comes as it is done.

        Raises InputError where a score is no finite number.
        """
        layers = parties[0].climbs.layers
        slots = Slots(together, self.recipe, self.images, generator_of(self.seed, "", self.recipe.name, 0))
        waiting, held = deque(parties), list[_Held]()
        with capture(self.private, list(layers), stop=True, detach=False) as activations:
            while waiting or held:
                while waiting and len(waiting[0].places) <= len(slots.free):
                    held.append(self._begin(waiting.popleft(), slots))
                self._step(held, slots, activations)
                self.on_step(str(held[0].party.objective))
                for one in [one for one in held if slots.settled(one.place)]:
                    held.remove(one)
                    slots.release(one.place)
                    yield self._done(one, slots)

    def _begin(self, party: Party, slots: Slots) -> _Held:
        name, recipe = str(party.objective), self.recipe
        numbers = [0 if party.objective.aligned else number for number in range(len(party.places))]
        made = [generator_of(self.seed, name, recipe.name, number) for number in numbers]
        parameters = [self.images.init(one, *party.starts[at : at + 1]) for at, one in enumerate(made)]
        place = slots.take(parameters, [self._drawn(one) for one in made])
        start = middles(self.images, torch.stack(parameters).to(slots.device), recipe)
        return _Held(party, self._read_at(place.rows[0], climbed(party.climbs, recipe)), place, to_bytes(start))

    def _read_at(self, row: int, objective: Objective) -> Objective:
        """The objective of a row where the layer computes each row's unit only."""
        if self.picked is None or objective.unit_read is None:
            return objective
        self.picked.pick(row, objective.unit_read[1])
        return objective.reading(row)

    def _drawn(self, generator: torch.Generator) -> Tensor:
        steps = self.recipe.steps
        return torch.cat([self.recipe.wander.draw(steps, generator), self.images.draw(steps, generator)], 1)

    def _step(self, held: Sequence[_Held], slots: Slots, activations: Activations) -> None:
        places, parameters = [one.place for one in held], slots.stacked()
        canvases = self.images.render(parameters)
        self._keep_frames(held, canvases)
        drawn = slots.draws(places)
        views = self.recipe.wander.apply(canvases, drawn[:, :DRAWN])
        shown = self.normalise(self.images.exposed(views, drawn[:, DRAWN:]))
        self.private(shown.to(next(self.private.parameters(), shown).dtype))
        scores = self.images.weighed(_scores(activations, held, len(parameters)), views)
        slots.step(places, scores.detach(), _gradient(-scores.sum(), parameters))

    def _keep_frames(self, held: Sequence[_Held], canvases: Images) -> None:
        """The pictures before those steps that are frames; the last frame is the picture itself."""
        if self.frames:
            at = Counter(int(self.recipe.steps * number / (self.frames - 1) + 0.5) for number in range(self.frames - 1))
            for place in (one.place for one in held if one.place.steps in at):
                frame = to_bytes(self.recipe.wander.middle(canvases[place.rows]))
                place.frames.extend([frame] * at[place.steps])  # more than one where there are fewer steps than frames

    def _done(self, one: _Held, slots: Slots) -> Climbed:
        rows, place = one.place.rows, one.place
        end = to_bytes(middles(self.images, torch.stack([slots.parameters[row] for row in rows]), self.recipe))
        missing = [end] * (self.frames - len(place.frames))  # a picture that settled early stays as it is
        frames = torch.stack([*place.frames, *missing], 1) if self.frames else None
        trace = slots.trace[rows, : place.steps].cpu()
        return Climbed(one.party, one.start, end, trace, ~slots.moved[rows].cpu(), frames)


@dataclass
class _Held:
    """A party that climbs now."""

    party: Party
    climbs: Objective
    place: Place
    start: Tensor = field(repr=False)


def never_climbed(recipe: Recipe, images: Parametrisation, count: int) -> Tensor:
    """Starting pictures that belong to no objective, the same for all of a recipe: uint8 [count, ...]."""
    starts = [images.init(generator_of(0, "never climbed", recipe.name, n)) for n in range(count)]
    return to_bytes(middles(images, torch.stack(starts).to(images.device), recipe))


def generator_of(seed: int, objective: str, recipe: str, number: int) -> torch.Generator:
    """What one picture is drawn from: it depends on nothing else."""
    digest = hashlib.sha256(repr((seed, objective, recipe, number)).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


def _gradient(loss: Tensor, parameters: Tensor) -> Tensor:
    """Zero where none reaches the parameters, as in networks that compute without gradients."""
    if not loss.requires_grad:
        return torch.zeros_like(parameters)
    (gradient,) = torch.autograd.grad(loss, parameters)
    return gradient.contiguous()


def _scores(activations: Activations, held: Sequence[_Held], size: int) -> Tensor:
    """What each row climbs, [size]; 0 in rows that nobody holds."""
    layers = held[0].climbs.layers
    for layer in layers:
        if activations[layer].shape[0] != size:
            raise InputError(
                f"layer {layer!r} gives {list(activations[layer].shape)} for {size} images; an objective needs one row "
                "per image"
            )
    rows = {layer: activations[layer].float().unbind(0) for layer in layers}
    scores = [rows[layers[0]][0].new_zeros(())] * size
    for one in held:
        score = one.climbs({layer: torch.stack([rows[layer][row] for row in one.place.rows]) for layer in layers})
        for row, value in zip(one.place.rows, score, strict=True):
            scores[row] = value
    stacked = torch.stack(scores)
    if (wrong := first_not_finite(stacked.detach())) is not None:
        one = next(one for one in held if wrong in one.place.rows)
        raise InputError(
            f"objective {str(one.party.objective)!r} is {stacked[wrong].item()} at step {one.place.steps}; a picture "
            "needs finite scores: look for inf or nan in the network's weights, or lower the recipe's lr"
        )
    return stacked
