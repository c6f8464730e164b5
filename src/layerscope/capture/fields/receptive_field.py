"""Receptive fields by arithmetic on the operations that really ran (Araujo, Norris and Sim, Distill 2019, section 3).

Every tensor that depends on the image carries two things through the forward: which of its axes are the rows and
columns of the image (its arrangement), and which window of the image one position of it sees. Convolution and pooling
widen the window, sums and concatenations take the smallest window that holds both, and whatever mixes all positions
(global pooling, attention, a flattened map) sees the whole image. After an operation that is not known here nothing is
claimed: no window is ever claimed that could be too small.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakIdKeyDictionary

from layerscope.capture.fields.arrangement import COLUMN, ROW, Factor, nameless
from layerscope.capture.fields.field import Field, Span
from layerscope.capture.fields.field_rules import field_after
from layerscope.capture.fields.operation import Operation, Source
from layerscope.capture.forward import tensors_in


class FieldTracker(TorchDispatchMode):
    """Within this mode each result of an operation on `images` [batch, channel, height, width] gets its Field."""

    def __init__(self, images: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch has no types there
        self.images = images
        self._time = 0
        self._fields: WeakIdKeyDictionary = WeakIdKeyDictionary()  # tensor -> (its field, when that was so)
        self._written: dict[int, tuple[int, Tensor]] = {}  # memory -> when it changed; kept alive, so it stays its own
        batch, channels, rows, columns = images.shape
        axes = (nameless(batch), nameless(channels), (Factor(ROW, rows),), (Factor(COLUMN, columns),))
        self._note(images, Field(axes, (Span(0, 0, 1), Span(0, 0, 1))))

    def field(self, tensor: Tensor) -> Field | None:
        """The field of a tensor, or None where it does not depend on the image."""
        known, when = self._fields.get(tensor, (None, -1))
        field = known if isinstance(known, Field) else None
        if self._written and when < self._written.get(_memory(tensor), (-1, tensor))[0]:
            return Field(field.axes, None, field.whole) if field else Field(None, None)
        return field

    def arrange(self, output: Tensor, inputs: Sequence[Tensor]) -> Field:
        """The field of the output of a module. An unknown arrangement is taken from an input of the same shape."""
        field = self.field(output) or Field(None, None)
        known = [self.field(tensor) for tensor in inputs if field.axes is None and tensor.shape == output.shape]
        axes = next((like.axes for like in known if like is not None and like.axes is not None), None)
        if axes is not None:
            field = Field(axes, None, field.whole)
            self._note(output, field)
        return field

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        known = [(tensor, self.field(tensor)) for tensor in tensors_in((args, kwargs))]
        sources = [Source(tuple(tensor.shape), field) for tensor, field in known if field is not None]
        result = func(*args, **kwargs)
        if sources:
            operand = self._operand(args) if len(sources) == 1 else None
            for place, output in enumerate(tensors_in(result)):
                before = self.field(output)
                after = field_after(Operation(func, args, kwargs, sources, operand, output, place))
                self._time += 1
                self._note(output, after)
                if func._schema.is_mutable and before != after:
                    # other views of this memory do not know what was written there, and they see it too
                    self._written[_memory(output)] = (self._time, output)
        return result

    def _operand(self, args: Sequence[Any]) -> int | None:
        """The place of the first argument that depends on the image."""
        places = (place for place, one in enumerate(args) if isinstance(one, Tensor) and self.field(one) is not None)
        return next(places, None)

    def _note(self, tensor: Tensor, field: Field) -> None:
        self._fields[tensor] = (field, self._time)


def _memory(tensor: Tensor) -> int:
    """What `tensor` and all views of it share. (Tensors without data, on the meta device, have no address.)"""
    return int(tensor.untyped_storage()._cdata)
