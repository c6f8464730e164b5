"""What a sweep keeps of the activations it sees: the strongest images of each unit, peaks, and a number per image."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from numpy.typing import NDArray
from torch import Tensor

from layerscope.capture.positions import Units, at_centre
from layerscope.errors import InputError
from layerscope.passes.base import Accumulator, Arrays, flattened


@dataclass(frozen=True)
class Top:
    """The strongest images of each unit, strongest first; a row has as many as there are images, at most k."""

    scores: Tensor
    images: Tensor
    rows: Tensor
    columns: Tensor
    """Where in the activation map the maximum is; tokens have row 0 and their number as column, single values 0, 0."""


class TopK(Accumulator[Top]):
    """Per unit the k images with the strongest activation at any position; ties go to the lower image and position."""

    KEPT = dict.fromkeys(("scores", "images", "rows", "columns"), 0)

    def __init__(self, k: int) -> None:
        super().__init__()
        if k < 1:
            raise InputError(f"k={k} strongest images asked for; at least 1 is needed")
        self.k = k

    def update(self, units: Units, first: int) -> None:
        flat = flattened(units)
        best = flat.maxima
        scores = best.T.to("cpu", torch.float32)  # [units, batch], as all that is kept
        images = torch.arange(first, first + len(units), dtype=torch.int32).expand_as(scores)
        self._check_units(len(scores))
        enters = self._enters(scores, images)
        unit, image = enters.nonzero(as_tuple=True)
        if not len(unit):
            return
        places = torch.zeros_like(images)  # nobody will ask for the others
        there = (image.to(best.device), unit.to(best.device))
        places[unit, image] = flat.values[there].argmax(1).to("cpu", torch.int32)  # the first, as torch promises
        width = units.shape[-1] if units.ndim > 2 else 1
        new = {"scores": scores, "images": images, "rows": places // width, "columns": places % width}
        if self._full:
            self._replace(enters.any(1), new)
        else:
            self._take(_strongest(new, self.k))

    def compute(self) -> Top:
        kept = self._seen()
        return Top(kept["scores"].clone(), *(kept[name].long() for name in ("images", "rows", "columns")))

    @property
    def _full(self) -> bool:
        return bool(self._kept) and self._kept["scores"].shape[1] == self.k

    def _enters(self, scores: Tensor, images: Tensor) -> Tensor:
        """Which of the new ones may be among the strongest: bool [units, batch]; soon these are few."""
        if not self._full:
            return torch.ones_like(scores, dtype=torch.bool)
        last, number = self._kept["scores"][:, -1:], self._kept["images"][:, -1:]
        return (scores > last) | ((scores == last) & (images < number)) | scores.isnan()

    def _replace(self, where: Tensor, new: Arrays) -> None:
        """Join new ones for some units only: bool [units]."""
        mine, theirs = ({name: arrays[name][where] for name in self.KEPT} for arrays in (self._kept, new))
        for name, joined in _strongest(_side_by_side(mine, theirs), self.k).items():
            self._kept[name][where] = joined

    def _join(self, other: Arrays) -> None:
        self._kept = _strongest(_side_by_side(self._kept, other), self.k)

    def _settings(self) -> dict[str, Any]:
        return {"k": self.k}


@dataclass(frozen=True)
class Peaks:
    """How strong each unit gets on any image: the natural yardstick of a synthetic picture's score."""

    mean: Tensor
    """Largest mean over positions (compare with a channel)."""
    excited: Tensor
    """Largest mean over positions of the positive part (compare with an excitation)."""
    centre: Tensor
    """Largest value at the centre of the map (compare with a neuron)."""
    anywhere: Tensor
    """Largest value at any position."""

    def best(self, unit: int, objective: str) -> float:
        """The strongest value for an objective: an excitation is a mean over positions, others are a maximum."""
        return float((self.excited if objective.split()[0] == "excitation" else self.anywhere)[unit])


class Peak(Accumulator[Peaks]):
    """Per unit the maximum over images of its spatial mean, of its centre, and of any position."""

    KEPT = dict.fromkeys(("mean", "excited", "centre", "anywhere"), 0)

    def update(self, units: Units, first: int) -> None:
        flat = flattened(units)
        each = {
            "mean": flat.means,
            "excited": flat.values.clamp(min=0).mean(2),
            "centre": at_centre(units.detach().float()),
            "anywhere": flat.maxima,
        }
        self._take({name: values.amax(0).to("cpu", torch.float32) for name, values in each.items()})

    def compute(self) -> Peaks:
        return Peaks(**{name: tensor.clone() for name, tensor in self._seen().items()})

    def _join(self, other: Arrays) -> None:
        self._kept = {name: torch.maximum(self._kept[name], other[name]) for name in self.KEPT}


class ImageValues(Accumulator[Tensor]):
    """One number for each image and unit: grows with the number of images, 4 bytes each."""

    KEPT: ClassVar[Mapping[str, int | None]] = {"images": None, "values": 1}

    def __init__(self) -> None:
        super().__init__()
        self._later: list[Arrays] = []  # joined when they are asked for, so that each is copied once

    def update(self, units: Units, first: int) -> None:
        values = self._values(units, first).to("cpu", torch.float32, copy=True)
        self._take({"images": torch.arange(first, first + len(values)), "values": values})

    def compute(self) -> Tensor:
        kept = self._seen()
        return kept["values"][kept["images"].argsort()]

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        super().restore(state)
        self._later = []

    @abstractmethod
    def _values(self, units: Units, first: int) -> Tensor:
        """[batch, units], of the images from number `first` on."""

    def _join(self, other: Arrays) -> None:
        self._later.append(other)

    def _arrays(self) -> Arrays:
        if self._later:
            every = [self._kept, *self._later]
            self._kept, self._later = {name: torch.cat([one[name] for one in every]) for name in self.KEPT}, []
        return self._kept


class ImageMeans(ImageValues):
    """For each image the mean of each unit over its positions: [images, units], in the order of the images."""

    def _values(self, units: Units, first: int) -> Tensor:
        return flattened(units).means


class ImageMaxima(ImageValues):
    """For each image the maximum of each unit at any position: [images, units], in the order of the images."""

    def _values(self, units: Units, first: int) -> Tensor:
        return flattened(units).maxima


def _side_by_side(mine: Arrays, theirs: Arrays) -> Arrays:
    return {name: torch.cat([mine[name], theirs[name]], 1) for name in mine}


def _strongest(arrays: Arrays, k: int) -> Arrays:
    """The k strongest of each row, strongest first; of equal ones the lower image."""
    by_image = arrays["images"].argsort(dim=1, stable=True)
    order = arrays["scores"].gather(1, by_image).argsort(dim=1, descending=True, stable=True)
    keep = by_image.gather(1, order)[:, :k]
    return {name: tensor.gather(1, keep) for name, tensor in arrays.items()}
