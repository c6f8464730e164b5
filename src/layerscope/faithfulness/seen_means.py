"""What reaches a unit from the layers before it: the mean of each channel over the positions that the unit sees."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from layerscope.capture.evaluating import evaluating
from layerscope.capture.hooks import capture
from layerscope.capture.layers import Layer, units_first
from layerscope.models.model import VisionModel
from layerscope.types import Images

TOGETHER = 16
"""Images in a batch, always: in a batch of another size a convolution may round differently."""


class UnitSpot(NamedTuple):
    """Where a unit of the layer in question is strongest in one of the images."""

    image: int
    unit: int


class Window(NamedTuple):
    """Positions of a map: rows from `top` up to and without `bottom`, columns from `left` up to and without `right`."""

    top: int
    bottom: int
    left: int
    right: int


Look = tuple[int, Window | None]
"""An image of a batch, and the positions that are looked at there; None: all."""


def seen_means(
    model: VisionModel, pixels: Tensor, spots: Sequence[UnitSpot], layer: Layer, earlier: Sequence[Layer], side: int = 0
) -> dict[str, NDArray[np.float64]]:
    """For each of `earlier`, [spots, units]: the mean of each unit over the positions that reach the spot.

    pixels: uint8 [images, channel, height, width], shown at `side` pixels a side (0: as they are). layer: that of the
    spots' units. The positions that reach a spot are those whose receptive field lies inside its own; all of them where
    either is not known. A spot's row is the same whatever the others are.
    """
    rows: dict[str, list[NDArray[np.float64]]] = {one.name: [] for one in earlier}
    places = sorted(range(len(spots)), key=lambda place: spots[place].image)
    order = np.argsort(places)
    names = list(dict.fromkeys([*rows, layer.name]))
    needed = sorted({spot.image for spot in spots})
    number = {image: place for place, image in enumerate(needed)}
    with evaluating(model.module), capture(model, names) as activations:
        for first, batch in _batches(pixels[needed], side):
            model(batch.to(model.device, model.dtype))
            maps = units_first(activations[layer.name], layer.unit_axis)
            for place in places:
                at, unit = number[spots[place].image] - first, spots[place].unit
                if 0 <= at < TOGETHER:
                    peak = _peak(maps[at, unit])
                    for one in earlier:
                        seen = units_first(activations[one.name], one.unit_axis)[at]
                        rows[one.name].append(_mean(seen, window_of(one, layer, tuple(seen.shape[1:]), peak)))
    return {name: np.stack(found)[order] for name, found in rows.items() if found}


def means_of(
    model: VisionModel, pixels: Tensor, looks: Mapping[Layer, Sequence[Look]]
) -> dict[str, NDArray[np.float64]]:
    """By layer, [looks, units]: the mean of each unit over the positions of each look.

    pixels: uint8, at most TOGETHER images at the network's input size. A look's row is the same whatever the others
    are, and the forward ends at the last of the layers.
    """
    found = {}
    with evaluating(model.module), capture(model, [one.name for one in looks]) as activations:
        model(_filled(as_shown(pixels, 0)).to(model.device, model.dtype))
        for one, some in looks.items():
            maps = units_first(activations[one.name], one.unit_axis)
            found[one.name] = np.stack([_mean(maps[image], window) for image, window in some])
    return found


def position_means(model: VisionModel, images: Images, layer: Layer) -> NDArray[np.float64]:
    """[images, units]: the mean of each unit of a layer over all positions. images: values in [0, 1]."""
    found = []
    with evaluating(model.module), capture(model, layer.name) as activations:
        for batch in torch.split(images, TOGETHER):
            model(_filled(batch).to(model.device, model.dtype))
            found.append(units_first(activations[layer.name], layer.unit_axis)[: len(batch)].double())
    return torch.cat(found).flatten(2).mean(2).cpu().numpy() if found[0].ndim > 2 else torch.cat(found).cpu().numpy()


def as_shown(pixels: Tensor, side: int) -> Images:
    """Images in [0, 1] of uint8 pixels, at `side` pixels a side (0: as they are)."""
    images = pixels.float() / 255
    if side in (0, images.shape[-1]):
        return images
    return F.interpolate(images, (side, side), mode="bilinear", align_corners=False)


@lru_cache(maxsize=1 << 16)
def window_of(of: Layer, layer: Layer, size: tuple[int, ...], peak: tuple[int, int]) -> Window | None:
    """The positions of the layer `of`, whose map has `size` rows and columns, whose receptive fields lie inside that of
    position `peak` (row, column) of a later layer; None, for all, where either layer has no such places."""
    if len(size) != 2 or None in (*_field(of), *_field(layer)):
        return None
    rows, columns = (_inside(length, of, layer, place) for length, place in zip(size, peak, strict=True))
    return Window(*rows, *columns)


def _batches(pixels: Tensor, side: int) -> Iterator[tuple[int, Images]]:
    for first in range(0, len(pixels), TOGETHER):
        yield first, _filled(as_shown(pixels[first : first + TOGETHER], side))


def _filled(images: Images) -> Images:
    return torch.cat([images, images[-1:].expand(TOGETHER - len(images), *images.shape[1:])])


def _peak(values: Tensor) -> tuple[int, int]:
    """Row and column of the first maximum of a map; tokens and single values have none of their own: 0, 0."""
    if values.ndim != 2:
        return 0, 0
    place = int(values.flatten().argmax())
    return place // values.shape[1], place % values.shape[1]


def _field(layer: Layer) -> tuple[Any, Any, Any]:
    """Receptive field, stride and offset in pixels, each None where it is not known."""
    return layer.receptive_field, layer.stride, layer.offset


def _inside(size: int, of: Layer, layer: Layer, place: int) -> tuple[int, int]:
    """Of `size` positions of a layer those that reach position `place` of a later one; at least the nearest."""
    (reach, step, start), (own_reach, own_step, own_start) = _field(layer), _field(of)
    away = np.abs(own_start + np.arange(size) * own_step - (start + place * step))
    inside = np.flatnonzero(away <= max((reach - own_reach) / 2, away.min()))
    return int(inside[0]), int(inside[-1]) + 1


def _mean(seen: Tensor, window: Window | None) -> NDArray[np.float64]:
    """Of each unit [units, ...] over the positions of a window, all where there is none."""
    if window is not None:
        seen = seen[:, window.top : window.bottom, window.left : window.right]
    mean: NDArray[np.float64] = seen.double().flatten(1).mean(1).cpu().numpy()
    return mean
