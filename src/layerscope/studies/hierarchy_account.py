"""What a hierarchy report says, from the measures of a network and of its twins."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from layerscope.capture.effective_field import effective_receptive_fields
from layerscope.capture.layers import Layer
from layerscope.dissection.curves import TASKS, decodabilities, similarities
from layerscope.dissection.depth import FAMILY, DepthTrend, LayerCounts, depth_trend
from layerscope.dissection.discovery import each_of
from layerscope.dissection.labels import polysemantic_units, tests_of
from layerscope.dissection.nulls import TwinNull
from layerscope.dissection.pictures import Pictures
from layerscope.dissection.scores import LayerScores, redrawn, score
from layerscope.dissection.verdicts import LayerVerdict, coded, layer_verdict, unit_correlations
from layerscope.studies.hierarchy_arrays import exemplars, stimuli_of, tuning_curves
from layerscope.studies.hierarchy_networks import Measured, Subject
from layerscope.studies.hierarchy_tables import Columns, interval, layer_row, plain, unit_columns
from layerscope.studies.main_layers import same_units
from layerscope.types import Progress

TOGETHER = 0.95
"""Level at which the net shares of all labels, and of any, hold together in all layers."""
TELLING, SAMPLE = 4, 4
_CONCEPT = {"object": "class", "part": "part_concept", "texture": "texture"}
"""The column that says of what a unit with this label tells; edges and colours are many."""


class Account:
    """Facts and arrays of a report; computed when they are asked for."""

    def __init__(
        self,
        subject: Subject,
        main: Sequence[Layer],
        own: Measured,
        twins: Sequence[Measured],
        splits: int,
        on_progress: Progress,
    ) -> None:
        self._subject, self._main, self._own, self._twins = subject, main, own, twins
        self._splits, self._progress = splits, on_progress

    @property
    def _pictures(self) -> Pictures:
        return self._subject.exhibits.pictures

    def facts(self) -> dict[str, Any]:
        trend = self._trend
        read = decodabilities(
            self._own,
            self._twins,
            self._pictures,
            self._subject.exhibits.textures,
            splits=self._splits,
            seed=self._subject.seed,
            on_progress=self._progress,
        )
        level = each_of(len(self._main) * FAMILY, TOGETHER)
        alike = unit_correlations(self._verdicts.values())
        fields = effective_receptive_fields(self._subject.model, [layer.name for layer in self._main])
        rows = []
        for layer, site, depth in zip(self._main, self._subject.sites, trend.layers, strict=True):
            verdict = self._verdicts[layer.name]
            row = layer_row(layer, site.early, verdict, depth, read[layer.name], verdict.net_shares(level, alike))
            telling, sample = self._chosen(layer.name)
            dead = float((~self._own[layer.name].alive).double().mean())
            field = plain(fields.get(layer.name))
            same = list(same_units(self._subject.model, layer))
            told = {"same_units": same, "effective_field": field, "dead": dead, "telling": telling, "sample": sample}
            rows.append({**row, **told})
        return {
            "shown": trend.shown,
            "words": trend.words,
            "false_rate": self._false_rate,
            "together": TOGETHER,
            "trend": interval(trend.trend),
            "trend_p": trend.p,
            "tasks": TASKS,
            "stimuli": stimuli_of(self._subject.exhibits.early),
            "layers": rows,
            "units": self._units,
        }

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Similarities, and of every unit the pictures that excite it most, and its tuning."""
        among, beside = similarities(self._own, self._twins)
        found = {"cka": among.numpy(), "cka_twins": beside.numpy()}
        tops = {layer: one.top for layer, one in self._own.items() if one.top is not None}
        found |= exemplars(self._main, tops, self._pictures.pixels)
        for layer, one in self._own.items():
            found |= tuning_curves(layer, one.early)
        return found

    @cached_property
    def _scores(self) -> list[dict[str, LayerScores]]:
        """Of the network and of each twin."""
        pictures, seed = self._pictures, self._subject.seed
        found = []
        for done, network in enumerate([self._own, *self._twins]):
            found.append({layer: score(one, pictures, seed=seed) for layer, one in network.items()})
            self._progress(done + 1, 1 + len(self._twins), "networks scored")
        return found

    @cached_property
    def _verdicts(self) -> dict[str, LayerVerdict]:
        own, *twins = self._scores
        found = {}
        for done, (layer, measures) in enumerate(self._own.items()):
            draws = redrawn(measures, own[layer], self._pictures, self._subject.seed)
            meanings = self._polysemantic(layer)
            found[layer] = layer_verdict(own[layer], [twin[layer] for twin in twins], draws, meanings)
            self._progress(done + 1, len(self._own), "layers judged")
        return found

    @cached_property
    def _trend(self) -> DepthTrend:
        counts = [LayerCounts(layer, one.counts, one.twins) for layer, one in self._verdicts.items()]
        return depth_trend(counts, seed=self._subject.seed)

    @property
    def _false_rate(self) -> float:
        """Over all layers, of the units of held-out twins that are called anything."""
        twins = [counts for verdict in self._verdicts.values() for counts in verdict.twins]
        return sum(map(coded, twins)) / sum(sum(counts.values()) for counts in twins)

    @cached_property
    def _tables(self) -> dict[str, Columns]:
        """By layer a row for each unit."""
        pictures, seed = self._pictures, self._subject.seed
        return {
            layer: unit_columns(layer, measures, self._scores[0][layer], self._verdicts[layer], pictures, seed)
            for layer, measures in self._own.items()
        }

    @property
    def _units(self) -> Columns:
        found: Columns = {}
        for columns in self._tables.values():
            for name, values in columns.items():
                found.setdefault(name, []).extend(values)
        return found

    def _polysemantic(self, layer: str) -> Tensor | None:
        """Which units overlap about as much with concepts of two categories, at different places, each beyond all but
        1 % of the twins'."""
        areas, masks = self._own[layer].areas, self._pictures.masks
        theirs = [one.iou() for twin in self._twins if (one := twin[layer].areas) is not None]
        if areas is None or masks is None:
            return None
        iou, null = areas.iou(), TwinNull.of(torch.stack(theirs))
        passed = null.evidence(iou) > null.threshold
        return polysemantic_units(iou, passed, [one.category for one in masks.concepts], related=self._related)

    @cached_property
    def _related(self) -> Tensor | None:
        return None if self._pictures.masks is None else self._pictures.masks.related()

    def _chosen(self, layer: str) -> tuple[list[int], list[int]]:
        """The units that tell most, and a random sample, so that nothing is cherry-picked."""
        random = np.random.default_rng([self._subject.seed, list(self._own).index(layer)])
        units = len(self._verdicts[layer].labels)
        sample = random.choice(units, min(SAMPLE, units), replace=False)
        return self._telling(layer)[:TELLING], sorted(sample.tolist())

    def _telling(self, layer: str) -> list[int]:
        """Units with labels by their evidence for it and its confidence, the best of each thing that is coded first."""
        verdict, table = self._verdicts[layer], self._tables[layer]
        strength = {
            unit: min(float(verdict.evidence[test][unit]) for test in tests) * (label.confidence or 0.0)
            for unit, label in enumerate(verdict.labels)
            if (tests := tests_of(label.category))
        }
        order = sorted(strength, key=strength.__getitem__, reverse=True)
        best: dict[tuple[str, object], int] = {}
        for unit in order:
            label = table["label"][unit]
            best.setdefault((label, table[_CONCEPT[label]][unit] if label in _CONCEPT else unit), unit)
        return [*best.values(), *(unit for unit in order if unit not in best.values())]
