"""Which parametrisations there are, by name, and how fast each climbs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from layerscope.synthesis.cppn import Cppn
from layerscope.synthesis.images import Contrast, Fourier, Parametrisation, PhaseOnly, Pixels
from layerscope.synthesis.pyramid import Pyramid
from layerscope.synthesis.seeded import Seeded

if TYPE_CHECKING:
    from layerscope.models.spectrum import Magnitudes

Kind = Literal["fourier", "phase", "pixels", "cppn", "pyramid", "seeded"]


@dataclass(frozen=True)
class KindFacts:
    """What to know about a parametrisation: what it is, and the learning rate and its end that suit it."""

    what: str
    lr: float
    lr_end: float = 1.0


KINDS: dict[Kind, KindFacts] = {
    "fourier": KindFacts("free coefficients under a natural spectrum", 0.05),
    "phase": KindFacts("phases alone, magnitudes as natural images have them (MACO)", 0.3, 0.1),
    "pixels": KindFacts("free pixels", 0.05),
    "cppn": KindFacts("a small network from coordinates to colours", 0.005, 0.2),
    "pyramid": KindFacts("a sum of free images of halved sizes", 0.02),
    "seeded": KindFacts("free coefficients that start from an image", 0.2, 0.2),
}


def of_kind(kind: Kind, contrast: Contrast, magnitude: Magnitudes, view: int, cap: float = 0.0) -> Parametrisation:
    """The parametrisation of this name. `view`: side of the picture, pixels; `cap`: as `Fourier` has it."""
    if kind == "fourier":
        return Fourier(contrast, magnitude, cap)
    if kind == "phase":
        return PhaseOnly(contrast, magnitude)
    if kind == "seeded":
        return Seeded(contrast, magnitude)
    if kind == "cppn":
        return Cppn(contrast, view)
    return Pyramid(contrast) if kind == "pyramid" else Pixels(contrast)
