"""Capture activations and gradients: correct for in-place operations and reused modules, bounded, traceless."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from torch import Tensor, nn

from layerscope.capture.forward import WatchedCall, tensors_in, watched
from layerscope.capture.keeping import Gradients, Held, Keeper, Reduce, onwards
from layerscope.capture.memory import Memory, bytes_of
from layerscope.capture.sites import Place, leaves, with_leaves
from layerscope.capture.taps import Tap
from layerscope.errors import CaptureError, InputError, UnknownNameError
from layerscope.types import HasModule


def capture(
    model: HasModule | nn.Module,
    layers: Sequence[str] | str,
    *,
    reduce: Reduce | None = None,
    gradients: bool = False,
    budget: float | str | None = None,
    spill: Path | str | None = None,
    stop: bool = True,
    detach: bool = True,
    batch_statistics: bool = False,
) -> Capture:
    """Keep the activations of `layers` from each forward of `model` inside the `with`.

    Args:
        model: a VisionModel or any module. Compiled and data-parallel wrappers are bypassed meanwhile.
        layers: names ("layer1.0.conv1"), calls of reused modules ("layer1.0.relu#1" is the second one), functions
            between modules ("layer4.0/add", "/flatten"), one of several tensors ("lstm[0]"), patterns ("layer1.*",
            "layer4.*/add"; * and ? match dots too), or "" for the output of the network. A plain name is the FIRST
            call ("name" and "name#0" are one thing, and both find it) and the first tensor; a pattern takes every call
            and every tensor of every module that it matches, and its keys are the names of `list_layers`: "name", or
            "name#0", "name#1" .. for a reused one. See `layerscope.capture.sites`.
        reduce: what to keep of each activation, computed at once, as `lambda activation: activation.amax((2, 3))`. The
            activation is the network's own: it must not be changed. None as a result keeps nothing.
        gradients: `gradients[name]` is the gradient at the site after a backward pass through the output, with respect
            to what the module put out (reduced alike, where `reduce` is given); needs a forward with gradients. That
            of the last backward pass counts. Where a module also uses a tensor that it hands out, those uses count too.
            The forward runs through.
        budget: most bytes to keep in memory per forward, as a number or as text ("2 GiB"). More raises CaptureError
            with the five biggest sites, before it is stored, or goes into memory-mapped files if `spill` is given.
        spill: folder for these files, on the CPU. They vanish with the last look at them, after a crash too.
        stop: leave the forward after the last wanted call; it then returns None, and hooks after it do not run. It runs
            through, and returns its output, where a pattern or "" is wanted, where another module waits for the
            output, and with stop=False.
        detach: give copies without a graph. With False they are part of the graph of the output as far as the forward
            went, so that `torch.autograd.grad(output.sum(), activations[name])` works; but for tensors that share
            memory with an input of their module and are overwritten later: those are copies beside the path, and
            `gradients=True` is the way to their gradient.
        batch_statistics: allow BatchNorm to mix the images of the batch (training mode), which is refused otherwise.

    An activation is what the module put out at that call, after the hooks that it had on entering, whatever later
    operations do to it in place; quantised ones are dequantised. A forward replaces what the one before left; one that
    fails leaves nothing. Seen are forwards of the whole network in the thread that entered the capture, not what
    checkpointing computes again, nor parts that were compiled into something larger. The values stay after the `with`;
    hooks and all else that was put on the module are gone then, after an exception and Ctrl-C too (but for the rare
    one that strikes in the very moment of taking them off). A capture may be entered again and again.
    Raises UnknownNameError for names and patterns that match nothing, CaptureError for a scripted module or one on the
    meta device, and in the forward itself for a wanted layer that is not called or puts out no tensor, and for
    BatchNorm in training mode. InputError for a budget that is none, and for spill= without detach.
    """
    if reduce is not None and not callable(reduce):
        raise InputError(f"reduce={reduce!r} cannot be called; give a function, as lambda a: a.amax((2, 3))")
    keeper = Keeper(Memory(bytes_of(budget), _folder(spill, budget, detach)), reduce, detach)
    names = [layers] if isinstance(layers, str) else _listed(layers)
    return Capture(model, names, keeper, gradients, stop and not gradients, batch_statistics)


class NotCapturedError(CaptureError, KeyError):
    """Asked for an activation that is not there."""

    def __str__(self) -> str:
        return Exception.__str__(self)  # KeyError would put the message in quotes


class _Found(Mapping[str, Tensor]):
    """Tensors by key; "relu" and "relu#0" find each other, "pair" finds "pair[0]". What is missing is explained."""

    def __init__(self, kind: str, state: str, values: Mapping[str, Tensor], others: Mapping[str, str]) -> None:
        self._kind, self._state, self._values, self._others = kind, state, values, others

    def __getitem__(self, key: str) -> Tensor:
        known = key if key in self._values else self._others.get(key)
        if known is not None and known in self._values:
            return self._values[known]
        if not self._values:
            raise NotCapturedError(f"no {self._kind} {key!r}: {self._state}")
        raise NotCapturedError(str(UnknownNameError.among(f"captured {self._kind}", key, self._values)))

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"{self._kind}s of {', '.join(self._values) or 'nothing: ' + self._state}"


_Key = tuple[Place, str]  # a call of a site, and the path of one tensor in its output


class Capture(Tap, Mapping[str, Tensor]):
    """The activations of the last forward, by layer name, in the order of their calls. Made by `capture`."""

    def __init__(
        self,
        model: HasModule | nn.Module,
        layers: Sequence[str],
        keeper: Keeper,
        gradients: bool,
        stop: bool,
        batch_statistics: bool,
    ) -> None:
        super().__init__(model, layers, batch_statistics)
        self._keeper, self._memory = keeper, keeper.memory
        self._wants_gradients, self._stop = gradients, stop
        self._watched: WatchedCall | None = None
        self._undo = ExitStack()
        self._held: dict[_Key, Held] = {}
        self._first: dict[Place, str] = {}  # the path of the first tensor of an output
        self._names: dict[str, _Key] = {}
        self._others: dict[str, str] = {}  # other spellings of the names
        self._gradients = Gradients(keeper)
        self._forget("no forward of the network ran inside the `with`")

    def __enter__(self) -> Capture:
        if self._watched is not None:
            raise CaptureError("this capture is open already; make another one with capture(...)")
        self.thread = threading.get_ident()
        self._watched = self._undo.enter_context(watched(self._model, self))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._undo.close()
        self._watched = None
        self._memory.end()

    def __getitem__(self, key: str) -> Tensor:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return repr(self._values)

    def _repr_html_(self) -> str:
        """Sites with the shapes of what they put out, and its mean and range."""
        from layerscope.figures.value_cards import table_card
        from layerscope.figures.words import number, short, sizes

        rows = []
        for name, tensor in self.items():
            values = tensor.detach().float()
            told = (values.mean(), values.std(correction=0), values.amin(), values.amax()) if values.numel() else ()
            rows.append([short(name, 80), sizes(tensor.shape), *(number(float(one)) for one in told)])
        heads = ("site", "shape", "mean", "deviation", "least", "most")
        return table_card(repr(self) if not rows else f"{len(rows)} activations", {}, heads, rows, range(2, 6))

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other

    @property
    def gradients(self) -> Mapping[str, Tensor]:
        """The gradients at the sites from the last backward pass, by layer name; see `capture`."""
        state = "capture with gradients=True"
        if self._wants_gradients:
            state = "no backward pass went through it (or it is a view that was changed in place)"
        found = self._gradients.found
        values = {name: found[key] for name, key in self._names.items() if key in found}
        return _Found("gradient", state, values, self._others)

    def begin(self, inputs: object) -> None:
        """A forward begins: nothing of the one before stays."""
        self._forget("the forward has not ended")
        self._memory.begin()
        super().begin(inputs)

    def visit(self, place: Place, output: object, inputs: object) -> object:
        """Keep the wanted tensors in `output`; gives the output that the network goes on with, None for the same."""
        tensors, changed, last = list(leaves(output)), output, self._last()
        self._first[place] = tensors[0][0] if tensors else ""
        for path, tensor in self._chosen(place, tensors):
            before, site = changed, _site(place, path)
            if self._wants_gradients:
                changed = self._followed((place, path), tensor, changed, inputs)
            if self._keeper.keeps_itself(tensor) and not last and changed is before:
                changed = onwards(changed, path, inputs)
            self._held[place, path] = self._keeper.keep(site, tensor, exposed=changed is before and not last)
        if self._memory.overdrawn:
            self._held.clear()
        if self._watched is not None and last:
            self._watched.stop()
        return None if changed is output else changed

    def done(self) -> bool:
        """Whether all that is wanted has been reached."""
        return self._stop and not self._now.awaited and not self._patterns

    def finish(self, inputs: object, output: object, stopped: bool) -> None:
        """The forward has ended: make the values final, or raise CaptureError for what is missing."""
        self._memory.check()
        self._check(inputs)
        if self._wants_gradients:
            self._gradients.check()
        final = {key: held.final() for key, held in self._held.items()}
        self._name_all(final)
        kept = {name: final[key] for name, key in self._names.items()}
        values = {name: tensor for name, tensor in kept.items() if tensor is not None}
        self._values = _Found("activation", "reduce= kept none", values, self._others)
        self._held = {}

    def abandon(self) -> None:
        """The forward has failed: nothing of it stays."""
        super().abandon()
        self._forget("the last forward failed")
        self._memory.begin()
        self._memory.end()

    def _forget(self, state: str) -> None:
        self._held, self._first, self._names, self._gradients = {}, {}, {}, Gradients(self._keeper)
        self._values, self._others = _Found("activation", state, {}, {}), {}

    def _chosen(self, place: Place, tensors: list[tuple[str, Tensor]]) -> list[tuple[str, Tensor]]:
        """Those of the tensors of an output that are wanted; a plain name is the first one."""
        if len(tensors) == 1:
            return tensors
        wanted = self._asking(*place)
        if not all(one.exact for one in wanted):
            return tensors
        paths = {one.path for one in wanted}
        return [pair for number, pair in enumerate(tensors) if pair[0] in paths or (number == 0 and "" in paths)]

    def _last(self) -> bool:
        """Whether the forward ends here."""
        return self._watched is not None and self._watched.stops()

    def _followed(self, key: _Key, tensor: Tensor, output: object, inputs: object) -> object:
        """Wait for the gradient of a tensor in `output`; gives the output to go on with, so that it comes."""
        (place, path), required = key, key[0] in self._exact
        passed = tensor.is_leaf or any(tensor is given for given in tensors_in(inputs))
        onward = self._gradients.follow(key, _site(place, path), tensor, passed, required)
        if onward is not tensor:
            return with_leaves(output, {path: lambda _: onward})
        # the hook on a view is lost when the view is changed in place
        return onwards(output, path, inputs) if tensor.requires_grad and tensor._is_view() else output

    def _name_all(self, keys: Iterable[_Key]) -> None:
        """Names of what is held: as it was asked for, or else as `list_layers` does; and what else they go by."""
        for place, path in keys:
            name, call = place
            first = self._first[place] == path
            asked = [one.asked for one in self._exact.get(place, ()) if one.path == path or (first and not one.path)]
            listed = f"{name}{path}" if self._now.calls[name] == 1 else f"{name}#{call}{path}"
            for spelling in asked or [listed]:
                self._names[spelling] = (place, path)
            for number in (f"#{call}", "") if call == 0 else (f"#{call}",):
                for part in (path, "") if first else (path,):
                    self._others.setdefault(f"{name}{number}{part}", (asked or [listed])[0])


def _site(place: Place, path: str) -> str:
    """A site in the words of a message."""
    return f"{place[0] or 'output'}{f'#{place[1]}' if place[1] else ''}{path}"


def _listed(layers: Iterable[str]) -> list[str]:
    if not isinstance(layers, Iterable):
        raise InputError(f"layers={layers!r} are no layers; give names or patterns, as 'layer4.*'")
    return list(layers)


def _folder(spill: Path | str | None, budget: float | str | None, detach: bool) -> Path | None:
    if spill is None:
        return None
    if budget is None:
        raise InputError("spill= takes what goes beyond a budget; give budget= too, as budget='2 GiB'")
    if not detach:
        raise InputError("spill= keeps copies in files, and detach=False wants the graph itself; give one of them")
    folder = Path(spill) if isinstance(spill, (str, Path)) and str(spill) else None
    if folder is None or not folder.is_dir():
        raise InputError(f"spill={str(spill)!r} is no folder; make it first")
    return folder
