"""What captures and interventions have in common: they wait at named sites of a network and account for each."""

from __future__ import annotations

import contextlib
import threading
from abc import ABC, abstractmethod
from collections import Counter, defaultdict
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from layerscope.capture.forward import bare_module
from layerscope.capture.sites import Place, Wanted, find, leaves
from layerscope.capture.uncalled import uncalled
from layerscope.errors import CaptureError, InputError, UnknownNameError
from layerscope.types import HasModule


class _Forward(threading.local):
    """The forward under way, in each thread its own."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.visited: set[Place] = set()
        self.awaited: set[Place] = set()  # exact places that have not been reached


class Tap(ABC):
    """Waits at the sites that `layers` name, in each forward of a network; `visit` is what it does there.

    Raises UnknownNameError for names and patterns that match nothing, and CaptureError for what cannot be watched:
    scripted modules, networks without values (on the meta device), and, when a forward begins, BatchNorm that computes
    with the statistics of the batch, unless `batch_statistics` allows it.
    """

    first = False
    thread: int | None = None

    def __init__(self, model: HasModule | nn.Module, layers: Sequence[str], batch_statistics: bool) -> None:
        self._model, self._module = model, bare_module(model)
        if not layers:
            raise InputError("no layers asked for; give names or patterns, as 'layer4.*', or '' for the output")
        self._wanted = find(self._module, layers)
        self._batch_statistics = batch_statistics
        _refuse_what_has_no_values(self._module)
        scripted = [name for name, part in self._module.named_modules() if isinstance(part, torch.jit.ScriptModule)]
        for wanted in self._wanted:
            _refuse_scripted(wanted, scripted)
        self.functions = any(wanted.function for wanted in self._wanted)
        self.modules = frozenset(name for wanted in self._wanted if not wanted.function for name in wanted.names)
        self._exact, self._patterns = _index(self._wanted)
        self._now = _Forward()

    @abstractmethod
    def visit(self, place: Place, output: object, inputs: object) -> object:
        """Do what is to be done at a wanted site; gives the output to go on with, None for the same."""

    def begin(self, inputs: object) -> None:
        """A forward begins."""
        self._now.calls, self._now.visited, self._now.awaited = Counter(), set(), set(self._exact)
        if not self._batch_statistics:
            refuse_batch_statistics(self._module)

    def reached(self, name: str, output: object, inputs: object) -> object:
        """A site has given its output."""
        call = self._now.calls[name]
        self._now.calls[name] += 1
        asking = self._asking(name, call)
        if not asking:
            return None
        if next(leaves(output), None) is not None:
            self._now.visited.add((name, call))
            self._now.awaited.discard((name, call))
        for one in asking:
            if one.path and one.path not in (paths := [path for path, _ in leaves(output)]):
                there = ", ".join(path or "one bare tensor" for path in paths) or "no tensor"
                raise CaptureError(f"layer {one.asked!r} gave no activation: the output of {name!r} holds {there}")
        return self.visit((name, call), output, inputs)

    def outside(self, name: str) -> None:
        """A part ran by itself: only forwards of the whole network are seen."""
        del name

    def abandon(self) -> None:
        """The forward has failed: nothing was reached."""
        self._now.visited.clear()

    def _asking(self, name: str, call: int) -> list[Wanted]:
        """The entries that ask for this place."""
        patterns = self._patterns.get(name if name in self.modules else "/", ())
        return [*self._exact.get((name, call), ()), *(one for one in patterns if one.wants(name, call))]

    def _check(self, inputs: object) -> None:
        """Raise CaptureError where an exact name, or all names of a pattern, gave nothing."""
        for wanted in self._wanted:
            reached = [wanted.place] if wanted.exact else self._now.visited
            if not any(place in self._now.visited and wanted.wants(*place) for place in reached):
                why = self._why_nothing(wanted, inputs)
                raise CaptureError(f"layer {wanted.asked!r} gave no activation: {why}")

    def _why_nothing(self, wanted: Wanted, inputs: object) -> str:
        calls = sum(count for name, count in self._now.calls.items() if wanted.wants(name, wanted.call or 0))
        if not wanted.exact:
            return "none of what it matches put out a tensor in this forward"
        if 0 < calls <= (wanted.call or 0):
            return f"{wanted.place[0]!r} was called {calls} times, and calls count from #0"
        if calls:
            return "its output holds no tensor"
        if wanted.function:
            return self._no_such_function(wanted)
        return f"{_why_uncalled(self._module, wanted.names[0], inputs)}; capture what it is part of, or leave it out"

    def _no_such_function(self, wanted: Wanted) -> str:
        ran = [name.rpartition("/")[2] for name in self._now.calls if name.rpartition("/")[0] == wanted.names[0]]
        where = f"{wanted.names[0]!r}" if wanted.names[0] else "the network"
        return str(UnknownNameError.among(f"function that {where} itself ran:", wanted.function, ran))


def _index(wanted: Sequence[Wanted]) -> tuple[dict[Place, list[Wanted]], dict[str, list[Wanted]]]:
    """The exact entries by their places, and the patterns by the modules that they match ("/": those for functions)."""
    exact: defaultdict[Place, list[Wanted]] = defaultdict(list)
    patterns: defaultdict[str, list[Wanted]] = defaultdict(list)
    for one in wanted:
        if one.exact:
            exact[one.place].append(one)
        else:
            for name in ("/",) if one.function else one.names:
                patterns[name].append(one)
    return exact, patterns


def _why_uncalled(module: nn.Module, name: str, inputs: object) -> str:
    """Why the network did not call the part: found out by forwards of its own, on an image like the one that ran."""
    images = next((tensor for _, tensor in leaves(inputs) if tensor.ndim == 4), None)
    if images is not None:
        _, channels, height, width = images.shape
        with contextlib.suppress(Exception):  # whatever fails here, the forward itself did not
            reasons = {leaf.name: leaf.why for leaf in uncalled(module, (channels, height, width))}
            return f"the network did not call it ({reasons[name]})"
    return "the network did not call it in this forward (some use the weights of a part without calling it)"


def _refuse_what_has_no_values(module: nn.Module) -> None:
    tensors = [*module.named_parameters(), *module.named_buffers()]
    empty = next((name for name, tensor in tensors if tensor.is_meta), None)
    if empty is not None:
        raise CaptureError(
            f"{empty!r} is on the meta device: it has a shape and no values, so there are no activations; "
            "load the weights first (list_layers gives the shapes without them)"
        )


def _refuse_scripted(wanted: Wanted, scripted: Sequence[str]) -> None:
    for name in wanted.names if wanted.exact else ():
        inside = next((part for part in scripted if name == part or name.startswith(f"{part}.")), None)
        if inside is not None:
            raise CaptureError(
                f"layer {wanted.asked!r} is part of the scripted (torch.jit) {inside!r}, where hooks do not fire; "
                "give the network the Python module that it was made from"
            )


def refuse_batch_statistics(module: nn.Module) -> None:
    for name, part in module.named_modules():
        if isinstance(part, _BatchNorm) and (part.training or part.running_mean is None):
            how = "is in training mode" if part.training else "has no statistics of its own"
            mend = "call model.eval(), or " if part.training else ""
            raise CaptureError(
                f"{name!r} {how}: it computes with the statistics of the batch, so the images would change each "
                f"other's activations; {mend}allow it with batch_statistics=True"
            )
