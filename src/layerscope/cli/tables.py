"""Rows of facts as the commands print them."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from rich.cells import cell_len

from layerscope.cli import output

_GAP = "  "
_JOINED = "\x00"
"""Stands for a space at which a line is not broken."""


def quality(card: Mapping[str, Any]) -> dict[str, Any]:
    """What a model card says of a network that `layerscope train` made."""
    lowest = min(card["recall"], key=card["recall"].get)
    return {
        "parameters": card["parameters"],
        "accuracy": round(card["accuracy"], 4),
        "lowest_recall": f"{card['recall'][lowest]:.3f} ({lowest})",
        **{f"under_{attack.replace(' ', '_')}": round(value, 3) for attack, value in card["robust_accuracy"].items()},
        "cpu_minutes": card["cpu_minutes"],
    }


def table(rows: list[dict[str, Any]], width: int | None = None) -> str:
    """Rows as aligned columns; what is None is a dash.

    width: columns of the terminal, by default of standard output. Where the table is wider than that, each row becomes
    a few lines: its first cell, and below it the others, each with the name of its column.
    """
    room = output.width() if width is None else width
    cells = [list(rows[0]), *([_cell(value) for value in row.values()] for row in rows)]
    widths = [max(cell_len(row[column]) for row in cells) for column in range(len(cells[0]))]
    if sum(widths) + len(_GAP) * (len(widths) - 1) > room:
        return "\n".join(_stacked(cells[0], row, room) for row in cells[1:])
    return "\n".join(_GAP.join(map(_padded, row, widths)).rstrip() for row in cells)


def _stacked(names: Sequence[str], row: Sequence[str], width: int) -> str:
    """One row as its first cell and, indented, the others with their names."""
    rest = ", ".join(f"{name}{_JOINED}{text}" for name, text in zip(names[1:], row[1:], strict=True))
    lines = textwrap.wrap(rest, width - 2, break_on_hyphens=False)
    return "\n".join([row[0], *(f"  {line}" for line in lines)]).replace(_JOINED, " ")


def _padded(text: str, width: int) -> str:
    return text + " " * (width - cell_len(text))


def _cell(value: object) -> str:
    return "-" if value is None else str(value)
