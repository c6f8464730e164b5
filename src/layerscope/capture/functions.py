"""Functions that run between modules, such as `+`, `F.relu` and `torch.flatten`: what they are called and where."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
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
        self._undo = ExitStack()

    def __enter__(self) -> FunctionSites:
        with ExitStack() as undo:
            for part in self._names:
                undo.callback(part.register_forward_pre_hook(self._begin, prepend=True).remove)
                undo.callback(part.register_forward_hook(self._end, always_call=True).remove)
            super().__enter__()  # type: ignore[no-untyped-call]
            self._undo = undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)  # type: ignore[no-untyped-call]
        self._undo.close()

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        name = function_name(func)
        if not self._shows() or not self._running or not name or next(leaves(result), None) is None:
            return result
        for part in self._names[self._running[-1]]:
            result = self._show(f"{part}/{name}", result, (args, kwargs))
        return result

    def _begin(self, module: nn.Module, args: object) -> None:
        self._running.append(module)

    def _end(self, module: nn.Module, args: object, output: object) -> None:
        self._running.pop()


def function_name(func: Any) -> str:
    """What a function is called in the name of a site: "add" for +, +=, add_ and torch.add; "" for attributes."""
    name = str(getattr(func, "__name__", ""))
    if name in ("__get__", "__set__"):
        return ""
    bare = name.strip("_")
    if name.startswith("__"):
        bare = _BOTH_SIDES.get(bare, bare)
    return _SAME.get(bare, bare)
