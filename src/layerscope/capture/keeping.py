"""What a capture keeps of a tensor: a copy, what `reduce` makes of it, or the tensor of the graph itself."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from layerscope.capture.forward import storage_of, tensors_in
from layerscope.capture.memory import Memory
from layerscope.capture.sites import leaves, with_leaves
from layerscope.errors import CaptureError

Reduce = Callable[[Tensor], Tensor | None]
"""What to keep of an activation; None where the function itself has taken what it needs."""


@dataclass(eq=False)
class Held:
    """What is kept while the forward runs on; where the version of `tensor` moves on, `spare` stands in for it."""

    tensor: Tensor | None
    spare: Tensor | None = None
    version: int = 0

    def final(self) -> Tensor | None:
        """What it is at the end of the forward."""
        moved = self.tensor is not None and self.spare is not None and self.tensor._version != self.version
        return self.spare if moved else self.tensor


@dataclass(frozen=True)
class Keeper:
    """Keeps tensors in `memory`, with a graph unless `detach`, reduced where `reduce` is given."""

    memory: Memory
    reduce: Reduce | None
    detach: bool

    def keeps_itself(self, tensor: Tensor) -> bool:
        """Whether it is the tensor of the graph itself that is kept, so that nobody else may change it."""
        return self.reduce is None and self._with_graph(tensor)

    def keep(self, site: str, tensor: Tensor, exposed: bool) -> Held:
        """What is kept of a tensor; exposed: the network goes on with it, so that it has to have a copy in reserve."""
        if self.reduce is not None:
            return Held(self._reduced(site, tensor, self.reduce))
        if not self._with_graph(tensor):
            return Held(self.memory.keep(site, tensor))
        self.memory.charge(site, tensor)
        return Held(tensor, tensor.clone(), tensor._version) if exposed else Held(tensor)

    def _with_graph(self, tensor: Tensor) -> bool:
        return tensor.requires_grad and not self.detach

    def _reduced(self, site: str, tensor: Tensor, reduce: Reduce) -> Tensor | None:
        activation = tensor if self._with_graph(tensor) else tensor.detach()
        activation = activation.dequantize() if activation.is_quantized else activation
        value = checked(site, reduce(activation))
        if value is None:
            return None
        own = storage_of(value) != storage_of(activation)
        if self._with_graph(tensor):
            self.memory.charge(site, value)
            return value if own else value.clone()
        return self.memory.adopt(site, value.detach()) if own else self.memory.keep(site, value)


class Gradients:
    """Waits for the gradients of tensors, and keeps them, or what `reduce` makes of them, in `memory`."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._followed = False
        self._direct: set[Hashable] = set()
        self.found: dict[Hashable, Tensor] = {}

    def follow(self, key: Hashable, site: str, tensor: Tensor, passed: bool, required: bool) -> Tensor:
        """Wait for the gradient of a tensor; gives the one to go on with.

        passed: the site did not make the tensor (it is an input, a parameter), so that others may use it too. Then the
        network goes on with a view, whose gradient is that of the site alone; only where an in-place operation takes
        the view's place that of the tensor has to do. Raises CaptureError where no gradient can come and one is
        required.
        """
        if not tensor.requires_grad:
            if required:
                raise _no_gradient(f"at {site!r}: nothing before it requires one")
            return tensor
        self._followed = True
        if not passed:
            tensor.register_hook(partial(self._note, key, site, True))
            return tensor
        if not tensor.is_leaf:  # hooks would stay on a leaf for good
            tensor.register_hook(partial(self._note, key, site, False))
        view = tensor.view_as(tensor)
        view.register_hook(partial(self._note, key, site, True))
        return view

    def check(self) -> None:
        """Raise CaptureError where no gradient at all can come."""
        if not self._followed:
            raise _no_gradient("anywhere: nothing requires one")

    def _note(self, key: Hashable, site: str, direct: bool, gradient: Tensor) -> None:
        if not direct and key in self._direct:
            return
        if direct:
            self._direct.add(key)
        memory, reduce, name = self._keeper.memory, self._keeper.reduce, f"gradient at {site}"
        kept = gradient.detach() if reduce is None else checked(name, reduce(gradient.detach()))
        if key in self.found:
            memory.replaced(name, self.found.pop(key))
        copy = None if kept is None else memory.adopt(name, kept.clone())
        memory.check()
        if copy is not None:
            self.found[key] = copy


def checked(site: str, value: object) -> Tensor | None:
    """What `reduce` gave. Raises CaptureError where it is neither a tensor nor None."""
    if value is None or isinstance(value, Tensor):
        return value
    raise CaptureError(f"reduce= gave a {type(value).__name__} for {site!r}; it has to give a tensor or None")


def onwards(output: object, path: str, inputs: object) -> object:
    """`output` with a copy at `path` to go on with, so that the tensor of the graph there stays as it is, on the path.

    Not where the tensor shares memory with an input or with the rest of the output: the network may rely on that.
    """
    tensors = dict(leaves(output))
    around = [*tensors_in(inputs), *(tensor for other, tensor in tensors.items() if other != path)]
    if storage_of(tensors[path]) in {storage_of(tensor) for tensor in around}:
        return output
    return with_leaves(output, {path: torch.clone})


def _no_gradient(why: str) -> CaptureError:
    mend = "call images.requires_grad_() before the forward, and run it outside of torch.no_grad()"
    return CaptureError(f"no gradient {why}; {mend}")
