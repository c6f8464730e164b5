"""The work of one call: private copies, batches that memory holds, second tries, and judging what came of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping

import numpy as np
from torch import nn

from layerscope.errors import InputError
from layerscope.models.memory import out_of_memory
from layerscope.models.model import VisionModel
from layerscope.models.precision import Precision
from layerscope.models.private_copy import private_copy
from layerscope.models.spectrum import Spectrum
from layerscope.objectives import OUTPUT, Objective
from layerscope.synthesis.batching import halved, in_batches
from layerscope.synthesis.climb import Ascent, Climbed, Party, never_climbed
from layerscope.synthesis.closed_form import EXACT, written_down
from layerscope.synthesis.images import Parametrisation
from layerscope.synthesis.outcome import Jury
from layerscope.synthesis.picked import SomeChannels, picked_alike
from layerscope.synthesis.pictures import Picture, judged, noted
from layerscope.synthesis.plan import example_of, normaliser, pictures_of
from layerscope.synthesis.recipes import Recipe, parametrisation

_CopyKey = tuple[tuple[str, ...], float, Precision, int]
_WINDOW = 256
"""Pictures that are climbed before they are judged: their starts and ends are kept meanwhile."""
JUDGED = 8
"""Pictures that are scored in one batch, always: see climb.py."""


class Work:
    """What all pictures of one call share."""

    def __init__(
        self,
        model: VisionModel,
        spectrum: Spectrum,
        seed: int,
        frames: int,
        written: bool,
        on_step: Callable[..., None],
    ) -> None:
        self.model, self.spectrum, self.seed, self.frames, self.on_step = model, spectrum, seed, frames, on_step
        self.written = written
        self.normalise = normaliser(model)
        self.copies: dict[_CopyKey, tuple[nn.Module, SomeChannels | None]] = {}
        self.most: int | None = None
        self.judges = JUDGED

    def pictures(self, recipe: Recipe, parties: list[Party]) -> Iterator[tuple[int, Picture]]:
        """The pictures of parties with equal layers, each with its place in the call."""
        layers = parties[0].climbs.layers
        self.copies = {key: copy for key, copy in self.copies.items() if key[0] == layers}  # each is a whole network
        written = self._written(recipe, parties)
        yield from ((places[0], picture) for places, picture in written.items())
        single = [party for party in parties if _reads_one_unit(party) and party.places not in written]
        others = [party for party in parties if not _reads_one_unit(party)]
        for some in [*in_batches(single, _WINDOW, pictures_of), *in_batches(others, _WINDOW, pictures_of)]:
            found = self._found(recipe, some)
            again = [self._moved(party) for party in some if any(one.status == "dead" for one in found[party.places])]
            moved = [party for party in again if party is not None]
            if moved:
                found |= self._second_try(recipe, moved, found)
            for places, pictures in found.items():
                yield from zip(places, pictures, strict=True)

    def _written(self, recipe: Recipe, parties: list[Party]) -> dict[tuple[int, ...], Picture]:
        """Pictures that need no ascent, by the places of their parties."""
        if not self.written:
            return {}
        found = [written_down(self.model, party, recipe.view, self.frames) for party in parties]
        done = [one for one in found if one is not None]
        images = parametrisation(recipe, self.spectrum, self.model.device)
        made = self._judged(recipe, images, done) if done else {}
        for some in in_batches(done, recipe.together, lambda one: 1):
            self.on_step(str(some[-1].party.objective), recipe.steps)
        return {
            places: dataclasses.replace(picture, status="converged", note=EXACT) for places, (picture,) in made.items()
        }

    def _moved(self, party: Party) -> Party | None:
        """A gradient of exactly zero: climb the value before the activation function."""
        moved = _before_activation(party.objective, self.model)
        return None if moved is None else dataclasses.replace(party, climbs=moved)

    def _second_try(
        self, recipe: Recipe, parties: list[Party], first: Mapping[tuple[int, ...], list[Picture]]
    ) -> dict[tuple[int, ...], list[Picture]]:
        second: dict[tuple[int, ...], list[Picture]] = {}
        for layers, one in dict.fromkeys((party.climbs.layers, _reads_one_unit(party)) for party in parties):
            alike = [party for party in parties if (party.climbs.layers, _reads_one_unit(party)) == (layers, one)]
            second |= self._found(recipe, alike)
        for party in parties:
            if any(one.status == "dead" for one in second[party.places]):
                second[party.places] = first[party.places]
                continue
            note = f"its gradient was zero, so {party.climbs} was climbed in its place"
            second[party.places] = [noted(one, note) for one in second[party.places]]
        return second

    def _found(self, recipe: Recipe, parties: list[Party]) -> dict[tuple[int, ...], list[Picture]]:
        """Climb parties and judge what came of it, by their places."""
        images = parametrisation(recipe, self.spectrum, self.model.device)
        done, note = self._climbed(recipe, images, parties)
        found = self._judged(recipe, images, done)
        return {places: [noted(picture, note) for picture in pictures] for places, pictures in found.items()}

    def _judged(
        self, recipe: Recipe, images: Parametrisation, done: list[Climbed]
    ) -> dict[tuple[int, ...], list[Picture]]:
        """Scores and controls on the network itself, and what they say, by the places of the parties."""
        spreads, ends, starts = self._measured(recipe, images, done)
        note = (
            "" if self.judges == JUDGED else f"scored {self.judges} at a time instead of {JUDGED}, for want of memory"
        )
        found = {}
        for one, spread, score, control in zip(done, spreads, ends, starts, strict=True):
            pictures = [
                judged(one, row, float(score[row]), float(control[row]), float(spread))
                for row in range(len(one.party.places))
            ]
            found[one.party.places] = [noted(picture, note) for picture in pictures]
        return found

    def _measured(
        self, recipe: Recipe, images: Parametrisation, done: list[Climbed]
    ) -> tuple[np.ndarray, list[np.ndarray], list[np.ndarray]]:
        """Spreads, scores and controls, as many at a time as memory holds."""
        while True:
            jury = Jury(self.model, images, recipe.shown, self.judges)
            try:
                ends = jury.scores([(one.party.objective, one.end) for one in done])
                starts = jury.scores([(one.party.objective, one.start) for one in done])
                for one, *measured in zip(done, ends, starts, strict=True):
                    self._check(one.party.objective, *measured)
                others = never_climbed(recipe, images, JUDGED)
                return jury.spreads(others, [one.party.objective for one in done]), ends, starts
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
                self.judges = halved(self.judges, 1, error)

    def _check(self, objective: Objective, *measured: np.ndarray) -> None:
        for values in measured:
            if not np.isfinite(values).all():
                raise InputError(
                    f"objective {str(objective)!r} is {values[~np.isfinite(values)][0]} on the network itself, in "
                    f"{str(self.model.dtype).removeprefix('torch.')}; look for inf or nan in its weights, or open "
                    "it in float32"
                )

    def _climbed(self, recipe: Recipe, images: Parametrisation, parties: list[Party]) -> tuple[list[Climbed], str]:
        """All parties, in their order, in batches that memory holds; and what is to be said of the batches."""
        done: dict[tuple[int, ...], Climbed] = {}
        asked, largest = recipe.together, max(len(party.places) for party in parties)
        size = max(min(asked, self.most or asked), largest)
        while len(done) < len(parties):
            try:
                private, picked = self._private(parties[0], recipe, size)
                ascent = Ascent(private, self.normalise, recipe, images, self.seed, self.on_step, self.frames, picked)
                for one in ascent([party for party in parties if party.places not in done], size):
                    done[one.party.places] = one
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
                size = self.most = halved(size, largest, error)
                self.copies.clear()
        note = "" if size == asked else f"climbed {size} at a time instead of {asked}, for want of memory"
        return [done[party.places] for party in parties], note

    def _private(self, party: Party, recipe: Recipe, size: int) -> tuple[nn.Module, SomeChannels | None]:
        """The copy that parties like this one climb, `size` at a time, and its last convolution if that is picked."""
        layers, one = party.climbs.layers, _reads_one_unit(party)
        key = (layers, recipe.leak, recipe.precision, size if one else 0)
        if key not in self.copies:
            example = example_of(self.model)
            private = private_copy(self.model.module, example, layers, recipe.leak, recipe.precision, blocked=True)
            self.copies[key] = private, picked_alike(private, layers[0], size, example) if one else None
        return self.copies[key]


def _before_activation(objective: Objective, model: VisionModel) -> Objective | None:
    """The same objective before the last operation inside its layer: its last part that puts out the same shape."""
    if len(objective.layers) != 1 or objective.layers == (OUTPUT,):
        return None
    layer = model.layer(objective.layers[0])
    inner = [one for one in model.layers() if one.name.startswith(f"{layer.name}.") and one.shape == layer.shape]
    return objective.moved(objective.layers[0], inner[-1].name).bind(model) if inner else None


def _reads_one_unit(party: Party) -> bool:
    return len(party.places) == 1 and party.climbs.unit_read is not None
