"""Methods x networks: does each method give what its definition says? Ours and Captum's beside each other."""

from __future__ import annotations

import copy
import gc
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import torch

from layerscope.attribution.methods import METHODS, attribute
from layerscope.benchmarks.attribution.case import Case, case_of, chosen
from layerscope.benchmarks.attribution.catalogue import COLUMNS
from layerscope.benchmarks.attribution.cells import ABSENT, Cell, Given, Judge, cell_of
from layerscope.benchmarks.attribution.columns import Column
from layerscope.benchmarks.attribution.perturbed import grid
from layerscope.benchmarks.report import Row
from layerscope.conformance.conform import in_one_line
from layerscope.types import Progress


@dataclass(frozen=True)
class Entry:
    """One method on one network."""

    network: str
    column: Column
    ours: Cell
    captum: Cell = ABSENT

    def row(self) -> Row:
        """As JSON."""
        return {
            "network": self.network,
            "method": self.column.name,
            "ours": asdict(self.ours),
            "captum": asdict(self.captum),
        }


def entries_of(
    networks: str, quick: bool, on_progress: Progress, columns: Sequence[Column] | None = None
) -> list[Entry]:
    """All columns on each of the networks that `networks` names (`case.chosen`), one network after the other."""
    specs, entries = chosen(networks, quick), list[Entry]()
    for done, spec in enumerate(specs):
        on_progress(done, len(specs), f"networks, {spec.partition(':')[2]}")
        entries += _of_network(spec, COLUMNS if columns is None else columns)
        gc.collect()  # networks are cycles, and some are large
    on_progress(len(specs), len(specs), "networks")
    return entries


def _of_network(spec: str, columns: Sequence[Column]) -> list[Entry]:
    try:
        case = case_of(spec)
    except Exception as error:  # a network that cannot be made is a row of the table that says so
        failed = Cell("error", words=f"the network: {in_one_line(error)}")
        return [Entry(spec, column, failed) for column in columns]
    return [entry_of(case, column) for column in columns]


def entry_of(case: Case, column: Column) -> Entry:
    """One method on one network, by both tools. A reference that fails is an error of the cell."""
    case = column.of(case)
    try:
        judge = column.reference(case)
        captum_judge = judge if column.captum_reference is None else column.captum_reference(case)
    except Exception as error:
        return Entry(case.network, column, Cell("error", words=f"the reference: {in_one_line(error)}"))
    ours = _cell(
        case, column, judge, _ours(column), column.tolerance
    )  # on the very network: what it knows of its layers, it keeps
    captum = column.captum
    if captum is None:
        return Entry(case.network, column, ours)
    run = captum
    tolerance = column.captum_tolerance or column.tolerance
    theirs = _cell(_twin(case), column, captum_judge, lambda case: Given.of(run(case)), tolerance)
    return Entry(case.network, column, ours, theirs)


def _cell(case: Case, column: Column, judge: Judge | None, tool: Callable[[Case], Given], tolerance: float) -> Cell:
    """A tool, with its random draws from a fixed seed."""
    if judge is None:
        return ABSENT
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        return cell_of(lambda: tool(case), judge, tolerance, case.model.module, column.drawn)


def _ours(column: Column) -> Callable[[Case], Given]:
    needs, options = METHODS[column.method].needs, dict(column.options)

    def run(case: Case) -> Given:
        if "baseline" in needs:
            options["baseline"] = case.baseline
        if column.cells:
            options["segments"] = grid(case, column.cells)
        if column.layer is not None:
            options["layer"] = case.layer if column.layer == "default" else case.overwritten
        made = attribute(case.model, case.images, case.target, column.method, checks=False, **options)
        totals = torch.tensor([check.total for check in made.checks], dtype=torch.float64)
        return replace(Given.of(made.values), totals=totals)  # added up before values become float32

    return run


def _twin(case: Case) -> Case:
    """The case with a copy of the network on the same weights and buffers."""
    module = case.model.module
    shared = {id(tensor): tensor for tensor in (*module.parameters(), *module.buffers())}
    return replace(case, model=replace(case.model, module=copy.deepcopy(module, shared)))


def tables_of(entries: Sequence[Entry]) -> dict[str, list[Row]]:
    """For people: a table for each group of methods, its rows the networks, its cells "ours | captum"."""
    tables: dict[str, dict[str, Row]] = {}
    for entry in entries:
        name = entry.network.removeprefix("torchvision:")
        rows = tables.setdefault(entry.column.table, {})
        both = str(entry.ours) if entry.column.captum is None else f"{entry.ours} | {entry.captum}"
        rows.setdefault(name, {"network": name})[entry.column.name] = both
    return {f"{title} (ours | Captum: worst relative error)": list(rows.values()) for title, rows in tables.items()}


def summary_of(entries: Sequence[Entry]) -> str:
    """How many cells agree, refuse, are wrong or fail, ours and Captum's; and which of ours are wrong or fail."""
    ours, captum = ([getattr(entry, tool) for entry in entries] for tool in ("ours", "captum"))
    bad = [f"{entry.column.name} on {entry.network}" for entry in entries if entry.ours.state in ("wrong", "error")]
    return f"{_counted(ours)}; Captum: {_counted(captum)}" + (f"; wrong or failing: {', '.join(bad)}" if bad else "")


def _counted(cells: Sequence[Cell]) -> str:
    count: Mapping[str, int] = Counter(cell.state for cell in cells)
    compared = len(cells) - count["absent"]
    traces = sum(cell.traces > 0 for cell in cells)
    return (
        f"{count['ok']} of {compared} cells agree with their reference, {count['refused']} refuse, "
        f"{count['wrong']} wrong, {count['error']} fail, {traces} leave something behind (attributes, hooks, "
        "random states)"
    )
