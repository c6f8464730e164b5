"""Synthesis: how fast, how near the processor's limit, how exact, and are the pictures as good? Lucent beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from layerscope.benchmarks.report import Options, Report, Row, manifest, threads
from layerscope.benchmarks.synthesis import exactness, gpu, hours, lucent, objective, speed, trained
from layerscope.benchmarks.synthesis.kept import Kept
from layerscope.benchmarks.synthesis.settings import LUCENT_STEPS, QUICK, TARGETS, Target, calibrated
from layerscope.errors import InputError
from layerscope.models.model import VisionModel
from layerscope.models.sources import load_model
from layerscope.types import Progress

NOTES = (
    "Times are processor seconds per step of one picture, from calls of two step counts, so that what a call does once "
    "drops out; everything in turn in one process; medians over rounds, and in brackets the least and the most.",
    "resnet50 has random weights here, BatchNorm statistics of 1/f noise, and residual branches of a quarter of their "
    "strength (at full strength deep gradients are noise): times do not depend on weights; scores compare ascents and "
    "say nothing of how pictures look, for which there are the bundled trained networks.",
    "Like for like is the picture of Lucent: 128 px shown to the network at 224 px. A fitted canvas is as large as the "
    "receptive field asks for and shown as it is: another viewing scale, so not the same picture.",
    "Scores are means of a channel over its map, of 8-bit pictures without transforms, in float32; exactness compares "
    "ascents of leak 0 with one by one, full forwards with a hook, in float32, from the same random numbers. The "
    "literal ascent in float64 beside it tells what rounding alone does.",
    "Lucent runs as it is by default; it leaves hooks and gradients on a network, so each run gets a copy, untimed.",
)


@dataclass(frozen=True)
class Extent:
    """How much is measured."""

    targets: tuple[Target, ...]
    """Layers whose steps are timed."""
    judged: tuple[Target, ...]
    """Those whose pictures are judged."""
    goal: float
    """About how many seconds one measurement of time takes."""
    units: int
    """Of each layer whose pictures are judged, after so many steps."""
    steps: int
    exact_units: int
    exact_steps: int
    networks: tuple[str, ...]
    layers: tuple[str, ...]


FULL = Extent(TARGETS, TARGETS, 3.0, 8, LUCENT_STEPS // 2, 8, 64, trained.NETWORKS, trained.LAYERS)
SHORT = Extent(TARGETS, QUICK, 1.0, 4, 48, 2, 16, trained.NETWORKS[1:], trained.LAYERS[1::2])


def measure(options: Options, on_progress: Progress) -> Report:
    """All tables, and with --out a sheet of pictures there. One thread, unless told otherwise."""
    _check(options)
    with threads(options.threads or 1):
        tables, said = tables_of(calibrated(), SHORT if options.quick else FULL, options, on_progress)
        facts = manifest() | {"notes": [*NOTES, *said]}
    shown = {title: [_for_people(row) for row in rows] for title, rows in tables.items()}
    sheet = [] if options.out is None else [f"pictures in {options.out / trained.FILE}"]
    return Report(tables, facts, "\n".join([verdict(tables), *NOTES, *said, *sheet]), shown=shown)


def tables_of(
    model: VisionModel, extent: Extent, options: Options, on_progress: Progress
) -> tuple[dict[str, list[Row]], list[str]]:
    """The tables by title, and sentences about what was left out."""
    targets, said = extent.targets, [why] if (why := lucent.why_not()) else []
    kept, layers = Kept.of(options), [target.layer for target in targets]
    judged = [target.layer for target in extent.judged]
    of_pictures = {
        "exactness": exactness.judged(
            kept.table(
                "exactness",
                lambda: _exactness(model, extent, on_progress),
                judged,
                extent.exact_units,
                extent.exact_steps,
            )
        ),
        "objective": [
            row
            for target in extent.judged
            for row in kept.table(
                "objective",
                partial(_objective, model, target, extent, on_progress),
                target.layer,
                extent.units,
                extent.steps,
            )
        ],
        "trained": kept.table(
            "trained", lambda: _trained(extent, options.out, on_progress), extent.networks, extent.layers, extent.steps
        ),
    }
    # at the end, when the rest is there: whoever waits for quiet repeats this part alone
    measured = kept.table(
        "times", lambda: _times(model, extent, options.rounds, on_progress), layers, extent.goal, options.rounds
    )
    times = {(str(row["what"]), str(row["layer"])): row["values"] for row in measured}
    tables = {
        "rows": speed.rows_of(times, targets),
        "roof": speed.roof_rows(model, times, targets),
        "gallery": kept.table("gallery", lambda: hours.rows_of(model, times, targets, on_progress), measured),
        **of_pictures,
    }
    if torch.cuda.is_available():
        tables["gpu"] = gpu.rows_of(model, targets, options.rounds, extent.goal, on_progress)
    else:
        said.append(gpu.SKIPPED)
    return tables, said


def _times(model: VisionModel, extent: Extent, rounds: int, on_progress: Progress) -> list[Row]:
    times = speed.times_of(model, extent.targets, rounds, extent.goal, on_progress)
    return [{"what": what, "layer": layer, "values": list(values)} for (what, layer), values in times.items()]


def _objective(model: VisionModel, target: Target, extent: Extent, on_progress: Progress) -> list[Row]:
    return objective.rows_of(model, [target], extent.units, extent.steps, on_progress)


def _exactness(model: VisionModel, extent: Extent, on_progress: Progress) -> list[Row]:
    return [
        row
        for network, some in ((model, extent.judged), (load_model(extent.networks[-1]), trained.EXACT))
        for row in exactness.rows_of(network, some, extent.exact_units, extent.exact_steps, on_progress)
    ]


def _trained(extent: Extent, out: Path | None, on_progress: Progress) -> list[Row]:
    """Scores of pictures of trained networks; the pictures go into `out`."""
    pairs = trained.pairs_of(extent.networks, extent.layers, 2, extent.steps, on_progress)
    if out is not None:
        trained.write_sheet(pairs, out)
    return [row for pair in pairs for row in pair.rows()]


def verdict(tables: Mapping[str, list[Row]]) -> str:
    """How many bounds are kept, and which are not."""
    asked = [(title, row) for title, rows in tables.items() for row in rows if row.get("held") is not None]
    broken = [f"{title} {_name(row)}" for title, row in asked if not row["held"]]
    return f"{len(asked) - len(broken)} of {len(asked)} bounds are kept" + (
        f"; not: {', '.join(broken)}" if broken else ""
    )


def _name(row: Row) -> str:
    return " ".join(str(row[key]) for key in ("layer", "canvas", "ascent", "pictures") if row.get(key))


def _for_people(row: Row) -> Row:
    """Values with their interval as one text, and yes or no."""
    return {name: _text(value) for name, value in row.items()}


def _text(value: object) -> object:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return f"{value['value']} ({value['low']} to {value['high']})"
    return value


def _check(options: Options) -> None:
    """Raise InputError for options that synthesis has not."""
    if options.networks != "*" or options.conformance or options.truth:
        raise InputError("synthesis is timed on resnet50; leave out --networks, --conformance and --truth")
    if options.images is not None or options.masks is not None or options.methods is not None:
        raise InputError("--images, --masks and --methods are of attribution; leave them out")
    if not options.rounds:
        raise InputError("no rounds: there is nothing to do; give 1 or more")
