"""How right attribution methods are about a network, on rendered scenes whose causes are known, beside pinned controls.

Each method is one record, so an interrupted leaderboard goes on where it stopped, and one that is asked for more
methods grows. Beside the records lies `leaderboard.json`: the rows, and what they come to.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from layerscope.attribution.methods import METHODS, attribute
from layerscope.attribution.score import Score, predicted
from layerscope.capture.evaluating import evaluating
from layerscope.errors import InputError, UnknownNameError
from layerscope.faithfulness.causes import LEAST_PARTS
from layerscope.faithfulness.measures import JUDGED, Case, case_of, judge, pinned
from layerscope.models.datasets import TEST_SEED
from layerscope.models.model import VisionModel
from layerscope.objectives import logit
from layerscope.records import Store, content_key
from layerscope.studies.asked import as_taken
from layerscope.studies.leaderboard_files import MANIFEST, SCHEMA, known_methods, manifest_of, write_manifest
from layerscope.studies.leaderboard_rows import Measured, rows_of
from layerscope.studies.manifest import folder_of
from layerscope.types import Progress, Steps, no_progress
from layerscope.world import CLASS_NAMES, Scenes, render
from layerscope.world.scene import SIZES

SCENES, QUICK_SCENES, MOST_SCENES = 100, 20, 100_000
SCENE_SEED = TEST_SEED + 1_000_000
"""First scene seed of the leaderboard with seed 0: no network of ours was trained, tested or calibrated on these."""
REDRAWN = 8
"""Scenes on which a method is also asked about the network with its top layers drawn anew: it costs two maps more."""
LEAST_SCENES = 4
_CHUNK = 4  # images at once, between two reports of progress
_PINNED = "controls"

PICTURED = tuple(name for name, method in METHODS.items() if not method.layered)
"""The methods whose maps are of images, so that they have sums inside the parts of a thing."""
SLOW = (
    *("gradient_shap", "score_cam", "occlusion", "feature_ablation"),
    *("shapley_sampling", "kernel_shap", "lime", "rise"),
)
"""Those of them that take more than a tenth of a second for an image of the bundled networks, but for one that users
reach for first: left out of a quick leaderboard."""
QUICK = tuple(name for name in PICTURED if name not in SLOW)


@dataclass(frozen=True, eq=False)
class Leaderboard:
    """A leaderboard on disk.

    folder: where it lies. facts: all of `leaderboard.json`. made: methods measured by this call; the others were found.
    """

    folder: Path
    facts: dict[str, Any]
    made: int
    seconds: float

    @property
    def rows(self) -> tuple[dict[str, Any], ...]:
        """A row for each method, the best part rank first, and after them the controls; measures with intervals."""
        return tuple(self.facts["rows"])

    @property
    def words(self) -> str:
        """What the rows come to, in a few sentences."""
        return " ".join(self.facts["reading"])


def leaderboard(
    model: VisionModel,
    methods: Sequence[str] | None = None,
    out: str | Path = "outputs/leaderboard",
    *,
    scenes: int = SCENES,
    seed: int = 0,
    on_progress: Progress = no_progress,
) -> Leaderboard:
    """Measure how right attribution methods are about what `model` predicts for rendered scenes.

    Each method explains the logit of the predicted class. The causes are found by rendering each scene without each of
    its parts; what is measured is listed in `faithfulness.measures.MEASURES`, with 95 % intervals over the scenes.

    Args:
        model: a network that takes colour images and puts out [batch, classes]. That it knows the classes of
            `layerscope.world` is not required, but its share of right answers is said.
        methods: names in METHODS of methods that draw maps of images; None: all of these.
        out: the leaderboard lies in a folder of its own below it, one for each network and set of scenes.
        scenes: how many are rendered; those on which fewer than three parts are seen say nothing, and are counted.
        seed: from 0 to 9,999; which scenes, and of everything random. Those of different seeds share no scene.

    Raises UnknownNameError for methods that do not exist, InputError for a network that cannot be asked, too few
    scenes that say anything, and numbers out of range; StorageError where `out` cannot be written. A method that
    refuses the network is listed with what it said.
    """
    began = time.perf_counter()
    chosen = _checked(model, methods, scenes, seed)
    bench = _Bench(model, scenes, seed)
    folder = folder_of(Path(out), model, bench.key(), MANIFEST)
    store = Store(folder)
    order = [name for name in PICTURED if name in {*chosen, *known_methods(folder)}]
    wanted = [_PINNED, *order]
    missing = [name for name in wanted if store.find(bench.key(name)) is None]
    facts = _written(bench, store, order)
    steps = Steps(on_progress, scenes * len(missing))
    for name in missing:
        store.write(bench.key(name), *(bench.controls(steps) if name == _PINNED else bench.method(name, steps)))
        facts = _written(bench, store, order)
        steps.on(scenes)
    return Leaderboard(folder, facts, len([name for name in missing if name != _PINNED]), time.perf_counter() - began)


class _Bench:
    """One network on one set of scenes; what the scenes' causes are is found when the first method needs it."""

    def __init__(self, model: VisionModel, scenes: int, seed: int) -> None:
        self.model, self.scenes, self.seed = model, scenes, seed

    def key(self, method: str = "") -> str:
        """Of one method's record; without a name, of the whole."""
        options = {name: str(value) for name, value in METHODS[method].options().items()} if method in METHODS else {}
        return content_key(
            schema=SCHEMA,
            layerscope=version("layerscope"),
            network=self.model.fingerprint,
            size=self.model.input_size,
            scenes=self.scenes,
            seed=self.seed,
            method=method,
            options=options,
        )

    @cached_property
    def rendered(self) -> Scenes:
        first = SCENE_SEED + self.seed * MOST_SCENES
        return render(self.scenes, seed=first, size=self.model.input_size)

    @cached_property
    def labels(self) -> list[int]:
        """The class that is predicted for each scene, and explained."""
        images = self.rendered.images
        with evaluating(self.model.module):
            found: list[int] = torch.cat(
                [predicted(self.model, as_taken(self.model, some)) for some in images.split(64)]
            ).tolist()
        return found

    @cached_property
    def accuracy(self) -> float | None:
        """The share of the scenes that are named rightly; None for a network of other classes."""
        names = self.model.class_names
        if not names or not set(CLASS_NAMES) <= set(names):
            return None
        right: list[bool] = [
            names[label] == CLASS_NAMES[truth]
            for label, truth in zip(self.labels, self.rendered.labels.tolist(), strict=True)
        ]
        return sum(right) / len(right)

    @cached_property
    def cases(self) -> list[tuple[int, Case]]:
        """The scenes that say something, by their numbers. Raises InputError where there are too few."""
        found = []
        with evaluating(self.model.module):
            for number in range(self.scenes):
                case = case_of(self._score(number), self.rendered.one(number), input_size=self.model.input_size)
                if case is not None:
                    found.append((number, case))
        if len(found) < LEAST_SCENES:
            raise InputError(
                f"{len(found)} of {self.scenes} scenes show {LEAST_PARTS} parts or more whose effects on "
                f"{self.model.name!r} differ; {LEAST_SCENES} are needed, give more scenes"
            )
        return found

    def _score(self, number: int) -> Callable[[Tensor], Tensor]:
        score = Score(self.model, logit(self.labels[number]).bind(self.model), self.model.layout)
        return lambda images: score(as_taken(self.model, images))

    def controls(self, on_progress: Progress) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Facts of the scenes, and what the pinned maps get on each."""
        values: dict[str, list[float]] = {}
        with evaluating(self.model.module):
            for turn, (_, case) in enumerate(self.cases):
                on_progress(turn, len(self.cases), _PINNED)
                for name, judged in judge(pinned(case), case).items():
                    for measure in JUDGED:
                        values.setdefault(f"{name}/{measure}", []).append(judged[measure])
        facts = {"scenes": self.scenes, "telling": len(self.cases), "accuracy": self.accuracy}
        return facts, {name: np.array(one) for name, one in values.items()}

    def method(self, name: str, on_progress: Progress) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """What a method gets on each scene, or why it refused the network."""
        try:
            values = self._measured(name, on_progress)
        except InputError as refusal:
            return {"refused": str(refusal)}, {}
        return {"refused": None}, {measure: np.array(one) for measure, one in values.items()}

    def _measured(self, name: str, on_progress: Progress) -> dict[str, list[float]]:
        values: dict[str, list[float]] = {measure: [] for measure in (*JUDGED, "redrawn", "seconds")}
        checked = min(REDRAWN, len(self.cases) // 2)
        for start in (*range(0, checked, _CHUNK), *range(checked, len(self.cases), _CHUNK)):
            end = min(start + _CHUNK, checked if start < checked else len(self.cases))
            some = self.cases[start:end]
            on_progress(start, len(self.cases), name)
            images = as_taken(self.model, torch.stack([case.image for _, case in some]))
            began = time.process_time()
            made = attribute(
                self.model,
                images,
                [self.labels[number] for number, _ in some],
                name,
                seed=self.seed,
                checks=start < checked,
            )
            taken = (time.process_time() - began) / len(some)
            if start < checked:  # the first images also warm up what is timed
                drawn = [check.redrawn for check in made.checks]
                values["redrawn"] += [np.nan if one is None else abs(one) for one in drawn]
            else:
                values["seconds"] += [taken] * len(some)
            with evaluating(self.model.module):
                for (_, case), map_ in zip(some, made.maps, strict=True):
                    judged = judge({name: map_}, case)[name]
                    for measure in JUDGED:
                        values[measure].append(judged[measure])
        return values


def _checked(model: VisionModel, methods: Sequence[str] | None, scenes: int, seed: int) -> tuple[str, ...]:
    if not isinstance(model, VisionModel):
        raise InputError(f"a {type(model).__name__} is no VisionModel; open it with load_model, or wrap(module)")
    if model.channels != 3 or not SIZES[0] <= model.input_size <= SIZES[1]:
        raise InputError(
            f"{model.name!r} takes {model.channels} channels of {model.input_size} px; scenes have 3, and "
            f"{SIZES[0]} to {SIZES[1]} px"
        )
    for name, value, least, most in (("scenes", scenes, LEAST_SCENES, MOST_SCENES), ("seed", seed, 0, 9999)):
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise InputError(f"{name}={value!r}; give a whole number from {least} to {most}")
    if isinstance(methods, str):
        raise InputError(f"methods={methods!r} is one text; give a list of names, as [{methods!r}]")
    if methods is not None and not methods:
        raise InputError("no methods to measure; give some names, or None for all")
    for method in methods or ():
        if method not in PICTURED:
            raise UnknownNameError.among("method that draws maps of images:", method, PICTURED)
    return PICTURED if methods is None else tuple(methods)


def _written(bench: _Bench, store: Store, order: Sequence[str]) -> dict[str, Any]:
    """Write `leaderboard.json` over what is measured so far, and return what it says."""
    pinned_ = store.find(bench.key(_PINNED))
    found = {name: record for name in order if (record := store.find(bench.key(name))) is not None}
    measured = [
        Measured(name, METHODS[name].title, record.facts["refused"], record.arrays) for name, record in found.items()
    ]
    rows, reading = rows_of(bench.model.name, measured, {} if pinned_ is None else pinned_.arrays, bench.seed)
    facts = manifest_of(
        bench.model,
        bench.key(),
        scenes={"asked": bench.scenes, "first": SCENE_SEED + bench.seed * MOST_SCENES}
        | ({} if pinned_ is None else {name: pinned_.facts[name] for name in ("telling", "accuracy")}),
        seed=bench.seed,
        methods=order,
        whole=tuple(order) == PICTURED,
        refused=[{"method": one.name, "title": one.title, "error": one.refused} for one in measured if one.refused],
        rows=rows,
        reading=reading,
        complete=pinned_ is not None and len(found) == len(order),
    )
    write_manifest(store.folder, facts)
    return facts
