"""What natural images cost a gallery: one pass over all of them, and those that outcome cards look at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from layerscope.capture.layers import Layer
from layerscope.models.datasets import LabelledImages, picture_files, read_pictures
from layerscope.models.model import VisionModel
from layerscope.studies.exemplars import KEPT, find_naturals
from layerscope.studies.outcome_cards import OTHERS
from layerscope.studies.probe import MENAGERIE_PROBE, Probe, open_probe
from layerscope.synthesis import cost

_SAMPLE = 8
"""Images that are timed."""


@dataclass(frozen=True)
class NaturalImages:
    """The natural images of a gallery, not opened. read: opens the first so many."""

    name: str
    count: int
    read: Callable[[int], Probe]

    @staticmethod
    def of(spec: str, model: VisionModel) -> NaturalImages:
        """ "menagerie", or a folder of class folders. InputError where there is none, or it holds no pictures."""
        if spec == "menagerie":
            return NaturalImages(spec, MENAGERIE_PROBE, lambda count: open_probe(spec, model, count))
        paths, labels, names = picture_files(Path(spec))

        def read(count: int) -> Probe:
            pixels = read_pictures(paths[:count], model.input_size, model.channels)
            return Probe(Path(spec).name, LabelledImages(pixels, torch.tensor(labels[:count]), names, {}))

        return NaturalImages(Path(spec).name, len(paths), read)

    def timed(self, model: VisionModel, layers: Sequence[Layer]) -> NaturalCosts:
        """What they cost where these layers are looked at, by a few of them; the very first is not timed."""
        clock, many = cost.core_clock(model), min(_SAMPLE, self.count)
        names = [(layer.name,) for layer in layers]
        macs = {name: count for (name,), count in cost.forward_macs(model, model.input_size, names).items()}
        find_naturals(model, layers, self.read(1))
        began = clock()
        some = self.read(many)
        read = clock()
        find_naturals(model, layers, some)
        ended = clock()
        per_mac = (ended - read) / many / max(1, *macs.values())
        return NaturalCosts(self.count, (ended - began) / many * self.count, per_mac, macs)


@dataclass(frozen=True)
class NaturalCosts:
    """Core-seconds. whole: of opening all images and one pass over them. per_mac: of a forward of the network itself.

    macs: multiply-accumulates of one image up to each layer.
    """

    count: int
    whole: float
    per_mac: float
    macs: dict[str, int]

    def cards(self, layer: str, units: int) -> float:
        """Of the outcome cards of so many units, made in one go: each image that one of them looks at is run once.

        Each looks at KEPT images of its own and one of each of OTHERS units, taken here to be drawn evenly.
        """
        looks = units * (KEPT + OTHERS)
        different = self.count * (1 - (1 - 1 / self.count) ** looks)
        return different * self.macs[layer] * self.per_mac
