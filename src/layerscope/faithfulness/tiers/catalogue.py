"""TIERS: networks built so that what speaks for a class is known, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from layerscope.attribution.task import count
from layerscope.errors import UnknownNameError
from layerscope.faithfulness.tiers.background import background
from layerscope.faithfulness.tiers.detectors import additive, template
from layerscope.faithfulness.tiers.linear import linear
from layerscope.faithfulness.tiers.shortcuts import mark, texture
from layerscope.faithfulness.tiers.tier import Tier

TIERS: Mapping[str, Callable[[int, int], Tier]] = {
    "linear": linear,
    "additive": additive,
    "template": template,
    "background": background,
    "mark": mark,
    "texture": texture,
}
"""By name, each made of a number of cases and a seed."""


def tier(name: str, cases: int = 16, seed: int = 0) -> Tier:
    """A tier of TIERS with so many cases; the same for the same seed.

    Raises UnknownNameError for another name, InputError for less than one case or a negative seed.
    """
    if name not in TIERS:
        raise UnknownNameError.among("provable network", name, TIERS)
    return TIERS[name](count("cases", cases), count("seed", seed, least=0))
