"""What `layerscope layers` writes: the network in one line, its layers as a table, and what hooks do not see of it."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, TypeVar

from rich.cells import cell_len, set_cell_size

from layerscope.capture.effective_field import effective_receptive_fields
from layerscope.capture.layers import Layer
from layerscope.capture.uncalled import Parametrised, Uncalled
from layerscope.cli.output import remark
from layerscope.cli.progress import progress_bar
from layerscope.models.model import VisionModel

T = TypeVar("T")

_GAP = "  "
_SPARED = ("offset", "axis", "kind", "stride", "shape", "units")
"""Columns that a narrow terminal goes without, the first of these first."""
_NUMBERS = frozenset({"units", "axis", "stride", "field", "offset", "effective"})
_MARKS = {"upper bound": "<= at most that", "whole image": "all: the whole image", "unknown": "?: unknown"}
_NAMES_SHOWN, _SHORTEST_NAME = 3, 16


def facts_of(model: VisionModel, spec: str) -> dict[str, Any]:
    """What `layerscope layers` says of the network before its layers, for a machine to read."""
    return {
        "model": spec,
        "parameters": sum(weight.numel() for weight in model.module.parameters()),
        "input_size": model.input_size,
        "channels": model.channels,
        "mean": model.mean,
        "std": model.std,
        **{key: model.card[key] for key in ("input_from", "weights", "published", "averaged") if key in model.card},
    }


def headline(facts: Mapping[str, Any], width: int) -> str:
    """The facts in one line, or several where it is too long."""
    of_weights = facts.get("published") or facts.get("averaged")
    weights = "random weights" if facts.get("weights") == "none" else f"weights {facts.get('weights', 'bundled')}"
    origin = facts.get("input_from")
    parts = (
        f"{facts['parameters']:,} parameters",
        f"{facts['input_size']} x {facts['input_size']} px",
        f"{facts['channels']} channel{'s' if facts['channels'] > 1 else ''}",
        "mean " + " ".join(f"{value:.4g}" for value in facts["mean"]),
        "std " + " ".join(f"{value:.4g}" for value in facts["std"]),
        *([f"input as in {origin}"] if origin and origin != of_weights else []),
        weights + (f" ({of_weights})" if of_weights else ""),
    )
    return _filled(f"{facts['model']}: {', '.join(parts)}", width, "  ")


def layer_table(layers: Sequence[Layer], width: int, effective: Mapping[str, float] | None = None) -> str:
    """The layers as aligned columns, in at most `width` characters where that can be, and what they mean.

    effective: receptive fields by the names of layers; without it there is no such column.
    """
    rows = [_row(layer) for layer in layers]
    if effective is not None:
        rows = [row | {"effective": _effective(effective, row["name"])} for row in rows]
    longest, room = max(cell_len(row["name"]) for row in rows), max(int(0.4 * width), _SHORTEST_NAME)
    columns, spared = list(rows[0]), []
    for column in _SPARED:
        if _width(rows, columns) - max(longest - room, 0) <= width:
            break
        columns.remove(column)
        spared.append(column)
    room = max(longest - max(_width(rows, columns) - width, 0), _SHORTEST_NAME)
    rows = [row | {"name": _shortened(row["name"], room)} for row in rows]
    return f"{_aligned(rows, columns)}\n\n{_filled(_legend(layers, columns, spared), width)}"


def unseen(leaves: Iterable[Uncalled], owners: Iterable[Parametrised], width: int) -> str:
    """The leaves that are never called, and parameters outside of leaves, by reason; "" where there are none."""
    lines = []
    called = _grouped(leaves, lambda leaf: (leaf.kind, _of_all(leaf)))
    if called:
        lines.append(_filled("Never called, so that no hook fires there:", width))
    for (kind, why), group in called:
        lines.append(_entry(kind, group[0].why if len(group) == 1 else why, [leaf.name for leaf in group], width))
    held = _grouped(owners, lambda owner: (owner.kind, ", ".join(owner.parameters)))
    if held:
        lines += ["", _filled("Parameters that no leaf holds:", width)]
    for (kind, names), owning in held:
        lines.append(_entry(kind, names, [owner.name or "the network itself" for owner in owning], width))
    return "\n".join(lines).strip("\n")


def as_json(
    facts: Mapping[str, Any],
    layers: Iterable[Layer],
    leaves: Iterable[Uncalled],
    owners: Iterable[Parametrised],
    effective: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """All of it, for a machine to read; "effective" of a layer is null where there is none."""
    rows = [asdict(layer) for layer in layers]
    if effective is not None:
        rows = [row | {"effective": _finite(effective, row["name"])} for row in rows]
    return {
        **facts,
        "layers": rows,
        "uncalled": [asdict(leaf) for leaf in leaves],
        "parametrised": [asdict(owner) for owner in owners],
    }


def _legend(layers: Sequence[Layer], columns: Sequence[str], spared: Sequence[str]) -> str:
    marks = [mark for status, mark in _MARKS.items() if any(layer.status == status for layer in layers)]
    said = "; ".join(["field: side in pixels of what one position sees", *marks]) + "."
    if "effective" in columns:
        said += " effective: side of the square of pixels that hold 95 % of the gradient."
    if "offset" in columns:
        said += " offset: pixel at the centre of what position 0 sees."
    if spared:
        said += f" Left out for want of room: {', '.join(reversed(spared))} (all with --json)."
    return said


def _row(layer: Layer) -> dict[str, str]:
    size = {"exact": f"{layer.receptive_field}", "upper bound": f"<= {layer.receptive_field}", "whole image": "all"}
    return {
        "name": layer.name,
        "kind": layer.kind,
        "shape": " x ".join(map(str, layer.shape)),
        "units": str(layer.units),
        "axis": str(layer.unit_axis),
        "stride": "-" if layer.stride is None else str(layer.stride),
        "field": size.get(layer.status, "?"),
        "offset": "-" if layer.offset is None else f"{layer.offset:g}",
    }


def _effective(effective: Mapping[str, float], name: str) -> str:
    value = _finite(effective, name)
    return "-" if value is None else f"{value:.1f}"


def _finite(effective: Mapping[str, float], name: str) -> float | None:
    value = effective.get(name, math.nan)
    return None if math.isnan(value) else value


def _widths(rows: Sequence[Mapping[str, str]], columns: Iterable[str]) -> dict[str, int]:
    return {column: max(len(column), *(cell_len(row[column]) for row in rows)) for column in columns}


def _width(rows: Sequence[Mapping[str, str]], columns: Sequence[str]) -> int:
    return sum(_widths(rows, columns).values()) + len(_GAP) * (len(columns) - 1)


def _aligned(rows: Sequence[Mapping[str, str]], columns: Sequence[str]) -> str:
    widths = _widths(rows, columns)
    lines = [{column: column for column in columns}, *rows]
    return "\n".join(
        _GAP.join(_cell(line[key], key, width) for key, width in widths.items()).rstrip() for line in lines
    )


def _cell(text: str, column: str, width: int) -> str:
    room = " " * (width - cell_len(text))
    return room + text if column in _NUMBERS else text + room


def _shortened(name: str, most: int) -> str:
    """The beginning and the end of a name, which tell block and part."""
    if cell_len(name) <= most:
        return name
    end = (most - 1) * 2 // 3
    start = set_cell_size(name, most - 1 - end).rstrip()
    return f"{start}…{set_cell_size(name[::-1], end).rstrip()[::-1]}"


def _grouped(items: Iterable[T], key: Callable[[T], tuple[str, str]]) -> list[tuple[tuple[str, str], list[T]]]:
    groups: dict[tuple[str, str], list[T]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return list(groups.items())


def _of_all(leaf: Uncalled) -> str:
    """The reason in words that fit all leaves whose own parent is the one to blame."""
    parent = repr(leaf.name.rpartition(".")[0])
    return leaf.why.replace(f"its parent {parent} runs without it", "their parents run without them").replace(
        f"functionally by {parent}", "functionally by their parents"
    )


def _entry(kind: str, why: str, names: Sequence[str], width: int) -> str:
    shown = [_shortened(name, max(width - 6, _SHORTEST_NAME)) for name in names[:_NAMES_SHOWN]]
    if len(names) == 1:
        return _filled(f"  {shown[0]} ({kind}): {why}", width, "    ")
    more = ", …" if len(names) > _NAMES_SHOWN else ""
    return _filled(f"  {len(names)} x {kind}: {why}; {', '.join(shown)}{more}", width, "    ")


def _filled(text: str, width: int, indent: str = "") -> str:
    return textwrap.fill(text, width, subsequent_indent=indent, break_on_hyphens=False)


def why_none(model: VisionModel) -> str:
    """Why a network has no layers to list, after its name."""
    if not any(True for _ in model.module.children()):
        return f"is a single {type(model.module).__name__}, without parts to list"
    return "has no layers that put out tensors with one entry per image"


def effective(model: VisionModel) -> dict[str, float]:
    """Effective receptive fields of all layers; that it takes a while is said."""
    remark("measuring effective receptive fields, with 16 gradients per layer: this takes a while")
    with progress_bar("effective") as report:
        return effective_receptive_fields(model, "*", on_progress=report)
