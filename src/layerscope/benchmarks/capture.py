"""Capture: does it tell the truth, and what does it cost?"""

from __future__ import annotations

from layerscope.benchmarks import conformance, overhead
from layerscope.benchmarks.report import Options, Report, Row, manifest, threads
from layerscope.errors import InputError
from layerscope.types import Progress

HIDDEN = frozenset({"faults", "output_same"})


def measure(options: Options, on_progress: Progress) -> Report:
    """Conformance over networks, and the overhead of all methods. Networks "none" or 0 rounds leave one of them out."""
    if options.networks == "none" and not options.rounds:
        raise InputError("no networks and no rounds: there is nothing to do; leave out one of the two")
    tables: dict[str, list[Row]] = {}
    with threads(options.threads):
        if options.networks != "none":
            tables["rows"] = conformance.rows_of(options.networks, options.quick, on_progress)
        if options.rounds:
            tables["overhead"] = overhead.rows_of(options.rounds, on_progress)
        said = conformance.summary_of(tables["rows"]) if "rows" in tables else ""
        return Report(tables, manifest(), said, HIDDEN)
