"""Deletion and insertion (Petsiuk, Das, Saenko 2018): what the score does while pixels go, or come, in a map's order.

Neither is proof. Changed pixels are no natural image, and model-free maps may score as well: always show the controls
of `faithfulness.controls` beside them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from layerscope.attribution.baselines import blurred
from layerscope.attribution.task import count
from layerscope.errors import InputError
from layerscope.faithfulness.scoring import ScoreOf, check_batch, scored
from layerscope.types import Images

Fill = Literal["blur", "black"] | Tensor
"""What takes the place of pixels: the image without its detail, black, or an image [channel, height, width]."""

LEAST_FALL = 1e-6
"""Of the score's size: where the score falls by less from image to fill, areas have no scale."""


@dataclass(frozen=True, eq=False)
class Curve:
    """Deletion and insertion in the order of one map, most positive values first.

    Attributes:
        deletion, insertion: float64 [points], the score after each share of the pixels was deleted from the image, or
            inserted into the fill.
        deletion_mean, insertion_mean: mean height of each curve (by the trapezoid rule), in units of the score.
        deletion_area, insertion_area: the same on a scale where the fill's score is 0 and the image's 1, so that logits
            and probabilities compare. A good map has a small first and a large second. None where the fill scores no
            lower than the image.
        tied: share of the pixels in the largest group of equal values; ties are broken by a seeded draw, not by place.
    """

    deletion: Tensor
    insertion: Tensor
    deletion_mean: float
    insertion_mean: float
    deletion_area: float | None
    insertion_area: float | None
    tied: float

    @property
    def note(self) -> str:
        """What a reader has to know; "" where there is nothing."""
        return "the map is the same everywhere, so the order of the pixels is random" if self.tied == 1 else ""


@dataclass(frozen=True, eq=False)
class Curves:
    """The curves of several maps of one image.

    Attributes:
        changed: float64 [points], the shares of pixels changed, from 0 to 1.
        of: by the map's name.
        image_score, fill_score: the two ends of every curve.
        forwards: images that were scored for all of them.
    """

    changed: Tensor
    of: Mapping[str, Curve]
    image_score: float
    fill_score: float
    forwards: int

    @property
    def note(self) -> str:
        """What a reader has to know; "" where there is nothing."""
        return "" if self._falls else "the fill scores no lower than the image, so areas have no scale"

    @property
    def _falls(self) -> bool:
        return _falls(self.image_score, self.fill_score)


def deletion_insertion(
    score: ScoreOf,
    image: Tensor,
    maps: Mapping[str, Tensor],
    fill: Fill = "blur",
    *,
    steps: int = 20,
    batch: int = 64,
    seed: int = 0,
) -> Curves:
    """Both curves for every map of one image, in 2 + 2 x maps x (steps - 1) forwards.

    Args:
        score: of images [n, channel, height, width] in [0, 1].
        image: [channel, height, width] in [0, 1].
        maps: by name, each [height, width], signed: the most positive pixels go first.
        fill: what stands where a pixel is not the image's.
        steps: the pixels are changed in this many blocks of equal size.
        batch: most images to score at once.
        seed: breaks ties, for all maps alike.

    Raises InputError for shapes that do not fit, values that are not finite, and options that are no whole numbers in
    their range.
    """
    check_batch(batch)
    count("seed", seed, least=0)
    if image.ndim != 3:
        raise InputError(f"an image of shape {tuple(image.shape)}; give one image [channel, height, width]")
    other = _filled(image, fill)
    pixels = image.shape[-2] * image.shape[-1]
    if count("steps", steps) > pixels:
        raise InputError(f"steps={steps} for {pixels} pixels; give no more than there are pixels")
    ranks = _ranks(maps, image, seed)
    counts = torch.tensor([round(step * pixels / steps) for step in range(steps + 1)])
    ends = scored(score, [torch.stack([image, other])])
    inner = torch.zeros(0, dtype=torch.float64)
    if steps > 1:
        inner = scored(score, _changed(image, other, ranks, counts[1:-1], batch))
    changed, values = counts.double() / pixels, inner.view(len(maps), 2, steps - 1)
    curves = {
        name: _curve(changed, deleted, inserted, ends, maps[name])
        for name, (deleted, inserted) in zip(maps, values, strict=True)
    }
    return Curves(changed, curves, ends[0].item(), ends[1].item(), len(ends) + len(inner))


def _filled(image: Tensor, fill: Fill) -> Tensor:
    if isinstance(fill, Tensor):
        if fill.shape != image.shape:
            raise InputError(f"a fill of shape {tuple(fill.shape)} for an image of {tuple(image.shape)}; give the same")
        return fill.to(image)
    if fill not in ("blur", "black"):
        raise InputError(f"no fill {fill!r}; there are: blur, black; or give an image")
    return blurred(image[None])[0] if fill == "blur" else torch.zeros_like(image)


def _ranks(maps: Mapping[str, Tensor], image: Tensor, seed: int) -> Tensor:
    """When each pixel's turn is: int64 [maps, pixels]; equal values in an order that knows nothing of their places."""
    if not isinstance(maps, Mapping):
        raise InputError(f"maps is a {type(maps).__name__}; give a mapping from names to maps [height, width]")
    if not maps:
        raise InputError("no maps to judge; give at least one, by name")
    for name, values in maps.items():
        if values.shape != image.shape[-2:]:
            raise InputError(
                f"map {name!r} of shape {tuple(values.shape)} for an image of {tuple(image.shape)}; "
                "give [height, width]"
            )
        if not values.isfinite().all():
            raise InputError(f"map {name!r} holds values that are not finite, which have no place in an order")
    flat = torch.stack([values.detach().double().cpu().flatten() for values in maps.values()])
    shuffle = torch.randperm(flat.shape[1], generator=torch.Generator().manual_seed(seed))
    order = shuffle[flat[:, shuffle].argsort(dim=1, descending=True, stable=True)]
    return order.argsort(dim=1)


def _changed(image: Tensor, fill: Tensor, ranks: Tensor, counts: Tensor, batch: int) -> Iterator[Images]:
    """The images between the ends: by map, deletion before insertion, by count."""
    maps = torch.arange(len(ranks)).repeat_interleave(2 * len(counts))
    inserts = torch.tensor([False, True]).repeat_interleave(len(counts)).repeat(len(ranks))
    turns = counts.repeat(2 * len(ranks))
    for which, insert, turn in zip(maps.split(batch), inserts.split(batch), turns.split(batch), strict=True):
        filled = (ranks[which] < turn[:, None]) ^ insert[:, None]
        yield torch.where(filled.view(-1, 1, *image.shape[-2:]).to(image.device), fill, image)


def _curve(changed: Tensor, deleted: Tensor, inserted: Tensor, ends: Tensor, values: Tensor) -> Curve:
    deletion, insertion = torch.cat([ends[:1], deleted, ends[1:]]), torch.cat([ends[1:], inserted, ends[:1]])
    means = [torch.trapezoid(curve, changed).item() for curve in (deletion, insertion)]
    image, fill = ends.tolist()
    areas = [(mean - fill) / (image - fill) if _falls(image, fill) else None for mean in means]
    equal = values.unique(return_counts=True)[1].max().item() / values.numel()
    return Curve(deletion, insertion, means[0], means[1], areas[0], areas[1], equal)


def _falls(image_score: float, fill_score: float) -> bool:
    return image_score - fill_score > LEAST_FALL * max(abs(image_score), abs(fill_score))
