"""What `layerscope tour` makes: galleries, the hierarchy, leaderboards and explanations of the bundled networks.

The site is there as soon as the first pictures are: the classes of the robust network and a few units of each of its
layers. What follows adds to it, and nothing is made twice.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from layerscope.cli import explanations, hierarchy
from layerscope.cli.pages import Pages
from layerscope.cli.workers import workers
from layerscope.figures.contact_sheet import write_sheet
from layerscope.figures.galleries import spread
from layerscope.figures.words import plural
from layerscope.models.model import VisionModel
from layerscope.models.python_file import run_file
from layerscope.models.sources import load_model
from layerscope.records import storage_errors
from layerscope.studies.explain import Explainer
from layerscope.studies.gallery import gallery
from layerscope.studies.leaderboard import QUICK, QUICK_PROVED, QUICK_SCENES, leaderboard
from layerscope.types import Progress

Bar = Callable[[str], AbstractContextManager[Progress]]
"""Opens a progress bar of this title."""
Say = Callable[[str], None]

ROBUST, STANDARD = "menagerie:robust", "menagerie"
SCENES = ("scene:owl:7", "scene:ladybird:3")
PHOTOGRAPH = "flower.jpg"
"""By dzseng, CC BY 2.0; it comes with scikit-learn."""
PARTS = ("galleries", "hierarchies", "leaderboards", "explanations")
_EARLY = 4
"""Units of each layer that are drawn first, evenly spaced."""


class Tour:
    """Makes everything in `out`, each part once. say: hears a few words of each part when it is there.

    Raises StorageError before any work where the folder holds somebody else's site.
    """

    def __init__(self, out: Path, bar: Bar, say: Say) -> None:
        self._out, self._bar, self._say = out, bar, say
        self.pages = Pages(out, say)
        self._parts: dict[str, list[dict[str, Any]]] = {name: [] for name in PARTS}

    def make(self, recipe: str, engine: str) -> dict[str, Any]:
        """Everything, in the order in which people want to see it; the site is written again after each stage.

        Returns what there is now, as JSON: folders, counts, seconds, and the address of the site.
        """
        began = time.monotonic()
        robust, standard = load_model(ROBUST), load_model(STANDARD)
        with workers(engine) as executor:
            self._gallery(robust, recipe=recipe, executor=executor)
            self._explanations(robust, SCENES[:1])
            self._gallery(standard, recipe=recipe, executor=executor)
            with as_file(files("sklearn.datasets.images") / PHOTOGRAPH) as photograph:
                self._explanations(standard, [*SCENES, str(photograph)])
            self._hierarchy(standard, executor)
        for model in (robust, standard):
            self._leaderboard(model)
        self._explanations(own_network(self._out / "tour", self._bar), SCENES[:1])
        seconds = round(time.monotonic() - began, 1)
        first = None if self.pages.first is None else round(self.pages.first, 1)
        return {
            "folder": str(self._out),
            "site": self.pages.address,
            "seconds": seconds,
            "seconds_to_first_page": first,
            **self._parts,
        }

    def _gallery(self, model: VisionModel, **options: Any) -> None:
        early = early_units(model)
        with self._bar(model.name) as report:
            progress = self.pages.refreshing(report, least=len(early))
            made = gallery(model, out=self._out / "gallery", first=early, on_progress=progress, **options)
        sheet = write_sheet(made.folder)
        self.pages.write()
        self._say(f"{model.name}: {plural(made.made, 'picture')} made, {made.found:,} found, {made.seconds:.0f} s")
        self._say(f"  from edges to objects on one page: {sheet}")
        self._note("galleries", model, made.folder, made.seconds, made=made.made, found=made.found, sheet=str(sheet))

    def _hierarchy(self, model: VisionModel, executor: Executor | None) -> None:
        made = hierarchy.report(model, "menagerie", "quick", self._out, 0, executor)
        self.pages.write()
        self._say(f"\n{model.name}\n{hierarchy.summary(made)}\n")
        self._note("hierarchies", model, made.folder, made.seconds, shown=made.shown, words=made.words)

    def _leaderboard(self, model: VisionModel) -> None:
        with self._bar(f"leaderboard, {model.name}") as report:
            progress = self.pages.refreshing(report)
            out = self._out / "leaderboard"
            made = leaderboard(model, QUICK, out, scenes=QUICK_SCENES, proved=QUICK_PROVED, on_progress=progress)
        self.pages.write()
        self._say(f"{model.name}: {made.words}")
        self._note("leaderboards", model, made.folder, made.seconds, words=made.words)

    def _explanations(self, model: VisionModel, sources: Sequence[str]) -> None:
        with self._bar(f"explain, {model.name}") as report:
            explainer = Explainer(model, gallery=self._out / "gallery", on_progress=report)
            made, refused = explanations.explain_all(explainer, sources, self._out)
        self.pages.write()
        self._say(f"\n{model.name}\n{explanations.summary(made)}\n")
        for error in refused:
            self._say(f"error: {error}")
        for one in made:
            image = one.facts["image"]["name"]
            self._note("explanations", model, one.folder, one.facts["seconds"], image=image, label=one.label)

    def _note(self, kind: str, model: VisionModel, folder: Path, seconds: float, **facts: Any) -> None:
        self._parts[kind].append({"network": model.name, "folder": str(folder), "seconds": round(seconds, 1), **facts})


def early_units(model: VisionModel) -> list[str]:
    """The units that the first page shows: all classes, and a few of each convolution."""
    layers = model.layers()
    convolutions = [layer for layer in layers if layer.kind == "Conv2d"]
    units = [f"{layer.name}:{index}" for layer in convolutions for index in spread(layer.units, _EARLY)]
    return [*units, *(f"{layers[-1].name}:{index}" for index in range(layers[-1].units))]


def own_network(folder: Path, bar: Bar) -> VisionModel:
    """A network as a user may have one: a Python file, copied to `folder`, and the checkpoint that it trains there."""
    file = folder / "own_network.py"
    with storage_errors("write", file), as_file(files("layerscope.examples") / "own_network.py") as example:
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "own_network.pth").is_file():
            shutil.copyfile(example, file)
            with bar("a network of one's own") as report:
                report(0, 1, "training it for half a minute")
                run_file(f"{file}:train")
                report(1, 1, "training it for half a minute")
    return load_model(f"{file}:network")
