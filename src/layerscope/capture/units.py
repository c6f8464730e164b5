"""A unit: one channel of one layer, or one position of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import total_ordering

from layerscope.errors import InputError
from layerscope.given import shown, whole_number

_FORM = re.compile(r"(?P<layer>[^:@\s]*):(?P<index>\d+)(@(?P<row>\d+),(?P<column>\d+))?")


@total_ordering
@dataclass(frozen=True)
class Unit:
    """Channel `index` of `layer`, over all positions or at one `position` (row, column) of the activation map.

    `layer` is a name as `list_layers` gives it: "layer4.1.conv2", or "layer4.1.relu#1" for the second call of a
    module that is called several times. "" is the output of the network. All indices count from 0. Units sort by
    layer, then index, then position (a whole channel before its positions).
    Raises InputError for what is no layer's name, index or position, and for negative ones.
    """

    layer: str
    index: int
    position: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.layer, str):
            raise InputError(f"{shown(self.layer)} is no name of a unit's layer; give a text, as in 'layer4.1.conv2'")
        object.__setattr__(self, "index", whole_number("unit index", self.index, 0))
        if self.position is not None:
            object.__setattr__(self, "position", self._checked(self.position))

    def _checked(self, position: object) -> tuple[int, ...]:
        if not isinstance(position, (tuple, list)) or len(position) != 2:
            raise InputError(f"{shown(position)} is no position of a unit; give (row, column), or None for all of them")
        return tuple(whole_number("unit position", one, 0) for one in position)

    @classmethod
    def parse(cls, text: str) -> Unit:
        """Read "layer:channel" or "layer:channel@row,column"; `str(unit)` writes it. Raises InputError."""
        found = _FORM.fullmatch(text.strip()) if isinstance(text, str) else None
        if found is None:
            raise InputError(
                f"{shown(text, 200)} is no unit; write layer:channel or layer:channel@row,column, as in "
                "'layer4.1.conv2:37'"
            )
        position = None if found["row"] is None else (int(found["row"]), int(found["column"]))
        return cls(found["layer"], int(found["index"]), position)

    def __str__(self) -> str:
        place = "" if self.position is None else f"@{self.position[0]},{self.position[1]}"
        return f"{self.layer}:{self.index}{place}"

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, Unit):
            return NotImplemented
        return self._order() < other._order()

    def _order(self) -> tuple[str, int, tuple[int, ...]]:
        return self.layer, self.index, self.position or ()
