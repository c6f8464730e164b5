"""How long each method takes, ours beside other tools: all in turn, round after round, ratios within each round."""

from __future__ import annotations

import contextlib
import gc
import io
import textwrap
import time
import warnings
from collections.abc import Callable, Sequence
from statistics import median

from layerscope.benchmarks.attribution.contests import CONTESTS, QUICK
from layerscope.benchmarks.attribution.subject import Contest, Subject, Tool
from layerscope.benchmarks.report import Row
from layerscope.conformance.conform import in_one_line
from layerscope.types import Progress

Times = list[tuple[float, float]]
"""Processor and wall seconds, one pair per round."""

OURS = "layerscope"
NOISE = 0.05
"""The difference between two times, as a share, that says nothing."""


def rows_of(
    subject: Subject, rounds: int, quick: bool, on_progress: Progress, contests: Sequence[Contest] | None = None
) -> list[Row]:
    """One row per method, tool and setting; a tool that is not installed or fails has a row that says so."""
    chosen = CONTESTS if contests is None else contests
    if quick:
        chosen = [contest for contest in chosen if contest.method in QUICK]
    entries = [(contest, tool) for contest in chosen for tool in contest.tools]
    runs, notes = dict[int, Callable[[], object]](), dict[int, str]()
    for number, (contest, tool) in enumerate(entries):
        on_progress(number, len(entries), f"preparing, {contest.method}")
        try:
            runs[number] = _prepared(tool, subject)
        except Exception as error:  # a tool that fails has a row that says how; the others are still measured
            notes[number] = textwrap.shorten(in_one_line(error), 90)
    times = _times(runs, rounds, on_progress)
    rows = []
    for number, (contest, tool) in enumerate(entries):
        ours = _ours_beside(entries, contest, tool)
        rows.append(_row(contest, tool, times.get(number), times.get(ours), notes.get(number)))
    return rows


def _ours_beside(entries: Sequence[tuple[Contest, Tool]], contest: Contest, tool: Tool) -> int:
    """The number of our entry for the same method on the same network; else of our first one."""
    mine = [at for at, (other, one) in enumerate(entries) if other is contest and one.name == OURS]
    return next((at for at in mine if entries[at][1].fast == tool.fast), mine[0])


def summary_of(rows: Sequence[Row]) -> str:
    """Where ours is slower than the fastest setting of another tool, and how it stands to Captum as it comes."""
    methods = list(dict.fromkeys(row["method"] for row in rows))
    fastest = {
        method: _fastest([row for row in rows if row["method"] == method and row["rival"]]) for method in methods
    }
    slower = [
        f"{method} ({1 / row['ratio']:.2f}x {row['tool']}, {row['settings']})"
        for method, row in fastest.items()
        if row is not None and row["ratio"] < 1 - NOISE
    ]
    gains = [
        f"{row['method']} {row['ratio']:.1f}x"
        for row in rows
        if row["rival"] and (row["tool"], row["settings"]) == ("captum", "defaults") and row["ratio"] is not None
    ]
    said = [f"{len(methods) - len(slower)} of {len(methods)} methods are as fast as the fastest other tool, or faster"]
    said += [f"slower: {', '.join(slower)}"] if slower else []
    said += [f"times of Captum at its defaults, over ours: {', '.join(gains)}"] if gains else []
    return "; ".join(said)


def _fastest(rows: Sequence[Row]) -> Row | None:
    measured = [row for row in rows if row["ratio"] is not None]
    return min(measured, key=lambda row: float(row["ratio"]), default=None)


def _prepared(tool: Tool, subject: Subject) -> Callable[[], object]:
    """The function that is timed, run once."""
    if not tool.installed:
        raise ModuleNotFoundError(f"{tool.package} is not installed")
    run = tool.prepare(subject)

    def quietly() -> object:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):  # some draw progress bars
            warnings.simplefilter("ignore")
            return run()

    quietly()
    return quietly


def _times(runs: dict[int, Callable[[], object]], rounds: int, on_progress: Progress) -> dict[int, Times]:
    """Each round begins with another entry."""
    times: dict[int, Times] = {number: [] for number in runs}
    order = list(runs)
    gc.collect()
    gc.freeze()  # what is there now need not be searched for garbage before each run
    try:
        for done in range(rounds):
            first = done * max(1, len(order) // rounds) % max(1, len(order))
            for place, number in enumerate(order[first:] + order[:first]):
                on_progress(done * len(order) + place, rounds * len(order), f"{rounds} rounds")
                times[number].append(_timed(runs[number]))
    finally:
        gc.unfreeze()
    return times


def _timed(run: Callable[[], object]) -> tuple[float, float]:
    gc.collect()
    cpu, wall = time.process_time(), time.perf_counter()
    run()
    return time.process_time() - cpu, time.perf_counter() - wall


def _row(contest: Contest, tool: Tool, measured: Times | None, ours: Times | None, note: str | None) -> Row:
    row: Row = {"method": contest.method, "tool": tool.name, "settings": tool.settings, "rival": _rival(tool)}
    if not measured or not ours:
        return row | {"seconds": None, "ratio": None, "wall": None, "note": note or tool.note or None}
    ratios = [theirs[0] / own[0] for theirs, own in zip(measured, ours, strict=True)]
    return row | {
        "seconds": round(median(cpu for cpu, _ in measured), 3),
        "ratio": round(median(ratios), 2),
        "wall": round(median(wall for _, wall in measured), 3),
        "note": tool.note or None,
    }


def _rival(tool: Tool) -> bool:
    return tool.name != OURS and tool.right
