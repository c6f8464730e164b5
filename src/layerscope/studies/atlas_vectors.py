"""What an atlas is made of: one activation vector per probe image, at a random position of the layer.

Carter et al. 2019, "Activation Atlas" (Distill), section "Looking at a Single Image" and on: a vector holds all units
of a layer at one position.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from layerscope.capture.evaluating import evaluating
from layerscope.capture.head import run_from
from layerscope.capture.layers import Layer, units_first
from layerscope.capture.positions import Units, extra_tokens, grid_of
from layerscope.errors import InputError
from layerscope.models.model import VisionModel
from layerscope.passes.accumulators import ImageValues
from layerscope.passes.base import digest
from layerscope.passes.spread import sweep_over
from layerscope.studies.crew import Crew
from layerscope.studies.probe import Probe
from layerscope.types import Progress, no_progress

LINEAR = 1e-3
"""Relative difference up to which the gradients of two images, or at two positions, count as the same."""
_TRIED = 4  # images on which it is tried whether the rest of the network is linear


@dataclass(frozen=True, eq=False)
class Vectors:
    """values: float32 [vectors, units]. images: the probe image of each. rows, columns: its position in the layer's
    map, 0 where there are none. silent: images whose vector is all zero; they have no direction and are left out."""

    values: NDArray[np.float32]
    images: NDArray[np.int64]
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    silent: int


@dataclass(frozen=True, eq=False)
class Readers:
    """The rest of the network after a layer, where it is linear: logits = weights @ vector + offset, for a vector that
    stands at every position. weights: float64 [classes, units]. offset: float64 [classes]."""

    weights: NDArray[np.float64]
    offset: NDArray[np.float64]


class _AtPlaces(ImageValues):
    """For each image all units at one of the layer's positions: at `places` [images of the set]."""

    def __init__(self, places: Tensor) -> None:
        super().__init__()
        self.places = places

    def _values(self, units: Units, first: int) -> Tensor:
        found = at_positions(units.detach())
        places = self.places[first : first + len(found)].to(found.device)
        return found[torch.arange(len(found), device=found.device), :, places]

    def _settings(self) -> dict[str, Any]:
        return {"places": digest(self.places)}


def sample_vectors(crew: Crew, layer: Layer, probe: Probe, seed: int, on_progress: Progress = no_progress) -> Vectors:
    """One vector of `layer` for each probe image, at a position drawn from `seed`: the same whatever the batches are.

    Tokens are drawn from the square of patches, class tokens and registers are none of it. Layers without positions
    give their one vector. Raises InputError where an activation is no finite number.
    """
    drawn = torch.rand(len(probe.data), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    places = (drawn * _positions(layer)).long()
    kept = _AtPlaces(places)

    def report(done: int, total: int, what: str) -> None:
        on_progress(done, total, "probe images")

    pixels, by_layer = probe.data.pixels, {layer.name: [kept]}
    sweep_over(crew.model, pixels, by_layer, workers=crew.workers, on_progress=report)
    values = kept.compute()
    if not bool(values.isfinite().all()):
        whose = f"{layer.name} of {crew.model.name!r}"
        raise InputError(f"{whose} puts out values that are no finite numbers for probe images")
    heard, width = values.abs().amax(1) > 0, _width(layer)
    images = heard.nonzero()[:, 0]
    rows, columns = places[images] // width, places[images] % width
    drawn_from = {"images": images.numpy(), "rows": rows.numpy(), "columns": columns.numpy()}
    return Vectors(values[images].numpy(), **drawn_from, silent=len(values) - len(images))


def linear_readers(model: VisionModel, layer: Layer, probe: Probe) -> Readers | None:
    """What the network makes of a vector of `layer`, where all that follows is linear and the same at every position,
    as after the last convolution of most networks; None elsewhere. Tried on four probe images."""
    images = as_input(probe.data.pixels[:_TRIED], model)
    with evaluating(model.module, gradients=True):
        output, activation = run_from(model, layer.name, model, images)
        if output.ndim != 2 or not output.requires_grad:
            return None
        weights: list[Tensor] = []
        for column in output.unbind(1):
            weight = _same_everywhere(column, activation, layer.unit_axis)
            if weight is None:
                return None
            weights.append(weight)
    mean = at_positions(units_first(activation.detach(), layer.unit_axis)).mean(2).double()
    stacked = torch.stack(weights)
    offset = (output.detach().double() - mean @ stacked.T).mean(0)
    return Readers(stacked.cpu().numpy(), offset.cpu().numpy())


def _same_everywhere(score: Tensor, activation: Tensor, unit_axis: int) -> Tensor | None:
    """[units]: the sum over positions of the gradient of a class, where it is one for all images and positions."""
    (gradient,) = torch.autograd.grad(score.sum(), activation, retain_graph=True, allow_unused=True)
    if gradient is None:
        return None
    each = units_first(gradient, unit_axis).flatten(2) if gradient.ndim > 2 else gradient[..., None]
    mean = each.mean((0, 2), keepdim=True)
    same = bool((each - mean).abs().max() <= LINEAR * mean.abs().max())
    return mean[0, :, 0].double() * each.shape[2] if same else None


def as_input(pixels: Tensor, model: VisionModel) -> Tensor:
    """8-bit pixels as the network takes them: values in [0, 1], its device and its precision."""
    some = next(iter(model.module.parameters()), torch.empty(0))
    return (pixels.to(some.device, torch.float32) / 255).to(some.dtype)


def at_positions(units: Tensor) -> Tensor:
    """[batch, units, positions]: of tokens, the patches; one position where there are none."""
    if units.ndim == 2:
        return units[..., None]
    tokens = units.ndim == 3 and extra_tokens(units.shape[2]) is not None
    return (grid_of(units) if tokens else units).flatten(2)


def _positions(layer: Layer) -> int:
    """How many there are for an image, as `at_positions` gives them."""
    return at_positions(torch.empty(1, layer.units, *_map_of(layer))).shape[2]


def _map_of(layer: Layer) -> list[int]:
    """The layer's shape without its units."""
    return [size for axis, size in enumerate(layer.shape, start=1) if axis != layer.unit_axis]


def _width(layer: Layer) -> int:
    """Positions in a row of the layer's map; tokens that are no square of patches stand in one row."""
    positions = _map_of(layer)
    if len(positions) != 1:
        return positions[-1] if positions else 1
    square = extra_tokens(positions[0]) is not None
    return math.isqrt(positions[0]) if square else positions[0]
