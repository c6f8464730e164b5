"""Progress bars on standard error, drawn from the library's progress callbacks."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from layerscope.types import Progress


@contextmanager
def progress_bar(title: str) -> Iterator[Progress]:
    """A bar with the time left; where standard error is no terminal, one line per stage and tenth."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines(title)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        stages: dict[tuple[str, int], object] = {}

        def report(done: int, total: int, what: str) -> None:
            stage = _stage(what)
            if (stage, total) not in stages:
                stages[stage, total] = bar.add_task("", total=total or None)
            task = stages[stage, total]
            bar.update(task, completed=done, description=f"{title}: {what}")  # type: ignore[arg-type]

        yield report


def _stage(what: str) -> str:
    """Units of different layers share one bar; other work has its own."""
    return what if " " in what else "units"


class _Lines:
    """Says where things stand, ten times per stage at most."""

    def __init__(self, title: str):
        self._title = title
        self._said: dict[tuple[str, int], int] = {}

    def __call__(self, done: int, total: int, what: str) -> None:
        stage, tenth = (_stage(what), total), 10 * done // max(total, 1)
        if self._said.get(stage, -1) < tenth:
            self._said[stage] = tenth
            print(f"{self._title}: {what} {done}/{total}", file=sys.stderr, flush=True)
