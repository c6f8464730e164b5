"""Objectives that compare a picture with one image, in a layer: like it (caricature), or not far from it."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from layerscope.capture.evaluating import evaluating
from layerscope.capture.hooks import capture
from layerscope.capture.layers import units_first
from layerscope.errors import InputError
from layerscope.objectives.algebra import Activations, Objective, Scores
from layerscope.objectives.directions import by_cosine, checked_power, power_text
from layerscope.objectives.of_layer import OfLayer

if TYPE_CHECKING:
    from layerscope.capture.layers import Layer
    from layerscope.models.model import VisionModel
    from layerscope.types import Images


@dataclass(frozen=True)
class _Reference(OfLayer):
    """Compared by the digest of the values, which stands in the text too."""

    digest: str = ""
    values: Tensor = dataclasses.field(default_factory=lambda: torch.empty(0), compare=False, repr=False)

    @property
    def positioned(self) -> bool:
        return True

    def _check(self, layer: Layer) -> None:
        if tuple(self.values.shape) != layer.shape:
            raise InputError(
                f"activations of shape {list(self.values.shape)} are none of {layer.name}, which gives "
                f"{list(layer.shape)} per image; take them with activations_of(model, images, {layer.name!r})"
            )

    def _pair(self, activations: Activations) -> tuple[Tensor, Tensor]:
        """[batch, values] of the pictures, and [values] of the image, in the same order."""
        units, axis = self._units(activations), self.unit_axis or 1
        reference = units_first(self.values[None].to(units), axis)
        if units.shape[1:] != reference.shape[1:]:
            raise InputError(
                f"{str(self)!r} compares {list(reference.shape[1:])} with {list(units.shape[1:])} in {self.layer}; "
                "pictures must have the size of the image"
            )
        return units.flatten(1), reference.flatten()


@dataclass(frozen=True)
class _Likeness(_Reference):
    power: float = 1.0

    def __call__(self, activations: Activations) -> Scores:
        found, reference = self._pair(activations)
        along = (found * (reference / reference.norm())).sum(1)
        return by_cosine(along, found.norm(dim=1), self.power)

    def __str__(self) -> str:
        return f"likeness {self.layer} ({self.digest}){power_text(self.power)}"


class _Distance(_Reference):
    def __call__(self, activations: Activations) -> Scores:
        found, reference = self._pair(activations)
        return (found - reference).square().sum(1) / reference.square().sum()

    def __str__(self) -> str:
        return f"distance {self.layer} ({self.digest})"


def likeness(layer: str, activations: Tensor, power: float = 1.0) -> Objective:
    """The projection of a picture's activations on those of an image, times a power of their cosine (Olah: caricature).

    `activations` [units and positions, as the layer gives them for one image]: a row of `activations_of`. Positions
    count: what the layer saw here has to be here. Strong activations of the same kind score above the image itself.
    """
    values = _values(layer, activations)
    return _Likeness(layer, digest=_digest(values), values=values, power=checked_power(power))


def distance(layer: str, activations: Tensor) -> Objective:
    """How far a picture is from an image in a layer: squared, as a share of the image's own squared length.

    0 for the image itself, 1 where all of it is gone. Subtract it to stay near an image (Hamblin et al. 2024, feature
    accentuation). `activations`: a row of `activations_of`, as the layer gives them for one image.
    """
    values = _values(layer, activations)
    return _Distance(layer, digest=_digest(values), values=values)


def activations_of(model: VisionModel, images: Images, layer: str) -> Tensor:
    """Activations [batch, ...] of `layer` for images [batch, channel, height, width] in [0, 1], on the CPU, float32.

    One image at a time, so that an image's are the same in any company, to the last bit.
    """
    some = next(iter(model.module.parameters()), torch.empty(0, dtype=torch.float32))
    name = model.layer(layer).name
    found = []
    with evaluating(model.module), capture(model, [name]) as activations:
        for image in images.to(some).split(1):
            model.module(model.normalise(image))
            found.append(activations[name].detach().to("cpu", torch.float32))
    return torch.cat(found)


def _values(layer: str, activations: Tensor) -> Tensor:
    values = activations.detach().to("cpu", torch.float32).contiguous()
    length = float(values.norm())
    if not 0 < length < float("inf"):
        raise InputError(f"the image's activations in {layer!r} have length {length}; nothing can be compared with it")
    return values


def _digest(values: Tensor) -> str:
    return hashlib.sha256(repr(tuple(values.shape)).encode() + values.numpy().tobytes()).hexdigest()[:12]
