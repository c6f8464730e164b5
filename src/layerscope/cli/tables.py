"""Rows of facts as the commands print them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


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


def table(rows: list[dict[str, Any]]) -> str:
    """Rows as aligned columns; what is None is a dash."""
    cells = [list(rows[0]), *([_cell(value) for value in row.values()] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in cells
    )


def _cell(value: object) -> str:
    return "-" if value is None else str(value)
