"""The head of a network: what it computes after one layer, as a function of that layer's activation.

Everything before the layer (the trunk) is run once. When the head runs, the operations there are not computed again:
each hands out what it gave before, and a tensor without content where no later operation reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakIdKeyDictionary

from layerscope.capture.forward import tensors_in
from layerscope.capture.interventions import Edit, replace
from layerscope.capture.sites import leaves, with_leaves
from layerscope.errors import CaptureError, InputError
from layerscope.types import HasModule

Run = Callable[[Tensor], Tensor]
"""From images to [batch] or [batch, ...]: the network, and what is read from it."""

_FROM_VALUES = frozenset(
    {
        "item", "tolist", "numpy", "__array__", "__bool__", "__float__", "__int__", "__index__", "__complex__",
        "__contains__", "__setitem__", "equal", "allclose", "is_nonzero",
    }
)  # fmt: skip
_TOLERANCE = 1e-4  # of the output: rounding differs with the size of a batch


def run_from(model: HasModule | nn.Module, layer: str, run: Run, images: Tensor) -> tuple[Tensor, Tensor]:
    """`run(images)` with a graph that begins at `layer`: what it gives, and the activation there, a leaf of the graph.

    What comes before the layer costs a forward without a graph; gradients reach the layer and go no further. Raises as
    `replace` does; CaptureError where `run` does not pass the layer.
    """
    started: list[Tensor] = []

    def start(activation: Tensor) -> Tensor:
        started[:] = [activation.detach().clone().requires_grad_()]
        return started[0]

    with torch.enable_grad():
        output = _graph_after(model, layer, run, images, start)
        if started and not output.requires_grad:  # the network turns gradients off for a while: its way back ends there
            output = _graph_after(model, layer, run, images, start, before=True)
    if not started:
        raise computed_before(layer)
    return output, started[0]


def gradient_at(layer: str, activation: Tensor, output: Tensor) -> Tensor:
    """The gradient of the sum of `output` at the activation of `layer`. CaptureError where there is none."""
    ones = torch.ones_like(output)
    found = torch.autograd.grad(output, activation, ones, allow_unused=True) if output.requires_grad else (None,)
    if found[0] is None:
        raise CaptureError(
            f"layer {layer!r} has no gradient: what is explained does not depend on it; name another one"
        )
    return found[0]


class Head:
    """`run(image)` as a function of the activation at `layer`, for one image.

    Attributes:
        activation: [1, ...] what the layer puts out for the image, without a graph.
        output: `run(image)`, without a graph.
        fast: whether the trunk is skipped. Where that does not give the same output (a network that makes decisions in
            the trunk in ways that cannot be replayed), the whole network runs instead.
    """

    def __init__(self, model: HasModule | nn.Module, layer: str, run: Run, image: Tensor) -> None:
        """image: [1, channel, height, width].

        Raises as `replace` does; InputError for several images, CaptureError where `run` does not pass the layer.
        """
        if len(image) != 1:
            raise InputError(f"{len(image)} images; a head is that of one image, so make one for each")
        self._model, self._layer, self._run, self._image = model, layer, run, image
        self._trunk = _Trunk(image)
        self.activation = torch.empty(0)
        with torch.no_grad():
            self.output = self._through(self._note, image)
        if not self._trunk.passed:
            raise computed_before(layer)
        self._trunk.recording = False
        self.fast = True
        self.fast = self._is_right()

    def __call__(self, activation: Tensor) -> Tensor:
        """[batch, ...]: `run` with [batch, ...] activations at the layer; differentiable in them."""
        images = self._image.expand(len(activation), *self._image.shape[1:])
        if self.fast:
            try:
                self._trunk.begin(len(activation))
                return self._through(partial(self._put, activation), images)
            except _AstrayError:  # it takes another way for so many copies of the image
                self.fast = False
        return _graph_after(self._model, self._layer, self._run, images, lambda _: activation)

    def _through(self, edit: Edit, images: Tensor) -> Tensor:
        with replace(self._model, {self._layer: edit}), self._trunk:
            return self._run(images)

    def _note(self, activation: Tensor) -> Tensor:
        self._trunk.passed, self._trunk.recording = True, False  # to copy it is not to read it
        self.activation = activation.detach().clone()
        self._trunk.recording = True
        return self.activation

    def _put(self, activation: Tensor, _: Tensor) -> Tensor:
        self._trunk.passed = True
        return activation

    def _is_right(self) -> bool:
        """Whether the head gives the output of the whole network, for two copies of the image at once."""
        twice = self.activation.expand(2, *self.activation.shape[1:])
        try:
            with torch.no_grad():
                output = self(twice)
        except Exception:  # whatever a network does that does not like to be replayed: it runs whole instead
            return False
        if output.shape[1:] != self.output.shape[1:] or len(output) != 2:
            return False
        tolerance = max(_TOLERANCE, 16 * torch.finfo(output.dtype).eps)
        return self.fast and bool((output - self.output).abs().max() <= tolerance * self.output.abs().max())


@dataclass(eq=False, slots=True)
class _Made:
    """A tensor of the trunk: whether it depends on the image, and its value if the head reads it."""

    depends: bool
    value: Tensor | None = None


@dataclass(frozen=True, eq=False)
class _Step:
    """One operation of the trunk: what it gave, with tensors without content, and what is known of these, by path."""

    function: Any
    result: Any
    made: Mapping[str, _Made] = field(default_factory=dict)


class _AstrayError(Exception):
    """A forward runs other operations before the layer than the one that was recorded."""


class _Trunk(TorchFunctionMode):
    """Records what the operations before a layer give, then hands it out again instead of computing it.

    Attributes:
        passed: whether the forward under way has passed the layer.
        recording: whether this is the forward that is recorded.
    """

    def __init__(self, image: Tensor) -> None:
        super().__init__()
        self.passed, self.recording = False, True
        self._steps: list[_Step] = []
        self._known: WeakIdKeyDictionary = WeakIdKeyDictionary()  # tensors of the trunk: _Made
        self._known[image] = _Made(depends=True)
        self._place = self._copies = 0

    def begin(self, copies: int) -> None:
        """The next forward is of so many copies of the image."""
        self.passed, self._place, self._copies = False, 0, copies

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if not self.passed:
            return (self._recorded if self.recording else self._handed_out)(func, args, kwargs)
        if self.recording:
            self._note_read(func, args, kwargs)
        return func(*args, **kwargs)

    def _note_read(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Keep what an operation of the head reads of the trunk, before a later one writes to it."""
        if func.__name__ == "__get__" and not isinstance(func(*args), Tensor):  # a shape, a dtype
            return
        for made, tensor in self._of_trunk(args, kwargs):
            if made.value is None:
                made.value = tensor.detach().clone()

    def _recorded(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        depends = any(made.depends for made, _ in self._of_trunk(_with_values(func, args), kwargs))
        result = func(*args, **kwargs)
        made = {path: self._noted(tensor, depends) for path, tensor in leaves(result)}
        if depends and func.__name__ == "__setitem__":
            self._noted(args[0], depends)
        if made or func.__name__ in _FROM_VALUES:
            self._steps.append(_Step(func, with_leaves(result, dict.fromkeys(made, _without_content)), made))
        return result

    def _noted(self, tensor: Tensor, depends: bool) -> _Made:
        """What is known of a tensor that an operation gave; the same thing again for one that works in place."""
        made: _Made = self._known.setdefault(tensor, _Made(depends))
        made.depends |= depends
        return made

    def _of_trunk(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[tuple[_Made, Tensor]]:
        return [(self._known[tensor], tensor) for tensor in tensors_in((args, kwargs)) if tensor in self._known]

    def _handed_out(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        step = self._steps[self._place] if self._place < len(self._steps) else None
        if step is not None and step.function == func:
            self._place += 1
            return with_leaves(step.result, {path: partial(self._again, made) for path, made in step.made.items()})
        result = func(*args, **kwargs)  # what it does not have to give again: a size, a flag
        if next(leaves(result), None) is not None or func.__name__ in _FROM_VALUES:
            raise _AstrayError
        return result

    def _again(self, made: _Made, empty: Tensor) -> Tensor:
        """A tensor of then for so many copies of the image; those lie one after the other along the first axis."""
        copies = self._copies if made.depends and empty.ndim else 1
        if made.value is None:
            return _without_content(empty, copies)
        return made.value.repeat(copies, *(1,) * (empty.ndim - 1)) if copies > 1 else made.value.clone()


def _graph_after(
    model: HasModule | nn.Module, layer: str, run: Run, images: Tensor, edit: Edit, before: bool = False
) -> Tensor:
    """`run(images)` with another activation at `layer`; with a graph of what comes before it only if `before`."""
    graph = torch.is_grad_enabled()

    def start(activation: Tensor) -> Tensor:
        torch.set_grad_enabled(graph)
        return edit(activation)

    with torch.set_grad_enabled(before), replace(model, {layer: start}):  # the flag is put back, whoever changed it
        return run(images)


def _with_values(func: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments whose values count, rather than only their dtype and device."""
    if func.__name__.startswith("new_"):
        return ()
    return args[:1] if func.__name__ in ("to", "type_as") else args


def _without_content(tensor: Tensor, copies: int = 1) -> Tensor:
    """A tensor of the shape of so many copies, of one value in memory."""
    shape = (copies * len(tensor), *tensor.shape[1:]) if tensor.ndim else tensor.shape
    return tensor.new_zeros(()).expand(shape)


def computed_before(layer: str) -> CaptureError:
    """What to raise where a layer comes after all that is explained."""
    return CaptureError(f"what is explained is computed before layer {layer!r}; name an earlier layer")
