"""The arrays of a hierarchy report: of every unit the pictures that excite it most, and its tuning curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from layerscope.capture.layers import Layer
from layerscope.dissection.early import EarlyStimuli, EarlyTuning
from layerscope.passes.accumulators import Top
from layerscope.studies.exemplars import window

Arrays = dict[str, NDArray[Any]]
SIDE = 96
"""Pixels of a picture in the record, at most."""


def exemplars(layers: Sequence[Layer], tops: Mapping[str, Top], pixels: Tensor) -> Arrays:
    """The strongest pictures of every unit.

    layers: with a top each, by name. pixels: uint8 [images, channels, size, size], which the tops number.

    Gives `probe` uint8 [pictures, side, side, channels], those that are among the strongest of any unit, and by layer,
    strongest first, `exemplars/<layer>` int32 [units, k], numbers into `probe`; `exemplar_scores/<layer>` float32
    [units, k]; `exemplar_boxes/<layer>` float32 [units, k, 3], left, top and side of what the unit sees there, in parts
    of the picture's side: 0, 0, 1 where that is all.
    """
    shown = torch.cat([tops[layer.name].images.flatten() for layer in layers]).unique()
    found: Arrays = {"probe": _small(pixels[shown])}
    for layer in layers:
        top = tops[layer.name]
        found[f"exemplars/{layer.name}"] = torch.searchsorted(shown, top.images).to(torch.int32).numpy()
        found[f"exemplar_scores/{layer.name}"] = top.scores.numpy()
        found[f"exemplar_boxes/{layer.name}"] = _boxes(layer, top, pixels.shape[-1])
    return found


def tuning_curves(layer: str, tuning: EarlyTuning) -> Arrays:
    """`tuning/<layer>/orientation`, `frequency` and, where images have hues, `hue`: float32 [units, stimuli].

    In standard deviations of the answers to white noise; NaN for dead units.
    """
    curves = {"orientation": tuning.gratings.orientation_curve, "frequency": tuning.gratings.frequency_curve}
    if tuning.colour is not None:
        curves["hue"] = tuning.colour.hue_curve
    return {f"tuning/{layer}/{name}": np.ascontiguousarray(curve, np.float32) for name, curve in curves.items()}


def stimuli_of(stimuli: EarlyStimuli) -> dict[str, list[float] | None]:
    """What the curves run over: degrees of the bars, cycles per pixel, degrees of hue (None without colours)."""
    return {
        "orientations": stimuli.gratings.angles().tolist(),
        "frequencies": list(stimuli.gratings.frequencies),
        "hues": None if stimuli.hues is None else stimuli.hues.angles().tolist(),
    }


def _boxes(layer: Layer, top: Top, size: int) -> NDArray[np.float32]:
    """A window for each place of the map, looked up for each exemplar."""
    places, which = torch.stack([top.rows, top.columns], -1).flatten(0, 1).unique(dim=0, return_inverse=True)
    windows = torch.tensor([window(layer, row, column, size) for row, column in places.tolist()])
    boxes: NDArray[np.float32] = (windows[which].float() / size).unflatten(0, top.images.shape).numpy()
    return boxes


def _small(pixels: Tensor) -> NDArray[np.uint8]:
    """uint8 [pictures, side, side, channels], at most SIDE wide."""
    side = min(SIDE, pixels.shape[-1])
    if side < pixels.shape[-1]:
        small = torch.nn.functional.interpolate(pixels.float(), (side, side), mode="bilinear", antialias=True)
        pixels = small.round().clamp(0, 255).to(torch.uint8)
    found: NDArray[np.uint8] = pixels.permute(0, 2, 3, 1).numpy()
    return found
