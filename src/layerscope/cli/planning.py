"""What `layerscope gallery --plan` does, and what it says."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from layerscope.cli.progress import progress_bar
from layerscope.cli.tables import table

if TYPE_CHECKING:
    from layerscope.models.model import VisionModel
    from layerscope.studies.gallery_plan import GalleryPlan


def plan(
    model: VisionModel,
    units: Sequence[str],
    out: Path,
    recipe: str,
    seed: int,
    seeds: int | None,
    probe: str | None,
    engine: str,
) -> GalleryPlan:
    """What the gallery will take on an engine. Only a cluster is opened for it, to ask how many workers it has."""
    from layerscope.studies.gallery_plan import gallery_plan

    workers = _workers(engine)
    with progress_bar("plan") as report:
        return gallery_plan(
            model, units, out, recipe=recipe, seed=seed, seeds=seeds, probe=probe, workers=workers, on_progress=report
        )


def as_json(made: GalleryPlan) -> str:
    return json.dumps(made.facts())


def summary(made: GalleryPlan) -> str:
    """A row for each layer, and the whole in a line."""
    return f"{table(made.table())}\n\n{made.network}: {made.words}"


def _workers(engine: str) -> int | None:
    """How many tasks run at a time; None for this process alone. More processes than cores are no faster."""
    from layerscope.engine import open_engine, parse_engine, usable_cores
    from layerscope.passes.elsewhere import slots_of

    kind, argument = parse_engine(engine)
    if kind == "processes":
        return min(int(argument), usable_cores())
    with open_engine(engine) as executor:
        return None if executor is None else slots_of(executor)
