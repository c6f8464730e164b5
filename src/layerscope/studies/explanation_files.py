"""What lies beside an explanation's manifest: the figure of its maps, and the maps as arrays."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from layerscope.figures.evidence_maps import maps
from layerscope.figures.saving import save
from layerscope.figures.source import Report
from layerscope.records import Record, write_whole

FIGURES = ("explanation.png", "explanation.svg", "maps.npz")


def write_figures(folder: Path, record: Record, manifest: Mapping[str, Any]) -> None:
    """Write `explanation.png`, `explanation.svg` and `maps.npz` of a record into its folder; `manifest` is what
    `explanation.json` says, or will say."""
    figure = maps(Report("explanation", manifest, record, folder))
    for suffix in (".png", ".svg"):
        save(figure, folder / f"explanation{suffix}")
    held = io.BytesIO()
    arrays: dict[str, Any] = {name: array for name, array in record.arrays.items() if name.startswith("map/")}
    np.savez_compressed(held, image=record.arrays["image"], **arrays)
    write_whole(folder / "maps.npz", held.getvalue())
