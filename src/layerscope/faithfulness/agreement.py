"""How alike the pictures of one unit are that start from different noise, in activation space.

Pixels do not tell: two pictures of one texture share no pixel. So pictures are compared by what the network makes of
them: Spearman's rank correlation of their activations, each channel's mean over positions. Two controls give the scale:
0 is how alike pictures of different units of the layer are, 1 how alike a picture is to itself when it is turned,
zoomed and shifted a little, as during its ascent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from layerscope.faithfulness.picture_paths import rank_similarity


@dataclass(frozen=True)
class Agreement:
    """value, least: on the scale of the controls, the mean over all pairs of seeds and the least alike pair. None where
    the controls are not apart."""

    value: float | None
    least: float | None
    pairs: float
    other: float
    itself: float
    """Mean rank correlations: of pairs of seeds, with pictures of other units, of pictures with themselves, moved."""
    seeds: int

    def facts(self) -> dict[str, Any]:
        """As JSON, to four decimals of their size."""
        numbers = {name: getattr(self, name) for name in ("value", "least", "pairs", "other", "itself")}
        rounded = {name: None if one is None else float(f"{one:.4g}") for name, one in numbers.items()}
        return {**rounded, "seeds": self.seeds, "words": self.words()}

    def words(self) -> str:
        """What it says, in a line."""
        if self.value is None:
            return f"pictures of {self.seeds} seeds cannot be compared: this layer does not tell pictures apart"
        scale = "1: as a picture and itself, moved; 0: as pictures of other units"
        return f"pictures of {self.seeds} seeds are alike to {self.value:.2f} ({scale})"


def agreement(pictures: ArrayLike, moved: ArrayLike, others: ArrayLike) -> Agreement | None:
    """The agreement of pictures of one unit, one for each seed, by their activations in one layer.

    pictures: [seeds, features]. moved: [seeds, copies, features], small transforms of each of them. others: [pictures,
    features], of other units of the layer. None for a single seed, or no others.
    """
    own, copies, rest = (np.asarray(one, np.float64) for one in (pictures, moved, others))
    if len(own) < 2 or not len(rest):
        return None
    among = rank_similarity(own, own)[np.triu_indices(len(own), 1)]
    other = float(rank_similarity(own, rest).mean())
    itself = float(np.mean([rank_similarity(one[None], many).mean() for one, many in zip(own, copies, strict=True)]))
    value = least = None
    if itself > other:
        value, least = ((float(one) - other) / (itself - other) for one in (among.mean(), among.min()))
    return Agreement(value, least, float(among.mean()), other, itself, len(own))
