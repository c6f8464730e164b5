"""Which layers of galleries and reports hold the same units, and which units mattered in which image: the ways back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from layerscope.site.assets import write_data
from layerscope.site.files import SiteFolder
from layerscope.site.summary import number

Facts = Mapping[str, Any]


class Mattered:
    """Collects what the stories of images tell of units; `write` writes `site/mattered.js`."""

    def __init__(self) -> None:
        self._images: dict[str, list[dict[str, Any]]] = {}

    def add(self, image: str, story: Facts | None) -> None:
        """Add the story of the image with this slug, as its record holds it; None where none was told."""
        layers = [_layer(layer) for layer in (story or {"layers": ()})["layers"]]
        told = [layer for layer in layers if layer["units"]]
        if told:
            self._images[image] = told

    def write(self, files: SiteFolder) -> str | None:
        """Write by image the units that mattered, and return the address of that; None where there is no story."""
        return write_data(files, "mattered.js", "mattered", self._images) if self._images else None


def _layer(layer: Facts) -> dict[str, Any]:
    """Each unit with the true and the predicted change of the score without it."""
    galleries = dict.fromkeys(unit["gallery_layer"] for unit in layer["shown"] if unit["gallery_layer"])
    return {
        "layer": str(layer["layer"]),
        "same": [str(name) for name in (*galleries, *layer.get("same_units", ()))],
        "units": [[unit["unit"], number(unit["true"]), number(unit["predicted"])] for unit in layer["shown"]],
    }


def pairs(gallery: Sequence[Facts], report: Sequence[Facts]) -> list[tuple[str, str]]:
    """The names of the layers of a gallery and of a report of one network whose units are the same, as (conv1, relu1).

    Both are lists of layers in the order of the network. A gallery shows a convolution, a report measures it after the
    rectifier. Reports say which layers have their units; of older ones, which do not, all layers are paired in their
    order where the shapes agree one by one.
    """
    by_order = _by_order(gallery, report)
    known = {str(layer["name"]): layer for layer in gallery}
    found = []
    for place, layer in enumerate(report):
        name = str(layer["name"])
        same = layer.get("same_units")
        early = [str(layer["before_rectifier"])] if layer.get("before_rectifier") else []
        wanted = [name, *(early if same is None else map(str, same))]
        wanted += [by_order[place]] if same is None and by_order else []
        there = [one for one in wanted if one in known and (one == name or _as_many(known[one], layer))]
        found += [(there[0], name)] if there else []
    return found


def _as_many(one: Facts, other: Facts) -> bool:
    return bool(one.get("units") == other.get("units"))


def _by_order(gallery: Sequence[Facts], report: Sequence[Facts]) -> list[str]:
    """The layers of the gallery in the places of those of the report; empty where one of the shapes is another.

    A gallery may show the output beside them.
    """
    beside = gallery[: len(report)]
    agree = len(gallery) - len(report) in (0, 1) and all(
        mine.get("shape") and mine["shape"] == theirs.get("shape") for mine, theirs in zip(beside, report, strict=True)
    )
    return [str(layer["name"]) for layer in beside] if agree else []
