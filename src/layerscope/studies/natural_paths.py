"""How natural images pass the layers before a unit: what its outcome card compares its pictures with.

Each image is run once for all units of all layers that memory holds: of each unit the images that excite it most, and
of units drawn by seed the strongest one, as controls. What is kept of an image are the ranks of its channels' means
over the positions that the unit sees there, since ranks are all that is compared; units that see the same share them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from torch import Tensor

from layerscope.capture.layers import Layer
from layerscope.errors import WorkerError
from layerscope.faithfulness.seen_means import TOGETHER, Look, Window, means_of, window_of
from layerscope.models.model import VisionModel
from layerscope.studies.crew import Crew
from layerscope.studies.exemplars import Naturals
from layerscope.studies.main_layers import main_layers

LAYERS = 8
"""Earlier layers that are compared, at most, evenly spaced among those that tell the story of the forward pass."""
OTHERS = 16
"""Natural images that excite other units, at most."""
MEMORY = 512 * 2**20
"""Bytes of ranks that are kept at a time; where more are needed, the images are run again."""
_ENTRY = 800
"""Bytes that a row of ranks takes beside its numbers."""

Ranks = NDArray[np.unsignedinteger[Any]]


class Spot(NamedTuple):
    """Where in a natural image a unit is strongest."""

    image: int
    row: int
    column: int


class _Seen(NamedTuple):
    """A row of ranks: of one earlier layer, in one image, over these positions."""

    layer: Layer
    image: int
    window: Window | None


@dataclass(frozen=True)
class NaturalPaths:
    """What natural images say of some units of a layer; values only, to be sent to whoever makes their cards.

    ranks: by earlier layer [rows, channels], twice the ranks of the channels in each row, ties sharing their mean.
    own, other: for each unit and earlier layer, the rows of images that excite it most, and of those of other units.
    """

    ranks: dict[str, Ranks]
    own: list[dict[str, list[int]]]
    other: list[dict[str, list[int]]]

    def of(self, at: int) -> tuple[dict[str, Ranks], dict[str, Ranks]]:
        """By earlier layer, of the unit at this place: the rows of its own images, and of those of other units."""
        own, other = (
            {name: self.ranks[name][rows] for name, rows in some[at].items()} for some in (self.own, self.other)
        )
        return own, other


def natural_paths(
    crew: Crew, asked: Iterable[tuple[Naturals, Sequence[int]]], seed: int, memory: int = MEMORY
) -> Iterator[NaturalPaths | WorkerError]:
    """For each of `asked`, some units of a layer, in their order; all of one probe.

    Images are run for as many of them at a time as `memory` bytes hold, at least for one. WorkerError, in the place of
    those that need an image whose run was given up.
    """
    for group in _groups((_Asked.of(crew.model, *one, seed) for one in asked), memory):
        pixels = group[0].naturals.probe.data.pixels
        ranks, lost = _ranks(crew, pixels, dict.fromkeys(seen for one in group for seen in one.seen()))
        for one in group:
            error = next((lost[seen] for seen in one.seen() if seen in lost), None)
            yield error or one.taken(ranks)


def layers_before(model: VisionModel, layer: Layer, most: int = LAYERS) -> tuple[Layer, ...]:
    """At most `most` of the layers that tell the story of the forward pass up to `layer`, evenly spaced."""
    before = {one.name for one in model.around(layer)[0]}
    found = [one for one in main_layers(model, len(model.layers())) if one.name in before]
    places = np.linspace(0, len(found) - 1, min(most, len(found))).round()
    return tuple(found[int(place)] for place in places)


def drawn_units(layer: Layer, seed: int) -> list[int]:
    """All units of a layer in an order that hangs on its name and the seed only."""
    digest = hashlib.sha256(repr((seed, layer.name, "other units")).encode()).digest()
    order = np.random.default_rng(int.from_bytes(digest[:8], "big")).permutation(layer.units)
    return [int(unit) for unit in order]


def own_spots(naturals: Naturals, unit: int) -> list[Spot]:
    """Where the unit is strongest in the images that excite it most; those left out that do not excite it."""
    top = naturals.top
    rows = zip(*(one[unit].tolist() for one in (top.images, top.rows, top.columns, top.scores)), strict=True)
    return [Spot(image, row, column) for image, row, column, score in rows if score > 0]


def other_spots(naturals: Naturals, unit: int, drawn: Sequence[int], most: int = OTHERS) -> list[Spot]:
    """The strongest image of each of `most` other units, in the order `drawn`: none of those of `unit`, none twice."""
    taken = {spot.image for spot in own_spots(naturals, unit)}
    found: list[Spot] = []
    for other in drawn:
        if len(found) == most:
            break
        spot = next(iter(own_spots(naturals, other)), None)
        if spot is not None and other != unit and spot.image not in taken:
            found.append(spot)
            taken.add(spot.image)
    return found


@dataclass(frozen=True)
class _Asked:
    """Some units of a layer, and where natural images of theirs and of other units excite them."""

    naturals: Naturals
    earlier: tuple[Layer, ...]
    own: list[list[Spot]]
    other: list[list[Spot]]

    @staticmethod
    def of(model: VisionModel, naturals: Naturals, units: Sequence[int], seed: int) -> _Asked:
        drawn = drawn_units(naturals.layer, seed)
        own = [own_spots(naturals, unit) for unit in units]
        other = [other_spots(naturals, unit, drawn) for unit in units]
        return _Asked(naturals, layers_before(model, naturals.layer), own, other)

    def seen(self) -> Iterator[_Seen]:
        """All that is seen of the earlier layers, some of it several times."""
        spots = dict.fromkeys(spot for some in (*self.own, *self.other) for spot in some)
        return (self._seen(one, spot) for one in self.earlier for spot in spots)

    def taken(self, ranks: dict[_Seen, Ranks]) -> NaturalPaths:
        """What was asked for, out of the ranks of all that is seen."""
        rows: dict[str, Ranks] = {}
        own: list[dict[str, list[int]]] = [{} for _ in self.own]
        other: list[dict[str, list[int]]] = [{} for _ in self.other]
        for one in self.earlier:
            number: dict[_Seen, int] = {}
            for into, groups in ((own, self.own), (other, self.other)):
                for unit, spots in zip(into, groups, strict=True):
                    seen = [self._seen(one, spot) for spot in spots]
                    unit[one.name] = [number.setdefault(each, len(number)) for each in seen]
            rows[one.name] = np.stack([ranks[seen] for seen in number]) if number else np.zeros((0, one.units), "u2")
        return NaturalPaths(rows, own, other)

    def _seen(self, one: Layer, spot: Spot) -> _Seen:
        layer = self.naturals.layer
        peak = (spot.row, spot.column) if len(_map_of(layer)) == 2 else (0, 0)
        return _Seen(one, spot.image, window_of(one, layer, _map_of(one), peak))


def _groups(asked: Iterable[_Asked], memory: int) -> Iterator[list[_Asked]]:
    """As many in a row as `memory` bytes of ranks suffice for; at least one."""
    group: list[_Asked] = []
    known: set[_Seen] = set()
    size = 0
    for one in asked:
        new = set(one.seen()) - known
        more = sum(2 * seen.layer.units + _ENTRY for seen in new)
        if group and size + more > memory:
            yield group
            group, known, size = [], set(), 0
            new = set(one.seen())
            more = sum(2 * seen.layer.units + _ENTRY for seen in new)
        group.append(one)
        known |= new
        size += more
    if group:
        yield group


def _ranks(crew: Crew, pixels: Tensor, wanted: Iterable[_Seen]) -> tuple[dict[_Seen, Ranks], dict[_Seen, WorkerError]]:
    """The ranks of all that is seen, each image being run once; and why there are none, where a run was given up."""
    by_image: dict[int, list[_Seen]] = {}
    for seen in wanted:
        by_image.setdefault(seen.image, []).append(seen)
    images = sorted(by_image)
    found: dict[_Seen, Ranks] = {}
    lost: dict[_Seen, WorkerError] = {}
    for some, done in crew.each(_batch_ranks, _batches(pixels, images, by_image)):
        try:
            ranks = done.result()
        except WorkerError as error:
            lost |= {seen: error for seen_there in some.values() for seen in seen_there}
            continue
        for layer, seen_there in some.items():
            found.update(zip(seen_there, ranks[layer.name], strict=True))
    return found, lost


def _batches(
    pixels: Tensor, images: Sequence[int], by_image: dict[int, list[_Seen]]
) -> Iterator[tuple[dict[Layer, list[_Seen]], tuple[Tensor, dict[Layer, list[Look]]]]]:
    """TOGETHER images at a time: what is seen in them, by layer, and what `_batch_ranks` is told of it."""
    for first in range(0, len(images), TOGETHER):
        batch = images[first : first + TOGETHER]
        by_layer: dict[Layer, list[_Seen]] = {}
        looks: dict[Layer, list[Look]] = {}
        for at, image in enumerate(batch):
            for seen in by_image[image]:
                by_layer.setdefault(seen.layer, []).append(seen)
                looks.setdefault(seen.layer, []).append((at, seen.window))
        yield by_layer, (pixels[batch], looks)


def _batch_ranks(model: VisionModel, pixels: Tensor, looks: dict[Layer, list[Look]]) -> dict[str, Ranks]:
    return {name: _twice_the_ranks(means) for name, means in means_of(model, pixels, looks).items()}


def _twice_the_ranks(rows: NDArray[np.float64]) -> Ranks:
    """Whole numbers, since ties share the mean of their ranks."""
    narrow = rows.shape[1] < 2**15
    ranks: Ranks = (2 * rankdata(rows, axis=1)).astype(np.uint16 if narrow else np.uint32)
    return ranks


def _map_of(layer: Layer) -> tuple[int, ...]:
    """The size of a layer's map: rows and columns of a convolution's."""
    return tuple(size for axis, size in enumerate(layer.shape, start=1) if axis != layer.unit_axis)
