"""Receptive fields by arithmetic on the operations that really ran (Araujo, Norris and Sim, Distill 2019, section 3).

Every tensor that depends on the image carries two things through the forward: which of its axes are the rows and
columns of the image (its arrangement), and which window of the image one position of it sees. Convolution and pooling
widen the window, sums and concatenations take the smallest window that holds both, and whatever mixes all positions
(global pooling, attention over all tokens, a linear map of a flattened map) sees the whole image. After an operation
that is not known here nothing is claimed, nor after values became numbers of Python or NumPy (an `if` needs one too),
which may come back anywhere, nor after a part was called in another thread. Not seen, so that a window may be too
small, are functions that another thread runs outside of any part, and native code that takes values without asking the
tensor for them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

import torch
from torch import Tensor
from torch._ops import HigherOrderOperator
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakIdKeyDictionary

from layerscope.capture.fields.arrangement import COLUMN, ROW, Factor, nameless
from layerscope.capture.fields.field import Field, Span
from layerscope.capture.fields.field_rules import field_after
from layerscope.capture.fields.operation import Operation, Source
from layerscope.capture.forward import tensors_in


class _Exits(TorchFunctionMode):
    """Tells of the values that leave tensors without any operation."""

    _WAYS = ("numpy", "tolist", "__array__", "__dlpack__", "data_ptr")

    def __init__(self, left: Callable[..., None]) -> None:
        super().__init__()
        self._left = left

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if getattr(func, "__name__", "") in self._WAYS:
            self._left(args, memory=func is not Tensor.tolist)
        return func(*args, **(kwargs or {}))


class FieldTracker(TorchDispatchMode):
    """Within this mode each result of an operation on `images` [batch, channel, height, width] gets its Field."""

    supports_higher_order_operators = True  # torch.cond, flex_attention: let through

    def __init__(self, images: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch has no types there
        self.images = images
        self._exits = _Exits(self._left)
        # Once values that depend on the image are numbers of Python, any number that is used later, a factor or a
        # size, may depend on all of it, and no operation tells: from then on no window is claimed.
        self._escaped = False
        self._thread = threading.get_ident()
        self._time = 0
        self._fields: WeakIdKeyDictionary = WeakIdKeyDictionary()  # tensor -> (its field, when that was so)
        self._written: dict[int, tuple[int, Tensor]] = {}  # memory -> when it changed; kept alive, so it stays its own
        batch, channels, rows, columns = images.shape
        axes = (nameless(batch), nameless(channels), (Factor(ROW, rows),), (Factor(COLUMN, columns),))
        self._note(images, Field(axes, (Span(0, 0, 1), Span(0, 0, 1))))

    def __enter__(self) -> FieldTracker:
        self._exits.__enter__()  # type: ignore[no-untyped-call]
        try:
            super().__enter__()  # type: ignore[no-untyped-call]
        except BaseException:
            self._exits.__exit__(None, None, None)  # type: ignore[no-untyped-call]
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            super().__exit__(kind, error, trace)  # type: ignore[no-untyped-call]
        finally:
            self._exits.__exit__(kind, error, trace)  # type: ignore[no-untyped-call]

    def field(self, tensor: Tensor) -> Field | None:
        """The field of a tensor, or None where it does not depend on the image."""
        known, when = self._fields.get(tensor, (None, -1))
        field = known if isinstance(known, Field) else None
        if self._written and when < self._written.get(_memory(tensor), (-1, tensor))[0]:
            return field.lost(field.axes) if field else Field(None, None)
        return field

    def arrange(self, output: Tensor, inputs: Sequence[Tensor]) -> Field:
        """The field of the output of a module. An unknown arrangement is taken from an input of the same shape."""
        self._escaped = self._escaped or threading.get_ident() != self._thread  # modes see one thread only
        field = self.field(output) or Field(None, None)
        known = [self.field(tensor) for tensor in inputs if field.axes is None and tensor.shape == output.shape]
        axes = next((like.axes for like in known if like is not None and like.axes is not None), None)
        if axes is not None:
            field = field.lost(axes)
            self._note(output, field)
        return field

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        known = [(tensor, self.field(tensor)) for tensor in tensors_in((args, kwargs))]
        sources = [Source(tuple(tensor.shape), field) for tensor, field in known if field is not None]
        result = func(*args, **kwargs)
        if isinstance(func, HigherOrderOperator):
            for output in tensors_in(result) if sources else ():
                self._note(output, Field(None, None))
        elif sources:
            if _tells_values(func):
                self._left(_masks(args[1]) if func is torch.ops.aten.index.Tensor else args)
            self._follow(func, args, kwargs, sources, result)
        return result

    def _follow(
        self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], sources: list[Source], result: Any
    ) -> None:
        """Note the fields of the results of an operation."""
        operand = self._operand(args) if len(sources) == 1 else None
        for place, output in enumerate(tensors_in(result)):
            before = self.field(output)
            after = field_after(Operation(func, args, kwargs, sources, operand, output, place))
            after = after.lost(after.axes) if self._escaped else after
            self._time += 1
            self._note(output, after)
            if func._schema.is_mutable and before != after:
                # other views of this memory do not know what was written there, and they see it too
                self._written[_memory(output)] = (self._time, output)

    def _left(self, values: Any, memory: bool = False) -> None:
        """Values went where no operation is seen, or (memory) where something can be written back as well."""
        tracked = [tensor for tensor in tensors_in(values) if self.field(tensor) is not None]
        self._escaped = self._escaped or bool(tracked)
        self._time += 1
        if memory:
            self._written |= {_memory(tensor): (self._time, tensor) for tensor in tracked}

    def _operand(self, args: Sequence[Any]) -> int | None:
        """The place of the first argument that depends on the image."""
        places = (place for place, one in enumerate(args) if isinstance(one, Tensor) and self.field(one) is not None)
        return next(places, None)

    def _note(self, tensor: Tensor, field: Field) -> None:
        self._fields[tensor] = (field, self._time)


def _tells_values(func: Any) -> bool:
    """Whether a number of Python, or the shape of the result, depends on values of the arguments."""
    return torch.Tag.data_dependent_output in func.tags or torch.Tag.dynamic_output_shape in func.tags


def _masks(indices: Sequence[Tensor | None]) -> list[Tensor]:
    return [index for index in indices if index is not None and index.dtype in (torch.bool, torch.uint8)]


def _memory(tensor: Tensor) -> int:
    """What `tensor` and all views of it share. (Tensors without data, on the meta device, have no address.)"""
    return int(tensor.untyped_storage()._cdata)
