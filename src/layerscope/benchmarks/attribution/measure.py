"""Attribution: is it right, and how fast is it?"""

from __future__ import annotations

from layerscope.benchmarks.attribution import matrix, speed
from layerscope.benchmarks.attribution.subject import subject
from layerscope.benchmarks.report import Options, Report, manifest, threads
from layerscope.errors import InputError
from layerscope.types import Progress


def measure(options: Options, on_progress: Progress) -> Report:
    """The matrix of methods and networks where conformance is asked for, otherwise the table of times."""
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
