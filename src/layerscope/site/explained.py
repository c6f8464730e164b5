"""The data and the pictures of one explanation, as its page reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layerscope.errors import InputError
from layerscope.figures.pictures import as_rgb
from layerscope.records import Record
from layerscope.site import maps, reproduce
from layerscope.site.assets import write_data, write_pictures
from layerscope.site.explanations import ShownExplanation
from layerscope.site.files import SiteFolder
from layerscope.site.links import Mattered
from layerscope.site.searching import Searchable
from layerscope.site.summary import number

_TILE_SIDE = 160  # pixels: of a unit's picture, and of the image that shows where it fired
_SCENE_SIDE = 256  # pixels: of a scene without one of its parts

_LATER = ("story", "causes", "flip", "methods")  # facts that are given with the places of their pictures


def write_explanation(
    files: SiteFolder, explanation: ShownExplanation, found: Searchable, mattered: Mattered
) -> dict[str, Any] | None:
    """Write the files of one explanation, add it to what is searched and linked, and return its entry in the index.

    None where its record is missing.

    Raises InputError where the record does not hold what an explanation holds.
    """
    record = explanation.record()
    if record is None:
        return None
    try:
        data = _data(files, f"images/{explanation.slug}", explanation, record)
        entry = _entry(explanation, data)
        found.add_image(data["methods"])
        mattered.add(explanation.slug, record.facts["story"])
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as cause:
        what = f"{type(cause).__name__}: {str(cause)[:200]}"
        raise InputError(
            f"the record of {explanation.path} does not describe an explanation ({what}); explain the image again"
        ) from None
    # A colon is in no slug, so that no layer's data can have this name.
    address = write_data(files, f"images/{explanation.slug}/data.js", f"image:{explanation.slug}", data)
    return {**entry, "data": address}


def best(methods: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Return the map that stands for an explanation: of the first question, not empty, and to be trusted most.

    That is the one that ranks the parts of a scene best where their true effects are known, and else the one with the
    fewest poor and the most good marks.
    """
    shown = [method for method in methods if method["url"] and not method["empty"]]
    first = [method for method in shown if method["question"] == shown[0]["question"]]

    def trust(method: Mapping[str, Any]) -> tuple[float, int, int]:
        rank = method.get("part_rank")
        marks = [verdict["mark"] for verdict in method["verdicts"]]
        return -1.0 if rank is None else rank, -marks.count("poor"), marks.count("good")

    return max(first, key=trust, default=None)


def _data(files: SiteFolder, stem: str, explanation: ShownExplanation, record: Record) -> dict[str, Any]:
    facts, arrays = record.facts, record.arrays
    drawn = (place for place, method in enumerate(facts["methods"]) if method["error"] is None)
    files.expect([f"{stem}/image.webp", *(f"{stem}/map.{place}.webp" for place in drawn)])
    image = as_rgb(arrays["image"])
    scenes = _Tiles(files, f"{stem}/scenes", _SCENE_SIDE)
    header = {name: explanation.facts.get(name) for name in ("layerscope", "command", "network", "key")}
    return {
        **rounded({name: value for name, value in facts.items() if name not in _LATER}),
        **header,
        "title": explanation.title,
        "image": {**facts["image"], **_picture(files, stem, image)},
        "python": reproduce.of_explanation(explanation.facts, facts, explanation.home),
        "methods": [
            {
                **_method(files, stem, place, method, arrays),
                "python": reproduce.of_map(explanation.facts, facts, method),
            }
            for place, method in enumerate(facts["methods"])
        ],
        "story": _story(files, stem, facts["story"], arrays, image),
        "causes": _causes(scenes, facts["causes"], arrays),
        "flip": _flip(scenes, facts["flip"], arrays),
        "scenes": scenes.write(),
    }


def _entry(explanation: ShownExplanation, data: Mapping[str, Any]) -> dict[str, Any]:
    """What cards show before the data are loaded."""
    top, map_, versus = next(iter(data["labels"]), None), best(data["methods"]), data["versus"]
    return {
        "title": explanation.title,
        "slug": explanation.slug,
        "network": explanation.network,
        "fingerprint": explanation.facts["network"].get("fingerprint"),
        "label": top and top["class"],
        "probability": top and top["probability"],
        "asked": data["target"]["label"],
        "score": data["target"]["score"],
        "truth": data["truth"],
        "unlike": data["familiar"]["unlike"],
        "versus": versus and {name: versus[name] for name in ("label", "margin")},
        "image": {name: data["image"][name] for name in ("url", "width", "height")},
        "methods": _asked_first(data["methods"]),
        "map": map_ and {"url": map_["url"], "title": map_["title"], "method": map_["method"]},
    }


def _asked_first(methods: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Question and method of each map that answers the first question."""
    shown = [[method["question"], method["method"]] for method in methods if method["error"] is None]
    return [one for one in shown if one[0] == shown[0][0]]


def rounded(value: Any) -> Any:
    """Return JSON with every fraction to five significant digits."""
    if isinstance(value, dict):
        return {name: rounded(one) for name, one in value.items()}
    if isinstance(value, list):
        return [rounded(one) for one in value]
    return number(value) if isinstance(value, float) else value


class _Tiles:
    """Pictures that are collected and then written to common sheets."""

    def __init__(self, files: SiteFolder, stem: str, largest: int) -> None:
        self._files, self._stem, self._largest = files, stem, largest
        self._tiles: list[NDArray[np.uint8]] = []

    def add(self, picture: NDArray[np.uint8]) -> int:
        """Keep a picture `[height, width, channels]` and return its place."""
        self._tiles.append(as_rgb(picture))
        return len(self._tiles) - 1

    def find(self, arrays: Mapping[str, NDArray[Any]], name: str | None) -> int | None:
        """Keep the picture of that name and return its place; None where there is none."""
        return None if name is None else self.add(arrays[name])

    def write(self) -> dict[str, Any] | None:
        """Write the sheets and return where the pictures lie; None where there are none."""
        return write_pictures(self._files, self._stem, self._tiles, self._largest)


def _picture(files: SiteFolder, stem: str, image: NDArray[np.uint8]) -> dict[str, Any]:
    height, width = image.shape[:2]
    return {"url": files.add(f"{stem}/image.webp", maps.picture(image)), "width": width, "height": height}


def _method(
    files: SiteFolder, stem: str, place: int, method: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
) -> dict[str, Any]:
    shown = {**rounded(method), "url": None, "empty": False}
    if method["error"] is None:
        values, scale = arrays[method["map"]], method["scale"] or 0.0
        shown["empty"] = not np.any(np.nan_to_num(values)) or not scale > 0
        shown["url"] = files.add(f"{stem}/map.{place}.webp", maps.overlay(values, scale))
    return shown


def _story(
    files: SiteFolder,
    stem: str,
    story: Mapping[str, Any] | None,
    arrays: Mapping[str, NDArray[Any]],
    image: NDArray[np.uint8],
) -> dict[str, Any] | None:
    if story is None:
        return None
    fired, units = _Tiles(files, f"{stem}/fired", _TILE_SIDE), _Tiles(files, f"{stem}/units", _TILE_SIDE)
    layers = []
    for layer in story["layers"]:
        shown = []
        for unit in layer["shown"]:
            where = arrays[unit["fired"]]
            tiles = {
                "fired": fired.add(maps.fired_over(image, where, _TILE_SIDE)),
                "picture": units.find(arrays, unit["picture"]),
            }
            shown.append({**rounded(unit), **tiles, "positions": list(where.shape)})
        layers.append({**rounded(layer), "shown": shown})
    return {"words": story["words"], "layers": layers, "fired": fired.write(), "units": units.write()}


def _causes(
    scenes: _Tiles, causes: Mapping[str, Any] | None, arrays: Mapping[str, NDArray[Any]]
) -> dict[str, Any] | None:
    if causes is None:
        return None
    parts = [{**rounded(part), "picture": scenes.find(arrays, part["picture"])} for part in causes["parts"]]
    return {**rounded(causes), "parts": parts}


def _flip(scenes: _Tiles, flip: Mapping[str, Any] | None, arrays: Mapping[str, NDArray[Any]]) -> dict[str, Any] | None:
    return None if flip is None else {**rounded(flip), "picture": scenes.find(arrays, flip["picture"])}
