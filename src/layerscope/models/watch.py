"""One run of a network, watched: what its targets put out, with what gradient, and which BatchNorm reads which
convolution. It tells whether a copy computes the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves


@dataclass(frozen=True)
class Seen:
    """What came of a run."""

    pairs: list[tuple[str, str]]
    """Convolutions and BatchNorms that may be folded, by name."""
    values: list[Tensor]
    """Outputs of the targets, as they were when they came, and of the whole."""
    gradient: Tensor | None = None
    """Of a weighted sum of the values by the example; None where none was asked for, or none reaches it."""


def watch(module: nn.Module, example: Tensor, targets: Sequence[str], gradients: bool = False) -> Seen:
    """Run `module` on an example, without gradients or with them."""
    run = _Watch({name for name in targets if name})
    leaf = example.detach().clone().requires_grad_(gradients)
    with torch.set_grad_enabled(gradients):
        handles = [child.register_forward_hook(run.seen(name)) for name, child in module.named_modules() if name]
        try:
            with run:
                output = module(leaf.clone())  # some change their input
        finally:
            for handle in handles:
                handle.remove()
        values = [*run.wanted, *tensors_of(output)]
        gradient = _gradient(values, leaf) if gradients else None
    return Seen(run.pairs(), [value.detach() for value in values], gradient)


def tensors_of(value: object) -> list[Tensor]:
    """All tensors in nested containers."""
    return [leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor)]


def _gradient(values: Sequence[Tensor], leaf: Tensor) -> Tensor | None:
    """Of a sum in which each value has a weight of its own, so that nothing cancels."""
    weights = torch.Generator().manual_seed(0)
    sums = [
        (value.float() * torch.randn(value.shape, generator=weights).to(value.device)).sum()
        for value in values
        if value.requires_grad
    ]
    if not sums:
        return None
    gradient: Tensor | None
    (gradient,) = torch.autograd.grad(torch.stack(sums).sum(), leaf, allow_unused=True)
    return gradient


class _Watch(TorchFunctionMode):
    """Which convolution's output goes into exactly one operation, and that is a BatchNorm."""

    def __init__(self, targets: set[str]) -> None:
        super().__init__()
        self.targets = targets
        self.wanted: list[Tensor] = []
        self.held: set[int] = set()
        self.uses: Counter[int] = Counter()
        self.calls: Counter[int] = Counter()
        self.convs: dict[int, tuple[str, nn.Module]] = {}
        self.norms: list[tuple[str, nn.Module, int]] = []
        self.kept: list[Tensor] = []  # an id means nothing once its tensor is gone

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if tensors_of(result):
            self.uses.update({id(tensor) for tensor in tensors_of((args, kwargs))})
        return result

    def seen(self, name: str) -> Callable[[nn.Module, tuple[Any, ...], Any], None]:
        """A forward hook for the module of this name."""

        def hook(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            self.calls[id(module)] += 1
            if name in self.targets:
                self._keep(tensors_of(output))
            if type(module) is nn.Conv2d and _plain(module):
                self.kept.append(output)
                self.convs[id(output)] = (name, module)
                self.uses[id(output)] = 0  # what was counted under this id was another tensor, gone since
            elif type(module) is nn.BatchNorm2d and _plain(module) and module.running_mean is not None:
                at = id(inputs[0]) if inputs else 0
                if at in self.convs:  # asked now: a later convolution may get the id of an input that is gone
                    self.norms.append((name, module, at))

        return hook

    def _keep(self, found: Sequence[Tensor]) -> None:
        """As they are now: a later operation may work in place."""
        with torch._C.DisableTorchFunction():
            self.wanted.extend(tensor.clone() for tensor in found)
        self.kept.extend(found)
        self.held.update(map(id, found))

    def pairs(self) -> list[tuple[str, str]]:
        found = [(self.convs[at], (name, norm), at) for name, norm, at in self.norms]
        return [
            (conv_name, norm_name)
            for (conv_name, conv), (norm_name, norm), at in found
            if at not in self.held and self.uses[at] == 1 and self.calls[id(conv)] == 1 and self.calls[id(norm)] == 1
        ]


def _plain(module: nn.Module) -> bool:
    """Without hooks of its own (weight norm, pruning, a user's): the one that watches is the only one."""
    hooks = module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks
    return not any(hooks) and len(module._forward_hooks) <= 1
