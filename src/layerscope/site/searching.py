"""What can be searched, as one data file of columns that is loaded when somebody searches.

Networks, layers, images and reports are in the site's index already; this file adds what only their own files tell:
the numbers of all units, what the units of hierarchy reports code, and the methods that explained the images. Its
lists are in the order of those of the index, so that a place is enough to say whose they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from layerscope.site.assets import write_data
from layerscope.site.files import SiteFolder
from layerscope.site.summary import number

_MARKS = {"converged": "c", "weak": "w", "dead": "d"}  # of a unit's status; any other is "o"
_LONGEST = 160  # characters of a name that can be searched
_UNKNOWN = "unknown"
_STEP = 15  # degrees: orientations and hues are found by the nearest multiple
Columns = Mapping[str, Sequence[Any]]


class Searchable:
    """Collects what can be searched while the site is written; `write` writes `site/search.js`."""

    def __init__(self) -> None:
        self._galleries: list[list[dict[str, Any]]] = []
        self._reports: list[list[dict[str, Any]]] = []
        self._concepts: dict[tuple[str, str], int] = {}
        self._methods: dict[str, dict[str, Any]] = {}
        self._images = 0

    def add_gallery(self, layers: Sequence[Sequence[Mapping[str, Any]]]) -> None:
        """Add the units of a gallery, layer by layer, as `summary.of_unit` describes them."""
        self._galleries.append([_units(units) for units in layers])

    def add_report(self, columns: Columns, layers: Sequence[Sequence[int]]) -> None:
        """Add the units of a hierarchy report: its table of units by column, and the rows of each layer in it."""
        self._reports.append([self._coded(columns, rows) for rows in layers])

    def add_image(self, methods: Sequence[Mapping[str, Any]]) -> None:
        """Add the methods that explained an image, with the marks of their checks."""
        for method in methods:
            if method["error"] is None:
                told = {"title": method["title"], "image": self._images, "question": method["question"], "images": 0}
                entry = self._methods.setdefault(method["method"], {**told, "good": 0, "checks": 0})
                marks = [verdict["mark"] for verdict in method["verdicts"]]
                entry["images"] += method["question"] == entry["question"]
                entry["good"] += marks.count("good")
                entry["checks"] += marks.count("good") + marks.count("poor")
        self._images += 1

    def write(self, files: SiteFolder) -> str:
        """Write `site/search.js` and return its address."""
        data = {
            "galleries": self._galleries,
            "reports": self._reports,
            "concepts": list(self._concepts),
            "methods": [{"method": name, **facts} for name, facts in self._methods.items()],
        }
        return write_data(files, "search.js", "search", data)

    def _coded(self, columns: Columns, rows: Sequence[int]) -> dict[str, Any]:
        """By unit the place of its concept, None where it codes nothing, and its confidence in thousandths."""
        empty: Sequence[Any] = [None] * len(columns["label"])
        confidence = columns.get("confidence", empty)
        return {
            "concepts": [self._place(concept(columns, row)) for row in rows],
            "confidence": [_scaled(confidence[row], 3) for row in rows],
        }

    def _place(self, found: tuple[str, str] | None) -> int | None:
        return None if found is None else self._concepts.setdefault(found, len(self._concepts))


def concept(columns: Columns, row: int) -> tuple[str, str] | None:
    """What one unit of a report codes: its label, and what of that, such as ("texture", "stripes").

    Angles are rounded to 15 degrees; "unknown" where the table does not say what. None where it codes nothing.
    """

    def told(name: str) -> Any:
        return columns[name][row] if name in columns else None

    label = told("label")
    names = {"texture": "texture", "part": "part_concept", "object": "class"}
    if label in names:
        found = told(names[label])
        return str(label), _UNKNOWN if found is None else str(found)[:_LONGEST]
    if label not in ("edge", "colour-edge", "colour"):
        return None
    bars = _angle("orientation", told("orientation"), 180) if label != "colour" else None
    hue = _angle("hue", told("hue"), 360) if label != "edge" else None
    words = ", ".join(word for word in (bars, hue) if word)
    return str(label), words or _UNKNOWN


def _angle(name: str, degrees: Any, turn: int) -> str | None:
    value = number(degrees)
    return None if value is None else f"{name} {round(value / _STEP) * _STEP % turn}°"


def _units(units: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Ratios in hundredths, a letter for each status; scores where a ratio is missing, labels where there are some."""
    ratios = [_scaled(unit["ratio"], 2) for unit in units]
    columns = {"ratio": ratios, "status": "".join(_MARKS.get(unit["status"], "o") for unit in units)}
    if None in ratios:
        columns["score"] = [unit["score"] if unit["ratio"] is None else None for unit in units]
    if any(unit["label"] for unit in units):
        columns["label"] = [unit["label"] and str(unit["label"])[:_LONGEST] for unit in units]
    return columns


def _scaled(value: Any, digits: int) -> int | None:
    """As a whole number of its last digit; rounded as pages round it, so that both show the same."""
    found = number(value)
    return None if found is None else round(round(found, digits) * 10**digits)
