"""Layer-wise relevance propagation on operations: in the backward pass travels relevance instead of gradients.

Every operation hands on exactly the relevance that it gets: what moves values moves relevance; sums, means and averages
share it in proportion to their terms; activation functions hand it through; of a maximum the winner takes all; of a
product with a gate (squeeze-and-excite) the gated tensor takes all; normalisers and attention weights count as weights
(Ali et al. 2022, sections 3.1 and 3.2). Convolutions and linear layers follow the rule that a composite gives them,
with a BatchNorm after them merged in, wherever it stands. What has no rule is refused by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from layerscope.attribution.call import Call
from layerscope.attribution.composites import Composite, composite_of
from layerscope.attribution.kinds import ACTIVATIONS, GATES, SHAPED, WEIGHTED
from layerscope.attribution.operations import Operations, UnsupportedOperationError
from layerscope.attribution.relevance import Rule, Weighted, per_unit, stabilised
from layerscope.attribution.task import Found, Method, Task, at_least
from layerscope.capture.forward import tensors_in

_STEADY = 1e-9  # of the root mean square: keeps sums that cancel to nothing from dividing by it


_SHIFTS = frozenset({"add", "sub", "subtract", "rsub"})


class _Relevance(Operations):
    """Gives every operation a backward pass for relevance."""

    title = "LRP"

    def __init__(self, composite: Composite) -> None:
        super().__init__()
        self._composite = composite
        self._last: tuple[Tensor, Weighted, Rule] | None = None  # the last weighted layer, with what it put out
        self._raw: WeakIdKeyDictionary = WeakIdKeyDictionary()  # what no layer with weights has seen
        self._gates: WeakIdKeyDictionary = WeakIdKeyDictionary()
        self._attended = False

    @contextmanager
    def following(self, leaf: Tensor, backward: bool = True) -> Iterator[Tensor]:
        with super().following(leaf, backward) as image:
            self._raw[image] = True
            yield image

    def held(self, function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        return function(x.detach())

    def route(self, call: Call) -> Any:
        result, moved = call.run(), call.data[:1] if call.name in SHAPED else call.data
        if all(tensor in self._gates for tensor in moved):
            self._gates.update((tensor, True) for tensor in tensors_in(result))
        return result

    def elementwise(self, call: Call) -> Any:
        if call.name not in ACTIVATIONS:
            return self.refuse(call)
        y = _Through.apply(call.data[0], call.of)
        if call.name in GATES:
            self._gates[y] = True
        return y

    def softmax(self, call: Call) -> Any:
        self._attended = True
        return call.run().detach()

    def maximum(self, call: Call) -> Any:
        return call.run()  # its gradient already is: the winner takes all

    def product(self, call: Call) -> Any:
        gates = [tensor in self._gates for tensor in call.data]
        if gates[0] == gates[1]:
            y = _Proportional.apply(call.of, (0.5, 0.5), *call.data)
            return self._told(y, call.name, "half of the relevance to each factor")
        gate, gated = call.data if gates[0] else call.data[::-1]  # the gated one takes all: the other is a weight
        weight = gate.detach()
        function = (lambda x: call.of(weight, x)) if gates[0] else (lambda x: call.of(x, weight))
        return _Through.apply(gated, function) if call.name == "mul" else _Proportional.apply(function, (1.0,), gated)

    def quotient(self, call: Call) -> Any:
        below = call.data[1].detach()
        y = _Proportional.apply(lambda x: call.of(x, below), (1.0,), call.data[0])
        return self._told(y, call.name, "all of the relevance to the numerator")

    def _told(self, y: Tensor, name: str, how: str) -> Tensor:
        """The same, noted as approximated where relevance passes it: what leads to attention alone gets none."""
        y.register_hook(lambda relevance: self.approximated.update({name: how}))
        return y

    def linear(self, call: Call) -> Any:
        self.covered[call.name] += 1
        if call.name in WEIGHTED:
            return self._through_weights(call)
        if call.name == "batch_norm":
            return self._through_norm(call)
        if call.name in _SHIFTS and len(call.data) == 1 and not self._composite.proportional:
            return _Through.apply(call.data[0], call.of)  # as a BatchNorm that stands alone
        return _Proportional.apply(call.of, (1.0,) * len(call.data), *call.data)

    def gradient(self, scores: Tensor) -> Tensor:
        try:
            return super().gradient(scores)
        except UnsupportedOperationError:
            if not self._attended:
                raise
            raise UnsupportedOperationError(
                "LRP takes a softmax as weights, and here the score depends on the image through one alone; explain "
                "what comes before it (the logits), or take another method, as 'deeplift'"
            ) from None

    def _by_kind(self, call: Call) -> Any:
        result = super()._by_kind(call)
        if call.name not in WEIGHTED and all(tensor in self._raw for tensor in call.data):
            self._raw.update((tensor, True) for tensor in tensors_in(result))
        return result

    def _through_weights(self, call: Call) -> Tensor:
        layer = weighted(call)
        rule = self._composite.linear if call.name == "linear" else self._composite.convolution
        if call.data[0] in self._raw:
            rule = self._composite.first
        y: Tensor = _Ruled.apply(layer.x, call.of, layer, rule)
        self._last = (y, layer, rule)
        return y

    def _through_norm(self, call: Call) -> Any:
        """Merged into the layer before it, whose biases it shares; by itself it only scales, and hands on."""
        last, norm = self._last, _Norm.of(call)
        if norm is None:
            return self.refuse(call)
        if last is not None and last[0] is call.data[0] and (merged := norm.merged(last[1])) is not None:
            return _Ruled.apply(merged.x, lambda _: call.of(call.data[0].detach()), merged, last[2])
        if self._composite.proportional:
            return _Proportional.apply(call.of, (1.0,), *call.data)
        return _Through.apply(call.data[0], call.of)


@dataclass(frozen=True)
class _Norm:
    """BatchNorm with kept statistics, as one factor and one shift per channel."""

    factor: Tensor
    shift: Tensor

    @classmethod
    def of(cls, call: Call) -> _Norm | None:
        """None where it computes with the statistics of the batch, or its weights depend on the image."""
        given = dict(zip(_NORM_ARGUMENTS, call.args, strict=False)) | call.kwargs
        mean, variance = given.get("running_mean"), given.get("running_var")
        if mean is None or variance is None or given.get("training") or len(call.data) > 1:
            return None
        scale, shift = given.get("weight"), given.get("bias")
        factor = (variance + given.get("eps", 1e-5)).rsqrt() * (1 if scale is None else scale)
        return cls(factor, (0 if shift is None else shift) - mean * factor)

    def merged(self, layer: Weighted) -> Weighted | None:
        """The layer before it with this norm inside; None for transposed convolutions and layers of tokens."""
        if layer.transposed or (layer.weight.ndim == 2 and layer.x.ndim != 2):
            return None
        weight = layer.weight * self.factor.view(-1, *(1,) * (layer.weight.ndim - 1))
        bias = self.shift if layer.bias is None else self.shift + layer.bias * self.factor
        return replace(layer, weight=weight, bias=bias)


_NORM_ARGUMENTS = ("input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps")


def weighted(call: Call) -> Weighted:
    """The layer behind a call of a convolution or a linear function; its weight does not depend on the image."""
    given = dict(zip(("input", "weight", "bias"), call.args, strict=False)) | call.kwargs
    x, weight, bias = given.pop("input"), given.pop("weight"), given.pop("bias", None)
    more = {name: value for name, value in given.items() if name in call.kwargs}

    def operation(x: Tensor, weight: Tensor) -> Tensor:
        result: Tensor = call.func(x, weight, None, *call.args[3:], **more)
        return result

    return Weighted(operation, x, weight, bias, transposed="transpose" in call.name)


class _Ruled(torch.autograd.Function):
    """A layer with weights, whose relevance goes down by a rule."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, function: Callable[[Tensor], Tensor], layer: Weighted, rule: Rule) -> Tensor:
        y = function(x)
        ctx.save_for_backward(y)
        ctx.layer, ctx.rule = layer, rule
        return y

    @staticmethod
    def backward(ctx: Any, *relevance: Tensor) -> tuple[Tensor, None, None, None]:
        return ctx.rule(ctx.layer, ctx.saved_tensors[0], relevance[0]), None, None, None


class _Through(torch.autograd.Function):
    """A function that hands all relevance on, each value that of what it makes."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
        return function(x)

    @staticmethod
    def backward(ctx: Any, *relevance: Tensor) -> tuple[Tensor, None]:
        return relevance[0], None  # autograd adds up that of what was expanded


class _Proportional(torch.autograd.Function):
    """An operation that is linear in each of its inputs: each gets in proportion to its term, times its share."""

    @staticmethod
    def forward(ctx: Any, function: Callable[..., Tensor], shares: tuple[float, ...], *inputs: Tensor) -> Tensor:
        y = function(*inputs)
        ctx.save_for_backward(y, *inputs)
        ctx.function, ctx.shares = function, shares
        return y

    @staticmethod
    def backward(ctx: Any, *relevance: Tensor) -> tuple[Tensor | None, ...]:
        y, *inputs = ctx.saved_tensors
        nothing = (y == 0) & (relevance[0] != 0)
        above = per_unit(relevance[0], torch.where(nothing, 0.0, stabilised(y, _STEADY)))
        slopes = _slopes(ctx.function, inputs, above)
        below = [one * slope * share for one, slope, share in zip(inputs, slopes, ctx.shares, strict=True)]
        if nothing.any():  # nothing to share it out by: evenly, then
            evenly = _evenly(ctx.function, inputs, torch.where(nothing, relevance[0], torch.zeros_like(y)))
            below = [one + even * share for one, even, share in zip(below, evenly, ctx.shares, strict=True)]
        return None, None, *below


def _slopes(function: Callable[..., Tensor], inputs: Sequence[Tensor], above: Tensor) -> tuple[Tensor, ...]:
    with torch.enable_grad():
        points = [one.detach().requires_grad_() for one in inputs]
        slopes: tuple[Tensor, ...] = torch.autograd.grad(function(*points), points, above)
    return slopes


def _evenly(function: Callable[..., Tensor], inputs: Sequence[Tensor], relevance: Tensor) -> tuple[Tensor, ...]:
    ones = [torch.ones_like(one) for one in inputs]
    return _slopes(function, ones, per_unit(relevance, function(*ones)))


class _Start(torch.autograd.Function):
    """Where gradients of the objective become relevance: value times gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        relevance: Tensor = gradients[0] * ctx.saved_tensors[0]
        return relevance


def lrp(task: Task, *, composite: str = "epsilon-plus-flat", epsilon: float = 1e-6, gamma: float = 0.25) -> Found:
    """Relevance of what the network gets: the image less the mean of its channels, over their deviation.

    composite: "epsilon", "z+", "alpha2-beta1", "gamma" or "flat" in all layers; "epsilon-plus-flat",
    "epsilon-alpha2-beta1-flat" and "epsilon-gamma-flat" take epsilon in linear layers, the second in convolutions and
    flat in the first layers, which see the image itself. epsilon: in root mean squares of a layer's output.
    """
    at_least("epsilon", epsilon, 0)
    at_least("gamma", gamma, 0)
    rules = _Relevance(composite_of(composite, epsilon, gamma))
    inputs = task.score.model.normalise(task.images).detach().requires_grad_()
    with rules.following(inputs) as image:
        activations = task.score.activations(image)
    started = {name: _Start.apply(rules.given(tensor)) for name, tensor in activations.items()}
    scores = task.score.objective(started)
    note = f"composite {composite}: relevance of the normalised image"
    return Found(rules.gradient(scores), scores.detach(), dict(rules.covered), dict(rules.approximated), (note,))


METHODS = (
    Method(
        "lrp",
        "LRP",
        "Hands the score down from operation to operation, to each input in proportion to what it contributed.",
        "Bach et al. 2015, On pixel-wise explanations by layer-wise relevance propagation; Montavon et al. 2019",
        lrp,
        cost="1 forward, 2 to 4 backwards",
        claims="score",
    ),
)
