"""How responses follow the phase of a grating: mean (F0) and first harmonic (F1), and what is noise beside them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from layerscope.dissection.stimuli.gratings import Gratings
from layerscope.errors import InputError

Floats: TypeAlias = NDArray[np.float64]
Complex: TypeAlias = NDArray[np.complex128]

_SILENT = 1e-6  # of the strongest unit's swing, or of the unit's own answer to grey: rounding, no response
_LEAST_NOISE = 1e-3  # of a unit's strongest response


@dataclass(frozen=True)
class Baseline:
    """What each unit answers to mean grey, the standard deviation of its answers to white noise, and its silence."""

    grey: Floats
    noise: Floats
    dead: NDArray[np.bool_]
    """Neither gratings nor noise change the response by more than rounding: one millionth of what others do."""

    @classmethod
    def of(cls, baselines: ArrayLike, *others: ArrayLike) -> Baseline:
        """From the responses [1 + noise, units] to Baselines, and those [stimuli, units] to all other stimuli."""
        fields = responses_of(baselines)
        if len(fields) < 3:
            raise InputError(f"{len(fields)} responses to grey and noise; at least 3 are needed")
        grey, noise = fields[0], fields[1:].std(0, ddof=1)
        swing = np.max([np.abs(responses_of(shown) - grey).max(0) for shown in (fields, *others)], axis=0)
        dead = swing <= _SILENT * np.maximum(np.abs(grey), swing.max(initial=0))
        return cls(grey, np.maximum(noise, _LEAST_NOISE * swing), dead)

    def in_noise(self, amplitude: Floats) -> Floats:
        """Amplitudes [..., units] in standard deviations of the noise, at most 1000; 0 for dead units."""
        scale = np.where(self.dead, 1.0, self.noise)
        return np.where(self.dead, 0.0, amplitude / np.where(scale > 0, scale, 1.0))


@dataclass(frozen=True)
class Harmonics:
    """F0 above the answer to grey, and the complex F1, each [orientations, frequencies, units].

    The response to phase p is about grey + mean + Re(first * exp(ip)).
    """

    mean: Floats
    first: Complex

    @property
    def amplitude(self) -> Floats:
        """|F1| of units that follow the phase; for others, which answer to all phases alike, F0 above grey."""
        return np.where(self.modulated, np.abs(self.first), np.maximum(self.mean, 0))

    @property
    def modulated(self) -> NDArray[np.bool_]:
        """[units]: whether the strongest F1 is at least as large as the strongest F0 (Skottun et al. 1991)."""
        strongest: NDArray[np.bool_] = np.abs(self.first).max((0, 1)) >= self.mean.max((0, 1))
        return strongest


def by_phase(responses: ArrayLike, gratings: Gratings) -> Floats:
    """Responses [stimuli, units] to gratings as [orientations, frequencies, phases, units]."""
    seen = responses_of(responses)
    if len(seen) != len(gratings):
        raise InputError(f"responses to {len(seen)} stimuli; there are {len(gratings)} gratings")
    return seen.reshape(*gratings.shape, -1)


def harmonics(responses: Floats, grey: Floats, weights: Floats | None = None) -> Harmonics:
    """Of responses [orientations, frequencies, phases, units]; `weights` of phases as `phase_weights` gives them."""
    weights = phase_weights(np.arange(responses.shape[2]), responses.shape[2]) if weights is None else weights
    fitted = np.einsum("cp,ofpu->cofu", weights, responses)
    return Harmonics(fitted[0] - grey, fitted[1] - 1j * fitted[2])


def phase_weights(drawn: NDArray[np.int64], phases: int) -> Floats:
    """What makes mean, cosine and sine of the responses to `phases` phases, fitted to the drawn ones: [3, phases]."""
    angle = drawn * (2 * np.pi / phases)
    fit = np.linalg.pinv(np.stack([np.ones(len(drawn)), np.cos(angle), np.sin(angle)], 1))
    weights = np.zeros((3, phases))
    for column, phase in enumerate(drawn):
        weights[:, phase] += fit[:, column]
    return weights


def drawn_phases(phases: int, count: int, seed: int) -> Iterator[Floats]:
    """Phase weights of `count` bootstrap draws, each of three phases or more: with fewer nothing can be fitted."""
    random = np.random.default_rng(seed)
    for _ in range(count):
        drawn = random.integers(0, phases, phases)
        while len(set(drawn.tolist())) < 3:
            drawn = random.integers(0, phases, phases)
        yield phase_weights(drawn, phases)


def responses_of(responses: ArrayLike) -> Floats:
    """As float64 [stimuli, units]. Raises InputError for other shapes and for what is not finite."""
    seen = np.asarray(responses, dtype=np.float64)
    if seen.ndim != 2:
        raise InputError(f"responses of shape {seen.shape}; give [stimuli, units]")
    if not np.isfinite(seen).all():
        raise InputError("responses that are not finite; the network gives NaN or infinity for some stimulus")
    return seen
