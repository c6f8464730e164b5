"""Labels of units from the scores of a network and of its twins: what a twin shows as well is nothing that was learned.

A unit passes a test where it responds at all (`LayerScores.responds`) and exceeds all but 1 % of the twins' units. Each
twin is judged in the same way against the other twins: nothing was learned there, so whatever passes is false. What the
network has beyond that is its net share.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from layerscope.dissection.discovery import Interval, net_share, unit_correlation
from layerscope.dissection.early import EarlyTuning, Limits, passes_colour, passes_edge
from layerscope.dissection.labels import CATEGORIES, DEAD, NONE, UnitLabel, category_counts, label_units
from layerscope.dissection.nulls import TwinNull
from layerscope.dissection.scores import LayerScores
from layerscope.errors import InputError

QUANTILE = 0.99
CODED = tuple(name for name in CATEGORIES if name not in (NONE, DEAD))
"""The labels that say something."""
ANY = "any"
UNSURE = 0.05
"""A texture modulation that chance gives more often counts for none: of units that answer to hardly any picture it is
anything up to 1, and a few of these among the twins would let nothing through."""
LEAST_TWINS = 3
"""So that each one can be judged by two others."""
_NEVER = Limits(*[float("inf")] * 5)
Groups = tuple[Tensor, ...]
"""Measures that a test needs all of, [units, concepts] each; of the concepts any one will do."""


@dataclass(frozen=True, eq=False)
class LayerVerdict:
    """What the units of one layer are called.

    Attributes:
        labels: one per unit.
        passed: by test, bool [units], beyond the twins and a response at all.
        beyond, responds: the same, each question alone. Edge and colour are asked only the first.
        evidence: by test, float64 [units], in standard deviations of the twins' units.
        counts: how many units have each label.
        twins: the same of each twin, judged by the others.
        false_rate: share of the twins' units that have any label: all of these are false.
    """

    labels: tuple[UnitLabel, ...]
    passed: dict[str, Tensor]
    beyond: dict[str, Tensor]
    responds: dict[str, Tensor]
    evidence: dict[str, Tensor]
    counts: dict[str, int]
    twins: tuple[dict[str, int], ...]

    @property
    def false_rate(self) -> float:
        return sum(coded(counts) for counts in self.twins) / sum(sum(counts.values()) for counts in self.twins)

    def net_shares(self, level: float = 0.95, correlations: Mapping[str, float] | None = None) -> dict[str, Interval]:
        """By label, and of "any", the share of units beyond that of the twins, with intervals at this level.

        correlations: those of `unit_correlations`, where the intervals of many layers have to hold together.
        """
        found = {}
        for name in (*CODED, ANY):
            alike = None if correlations is None else correlations[name]
            twins = [_count(twin, name) for twin in self.twins]
            found[name] = net_share(_count(self.counts, name), len(self.labels), twins, level, correlation=alike)
        return found


def unit_correlations(verdicts: Iterable[LayerVerdict]) -> dict[str, float]:
    """By label, and of "any": how alike the units of one random network are, over all layers."""
    layers = [(len(verdict.labels), verdict.twins) for verdict in verdicts]
    return {
        name: unit_correlation((units, [_count(twin, name) for twin in twins]) for units, twins in layers)
        for name in (*CODED, ANY)
    }


def layer_verdict(
    own: LayerScores,
    twins: Sequence[LayerScores],
    draws: Iterable[LayerScores] = (),
    polysemantic: Tensor | None = None,
) -> LayerVerdict:
    """Judge a layer of a network by those of its twins. `draws`: the scores for stimuli drawn anew.

    Raises InputError for fewer than 3 twins.
    """
    if len(twins) < LEAST_TWINS:
        raise InputError(f"{len(twins)} twins; each is judged by the others, so at least {LEAST_TWINS} are needed")
    judge, responds = Judge(twins), own.responds()
    beyond, evidence = judge.beyond(own), judge.evidence(own)
    passed = _both(beyond, responds, own.alive)
    again = [_both(judge.beyond(drawn), responds, own.alive) for drawn in draws]
    bootstraps = {test: torch.stack([one[test] for one in again]) for test in passed} if again else None
    labels = label_units(passed, evidence, own.alive, bootstraps=bootstraps, polysemantic=polysemantic)
    counts = []
    for at, twin in enumerate(twins):
        others = Judge([*twins[:at], *twins[at + 1 :]])
        held_out = _both(others.beyond(twin), twin.responds(), twin.alive)
        counts.append(category_counts(label_units(held_out, others.evidence(twin), twin.alive)))
    return LayerVerdict(labels, passed, beyond, responds, evidence, category_counts(labels), tuple(counts))


class Judge:
    """Tests of one layer, with the limits that its twins set: one for each measure, and a test needs all of its own."""

    def __init__(self, twins: Sequence[LayerScores], quantile: float = QUANTILE) -> None:
        self._early = [twin.early for twin in twins]
        self._limits = _limits(self._early, quantile)
        self._alive = any(bool(twin.alive.any()) for twin in twins)
        every = [_groups(twin) for twin in twins]
        self._nulls = {
            test: [TwinNull.of(torch.stack(same), quantile) for same in zip(*(one[test] for one in every), strict=True)]
            for test in every[0]
        }

    def beyond(self, scores: LayerScores) -> dict[str, Tensor]:
        """By test, bool [units]: which units exceed all but 1 % of the twins' units; none where all those are dead."""
        found = {
            "edge": torch.from_numpy(passes_edge(scores.early, self._limits)),
            "colour": torch.from_numpy(passes_colour(scores.early, self._limits)),
        }
        for test, groups in _groups(scores).items():
            each = [null.passes(own) for own, null in zip(groups, self._nulls[test], strict=True)]
            found[test] = torch.stack(each).all(0) & self._alive
        return found

    def evidence(self, scores: LayerScores) -> dict[str, Tensor]:
        """By test, float64 [units], standard deviations of the twins' units above their mean: for the best concept, and
        of the measures that a test needs the least. None above 0 for colour of a unit that light moves more."""
        found = {test: _least(groups, self._nulls[test]) for test, groups in _groups(scores).items()}
        return {**_early_evidence(scores.early, self._early), **found}


def coded(counts: dict[str, int]) -> int:
    """How many units have a label that says something."""
    return sum(counts[name] for name in CODED)


def _count(counts: dict[str, int], name: str) -> int:
    return coded(counts) if name == ANY else counts[name]


def _both(beyond: dict[str, Tensor], responds: dict[str, Tensor], alive: Tensor) -> dict[str, Tensor]:
    return {test: held & responds.get(test, alive) & alive for test, held in beyond.items()}


def _groups(scores: LayerScores) -> dict[str, Groups]:
    found: dict[str, Groups] = {
        "texture": (_sure(scores.texture, scores.texture_p)[:, None],),
        "object": (scores.auc, scores.configured.auc[:, None]),
    }
    return found if scores.parts is None else {**found, "part": (scores.parts,)}


def _sure(modulation: Tensor, p: Tensor) -> Tensor:
    return torch.where(p <= UNSURE, modulation, modulation.clamp(max=0))


def _least(groups: Groups, nulls: Sequence[TwinNull]) -> Tensor:
    """[units]: the least over measures of the most evidence for any concept."""
    evidence = [null.evidence(own).amax(1) for own, null in zip(groups, nulls, strict=True)]
    return torch.stack(evidence).amin(0)


def _limits(twins: Sequence[EarlyTuning], quantile: float) -> Limits:
    """Where no unit of the twins answers to gratings, nothing can be beyond them."""
    if all(twin.gratings.dead.all() for twin in twins):
        return _NEVER
    return Limits.of(*twins, quantile=quantile)


def _early_evidence(own: EarlyTuning, twins: Sequence[EarlyTuning]) -> dict[str, Tensor]:
    def above(part: str, name: str) -> Tensor:
        values, null = getattr(getattr(own, part), name), [getattr(getattr(twin, part), name) for twin in twins]
        return TwinNull.of(torch.from_numpy(np.stack(null)).double()[..., None]).evidence(_column(values))[:, 0]

    edge = torch.minimum(above("gratings", "drive"), above("gratings", "selectivity"))
    if own.colour is None:
        return {"edge": edge, "colour": torch.zeros_like(edge)}
    oriented = torch.minimum(above("colour", "grating_drive"), above("colour", "grating_selectivity"))
    driven = torch.maximum(above("colour", "grating_drive"), above("colour", "field_drive"))
    coloured = torch.from_numpy(own.colour.index > 0)
    return {
        "edge": torch.where(coloured, torch.maximum(edge, oriented), edge),
        "colour": torch.where(coloured, driven, driven.clamp(max=0)),
    }


def _column(values: object) -> Tensor:
    return torch.from_numpy(np.asarray(values, dtype=np.float64))[:, None]
