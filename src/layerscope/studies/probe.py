"""Probe images: what networks are shown to find the natural images that excite a unit most."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from layerscope.given import path_to
from layerscope.models.datasets import PROBE_SEED, LabelledImages, folder_images, menagerie_images
from layerscope.models.model import VisionModel
from layerscope.types import Progress, no_progress
from layerscope.world.scene import SIZES

MENAGERIE_PROBE = 1024
LARGEST_SEED = 2**32 - 1
"""All libraries that studies draw with take it."""


@dataclass(frozen=True)
class Probe:
    """Labelled probe images at a network's own input size. name: "menagerie" or the folder's name."""

    name: str
    data: LabelledImages

    @cached_property
    def fingerprint(self) -> str:
        """sha256 over pixels, labels and class names."""
        digest = hashlib.sha256(repr(self.data.class_names).encode())
        digest.update(self.data.pixels.numpy().tobytes())
        digest.update(self.data.labels.numpy().tobytes())
        return digest.hexdigest()

    def label(self, image: int) -> str:
        return self.data.class_names[int(self.data.labels[image])]


def named_probe(spec: str | Path) -> str:
    """What a study is asked for as text: a path is a folder, whatever its name is. InputError for anything else."""
    path_to("probe", spec)
    return spec if isinstance(spec, str) else os.path.join(".", spec)  # noqa: PTH118 (Path drops the dot)


def open_probe(
    spec: str, model: VisionModel, count: int = MENAGERIE_PROBE, on_progress: Progress = no_progress
) -> Probe:
    """The menagerie's probe scenes, or the pictures of a folder of class folders, as `model` takes them.

    Raises InputError where the folder is missing or holds no pictures.
    """
    if spec != "menagerie":
        folder = path_to("probe", spec)
        return Probe(folder.name, folder_images(folder, model.input_size, model.channels, on_progress))
    size = min(max(model.input_size, SIZES[0]), SIZES[1])
    scenes = menagerie_images(count, PROBE_SEED, size, on_progress=on_progress)
    pixels = as_taken(scenes.pixels, model)
    return Probe(spec, LabelledImages(pixels, scenes.labels, scenes.class_names, scenes.origin))


def as_taken(pixels: Tensor, model: VisionModel) -> Tensor:
    """RGB scenes at the network's size and number of channels (grey for one, repeated for others)."""
    if pixels.shape[-1] != model.input_size:
        side = (model.input_size, model.input_size)
        pixels = (
            torch.nn.functional.interpolate(pixels.float(), side, mode="bilinear", antialias=True)
            .round()
            .to(torch.uint8)
        )
    if model.channels == pixels.shape[1]:
        return pixels
    weights = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    grey = (pixels.float() * weights).sum(1, keepdim=True).round().to(torch.uint8)
    return grey.expand(-1, model.channels, -1, -1).contiguous()
