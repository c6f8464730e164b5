"""Receptive fields by arithmetic on the operations that really ran (Araujo, Norris and Sim, Distill 2019, section 3).

Every tensor that depends on the image carries two things through the forward: which of its axes are the rows and
columns of the image (its arrangement), and which window of the image one position of it sees. Convolution and pooling
widen the window, sums and concatenations take the smallest window that holds both, and whatever mixes all positions
(global pooling, attention, a flattened map) sees the whole image. An operation that is not known here counts as one
of those: no window is ever claimed that could be too small.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakIdKeyDictionary

from layerscope.capture.field import COLUMN, ROW, Field, Span
from layerscope.capture.field_rules import Operation, Source, field_after
from layerscope.capture.forward import storage_of, tensors_in


class FieldTracker(TorchDispatchMode):
    """Within this mode each result of an operation on `images` [batch, channel, height, width] gets its Field."""

    def __init__(self, images: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch has no types there
        self._fields: WeakIdKeyDictionary = WeakIdKeyDictionary()
        batch, channels, rows, columns = images.shape
        axes = ((("", batch),), (("", channels),), ((ROW, rows),), ((COLUMN, columns),))
        self._fields[images] = Field(axes, (Span(0, 0, 1), Span(0, 0, 1)))
        self._mixed: dict[int, Tensor] = {}  # memory that was written in part; kept alive, so addresses stay its own

    def field(self, tensor: Tensor) -> Field | None:
        """The field of a tensor, or None where it does not depend on the image."""
        known = self._fields.get(tensor)
        known = known if isinstance(known, Field) else None
        if self._mixed and storage_of(tensor) in self._mixed:
            return Field(known.axes if known else None, None)
        return known

    def arrange(self, output: Tensor, inputs: Sequence[Tensor]) -> Field:
        """The field of the output of a module. An unknown arrangement is taken from an input of the same shape."""
        field = self.field(output) or Field(None, None)
        known = [self.field(tensor) for tensor in inputs if field.axes is None and tensor.shape == output.shape]
        axes = next((like.axes for like in known if like is not None and like.axes is not None), None)
        if axes is not None:
            field = Field(axes, None)
            self._fields[output] = field
        return field

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        known = [(tensor, self.field(tensor)) for tensor in tensors_in((args, kwargs or {}))]
        sources = [Source(tuple(tensor.shape), field) for tensor, field in known if field is not None]
        result = func(*args, **(kwargs or {}))
        if sources:
            operand = 1 if func.overloadpacket.__name__ == "addmm" else 0
            alone = len(sources) == 1 and isinstance(args[operand], Tensor) and self.field(args[operand]) is not None
            for place, output in enumerate(tensors_in(result)):
                before = self.field(output)
                self._fields[output] = after = field_after(Operation(func, args, sources, alone, output, place))
                self._note_partial_write(func, output, before, after)
        return result

    def _note_partial_write(self, func: Any, output: Tensor, before: Field | None, after: Field) -> None:
        """Where a part of a memory now sees something else, no window is known for the rest of it either."""
        partial = output.numel() * output.element_size() < output.untyped_storage().nbytes()
        if func._schema.is_mutable and partial and (before is None or before.window != after.window):
            self._mixed[storage_of(output)] = output
