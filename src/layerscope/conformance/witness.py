"""Plain hooks that see what the parts of a network put out, and share nothing with `capture`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import (
    GetAttrKey,
    KeyEntry,
    MappingKey,
    SequenceKey,
    tree_flatten_with_path,
    tree_leaves,
    tree_map_only,
)

Site = tuple[str, int, str]  # the name of a module, the number of its call, the path of the tensor in the output


class Witness:
    """Hooks for all modules. `kept`: every tensor that one put out, as `keep` turned it, in the order of the calls.

    apart: the network goes on with a copy, so that what others do with an input that a module hands on (a shortcut)
    is no part of the gradient at that module.
    """

    def __init__(self, keep: Callable[[Tensor], Any], apart: bool = False) -> None:
        self.keep, self.apart = keep, apart
        self.calls: Counter[str] = Counter()
        self.kept: dict[Site, Any] = {}

    @contextmanager
    def watching(self, module: nn.Module) -> Iterator[None]:
        """Hooks on `module` and all its parts until the end of the `with`."""
        with ExitStack() as undo:
            for name, part in module.named_modules(remove_duplicate=False):
                if not isinstance(part, torch.jit.ScriptModule):  # those refuse hooks
                    undo.callback(part.register_forward_hook(self._hook(name)).remove)
            yield

    def key(self, site: Site) -> str:
        """The name under which `capture` gives this tensor."""
        name, call, path = site
        return f"{name}{path}" if self.calls[name] == 1 else f"{name}#{call}{path}"

    def _hook(self, name: str) -> Callable[[nn.Module, object, object], object]:
        def note(part: nn.Module, inputs: object, output: object) -> object:
            output = tree_map_only(Tensor, Tensor.clone, output) if self.apart else output
            pairs = [(path, leaf) for path, leaf in tree_flatten_with_path(output)[0] if isinstance(leaf, Tensor)]
            for path, tensor in pairs if name else pairs[:1]:  # of the network itself, the first one
                place = "".join(f"[{_step(step)}]" for step in path) if name else ""
                self.kept[name, self.calls[name], place] = self.keep(tensor)
            self.calls[name] += 1
            return output if self.apart else None

        return note


def tensors(value: object) -> list[Tensor]:
    """All tensors in nested containers, in their order."""
    return [leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor)]


def same_bits(one: object, other: object) -> bool:
    """Whether there are tensors, and all of them are the same bit for bit (NaN being NaN)."""
    first, second = tensors(one), tensors(other)
    return len(first) == len(second) > 0 and all(map(_equal, first, second))


def difference(value: Tensor, wanted: Tensor) -> float:
    """The largest difference, over the largest value wanted; infinite where shapes differ or values are not finite."""
    if value.shape != wanted.shape:
        return float("inf")
    if not wanted.numel() or torch.equal(value, wanted):
        return 0.0
    value, wanted = value.detach().double(), wanted.detach().double()
    apart = float((value - wanted).abs().max()) / max(float(wanted.abs().max()), 1e-30)
    return apart if apart == apart else float("inf")


def _equal(one: Tensor, other: Tensor) -> bool:
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    return torch.equal(one, other) or torch.equal(_bits(one), _bits(other))


def _bits(tensor: Tensor) -> Tensor:
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8)


def _step(key: KeyEntry) -> object:
    match key:
        case SequenceKey(idx=place):
            return place
        case MappingKey(key=name):
            return name
        case GetAttrKey(name=name):
            return name
    return key
