"""How right attribution methods are about networks, beside pinned controls: on rendered scenes whose causes are known,
on networks whose right answer is provable, or, by the measures that need no truth, on a user's own images.

Each method is one record for each network, so an interrupted leaderboard goes on where it stopped, and one that is
asked for more methods grows. Beside the records lies `leaderboard.json`: the rows, and what they come to. It is written
before each network and at the end, also an early one.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from layerscope.attribution.methods import METHODS
from layerscope.errors import InputError, UnknownNameError
from layerscope.faithfulness.intervals import LEAST
from layerscope.faithfulness.photo_cases import choose
from layerscope.models.model import VisionModel
from layerscope.studies.leaderboard_facts import write_facts
from layerscope.studies.leaderboard_files import MANIFEST, known_methods
from layerscope.studies.leaderboard_sources import CHECKED, MOST, PhotoSource, SceneSource
from layerscope.studies.leaderboard_study import Study
from layerscope.studies.manifest import folder_of
from layerscope.synthesis.checks import checked_model
from layerscope.types import Progress, no_progress

SCENES, PROVED = 200, 16
QUICK_SCENES, QUICK_PROVED = 20, 6
PICTURED = tuple(name for name, method in METHODS.items() if not method.layered)
"""The methods whose maps are of images, so that they have sums inside the parts of a thing."""
SLOW = ("score_cam", "feature_ablation", "shapley_sampling", "kernel_shap", "lime", "rise")
"""Those of them that take longest, or stand in for one that is measured: left out unless they are asked for."""
CORE = tuple(name for name in PICTURED if name not in SLOW)
QUICK = tuple(name for name in CORE if name not in ("occlusion", "gradient_shap", "integrated_gradients"))
"""The methods that take less than a tenth of a second for an image of the bundled networks."""


@dataclass(frozen=True, eq=False)
class Leaderboard:
    """A leaderboard on disk.

    folder: where it lies. facts: all of `leaderboard.json`. made: how many methods and sets of controls this call
    measured on the images, for each network; the others were found.
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
        out: the leaderboard lies in a folder of its own below it, one for each network and set of images; records of
            what was measured lie there for all of them.
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
    chosen = checked_methods(methods)
    _check_numbers(scenes, proved, seed)
    source = _source(models[0], scenes, images, masks, seed)
    for one in models:
        source.check(one)
    study = Study(models, source, Path(out), proved, seed)
    folder = folder_of(Path(out), models[0], study.key(), MANIFEST)
    study.methods = tuple(name for name in PICTURED if name in {*chosen, *known_methods(folder)})
    write = partial(write_facts, study, folder, whole=study.methods == CORE)
    try:
        made = study.make(on_progress, write)
    finally:  # also of what an interrupted run has measured
        facts = write()
    return Leaderboard(folder, facts, made, time.perf_counter() - began)


def _source(
    model: VisionModel, scenes: int, images: str | Path | None, masks: str | Path | None, seed: int
) -> SceneSource | PhotoSource:
    if images is not None:
        return PhotoSource(choose(images, masks, scenes, seed), seed)
    if masks is not None:
        raise InputError(f"masks={str(masks)!r} without images; give the folder that they are of as images=")
    return SceneSource(scenes, seed, model.input_size, checked=min(CHECKED, max(LEAST, scenes // 2)))


def _checked_models(model: VisionModel | Sequence[VisionModel]) -> tuple[VisionModel, ...]:
    models = tuple(model) if isinstance(model, Sequence) else (model,)
    if not models:
        raise InputError("no networks to ask; give one, or several trainings of one")
    for one in models:
        checked_model(one)
    prints = [one.fingerprint for one in models]
    if len(set(prints)) < len(prints):
        raise InputError("two of the networks are the same; give trainings that differ, each once")
    if len({(one.channels, one.input_size, one.class_names) for one in models}) > 1:
        raise InputError(
            "several networks have to be trainings of one: with the same classes, channels and input size; "
            "make a leaderboard for each of the others"
        )
    return models


def _check_numbers(scenes: int, proved: int, seed: int) -> None:
    for name, value, least, most in (
        ("scenes", scenes, LEAST, MOST),
        ("proved", proved, 0, 1000),
        ("seed", seed, 0, 9999),
    ):
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise InputError(f"{name}={value!r}; give a whole number from {least} to {most}")


def checked_methods(methods: Sequence[str] | None) -> tuple[str, ...]:
    """Names of methods that draw maps of images; None: those of CORE. Raises as `leaderboard` does."""
    if isinstance(methods, str):
        raise InputError(f"methods={methods!r} is one text; give a list of names, as [{methods!r}]")
    if methods is not None and not isinstance(methods, Sequence):
        raise InputError(f"methods={methods!r} is a {type(methods).__name__}; give a list of names")
    if methods is not None and not methods:
        raise InputError("no methods to measure; give some names, or None for the usual ones")
    for method in methods or ():
        if method not in PICTURED:
            raise UnknownNameError.among("method that draws maps of images:", method, PICTURED)
    return CORE if methods is None else tuple(methods)
