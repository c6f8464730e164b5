"""What a leaderboard measures: methods and controls on networks and images, each a record of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layerscope.faithfulness.explainers import CONTROLS, of_control, of_method
from layerscope.faithfulness.measures.catalogue import JUDGED, MEASURES
from layerscope.models.model import VisionModel
from layerscope.records import Record, Store, content_key
from layerscope.studies.leaderboard_bench import Numbered, Values, measured, options_of, or_refused
from layerscope.studies.leaderboard_familiar import familiar_rows
from layerscope.studies.leaderboard_files import SCHEMA
from layerscope.studies.leaderboard_sources import PhotoSource, SceneSource
from layerscope.studies.leaderboard_tiers import Provable
from layerscope.types import Progress, Steps

PINNED, FAMILIAR = "controls", "familiar"
"""Names of the records of the controls, and of how familiar changed scenes are."""


class Study:
    """Networks, images and methods of one leaderboard, with the records of what is measured so far.

    Records lie below `out` for all leaderboards there, so that one of more networks finds what is known of each.
    """

    methods: tuple[str, ...] = ()

    def __init__(
        self, models: Sequence[VisionModel], source: SceneSource | PhotoSource, out: Path, proved: int, seed: int
    ) -> None:
        self.models, self.source, self.seed, self.store = models, source, seed, Store(out)
        self.provable = Provable(self.store, proved, seed)

    @property
    def truth(self) -> bool:
        """Whether causes are known."""
        return isinstance(self.source, SceneSource)

    def key(self, model: VisionModel | None = None, method: str = "") -> str:
        """Of the record of a method on a network; without them, of the whole."""
        return content_key(
            schema=SCHEMA,
            layerscope=version("layerscope"),
            networks=[one.fingerprint for one in (self.models if model is None else [model])],
            source=dict(self.source.identity),
            measures=list(MEASURES),
            seed=self.seed,
            method=method,
            options=options_of(method),
        )

    def find(self, model: VisionModel, name: str) -> Record | None:
        return self.store.find(self.key(model, name))

    def make(self, on_progress: Progress, before_each: Callable[[], object]) -> int:
        """Measure what is missing; `before_each` is called before each network of which something is.

        Returns how many methods and controls were measured on these images; proofs are not counted.
        """
        wanted = [(model, name) for model in self.models for name in (PINNED, *self.methods)]
        missing = [(model, name) for model, name in wanted if self.find(model, name) is None]
        unproved = self.provable.missing(self.methods)
        steps = Steps(on_progress, self.source.count * len(missing) + self.provable.count * len(unproved))
        for name in unproved:
            self.provable.make(name, lambda *told: steps(0, *told[1:]))
            steps.on(self.provable.count)
        for model in dict.fromkeys(one for one, _ in missing):
            before_each()
            cases, about = self.source.cases(model, lambda *told: steps(0, *told[1:]))
            for name in (name for one, name in missing if one is model):
                self._measure(model, name, cases, about, steps)
                steps.on(self.source.count)
        self._familiar(lambda *told: steps(0, *told[1:]))
        return len(missing)

    def _measure(
        self, model: VisionModel, name: str, cases: Numbered, about: Mapping[str, Any], on_progress: Progress
    ) -> None:
        if name == PINNED:
            made = self._controls(model, cases, about, on_progress)
        else:
            explain = of_method(name, seed=self.seed)
            made = or_refused(lambda: measured(explain, cases, self.source.count, on_progress, name))
        self.store.write(self.key(model, name), *made)

    def _controls(
        self, model: VisionModel, cases: Numbered, about: Mapping[str, Any], on_progress: Progress
    ) -> tuple[dict[str, Any], Values]:
        """Facts of the cases, and what the pinned maps get on each, by "control/measure"."""
        found: dict[str, NDArray[np.float64]] = {}
        for control in CONTROLS:
            values = measured(of_control(control), cases, self.source.count, on_progress, control)
            found |= {f"{control}/{measure}": values[measure] for measure in JUDGED}
        return {**about, "checked": sum(case.thorough for _, case in cases)}, found

    def _familiar(self, on_progress: Progress) -> None:
        """Whether the first network knows scenes that were changed, where it knows scenes."""
        model, pinned = self.models[0], self.find(self.models[0], PINNED)
        knows = pinned is not None and pinned.facts["accuracy"] is not None
        if isinstance(self.source, SceneSource) and knows and self.find(model, FAMILIAR) is None:
            rows = familiar_rows(model, self.source.rendered, on_progress)
            self.store.write(self.key(model, FAMILIAR), {"rows": rows}, {})
