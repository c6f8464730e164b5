"""The labelled pictures that all networks of a report are shown, and what of them is destroyed in their twins.

The first pictures choose (thresholds, a unit's class), the others score. Of those that score there are twins: the same
parts scattered or in silhouette, with other textures or none, tiles shuffled, phases randomised.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from layerscope.errors import InputError

TEXTURE_SWAPPED = "texture swapped"
"""The control whose twins keep the shape of the class, and of its textures nothing."""
UNTEXTURED = "untextured"
"""The one whose twins keep all but textures, so that masks of parts are theirs too."""
LEAST_PER_CLASS = 5
"""Pictures of each class in each half: with fewer, no share of them says anything."""
_COARSE = 16  # pixels of a side at which masks are compared with each other
_SEEN = 1 / 512  # of the picture: a concept that covers less is not seen in it


class Concept(NamedTuple):
    """Something that pixels may show: `category` and `name`, where `truth[category]` is `value`."""

    category: str
    name: str
    value: int


class TruthMasks:
    """Masks of concepts, made when they are asked for: bool [images, concepts, height, width].

    truth: by category uint8 [images, height, width], what each pixel shows.
    """

    def __init__(self, truth: Mapping[str, Tensor], concepts: Sequence[Concept]) -> None:
        self.truth, self.concepts = dict(truth), tuple(concepts)

    def __getitem__(self, images: slice, /) -> Tensor:
        return torch.stack([self.truth[one.category][images] == one.value for one in self.concepts], 1)

    def part(self, images: slice, /) -> TruthMasks:
        """Those of some images alone, in memory of their own."""
        return TruthMasks({name: pixels[images].clone() for name, pixels in self.truth.items()}, self.concepts)

    def seen(self) -> Tensor:
        """bool [images, concepts]: which concepts each picture shows, on more than 1/512 of it."""
        areas = [(self.truth[one.category] == one.value).sum((1, 2)) for one in self.concepts]
        pixels = next(iter(self.truth.values()))[0].numel()
        return torch.stack(areas, 1) > _SEEN * pixels

    def related(self) -> Tensor:
        """bool [concepts, concepts]: pairs of which one lies inside of the other, by half or more of its pixels."""
        step = max(1, next(iter(self.truth.values())).shape[-1] // _COARSE)
        coarse = {name: pixels[:, ::step, ::step].flatten() for name, pixels in self.truth.items()}
        there = torch.stack([coarse[one.category] == one.value for one in self.concepts]).float()
        both = there @ there.T
        return both >= torch.minimum(both.diag()[:, None], both.diag()).clamp(min=1) / 2

    def only(self, keep: Tensor) -> TruthMasks:
        """With those concepts for which `keep` [concepts] holds."""
        kept = [one for one, held in zip(self.concepts, keep.tolist(), strict=True) if held]
        return TruthMasks(self.truth, kept)


@dataclass(frozen=True, eq=False)
class Control:
    """Twins of the pictures that score, in their order: uint8 [scored, channels, size, size].

    images: what the twins are compared with, where that is not the pictures themselves (rescaled with their twins).
    """

    name: str
    twins: Tensor
    images: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Pictures:
    """Labelled pictures at a network's input size.

    Attributes:
        name: what they are called.
        pixels: uint8 [images, channels, size, size].
        labels: int64 [images].
        class_names: what the labels mean.
        chosen: so many of the first images choose, the others score.
        controls: twins of those that score; the first ones destroy the configuration that objects are made of.
        masks: of concepts in each image; None where there is no such truth.
        contour: int64 [images], in which quarter of half a turn most edges run; None without truth.
    Raises InputError where a class has too few images in either half.
    """

    name: str
    pixels: Tensor
    labels: Tensor
    class_names: tuple[str, ...]
    chosen: int
    controls: tuple[Control, ...]
    masks: TruthMasks | None = None
    contour: Tensor | None = None

    def __post_init__(self) -> None:
        check_halves(self.name, self.labels[: self.chosen], self.scored_labels, len(self.class_names))
        if not self.controls or any(len(one.twins) != self.scored for one in self.controls):
            raise InputError(f"{len(self.controls)} controls of {self.scored} images; each needs one twin per image")

    def __len__(self) -> int:
        return len(self.pixels)

    def twins(self, control: str) -> tuple[Tensor, ...]:
        """The twins of that name, one tensor; or none, where there is no such control."""
        return tuple(one.twins for one in self.controls if one.name == control)

    @property
    def scored(self) -> int:
        return len(self) - self.chosen

    @property
    def scored_labels(self) -> Tensor:
        return self.labels[self.chosen :]

    @property
    def concepts(self) -> tuple[Concept, ...]:
        return self.masks.concepts if self.masks else ()

    @property
    def forwards(self) -> int:
        """How many images a network is shown for them, those for the masks counted in."""
        twins = sum(len(one.twins) * (1 if one.images is None else 2) for one in self.controls)
        return len(self) + twins + self.for_masks

    @property
    def for_masks(self) -> int:
        """How many of these for the masks: those that choose twice, first for thresholds; those that score, and again
        without textures."""
        return 2 * self.chosen + self.scored * (1 + len(self.twins(UNTEXTURED))) if self.masks else 0

    def fingerprint(self) -> str:
        """sha256 over all that networks are shown, and what is known of it."""
        names = [one.name for one in self.controls]
        digest = hashlib.sha256(repr((self.class_names, self.chosen, self.concepts, names)).encode())
        twins = [tensor for one in self.controls for tensor in (one.twins, one.images) if tensor is not None]
        truth = [self.masks.truth[name] for name in sorted(self.masks.truth)] if self.masks else []
        for tensor in (self.pixels, self.labels, *twins, *truth):
            digest.update(tensor.contiguous().numpy().tobytes())
        return digest.hexdigest()


def check_halves(name: str, chosen: Tensor, scored: Tensor, classes: int) -> None:
    """Raise InputError for too few classes, or too few pictures of one in a half: `chosen` and `scored` are labels."""
    least = min(int(torch.bincount(half, minlength=classes).min()) for half in (chosen, scored))
    if classes < 2 or least < LEAST_PER_CLASS:
        raise InputError(
            f"{name!r} has {classes} classes, the smallest with {least} pictures in one of two halves; "
            f"give 2 classes or more, {2 * LEAST_PER_CLASS} pictures of each"
        )


def one_hot(labels: Tensor, classes: int) -> Tensor:
    """bool [images, classes]."""
    return labels[:, None] == torch.arange(classes)
