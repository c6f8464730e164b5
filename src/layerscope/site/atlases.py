"""The activation atlases below a folder, as their `atlas.json` and their records tell them, and their data files."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from layerscope.errors import InputError
from layerscope.figures.pictures import as_rgb
from layerscope.names import slug
from layerscope.records import Record, Store
from layerscope.site import sprites
from layerscope.site.assets import write_data, write_pictures, write_sprite
from layerscope.site.files import SiteFolder
from layerscope.site.manifests import Kind
from layerscope.site.reproduce import figure
from layerscope.site.summary import number

_KIND = Kind("atlas", "make the atlas again", named=("network", "layer", "probe"))
_PREVIEW, _CROP = 48, 64  # pixels of a tile on the first page, and of a natural crop
_LAYOUT = ("kept", "kept_shuffled", "trust", "trust_shuffled")


@dataclass(frozen=True)
class ShownAtlas:
    """One atlas. Its `title` is its layer and its network's name, followed by the folder where two share that title.

    home: the folder of the atlas, relative to that of the site.
    """

    title: str
    slug: str
    facts: Mapping[str, Any]
    store: Store
    home: str

    def cells(self) -> list[Record]:
        """The records of the cells that have been made, in reading order."""
        found = (self.store.find(str(cell["key"])) for cell in self.facts["cells"])
        return [record for record in found if record is not None]


def find_atlases(folder: Path) -> tuple[ShownAtlas, ...]:
    """Return every atlas below `folder`, in the order of their paths.

    Raises InputError where an `atlas.json` cannot be understood.
    """
    read = [(path, facts) for path in sorted(_KIND.paths(folder)) if (facts := _KIND.read(path)) is not None]
    titles = Counter(_title(facts) for _, facts in read)
    return tuple(_atlas(path, facts, path.parent.relative_to(folder).as_posix(), titles) for path, facts in read)


def write_atlas(files: SiteFolder, atlas: ShownAtlas) -> dict[str, Any]:
    """Write the files of one atlas and return its entry in the index."""
    records = atlas.cells()
    try:
        cells = [_cell(record.facts) for record in records]
        entry = _entry(atlas, cells)
        tiles = [as_rgb(record.arrays["picture"]) for record in records]
        data = {
            "cells": cells,
            "pictures": write_pictures(files, f"atlases/{atlas.slug}/pictures", tiles),
            "crops": _write_crops(files, atlas.slug, records, cells),
            "python": {"atlas": atlas.facts.get("command"), "figure": figure("atlas", atlas.home)},
        }
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OSError) as cause:
        what = f"{type(cause).__name__}: {str(cause)[:200]}"
        raise InputError(f"records in {atlas.store.folder} are no atlas ({what}); make the atlas again") from None
    entry["preview"] = write_pictures(files, f"atlases/{atlas.slug}/preview", tiles, _PREVIEW)
    entry["data"] = write_data(files, f"atlases/{atlas.slug}/data.js", f"atlas:{atlas.slug}", data)
    return entry


def _title(facts: Mapping[str, Any]) -> str:
    return f"{facts['layer']['name']} of {facts['network']['name']}"


def _atlas(path: Path, facts: Mapping[str, Any], home: str, titles: Counter[str]) -> ShownAtlas:
    title = _title(facts)
    title = title if titles[title] == 1 else f"{title} ({home})"
    store = Store(path.parent)
    try:
        for cell in facts["cells"]:
            store.path(cell["key"])
    except (KeyError, TypeError) as cause:
        raise InputError(f"{path} does not describe an atlas ({cause}); make the atlas again") from None
    return ShownAtlas(title, slug(title), facts, store, home)


def _entry(atlas: ShownAtlas, cells: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the index tells: how good the map is and its pictures are, each beside its control."""
    facts, layout = atlas.facts, atlas.facts["layout"]
    ranked = [cell for cell in cells if cell["rank"] is not None]
    return {
        "title": atlas.title,
        "slug": atlas.slug,
        "network": facts["network"]["name"],
        "fingerprint": facts["network"].get("fingerprint"),
        "layer": facts["layer"]["name"],
        "units": facts["layer"].get("units"),
        "probe": facts["probe"]["name"],
        "images": facts["probe"].get("images"),
        "grid": int(facts["grid"]),
        "least": facts.get("least"),
        "vectors": layout["vectors"],
        "silent": layout.get("silent", 0),
        "shown": facts.get("shown"),
        "method": layout["method"],
        "neighbours": layout["neighbours"],
        **{name: number(layout[name]) for name in _LAYOUT},
        "wanted": len(facts["cells"]),
        "ranked": len(ranked),
        "nearest": sum(cell["rank"] == 1 for cell in ranked),
        **{name: _median(ranked, name) for name in ("cosine", "other")},
        "places": [[cell["row"], cell["column"]] for cell in cells],
    }


def _median(cells: Sequence[Mapping[str, Any]], name: str) -> float | None:
    return number(statistics.median(cell[name] for cell in cells)) if cells else None


def _cell(facts: Mapping[str, Any]) -> dict[str, Any]:
    whole = ("row", "column", "activations", "rank", "of")
    return {
        **{name: None if facts[name] is None else int(facts[name]) for name in whole},
        **{name: number(facts[name]) for name in ("score", "control", "cosine", "other", "saturated")},
        "status": str(facts["status"]),
        "note": str(facts["note"]),
        "classes": [[str(name), int(count)] for name, count in facts["classes"]],
        "attributed": [[str(name), number(logit)] for name, logit in facts["attributed"]],
        "crops": [str(name) for name in facts["crops"]],
    }


def _write_crops(
    files: SiteFolder, stem: str, records: Sequence[Record], cells: Sequence[Mapping[str, Any]]
) -> dict[str, Any] | None:
    counts = [len(cell["crops"]) for cell in cells]
    if not any(counts):
        return None
    tiles = sprites.crops_of([record.arrays["exemplars"].tobytes() for record in records], counts, _CROP)
    sprite = write_sprite(files, f"atlases/{stem}/crops", sprites.pack(tiles, lossy_source=True))
    return {**sprite, "crops": max(counts)}
