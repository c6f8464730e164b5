"""The outcome card of a unit's picture: what says how far to trust it, beyond its score, saturation and status.

Two measurements, each with its baselines: whether natural images excite the unit along the same path through the layers
before it (`faithfulness.picture_paths`), and where there are several seeds, whether their pictures agree
(`faithfulness.agreement`). A card depends on the unit, its pictures, the probe and the seed only: its controls, images
and pictures of other units, are of units drawn by seed among all of the layer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from layerscope.capture.layers import Layer
from layerscope.capture.units import Unit
from layerscope.errors import InputError
from layerscope.faithfulness.agreement import Agreement, agreement
from layerscope.faithfulness.picture_paths import paths_through
from layerscope.faithfulness.seen_means import Spot, as_shown, position_means, seen_means
from layerscope.models.model import VisionModel
from layerscope.studies.exemplars import Naturals
from layerscope.studies.main_layers import main_layers
from layerscope.synthesis.ascent import maximise
from layerscope.synthesis.recipes import Recipe, default_objective, recipe_for

CARD = 1
"""Version of what a card holds: part of the key of a record."""
LAYERS = 8
"""Earlier layers that are compared, at most, evenly spaced among those that tell the story of the forward pass."""
OTHERS = 16
"""Natural images that excite other units, at most."""
OTHER_PICTURES = 8
"""Pictures of other units of the layer, at most: a control of the agreement of seeds."""
MOVED = 4
"""Small transforms of each picture: the other control."""
NO_NATURALS = "no natural images to compare with"
ONE_SEED = "one seed only"
SEEDS = {"fine": 3}
"""How many seeds a recipe has pictures of; one where it is not named."""


class OutcomeCards:
    """Makes the cards of a gallery's units; what the units of a layer share is made once."""

    def __init__(self, model: VisionModel, recipe: str, seed: int) -> None:
        self.model, self.recipe, self.seed = model, recipe, seed
        self._pictures: dict[str, tuple[list[int], NDArray[np.float64]]] = {}

    def of(
        self,
        layer: Layer,
        units: Sequence[int],
        pictures: Sequence[NDArray[Any]],
        naturals: Naturals | None,
    ) -> list[dict[str, Any]]:
        """A card as JSON for each unit. pictures: by seed, those of all units [height, width, channel]."""
        made = replace(recipe_for(self.recipe, layer, self.model), view=pictures[0][0].shape[0])
        shown = [[_pixels(picture) for picture in some] for some in pictures]
        paths = self._paths(layer, units, shown, naturals, made)
        agreements = [self._agreement(layer, unit, [some[at] for some in shown], made) for at, unit in enumerate(units)]
        return [
            {
                "version": CARD,
                "path": path,
                "agreement": {"words": ONE_SEED} if agreed is None else agreed.facts(),
            }
            for path, agreed in zip(paths, agreements, strict=True)
        ]

    def _paths(
        self, layer: Layer, units: Sequence[int], shown: list[list[Tensor]], naturals: Naturals | None, made: Recipe
    ) -> list[dict[str, Any]]:
        if naturals is None:
            return [{"words": NO_NATURALS}] * len(units)
        earlier = layers_before(self.model, layer)
        own = [_own(naturals, unit) for unit in units]
        others = [other_spots(naturals, unit, self.seed) for unit in units]
        spots = list(dict.fromkeys(spot for group in (*own, *others) for spot in group))
        row = {spot: place for place, spot in enumerate(spots)}
        means = seen_means(self.model, naturals.probe.data.pixels, spots, layer, earlier)
        pictures = self._picture_means(layer, units, shown, earlier, made)
        return [
            _path(
                {name: rows[at] for name, rows in pictures.items()},
                {name: rows[[row[spot] for spot in mine]] for name, rows in means.items()},
                {name: rows[[row[spot] for spot in rest]] for name, rows in means.items()},
                self.seed,
            )
            for at, (mine, rest) in enumerate(zip(own, others, strict=True))
        ]

    def _picture_means(
        self, layer: Layer, units: Sequence[int], shown: list[list[Tensor]], earlier: Sequence[Layer], made: Recipe
    ) -> dict[str, NDArray[np.float64]]:
        """[units, seeds, features] of each earlier layer, where each picture excites its unit most."""
        pixels = torch.stack([some[at] for at in range(len(units)) for some in shown])
        spots = [Spot(place, units[place // len(shown)]) for place in range(len(pixels))]
        found = seen_means(self.model, pixels, spots, layer, earlier, made.shown)
        return {name: rows.reshape(len(units), len(shown), -1) for name, rows in found.items()}

    def _agreement(self, layer: Layer, unit: int, shown: list[Tensor], made: Recipe) -> Agreement | None:
        """In the unit's own layer, without the unit: that it is high in all is no agreement, it was climbed."""
        if len(shown) < 2:
            return None
        where = read_in(self.model, layer)
        copies = [moved_a_little(one, made, self.seed) for one in shown]
        images = torch.cat([as_shown(torch.stack(shown), made.shown), *copies])
        means = position_means(self.model, images, where)
        drawn, others = self._other_pictures(layer, where, made)
        rest = others[[at for at, other in enumerate(drawn) if other != unit]]
        if where is layer:
            means, rest = (np.delete(rows, unit, 1) for rows in (means, rest))
        own, moved = np.split(means, [len(shown)])
        return agreement(own, moved.reshape(len(own), MOVED, -1), rest)

    def _other_pictures(self, layer: Layer, where: Layer, made: Recipe) -> tuple[list[int], NDArray[np.float64]]:
        """Units of the layer drawn by seed, and the means of their pictures: [pictures, features]."""
        if layer.name not in self._pictures:
            drawn = sorted(drawn_units(layer, self.seed)[:OTHER_PICTURES])
            objectives = [default_objective(Unit(layer.name, unit), self.model) for unit in drawn]
            images = maximise(self.model, objectives, recipe=self.recipe, seed=self.seed).images
            shown = as_shown(torch.stack([_pixels(image) for image in images]), made.shown)
            self._pictures[layer.name] = drawn, position_means(self.model, shown, where)
        return self._pictures[layer.name]


def seeds_of(recipe: str, seeds: int | None) -> int:
    """How many seeds a gallery has pictures of: as asked, or by its recipe. InputError for less than one."""
    if seeds is not None and (isinstance(seeds, bool) or not isinstance(seeds, int) or seeds < 1):
        raise InputError(f"seeds={seeds!r}; give a whole number of at least 1, or None for as many as the recipe has")
    return SEEDS.get(recipe, 1) if seeds is None else seeds


def layers_before(model: VisionModel, layer: Layer, most: int = LAYERS) -> tuple[Layer, ...]:
    """At most `most` of the layers that tell the story of the forward pass up to `layer`, evenly spaced."""
    names = [one.name for one in model.layers()]
    before = set(names[: names.index(layer.name)])
    found = [one for one in main_layers(model, len(names)) if one.name in before]
    places = np.linspace(0, len(found) - 1, min(most, len(found))).round()
    return tuple(found[int(place)] for place in places)


def read_in(model: VisionModel, layer: Layer) -> Layer:
    """Where pictures of a layer's units are compared: in it; of single values, as classes, in the main layer before it,
    which says more."""
    before = layers_before(model, layer) if len(layer.shape) == 1 else ()
    return before[-1] if before else layer


def drawn_units(layer: Layer, seed: int) -> list[int]:
    """All units of a layer in an order that hangs on its name and the seed only."""
    digest = hashlib.sha256(repr((seed, layer.name, "other units")).encode()).digest()
    order = np.random.default_rng(int.from_bytes(digest[:8], "big")).permutation(layer.units)
    return [int(unit) for unit in order]


def other_spots(naturals: Naturals, unit: int, seed: int, most: int = OTHERS) -> list[Spot]:
    """The strongest image of each of `most` other units, drawn by seed: none of those of `unit`, none twice."""
    taken = {spot.image for spot in _own(naturals, unit)}
    found: list[Spot] = []
    for other in drawn_units(naturals.layer, seed):
        image = int(naturals.top.images[other, 0])
        if other != unit and image not in taken and naturals.top.scores[other, 0] > 0 and len(found) < most:
            found.append(Spot(image, other))
            taken.add(image)
    return found


def moved_a_little(pixels: Tensor, recipe: Recipe, seed: int) -> Tensor:
    """MOVED copies of a picture as the network is shown it, values in [0, 1], under transforms of its ascent drawn by
    seed; beyond its border it is mirrored."""
    wander = recipe.wander
    margin = min(wander.margin, min(pixels.shape[1:]) - 1)
    canvas = torch.nn.functional.pad(pixels[None].float() / 255, (margin,) * 4, mode="reflect")
    drawn = wander.draw(MOVED, torch.Generator().manual_seed(seed))
    return wander.apply(canvas.expand(MOVED, -1, -1, -1), drawn)


def _own(naturals: Naturals, unit: int) -> list[Spot]:
    """The images that excite the unit most, those left out that do not excite it."""
    rows = zip(naturals.top.images[unit].tolist(), naturals.top.scores[unit].tolist(), strict=True)
    return [Spot(image, unit) for image, score in rows if score > 0]


def _path(
    pictures: dict[str, NDArray[np.float64]],
    own: dict[str, NDArray[np.float64]],
    other: dict[str, NDArray[np.float64]],
    seed: int,
) -> dict[str, Any]:
    found = paths_through(pictures, own, other, seed)
    return {"words": NO_NATURALS} if found is None else found.facts()


def _pixels(picture: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))
