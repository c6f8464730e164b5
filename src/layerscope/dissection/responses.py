"""What units answer to each stimulus: one number per unit and image, for many layers in one sweep."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from torch import Tensor

from layerscope.capture.positions import Units, grid_of
from layerscope.dissection.stimuli.stimuli import Stimuli
from layerscope.errors import InputError, UnknownNameError
from layerscope.passes.accumulators import ImageValues
from layerscope.passes.spread import HERE, Workers, sweep_over
from layerscope.types import Progress, no_progress

if TYPE_CHECKING:
    from layerscope.models.model import VisionModel

Reading = Literal["centre", "excitation"]
"""What is read of a map of activations; see the functions of these names."""


def centre(units: Units) -> Tensor:
    """[batch, units]: each unit at ONE position, the middle of its map (where a side is even, the one after it).

    The mean of the middle positions would not do for gratings: it blurs them by the stride of the layer, and wipes out
    bars that are as wide as that.
    """
    grid = grid_of(units)
    for axis in range(2, grid.ndim):
        grid = grid.narrow(axis, grid.shape[axis] // 2, 1)
    return grid.flatten(2)[:, :, 0] if grid.ndim > 2 else grid


def excitation(units: Units) -> Tensor:
    """[batch, units]: the mean of each unit's positive part over the middle half of its map, away from the border.

    It is what a rectifier after the unit lets through, so it is for textures, which are the same everywhere.
    """
    grid = grid_of(units).clamp(min=0)
    for axis in range(2, grid.ndim):
        side = grid.shape[axis]
        grid = grid.narrow(axis, side // 4, side - 2 * (side // 4))
    return grid.flatten(2).mean(2) if grid.ndim > 2 else grid


_READINGS: dict[str, Callable[[Units], Tensor]] = {"centre": centre, "excitation": excitation}


class Responses(ImageValues):
    """One number per image and unit: float32 [images, units], in the order of the images."""

    def __init__(self, reading: Reading = "centre") -> None:
        super().__init__()
        if reading not in _READINGS:
            raise UnknownNameError.among("reading", reading, _READINGS)
        self.reading = reading

    def _values(self, units: Units, first: int) -> Tensor:
        return _READINGS[self.reading](units.detach())

    def _settings(self) -> dict[str, Any]:
        return {"reading": self.reading}


def respond(
    model: VisionModel,
    stimuli: Stimuli,
    layers: Sequence[str],
    *,
    reading: Reading = "centre",
    batch_size: int = 64,
    workers: Workers = HERE,
    on_progress: Progress = no_progress,
) -> dict[str, Tensor]:
    """Show all stimuli to the network once, and give each layer's responses: float32 [stimuli, units] on the CPU.

    For tuning, `layers` are those whose units are not rectified yet (convolutions, or the BatchNorm after them).
    Memory: 4 bytes per stimulus and unit, and `batch_size` images. `workers` render the stimuli that they show.
    Progress counts images.
    Raises UnknownNameError for a layer that does not exist, InputError for stimuli of other channels.
    """
    if stimuli.channels != model.channels:
        raise InputError(f"stimuli of {stimuli.channels} channels; {model.name!r} takes {model.channels}")
    kept = {layer: Responses(reading) for layer in layers}
    by_layer = {layer: [kept[layer]] for layer in layers}
    sweep_over(model, stimuli, by_layer, workers=workers, batch_size=batch_size, on_progress=on_progress)
    return {layer: accumulator.compute() for layer, accumulator in kept.items()}
