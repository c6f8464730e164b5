"""Composites of LRP: which rule which layer follows (Montavon et al. 2019, section 10.3; Kohlbrenner et al. 2020)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from layerscope.attribution.relevance import (
    Rule,
    alpha_beta_rule,
    epsilon_rule,
    flat_rule,
    gamma_rule,
    z_plus_rule,
)
from layerscope.errors import UnknownNameError


@dataclass(frozen=True)
class Composite:
    """Which rule convolutions, the first layers (which see the image itself), and linear layers follow.

    proportional: whether a shift that stands alone (a BatchNorm, a constant that is added) takes its share of the
        relevance, or hands all of it on.
    """

    first: Rule
    convolution: Rule
    linear: Rule
    proportional: bool = False


def composite_of(name: str, epsilon: float, gamma: float) -> Composite:
    """The composite of that name, with its numbers. Raises UnknownNameError for one that does not exist."""
    rules: dict[str, Callable[[], Composite]] = {
        "epsilon": lambda: Composite(*(epsilon_rule(epsilon),) * 3, proportional=True),
        "z+": lambda: Composite(*(z_plus_rule(),) * 3),
        "alpha2-beta1": lambda: Composite(*(alpha_beta_rule(2, 1),) * 3),
        "gamma": lambda: Composite(*(gamma_rule(gamma),) * 3),
        "flat": lambda: Composite(*(flat_rule(),) * 3),
        "epsilon-plus-flat": lambda: Composite(flat_rule(), z_plus_rule(), epsilon_rule(epsilon)),
        "epsilon-alpha2-beta1-flat": lambda: Composite(flat_rule(), alpha_beta_rule(2, 1), epsilon_rule(epsilon)),
        "epsilon-gamma-flat": lambda: Composite(flat_rule(), gamma_rule(gamma), epsilon_rule(epsilon)),
    }
    if str(name) not in rules:
        raise UnknownNameError.among("LRP composite", name, rules)
    return rules[str(name)]()
