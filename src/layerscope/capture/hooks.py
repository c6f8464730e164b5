"""Capture activations: correct for in-place operations and reused modules, stopped early, traceless."""

from __future__ import annotations

import fnmatch
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType

from torch import Tensor, nn

from layerscope.capture.forward import Held, WatchedCall, bare_module, storage_of, tensors_in, watched
from layerscope.errors import CaptureError, UnknownNameError
from layerscope.types import HasModule

_NAME = re.compile(r"(?P<name>.*?)(#(?P<call>\d+))?")


def capture(
    model: HasModule | nn.Module, layers: Sequence[str] | str, *, stop: bool = True, detach: bool = True
) -> Capture:
    """Keep the activations of `layers` from each forward of `model` inside the `with`.

    Args:
        model: a VisionModel or any module. Compiled and data-parallel wrappers are bypassed meanwhile.
        layers: names ("layer1.0.conv1"), calls of reused modules ("layer1.0.relu#1" is the second one), patterns
            ("layer1.*"; * and ? match dots too), or "" for the output of the network. A plain name is the FIRST call
            ("name" and "name#0" are one thing, and both find it); a pattern takes every call of every module that it
            matches, and its keys are the names of `list_layers`: "name", or "name#0", "name#1" .. for a reused one.
        stop: leave the forward after the last wanted call; it then returns None. It runs through, and returns its
            output, where a pattern or "" is wanted, where another module waits for the output, and with stop=False.
        detach: give tensors without a graph. With False they are part of the graph of the output as far as the
            forward went, so that `torch.autograd.grad(output.sum(), activations[name])` works.

    An activation is the output of the module: a tensor, or the first tensor in a tuple, list or dict. It is copied
    only where a later in-place operation would overwrite it (with detach=False: wherever the forward goes on after
    it). A forward replaces what the one before left; one that fails leaves nothing. The values stay after the `with`;
    hooks and all else that was put on the module are gone then, after an exception or Ctrl-C too.
    Raises UnknownNameError for names and patterns that match nothing, CaptureError for a scripted module, and in the
    forward itself for a wanted layer that is not called or puts out no tensor.
    """
    return Capture(model, [layers] if isinstance(layers, str) else layers, stop=stop, detach=detach)


class NotCapturedError(CaptureError, KeyError):
    """Asked for an activation that is not there."""

    def __str__(self) -> str:
        return Exception.__str__(self)  # KeyError would put the message in quotes


@dataclass(frozen=True)
class _Wanted:
    asked: str
    names: tuple[str, ...]
    call: int | None  # None: every call
    required: bool  # every one of the names, or at least one


class Capture(Mapping[str, Tensor]):
    """The activations of the last forward, by layer name, in the order of their calls. Made by `capture`."""

    def __init__(self, model: HasModule | nn.Module, layers: Sequence[str], *, stop: bool, detach: bool) -> None:
        self._model = model
        self._module = bare_module(model)
        self._wanted = _find(self._module, layers)
        self._stop, self._detach = stop, detach
        self._calls: Counter[str] = Counter()
        self._held: dict[tuple[str, int], Held] = {}
        self._values: dict[str, Tensor] = {}
        self._state = "no forward of the network ran inside the `with`"
        self._watched: WatchedCall | None = None
        self._undo = ExitStack()

    def __enter__(self) -> Capture:
        modules = dict(self._module.named_modules(remove_duplicate=False))
        names = {name for wanted in self._wanted for name in wanted.names if name}
        with ExitStack() as undo:  # whatever interrupts this, all is taken back
            self._watched = undo.enter_context(watched(self._model, self))
            for name in names:
                undo.callback(modules[name].register_forward_hook(self._hook(name), with_kwargs=True).remove)
            self._undo.enter_context(undo.pop_all())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._undo.close()

    def __getitem__(self, key: str) -> Tensor:
        for spelling in (key, f"{key}#0", key.removesuffix("#0")):
            if spelling in self._values:
                return self._values[spelling]
        if not self._values:
            raise NotCapturedError(f"no activation {key!r}: {self._state}")
        raise NotCapturedError(str(UnknownNameError.among("captured activation", key, self._values)))

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def begin(self) -> None:
        """A forward begins: nothing of the one before stays."""
        self._calls.clear()
        self._held, self._values = {}, {}

    def done(self) -> bool:
        """Whether all that is wanted has fired."""
        if not self._stop:
            return False
        return all(
            wanted.required and wanted.call is not None and (wanted.names[0], wanted.call) in self._held
            for wanted in self._wanted
        )

    def finish(self, inputs: object, output: object) -> None:
        """The forward has ended: make the values final, or raise CaptureError for what is missing."""
        if any("" in wanted.names for wanted in self._wanted):
            self._calls[""] = 1
            self._keep("", 0, output)
        _own(self._held.values(), [*tensors_in(inputs), *tensors_in(output)])
        for wanted in self._wanted:
            self._check(wanted)
        final = {place: _final(held) for place, held in self._held.items()}
        self._held = {}
        self._values = {key: final[place] for place in final for key in self._keys(*place)}

    def abandon(self) -> None:
        """The forward has failed: nothing of it stays."""
        self._held, self._values = {}, {}
        self._state = "the last forward failed"

    def _hook(self, name: str) -> Callable[..., object]:
        def hook(module: nn.Module, args: object, kwargs: object, output: object) -> object:
            if self._watched is None or self._watched.memory is None:  # a part that is called by itself
                return None
            call = self._calls[name]
            self._calls[name] += 1
            return self._keep(name, call, output, inputs=(args, kwargs)) if self._wants(name, call) else None

        return hook

    def _wants(self, name: str, call: int) -> bool:
        return any(name in wanted.names and wanted.call in (None, call) for wanted in self._wanted)

    def _keep(self, name: str, call: int, output: object, inputs: object = ()) -> object:
        """Hold the tensor in `output`; gives the output that the network goes on with, None for the same."""
        tensor = next(tensors_in(output), None)
        if tensor is None:
            return None
        memory = self._watched.memory if self._watched else None
        self._held[name, call] = held = Held(tensor)
        stops = self._watched is not None and memory is not None and self._watched.stops()
        if self._detach or not tensor.requires_grad:
            held.tensor = tensor.detach()
            if memory is not None and not stops:
                memory.hold(held)
        elif memory is not None and not stops:
            return _go_on_with_a_copy(held, output, inputs)
        if stops and self._watched is not None:
            self._watched.stop()
        return None

    def _check(self, wanted: _Wanted) -> None:
        """Raise CaptureError where a required name, or all names of a pattern, left nothing."""
        got = [place for place in self._held if place[0] in wanted.names and wanted.call in (None, place[1])]
        if got:
            return
        calls = sum(self._calls[name] for name in wanted.names)
        if not wanted.required:
            why = "none of the modules that it matches put out a tensor in this forward"
        elif calls == 0:
            why = "the network did not call it in this forward (some use the weights of a part without calling it); "
            why += f"capture {wanted.names[0].rpartition('.')[0]!r}, which it is part of"
        elif wanted.call is not None and calls <= wanted.call:
            why = f"{wanted.names[0]!r} was called {calls} times, and calls count from #0"
        else:
            why = "its output holds no tensor"
        raise CaptureError(f"layer {wanted.asked!r} gave no activation: {why}")

    def _keys(self, name: str, call: int) -> list[str]:
        """The keys of a call: as it was asked for, or else as `list_layers` names it."""
        asked = [wanted.asked for wanted in self._wanted if wanted.required and (name, call) == _place(wanted)]
        return asked or [name if self._calls[name] == 1 else f"{name}#{call}"]


def _place(wanted: _Wanted) -> tuple[str, int | None]:
    return wanted.names[0], wanted.call


def _find(module: nn.Module, layers: Sequence[str]) -> list[_Wanted]:
    """Match what was asked for with the names of the modules. Raises UnknownNameError."""
    known = [name for name, _ in module.named_modules(remove_duplicate=False)]
    wanted = []
    for asked in layers:
        name, call = split_call(asked)
        if name in known:
            wanted.append(_Wanted(asked, (name,), call or 0, required=True))
            continue
        matches = tuple(other for other in known[1:] if fnmatch.fnmatchcase(other, name))
        if not matches:
            raise UnknownNameError.among("layer", asked, known[1:])
        wanted.append(_Wanted(asked, matches, call, required=False))
    return wanted


def split_call(name: str) -> tuple[str, int | None]:
    """Split "relu#1" into ("relu", 1), and "relu" into ("relu", None)."""
    found = _NAME.fullmatch(name)
    if found is None or found["call"] is None:
        return name, None
    return found["name"], int(found["call"])


def _go_on_with_a_copy(held: Held, output: object, inputs: object) -> Tensor | None:
    """Let the network go on with a copy, so that `held` stays as it is and on the path to the output.

    Where the output shares memory with an input the network may rely on that: there a copy is only kept in reserve.
    """
    shared = {storage_of(tensor) for tensor in tensors_in(inputs)}
    if isinstance(output, Tensor) and storage_of(output) not in shared:
        return output.clone()
    held.spare, held.version = held.tensor.clone(), held.tensor._version
    return None


def _final(held: Held) -> Tensor:
    return held.tensor if held.spare is None or held.tensor._version == held.version else held.spare


def _own(all_held: Iterable[Held], outside: Sequence[Tensor]) -> None:
    """Copy what shares memory with the inputs and outputs of the forward: the caller may overwrite those."""
    shared = {storage_of(tensor) for tensor in outside}
    for held in all_held:
        if not held.tensor.requires_grad and storage_of(held.tensor) in shared:
            held.tensor = held.tensor.clone()
