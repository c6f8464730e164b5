"""Is what capture gives what the network computes? One row per network."""

from __future__ import annotations

import gc
from dataclasses import asdict
from typing import Any

from layerscope.benchmarks.networks import find, opened
from layerscope.benchmarks.report import Row
from layerscope.conformance.conform import Conformance, conform, in_one_line
from layerscope.types import Progress

SHOWN = 5  # of the faults of one kind of one network
LARGE = 4e8  # parameters: with more, two images and all that is kept of them would need some 20 GB


def rows_of(networks: str, quick: bool, on_progress: Progress) -> list[Row]:
    """Compare capture on each of the networks that `networks` names (`networks.find`), one after the other."""
    specs, rows = find(networks, quick), []
    for done, spec in enumerate(specs):
        on_progress(done, len(specs), f"conformance {spec.partition(':')[0]}")
        rows.append(_row(spec))
        gc.collect()  # networks are cycles, and some are large
    if specs:
        on_progress(len(specs), len(specs), f"conformance {specs[-1].partition(':')[0]}")
    return rows


def summary_of(rows: list[Row]) -> str:
    """ "80 of 80 conform", and the names of those that do not."""
    bad = [row["network"] for row in rows if not row["conforms"]]
    return f"{len(rows) - len(bad)} of {len(rows)} conform" + (f"; not: {', '.join(bad)}" if bad else "")


def _row(spec: str) -> Row:
    try:
        module, shapes = opened(spec)
    except Exception as error:  # a network that cannot be made or run is a row of the table that says so
        return _facts(spec, Conformance(0, error=f"the network: {in_one_line(error)}"))
    large = sum(weight.numel() for weight in module.parameters()) > LARGE
    tried = (conform(module, shape, batch=1 if large else 2) for shape in shapes)
    found = next(tried)
    while found.gradients_zero and (larger := next(tried, None)):  # too small to show anything
        found = found if larger.error else larger
    return _facts(spec, found)


def _facts(spec: str, found: Conformance) -> Row:
    """The fields of a comparison; lists as their number, and the first few of what is wrong in words."""
    facts: dict[str, Any] = asdict(found)
    faults = {
        key: facts[key][:SHOWN]
        for key in ("missing", "wrong", "gradients_wrong", "gradients_zero", "traces")
        if facts[key]
    }
    if found.untelling:
        faults["untelling"] = found.untelling
    facts |= {key: len(value) for key, value in facts.items() if isinstance(value, (tuple, list))}
    facts |= {"seconds": round(found.seconds, 1), "worst": float(f"{found.worst:.1e}")}
    return {"network": spec, "conforms": found.conforms} | facts | {"faults": faults}
