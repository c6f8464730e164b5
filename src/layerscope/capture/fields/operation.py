"""One operation of a forward pass, as the rules for receptive fields see it."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from layerscope.capture.fields.arrangement import Axes
from layerscope.capture.fields.field import Field


@dataclass(frozen=True)
class Source:
    shape: tuple[int, ...]
    field: Field


@dataclass(frozen=True)
class Operation:
    """One operation that ran: its sources that depend on the image, and one of its outputs (number `place`).

    operand: the place among the arguments of the only source, or None where several arguments depend on the image, or
        a list of them does. Weights, for one, rarely do.
    """

    func: Any
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    sources: list[Source]
    operand: int | None
    output: Tensor
    place: int

    def get(self, name: str) -> Any:
        """The value of an argument, or its default; None where there is no such argument."""
        place, default = _arguments(self.func).get(name, (-1, None))
        if 0 <= place < len(self.args):
            return self.args[place]
        return self.kwargs.get(name, default)

    @property
    def name(self) -> str:
        return str(self.func.overloadpacket.__name__)

    @property
    def source(self) -> Field:
        return self.sources[0].field

    @property
    def shape(self) -> tuple[int, ...]:
        return self.sources[0].shape

    @property
    def alike(self) -> Axes | None:
        """The arrangement of a source of the shape of the output, if there is one."""
        same = (source.field.axes for source in self.sources if source.shape == self.output_shape)
        return next((axes for axes in same if axes is not None), None)

    @property
    def mixed(self) -> frozenset[str]:
        """What is mixed in the source that saw most."""
        return max((source.field.mixed for source in self.sources), key=len)

    @property
    def output_shape(self) -> tuple[int, ...]:
        return tuple(self.output.shape)


@functools.cache
def _arguments(func: Any) -> dict[str, tuple[int, Any]]:
    """Place and default of each argument by name."""
    return {one.name: (place, one.default_value) for place, one in enumerate(func._schema.arguments)}
