"""Layers by how deep they lie."""

from __future__ import annotations

import math

from layerscope.models.model import VisionModel


def map_at(model: VisionModel, share: float) -> str | None:
    """The map (units at several positions) at this share of the network's depth; None where there is no map."""
    maps = [layer.name for layer in model.layers() if len(layer.shape) > 1 and math.prod(layer.shape) > layer.units]
    return maps[int(share * (len(maps) - 1))] if maps else None
