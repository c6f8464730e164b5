"""Attribution: is it right, is it true to known causes, and how fast is it?"""

from __future__ import annotations

from layerscope.benchmarks.attribution import matrix, speed, truth
from layerscope.benchmarks.attribution.subject import subject
from layerscope.benchmarks.report import Options, Report, manifest, threads
from layerscope.errors import InputError
from layerscope.types import Progress


def measure(options: Options, on_progress: Progress) -> Report:
    """The matrix of methods and networks where conformance is asked for, the truth bench, or the table of times."""
    _check(options)
    if options.truth or options.images is not None:
        with threads(options.threads or 1):  # so that processor seconds are those of one core
            return truth.report_of(options, on_progress)
    with threads(options.threads):
        if options.conformance:
            entries = matrix.entries_of(options.networks, options.quick, on_progress)
            rows = [entry.row() for entry in entries]
            return Report({"rows": rows}, manifest(), matrix.summary_of(entries), shown=matrix.tables_of(entries))
        if options.networks != "*":
            raise InputError("times are those of one network, resnet50; --networks goes with --conformance")
        if not options.rounds:
            raise InputError("no rounds: there is nothing to do; --conformance compares without timing")
        rows = speed.rows_of(subject(), options.rounds, options.quick, on_progress)
        return Report({"rows": rows}, manifest(), speed.summary_of(rows), frozenset({"rival"}))


def _check(options: Options) -> None:
    """Raise InputError for options that do not go together."""
    kinds = {"--truth": options.truth, "--images": options.images is not None, "--conformance": options.conformance}
    given = [name for name, asked in kinds.items() if asked]
    if len(given) > 1:
        raise InputError(
            f"{' and '.join(given)} are {'two' if len(given) == 2 else 'three'} benchmarks; give one of them"
        )
    if options.masks is not None and options.images is None:
        raise InputError("--masks are of things in --images; give both, or leave the masks out")
    recorded = options.truth or options.images is not None
    if options.methods is not None and not recorded:
        raise InputError("--methods are those of --truth or --images; give one of these with it, or none")
    if options.out is not None and not recorded:
        raise InputError("--out is where the records of --truth go, or of --images; give one of these with it, or none")
