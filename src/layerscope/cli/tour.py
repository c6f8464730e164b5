"""What `layerscope tour` makes: galleries and the hierarchy of bundled networks, explanations of three images."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from importlib.resources import as_file, files
from pathlib import Path

from layerscope.cli import hierarchy
from layerscope.cli.explanations import explain_all, summary
from layerscope.models.model import VisionModel
from layerscope.models.python_file import run_file
from layerscope.models.sources import load_model
from layerscope.models.zoo import NAMES
from layerscope.records import storage_errors
from layerscope.studies.explain import Explainer
from layerscope.studies.gallery import gallery
from layerscope.studies.sheet import write_sheet
from layerscope.types import Progress

Bar = Callable[[str], AbstractContextManager[Progress]]
"""Opens a progress bar of this title."""

SCENES = ("scene:owl:7", "scene:ladybird:3")
PHOTOGRAPH = "flower.jpg"
"""By dzseng, CC BY 2.0; it comes with scikit-learn."""


def make_galleries(out: Path, recipe: str, executor: Executor | None, bar: Bar) -> Iterator[str]:
    """The galleries of the bundled networks, and a sheet of each; gives lines that say so."""
    for name in NAMES:
        with bar(name) as report:
            made = gallery(load_model(name), out=out / "gallery", recipe=recipe, executor=executor, on_progress=report)
        yield f"{name}: {made.made} pictures made, {made.found} found, {made.seconds:.0f} s"
        yield f"  from edges to objects on one page: {write_sheet(made.folder)}"


def make_hierarchy(out: Path) -> Iterator[str]:
    """What the layers of the bundled network code."""
    yield f"\nmenagerie\n{hierarchy.summary(hierarchy.report(load_model('menagerie'), 'menagerie', 'quick', out, 0))}\n"


def make_explanations(out: Path, bar: Bar) -> Iterator[str]:
    """Bundled scenes and a photograph by the bundled networks, and a scene by a checkpoint of one's own."""
    photograph = files("sklearn.datasets.images") / PHOTOGRAPH
    with as_file(photograph) as path:
        yield from _explained(load_model("menagerie"), [*SCENES, str(path)], out, bar)
    yield from _explained(load_model("menagerie:robust"), [SCENES[0]], out, bar)
    yield from _explained(_own_network(out / "tour", bar), [SCENES[0]], out, bar)


def _explained(model: VisionModel, sources: list[str], out: Path, bar: Bar) -> Iterator[str]:
    with bar(f"explain, {model.name}") as report:
        explainer = Explainer(model, gallery=out / "gallery", on_progress=report)
        made, refused = explain_all(explainer, sources, out)
    yield f"\n{model.name}\n{summary(made)}"
    yield from (f"error: {error}" for error in refused)


def _own_network(folder: Path, bar: Bar) -> VisionModel:
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
