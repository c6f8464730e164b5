"""What `layerscope benchmark` runs and prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerscope.cli.progress import progress_bar
from layerscope.cli.tables import table
from layerscope.errors import UnknownNameError

if TYPE_CHECKING:
    from layerscope.benchmarks.report import Options, Report


def measured(subject: str, options: Options) -> Report:
    """Run one benchmark. Raises UnknownNameError for another subject, InputError for options that it has not."""
    from layerscope.benchmarks.subjects import SUBJECTS

    if subject not in SUBJECTS:
        raise UnknownNameError.among("benchmark", subject, SUBJECTS)
    with progress_bar(subject) as report:
        return SUBJECTS[subject](options, report)


def printed(made: Report) -> str:
    """Its tables, with what they come to."""
    parts = []
    for title, rows in (made.shown or made.tables).items():
        shown = table([{key: row[key] for key in row if key not in made.hidden} for row in rows])
        parts.append(f"{title}\n{shown}" if made.shown else shown)
    return "\n\n".join([*parts, made.summary] if made.summary else parts)
