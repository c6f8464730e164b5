"""The same forward with nothing overwritten: in-place operations turned into those that make a new tensor."""

from __future__ import annotations

import copy
import dis
import functools
import sys
from collections.abc import Callable, Sequence
from types import CodeType, FrameType
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

_NOT_ARITHMETIC = {"requires_grad", "detach", "copy", "set", "resize", "resize_as", "retain_grad", "share_memory"}


def out_of_place(module: nn.Module) -> nn.Module:
    """A copy whose parts do not work in place, on the same parameters and buffers."""
    shared = {id(tensor): tensor for tensor in (*module.parameters(), *module.buffers())}
    twin = copy.deepcopy(module, shared)
    for part in twin.modules():
        if getattr(part, "inplace", False) is True:
            vars(part)["inplace"] = False
    return twin


class OutOfPlace(TorchFunctionMode):
    """Turns `x.add_(y)`, `x += y`, `F.relu(x, inplace=True)` into `x.add(y)` .. wherever the result is used.

    A statement whose result nobody takes (`x.add_(y)` alone), an assignment to a part (`x[:, 0] = y`), `out=` and
    `copy_` stay as they are: there the effect is the purpose. The caller sees them in the versions of the tensors.
    Where another name or view of `x` is read after `x += y`, the result differs from that in place.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if kwargs.get("inplace") is True:
            kwargs["inplace"] = False
            return func(*args, **kwargs)
        other = _counterpart(getattr(func, "__name__", ""))
        if other is None or not args or not isinstance(args[0], Tensor) or not _result_is_used(sys._getframe(1)):
            return func(*args, **kwargs)
        result = other(*args, **kwargs)
        return result.to(args[0].dtype) if isinstance(result, Tensor) else result  # in place, the dtype is kept


@functools.cache
def _counterpart(name: str) -> Callable[..., Any] | None:
    """The function that does the same into a new tensor: `add` for `add_` and `__iadd__`."""
    if name.startswith("__i") and name.endswith("__") and hasattr(Tensor, f"__{name[3:]}"):
        return getattr(Tensor, f"__{name[3:]}", None) if name not in ("__init__", "__int__", "__index__") else None
    if not name.endswith("_") or name.endswith("__") or name[:-1] in _NOT_ARITHMETIC:
        return None
    places = (Tensor, torch, nn.functional)
    return next((getattr(place, name[:-1]) for place in places if callable(getattr(place, name[:-1], None))), None)


def _result_is_used(frame: FrameType | None) -> bool:
    """Whether the caller outside of torch's own functions takes the result, as its bytecode says."""
    while frame is not None and frame.f_globals.get("__name__") in ("torch.nn.functional", "torch.overrides"):
        frame = frame.f_back
    return frame is None or _instruction_after(frame.f_code, frame.f_lasti) != "POP_TOP"


@functools.cache
def _instruction_after(code: CodeType, place: int) -> str:
    return next((step.opname for step in dis.get_instructions(code) if step.offset > place), "")
