"""What a capture keeps of a tensor: a copy, what `reduce` makes of it, or the tensor of the graph itself."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass

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
        value = reduce(activation)
        if value is None:
            return None
        if not isinstance(value, Tensor):
            raise CaptureError(f"reduce= gave a {type(value).__name__} for {site!r}; it has to give a tensor or None")
        if self._with_graph(tensor):
            self.memory.charge(site, value)
            return value.clone() if value is tensor else value
        own = storage_of(value) != storage_of(activation)
        return self.memory.adopt(site, value.detach()) if own else self.memory.keep(site, value)


class Gradients:
    """Waits for the gradients of tensors, and keeps them, or what `reduce` makes of them, in `memory`."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._followed = False
        self.found: dict[Hashable, Tensor] = {}

    def follow(self, key: Hashable, site: str, tensor: Tensor, required: bool) -> bool:
        """Wait for one; whether it can come. Raises CaptureError where it cannot and is required."""
        if not tensor.requires_grad:
            if required:
                raise _no_gradient(f"at {site!r}: nothing before it requires one")
            return False
        memory, reduce, found = self._keeper.memory, self._keeper.reduce, self.found

        def note(gradient: Tensor) -> None:
            kept = gradient if reduce is None else reduce(gradient.detach())
            copy = None if kept is None else memory.keep(f"gradient at {site}", kept)
            memory.check()
            if copy is not None:
                found[key] = copy

        tensor.register_hook(note)
        self._followed = True
        return True

    def check(self) -> None:
        """Raise CaptureError where no gradient at all can come."""
        if not self._followed:
            raise _no_gradient("anywhere: nothing requires one")


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
