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
    _without_truth(options)
    return measure(options, on_progress)


def _attribution(options: Options, on_progress: Progress) -> Report:
    from layerscope.benchmarks.attribution.measure import measure

    return measure(options, on_progress)


def _passes(options: Options, on_progress: Progress) -> Report:
    from layerscope.benchmarks.passes import measure

    _without_truth(options)
    return measure(options, on_progress)


def _synthesis(options: Options, on_progress: Progress) -> Report:
    from layerscope.benchmarks.synthesis.measure import measure

    return measure(options, on_progress)


def _without_truth(options: Options) -> None:
    if options.truth or options.out is not None:
        raise InputError("--truth and --out are of attribution; leave them out")
    if options.images is not None or options.masks is not None or options.methods is not None:
        raise InputError("--images, --masks and --methods are of attribution; leave them out")


SUBJECTS: dict[str, Measure] = {
    "world": _world,
    "capture": _capture,
    "passes": _passes,
    "attribution": _attribution,
    "synthesis": _synthesis,
}
