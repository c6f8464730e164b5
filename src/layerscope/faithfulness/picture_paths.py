"""Do a synthetic picture and natural images excite a unit along the same path through the layers before it?

The sanity check of Geirhos et al. 2023 ("Don't trust your eyes: on the (un)reliability of feature visualizations",
section on natural versus synthetic processing): in each earlier layer, Spearman's rank correlation between activations
of the picture and of the unit's strongest natural images, set between two baselines of the same unit: 1 is how alike
these natural images are to each other, 0 how alike they are to natural images that excite other units of its layer.

Two things differ from the paper. What is ranked are the means of each channel over the positions that the unit sees
(`seen_means`), since a texture has no place and a part is rarely in the same one twice. And each number has its
interval, so that a layer where the baselines cannot be told apart says nothing, rather than noise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from layerscope.faithfulness.intervals import LEAST, LEVEL, crossed_draws

Floats = NDArray[np.float64]
Verdict = Literal["same", "part", "another", "untold"]
QUANTILES = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)


@dataclass(frozen=True)
class LayerPath:
    """How a picture passes one layer (or, for the whole path, all layers that tell), beside its baselines."""

    layer: str
    verdict: Verdict
    """
    "same"     clearly above 0, and at least as alike to the natural images as the least typical of them is.
    "part"     clearly above 0, but less alike to them than each of them is.
    "another"  not clearly above 0: no more alike to them than images that excite other units are on average. (A single
               image of another unit may be alike by chance: in a layer of random features one in four is "part".)
    "untold"   the layer does not tell: its two baselines are not clearly apart, or the last two are both true.
    """
    value: float
    """(picture - other) / (natural - other): 1 as natural images of this unit, 0 as those of other units."""
    low: float
    high: float
    """The 95 % interval of `value`, by bootstrap over both groups of natural images."""
    least: float
    """`value` of the least typical of the unit's own natural images, beside the rest of them."""
    picture: float
    natural: float
    other: float
    """Mean rank correlations with the unit's natural images: of its pictures, of each other, of other units' images."""

    def facts(self) -> dict[str, Any]:
        """As JSON, to four decimals of their size; what a layer that does not tell would say of the picture is None."""
        names = ("value", "low", "high", "least", "picture", "natural", "other")
        numbers: dict[str, float | None] = {name: float(f"{getattr(self, name):.4g}") for name in names}
        if self.verdict == "untold":
            numbers.update(dict.fromkeys(names[:4]))
        return {"layer": self.layer, "verdict": self.verdict, **numbers}


@dataclass(frozen=True)
class PicturePath:
    """The path of one unit's picture(s). natural, other: how many natural images stand for the baselines."""

    layers: tuple[LayerPath, ...]
    whole: LayerPath | None
    """All layers that tell, each with the weight of what it tells (natural - other); None where none does."""
    natural: int
    other: int

    def facts(self) -> dict[str, Any]:
        """As JSON."""
        whole = None if self.whole is None else self.whole.facts()
        layers = [layer.facts() for layer in self.layers]
        return {"layers": layers, "whole": whole, "natural": self.natural, "other": self.other, "words": self.words()}

    def words(self) -> str:
        """What the layers say, in a line."""
        counts = {word: sum(one.verdict == word for one in self.layers) for word in ("same", "part", "another")}
        telling = sum(counts.values())
        if not self.layers:
            return "no layer before it to compare"
        if not telling:
            return "no layer before it tells its natural images from those of other units"
        told = [f"same path as natural images through {counts['same']} of {telling} layers"]
        told += [f"part of the way through {counts['part']}"] if counts["part"] else []
        told += [f"another path through {counts['another']}"] if counts["another"] else []
        untold = len(self.layers) - telling
        told += [f"{untold} more cannot tell" if untold > 1 else "1 more cannot tell"] if untold else []
        return "; ".join(told)


def rank_similarity(some: ArrayLike, others: ArrayLike) -> Floats:
    """Spearman's rank correlation of each row with each: [some, features], [others, features] -> [some, others].

    Ties share their mean rank; a row without any difference is like no other (0).
    """
    one, two = (_standard_ranks(np.asarray(rows, np.float64)) for rows in (some, others))
    return one @ two.T


def paths_through(
    pictures: Mapping[str, ArrayLike], natural: Mapping[str, ArrayLike], other: Mapping[str, ArrayLike], seed: int = 0
) -> PicturePath | None:
    """The path of a unit's pictures through layers, by name in the order of the network.

    Each holds activations [images, features]: of the pictures (of one seed or several; their mean counts), of the
    natural images that excite the unit most, and of natural images that excite other units of its layer. None for
    fewer than LEAST natural images of either kind. The same activations and seed give the same path.
    """
    own, others = (len(np.asarray(next(iter(group.values()), ()))) for group in (natural, other))
    if pictures and min(own, others) < LEAST:
        return None
    found = [(name, _Compared.of(pictures[name], natural[name], other[name], seed)) for name in pictures]
    layers = tuple(compared.judged(name) for name, compared in found)
    telling = [compared for _, compared in found if compared.tells]
    whole = _Compared.added(telling).judged("") if telling else None
    return PicturePath(layers, whole, own, others)


@dataclass(frozen=True)
class _Compared:
    """Similarities with the unit's natural images, and the two differences whose quotient is asked, draw by draw."""

    picture: float
    each: Floats
    """[natural] Of each of them to the rest of them."""
    other: float
    above: Floats
    apart: Floats
    """[draws] picture - other, natural - other; the latter NaN where one image was drawn again and again."""

    @classmethod
    def of(cls, pictures: ArrayLike, natural: ArrayLike, other: ArrayLike, seed: int) -> _Compared:
        among, beside = rank_similarity(natural, natural), rank_similarity(other, natural)
        near = rank_similarity(pictures, natural).mean(0)
        count = len(among)
        np.fill_diagonal(among, 0.0)
        of_other, of_own = crossed_draws(len(beside), count, seed)
        drawn_other = np.einsum("do,on,dn->d", of_other, beside, of_own) / (len(beside) * count)
        pairs = count**2 - (of_own**2).sum(1)  # an image that was drawn twice is no pair
        total = np.einsum("di,ij,dj->d", of_own, among, of_own)
        drawn_own = np.divide(total, pairs, out=np.full_like(total, np.nan), where=pairs > 0)
        above, apart = of_own @ near / count - drawn_other, drawn_own - drawn_other
        return cls(float(near.mean()), among.sum(1) / (count - 1), float(beside.mean()), above, apart)

    @classmethod
    def added(cls, several: Sequence[_Compared]) -> _Compared:
        """The same over several layers: a quotient of sums gives each layer the weight of what it tells."""
        return cls(
            float(np.mean([one.picture for one in several])),
            np.mean([one.each for one in several], axis=0),
            float(np.mean([one.other for one in several])),
            np.mean([one.above for one in several], axis=0),
            np.mean([one.apart for one in several], axis=0),
        )

    @property
    def tells(self) -> bool:
        """Whether natural images of the unit are clearly more alike to each other than to those of other units."""
        return bool(np.nanquantile(self.apart, QUANTILES[0]) > 0 and self.each.mean() > self.other)

    def judged(self, layer: str) -> LayerPath:
        apart = float(self.each.mean()) - self.other
        if not self.tells:
            numbers = (np.nan,) * 4
            verdict: Verdict = "untold"
        else:
            value, least = (self.picture - self.other) / apart, (float(self.each.min()) - self.other) / apart
            kept = self.apart > 0  # at least 97.5 % of the draws, as the layer tells
            low, high = np.quantile(self.above[kept] / self.apart[kept], QUANTILES)
            numbers = (value, float(low), float(high), least)
            verdict = _VERDICTS[bool(low > 0), value >= least]
        return LayerPath(layer, verdict, *numbers, self.picture, float(self.each.mean()), self.other)


_VERDICTS: dict[tuple[bool, bool], Verdict] = {
    (True, True): "same",
    (True, False): "part",
    (False, False): "another",
    (False, True): "untold",
}
"""By whether a picture is clearly above 0, and at least as alike as the least typical natural image."""


def _standard_ranks(rows: Floats) -> Floats:
    """Ranks along each row, of mean 0 and length 1; 0 for rows without any difference."""
    ranks = rankdata(rows, axis=1)
    ranks = ranks - ranks.mean(1, keepdims=True)
    length = np.linalg.norm(ranks, axis=1, keepdims=True)
    standard: Floats = np.divide(ranks, length, out=np.zeros_like(ranks), where=length > 0)
    return standard
