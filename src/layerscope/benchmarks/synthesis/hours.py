"""What one picture of every unit of a resnet50 takes: ours as galleries are planned, Lucent's by its steps here."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Sequence
from statistics import median

from torch import nn

from layerscope.benchmarks.report import Row
from layerscope.benchmarks.synthesis.contest import held
from layerscope.benchmarks.synthesis.settings import LUCENT_STEPS, Target
from layerscope.benchmarks.synthesis.speed import Times
from layerscope.models.model import VisionModel
from layerscope.studies.gallery_plan import gallery_plan
from layerscope.types import Progress

BOUND = 40.0
HOUR = 3600


def rows_of(model: VisionModel, times: Times, targets: Sequence[Target], on_progress: Progress) -> list[Row]:
    """Core-hours of one picture of each unit of all convolutions.

    Ours is the plan of a gallery by the standard recipe, without natural images; Lucent's its steps on all units, a
    unit of a stage that was not timed counted as one of the timed stage before it.
    """
    layers = [name for name, part in model.module.named_modules() if isinstance(part, nn.Conv2d)]
    with tempfile.TemporaryDirectory() as nothing_made:
        plan = gallery_plan(model, layers, nothing_made, probe=None, seeds=1, on_progress=on_progress)
    theirs = lucent_hours(times, targets, {row.layer: row.units for row in plan.rows})
    ours = plan.core_seconds / HOUR
    return [
        {
            "pictures": "Lucent, its defaults",
            "units": sum(row.units for row in plan.rows),
            "core_hours": theirs,
            "bound": None,
            "held": None,
        },
        {
            "pictures": f"layerscope, recipe {plan.recipe}",
            "units": sum(row.units for row in plan.rows),
            "core_hours": round(ours, 1),
            "bound": BOUND,
            "held": held(ours, BOUND, least=False),
        },
    ]


def lucent_hours(times: Times, targets: Sequence[Target], units: dict[str, int]) -> float | None:
    """Of `units` by layer, at the medians of what its steps took; None where it was not timed."""
    steps = {
        target.layer: median(times["lucent", target.layer]) for target in targets if ("lucent", target.layer) in times
    }
    if not steps:
        return None
    per_stage: Counter[str] = Counter()
    for layer, count in units.items():
        stage = layer.partition(".")[0]
        per_stage[_timed_before(stage, list(steps))] += count
    return round(sum(count * steps[layer] * LUCENT_STEPS for layer, count in per_stage.items()) / HOUR, 1)


def _timed_before(stage: str, timed: Sequence[str]) -> str:
    """The last of the timed layers in this stage or one before it, else the first; stages sort by their names."""
    return max((layer for layer in timed if layer.partition(".")[0] <= stage), default=timed[0])
