"""Masks in COCO-style JSON (cocodataset.org, "Data format"): the regions that annotations outline in each picture.

Polygons, run lengths as a list and run lengths in COCO's compressed text (`maskApi.c` of pycocotools) are read. Boxes
are no masks.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePath, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layerscope.errors import InputError

Places = NDArray[np.int64]
Lookup = Callable[[Places, Places], NDArray[np.bool_]]
"""Rows [m] and columns [n] of a picture's pixels -> bool [m, n], where a region is."""

_FIRST, _BITS = 48, 6  # characters of compressed run lengths begin at "0" and carry six bits each
_MOST = 10**6
"""Pixels along a side of a picture, and the largest coordinate."""
_ID = int | float | str
_FORMAT = "give COCO-style JSON with lists 'images', 'annotations' and 'categories'"


@dataclass(frozen=True, eq=False)
class Outlined:
    """What there is in one picture. size: (width, height) in pixels. regions: by name, some of the same name."""

    size: tuple[int, int]
    regions: Sequence[tuple[str, Lookup]]


class CocoMasks:
    """The annotations of one file. Those of a picture are checked when it is asked for.

    Raises InputError for a file that is missing, is no JSON, or lacks one of its lists.
    """

    kind = "coco"

    def __init__(self, path: Path) -> None:
        facts = _read(path)
        self._path = path
        self._images = {_text(one, "file_name", f"an image of {str(path)!r}"): one for one in facts["images"]}
        if len(self._images) < len(facts["images"]):
            raise InputError(f"{str(path)!r} lists an image twice, by the same file_name; give each once")
        self._by_name: dict[str, list[str]] = defaultdict(list)
        for name in self._images:
            self._by_name[PurePosixPath(name.replace("\\", "/")).name].append(name)
        self._names = {one.get("id"): _text(one, "name", f"a category of {str(path)!r}") for one in facts["categories"]}
        self._annotations: dict[Any, list[dict[str, Any]]] = defaultdict(list)
        for one in facts["annotations"]:
            self._annotations[one.get("image_id")].append(one)

    def source(self, picture: PurePath) -> str | None:
        """The `file_name` that means a picture, given as a path inside the folder of pictures; None where none does."""
        if picture.as_posix() in self._images:
            return picture.as_posix()
        alike = self._by_name[picture.name]
        return alike[0] if len(alike) == 1 else None

    def outlined(self, source: str) -> Outlined:
        """What the annotations of a picture outline. Raises InputError for those that cannot be read, or for none."""
        image, where = self._images[source], f"image {source!r} of {str(self._path)!r}"
        width, height = (_pixels(image, side, where) for side in ("width", "height"))
        found = self._annotations[image.get("id")]
        if not found:
            raise InputError(f"{where} has no annotation; outline something in it, or leave the picture out")
        return Outlined((width, height), [self._region(one, (width, height)) for one in found])

    def _region(self, annotation: Mapping[str, Any], size: tuple[int, int]) -> tuple[str, Lookup]:
        where = f"annotation {annotation.get('id')!r} of {str(self._path)!r}"
        category = annotation.get("category_id")
        name = self._names.get(category) if isinstance(category, _ID) else None
        if name is None:
            raise InputError(f"{where} is of category {category!r}, which is not among 'categories'; add it there")
        try:
            return name, _lookup(annotation.get("segmentation"), size)
        except InputError as error:
            raise InputError(f"{where} {error}") from None


def _read(path: Path) -> dict[str, list[dict[str, Any]]]:
    try:
        facts = json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(
            f"cannot read the masks {str(path)!r} ({(error.strerror or str(error)).lower()}); give COCO-style JSON, or "
            "a folder of PNG masks"
        ) from None
    except (ValueError, RecursionError) as error:  # also bytes that are no text
        raise InputError(f"{str(path)!r} is no JSON ({str(error)[:100]}); {_FORMAT}") from None
    for name in ("images", "annotations", "categories"):
        entries = facts.get(name) if isinstance(facts, dict) else None
        if not isinstance(entries, list) or not all(isinstance(one, dict) for one in entries):
            raise InputError(f"{str(path)!r} holds no list {name!r} of objects; {_FORMAT}")
        if not all(isinstance(one.get(key, 0), _ID) for one in entries for key in ("id", "image_id")):
            raise InputError(f"{str(path)!r} holds ids in {name!r} that are no numbers; {_FORMAT}")
    return dict(facts)


def _text(entry: Mapping[str, Any], name: str, where: str) -> str:
    if not isinstance(entry.get(name), str):
        raise InputError(f"{where} has {name}={str(entry.get(name))[:40]}, which is no text; {_FORMAT}")
    return str(entry[name])


def _pixels(entry: Mapping[str, Any], name: str, where: str) -> int:
    value = entry.get(name)
    if type(value) is not int or not 0 < value <= _MOST:
        raise InputError(f"{where} has {name}={str(value)[:40]}; give the picture's number of pixels")
    return value


# --- one region; errors stand behind "annotation 7 of 'file.json'"


def _lookup(segmentation: Any, size: tuple[int, int]) -> Lookup:
    if isinstance(segmentation, dict):
        return partial(_in_runs, ends=_ends(segmentation, size), height=size[1])
    if isinstance(segmentation, list) and segmentation:
        return partial(_in_polygons, polygons=[_polygon(one) for one in segmentation])
    raise InputError(f"has no outline (segmentation={str(segmentation)[:40]}); give polygons or run lengths, not a box")


def _polygon(numbers: Any) -> NDArray[np.float64]:
    """[points, 2]: x and y of its corners, in pixels from the upper left corner of the picture."""
    if not isinstance(numbers, list) or not all(map(_is_coordinate, numbers)):
        raise InputError("has a polygon that is no list of numbers; give [[x, y, x, y, x, y, ...], ...]")
    if len(numbers) % 2 or len(numbers) < 6:
        raise InputError(f"has a polygon of {len(numbers)} numbers; give an x and a y for each of three or more points")
    points = np.array(numbers, np.float64).reshape(-1, 2)
    if not np.ptp(points, axis=0).all():
        raise InputError("has a polygon without any area; give points that do not lie on one line")
    return points


def _is_coordinate(value: Any) -> bool:
    return isinstance(value, int | float) and abs(value) <= _MOST


def _in_polygons(rows: Places, columns: Places, *, polygons: Sequence[NDArray[np.float64]]) -> NDArray[np.bool_]:
    """Where the middle of a pixel lies in one of the polygons."""
    from matplotlib.path import Path as Outline

    x, y = np.meshgrid(columns + 0.5, rows + 0.5)
    middles = np.stack([x.ravel(), y.ravel()], axis=1)
    inside = [Outline(points).contains_points(middles) for points in polygons]
    return np.asarray(np.any(inside, axis=0).reshape(len(rows), len(columns)), np.bool_)


def _ends(segmentation: Mapping[str, Any], size: tuple[int, int]) -> Places:
    """Where each run ends, over the pixels column by column; the first run, which may be empty, is outside."""
    width, height = size
    if segmentation.get("size") != [height, width]:
        raise InputError(f"has run lengths for a size of {segmentation.get('size')}; give [{height}, {width}]")
    counts = segmentation.get("counts")
    lengths = _decompressed(counts) if isinstance(counts, str) else counts
    if not isinstance(lengths, list) or not all(type(one) is int and 0 <= one <= width * height for one in lengths):
        raise InputError("has run lengths that are no whole numbers of pixels; give a list, or COCO's compressed text")
    if sum(lengths) != width * height:
        raise InputError(f"has run lengths for {sum(lengths)} pixels; the picture has {width} x {height}")
    if not any(lengths[1::2]):
        raise InputError("is empty: its run lengths outline no pixel; leave it out")
    return np.cumsum(lengths, dtype=np.int64)


def _in_runs(rows: Places, columns: Places, *, ends: Places, height: int) -> NDArray[np.bool_]:
    runs = np.searchsorted(ends, rows[:, None] + columns[None, :] * height, side="right")
    return np.asarray(runs % 2 == 1)


def _decompressed(text: str) -> list[int]:
    """Run lengths from COCO's text: five bits a character, the lowest first, from the fourth on less the last but one.

    The sixth bit says that a number goes on, the fifth of its last character that it is negative.
    """
    lengths: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - _FIRST
        if not 0 <= bits < 2**_BITS:
            raise InputError(f"has compressed run lengths with the character {character!r}; write them anew")
        value |= (bits & 0x1F) << shift
        shift += 5
        if bits & 0x20:
            continue
        value -= (bits & 0x10) << (shift - 4)
        lengths.append(value + lengths[-2] if len(lengths) > 2 else value)
        value = shift = 0
    if shift:
        raise InputError("has compressed run lengths that break off; write them anew")
    return lengths
