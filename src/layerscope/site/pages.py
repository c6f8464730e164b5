"""The site over all galleries, atlases, hierarchy reports, explanations and leaderboards of a folder, and its client.

A browser that opens a page from the disk may not fetch, so every data file is a script that assigns to one global name,
and the client asks for a layer, a report or an image only when somebody looks at it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from numpy.typing import NDArray

from layerscope.errors import InputError
from layerscope.site import links, maps, reproduce, sprites, summary
from layerscope.site.assets import write_data, write_pictures, write_sprite
from layerscope.site.atlases import ShownAtlas, find_atlases, write_atlas
from layerscope.site.explained import write_explanation
from layerscope.site.explanations import ShownExplanation, find_explanations
from layerscope.site.files import SiteFolder
from layerscope.site.galleries import ShownGallery, ShownLayer, ShownUnit, find_galleries
from layerscope.site.hierarchies import ShownHierarchy, find_hierarchies
from layerscope.site.leaderboards import ShownLeaderboard, find_leaderboards
from layerscope.site.links import Mattered
from layerscope.site.reported import write_hierarchy
from layerscope.site.searching import Searchable

_SCRIPTS = (
    *("dom", "data", "fitted", "vector", "download", "figures", "plots", "select", "facts", "tables"),
    *("maps", "back", "curves", "story", "causes", "poster", "image", "map", "images"),
    *("reports", "stacks", "nets", "decoding", "alike", "tuning", "tuned", "evidence", "measures", "finding"),
    *("reportnumbers", "report", "reportlayer", "tests", "reportunit"),
    *("yardsticks", "intervals", "boardframe", "forest", "boardtable", "trusted", "provable"),
    *("leaderboard", "bestmethods", "atlases", "atlas"),
    *("subjects", "glance", "findable", "find", "search", "keys", "comparereports", "compare"),
    *("home", "network", "layer", "outcome", "unit", "app"),
)
_STYLES = ("site", "search", "compare", "explain", "report", "leaderboard", "atlas", "outcome", "download")
_AT_A_GLANCE = 12  # pictures that stand for a layer on the first page
_GLANCE_SIDE = 96  # pixels
_EXEMPLAR_SIDE = 96  # pixels


def check_site(folder: Path | str) -> None:
    """Say before any work what `write_site` would say of `folder` as it is; an empty or missing folder is fine.

    Raises StorageError where index.html or site/ is somebody else's, InputError where a `gallery.json`, an
    `atlas.json`, a `hierarchy.json`, an `explanation.json` or a `leaderboard.json` cannot be understood. Writes
    nothing.
    """
    _opened(Path(folder))


def write_site(folder: Path | str) -> Path:
    """Write one static site over all galleries, atlases, hierarchy reports, explanations and leaderboards in `folder`.

    Returns the path of its `index.html`. Writes `<folder>/index.html` and `<folder>/site/...` only, each file whole or
    not at all; the same records give the same bytes. What is still being made, or has lost its record, is counted.
    Raises InputError where there is none of them, StorageError where the folder cannot be written or holds somebody
    else's site.
    """
    folder = Path(folder)
    files, galleries, reports, explanations, boards, atlases = _opened(folder)
    titles = [one.title for found in (galleries, reports, explanations, boards, atlases) for one in found]
    if not titles:
        raise InputError(
            f"no gallery, no atlas, no hierarchy report, no explanation and no leaderboard below {folder}; make one "
            f"with `layerscope gallery --out {folder}`, `layerscope hierarchy --out {folder}` "
            f"or `layerscope explain IMAGE --out {folder}`"
        )
    found, mattered = Searchable(), Mattered()
    index = {
        "networks": [_write_network(files, gallery, found) for gallery in galleries],
        "hierarchies": _write_hierarchies(files, reports, found),
        **_write_explanations(files, explanations, found, mattered),
        "leaderboards": [board.entry for board in boards],
        "atlases": [write_atlas(files, atlas) for atlas in atlases],
        "search": found.write(files),
        "mattered": mattered.write(files),
    }
    index["pairs"] = _pairs(index["networks"], index["hierarchies"]["reports"])
    styles, (first, *others) = _write_client(files)
    scripts = [first, write_data(files, "index.js", "index", index), *others]
    return files.finish(_page(titles, styles, scripts))


_Opened = tuple[
    SiteFolder,
    tuple[ShownGallery, ...],
    tuple[ShownHierarchy, ...],
    tuple[ShownExplanation, ...],
    tuple[ShownLeaderboard, ...],
    tuple[ShownAtlas, ...],
]


def _opened(folder: Path) -> _Opened:
    files = SiteFolder(folder)
    found = find_galleries(folder), find_hierarchies(folder), find_explanations(folder), find_leaderboards(folder)
    return files, *found, find_atlases(folder)


def _write_hierarchies(files: SiteFolder, reports: Sequence[ShownHierarchy], found: Searchable) -> dict[str, Any]:
    """Write the files of all complete reports; those that are being made, or have no whole record, are only named."""
    complete = [report for report in reports if report.complete]
    entries = [write_hierarchy(files, report, found) for report in complete]
    return {
        "reports": [entry for entry in entries if entry is not None],
        "missing": [one.title for one, entry in zip(complete, entries, strict=True) if entry is None],
        "making": [report.title for report in reports if not report.complete],
    }


def _pairs(networks: Sequence[Mapping[str, Any]], reports: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Slug and layer of a gallery, slug and layer of a report of the same network, for all layers of the same units."""
    return [
        [network["slug"], mine, report["slug"], theirs]
        for network in networks
        for report in reports
        if report["fingerprint"] and report["fingerprint"] == network["network"].get("fingerprint")
        for mine, theirs in links.pairs(network["layers"], report["layers"])
    ]


def _write_explanations(
    files: SiteFolder, explanations: Sequence[ShownExplanation], found: Searchable, mattered: Mattered
) -> dict[str, Any]:
    """Write the files of all explanations and return the parts of the index that tell of them."""
    entries = [write_explanation(files, explanation, found, mattered) for explanation in explanations]
    return {
        "images": [entry for entry in entries if entry is not None],
        "missing": [one.title for one, entry in zip(explanations, entries, strict=True) if entry is None],
        "colours": {"for": _css(maps.FOR), "against": _css(maps.AGAINST), "fired": _css(maps.FIRED)},
    }


def _write_client(files: SiteFolder) -> tuple[list[str], list[str]]:
    """Write what draws the pages and return the addresses of its styles and scripts."""
    kinds = ([f"{name}.css" for name in _STYLES], [f"{name}.js" for name in _SCRIPTS])
    files.expect(f"client/{name}" for names in kinds for name in names)
    styles, scripts = ([files.add(f"client/{name}", _template(name)) for name in names] for names in kinds)
    return styles, scripts


def _css(colour: tuple[int, int, int]) -> str:
    return "#" + bytes(colour).hex()


def _write_network(files: SiteFolder, gallery: ShownGallery, found: Searchable) -> dict[str, Any]:
    """Write the files of one network, layer by layer, and return its entry in the index."""
    layers, glance, told = [], list[NDArray[np.uint8]](), []
    for layer in gallery.layers:
        units = gallery.units(layer)
        shown = [summary.of_unit(unit, gallery.facts) for unit in units]
        chosen = summary.sample(shown, _AT_A_GLANCE)
        entry = summary.of_layer(layer, shown)
        entry["sample"] = [_at_a_glance(shown[place], len(glance) + turn) for turn, place in enumerate(chosen)]
        entry["data"] = _write_layer(files, gallery, layer, units, shown)
        glance += [units[place].picture for place in chosen]
        layers.append(entry)
        told.append(shown)
    found.add_gallery(told)
    facts = {name: gallery.facts.get(name) for name in ("layerscope", "recipe", "seed", "probe", "command")}
    return {
        **facts,
        "title": gallery.title,
        "slug": gallery.slug,
        "network": gallery.facts["network"],
        "python": reproduce.of_network(gallery.home),
        "layers": layers,
        "glance": write_pictures(files, f"glance/{gallery.slug}", glance, _GLANCE_SIDE),
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
        "python": reproduce.of_layer(gallery.facts, layer.name, gallery.home),
        "pictures": write_pictures(files, f"pictures/{stem}", [unit.picture for unit in units]),
        "exemplars": _write_exemplars(files, f"exemplars/{stem}", gallery, layer, units),
    }
    return write_data(files, f"layers/{stem}.js", stem, data)


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
    return {**write_sprite(files, stem, sprites.pack(tiles, lossy_source=True)), "crops": max(crops)}


def _at_a_glance(unit: Mapping[str, Any], tile: int) -> dict[str, Any]:
    names = ("unit", "label", "score", "control", "natural", "ratio", "status")
    return {**{name: unit[name] for name in names}, "tile": tile}


def _page(titles: Sequence[str], styles: Sequence[str], scripts: Sequence[str]) -> bytes:
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    page = environment.from_string(_template("index.html").decode())
    return page.render(titles=titles, styles=styles, scripts=scripts).encode(errors="replace")


def _template(name: str) -> bytes:
    return (resources.files("layerscope.site") / "templates" / name).read_bytes()
