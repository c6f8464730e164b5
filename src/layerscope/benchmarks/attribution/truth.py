"""The truth bench: attribution methods on scenes whose causes are known, beside pinned controls, for each network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from layerscope.benchmarks.report import Options, Report, Row, manifest
from layerscope.errors import InputError
from layerscope.faithfulness.measures import MEASURES
from layerscope.models.sources import load_model
from layerscope.models.zoo import NAMES
from layerscope.studies.leaderboard import PICTURED, QUICK, QUICK_SCENES, SCENES, SLOW, Leaderboard, leaderboard
from layerscope.types import Progress

OUT = Path("outputs")
_OF_A_MACHINE = ("cores", "machine", "system", "date")
"""Left out of the manifest, so that the same command gives the same file, but for the seconds."""


def report_of(options: Options, on_progress: Progress) -> Report:
    """Rows of all methods and controls for each network; quick: few scenes, without the methods of SLOW."""
    boards = boards_of(networks_of(options.networks), options.out or OUT, options.quick, on_progress)
    return table_of(boards, options)


def table_of(boards: Sequence[Leaderboard], options: Options) -> Report:
    """What a command with these options says of leaderboards that are made."""
    facts = {name: value for name, value in manifest().items() if name not in _OF_A_MACHINE}
    told = {
        "command": command_of(options),
        "networks": {board.facts["network"]["name"]: _told(board) for board in boards},
        "measures": boards[0].facts["measures"],
        "seed": boards[0].facts["seed"],
        "left_out": [name for name in PICTURED if any(name not in board.facts["methods"] for board in boards)],
        **facts,
    }
    return Report(
        {"rows": [row for board in boards for row in board.rows]},
        told,
        "\n\n".join(_summary(board, options.quick) for board in boards),
        shown={_title(board): [shown_row(row) for row in board.rows] for board in boards},
    )


def networks_of(asked: str) -> list[str]:
    """Specs of networks, separated by commas; "*": the bundled ones."""
    specs = list(NAMES) if asked == "*" else list(dict.fromkeys(filter(None, map(str.strip, asked.split(",")))))
    if not specs or specs == ["none"]:
        raise InputError(f"{asked!r} names no network; give specs as {', '.join(NAMES)}, separated by commas")
    return specs


def boards_of(specs: Sequence[str], out: Path, quick: bool, on_progress: Progress) -> list[Leaderboard]:
    """A leaderboard for each network, in `<out>/leaderboard`."""
    methods, scenes = (QUICK, QUICK_SCENES) if quick else (None, SCENES)
    models = [load_model(spec) for spec in specs]  # what cannot be opened is said before the work
    return [
        leaderboard(model, methods, out / "leaderboard", scenes=scenes, on_progress=on_progress) for model in models
    ]


def command_of(options: Options) -> str:
    """The command that makes the table again."""
    networks = "" if options.networks == "*" else f" --networks '{options.networks}'"
    return f"layerscope benchmark attribution --truth{' --quick' if options.quick else ''}{networks} --json"


def shown_row(row: Row) -> Row:
    """A row as people read it: each measure with its interval."""
    shown: Row = {"method": row["title"] if not row["control"] else f"({row['title'].lower()})"}
    for name, measure in MEASURES.items():
        value = row[name]
        text = value if value is None or not isinstance(value, dict) else _interval(value)
        shown[f"{measure.title} {'↑' if measure.better == 'high' else '↓'}"] = text
    return {**shown, "against random": row["against_random"]}


def _interval(value: dict[str, Any]) -> str:
    low, high = value["low"], value["high"]
    return f"{value['value']:.2f}" + ("" if low == high else f" {low:.2f}..{high:.2f}")


def _told(board: Leaderboard) -> dict[str, Any]:
    names = ("scenes", "refused", "reading", "complete")
    return {**{name: board.facts[name] for name in names}, "fingerprint": board.facts["network"]["fingerprint"]}


def _title(board: Leaderboard) -> str:
    scenes = board.facts["scenes"]
    return (
        f"{board.facts['network']['name']}, {scenes['telling']} scenes of {scenes['asked']}, means with 95 % intervals"
    )


def _summary(board: Leaderboard, quick: bool) -> str:
    said = [f"{board.facts['network']['name']}: {board.words}"]
    said += [f"refused by {one['title']}: {one['error']}" for one in board.facts["refused"]]
    said += [f"left out, being quick: {', '.join(SLOW)}"] if quick else []
    return "\n".join(said)
