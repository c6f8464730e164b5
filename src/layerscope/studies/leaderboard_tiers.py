"""Explainers on networks whose right answer is provable, and what that says of the measures themselves.

A measure is worth something where it tells the exact answer from a random map, and orders methods the same way when the
network is trained again (after Hedström et al. 2023, who ask of measures that they are resilient and reactive).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from importlib.metadata import version
from itertools import combinations
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from layerscope.attribution.checks import rank_correlation
from layerscope.attribution.methods import METHODS
from layerscope.faithfulness.cases import ASKED, MARKED, PATCH, UNMARKED, Case
from layerscope.faithfulness.explainers import CONTROLS, of_control, of_method
from layerscope.faithfulness.intervals import mean_over_images
from layerscope.faithfulness.measures.catalogue import JUDGED, MEASURES
from layerscope.faithfulness.tiers.catalogue import TIERS
from layerscope.faithfulness.tiers.tier import Tier
from layerscope.models.zoo import NAMES, load
from layerscope.records import Record, Store, content_key
from layerscope.studies.leaderboard_bench import measured, options_of, or_refused
from layerscope.types import Progress

SCHEMA = 2
STABLE = 0.5
"""Least mean rank correlation between the orders of methods on two trainings; chosen before anything was measured."""
_OF_METHODS = (ASKED, PATCH, MARKED, UNMARKED)  # enough for the headline of each tier
_OF_MARKS = ("shortcut", "contrast")
_TELLING = ("exact", "random")

Arrays = Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Provable:
    """The provable networks, with `count` cases each, and records of what was measured on them.

    Records hold arrays by "tier/measure", for the controls by "control/tier/measure".
    """

    store: Store
    count: int
    seed: int

    @cached_property
    def tiers(self) -> dict[str, Tier]:
        return {name: make(self.count, self.seed) for name, make in TIERS.items()} if self.count else {}

    def missing(self, methods: Sequence[str]) -> list[str]:
        """Of the methods and "controls", those that have no record."""
        return [name for name in ("controls", *methods) if self.find(name) is None] if self.count else []

    def find(self, name: str) -> Record | None:
        return self.store.find(self._key(name)) if self.count else None

    def make(self, name: str, on_progress: Progress) -> None:
        """Measure a method, or the controls, and write the record."""
        self.store.write(
            self._key(name), *(self._controls() if name == "controls" else self._method(name, on_progress))
        )

    def _key(self, name: str) -> str:
        told = {"layerscope": version("layerscope"), "tiers": list(TIERS), "measures": list(MEASURES)}
        told |= {"planted_in": load(next(iter(NAMES))).fingerprint}
        return content_key(
            schema=SCHEMA, **told, count=self.count, seed=self.seed, method=name, options=options_of(name)
        )

    def _controls(self) -> tuple[dict[str, Any], Arrays]:
        """All questions, since measures are themselves measured on these; and what the networks are."""
        found: dict[str, NDArray[np.float64]] = {}
        for control in CONTROLS:
            for name, tier in self.tiers.items():
                values = measured(of_control(control), list(enumerate(tier.cases)), len(tier.cases))
                found |= {f"{control}/{name}/{measure}": values[measure] for measure in JUDGED}
        about = [
            {"name": name, "title": one.title, "words": one.words, "measure": one.measure, "cases": len(one.cases)}
            for name, one in self.tiers.items()
        ]
        return {"refused": {}, "tiers": about}, found

    def _method(self, method: str, on_progress: Progress) -> tuple[dict[str, Any], Arrays]:
        explain = of_method(method, seed=self.seed)
        refused: dict[str, str | None] = {}
        found: dict[str, NDArray[np.float64]] = {}
        for place, (name, tier) in enumerate(self.tiers.items()):
            on_progress(place, len(self.tiers), f"{method} where the answer is provable")
            cases = [(number, _fewer(case)) for number, case in enumerate(tier.cases)]
            wanted = {tier.measure, *_OF_MARKS}
            facts, values = or_refused(partial(measured, explain, cases, len(cases), wanted=wanted))
            refused[name] = facts["refused"]
            found |= {f"{name}/{measure}": values[measure] for measure in wanted if measure in values}
        return {"refused": refused}, found


def _fewer(case: Case) -> Case:
    return replace(case, questions={name: one for name, one in case.questions.items() if name in _OF_METHODS})


def marks(arrays: Arrays, count: int, prefix: str = "") -> dict[str, NDArray[np.float64]]:
    """Measures of planted shortcuts: [1, cases of all provable networks], NaN for those without one, or refused."""
    nothing = np.full(count, np.nan)
    return {
        measure: np.concatenate([arrays.get(f"{prefix}{name}/{measure}", nothing) for name in TIERS])[None]
        for measure in _OF_MARKS
    }


def tier_rows(provable: Provable, methods: Sequence[str]) -> list[dict[str, Any]]:
    """What the manifest says of each provable network: how right methods and controls are by the tier's own measure.

    1 is right: of a measure that is better when low, 1 less its value is told.
    """
    controls = provable.find("controls")
    if controls is None:
        return []
    records = {name: record for name in methods if (record := provable.find(name)) is not None}
    found = []
    for tier in controls.facts["tiers"]:
        measure, key = MEASURES[tier["measure"]], f"{tier['name']}/{tier['measure']}"
        rows = [
            _row(one, METHODS[one].title, record.arrays.get(key), measure.better) for one, record in records.items()
        ]
        rows.sort(key=lambda row: (1, 0.0) if row["right"] is None else (0, -row["right"]["value"]))
        pinned = [
            {**_row(one, title, controls.arrays.get(f"{one}/{key}"), measure.better), "control": True}
            for one, title in CONTROLS.items()
        ]
        told = {"tier": tier["name"], **{name: tier[name] for name in ("title", "words", "measure")}}
        told |= {"better": measure.better, "measure_title": measure.title, "cases": tier["cases"]}
        found.append({**told, "rows": [*rows, *(row for row in pinned if row["right"] is not None)]})
    return found


def _row(method: str, title: str, values: NDArray[np.float64] | None, better: str) -> dict[str, Any]:
    right = None if values is None else mean_over_images(values if better == "high" else 1 - values)
    return {"method": method, "title": title, "control": False, "right": right and right.facts()}


def meta_rows(
    provable: Provable, stable: Mapping[str, float | None], level: Mapping[str, Sequence[str]]
) -> list[dict[str, Any]]:
    """For each measure, whether it tells the exact answer from maps that know nothing, and orders methods the same way
    after another training. level: on scenes, the controls that it does not find worse than the exact answer.
    """
    controls = provable.find("controls")
    if controls is None:
        return []
    return [_meta(name, _apart(name, controls.arrays), stable.get(name), level.get(name, ())) for name in JUDGED]


def _apart(measure: str, arrays: Arrays) -> dict[str, NDArray[np.float64]]:
    """By provable network, how much better the exact answer is than the random map [cases], by the same cases."""
    sign = 1 if MEASURES[measure].better == "high" else -1
    exact, random = ([arrays.get(f"{control}/{name}/{measure}") for name in TIERS] for control in _TELLING)
    return {
        name: sign * (right - chance)
        for name, right, chance in zip(TIERS, exact, random, strict=True)
        if right is not None and chance is not None and mean_over_images(right - chance) is not None
    }


def _meta(
    measure: str, apart: Mapping[str, NDArray[np.float64]], stable: float | None, level: Sequence[str]
) -> dict[str, Any]:
    told = [name for name, values in apart.items() if (mean := mean_over_images(values)) and mean.low > 0]
    missed = [name for name in apart if name not in told]
    unsteady = stable is not None and stable < STABLE
    mean = mean_over_images(np.concatenate(list(apart.values()))) if apart else None
    passes = None if not apart else not missed and not level and not unsteady
    return {
        "measure": measure,
        "passes": passes,
        "apart": mean and mean.facts(),
        "told": told,
        "missed": missed,
        "level": list(level),
        "stable": None if stable is None else round(stable, 4),
        "words": " ".join(_why(bool(apart), missed, level, stable if unsteady else None)),
    }


def _why(checked: bool, missed: Sequence[str], level: Sequence[str], unsteady: float | None) -> list[str]:
    said = [f"Does not tell the exact answer from a random map on: {', '.join(missed)}."] if missed else []
    said += [f"On the scenes, does not find the exact answer better than: {', '.join(level)}."] if level else []
    if not said:
        told = "Tells the exact answer from maps that know nothing."
        said = [told if checked else "Not checked: no provable network has what it needs."]
    return [
        *said,
        *([] if unsteady is None else [f"Orders methods otherwise after another training ({unsteady:.2f})."]),
    ]


def stability(means: Sequence[Sequence[float]]) -> float | None:
    """Mean rank correlation of the methods' order between two networks, over all pairs; None for fewer than two.

    means: [networks][methods].
    """
    pairs = [
        rank_correlation(torch.tensor(one), torch.tensor(other)) or 0.0
        for one, other in combinations(means, 2)
        if len(one) > 2
    ]
    return sum(pairs) / len(pairs) if pairs else None
