"""A unit: one channel of one layer, or one position of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import total_ordering

from layerscope.errors import InputError

_FORM = re.compile(r"(?P<layer>[^:@\s]*):(?P<index>\d+)(@(?P<row>\d+),(?P<column>\d+))?")


@total_ordering
@dataclass(frozen=True)
class Unit:
    """Channel `index` of `layer`, over all positions or at one `position` (row, column) of the activation map.

    `layer` is a name as `list_layers` gives it: "layer4.1.conv2", or "layer4.1.relu#1" for the second call of a
    module that is called several times. "" is the output of the network. All indices count from 0. Units sort by
    layer, then index, then position (a whole channel before its positions).
    Raises InputError for a negative index or position.
    """

    layer: str
    index: int
    position: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.index < 0 or min(self.position or (0,)) < 0:
            raise InputError(f"unit {str(self)!r} has a negative index; channels, rows and columns count from 0")

    @classmethod
    def parse(cls, text: str) -> Unit:
        """Read "layer:channel" or "layer:channel@row,column"; `str(unit)` writes it. Raises InputError."""
        found = _FORM.fullmatch(text.strip())
        if found is None:
            raise InputError(
                f"{text!r} is no unit; write layer:channel or layer:channel@row,column, as in 'layer4.1.conv2:37'"
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
