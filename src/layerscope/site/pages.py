"""The site over all galleries of a folder: what is measured goes to data files, and a small client draws the pages.

A browser that opens a page from the disk may not fetch, so every data file is a script that assigns to one global name,
and the client asks for a layer only when somebody looks at it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from numpy.typing import NDArray

from layerscope.errors import InputError
from layerscope.site import sprites, summary
from layerscope.site.files import SiteFolder
from layerscope.site.galleries import ShownGallery, ShownLayer, ShownUnit, find_galleries
from layerscope.site.sprites import Sprite

_SCRIPTS = ("dom", "data", "figures", "plots", "select", "facts", "home", "network", "layer", "unit", "app")
_AT_A_GLANCE = 12  # pictures that stand for a layer on the first page
_GLANCE_SIDE = 96  # pixels
_EXEMPLAR_SIDE = 96  # pixels


def check_site(folder: Path | str) -> None:
    """Say before any work what `write_site` would say of `folder` as it is; an empty or missing folder is fine.

    Raises StorageError where index.html or site/ is somebody else's, InputError where a `gallery.json` cannot be
    understood. Writes nothing.
    """
    _opened(Path(folder))


def write_site(folder: Path | str) -> Path:
    """Write one static site over every `gallery.json` below `folder` and return the path of its `index.html`.

    Writes `<folder>/index.html` and `<folder>/site/...` only, each file whole or not at all; the same records give the
    same bytes. Units whose records are not there yet are counted as missing. Raises InputError where there is no
    gallery, StorageError where the folder cannot be written or holds somebody else's site.
    """
    folder = Path(folder)
    files, galleries = _opened(folder)
    if not galleries:
        raise InputError(f"no gallery below {folder}; make one with `layerscope gallery --out {folder}`")
    networks = [_write_network(files, gallery) for gallery in galleries]
    first, *others = (files.add(f"client/{name}.js", _template(f"{name}.js")) for name in _SCRIPTS)
    scripts = [first, _write_data(files, "index.js", "index", {"networks": networks}), *others]
    style = files.add("client/site.css", _template("site.css"))
    return files.finish(_page(galleries, style, scripts))


def _opened(folder: Path) -> tuple[SiteFolder, tuple[ShownGallery, ...]]:
    return SiteFolder(folder), find_galleries(folder)


def _write_network(files: SiteFolder, gallery: ShownGallery) -> dict[str, Any]:
    """Write the files of one network, layer by layer, and return its entry in the index."""
    layers, glance = [], list[NDArray[np.uint8]]()
    for layer in gallery.layers:
        units = gallery.units(layer)
        shown = [summary.of_unit(unit, gallery.facts) for unit in units]
        chosen = summary.sample(shown, _AT_A_GLANCE)
        entry = summary.of_layer(layer, shown)
        entry["sample"] = [_at_a_glance(shown[place], len(glance) + turn) for turn, place in enumerate(chosen)]
        entry["data"] = _write_layer(files, gallery, layer, units, shown)
        glance += [units[place].picture for place in chosen]
        layers.append(entry)
    facts = {name: gallery.facts.get(name) for name in ("layerscope", "recipe", "seed", "probe", "command")}
    return {
        **facts,
        "title": gallery.title,
        "slug": gallery.slug,
        "network": gallery.facts["network"],
        "layers": layers,
        "glance": _write_pictures(files, f"glance/{gallery.slug}", glance, _GLANCE_SIDE),
    }


def _write_layer(
    files: SiteFolder,
    gallery: ShownGallery,
    layer: ShownLayer,
    units: Sequence[ShownUnit],
    shown: Sequence[Mapping[str, Any]],
) -> str:
    stem = f"{gallery.slug}/{layer.slug}"
    data = {
        "units": shown,
        "pictures": _write_pictures(files, f"pictures/{stem}", [unit.picture for unit in units]),
        "exemplars": _write_exemplars(files, f"exemplars/{stem}", gallery, layer, units),
    }
    return _write_data(files, f"layers/{stem}.js", stem, data)


def _write_pictures(
    files: SiteFolder, stem: str, tiles: Sequence[NDArray[np.uint8]], largest: int | None = None
) -> dict[str, Any] | None:
    return _write_sprite(files, stem, sprites.pack(tiles, largest)) if tiles else None


def _write_exemplars(
    files: SiteFolder, stem: str, gallery: ShownGallery, layer: ShownLayer, units: Sequence[ShownUnit]
) -> dict[str, Any] | None:
    crops = [len(unit.facts.get("exemplars") or ()) for unit in units]
    if not any(crops):
        return None
    try:
        tiles = sprites.crops_of([unit.exemplars for unit in units], crops, _EXEMPLAR_SIDE)
    except OSError:
        where = f"layer {layer.name[:80]!r} of {gallery.store.folder}"
        raise InputError(f"exemplars in {where} are no images; delete its records and make it again") from None
    return {**_write_sprite(files, stem, sprites.pack(tiles, lossy_source=True)), "crops": max(crops)}


def _write_sprite(files: SiteFolder, stem: str, sprite: Sprite) -> dict[str, Any]:
    urls = [files.add(f"{stem}.{number}.webp", sheet) for number, sheet in enumerate(sprite.sheets)]
    layout = {"tile": sprite.tile, "gutter": sprite.gutter, "columns": sprite.columns, "per_sheet": sprite.per_sheet}
    return {"sheets": urls, **layout}


def _at_a_glance(unit: Mapping[str, Any], tile: int) -> dict[str, Any]:
    names = ("unit", "label", "score", "control", "natural", "ratio", "status")
    return {**{name: unit[name] for name in names}, "tile": tile}


def _write_data(files: SiteFolder, path: str, name: str, data: Any) -> str:
    text = json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    return files.add(path, f"LAYERSCOPE.data[{json.dumps(name)}]={text};\n".encode())


def _page(galleries: Sequence[ShownGallery], style: str, scripts: Sequence[str]) -> bytes:
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    page = environment.from_string(_template("index.html").decode())
    titles = [gallery.title for gallery in galleries]
    return page.render(titles=titles, style=style, scripts=scripts).encode(errors="replace")


def _template(name: str) -> bytes:
    return (resources.files("layerscope.site") / "templates" / name).read_bytes()
