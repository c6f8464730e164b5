"""What a sweep keeps of the activations it sees: update, merge, compute; the order of batches never matters."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Generic, Self, TypeVar

import torch
from torch import Tensor

from layerscope.capture.positions import Units, at_centre
from layerscope.errors import InputError

Result = TypeVar("Result")


class Accumulator(ABC, Generic[Result]):
    """Sees all activations of one layer, batch by batch, and keeps what it needs of them, on the CPU."""

    @abstractmethod
    def update(self, units: Units, first: int) -> None:
        """Take in a batch of activations, units first; `first` is the number of its first image in the whole set.

        The activations are the network's own memory: they are neither changed nor kept.
        """

    @abstractmethod
    def merge(self, other: Self) -> None:
        """Take in what `other` has seen of other images."""

    @abstractmethod
    def compute(self) -> Result:
        """The result so far. Raises InputError before the first update."""


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

    def __init__(self, k: int) -> None:
        if k < 1:
            raise InputError(f"k={k} strongest images asked for; at least 1 is needed")
        self.k = k
        self._best: Top | None = None

    def update(self, units: Units, first: int) -> None:
        scores, places = _first_maximum(units.detach().reshape(*units.shape[:2], -1))
        width = units.shape[-1] if units.ndim > 2 else 1
        images = torch.arange(first, first + len(units))[:, None].expand_as(places)
        self._take(Top(scores.T, images.T, (places // width).T, (places % width).T))

    def merge(self, other: Self) -> None:
        if other._best is not None:
            self._take(other._best)

    def compute(self) -> Top:
        return _seen(self._best)

    def _take(self, new: Top) -> None:
        old = self._best
        merged = new if old is None else Top(*(torch.cat([getattr(old, name), getattr(new, name)], 1) for name in _TOP))
        by_image = merged.images.argsort(dim=1, stable=True)
        order = merged.scores.gather(1, by_image).argsort(dim=1, descending=True, stable=True)
        keep = by_image.gather(1, order)[:, : self.k]
        self._best = Top(*(getattr(merged, name).gather(1, keep) for name in _TOP))


_TOP = ("scores", "images", "rows", "columns")


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


class Peak(Accumulator[Peaks]):
    """Per unit the maximum over images of its spatial mean, of its centre, and of any position."""

    def __init__(self) -> None:
        self._best: Peaks | None = None

    def update(self, units: Units, first: int) -> None:
        units = units.detach().to("cpu", torch.float32)
        flat = units.reshape(*units.shape[:2], -1)
        excited = flat.clamp(min=0).mean(2).amax(0)
        self._take(Peaks(flat.mean(2).amax(0), excited, at_centre(units).amax(0), flat.amax((0, 2))))

    def merge(self, other: Self) -> None:
        if other._best is not None:
            self._take(other._best)

    def compute(self) -> Peaks:
        return _seen(self._best)

    def _take(self, new: Peaks) -> None:
        old = self._best or new
        pairs = ((getattr(old, name), getattr(new, name)) for name in ("mean", "excited", "centre", "anywhere"))
        self._best = Peaks(*(torch.maximum(a, b) for a, b in pairs))


class ImageMeans(Accumulator[Tensor]):
    """For each image the mean of each unit over its positions: [images, units], in the order of the images."""

    def __init__(self) -> None:
        self._seen: dict[int, Tensor] = {}

    def update(self, units: Units, first: int) -> None:
        self._seen[first] = units.detach().reshape(*units.shape[:2], -1).mean(2).to("cpu", torch.float32)

    def merge(self, other: Self) -> None:
        self._seen.update(other._seen)

    def compute(self) -> Tensor:
        return torch.cat([self._seen[first] for first in sorted(_seen(self._seen or None))])


def _first_maximum(flat: Tensor) -> tuple[Tensor, Tensor]:
    """The maximum and the first place that has it: which of several argmax gives is left open by torch."""
    best = flat.amax(2)
    places = torch.arange(flat.shape[2], device=flat.device).expand_as(flat)
    at = torch.where(flat == best[..., None], places, flat.shape[2] - 1).amin(2)
    return best.to("cpu", torch.float32), at.cpu()


def _seen(best: Result | None) -> Result:
    if best is None:
        raise InputError("this accumulator has seen no images; sweep some first")
    return best
