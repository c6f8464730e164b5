"""What natural images cost a gallery: one pass over all of them, and those that outcome cards look at."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from layerscope.capture.layers import Layer
from layerscope.models.datasets import LabelledImages, picture_files, read_pictures
from layerscope.models.model import VisionModel
from layerscope.studies.exemplars import KEPT, find_naturals
from layerscope.studies.natural_paths import MEMORY, layers_before
from layerscope.studies.probe import MENAGERIE_PROBE, Probe, named_probe, open_probe
from layerscope.synthesis import cost

_SAMPLE = 8
"""Images whose forward pass is timed."""
_SCENES, _FILES = (32, 128), (8, 16)
"""How many are opened, few and then more, to time it: a scene costs less where more are rendered together."""
_PER_ROW = 5e-4
"""Seconds of a core of 2023: of the means over what a unit sees of one layer in one image, and their ranks."""
_PER_COMPARED = 2.5e-3
"""And of comparing a unit's pictures with natural images in one layer."""


@dataclass(frozen=True)
class NaturalImages:
    """The natural images of a gallery, not opened. read: opens the first so many."""

    name: str
    count: int
    read: Callable[[int], Probe]
    lots: tuple[int, int]

    @staticmethod
    def of(probe: str | Path, model: VisionModel) -> NaturalImages:
        """ "menagerie", or a folder of class folders. InputError where there is none, or it holds no pictures."""
        spec = named_probe(probe)
        if spec == "menagerie":
            return NaturalImages(spec, MENAGERIE_PROBE, lambda count: open_probe(spec, model, count), _SCENES)
        paths, labels, names = picture_files(Path(spec))

        def read(count: int) -> Probe:
            pixels = read_pictures(paths[:count], model.input_size, model.channels)
            return Probe(Path(spec).name, LabelledImages(pixels, torch.tensor(labels[:count]), names, {}))

        return NaturalImages(Path(spec).name, len(paths), read, _FILES)

    def timed(self, model: VisionModel, layers: Sequence[Layer]) -> NaturalCosts:
        """What they cost where these layers are looked at, by a few of them; the very first is not timed."""
        clock, some = cost.core_clock(model), self.read(min(_SAMPLE, self.count))
        earlier = {layer.name: layers_before(model, layer) for layer in layers}
        read = dict.fromkeys(one.name for some in (layers, *earlier.values()) for one in some)
        macs = cost.forward_macs(model, model.input_size, [(name,) for name in read])
        find_naturals(model, layers, self.read(1))
        began = clock()
        find_naturals(model, layers, some)
        per_image = (clock() - began) / len(some.data)
        deepest = max(macs[layer.name,] for layer in layers)
        counted = {name: count for (name,), count in macs.items()}
        opening = self._opening(clock)
        return NaturalCosts(self.count, opening, per_image, per_image / max(1, deepest), counted, earlier)

    def _opening(self, clock: Callable[[], float]) -> float:
        """Core-seconds of opening all: of a few, and of the rest at the pace from these to more."""
        few, more = (min(lot, self.count) for lot in self.lots)
        self.read(few)  # what the first ones prepare is not timed
        began = clock()
        self.read(few)
        first = clock() - began
        if more == few:
            return first
        began = clock()
        self.read(more)
        return first + max(clock() - began - first, 0.0) / (more - few) * (self.count - few)


@dataclass(frozen=True)
class NaturalCosts:
    """Core-seconds. opening: of all images. per_image: of looking for the strongest. per_mac: of a forward of the
    network itself.

    macs: multiply-accumulates of one image up to each layer. earlier: the layers that a layer's cards compare.
    """

    count: int
    opening: float
    per_image: float
    per_mac: float
    macs: dict[str, int]
    earlier: dict[str, tuple[Layer, ...]]

    def looking(self, units: dict[str, int]) -> float:
        """Of a pass over all images to find the strongest, and of those that units, by layer, are compared with.

        Each of the latter, KEPT for a unit, drawn evenly, is run once for as many ranks as are kept at a time.
        """
        rows = {name: many * KEPT for name, many in units.items() if self.earlier[name]}
        if not rows:
            return self.per_image * self.count
        kept = sum(many * 2 * sum(one.units for one in self.earlier[name]) for name, many in rows.items())
        different = self.count * (1 - (1 - 1 / self.count) ** sum(rows.values()))
        deepest = max(self.macs[self.earlier[name][-1].name] for name in rows)
        again = math.ceil(kept / MEMORY) * different * deepest * self.per_mac
        return (
            self.per_image * self.count
            + again
            + _PER_ROW * sum(many * len(self.earlier[name]) for name, many in rows.items())
        )

    def compared(self, layer: str, units: int) -> float:
        """Of comparing units of a layer with them, their pictures' forwards aside."""
        return _PER_COMPARED * units * len(self.earlier[layer])
