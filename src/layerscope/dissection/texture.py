"""Texture modulation: what units answer to textures beyond their phase-randomised twins (Freeman et al. 2013).

A twin has the spectrum, the colours and the contrast of its texture, but none of its structure: a unit that measures
energy answers to both alike.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from layerscope.dissection.harmonics import Floats, responses_of
from layerscope.dissection.stimuli.textures import Textures
from layerscope.dissection.tuning import interval
from layerscope.errors import InputError

_ALL_FLIPS = 14  # up to so many pairs all sign patterns are counted: 16,384
_DRAWN_FLIPS = 9_999


@dataclass(frozen=True)
class TextureTuning:
    """Texture modulation of each unit; arrays [units] where nothing else is said.

    The best family is chosen on the exemplars of even number; what is told of it is measured on the odd ones.
    """

    families: tuple[str, ...]
    modulation: Floats
    """[units, families]: (texture - twin) / (texture + twin) of the mean responses to all exemplars, in [-1, 1]; 0
    where a unit answers to neither. Responses are on one scale over exemplars first."""
    best: NDArray[np.int64]
    """The family of the strongest modulation; an index into `families`."""
    best_modulation: Floats
    """That of the best family, on the exemplars that did not choose it."""
    best_interval: Floats
    """[units, 2]: 95 % bootstrap interval over these exemplars."""
    p: Floats
    """One-sided sign-flip test of these exemplars: how likely is such a modulation if texture and twin are alike?"""
    selectivity: Floats
    """d' between the textures of the best family and those of all others."""
    invariance: Floats
    """Variance of the responses to textures across the means of families, over that across the exemplars of one."""
    dead: NDArray[np.bool_]
    """No response to any texture or twin."""


def texture_tuning(responses: ArrayLike, textures: Textures, *, bootstraps: int = 200, seed: int = 0) -> TextureTuning:
    """From responses [stimuli, units] to `textures`, none below 0: those of `respond(..., reading="excitation")`.

    Raises InputError for other responses.
    """
    shown = _on_one_scale(_by_family(responses, textures))
    texture, twin = shown[:, :, 0], shown[:, :, 1]
    chosen = (texture - twin)[:, ::2].mean(1).argmax(0)
    units = np.arange(shown.shape[-1])
    held_texture, held_twin = texture[chosen, 1::2, units].T, twin[chosen, 1::2, units].T
    best = modulation(held_texture.mean(0), held_twin.mean(0))
    draws = [
        modulation(weights @ held_texture, weights @ held_twin) for weights in _draws(len(held_twin), bootstraps, seed)
    ]
    return TextureTuning(
        families=textures.families,
        modulation=modulation(texture.mean(1), twin.mean(1)).T,
        best=chosen,
        best_modulation=best,
        best_interval=interval(np.array(draws), best).T,
        p=sign_flip(held_texture - held_twin, seed),
        selectivity=_selectivity(texture[:, 1::2], chosen),
        invariance=_ratio(texture.mean(1).var(0, ddof=1), texture.var(1, ddof=1).mean(0)),
        dead=(shown == 0).all((0, 1, 2)),
    )


def modulation(texture: Floats, twin: Floats) -> Floats:
    """(texture - twin) / (texture + twin) of mean responses that are not below 0; 0 where both are 0."""
    return _ratio(texture - twin, texture + twin)


def sign_flip(differences: Floats, seed: int = 0) -> Floats:
    """One-sided p [units] of the mean of paired differences [pairs, units] being above 0, by flipping their signs.

    Up to 14 pairs all patterns are counted, which makes it exact; else 9,999 drawn ones beside the observed.
    """
    pairs = len(differences)
    if pairs <= _ALL_FLIPS:
        signs = np.array(list(itertools.product((1.0, -1.0), repeat=pairs)))
    else:
        drawn = np.random.default_rng([seed, 3]).integers(0, 2, (_DRAWN_FLIPS, pairs)) * 2.0 - 1
        signs = np.concatenate([np.ones((1, pairs)), drawn])
    least = differences.sum(0) - 1e-12 * np.abs(differences).sum(0)  # what rounding parts is equal
    blocks = np.array_split(signs, 16)  # so that memory stays small
    share: Floats = np.sum([(block @ differences >= least).sum(0) for block in blocks], axis=0) / len(signs)
    return share


def _by_family(responses: ArrayLike, textures: Textures) -> Floats:
    """[families, exemplars, 2, units]."""
    seen = responses_of(responses)
    if len(seen) != len(textures):
        raise InputError(f"responses to {len(seen)} stimuli; there are {len(textures)} textures and twins")
    if (seen < 0).any():
        raise InputError('responses below 0; texture modulation is of excitation: respond(..., reading="excitation")')
    return seen.reshape(*textures.shape, -1)


def _on_one_scale(shown: Floats) -> Floats:
    """Divided by each unit's mean response to all families of one exemplar number, which share colours and contrast.

    Otherwise the few exemplars of high contrast decide. Dividing each pair by its own sum would favour textures: the
    energy of a twin varies more from place to place, and the ratio is not linear.
    """
    return _ratio(shown, np.broadcast_to(shown.mean((0, 2), keepdims=True), shown.shape))


def _draws(exemplars: int, count: int, seed: int) -> Floats:
    """How much each exemplar weighs in each bootstrap draw: [draws, exemplars]."""
    random = np.random.default_rng([seed, 4])
    drawn = random.integers(0, exemplars, (count, exemplars))
    weights: Floats = (drawn[:, :, None] == np.arange(exemplars)).mean(1)
    return weights


def _selectivity(texture: Floats, chosen: NDArray[np.int64]) -> Floats:
    """d' of responses [families, exemplars, units]: the chosen family of each unit against all others together."""
    families, _, units = texture.shape
    of_best = np.arange(families)[:, None] == chosen
    mean, spread = texture.mean(1), texture.var(1, ddof=1)
    best, best_spread = mean[chosen, np.arange(units)], spread[chosen, np.arange(units)]
    others = np.where(of_best, 0, mean).sum(0) / (families - 1)
    within = np.where(of_best, 0, spread + (mean - others) ** 2).sum(0) / (families - 1)
    return _ratio(best - others, np.sqrt((best_spread + within) / 2))


def _ratio(above: Floats, below: Floats) -> Floats:
    return np.where(below > 0, above / np.where(below > 0, below, 1.0), 0.0)
