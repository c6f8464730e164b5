"""How right attribution methods are about networks, beside pinned controls: on rendered scenes whose causes are known,
on networks whose right answer is provable, or, by the measures that need no truth, on a user's own images.

Each method is one record for each network, so an interrupted leaderboard goes on where it stopped, and one that is
asked for more methods grows. Beside the records lies `leaderboard.json`: the rows, and what they come to.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layerscope.attribution.methods import METHODS
from layerscope.errors import InputError, UnknownNameError
from layerscope.faithfulness.explainers import CONTROLS, of_control, of_method
from layerscope.faithfulness.measures.catalogue import JUDGED, MEASURES, SECONDS
from layerscope.faithfulness.photo_cases import choose
from layerscope.models.model import VisionModel
from layerscope.records import Record, Store, content_key
from layerscope.studies.leaderboard_bench import Numbered, measured, measured_or_refused
from layerscope.studies.leaderboard_familiar import familiar_rows
from layerscope.studies.leaderboard_files import (
    MANIFEST,
    SCHEMA,
    head_of,
    known_methods,
    measure_facts,
    write_manifest,
)
from layerscope.studies.leaderboard_reading import reading
from layerscope.studies.leaderboard_rows import Measured, headline, rows_of
from layerscope.studies.leaderboard_sources import LEAST, MOST, PhotoSource, SceneSource, Source
from layerscope.studies.leaderboard_tiers import Provable, marks, meta_rows, stability, tier_rows
from layerscope.studies.manifest import folder_of, opening
from layerscope.types import Progress, Steps, no_progress

SCENES, PROVED = 200, 16
QUICK_SCENES, QUICK_PROVED = 20, 6
PICTURED = tuple(name for name, method in METHODS.items() if not method.layered)
"""The methods whose maps are of images, so that they have sums inside the parts of a thing."""
SLOW = ("score_cam", "feature_ablation", "shapley_sampling", "kernel_shap", "lime", "rise")
"""Those of them that take longest, or stand in for one that is measured: left out unless they are asked for."""
CORE = tuple(name for name in PICTURED if name not in SLOW)
QUICK = tuple(name for name in CORE if name not in ("occlusion", "gradient_shap", "integrated_gradients"))
"""The methods that take less than a tenth of a second for an image of the bundled networks."""

_PINNED = "controls"


@dataclass(frozen=True, eq=False)
class Leaderboard:
    """A leaderboard on disk.

    folder: where it lies. facts: all of `leaderboard.json`. made: records that this call made; the others were found.
    """

    folder: Path
    facts: dict[str, Any]
    made: int
    seconds: float

    @property
    def rows(self) -> tuple[dict[str, Any], ...]:
        """A row for each method, the best first, and after them the controls; measures with intervals."""
        return tuple(self.facts["rows"])

    @property
    def words(self) -> str:
        """What the rows come to, in a few sentences."""
        return " ".join(self.facts["reading"])


def leaderboard(
    model: VisionModel | Sequence[VisionModel],
    methods: Sequence[str] | None = None,
    out: str | Path = "outputs/leaderboard",
    *,
    scenes: int = SCENES,
    images: str | Path | None = None,
    masks: str | Path | None = None,
    proved: int = PROVED,
    seed: int = 0,
    on_progress: Progress = no_progress,
) -> Leaderboard:
    """Measure how right attribution methods are about the class that `model` predicts.

    On scenes the causes are found by rendering each again without its parts, on another background and so on; on a
    folder of images only what needs no causes is measured. Every measure is listed in
    `layerscope.faithfulness.measures.catalogue.MEASURES`, and comes with a 95 % interval over images and networks, with
    the same of controls that know nothing, and with a check on networks whose right answer is provable.

    Args:
        model: a network that puts out [batch, classes]; or several trainings of one, which are shown the same images.
        methods: names in METHODS of methods that draw maps of images; None: all but those of SLOW.
        out: the leaderboard lies in a folder of its own below it, one for each network and set of images.
        scenes: how many are rendered, or how many of the images are taken at most.
        images: a folder of images to take in the place of scenes.
        masks: where things are on them: a COCO file (.json), or a folder of PNG index masks.
        proved: cases of each provable network; 0 leaves these out, and measures unchecked.
        seed: from 0 to 9,999; which scenes, and of everything random. Those of different seeds share no scene.

    Raises UnknownNameError for methods that do not exist, InputError for a network that cannot be asked, too few
    images that say anything, and numbers out of range; StorageError where `out` cannot be written. A method that
    refuses a network is listed with what it said.
    """
    began = time.perf_counter()
    models = _checked_models(model)
    chosen = _checked_methods(methods)
    _check_numbers(scenes, proved, seed)
    source = _source(models[0], scenes, images, masks, seed)
    for one in models:
        source.check(one)
    study = _Study(models, source, Provable(Path(out), proved, seed), seed, None if masks is None else str(masks))
    folder = folder_of(Path(out), models[0], study.key(), MANIFEST)
    study.open(folder, [name for name in PICTURED if name in {*chosen, *known_methods(folder)}])
    made = study.make(on_progress)
    return Leaderboard(folder, study.write(), made, time.perf_counter() - began)


class _Study:
    """Networks, images and methods of one leaderboard, with the records of what is measured so far."""

    folder: Path
    methods: tuple[str, ...]

    def __init__(
        self, models: Sequence[VisionModel], source: Source, provable: Provable, seed: int, masks: str | None
    ) -> None:
        self.models, self.source, self.provable, self.seed, self.masks = models, source, provable, seed, masks

    def key(self, model: VisionModel | None = None, method: str = "") -> str:
        """Of the record of a method on a network; without them, of the whole."""
        options = {name: str(value) for name, value in METHODS[method].options().items()} if method in METHODS else {}
        return content_key(
            schema=SCHEMA,
            layerscope=version("layerscope"),
            networks=[one.fingerprint for one in (self.models if model is None else [model])],
            source=dict(self.source.identity),
            measures=list(MEASURES),
            seed=self.seed,
            method=method,
            options=options,
        )

    def open(self, folder: Path, methods: Sequence[str]) -> None:
        self.folder, self.methods, self.store = folder, tuple(methods), Store(folder)

    def make(self, on_progress: Progress) -> int:
        """Measure what is missing, and write `leaderboard.json` after each record; returns how many were made."""
        self.write()
        wanted = [(model, name) for model in self.models for name in (_PINNED, *self.methods)]
        missing = [(model, name) for model, name in wanted if self._find(model, name) is None]
        unproved = self.provable.missing(self.methods)
        steps = Steps(on_progress, self.source.count * len(missing) + self.provable.count * len(unproved))
        for name in unproved:
            self.provable.make(name, lambda *told: steps(0, *told[1:]))
            steps.on(self.provable.count)
        for model in self.models:
            names = [name for one, name in missing if one is model]
            cases, facts = self.source.cases(model, lambda *told: steps(0, *told[1:])) if names else ((), {})
            for name in names:
                self._measure(model, name, cases, facts, steps)
                steps.on(self.source.count)
                self.write()
        return len(missing)

    def _measure(
        self, model: VisionModel, name: str, cases: Numbered, about: Mapping[str, Any], on_progress: Progress
    ) -> None:
        count = self.source.count
        if name != _PINNED:
            facts, arrays = measured_or_refused(of_method(name, seed=self.seed), cases, count, on_progress, name)
            self.store.write(self.key(model, name), facts, arrays)
            return
        found: dict[str, NDArray[np.float64]] = {}
        for control in CONTROLS:
            values = measured(of_control(control), cases, count, on_progress, control)
            found |= {f"{control}/{measure}": values[measure] for measure in JUDGED}
        told = {**about, "checked": sum(len(case.questions) > 1 for _, case in cases), "familiar": []}
        if isinstance(self.source, SceneSource) and about["accuracy"] is not None:
            told["familiar"] = familiar_rows(model, self.source.rendered, on_progress)
        self.store.write(self.key(model, _PINNED), told, found)

    def _find(self, model: VisionModel, name: str) -> Record | None:
        return self.store.find(self.key(model, name))

    def write(self) -> dict[str, Any]:
        """Write `leaderboard.json` over what is measured so far, and return what it says."""
        pinned = [self._find(model, _PINNED) for model in self.models]
        known = [record for record in pinned if record is not None]
        found = {name: [self._find(model, name) for model in self.models] for name in self.methods}
        methods = [self._of_method(name, some) for name, some in found.items() if any(some)]
        controls = [one for name in CONTROLS if known and (one := self._of_control(name, pinned)).values]
        meta = meta_rows(self.provable, _stable([one for one in methods if one.refused is None]))
        rows = rows_of(self.models[0].name, methods, controls, meta, self.seed)
        first = headline([row["measure"] for row in meta if row["passes"] is False], controls)
        accuracy = [None if record is None else record.facts["accuracy"] for record in pinned]
        facts = {
            **head_of(self.models, self.key(), accuracy),
            "truth": self._truth,
            "scenes": self._source_facts(known),
            "seed": self.seed,
            "methods": list(self.methods),
            "measures": measure_facts(rows, [row["measure"] for row in meta if row["passes"] is False]),
            "rows": rows,
            "refused": [
                {"method": one.name, "title": one.title, "error": one.refused} for one in methods if one.refused
            ],
            "reading": reading(rows, meta, first),
            "meta": meta,
            "tiers": tier_rows(self.provable, self.methods),
            "familiar": known[0].facts["familiar"] if known else [],
            "complete": len(known) == len(self.models) and all(all(some) for some in found.values()),
            "command": self._command(),
        }
        write_manifest(self.folder, facts)
        return facts

    def _of_method(self, name: str, found: Sequence[Record | None]) -> Measured:
        refused = next((str(one.facts["refused"]) for one in found if one is not None and one.facts["refused"]), None)
        arrays = [{} if one is None else one.arrays for one in found]
        if refused:
            return Measured(name, METHODS[name].title, refused, {})
        values = _stacked(arrays, (*JUDGED, SECONDS.name), self.source.count)
        return Measured(name, METHODS[name].title, None, values | self._marks(name))

    def _of_control(self, name: str, pinned: Sequence[Record | None]) -> Measured:
        """Without values where it has no answer, as the exact one has none about images whose causes are not known."""
        arrays = [{} if one is None else _below(name, one.arrays) for one in pinned]
        values = _stacked(arrays, JUDGED, self.source.count)
        if all(np.isnan(one).all() for one in values.values()):
            return Measured(name, CONTROLS[name], None, {})
        return Measured(name, CONTROLS[name], None, values | self._marks(_PINNED, f"{name}/"))

    def _marks(self, name: str, prefix: str = "") -> dict[str, NDArray[np.float64]]:
        """What planted shortcuts say of a method, beside its measures on scenes."""
        proved = self.provable.find(name) if self.provable.count and self._truth else None
        return {} if proved is None else marks(proved.arrays, prefix)

    @property
    def _truth(self) -> bool:
        """Whether causes are known."""
        return isinstance(self.source, SceneSource)

    def _source_facts(self, pinned: Sequence[Record]) -> dict[str, Any]:
        names = ("telling", "checked", "accuracy")
        return {**self.source.facts, **{name: pinned[0].facts[name] if pinned else None for name in names}}

    def _command(self) -> str:
        """The line of Python that makes it again."""
        methods = None if self.methods == CORE else list(self.methods)
        of = [opening(model) for model in self.models]
        network = of[0] if len(of) == 1 else f"[{', '.join(of)}]"
        told: dict[str, Any] = {"methods": methods, "scenes": self.source.count}
        if isinstance(self.source, PhotoSource):
            told = told if self.source.count < self.source.chosen.found else {"methods": methods}
            told |= {"images": str(self.source.chosen.folder)}
            told |= {} if self.masks is None else {"masks": self.masks}
        given = "".join(f", {name}={value!r}" for name, value in {**told, "seed": self.seed}.items())
        return f"import layerscope as ls; ls.leaderboard({network}{given})"


Arrays = Mapping[str, NDArray[np.float64]]


def _below(name: str, arrays: Arrays) -> Arrays:
    """What is called "<name>/..." without that."""
    return {key.partition("/")[2]: one for key, one in arrays.items() if key.startswith(f"{name}/")}


def _stacked(found: Sequence[Arrays], names: Sequence[str], count: int) -> dict[str, NDArray[np.float64]]:
    """Arrays [networks, count] of [count] each; NaN for a network that was not measured yet."""
    nothing = np.full(count, np.nan)
    return {name: np.stack([arrays.get(name, nothing) for arrays in found]) for name in names}


def _stable(methods: Sequence[Measured]) -> dict[str, float | None]:
    """By measure, how alike the methods' orders are on the networks that all of them were asked about."""
    found = {}
    for name in JUDGED:
        some = [one.values[name] for one in methods if name in one.values and not np.isnan(one.values[name]).all()]
        networks = min((len(values) for values in some), default=0)
        asked = [at for at in range(networks) if not any(np.isnan(values[at]).all() for values in some)]
        found[name] = stability([[float(np.nanmean(values[at])) for values in some] for at in asked])
    return found


def _source(
    model: VisionModel, scenes: int, images: str | Path | None, masks: str | Path | None, seed: int
) -> SceneSource | PhotoSource:
    if images is not None:
        return PhotoSource(choose(images, masks, scenes, seed), seed)
    if masks is not None:
        raise InputError(f"masks={str(masks)!r} without images; give the folder that they are of as images=")
    return SceneSource(scenes, seed, model.input_size)


def _checked_models(model: VisionModel | Sequence[VisionModel]) -> tuple[VisionModel, ...]:
    models = tuple(model) if isinstance(model, Sequence) else (model,)
    if not models:
        raise InputError("no networks to ask; give one, or several trainings of one")
    for one in models:
        if not isinstance(one, VisionModel):
            raise InputError(f"a {type(one).__name__} is no VisionModel; open it with load_model, or wrap(module)")
    prints = [one.fingerprint for one in models]
    if len(set(prints)) < len(prints):
        raise InputError("two of the networks are the same; give trainings that differ, each once")
    return models


def _check_numbers(scenes: int, proved: int, seed: int) -> None:
    for name, value, least, most in (
        ("scenes", scenes, LEAST, MOST),
        ("proved", proved, 0, 1000),
        ("seed", seed, 0, 9999),
    ):
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise InputError(f"{name}={value!r}; give a whole number from {least} to {most}")


def _checked_methods(methods: Sequence[str] | None) -> tuple[str, ...]:
    if isinstance(methods, str):
        raise InputError(f"methods={methods!r} is one text; give a list of names, as [{methods!r}]")
    if methods is not None and not methods:
        raise InputError("no methods to measure; give some names, or None for the usual ones")
    for method in methods or ():
        if method not in PICTURED:
            raise UnknownNameError.among("method that draws maps of images:", method, PICTURED)
    return CORE if methods is None else tuple(methods)
