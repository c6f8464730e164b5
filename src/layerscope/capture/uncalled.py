"""Parts of a network that hooks never see: leaves that no forward calls, and parameters of containers.

Each reason is measured, none is read off a class name: which modules are called, which leaves have their `forward` run
past their hooks, and while which module each weight is an argument of an operation. What is measured holds for a black
image: a network that chooses its parts by what it sees may call others for other images.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from layerscope.capture.forward import bare_module, eager, tensors_in, unwatched
from layerscope.capture.probe_forward import as_it_came, black_images
from layerscope.types import HasModule


@dataclass(frozen=True)
class Uncalled:
    """A leaf (module without children) that a forward in eval mode never calls, so that no hook on it fires.

    name: dotted, the first of several names. kind: its class. why: one clause, as "called in training only".
    """

    name: str
    kind: str
    why: str


@dataclass(frozen=True)
class Parametrised:
    """A module with children that owns parameters itself. parameters: their names within it ("class_token")."""

    name: str
    kind: str
    parameters: tuple[str, ...]


def uncalled(module: HasModule | nn.Module, input_shape: tuple[int, int, int]) -> tuple[Uncalled, ...]:
    """The leaves that a forward in eval mode never calls, each with the reason, in the order of `named_modules`.

    Runs one black image of `input_shape` (channel, height, width) through the network in eval mode and, where leaves
    stay unexplained, two in train mode. The reasons are those for black images; "runs without it" says that of this
    one forward. Flags, buffers, attributes and random states are put back.
    Errors of the network in eval mode pass through; one in train mode proves nothing and is passed over.
    CaptureError for a scripted module.
    """
    module = bare_module(module)
    seen = _watch(module, black_images(module, input_shape), training=False)
    idle = [name for name, part in module.named_modules() if name and _leaf(part) and name not in seen.called]
    reasons = {name: seen.why_not(name) for name in idle}
    if None in reasons.values():
        taught = _watch(module, black_images(module, input_shape, count=2), training=True).called
        for name in (name for name, why in reasons.items() if why is None):
            reasons[name] = "called in training only" if name in taught else seen.skipped_by(name)
    return tuple(Uncalled(name, _kind(seen.parts[name]), why) for name, why in reasons.items() if why)


def parametrised(module: HasModule | nn.Module) -> tuple[Parametrised, ...]:
    """The modules with children that own parameters themselves ("" is the network): no leaf holds those."""
    return tuple(
        Parametrised(name, _kind(part), tuple(own))
        for name, part in bare_module(module).named_modules()
        if not _leaf(part) and (own := [key for key, _ in part.named_parameters(recurse=False)])
    )


class _Watch(TorchDispatchMode):
    """Notes which modules are called, and which is the innermost running one where a weight is used."""

    supports_higher_order_operators = True  # torch.cond, flex_attention: let through

    def __init__(self, module: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch has no types there
        self.parts = dict(module.named_modules())
        self.called: set[str] = set()
        self.entered: set[str] = set()
        self.users: dict[int, str] = {}
        self._weights = {name: _weights(part) for name, part in self.parts.items()}
        self._known = {id(weight) for weights in self._weights.values() for weight in weights}
        self._running: list[str] = []

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        for tensor in tensors_in((args, kwargs or {})):
            if id(tensor) in self._known and self._running:
                self.users.setdefault(id(tensor), self._running[-1])
        return func(*args, **(kwargs or {}))

    def hookable(self) -> list[tuple[str, nn.Module]]:
        """All but scripted parts, which refuse hooks."""
        return [(name, part) for name, part in self.parts.items() if not isinstance(part, torch.jit.ScriptModule)]

    def begins(self, name: str) -> Callable[..., None]:
        def hook(*_: object) -> None:
            self.called.add(name)
            self._running.append(name)

        return hook

    def ends(self, *_: object) -> None:
        self._running.pop()

    def entering(self, name: str, forward: Callable[..., Any]) -> Callable[..., Any]:
        """The forward of a part, noted when it runs, by a call or past the hooks."""

        @functools.wraps(forward)
        def entered(*args: Any, **kwargs: Any) -> Any:
            self.entered.add(name)
            return forward(*args, **kwargs)

        return entered

    def why_not(self, name: str) -> str | None:
        """Why a leaf is not called, as far as one forward in eval mode shows it."""
        part, around = self.parts[name], (name, *_above(name))
        scripted = [outer for outer in around if isinstance(self.parts[outer], torch.jit.ScriptModule)]
        if scripted == [name]:
            return "scripted: hooks do not fire there"
        if scripted:
            return f"inside the scripted {scripted[-1]!r}, where hooks do not fire"
        if name in self.entered:
            return "its forward is run without a call, past its hooks"
        used = [weight for weight in self._weights[name] if id(weight) in self.users]
        if used:
            return self._use(used[0])
        if isinstance(part, nn.Sequential | nn.ModuleList | nn.ModuleDict):
            return "empty: it has nothing to run"
        return None

    def _use(self, weight: Tensor) -> str:
        user = self.users[id(weight)]
        shared = any(weight is own for own in self._weights[user])
        return (
            f"its weights are those of {_named(user)} too" if shared else f"weights used functionally by {_named(user)}"
        )

    def skipped_by(self, name: str) -> str:
        """The largest part around a leaf in which nothing is called, otherwise the module that runs without it."""
        quiet = [above for above in _above(name) if not any(_within(called, above) for called in self.called)]
        if quiet:
            return f"part of {quiet[-1]!r}, which is never called"
        runs = next(above for above in _above(name) if above in self.called)
        return f"{'its parent ' if runs == _above(name)[0] and runs else ''}{_named(runs)} runs without it"


def _watch(module: nn.Module, images: Tensor, training: bool) -> _Watch:
    """Run the images through the network; in train mode up to where it fails."""
    with ExitStack() as undo:
        undo.enter_context(as_it_came(module, training))
        undo.enter_context(eager(module))
        undo.enter_context(unwatched(module))
        seen = _Watch(module)
        undo.enter_context(torch.no_grad())
        for name, part in seen.hookable():
            undo.callback(part.register_forward_pre_hook(seen.begins(name), prepend=True).remove)
            undo.callback(part.register_forward_hook(seen.ends, always_call=True).remove)
            if _leaf(part):
                part.forward = seen.entering(name, part.forward)  # taken off with what else changed
        undo.enter_context(seen)
        try:
            module(images)
        except Exception:
            if not training:
                raise
    return seen


def _leaf(part: nn.Module) -> bool:
    return not any(True for _ in part.children())


def _kind(part: nn.Module) -> str:
    return str(part.original_name) if isinstance(part, torch.jit.ScriptModule) else type(part).__name__


def _weights(part: nn.Module) -> list[Tensor]:
    return [*part.parameters(recurse=False), *part.buffers(recurse=False)]


def _above(name: str) -> list[str]:
    """The modules around one, the nearest first: "a.b", "a", "" for "a.b.c"."""
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(len(parts) - 1, -1, -1)]


def _within(name: str, outer: str) -> bool:
    return name == outer or name.startswith(f"{outer}.") or not outer


def _named(name: str) -> str:
    return repr(name) if name else "the network"
