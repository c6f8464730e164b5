"""Watch the forward passes of a module: see them begin and end, stop them early, keep what they overwrite.

The call of the module is wrapped for a while (through its instance dictionary), from the first watcher to the last.
The private exception that stops a forward is caught there, outside all hooks of the module and nowhere else.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from layerscope.errors import CaptureError
from layerscope.types import HasModule

_CALL = "_call_impl"  # what nn.Module.__call__ looks up on the instance


@dataclass(eq=False)
class Held:
    """An activation kept while the forward runs on; `spare` stands in for it where its version has moved on."""

    tensor: Tensor
    spare: Tensor | None = None
    version: int = 0


class Watcher(Protocol):
    """Told about each forward of the module that it watches."""

    def begin(self) -> None: ...

    def done(self) -> bool:
        """Whether the rest of this forward is of no interest."""
        ...

    def finish(self, inputs: object, output: object) -> None: ...

    def abandon(self) -> None: ...


class CopyOnWrite(TorchDispatchMode):
    """Copies a held activation just before an operation overwrites its memory, and not otherwise."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch has no types there
        self._held: dict[int, list[Held]] = {}

    def hold(self, held: Held) -> None:
        """Watch over the memory of `held.tensor`, which is detached."""
        self._held.setdefault(storage_of(held.tensor), []).append(held)

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        for place, name in _written(func):
            for tensor in tensors_in(args[place] if place < len(args) else kwargs.get(name)):
                self._rescue(tensor)
        return func(*args, **kwargs)

    def _rescue(self, tensor: Tensor) -> None:
        for held in self._held.pop(storage_of(tensor), ()):
            held.tensor = held.tensor.clone()


class WatchedCall:
    """Stands in for the call of one module, for all watchers of it together."""

    def __init__(self, module: nn.Module) -> None:
        self._call: Callable[..., object] = getattr(module, _CALL)
        self.watchers: list[Watcher] = []
        self.memory: CopyOnWrite | None = None
        self._may_stop = False

    def __call__(self, *args: object, **kwargs: object) -> object:
        if self.memory is not None:  # the module calls itself: part of the same forward
            return self._call(*args, **kwargs)
        self._may_stop = not _inside_another_module()
        for watcher in self.watchers:
            watcher.begin()
        try:
            output = self._run(args, kwargs)
            for watcher in self.watchers:
                watcher.finish((args, kwargs), output)
        except BaseException:
            for watcher in self.watchers:
                watcher.abandon()
            raise
        return output

    def _run(self, args: tuple[object, ...], kwargs: dict[str, object]) -> object:
        self.memory = CopyOnWrite()
        try:
            with self.memory:
                return self._call(*args, **kwargs)
        except _Stop as stop:
            if stop.call is not self:
                raise
            return None
        finally:
            self.memory = None

    def stops(self) -> bool:
        """Whether the forward may stop here: nobody waits for more, and no other module for the output."""
        return self._may_stop and all(watcher.done() for watcher in self.watchers)

    def stop(self) -> None:
        """Leave the running forward at once; it returns None."""
        raise _Stop(self)


class _Stop(BaseException):  # no Exception: a network that catches those must not catch this
    def __init__(self, call: WatchedCall) -> None:
        super().__init__()
        self.call = call


@contextmanager
def watched(model: HasModule | nn.Module, watcher: Watcher) -> Iterator[WatchedCall]:
    """Tell `watcher` of each forward of `model` until the end of the `with`.

    Compiled and data-parallel wrappers are bypassed meanwhile, since hooks do not fire inside them.
    """
    module = bare_module(model)
    with ExitStack() as undo:
        undo.enter_context(eager(module))
        if isinstance(model, nn.Module) and model is not module:
            undo.enter_context(_replaced(model, _CALL, module))
        call = vars(module).get(_CALL)
        if not isinstance(call, WatchedCall):
            call = WatchedCall(module)
        call.watchers.append(watcher)
        undo.callback(_leave, module, call, watcher)
        vars(module)[_CALL] = call
        yield call


@contextmanager
def eager(module: nn.Module) -> Iterator[None]:
    """Run `module` and all parts of it uncompiled until the end of the `with`."""
    with ExitStack() as undo:
        for part in module.modules():
            if vars(part).get("_compiled_call_impl") is not None:
                undo.enter_context(_replaced(part, "_compiled_call_impl", None))
            if (inner := _wrapped_by(part)) is not None:
                undo.enter_context(_replaced(part, _CALL, inner))
        yield


def bare_module(model: HasModule | nn.Module) -> nn.Module:
    """The network itself: out of a VisionModel, `torch.compile`, DataParallel. CaptureError for a scripted one."""
    module = model if isinstance(model, nn.Module) else model.module
    while (inner := _wrapped_by(module)) is not None:
        module = inner
    if isinstance(module, torch.jit.ScriptModule):
        raise CaptureError(
            f"{type(module).__name__} is scripted (torch.jit), and hooks do not fire inside of scripted modules; "
            "give the Python module that it was made from"
        )
    return module


def storage_of(tensor: Tensor) -> int:
    """The address of the memory that `tensor` looks at; the same for all views of it."""
    return tensor.untyped_storage().data_ptr()


def tensors_in(value: object) -> Iterator[Tensor]:
    """All tensors in nested tuples, lists, dicts and dataclass-like outputs, in their order."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from tensors_in(item)
    elif isinstance(value, dict):
        yield from tensors_in(list(value.values()))


def _wrapped_by(module: nn.Module) -> nn.Module | None:
    if isinstance(module, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
        return cast(nn.Module, module.module)
    return module._modules["_orig_mod"] if type(module).__name__ == "OptimizedModule" else None


def _leave(module: nn.Module, call: WatchedCall, watcher: Watcher) -> None:
    call.watchers = [other for other in call.watchers if other is not watcher]
    if not call.watchers:
        del vars(module)[_CALL]


@contextmanager
def _replaced(module: nn.Module, name: str, value: object) -> Iterator[None]:
    # through vars(): setting an attribute of a compiled module sets it on the module inside
    there = name in vars(module)
    before = vars(module).get(name)
    vars(module)[name] = value
    try:
        yield
    finally:
        if there:
            vars(module)[name] = before
        else:
            del vars(module)[name]


def _inside_another_module() -> bool:
    """Whether a forward of some other module is under way below us on the stack."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        if frame.f_code is nn.Module._call_impl.__code__:
            return True
        frame = frame.f_back
    return False


@functools.cache
def _written(func: Any) -> tuple[tuple[int, str], ...]:
    """Place and name of the arguments that an operation overwrites."""
    aliases = [(place, argument.name, argument.alias_info) for place, argument in enumerate(func._schema.arguments)]
    return tuple((place, name) for place, name, alias in aliases if alias is not None and alias.is_write)
