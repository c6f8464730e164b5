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
from layerscope.errors import CaptureError, InputError
from layerscope.types import HasModule

_CALL = "_call_impl"  # what nn.Module.__call__ looks up on the instance


class Watcher(Protocol):
    """Told about each forward of the module that it watches."""

    first: bool  # sees, and may change, what a site gives before the others do
    thread: int | None  # whose forwards it sees; None: those of all
    modules: frozenset[str]  # whose outputs it is shown
    functions: bool  # whether it is shown what functions between the modules give

    def begin(self, inputs: object) -> None: ...

    def reached(self, name: str, output: object, inputs: object) -> object:
        """A site has given its output. Gives the output to go on with, None for the same."""
        ...

    def outside(self, name: str) -> None:
        """A part of interest ran, but not in a forward of the module."""
        ...

    def done(self) -> bool:
        """Whether the rest of this forward is of no interest."""
        ...

    def finish(self, inputs: object, output: object, stopped: bool) -> None: ...

    def abandon(self) -> None: ...


class _Now(threading.local):
    """What is under way in this thread."""

    active: tuple[Watcher, ...] = ()  # those who watch the forward that runs
    running = may_stop = quiet = paused = False


class _Hook:
    """A forward hook that shows the outputs of the part `name` to the watchers of `call`, interventions or others."""

    def __init__(self, call: WatchedCall, name: str, first: bool) -> None:
        self.call, self.name, self.first = call, name, first

    def __call__(self, part: nn.Module, args: object, kwargs: object, output: object) -> object:
        return self.call.part_ran(self, output, (args, kwargs))


class WatchedCall:
    """Stands in for the call of one module, for all watchers of it together."""

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._call: Callable[..., object] = getattr(module, _CALL)
        self.watchers: list[Watcher] = []
        self.now = _Now()

    def __call__(self, *args: object, **kwargs: object) -> object:
        now = self.now
        if now.paused or now.running:  # the module calls itself: part of the same forward
            return self._call(*args, **kwargs)
        now.active = tuple(one for one in self.watchers if one.thread in (None, threading.get_ident()))
        now.may_stop, now.running = not _inside_another_module(), True
        try:
            now.quiet = True  # what watchers run before and after is not part of the forward
            for watcher in now.active:
                watcher.begin((args, kwargs))
            now.quiet = False
            output, stopped = self._run(args, kwargs)
            now.quiet = True
            for watcher in now.active:
                watcher.finish((args, kwargs), output, stopped)
        except BaseException:
            for watcher in now.active:
                watcher.abandon()
            raise
        finally:
            now.active, now.running, now.quiet = (), False, False
        return output

    def settle(self) -> None:
        """Put on the module, or take off it, what the watchers of now need; whatever was interrupted before."""
        self.watchers.sort(key=lambda watcher: not watcher.first)  # interventions first, in the order of entering
        wanted = {(name, one.first) for one in self.watchers for name in one.modules if name}
        for name, part in self._module.named_modules(remove_duplicate=False):
            part, hooks = _unwrapped(part), _unwrapped(part)._forward_hooks
            for number, hook in list(hooks.items()):
                if isinstance(hook, _Hook) and hook.call is self and hook.name == name:
                    if (name, hook.first) in wanted:
                        wanted.remove((name, hook.first))
                    else:
                        del hooks[number]
                        part._forward_hooks_with_kwargs.pop(number, None)
            for first in (True, False):
                if (name, first) in wanted:
                    part.register_forward_hook(_Hook(self, name, first), prepend=first, with_kwargs=True)
        if self.watchers:
            vars(self._module)[_CALL] = self
        else:
            vars(self._module).pop(_CALL, None)

    def leave(self, watcher: Watcher) -> None:
        """Tell `watcher` no more."""
        self.watchers = [other for other in self.watchers if other is not watcher]
        self.settle()

    def part_ran(self, hook: _Hook, output: object, inputs: object) -> object:
        """A part has given its output; gives the one to go on with, None for the same."""
        if not self.now.running and not self.now.paused:
            for watcher in self.watchers:
                if watcher.first and hook.first and hook.name in watcher.modules:
                    watcher.outside(hook.name)
        if not self._shows():
            return None
        before = output
        for watcher in self.now.active:
            if watcher.first == hook.first and hook.name in watcher.modules:
                output = self._reach(watcher, hook.name, output, inputs)
        return None if output is before else output

    def stops(self) -> bool:
        """Whether the forward may stop here: nobody waits for more, and no other module for the output."""
        return self.now.may_stop and all(watcher.done() for watcher in self.now.active)

    def stop(self) -> None:
        """Leave the running forward at once; it returns None."""
        raise _Stop(self)

    def _run(self, args: tuple[object, ...], kwargs: dict[str, object]) -> tuple[object, bool]:
        wanted = any(watcher.functions for watcher in self.now.active)
        try:
            with FunctionSites(self._module, self._show, self._shows) if wanted else nullcontext():
                output = self._call(*args, **kwargs)
            self.now.may_stop = False  # it has come to its end
            return self._show("", output, (args, kwargs)), False
        except _Stop as stop:
            if stop.call is not self:
                raise
            return None, True

    def _shows(self) -> bool:
        """Whether a forward of the network is under way in this thread, rather than of a part of it by itself."""
        return self.now.running and not self.now.quiet

    def _show(self, name: str, output: object, inputs: object) -> object:
        """Show the result of a function, or of the whole network (""), to all watchers that may want it."""
        for watcher in self.now.active:
            if watcher.functions or name in watcher.modules:
                output = self._reach(watcher, name, output, inputs)
        return output

    def _reach(self, watcher: Watcher, name: str, output: object, inputs: object) -> object:
        self.now.quiet = True  # what watchers call is not part of the network
        try:
            changed = watcher.reached(name, output, inputs)
        finally:
            self.now.quiet = False
        return output if changed is None else changed


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
    with ExitStack() as undo:
        undo.enter_context(eager(module))
        if isinstance(model, nn.Module) and model is not module:
            undo.enter_context(_replaced(model, _CALL, module))
        known = vars(module).get(_CALL)
        call = known if isinstance(known, WatchedCall) else WatchedCall(module)
        try:
            call.watchers.append(watcher)
            call.settle()
            yield call
        finally:
            surely(lambda: call.leave(watcher))


def surely(tidy: Callable[[], None]) -> None:
    """Tidy up, and begin anew where Ctrl-C interrupts that."""
    try:
        tidy()
    except BaseException:
        tidy()
        raise


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
    if not isinstance(call, WatchedCall) or call.now.paused:
        yield
        return
    call.now.paused = True
    try:
        yield
    finally:
        call.now.paused = False


@contextmanager
def watched_anew(module: nn.Module) -> Iterator[None]:
    """Forwards inside the `with` are shown only to those who begin to watch `module` inside of it."""
    call = vars(module).get(_CALL)
    before = list(call.watchers) if isinstance(call, WatchedCall) else []
    try:
        if isinstance(call, WatchedCall):
            call.watchers = []
            call.settle()
        yield
    finally:
        if isinstance(call, WatchedCall):
            call.watchers = before
            call.settle()


def bare_module(model: HasModule | nn.Module) -> nn.Module:
    """The network itself: out of a VisionModel, `torch.compile`, DataParallel. CaptureError for a scripted one."""
    inner = model if isinstance(model, nn.Module) else getattr(model, "module", None)
    if not isinstance(inner, nn.Module):
        raise InputError(f"{model!r} is no network; give a torch.nn.Module, or what load_model and wrap make")
    module = _unwrapped(inner)
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
