"""The galleries below a folder, as their `gallery.json` and their records tell them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layerscope.errors import InputError
from layerscope.figures.pictures import as_rgb
from layerscope.names import slug
from layerscope.records import Record, Store
from layerscope.site.manifests import Kind

_KIND = Kind("gallery", "make the gallery again", keyed=False)


@dataclass(frozen=True)
class ShownUnit:
    """One unit that has been made: its facts, its picture `[height, width, 3]`, its trace and its exemplars.

    `exemplars` is the encoded strip of square crops side by side, empty where there are none.
    """

    index: int
    facts: Mapping[str, Any]
    picture: NDArray[np.uint8]
    trace: NDArray[np.float32]
    exemplars: bytes


@dataclass(frozen=True)
class ShownLayer:
    """One layer as `gallery.json` lists it: its facts, and the units it wants with the keys of their records."""

    name: str
    slug: str
    facts: Mapping[str, Any]
    wanted: tuple[tuple[int, str], ...]


@dataclass(frozen=True)
class ShownGallery:
    """One gallery. Its `title` is the network's name, followed by the folder where two galleries share that name.

    home: the folder of the gallery, relative to that of the site.
    """

    title: str
    slug: str
    facts: Mapping[str, Any]
    layers: tuple[ShownLayer, ...]
    store: Store
    home: str

    def units(self, layer: ShownLayer) -> list[ShownUnit]:
        """Read the units of `layer` that have been made, in the order of their numbers."""
        found = [(index, self.store.find(key)) for index, key in sorted(layer.wanted)]
        return [_unit(index, record) for index, record in found if record is not None]


def find_galleries(folder: Path) -> tuple[ShownGallery, ...]:
    """Return every gallery below `folder`, in the order of their paths.

    Raises InputError where a `gallery.json` cannot be understood.
    """
    read = [(path, facts) for path in sorted(_KIND.paths(folder)) if (facts := _KIND.read(path)) is not None]
    names = Counter(facts["network"]["name"] for _, facts in read)
    return tuple(_gallery(path, facts, path.parent.relative_to(folder).as_posix(), names) for path, facts in read)


def _gallery(path: Path, facts: dict[str, Any], home: str, names: Counter[str]) -> ShownGallery:
    name = facts["network"]["name"]
    title = name if names[name] == 1 else f"{name} ({home})"
    try:
        layers = tuple(_layer(layer) for layer in facts["layers"])
        store = Store(path.parent)
        for layer in layers:
            for _, key in layer.wanted:
                store.path(key)
    except (KeyError, TypeError, ValueError) as cause:
        raise InputError(f"{path} does not describe a gallery ({cause}); make the gallery again") from None
    if len({layer.slug for layer in layers}) < len(layers):
        raise InputError(f"{path} lists a layer twice; make the gallery again")
    return ShownGallery(title, slug(title), facts, layers, store, home)


def _layer(facts: Mapping[str, Any]) -> ShownLayer:
    wanted = zip((int(index) for index in facts["indices"]), (str(key) for key in facts["keys"]), strict=True)
    return ShownLayer(str(facts["name"]), slug(str(facts["name"])), facts, tuple(wanted))


def _unit(index: int, record: Record) -> ShownUnit:
    nothing = np.zeros(0, np.float32)
    return ShownUnit(
        index=index,
        facts=record.facts,
        picture=as_rgb(record.arrays["picture"]),
        trace=record.arrays.get("trace", nothing),
        exemplars=record.arrays["exemplars"].tobytes() if record.facts.get("exemplars") else b"",
    )
