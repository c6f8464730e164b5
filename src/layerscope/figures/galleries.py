"""A gallery as figures read it: its layers, and of each unit the record that was made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from layerscope.errors import InputError, UnknownNameError
from layerscope.figures.source import Report
from layerscope.records import Record, Store


@dataclass(frozen=True, eq=False)
class GalleryLayer:
    """One layer: its facts, and the units that it shows with the keys of their records, by number."""

    facts: Mapping[str, Any]
    keys: Mapping[int, str]
    store: Store

    @property
    def name(self) -> str:
        return str(self.facts["name"])

    @property
    def is_classes(self) -> bool:
        """Whether its units are the outputs of the network, which are all shown."""
        return bool(self.facts["kind"] == "Linear")

    def records(self, units: Sequence[int] | None = None) -> Iterator[Record]:
        """Of these units, or all, those that have been made."""
        for unit in self.keys if units is None else units:
            record = self.store.find(self.keys[unit])
            if record is not None:
                yield record

    def record(self, unit: int) -> Record:
        """Raises UnknownNameError for a unit that is not shown, InputError for one that is not made yet."""
        if unit not in self.keys:
            raise UnknownNameError.among("unit", f"{self.name}:{unit}", [f"{self.name}:{one}" for one in self.keys])
        record = self.store.find(self.keys[unit])
        if record is None:
            raise InputError(f"{self.name}:{unit} is not made yet, or damaged; run ls.gallery again")
        return record


def layers_of(gallery: Report) -> list[GalleryLayer]:
    """In the order of the network."""
    assert gallery.folder is not None  # a gallery is always read from one
    store = Store(gallery.folder)
    found = []
    for layer in gallery.facts["layers"]:
        keys = sorted(zip(layer["indices"], layer["keys"], strict=True))
        found.append(GalleryLayer(layer, {int(index): str(key) for index, key in keys}, store))
    return found


def layer_of(gallery: Report, name: str) -> GalleryLayer:
    """Raises UnknownNameError for a layer that the gallery does not show."""
    named = {layer.name: layer for layer in layers_of(gallery)}
    if name not in named:
        raise UnknownNameError.among("layer", name, named)
    return named[name]


def spread(count: int, most: int) -> list[int]:
    """At most `most` indices, evenly spaced over `count`."""
    return sorted({int(place * count / min(count, most)) for place in range(min(count, most))})


def evenly(layer: GalleryLayer, most: int) -> list[int]:
    """Units evenly spaced over a layer, and so not chosen by how they look."""
    units = list(layer.keys)
    return [units[place] for place in spread(len(units), most)]


def how_chosen(layers: Sequence[GalleryLayer], where: str = "each layer") -> str:
    """How the units that stand for their layers came to be there, in words."""
    whole = all(len(layer.keys) == layer.facts["units"] for layer in layers)
    return f"units evenly spaced over {where}, none chosen" if whole else "units evenly spaced over those asked for"


def unit_named(text: str) -> tuple[str, int]:
    """Layer and number of "layer:37". Raises InputError for another form."""
    layer, colon, number = str(text).rpartition(":")
    if not colon or not number.isdecimal():
        raise InputError(f"{text!r} is no unit; write layer:number, as in 'conv3:26'")
    return layer, int(number)
