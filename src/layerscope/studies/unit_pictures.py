"""Pictures of units that a gallery of the same network has made already."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layerscope.capture.layers import Layer
from layerscope.figures.pictures import as_rgb
from layerscope.models.model import VisionModel
from layerscope.records import Store
from layerscope.studies.main_layers import same_units


@dataclass(frozen=True, eq=False)
class UnitPicture:
    """picture: uint8 [height, width, 3]. ratio: score over the strongest natural activation. layer: of the gallery."""

    picture: NDArray[np.uint8]
    ratio: float | None
    status: str
    layer: str


class UnitPictures:
    """The galleries below a folder that show `model`, weights and all; none where there are none."""

    def __init__(self, model: VisionModel, folder: Path | None) -> None:
        self._model = model
        self._galleries = list(_galleries_of(model, folder)) if folder is not None else []

    @property
    def fingerprint(self) -> str:
        """Of what is shown: changes when galleries come or grow."""
        digest = hashlib.sha256()
        for _, shown in self._galleries:
            digest.update(repr(sorted(shown.values())).encode())
        return digest.hexdigest()

    def find(self, layer: Layer, unit: int) -> UnitPicture | None:
        """The picture of a unit, or of the one that it is the activation of: from the last layer up to it that the
        gallery shows, of the same shape."""
        for store, shown in self._galleries:
            for name in (layer.name, *same_units(self._model, layer)):
                key = shown.get((name, unit))
                record = store.find(key) if key is not None else None
                if record is not None:
                    facts = record.facts
                    return UnitPicture(as_rgb(record.arrays["picture"]), facts["ratio"], str(facts["status"]), name)
        return None


def _galleries_of(model: VisionModel, folder: Path) -> Iterator[tuple[Store, dict[tuple[str, int], str]]]:
    for path in sorted(folder.rglob("gallery.json")) if folder.is_dir() else ():
        facts = _read(path)
        if facts.get("kind") == "gallery" and facts.get("network", {}).get("fingerprint") == model.fingerprint:
            shown = {
                (layer["name"], index): key
                for layer in facts["layers"]
                for index, key in zip(layer["indices"], layer["keys"], strict=True)
            }
            yield Store(path.parent), shown


def _read(path: Path) -> dict[str, Any]:
    """A gallery's manifest; one that is damaged shows nothing here, and the site says what is wrong with it."""
    try:
        facts = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}
