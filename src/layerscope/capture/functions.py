"""Functions that run between modules, such as `+`, `F.relu` and `torch.flatten`: what they are called and where."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable
from types import TracebackType
from typing import Any

from torch import nn
from torch.overrides import TorchFunctionMode

from layerscope.capture.sites import leaves

_OPERATORS = (
    "add",
    "sub",
    "mul",
    "truediv",
    "floordiv",
    "mod",
    "pow",
    "matmul",
    "and",
    "or",
    "xor",
    "lshift",
    "rshift",
)
_BOTH_SIDES = {f"{side}{operator}": operator for side in "ir" for operator in _OPERATORS}
_SAME = {"truediv": "div", "true_divide": "div", "multiply": "mul", "subtract": "sub", "divide": "div"}

Show = Callable[[str, object, object], object]
"""Called with the name of a site, the result and the arguments of a function; gives the result to go on with."""


class FunctionSites(TorchFunctionMode):
    """Within this mode, results of the functions that the parts of `module` call are shown under "part/function".

    Only the thread that entered the mode is concerned. A function that is made of others is one function. Nothing is
    shown unless `shows()`, nor are attributes of tensors and what gives no tensor.
    """

    def __init__(self, module: nn.Module, show: Show, shows: Callable[[], bool]) -> None:
        super().__init__()
        self._show, self._shows = show, shows
        self._names: defaultdict[nn.Module, list[str]] = defaultdict(list)
        for name, part in module.named_modules(remove_duplicate=False):
            self._names[part].append(name)
        self._running: list[nn.Module] = []
        self._thread = threading.get_ident()

    def __enter__(self) -> FunctionSites:
        try:
            for part in self._names:
                part.register_forward_pre_hook(self._begin, prepend=True)
                part.register_forward_hook(self._end, always_call=True)
            super().__enter__()  # type: ignore[no-untyped-call]
        except BaseException:
            self._take_back()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            super().__exit__(kind, error, trace)  # type: ignore[no-untyped-call]
        finally:
            try:
                self._take_back()
            except BaseException:  # Ctrl-C
                self._take_back()
                raise

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = [tensor for _, tensor in leaves((args, kwargs or {})) if not tensor.is_inference()]
        versions = {id(tensor): tensor._version for tensor in given}
        result = func(*args, **(kwargs or {}))
        name = function_name(func)
        if not self._shows() or not self._running or not name or next(leaves(result), None) is None:
            return result
        shown = result
        for part in self._names[self._running[-1]]:
            shown = self._show(f"{part}/{name}", shown, (args, kwargs))
        in_place = id(result) in versions and versions[id(result)] != result._version
        if shown is not result and in_place and not result.requires_grad:
            return result.copy_(shown)  # the network may go on with the argument rather than with what it gets
        return shown

    def _begin(self, module: nn.Module, args: object) -> None:
        if threading.get_ident() == self._thread:
            self._running.append(module)

    def _end(self, module: nn.Module, args: object, output: object) -> None:
        if threading.get_ident() == self._thread:
            self._running.pop()

    def _take_back(self) -> None:
        """Remove the hooks, whatever was interrupted when they were put on."""
        for part in self._names:
            for hooks in (part._forward_pre_hooks, part._forward_hooks):
                for number, hook in list(hooks.items()):
                    if getattr(hook, "__self__", None) is self:
                        del hooks[number]
                        part._forward_hooks_always_called.pop(number, None)


def function_name(func: Any) -> str:
    """What a function is called in the name of a site: "add" for +, +=, add_ and torch.add; "" for attributes."""
    name = str(getattr(func, "__name__", ""))
    if name in ("__get__", "__set__"):
        return ""
    bare = name.strip("_")
    if name.startswith("__"):
        bare = _BOTH_SIDES.get(bare, bare)
    return _SAME.get(bare, bare)
