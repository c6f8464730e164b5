"""Opening the network that a command is about."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from layerscope.cli.output import remark

if TYPE_CHECKING:
    from layerscope.models.model import VisionModel


def open_network(spec: str, weights: str | None) -> VisionModel:
    """Open a network for a command; a file that is run for it is said."""
    from layerscope.models.sources import load_model

    file, _, function = spec.rpartition(":")
    if file.endswith(".py") and Path(file).is_file():
        remark(f"running {file} for {function}(): all code in it; open only files that you trust")
    return load_model(spec, weights=weights)
