"""What `layerscope hierarchy` does, and what it says of the report."""

from __future__ import annotations

import json
from concurrent.futures import Executor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from layerscope.cli.output import remark
from layerscope.cli.progress import progress_bar
from layerscope.cli.tables import table

if TYPE_CHECKING:
    from layerscope.models.model import VisionModel
    from layerscope.studies.hierarchy import Hierarchy, Plan

_SHOWN = ("edge", "colour", "colour-edge", "texture", "part", "object")
_READ = ("edge", "texture", "shape", "object", "configuration")


def report(
    model: VisionModel, probe: str, profile: str, out: Path, seed: int, executor: Executor | None = None
) -> Hierarchy:
    """Make the report in `<out>/hierarchy`; what it will take is said before it starts."""
    from layerscope.passes.elsewhere import slots_of
    from layerscope.studies.hierarchy import hierarchy, plan_hierarchy
    from layerscope.studies.hierarchy_files import checked_place

    checked_place(model, out / "hierarchy", seed)
    workers = None if executor is None else slots_of(executor)
    remark(f"hierarchy: {planned(plan_hierarchy(model, probe, profile, workers=workers))}")
    with progress_bar("hierarchy") as on_progress:
        return hierarchy(
            model, probe, profile, out / "hierarchy", seed=seed, executor=executor, on_progress=on_progress
        )


def planned(plan: Plan) -> str:
    """A plan in words."""
    from layerscope.figures.words import plural

    minutes = plan.seconds / 60
    about = f"{plan.seconds:.0f} s" if minutes < 2 else f"{minutes:.0f} minutes"
    where = "" if plan.workers is None else f" on {plural(plan.workers, 'worker')} with a core each"
    return f"{plan.networks} networks, yours and its random twins, with {plan.images} images each: about {about}{where}"


def as_json(made: Hierarchy) -> str:
    """All facts, with rows of layers and units, and the folder."""
    facts = {**made.facts, "units": made.units, "folder": str(made.folder), "seconds": round(made.seconds, 1)}
    return json.dumps(facts)


def summary(made: Hierarchy) -> str:
    """The finding, two rows for each layer, and how often random weights are called anything."""
    lines = [made.words, "", table([_row(row) for row in made.layers]), ""]
    lines.append(
        "shares of units, +beyond the random twins where the interval says so; depth from 0 (edges) to 3 (objects)"
    )
    lines += ["", table([_readings(row) for row in made.layers]), ""]
    lines.append("accuracy of linear readers, and / of the random twins, + where it is beyond them for sure")
    lines.append(
        f"held-out twins: {made.false_rate:.1%} of their units are called anything, and all of these are false"
    )
    if not made.honest:
        lines.append(f"warning: that is more than 5 %; {_advice(made)}")
    lines += [f"left out: {what}" for what in made.facts["skipped"]]
    lines.append(f"tables and record in {made.folder} ({made.seconds:.0f} s)")
    return "\n".join(lines)


def _advice(made: Hierarchy) -> str:
    from layerscope.studies.hierarchy import PROFILES

    if made.facts["twins"] < PROFILES["full"].twins:
        return "layers are narrow, so take more twins (--profile full)"
    return "layers as narrow as these cannot be judged better"


def _row(row: dict[str, Any]) -> dict[str, Any]:
    """One layer as a row of cells."""
    found: dict[str, Any] = {"layer": row["name"], "units": row["units"]}
    for name in _SHOWN:
        net = row["net"][name]
        found[name] = f"{row['shares'][name]['share']:.2f}" + ("+" if net["low"] > 0 else "")
    found["any"] = f"{row['net']['any']['value']:.2f}" + ("+" if row["net"]["any"]["low"] > 0 else "")
    found["twins"] = f"{row['false_rate']:.2f}"
    found["depth"] = None if row["depth"] is None else f"{row['depth']['value']:.2f}"
    return found


def _readings(row: dict[str, Any]) -> dict[str, Any]:
    """What can be read from one layer, beside what can be read from its twins."""
    found = {"layer": row["name"]}
    for task in (one for one in _READ if one in row["decodability"]):
        read = row["decodability"][task]
        twins = sum(read["twins"]) / len(read["twins"])
        sure = "+" if read["beyond_twins"]["low"] > 0 else ""
        found[task] = f"{read['accuracy']['value']:.2f}/{twins:.2f}{sure}"
    return found
