"""The subjects of `layerscope benchmark`, by name."""

from __future__ import annotations

from collections.abc import Callable

from layerscope.benchmarks.report import Options, Report
from layerscope.errors import InputError
from layerscope.types import Progress

Measure = Callable[[Options, Progress], Report]


def _world(options: Options, on_progress: Progress) -> Report:
    from layerscope.benchmarks.world import measure

    if options != Options():
        raise InputError(
            "the world is measured on one thread and without networks; leave the options to capture and attribution"
        )
    return measure(options, on_progress)


def _capture(options: Options, on_progress: Progress) -> Report:
    from layerscope.benchmarks.capture import measure

    if options.conformance:
        raise InputError("--conformance is of attribution; capture compares with references in any case")
    return measure(options, on_progress)


def _attribution(options: Options, on_progress: Progress) -> Report:
    from layerscope.benchmarks.attribution.measure import measure

    return measure(options, on_progress)


def _passes(options: Options, on_progress: Progress) -> Report:
    from layerscope.benchmarks.passes import measure

    return measure(options, on_progress)


SUBJECTS: dict[str, Measure] = {
    "world": _world,
    "capture": _capture,
    "passes": _passes,
    "attribution": _attribution,
}
