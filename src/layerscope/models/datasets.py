"""Labelled pictures to train and test on: the menagerie, or a folder of class folders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from layerscope.errors import InputError
from layerscope.models.photo_files import PICTURE_SUFFIXES, pictures_below
from layerscope.models.photos import read_photo
from layerscope.types import Progress, no_progress
from layerscope.world import CLASS_NAMES, render

TRAIN_SEED, TEST_SEED, PROBE_SEED = 1_000_000, 9_000_000, 5_000_000
"""First scene seeds of the training, test and probe scenes: far apart, so that no scene is ever in two of them."""


@dataclass(frozen=True)
class LabelledImages:
    """pixels: uint8 [images, channels, size, size]. labels: int64 [images]. origin: facts on where they come from."""

    pixels: Tensor
    labels: Tensor
    class_names: tuple[str, ...]
    origin: dict[str, Any]

    def __len__(self) -> int:
        return len(self.labels)


def menagerie_images(
    count: int, seed: int, size: int = 64, part_dropout: float = 0.0, on_progress: Progress = no_progress
) -> LabelledImages:
    """`count` scenes from scene seed `seed` on; in a `part_dropout` share of them one part is missing."""
    pixels = torch.empty(count, 3, size, size, dtype=torch.uint8)
    labels, block = torch.empty(count, dtype=torch.int64), 1024
    for start in range(0, count, block):
        stop = min(start + block, count)
        scenes = render(stop - start, seed=seed + start, size=size, part_dropout=part_dropout)
        pixels[start:stop], labels[start:stop] = scenes.pixels, scenes.labels
        on_progress(stop, count, "rendering scenes")
    origin = {"world": "menagerie", "seeds": [seed, seed + count - 1], "part_dropout": part_dropout, "size": size}
    return LabelledImages(pixels, labels, CLASS_NAMES, origin)


def picture_files(folder: Path) -> tuple[list[Path], list[int], tuple[str, ...]]:
    """The pictures below a folder of class folders, their labels, and the class names in alphabetical order.

    Raises InputError where the folder is missing or holds no class folder with pictures.
    """
    if not folder.is_dir():
        raise InputError(f"no folder {str(folder)!r}; give a folder that holds one folder of pictures per class")
    groups = {child.name: pictures_below(child) for child in sorted(folder.iterdir()) if child.is_dir()}
    groups = {name: found for name, found in groups.items() if found}
    if not groups:
        raise InputError(
            f"{str(folder)!r} holds no class folders with pictures ({', '.join(sorted(PICTURE_SUFFIXES))})"
        )
    labels = [index for index, found in enumerate(groups.values()) for _ in found]
    return [path for found in groups.values() for path in found], labels, tuple(groups)


def read_picture(path: Path, size: int, channels: int = 3) -> Tensor:
    """One picture, shorter side scaled to `size`, centre cropped: uint8 [channels, size, size].

    Three channels are red, green, blue; any other number are copies of the grey picture.
    Raises InputError for a file that is no picture, is damaged, or is too large.
    """
    return read_photo(path, size, channels).pixels


def read_pictures(paths: Sequence[Path], size: int, channels: int = 3, on_progress: Progress = no_progress) -> Tensor:
    """Pictures as `read_picture` gives them, in memory: uint8 [pictures, channels, size, size]."""
    pixels = torch.empty(len(paths), channels, size, size, dtype=torch.uint8)
    for index, path in enumerate(paths):
        pixels[index] = read_picture(path, size, channels)
        on_progress(index + 1, len(paths), "reading pictures")
    return pixels


def folder_images(folder: Path, size: int, channels: int = 3, on_progress: Progress = no_progress) -> LabelledImages:
    """All pictures of a folder of class folders, in memory at `size` pixels."""
    paths, labels, names = picture_files(folder)
    pixels = read_pictures(paths, size, channels, on_progress)
    origin = {"folder": folder.name, "pictures": len(paths), "size": size}
    return LabelledImages(pixels, torch.tensor(labels), names, origin)
