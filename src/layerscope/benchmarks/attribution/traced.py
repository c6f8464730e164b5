"""A network as a graph of operations, run with some of them replaced: for literal re-implementations of methods.

Shares nothing with the library's own interception of operations: `torch.fx` traces the network once, symbolically.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

Replacement = Callable[..., Any]

RELU, RELU6, SILU, GELU, HARDSWISH = "relu", "relu6", "silu", "gelu", "hardswish"
SIGMOID, HARDSIGMOID, MAX_POOL, PRODUCT, NORMS = "sigmoid", "hardsigmoid", "max_pool2d", "mul", "norms"
"""NORMS: norms over what an image holds, and attention: nonlinear, and here without a rule of their own."""

_KINDS: dict[Any, str] = {
    nn.ReLU: RELU, F.relu: RELU, torch.relu: RELU, "relu": RELU, "relu_": RELU,
    nn.ReLU6: RELU6, F.relu6: RELU6, nn.SiLU: SILU, F.silu: SILU, nn.GELU: GELU, F.gelu: GELU,
    nn.Hardswish: HARDSWISH, F.hardswish: HARDSWISH,
    nn.Sigmoid: SIGMOID, torch.sigmoid: SIGMOID, "sigmoid": SIGMOID,
    nn.Hardsigmoid: HARDSIGMOID, F.hardsigmoid: HARDSIGMOID,
    nn.MaxPool2d: MAX_POOL, F.max_pool2d: MAX_POOL, torch.max_pool2d: MAX_POOL,
}  # fmt: skip


class Traced:
    """`network(images)` with some kinds of operations replaced.

    `kinds`: those found in the network.
    """

    def __init__(self, module: nn.Module) -> None:
        """Raises what `torch.fx` raises for a network that it cannot trace."""
        self._graph = fx.symbolic_trace(copy.deepcopy(module))
        self.kinds = {kind for node in self._graph.graph.nodes if (kind := self._kind(node))}

    def __call__(self, images: Tensor, replacements: Mapping[str, Replacement]) -> Tensor:
        """The output; each operation of a kind in `replacements` is given to that, with its own function first."""
        output: Tensor = _Runner(self._graph, self._kind, replacements).run(images)
        return output

    def _kind(self, node: fx.Node) -> str | None:
        if node.op == "call_module":
            part = self._graph.get_submodule(str(node.target))
            return NORMS if isinstance(part, _NORMS) else _KINDS.get(type(part))
        if node.op == "call_function" and getattr(node.target, "__name__", "") in ("mul", "imul"):
            return PRODUCT
        if node.op == "call_function" and getattr(node.target, "__name__", "") in _NORMING:
            return NORMS
        return _KINDS.get(node.target)


_NORMS = (nn.LayerNorm, nn.GroupNorm, nn.InstanceNorm2d, nn.MultiheadAttention, nn.Softmax)
_NORMING = (
    "layer_norm",
    "group_norm",
    "softmax",
    "scaled_dot_product_attention",
    "normalize",
    "shifted_window_attention",
)


class _Runner(fx.Interpreter):
    def __init__(
        self, graph: fx.GraphModule, kind: Callable[[fx.Node], str | None], replacements: Mapping[str, Replacement]
    ) -> None:
        super().__init__(graph)
        self._kind, self._replacements = kind, replacements

    def run_node(self, n: fx.Node) -> Any:
        replacement = self._replacements.get(self._kind(n) or "")
        if replacement is None:
            return super().run_node(n)
        args, kwargs = self.fetch_args_kwargs_from_env(n)
        function = self.fetch_attr(str(n.target)) if n.op == "call_module" else n.target
        return replacement(function, *args, **kwargs)


def slope_of(kind: str, x: Tensor) -> Tensor:
    """The derivative of an activation function, by its formula."""
    if kind == RELU:
        return (x > 0).to(x)
    if kind == RELU6:
        return ((x > 0) & (x < 6)).to(x)
    if kind == SILU:
        return x.sigmoid() * (1 + x * (1 - x.sigmoid()))
    if kind == GELU:
        density = torch.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)
        return (1 + torch.erf(x / math.sqrt(2))) / 2 + x * density
    if kind == HARDSWISH:
        return torch.where(x <= -3, 0.0, torch.where(x >= 3, 1.0, (2 * x + 3) / 6))
    if kind == SIGMOID:
        return x.sigmoid() * (1 - x.sigmoid())
    if kind == HARDSIGMOID:
        return ((x > -3) & (x < 3)).to(x) / 6
    raise KeyError(kind)


def value_of(kind: str, x: Tensor) -> Tensor:
    """An activation function, by its formula."""
    if kind == RELU:
        return x.clamp(min=0)
    if kind == RELU6:
        return x.clamp(0, 6)
    if kind == SILU:
        return x / (1 + torch.exp(-x))
    if kind == GELU:
        return x * (1 + torch.erf(x / math.sqrt(2))) / 2
    if kind == HARDSWISH:
        return x * (x + 3).clamp(0, 6) / 6
    if kind == SIGMOID:
        return 1 / (1 + torch.exp(-x))
    if kind == HARDSIGMOID:
        return (x + 3).clamp(0, 6) / 6
    raise KeyError(kind)


RECTIFIERS = (RELU, RELU6, SILU, GELU, HARDSWISH)
ELEMENTWISE = (*RECTIFIERS, SIGMOID, HARDSIGMOID)
