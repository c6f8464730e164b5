"""One call of a function of torch: what it is called, what it is given, and the same function of other values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from layerscope.capture.functions import function_name
from layerscope.capture.sites import leaves, with_leaves

TO_NUMBERS = "to numbers"
"""The name of all functions whose results are numbers rather than tensors: item, tolist, bool, float .."""

_NAMES = {
    "__rtruediv__": "rdiv", "__rdiv__": "rdiv", "__rpow__": "rpow", "true_divide": "div",
    "linalg_vector_norm": "vector_norm", "special_expit": "expit",
    **dict.fromkeys(
        (
            "item", "tolist", "numpy", "__array__", "__bool__", "__float__", "__int__", "__index__", "__complex__",
            "__contains__", "equal", "allclose", "is_nonzero",
        ),
        TO_NUMBERS,
    ),
}  # fmt: skip


class Call:
    """One call of a function of torch. `given` says what the function gets for a tensor.

    Attributes:
        tensors: all among the arguments, in their order, as the function gets them.
        name: as in sites ("add" for +=, add_ and torch.add) where that says which function it is; "" for attributes.
        data: the tensors among the arguments that require gradients, each time that they occur.
        attribute: whose value it gives or, if `sets_attribute`, changes: "shape", "data".
        target: what the function overwrites, None for others. The call itself runs it out of place.
    """

    def __init__(
        self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], given: Callable[[Tensor], Tensor]
    ) -> None:
        if not args and "input" in kwargs:
            args, kwargs = (kwargs["input"],), {key: value for key, value in kwargs.items() if key != "input"}
        self.tensors: list[Tensor] = []

        def noted(tensor: Tensor) -> Tensor:
            self.tensors.append(given(tensor))
            return self.tensors[-1]

        self.func, self.args, self.kwargs = func, _map(args, noted), _map(kwargs, noted)
        bare = str(getattr(func, "__name__", ""))
        self.name = _NAMES.get(bare) or function_name(func)
        self.attribute = "" if self.name else str(getattr(getattr(func, "__self__", None), "__name__", ""))
        self.sets_attribute = bare == "__set__"
        self.data = [tensor for tensor in self.tensors if tensor.requires_grad]
        overwrites = bool(self.args) and isinstance(self.args[0], Tensor) and _overwrites(bare, self.kwargs)
        self.target: Tensor | None = self.args[0] if overwrites else None

    def run(self) -> Any:
        """What the function gives, out of place."""
        return self.of(*self.data)

    def of(self, *values: Tensor) -> Any:
        """The function with `values` in the places of its data, out of place: the target is copied."""
        given = iter(values)
        args = _map(self.args, lambda tensor: next(given) if tensor.requires_grad else tensor)
        kwargs = _map(self.kwargs, lambda tensor: next(given) if tensor.requires_grad else tensor)
        if self.target is None:
            result = self.func(*args, **kwargs)
            return _Plainly.apply(result) if self.name == "batch_norm" else result
        copy = args[0].clone()
        self.func(copy, *args[1:], **kwargs)
        return copy


class _Plainly(torch.autograd.Function):
    """Hands down a gradient that lies in memory in the order of what it is the gradient of.

    On the CPU, torch 2.14 computes a wrong gradient of batch_norm for a single image whose map is turned into tokens.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        last = x.ndim == 4 and not x.is_contiguous() and x.is_contiguous(memory_format=torch.channels_last)
        ctx.order = torch.channels_last if last else torch.contiguous_format
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (gradient,) = gradients
        return gradient.contiguous(memory_format=ctx.order) if len(gradient) == 1 else gradient


def _overwrites(bare: str, kwargs: dict[str, Any]) -> bool:
    """Whether the function of this name overwrites its first argument."""
    if bare.startswith("__"):
        return bare == "__setitem__" or (bare.startswith("__i") and hasattr(Tensor, f"__{bare[3:]}"))  # __iadd__
    return bare.endswith("_") or bool(kwargs.get("inplace"))


def _map(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Tensors in nested tuples, lists and dicts changed, in their order."""
    kind = type(value)
    if kind in _WITHOUT_TENSORS:
        return value
    if kind is tuple or kind is list:  # asked before what is a tensor, which takes long to say
        return kind([_map(part, change) for part in value])
    if kind is dict:
        return {key: _map(part, change) for key, part in value.items()}
    if kind is Tensor or isinstance(value, Tensor):
        return change(value)
    if kind is slice:
        return slice(*(_map(part, change) for part in (value.start, value.stop, value.step)))
    return with_leaves(value, dict.fromkeys((path for path, _ in leaves(value)), change))


_WITHOUT_TENSORS = frozenset({int, float, bool, str, type(None), type(...), torch.Size, torch.dtype, torch.device})
