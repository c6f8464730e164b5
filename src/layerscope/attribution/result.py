"""An attribution: a signed map per image, and the checks that say how far to trust it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor

Mark = Literal["good", "poor", "open"]


@dataclass(frozen=True)
class Verdict:
    """One check in plain words. mark: "good", "poor", or "open" where nothing can be said."""

    check: str
    mark: Mark
    words: str


@dataclass(frozen=True)
class Checks:
    """What was measured on the map of one image. None: not measured, or nothing is claimed.

    Attributes:
        score: of the image.
        expected: what the values have to add up to; `total`: what they add up to.
        gap: |total - expected| / |expected|: completeness, or conservation for relevance. Over the rounding of the
            scores where `expected` is less than that.
        finite: whether all values are.
        positive, negative: shares of the values' absolute mass, which add up to 1; both 0 for an empty map.
        redrawn: rank correlation of the map with that of the same network with its top layers drawn anew (the top
            quarter of those up to what is explained), in [-1, 1].
            Near 1, or near -1 where only the score's sign has changed: the method does not notice what the network has
            learned there (Adebayo et al. 2018).
        noise: rank correlation with the map of the same image plus noise of a standard deviation of 0.02; a baseline
            stays the same.
        seconds: that the map took, the checks not counted (a batch shares its time evenly).
        covered: operations of the network that were given rules of their own, with the number of times.
        approximated: operations whose rule is an extension of the published one, with how.
        notes: what a reader has to know, each one sentence.
    """

    score: float
    total: float
    expected: float | None
    gap: float | None
    finite: bool
    positive: float
    negative: float
    redrawn: float | None
    noise: float | None
    seconds: float
    covered: Mapping[str, int] = field(default_factory=dict)
    approximated: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether the map is zero everywhere."""
        return self.finite and self.positive + self.negative == 0


@dataclass(frozen=True, eq=False)
class Attribution:
    """What of each image speaks for its score, and what against it.

    Attributes:
        values: [batch, channel, height, width] of the images, or of the shape of the layer's activation for layer
            methods; with sign and scale, float32 on the CPU, detached. Positive values speak for the score.
        checks: one per image.
        method: its name in METHODS.
        targets: the objective of each image, as text.
        scores: [batch].
        layer: whose activations were explained or read; None where the method needs none. `chosen` says whether it was
            chosen by Layerscope.
        baseline: what the images were compared with: its name, "given", or None.
        seconds: for the whole batch, the checks not counted.
    """

    values: Tensor
    checks: tuple[Checks, ...]
    method: str
    targets: tuple[str, ...]
    scores: Tensor
    layer: str | None
    chosen: bool
    baseline: str | None
    seconds: float

    def __repr__(self) -> str:
        images = "1 image" if len(self.values) == 1 else f"{len(self.values)} images"
        targets = ", ".join(dict.fromkeys(self.targets))
        targets = targets if len(targets) <= 60 else targets[:59] + "…"
        return f"Attribution({self.method} of {images}: {targets}; values {tuple(self.values.shape)})"

    def _repr_html_(self) -> str:
        """The maps, each with what was measured on it."""
        from layerscope.figures.value_cards import attribution_card
        from layerscope.figures.words import number, percent

        told = [
            {
                "score": number(one.score),
                "gap": percent(one.gap),
                "redrawn": number(one.redrawn),
                "noise": number(one.noise),
            }
            for one in self.checks
        ]
        about = {"layer": self.layer, "baseline": self.baseline, "took": f"{self.seconds:.2f} s"}
        return attribution_card(self.maps.numpy(), self.values.numpy(), self.method, self.targets, told, about)

    @property
    def maps(self) -> Tensor:
        """[batch, height, width]: the values added up over channels, or units ([batch] for a layer without places)."""
        return self.values.sum(1)
