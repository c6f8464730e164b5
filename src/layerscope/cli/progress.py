"""Progress on standard error, drawn from the library's progress callbacks.

Bars with the time left where it is a terminal; nothing where it is none, or one line per tenth of each stage with
--verbose; never anything with --quiet.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from layerscope.cli.output import heard, interactive, remark

if TYPE_CHECKING:
    from layerscope.types import Progress

_WIDEST_BAR, _SHORTEST_TEXT = 40, 8
_ROUNDING = 1e-9
_NUMBERS = 9 + 7 + 7 + 4
"""Columns that "123/1092", time taken, time left and the gaps between them take."""


@contextmanager
def progress_bar(title: str) -> Iterator[Progress]:
    """The callback that tells of one piece of work."""
    if heard.quiet or not (interactive() or heard.verbose):
        yield _nothing
    elif interactive():
        with _bars(title) as report:
            yield report
    else:
        yield _Lines(title)


def is_unit(what: str) -> bool:
    """Whether progress is told of units, by the name of their layer; other work is told of in several words."""
    return " " not in what


@contextmanager
def _bars(title: str) -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TaskID,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.table import Column

    console = Console(stderr=True)
    bar_width = min(_WIDEST_BAR, console.width // 4)
    room = max(console.width - bar_width - _NUMBERS, _SHORTEST_TEXT)  # so that text is cut, and numbers are not
    columns = (
        TextColumn("{task.description}", markup=False, table_column=Column(max_width=room, no_wrap=True)),
        BarColumn(bar_width),
        TextColumn("{task.fields[count]}", style="progress.download", markup=False),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        stages: dict[tuple[str, int], TaskID] = {}

        def report(done: int, total: int, what: str) -> None:
            stage = _stage(what)
            if (stage, total) not in stages:
                stages[stage, total] = bar.add_task("", total=1 if total else None, count="")
            task, count = stages[stage, total], f"{done:>{len(str(total))}d}/{total}"
            bar.update(task, completed=_share(done, total), description=f"{title}: {what}", count=count)

        yield report


def _nothing(done: int, total: int, what: str) -> None:
    """Say nothing."""


def _stage(what: str) -> str:
    """Units of different layers share one bar; other work has its own."""
    return "units" if is_unit(what) else what


class _Lines:
    """Says where things stand and how long it will take, ten times per stage at most."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._said: dict[tuple[str, int], int] = {}
        self._began: dict[tuple[str, int], tuple[float, float]] = {}

    def __call__(self, done: int, total: int, what: str) -> None:
        share = _share(done, total)
        stage, tenth = (_stage(what), total), int(10 * share + _ROUNDING)
        began, found = self._began.setdefault(stage, (time.monotonic(), share))
        if self._said.get(stage, -1) < tenth:
            self._said[stage] = tenth
            left = _left(time.monotonic() - began, share - found, 1 - share)
            remark(f"{self._title}: {what} {done}/{total}{left}")


def _share(done: int, total: int) -> float:
    """How much of the work is done, in [0, 1]: what a `types.Counted` says, else as much as of the things."""
    return float(getattr(done, "share", done / max(total, 1)))


def _left(seconds: float, made: float, missing: float) -> str:
    """The time that the rest will take, at the pace so far; nothing where that is not known."""
    if made <= 0 or missing <= _ROUNDING:
        return ""
    rest = seconds / made * missing
    return f", {rest:.0f} s left" if rest < 120 else f", {rest / 60:.0f} min left"
