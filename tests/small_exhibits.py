"""Few stimuli and few scenes, so that a whole report takes seconds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from small_nets import seeded
from torch import nn

from layerscope.dissection.early import EarlyStimuli
from layerscope.dissection.measures import Exhibits
from layerscope.dissection.pictures import Concept, Control, Pictures, TruthMasks
from layerscope.dissection.stimuli.colours import chromatic_axes
from layerscope.dissection.stimuli.gratings import Baselines, Gratings
from layerscope.dissection.stimuli.hues import Hues
from layerscope.dissection.stimuli.textures import Textures
from layerscope.models.model import VisionModel, wrap
from layerscope.studies import hierarchy as study


def small_early(size: int = 32, channels: int = 3) -> EarlyStimuli:
    frequencies = (0.06, 0.12, 0.24)
    light = Gratings(size, channels, frequencies, orientations=8)
    axes = chromatic_axes(channels)
    along = tuple(Gratings(size, channels, frequencies, axis, orientations=8, phases=4) for axis in axes)
    return EarlyStimuli(light, along, Hues(size, hues=8) if axes else None, Baselines(size, channels, 16))


def small_pictures(size: int = 32, per_class: int = 5, classes: int = 3, masks: bool = True, seed: int = 0) -> Pictures:
    """Noise on which each class has a bright square in a corner of its own; the twins have it elsewhere."""
    generator = torch.Generator().manual_seed(seed)
    images = 2 * per_class * classes
    labels = torch.arange(images) % classes
    pixels = (torch.rand(images, 3, size, size, generator=generator) * 200).to(torch.uint8)
    truth = torch.full((images, size, size), 255, dtype=torch.uint8)
    quarter = size // 4
    for image, label in enumerate(labels.tolist()):
        square = (image, slice(0, quarter), slice(label * quarter, (label + 1) * quarter))
        pixels[:, :][square[0], :, square[1], square[2]] = 255
        truth[square] = label
    twins = pixels[images // 2 :].flip(-2)
    concepts = [Concept("object", f"thing {one}", one) for one in range(classes)] + [
        Concept("part", f"piece {one}", one) for one in range(classes)
    ]
    known = TruthMasks({"object": truth, "part": truth}, concepts) if masks else None
    names = tuple(f"thing {one}" for one in range(classes))
    return Pictures("small", pixels, labels, names, images // 2, (Control("flipped", twins),), known, labels % 2)


def small_exhibits(**how: object) -> Exhibits:
    return Exhibits(small_early(), Textures(32, 3, 4, ("stripes", "dots", "fur")), small_pictures(**how))  # type: ignore[arg-type]


def random_network(seed: int = 0, widths: tuple[int, ...] = (8, 10, 12, 12)) -> VisionModel:
    """Stages of convolution, BatchNorm and ReLU, and three classes."""
    parts: list[nn.Module] = []
    for before, width in zip((3, *widths), widths, strict=False):
        parts += [nn.Conv2d(before, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
    module = nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], 3))
    return wrap(seeded(module, seed), 32, name="random")


@contextmanager
def small_reports(scenes: Pictures | None = None) -> Iterator[None]:
    """A "quick" profile of `ls.hierarchy` that takes seconds: few twins, few stimuli; and no other scenes than these."""
    with pytest.MonkeyPatch.context() as patch:
        small = replace(study.PROFILES["quick"], twins=3, per_class=5, exemplars=6, draws=3, splits=2)
        patch.setitem(study.PROFILES, "quick", small)
        patch.setattr(study, "LEAST_NULL_UNITS", 0)
        if scenes is not None:
            patch.setattr(study, "menagerie_pictures", lambda *given, **more: scenes)
        patch.setattr(EarlyStimuli, "of", lambda size, channels, *rest, **more: small_early(size, channels))
        yield
