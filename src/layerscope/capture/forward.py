"""Watch the forward passes of a module: see them begin and end, see what its parts give, stop them early.

The call of the module is wrapped for a while (through its instance dictionary), from the first watcher to the last.
The private exception that stops a forward is caught there, outside all hooks of the module and nowhere else.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from types import FrameType
from typing import Protocol, cast

import torch
from torch import Tensor, nn

from layerscope.capture.functions import FunctionSites
from layerscope.capture.sites import leaves
from layerscope.errors import CaptureError
from layerscope.types import HasModule

_CALL = "_call_impl"  # what nn.Module.__call__ looks up on the instance


class Watcher(Protocol):
    """Told about each forward of the module that it watches."""

    first: bool  # sees, and may change, what a site gives before the others do
    modules: frozenset[str]  # whose outputs it is shown
    functions: bool  # whether it is shown what functions between the modules give

    def begin(self, inputs: object) -> None: ...

    def reached(self, name: str, output: object, inputs: object) -> object:
        """A site has given its output. Gives the output to go on with, None for the same."""
        ...

    def done(self) -> bool:
        """Whether the rest of this forward is of no interest."""
        ...

    def finish(self, inputs: object, output: object, stopped: bool) -> None: ...

    def abandon(self) -> None: ...


class WatchedCall:
    """Stands in for the call of one module, for all watchers of it together."""

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._call: Callable[..., object] = getattr(module, _CALL)
        self.watchers: list[Watcher] = []
        self._thread: int | None = None  # the one that the forward under way runs in
        self._may_stop = self._quiet = self.paused = False

    def __call__(self, *args: object, **kwargs: object) -> object:
        if self.paused or self._thread is not None:  # the module calls itself, or another thread calls it
            return self._call(*args, **kwargs)
        self._may_stop = not _inside_another_module()
        self._thread = threading.get_ident()
        try:
            self._quiet = True  # what watchers run before and after is not part of the forward
            for watcher in self.watchers:
                watcher.begin((args, kwargs))
            self._quiet = False
            output, stopped = self._run(args, kwargs)
            self._quiet = True
            for watcher in self.watchers:
                watcher.finish((args, kwargs), output, stopped)
        except BaseException:
            for watcher in self.watchers:
                watcher.abandon()
            raise
        finally:
            self._thread, self._quiet = None, False
        return output

    def add(self, watcher: Watcher) -> None:
        self.watchers.insert(0 if watcher.first else len(self.watchers), watcher)

    def hook(self, watcher: Watcher, name: str) -> Callable[..., object]:
        """A forward hook that shows the outputs of the part `name` to `watcher`."""

        def hook(part: nn.Module, args: object, kwargs: object, output: object) -> object:
            return self._reach(watcher, name, output, (args, kwargs)) if self._shows() else None

        return hook

    def stops(self) -> bool:
        """Whether the forward may stop here: nobody waits for more, and no other module for the output."""
        return self._may_stop and all(watcher.done() for watcher in self.watchers)

    def stop(self) -> None:
        """Leave the running forward at once; it returns None."""
        raise _Stop(self)

    def _run(self, args: tuple[object, ...], kwargs: dict[str, object]) -> tuple[object, bool]:
        wanted = any(watcher.functions for watcher in self.watchers)
        try:
            with FunctionSites(self._module, self._show, self._shows) if wanted else nullcontext():
                output = self._call(*args, **kwargs)
            self._may_stop = False  # it has come to its end
            return self._show("", output, (args, kwargs)), False
        except _Stop as stop:
            if stop.call is not self:
                raise
            return None, True

    def _shows(self) -> bool:
        """Whether a forward of the network is under way in this thread, rather than of a part of it by itself."""
        return self._thread == threading.get_ident() and not self._quiet

    def _show(self, name: str, output: object, inputs: object) -> object:
        """Show the result of a function, or of the whole network (""), to all watchers that may want it."""
        for watcher in self.watchers:
            if watcher.functions or name in watcher.modules:
                changed = self._reach(watcher, name, output, inputs)
                output = output if changed is None else changed
        return output

    def _reach(self, watcher: Watcher, name: str, output: object, inputs: object) -> object:
        self._quiet = True  # what watchers call is not part of the network
        try:
            return watcher.reached(name, output, inputs)
        finally:
            self._quiet = False


class _Stop(BaseException):  # no Exception: a network that catches those must not catch this
    def __init__(self, call: WatchedCall) -> None:
        super().__init__()
        self.call = call


@contextmanager
def watched(model: HasModule | nn.Module, watcher: Watcher) -> Iterator[WatchedCall]:
    """Tell `watcher` of each forward of `model`, and of what its `modules` give, until the end of the `with`.

    Compiled and data-parallel wrappers are bypassed meanwhile, since hooks do not fire inside them.
    """
    module = bare_module(model)
    parts = dict(module.named_modules(remove_duplicate=False))
    with ExitStack() as undo:  # whatever interrupts this, all is taken back
        undo.enter_context(eager(module))
        if isinstance(model, nn.Module) and model is not module:
            undo.enter_context(_replaced(model, _CALL, module))
        call = vars(module).get(_CALL)
        if not isinstance(call, WatchedCall):
            call = WatchedCall(module)
        undo.callback(_leave, module, call, watcher)
        call.add(watcher)
        vars(module)[_CALL] = call
        for name in watcher.modules - {""}:
            part, hook = _unwrapped(parts[name]), call.hook(watcher, name)
            undo.callback(part.register_forward_hook(hook, prepend=watcher.first, with_kwargs=True).remove)
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


@contextmanager
def unwatched(module: nn.Module) -> Iterator[None]:
    """Forwards inside the `with` are not shown to those who watch `module`: they ask something about it."""
    call = vars(module).get(_CALL)
    if not isinstance(call, WatchedCall) or call.paused:
        yield
        return
    call.paused = True
    try:
        yield
    finally:
        call.paused = False


def bare_module(model: HasModule | nn.Module) -> nn.Module:
    """The network itself: out of a VisionModel, `torch.compile`, DataParallel. CaptureError for a scripted one."""
    module = _unwrapped(model if isinstance(model, nn.Module) else model.module)
    if isinstance(module, torch.jit.ScriptModule):
        raise CaptureError(
            f"{type(module).__name__} is scripted (torch.jit), and hooks do not fire inside of scripted modules; "
            "give the Python module that it was made from"
        )
    return module


def storage_of(tensor: Tensor) -> int:
    """What identifies the memory that `tensor` looks at; the same for all views of it."""
    return cast(int, tensor.untyped_storage()._cdata)


def tensors_in(value: object) -> Iterator[Tensor]:
    """All tensors in nested tuples, lists, dicts and dataclasses, in their order."""
    for _, tensor in leaves(value):
        yield tensor


def _unwrapped(module: nn.Module) -> nn.Module:
    while (inner := _wrapped_by(module)) is not None:
        module = inner
    return module


def _wrapped_by(module: nn.Module) -> nn.Module | None:
    if isinstance(module, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
        return cast(nn.Module, module.module)
    return module._modules["_orig_mod"] if type(module).__name__ == "OptimizedModule" else None


def _leave(module: nn.Module, call: WatchedCall, watcher: Watcher) -> None:
    call.watchers = [other for other in call.watchers if other is not watcher]
    if not call.watchers:
        vars(module).pop(_CALL, None)


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
