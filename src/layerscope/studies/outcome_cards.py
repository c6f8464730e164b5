"""The outcome card of a unit's picture: what says how far to trust it, beyond its score, saturation and status.

Two measurements, each with its baselines: whether natural images excite the unit along the same path through the layers
before it (`faithfulness.picture_paths`), and where there are several seeds, whether their pictures agree
(`faithfulness.agreement`). A card depends on the unit, its pictures, the probe and the seed only: its controls, images
and pictures of other units, are of units drawn by seed among all of the layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from layerscope.capture.layers import Layer
from layerscope.capture.units import Unit
from layerscope.faithfulness.agreement import Agreement, agreement
from layerscope.faithfulness.picture_paths import paths_through
from layerscope.faithfulness.seen_means import UnitSpot, as_shown, position_means, seen_means
from layerscope.given import whole_number
from layerscope.models.model import VisionModel
from layerscope.studies.natural_paths import NaturalPaths, drawn_units, layers_before
from layerscope.synthesis.ascent import maximise
from layerscope.synthesis.recipes import Recipe, default_objective

CARD = 1
"""Version of what a card holds: part of the key of a record."""
OTHER_PICTURES = 8
"""Pictures of other units of the layer, at most: a control of the agreement of seeds."""
MOVED = 4
"""Small transforms of each picture: the other control."""
NO_NATURALS = "no natural images to compare with"
ONE_SEED = "one seed only"
SEEDS = {"fine": 3}
"""How many seeds a recipe has pictures of; one where it is not named."""
MOST_SEEDS = 1000

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class OtherPictures:
    """Pictures of units of a layer that were drawn by seed, by what the network makes of them: [units, features]."""

    units: list[int]
    means: Floats


@dataclass(frozen=True)
class Controls:
    """What the cards of some units of a layer are measured against; values only.

    natural: None without natural images. others: None for pictures of a single seed.
    """

    natural: NaturalPaths | None = None
    others: OtherPictures | None = None


def cards_of(
    model: VisionModel,
    layer: Layer,
    units: Sequence[int],
    pictures: Sequence[NDArray[Any]],
    recipe: Recipe,
    seed: int,
    controls: Controls,
) -> list[dict[str, Any]]:
    """A card as JSON for each unit. pictures: by seed, those of all units [height, width, channel]."""
    made = replace(recipe, view=pictures[0][0].shape[0])
    shown = [[_pixels(picture) for picture in some] for some in pictures]
    paths = _paths(model, layer, units, shown, made, seed, controls.natural)
    cards = []
    for at, (unit, path) in enumerate(zip(units, paths, strict=True)):
        agreed = _agreement(model, layer, unit, [some[at] for some in shown], made, seed, controls.others)
        told = {"words": ONE_SEED} if agreed is None else agreed.facts()
        cards.append({"version": CARD, "path": path, "agreement": told})
    return cards


def other_pictures(model: VisionModel, layer: Layer, recipe: Recipe, seed: int) -> OtherPictures:
    """Pictures of units of the layer that are drawn by seed, as its cards are measured against."""
    drawn = sorted(drawn_units(layer, seed)[:OTHER_PICTURES])
    objectives = [default_objective(Unit(layer.name, unit), model) for unit in drawn]
    images = maximise(model, objectives, recipe=recipe, seed=seed).images
    made = replace(recipe, view=images[0].shape[0])
    shown = as_shown(torch.stack([_pixels(image) for image in images]), made.shown)
    return OtherPictures(drawn, position_means(model, shown, read_in(model, layer)))


def seeds_of(recipe: str, seeds: int | None) -> int:
    """How many seeds a gallery has pictures of: as asked, or by its recipe. InputError for less than one."""
    if seeds is None:
        return SEEDS.get(recipe, 1) if isinstance(recipe, str) else 1
    advice = f"a whole number from 1 to {MOST_SEEDS:,}, or None for as many as the recipe has"
    return whole_number("seeds", seeds, 1, MOST_SEEDS, advice)


def read_in(model: VisionModel, layer: Layer) -> Layer:
    """Where pictures of a layer's units are compared: in it; of single values, as classes, in the main layer before it,
    which says more."""
    before = layers_before(model, layer) if len(layer.shape) == 1 else ()
    return before[-1] if before else layer


def moved_a_little(pixels: Tensor, recipe: Recipe, seed: int) -> Tensor:
    """MOVED copies of a picture as the network is shown it, values in [0, 1], under transforms of its ascent drawn by
    seed; beyond its border it is mirrored."""
    wander = recipe.wander
    margin = min(wander.margin, min(pixels.shape[1:]) - 1)
    canvas = torch.nn.functional.pad(pixels[None].float() / 255, (margin,) * 4, mode="reflect")
    drawn = wander.draw(MOVED, torch.Generator().manual_seed(seed))
    return wander.apply(canvas.expand(MOVED, -1, -1, -1), drawn)


def _paths(
    model: VisionModel,
    layer: Layer,
    units: Sequence[int],
    shown: list[list[Tensor]],
    made: Recipe,
    seed: int,
    natural: NaturalPaths | None,
) -> list[dict[str, Any]]:
    if natural is None:
        return [{"words": NO_NATURALS}] * len(units)
    pictures = _picture_means(model, layer, units, shown, made)
    found = [
        paths_through({name: rows[at] for name, rows in pictures.items()}, *natural.of(at), seed)
        for at in range(len(units))
    ]
    return [{"words": NO_NATURALS} if path is None else path.facts() for path in found]


def _picture_means(
    model: VisionModel, layer: Layer, units: Sequence[int], shown: list[list[Tensor]], made: Recipe
) -> dict[str, Floats]:
    """[units, seeds, features] of each earlier layer, where each picture excites its unit most."""
    pixels = torch.stack([some[at] for at in range(len(units)) for some in shown])
    spots = [UnitSpot(place, units[place // len(shown)]) for place in range(len(pixels))]
    found = seen_means(model, pixels, spots, layer, layers_before(model, layer), made.shown)
    return {name: rows.reshape(len(units), len(shown), -1) for name, rows in found.items()}


def _agreement(
    model: VisionModel,
    layer: Layer,
    unit: int,
    shown: list[Tensor],
    made: Recipe,
    seed: int,
    others: OtherPictures | None,
) -> Agreement | None:
    """In the unit's own layer, without the unit: that it is high in all is no agreement, it was climbed."""
    if others is None or len(shown) < 2:
        return None
    where = read_in(model, layer)
    copies = [moved_a_little(one, made, seed) for one in shown]
    means = position_means(model, torch.cat([as_shown(torch.stack(shown), made.shown), *copies]), where)
    rest = others.means[[at for at, other in enumerate(others.units) if other != unit]]
    if where == layer:
        means, rest = (np.delete(rows, unit, 1) for rows in (means, rest))
    own, moved = np.split(means, [len(shown)])
    return agreement(own, moved.reshape(len(own), MOVED, -1), rest)


def _pixels(picture: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))
