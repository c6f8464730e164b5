"""Sums and ReLUs that a packed convolution does on the way, while its result is still in the processor's registers.

A residual block reads and writes its largest maps three times more than it has to: the convolution, the sum with the
skip and the ReLU each go through memory. The forward pass of a module is traced (torch.fx) to find these where they
follow each other and nothing else reads what is between. A trace sees calls, and forgets contexts, conditions and what
a forward writes down; so only modules of libraries are traced whose forward passes do none of that, with one argument.
"""

from __future__ import annotations

import operator
import threading
import types
from collections.abc import Callable, Collection
from typing import Any

import torch
from torch import fx, nn
from torch.utils._pytree import tree_leaves

from layerscope.models.hooked import hooked
from layerscope.models.leaky import LeakyBackwardReLU
from layerscope.models.packed import PackedConv

LIBRARIES = ("torch", "torchvision", "timm", "layerscope")
_TRACING = threading.Lock()
"""A trace changes the class nn.Module for its time; two at once would not put it back."""
_SUMS = (operator.add, operator.iadd, torch.add)


def fuse(private: nn.Module, targets: Collection[str]) -> None:
    """Let the packed convolutions of a private copy do the sums and ReLUs after them; none of the targets is changed.

    Its modules keep their names and places: only the `forward` of those that hold the convolutions is another. That of
    one whose functions are asked for ("layer1.0/add") stays.
    """
    for name, module in private.named_modules():
        asked = any(target.startswith(f"{name}/") for target in targets)
        if not asked and any(type(child) is PackedConv for child in module.children()):
            kept = {target.removeprefix(f"{name}.") for target in targets} if name else set(targets)
            _fuse_in(module, kept)


def _fuse_in(module: nn.Module, kept: Collection[str]) -> None:
    graph = _traced(module)
    chains = [] if graph is None else [_Chain.to(node, module, kept) for node in graph.nodes]
    found = [chain for chain in chains if chain is not None]
    if graph is None or not found:
        return
    for chain in found:
        chain.fuse(graph)
    traced = type(fx.GraphModule(module, graph))
    module.forward = types.MethodType(traced.forward, module)


def _traced(module: nn.Module) -> fx.Graph | None:
    """What a module calls; None where a trace may leave something out."""
    if type(module).__module__.partition(".")[0] not in LIBRARIES or "forward" in vars(module):
        return None
    try:
        with _TRACING, torch.set_grad_enabled(torch.is_grad_enabled()):
            graph = _Calls().trace(module)
    except Exception:  # of any kind: whatever a forward does with what is no tensor
        return None
    arguments = [node for node in graph.nodes if node.op == "placeholder"]
    return graph if len(arguments) == 1 and not arguments[0].args else None


class _Calls(fx.Tracer):
    """All modules within are called, none is looked into. A trace forgets `with torch.no_grad()`, so it ends there."""

    def __init__(self) -> None:
        super().__init__()
        self.gradients = torch.is_grad_enabled()

    def create_node(self, *args: Any, **kwargs: Any) -> fx.Node:
        if torch.is_grad_enabled() != self.gradients:
            raise RuntimeError("a part of this forward is without gradients")
        return super().create_node(*args, **kwargs)

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return True

    def call_module(
        self, m: nn.Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        if not any(isinstance(value, fx.Proxy) for value in tree_leaves((args, kwargs))):
            return forward(*args, **kwargs)  # of another thread: a trace sees the calls of all modules there are
        return super().call_module(m, forward, args, kwargs)


class _Chain:
    """A convolution, perhaps a sum, and a ReLU, with nothing else that reads what is between."""

    def __init__(self, conv: fx.Node, between: list[fx.Node], skip: fx.Node | None, relu: fx.Node) -> None:
        self.conv, self.between, self.skip, self.relu = conv, between, skip, relu

    @classmethod
    def to(cls, relu: fx.Node, module: nn.Module, kept: Collection[str]) -> _Chain | None:
        """The one that ends at this node."""
        if type(_called(relu, module)) is not LeakyBackwardReLU or not _takes_one(relu):
            return None
        (last,) = relu.all_input_nodes
        for at, skip in ((last, None), *_summands(last)):
            found = _conv_before(at, module, kept)
            if found is not None and (skip is None or len(last.users) == 1):
                conv, between = found
                return cls(conv, between if skip is None else [last, *between], skip, relu)
        return None

    def fuse(self, graph: fx.Graph) -> None:
        """At the place of the sum, where the skip has been computed, or of the convolution."""
        with graph.inserting_before(self.conv if self.skip is None else self.between[0]):
            summands = self.conv.args if self.skip is None else (*self.conv.args, self.skip)
            all_in_one = graph.call_module(str(self.conv.target), summands, {"rectified": True})
        self.relu.args, self.relu.kwargs = (all_in_one,), {"rectified": True}
        for node in (*self.between, self.conv):
            graph.erase_node(node)


def _summands(node: fx.Node) -> list[tuple[fx.Node, fx.Node]]:
    """Each of two summands with the other one; none where the node is no plain sum of two."""
    is_sum = (node.op == "call_function" and node.target in _SUMS) or (
        node.op == "call_method" and node.target in ("add", "add_")
    )
    if not is_sum or len(node.args) != 2 or node.kwargs:
        return []
    a, b = node.args
    return [(a, b), (b, a)] if isinstance(a, fx.Node) and isinstance(b, fx.Node) and a is not b else []


def _conv_before(node: fx.Node, module: nn.Module, kept: Collection[str]) -> tuple[fx.Node, list[fx.Node]] | None:
    """The packed convolution whose result comes here, and what is between: modules that do nothing, the last first."""
    between: list[fx.Node] = []
    while len(node.users) == 1 and _takes_one(node) and str(node.target) not in kept:
        called = _called(node, module)
        if called is None or hooked(called):
            return None
        if type(called) is PackedConv:
            return node, between
        if type(called) is not nn.Identity:
            return None
        between.append(node)
        node = node.all_input_nodes[0]
    return None


def _takes_one(node: fx.Node) -> bool:
    """Whether it is a call with one value and nothing else."""
    return len(node.args) == 1 and isinstance(node.args[0], fx.Node) and not node.kwargs


def _called(node: fx.Node, module: nn.Module) -> nn.Module | None:
    return module.get_submodule(str(node.target)) if node.op == "call_module" else None
