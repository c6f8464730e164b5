"""Masks of things in photographs, taken to a network's input as the photographs are: COCO-style JSON or PNG masks."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePath

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from layerscope.errors import InputError
from layerscope.models.coco_masks import CocoMasks, Outlined, Places
from layerscope.models.photo_decoding import decode
from layerscope.models.photo_files import open_picture, unreadable
from layerscope.models.photos import Photo

_INDEX_MODES = ("1", "L", "P", "I;16", "I")
"""Of pictures with one number per pixel, as Pillow calls them."""


@dataclass(frozen=True, eq=False)
class Regions:
    """What masks show in one picture as the network gets it.

    Attributes:
        thing: bool [size, size], where any of them is. Nowhere, if all of them lie outside of what the network sees.
        named: each that is seen, by its name: a category of the JSON, or a number of the PNG.
    """

    thing: Tensor
    named: Mapping[str, Tensor]


class PngMasks:
    """A folder with one PNG per picture, `name.png` for `name.jpg`, in the same subfolder or at the top.

    Pixel values, of the palette or grey, number the things or parts; 0 is nothing.
    """

    kind = "png"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def source(self, picture: PurePath) -> str | None:
        """The mask of a picture, given as a path inside the folder of pictures; None where there is none."""
        beside, top = self._folder / picture.with_suffix(".png"), self._folder / f"{picture.stem}.png"
        return next((str(path) for path in (beside, top) if path.exists()), None)

    def outlined(self, source: str) -> Outlined:
        """What a mask shows. Raises InputError for a file that is no PNG, holds colours, or shows nothing."""
        numbers = _numbers(source)
        found = [int(one) for one in np.unique(numbers) if one]
        if not found:
            raise InputError(f"the mask {source!r} is empty: all of it is 0; mark something, or leave the picture out")
        height, width = numbers.shape
        return Outlined((width, height), [(str(one), partial(_where, numbers=numbers, number=one)) for one in found])


class PhotoMasks:
    """Masks of pictures in a folder.

    Args:
        path: COCO-style JSON, or a folder of PNG masks.
        folder: of the pictures.
        pictures: those in it, or below it, that masks are needed of.

    Raises InputError where there is nothing at the path, where a picture has no mask, or two have the same.
    """

    def __init__(self, path: str | os.PathLike[str], folder: Path, pictures: Sequence[Path]) -> None:
        self.path = Path(path)
        if self.path.is_dir() and folder.is_dir() and self.path.samefile(folder):
            raise InputError(f"the masks are in the folder of the pictures, {str(folder)!r}; give another one")
        self._masks = PngMasks(self.path) if self.path.is_dir() else CocoMasks(self.path)
        found = {picture: self._masks.source(picture.relative_to(folder)) for picture in pictures}
        missing = [picture for picture, source in found.items() if source is None]
        if missing:
            raise InputError(
                f"{str(self.path)!r} has no masks of {len(missing)} of {len(found)} pictures, the first of them "
                f"{str(missing[0])!r}; add them, or leave these pictures out"
            )
        self._sources = {picture: source for picture, source in found.items() if source is not None}
        self._check_own()

    @property
    def kind(self) -> str:
        """ "coco" or "png"."""
        return self._masks.kind

    def files(self, pictures: Sequence[Path]) -> list[Path]:
        """The files that masks of these pictures come from."""
        return [Path(self._sources[one]) for one in pictures] if self.kind == "png" else [self.path]

    def regions(self, picture: Path, photo: Photo) -> Regions:
        """What there is in a picture, at the pixels of `photo`, by nearest neighbour.

        Raises InputError where masks and picture differ in size, and for masks that are damaged or show nothing.
        """
        outlined = self._masks.outlined(self._sources[picture])
        if outlined.size != photo.original:
            (width, height), (wide, high) = outlined.size, photo.original
            raise InputError(
                f"the masks of {photo.source!r} are of {width} x {height} pixels, the upright picture has {wide} x "
                f"{high}; give masks of its size"
            )
        rows, columns = shown_pixels(photo)
        named: dict[str, Tensor] = {}
        for name, lookup in outlined.regions:
            region = torch.from_numpy(lookup(rows, columns))
            named[name] = named[name] | region if name in named else region
        thing = torch.stack(list(named.values())).any(0)
        return Regions(thing, {name: region for name, region in named.items() if region.any()})

    def _check_own(self) -> None:
        owners: dict[str, Path] = {}
        for picture, source in self._sources.items():
            other = owners.setdefault(source, picture)
            if other != picture:
                raise InputError(
                    f"{str(other)!r} and {str(picture)!r} both have the masks {source!r}; give each its own, in "
                    "subfolders as those of the pictures"
                )


def shown_pixels(photo: Photo) -> tuple[Places, Places]:
    """Row and column, in the upright original, of the pixel in the middle of each row and column of `photo.pixels`."""
    left, top, right, bottom = photo.crop
    width, height = photo.original
    size = photo.pixels.shape[-1]
    return _middles(top, bottom, height, size), _middles(left, right, width, size)


def _middles(start: float, end: float, side: int, size: int) -> Places:
    places = np.floor(start + (np.arange(size) + 0.5) * (end - start) / size)
    return np.clip(places, 0, side - 1).astype(np.int64)


def _where(rows: Places, columns: Places, *, numbers: NDArray[np.int64], number: int) -> NDArray[np.bool_]:
    return np.asarray(numbers[np.ix_(rows, columns)] == number)


def _numbers(source: str) -> NDArray[np.int64]:
    """[height, width] numbers in a PNG, as they stand in the file."""
    with open_picture(source) as file:
        if file.format != "PNG":
            raise InputError(f"the mask {source!r} is a {file.format}; save it as PNG, which keeps each number")
        with unreadable(source):
            decoded = decode(file, shorter=1)
    picture, depth = decoded.picture, decoded.stored.depth
    if picture.mode not in _INDEX_MODES:
        raise InputError(
            f"the mask {source!r} holds colours ({picture.mode}); save it with a palette, or grey, with the numbers of "
            "the things as pixel values and 0 for nothing"
        )
    values = np.asarray(picture).astype(np.int64)
    return values * (2**depth - 1) // 255 if picture.mode == "L" and depth < 8 else values
