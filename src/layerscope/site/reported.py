"""The data and the pictures of one hierarchy report, as its pages read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layerscope.errors import InputError
from layerscope.figures.pictures import as_rgb
from layerscope.names import slug
from layerscope.records import Record
from layerscope.site import reproduce
from layerscope.site.assets import write_data, write_pictures
from layerscope.site.explained import rounded
from layerscope.site.files import SiteFolder
from layerscope.site.hierarchies import ShownHierarchy
from layerscope.site.reported_checks import check_facts, check_header
from layerscope.site.reported_units import dots, hue_colour, table, tuning
from layerscope.site.searching import Searchable

_PROBE_SIDE, _PICTURE_SIDE = 96, 224  # pixels, at most

_HEADER = ("layerscope", "network", "probe", "profile", "twins", "seed", "skipped", "command", "key")
_FACTS = ("shown", "words", "false_rate", "trend", "trend_p", "together", "tasks", "recipe")


def write_hierarchy(files: SiteFolder, report: ShownHierarchy, found: Searchable) -> dict[str, Any] | None:
    """Write the files of one report, add it to what is searched, and return its entry in the index.

    None where its record is missing.

    Raises InputError where the record does not hold what a report holds.
    """
    check_header(report.path, report.facts)
    record = report.record()
    if record is None:
        return None
    try:
        check_facts(record.facts, record.arrays)
        return _written(files, report, record, found)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as cause:
        if isinstance(cause, InputError):
            raise
        what = str(cause)[:200] if isinstance(cause, ValueError) else f"{type(cause).__name__}: {str(cause)[:200]}"
        raise InputError(
            f"the record of {report.path} does not describe a hierarchy ({what}); make the report again"
        ) from None


def _written(files: SiteFolder, report: ShownHierarchy, record: Record, found: Searchable) -> dict[str, Any]:
    stem, facts, arrays = f"hierarchy/{report.slug}", record.facts, record.arrays
    names = [str(layer["name"]) for layer in facts["layers"]]
    slugs = [_layer_slug(name, names) for name in names]
    files.expect([f"{stem}/data.js", *(f"{stem}/layers/{one}.js" for one in slugs)])
    places = _places(facts["units"], names)
    pictures = _Pictures(arrays)
    layers, entries = [], []
    for layer, name, short in zip(facts["layers"], names, slugs, strict=True):
        rows = places[name]
        if len(rows) != layer["units"]:
            raise ValueError(f"{len(rows)} rows for the {layer['units']} units of {name[:80]!r}")
        tiles = {unit: pictures.add(name, unit) for unit in (*layer["telling"], *layer["sample"])}
        made = {unit: at for unit, at in tiles.items() if at is not None}
        lines = reproduce.of_report_layer(report.facts, facts, name, report.home)
        told = {**rounded(layer), "reach": layer["status"], "slug": short, "tiles": made, "python": lines}
        whole = {**table(facts["units"], rows, arrays, name, range(len(rows))), "tuning": tuning(arrays, name)}
        address = write_data(files, f"{stem}/layers/{short}.js", f"hierarchy:{report.slug}/{short}", whole)
        layers.append(
            {
                **told,
                "dots": dots(facts["units"], rows),
                "chosen": table(facts["units"], rows, arrays, name, list(tiles)),
            }
        )
        entries.append(_entry_of_layer(told, address))
    data = {
        **{name: report.facts.get(name) for name in _HEADER},
        **rounded({name: facts.get(name) for name in _FACTS}),
        "title": report.title,
        "python": reproduce.of_report(report.facts.get("command"), report.home),
        "stimuli": _stimuli(facts["stimuli"]),
        "layers": layers,
        "cka": rounded(arrays["cka"].tolist()),
        "cka_twins": rounded(arrays["cka_twins"].tolist()),
        "probe_sheet": write_pictures(files, f"{stem}/probe", [as_rgb(one) for one in arrays["probe"]], _PROBE_SIDE),
        "pictures": write_pictures(files, f"{stem}/pictures", pictures.tiles, _PICTURE_SIDE),
        "tables": report.tables(),
    }
    address = write_data(files, f"{stem}/data.js", f"hierarchy:{report.slug}", data)
    found.add_report(facts["units"], [places[name] for name in names])
    return {**_entry(report, data), "layers": entries, "data": address}


def _layer_slug(name: str, names: Sequence[str]) -> str:
    if names.count(name) > 1:
        raise ValueError(f"layer {name[:80]!r} is there twice")
    return slug(name)


def _places(columns: Mapping[str, Sequence[Any]], layers: Sequence[str]) -> dict[str, list[int]]:
    """By layer the places of its rows in the table of units, which has to count them from 0."""
    found: dict[str, list[int]] = {name: [] for name in layers}
    for place, (layer, unit) in enumerate(zip(columns["layer"], columns["unit"], strict=True)):
        if unit != len(found[layer]):
            raise ValueError(f"unit {unit} of {layer[:80]!r} is out of place")
        found[layer].append(place)
    return found


def _stimuli(facts: Mapping[str, Any]) -> dict[str, Any]:
    hues = facts["hues"]
    return {**rounded(facts), "hue_colours": None if hues is None else [hue_colour(hue) for hue in hues]}


def _entry(report: ShownHierarchy, data: Mapping[str, Any]) -> dict[str, Any]:
    """What cards and links show before the data are loaded."""
    names = ("shown", "words", "trend", "trend_p", "false_rate", "twins", "title")
    return {
        **{name: data[name] for name in names},
        "slug": report.slug,
        "network": report.facts["network"]["name"],
        "fingerprint": report.facts["network"].get("fingerprint"),
    }


def _entry_of_layer(layer: Mapping[str, Any], address: str) -> dict[str, Any]:
    shares = {name: [one["share"], one["twins"]] for name, one in layer["shares"].items()}
    told = {name: layer[name] for name in ("name", "slug", "units", "shape", "depth")}
    same = {name: layer[name] for name in ("same_units", "before_rectifier") if layer.get(name) is not None}
    return {**told, **same, "shares": shares, "data": address}


class _Pictures:
    """The synthetic pictures of a report, collected for common sheets."""

    def __init__(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        self._arrays = arrays
        self._places: dict[str, int] = {}
        self.tiles: list[NDArray[np.uint8]] = []

    def add(self, layer: str, unit: int) -> int | None:
        """Keep the picture of a unit and return its place; None where there is none."""
        name = f"pictures/{layer}/{unit}"
        if name not in self._arrays:
            return None
        if name not in self._places:
            self._places[name] = len(self.tiles)
            self.tiles.append(as_rgb(self._arrays[name]))
        return self._places[name]
