"""The truth bench: how right attribution methods are about each network, on scenes whose causes are known, or on a
user's images by what needs no truth; beside pinned controls."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from layerscope.benchmarks.attribution.trainings import trainings
from layerscope.benchmarks.report import Options, Report, Row, manifest
from layerscope.errors import InputError
from layerscope.faithfulness.measures.catalogue import MEASURES
from layerscope.models.sources import load_model
from layerscope.models.zoo import NAMES
from layerscope.studies.leaderboard import (
    CORE,
    PICTURED,
    PROVED,
    QUICK,
    QUICK_PROVED,
    QUICK_SCENES,
    SCENES,
    Leaderboard,
    checked_methods,
    leaderboard,
)
from layerscope.types import Progress

OUT = Path("outputs")
TRAININGS = 3
"""Of each bundled network, with its own the first; a quick leaderboard is of that one alone."""
ALL = "all"
_OF_A_TIER = ("tier", "title", "words", "measure", "cases")
_OF_A_MACHINE = ("cores", "machine", "system", "date")
"""Left out of the manifest, so that the same command gives the same file, but for the seconds."""


def report_of(options: Options, on_progress: Progress) -> Report:
    """Rows of methods and controls for each network; quick: few scenes, one training, methods that are not slow."""
    boards = boards_of(options, options.out or OUT, on_progress)
    return table_of(boards, options)


def table_of(boards: Sequence[Leaderboard], options: Options) -> Report:
    """What a command with these options says of leaderboards that are made."""
    facts = {name: value for name, value in manifest().items() if name not in _OF_A_MACHINE}
    told = {
        "command": command_of(options),
        "networks": {board.facts["network"]["name"]: _told(board) for board in boards},
        "measures": boards[0].facts["measures"],
        "tiers": [{name: tier[name] for name in _OF_A_TIER} for tier in boards[0].facts["tiers"]],
        "seed": boards[0].facts["seed"],
        "left_out": [name for name in PICTURED if any(name not in board.facts["methods"] for board in boards)],
        **facts,
    }
    shown = {_title(board): [_shown(row, _headline(board)) for row in board.rows] for board in boards}
    proved = provable_rows(boards[0].facts["tiers"])
    if proved:
        shown["networks whose right answer is provable"] = [_shown_proof(row, told["tiers"]) for row in proved]
    return Report(
        {
            "rows": [_told_row(row) for board in boards for row in board.rows],
            "provable": proved,
            "meta": [_of(board, row) for board in boards for row in board.facts["meta"]],
            "familiar": [_of(board, row) for board in boards for row in board.facts["familiar"]],
        },
        told,
        "\n\n".join(_summary(board) for board in boards),
        shown=shown,
    )


def networks_of(asked: str) -> list[str]:
    """Specs of networks, separated by commas; "*": the bundled ones."""
    specs = list(NAMES) if asked == "*" else list(dict.fromkeys(filter(None, map(str.strip, asked.split(",")))))
    if not specs or specs == ["none"]:
        raise InputError(f"{asked!r} names no network; give specs as {', '.join(NAMES)}, separated by commas")
    return specs


def methods_of(options: Options) -> tuple[str, ...]:
    """Names of methods, separated by commas; None: the usual ones, fewer where it has to be quick; "all"."""
    if options.methods is None:
        return QUICK if options.quick else CORE
    if options.methods == ALL:
        return PICTURED
    return tuple(dict.fromkeys(filter(None, map(str.strip, options.methods.split(",")))))


def boards_of(options: Options, out: Path, on_progress: Progress) -> list[Leaderboard]:
    """A leaderboard for each network, in `<out>/leaderboard`; trainings that are missing are made in `<out>/train`."""
    scenes, proved = (QUICK_SCENES, QUICK_PROVED) if options.quick else (SCENES, PROVED)
    specs = networks_of(options.networks)
    models = [load_model(spec) for spec in specs]  # what cannot be opened is said before the work
    methods = checked_methods(methods_of(options))
    several = not options.quick and options.images is None
    return [
        leaderboard(
            [model, *trainings(spec, range(1, TRAININGS), out / "train", on_progress)] if several else model,
            methods,
            out / "leaderboard",
            scenes=scenes,
            images=options.images,
            masks=options.masks,
            proved=proved,
            on_progress=on_progress,
        )
        for spec, model in zip(specs, models, strict=True)
    ]


def command_of(options: Options) -> str:
    """The command that makes the table again."""
    pictures = "--truth" if options.images is None else f"--images {shlex.quote(str(options.images))}"
    pictures += "" if options.masks is None else f" --masks {shlex.quote(str(options.masks))}"
    networks = "" if options.networks == "*" else f" --networks '{options.networks}'"
    methods = "" if options.methods is None else f" --methods {options.methods}"
    return f"layerscope benchmark attribution {pictures}{' --quick' if options.quick else ''}{networks}{methods} --json"


def provable_rows(tiers: Sequence[Row]) -> list[Row]:
    """Methods and then controls, with the measure of each provable network by its name; None where one is refused."""
    found: dict[str, Row] = {}
    for tier in tiers:
        for row in tier["rows"]:
            told = {name: row[name] for name in ("method", "title", "control")}
            found.setdefault(row["method"], told | {one["tier"]: None for one in tiers})[tier["tier"]] = row["right"]
    return sorted(found.values(), key=lambda row: bool(row["control"]))


def _shown_proof(row: Row, tiers: Sequence[Row]) -> Row:
    shown: Row = {"method": _name(row)}
    for tier in tiers:
        measure, right = MEASURES[tier["measure"]], row[tier["tier"]]
        less = "" if measure.better == "high" else "1 less "
        shown[f"{tier['title']}: {less}{measure.title} ↑"] = right and _interval(right)
    return shown


def _told_row(row: Row) -> Row:
    """Without the comparisons by every measure, which are in `leaderboard.json`."""
    return {name: value for name, value in row.items() if name != "against"}


def _of(board: Leaderboard, row: Row) -> Row:
    return {"network": board.facts["network"]["name"], **row}


def _name(row: Row) -> str:
    return f"({row['title'].lower()})" if row["control"] else str(row["title"])


def _headline(board: Leaderboard) -> list[str]:
    return [measure["name"] for measure in board.facts["measures"] if measure["headline"]]


def _shown(row: Row, measures: Sequence[str]) -> Row:
    """A row as people read it: the measures of the first table, each with its interval."""
    shown: Row = {"method": _name(row)}
    for name in measures:
        value = row[name]
        text = value if value is None or not isinstance(value, dict) else _interval(value)
        shown[f"{MEASURES[name].title} {_arrow(MEASURES[name].better)}"] = text
    return {**shown, "against random": row["against_random"]}


def _arrow(better: str) -> str:
    return "↑" if better == "high" else "↓"


def _interval(value: dict[str, Any]) -> str:
    low, high = value["low"], value["high"]
    return f"{value['value']:.2f}" + ("" if low == high else f" {low:.2f}..{high:.2f}")


def _told(board: Leaderboard) -> dict[str, Any]:
    names = ("scenes", "networks", "refused", "reading", "complete")
    return {**{name: board.facts[name] for name in names}, "fingerprint": board.facts["network"]["fingerprint"]}


def _title(board: Leaderboard) -> str:
    scenes, networks = board.facts["scenes"], len(board.facts["networks"])
    what = "scenes" if board.facts["truth"] else f"images of {scenes['source']}"
    trained = f", {networks} trainings" if networks > 1 else ""
    return (
        f"{board.facts['network']['name']}, {scenes['telling']} {what} of {scenes['asked']}{trained}, means with 95 % "
        "intervals"
    )


def _summary(board: Leaderboard) -> str:
    said = [f"{board.facts['network']['name']}: {board.words}"]
    said += [f"refused by {one['title']}: {one['error']}" for one in board.facts["refused"]]
    left = [name for name in PICTURED if name not in board.facts["methods"]]
    return "\n".join([*said, *([f"left out: {', '.join(left)}"] if left else [])])
