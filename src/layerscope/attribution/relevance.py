"""The rules of layer-wise relevance propagation: how one operation hands its relevance down to its inputs.

Bach et al. 2015 (epsilon, section 2.3; alpha-beta, section 2.5; flat, Lapuschkin et al. 2017), Montavon et al. 2017
(z+), Montavon et al. 2019 (gamma). Relevance that a bias would get is lost but for "z+", "alpha-beta" and "flat", which
leave biases out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Linear = Callable[[Tensor, Tensor], Tensor]
"""The operation without its bias, as a function of its input and its weight: linear in each."""


@dataclass(frozen=True)
class Weighted:
    """A convolution or a linear layer, and the input it got: x [batch, ...], weight, bias or None."""

    operation: Linear
    x: Tensor
    weight: Tensor
    bias: Tensor | None
    transposed: bool = False

    def backward(self, x: Tensor, weight: Tensor, above: Tensor) -> Tensor:
        """The transpose of the operation, applied to what comes from above."""
        with torch.enable_grad():
            point = x.detach().requires_grad_()
            (below,) = torch.autograd.grad(self.operation(point, weight), point, above)
        return below

    def biases(self, sign: float, gamma: float) -> Tensor | float:
        """The bias, its part of this sign strengthened by gamma, as it is added to what the operation puts out."""
        if self.bias is None:
            return 0.0
        bias = self.bias + gamma * sign * (sign * self.bias).clamp(min=0)
        return bias if self.weight.ndim == 2 else bias.view(-1, *(1,) * (self.weight.ndim - 2))


Rule = Callable[[Weighted, Tensor, Tensor], Tensor]
"""From an operation, what it put out (bias included) and the relevance of that to the relevance of its input."""


def stabilised(z: Tensor, epsilon: float) -> Tensor:
    """z [batch, ...] moved away from zero by `epsilon` times the root mean square of the values of an image, so that it
    means the same at any scale and in any company."""
    axes = tuple(range(1, z.ndim))
    step = epsilon * (z.square().mean(axes, keepdim=True).sqrt() if axes else z.abs())
    return z + torch.where(z < 0, -step, step)


def per_unit(relevance: Tensor, total: Tensor) -> Tensor:
    """Relevance over the total that it is shared out by. Where that is zero there is nothing to share it out by."""
    return torch.where(total == 0, 0.0, relevance / total)


def epsilon_rule(epsilon: float = 1e-6) -> Rule:
    """In proportion to x w, over the whole output."""

    def rule(layer: Weighted, z: Tensor, relevance: Tensor) -> Tensor:
        return layer.x * layer.backward(layer.x, layer.weight, per_unit(relevance, stabilised(z, epsilon)))

    return rule


def z_plus_rule() -> Rule:
    """In proportion to the positive parts of x w."""
    return alpha_beta_rule(1.0, 0.0)


def alpha_beta_rule(alpha: float = 2.0, beta: float = 1.0) -> Rule:
    """alpha times in proportion to the positive parts of x w, less beta times to the negative ones.

    Where an output has parts of one sign alone, those get all.
    """

    def rule(layer: Weighted, z: Tensor, relevance: Tensor) -> Tensor:
        positive = _signed(layer, 1.0)
        up = _total(layer, positive)
        if not beta and not ((up == 0) & (relevance != 0)).any():
            return _shared(layer, positive, up, relevance * alpha)
        negative = _signed(layer, -1.0)
        down = _total(layer, negative)
        both = (up != 0) & (down != 0)
        to_positive = torch.where(both, alpha, (up != 0).to(z.dtype))
        to_negative = torch.where(both, -beta, (up == 0).to(z.dtype))
        above = relevance * to_positive, relevance * to_negative
        return _shared(layer, positive, up, above[0]) + _shared(layer, negative, down, above[1])

    return rule


def gamma_rule(gamma: float = 0.25) -> Rule:
    """In proportion to x w, with what speaks for the output's sign strengthened by gamma."""

    def rule(layer: Weighted, z: Tensor, relevance: Tensor) -> Tensor:
        below = torch.zeros_like(layer.x)
        for sign in (1.0, -1.0):
            here = torch.where((z >= 0) if sign > 0 else (z < 0), relevance, torch.zeros_like(z))
            parts = [(x, layer.weight + gamma * weight) for x, weight in _signed(layer, sign)]
            below = below + _shared(layer, parts, _total(layer, parts) + layer.biases(sign, gamma), here)
        return below

    return rule


def flat_rule() -> Rule:
    """Evenly over all that the output sees, whatever is there."""

    def rule(layer: Weighted, z: Tensor, relevance: Tensor) -> Tensor:
        ones = [(torch.ones_like(layer.x), torch.ones_like(layer.weight))]
        return _shared(layer, ones, _total(layer, ones), relevance)

    return rule


_Part = tuple[Tensor, Tensor]  # of the input, of the weight


def _signed(layer: Weighted, sign: float) -> list[_Part]:
    """The parts of x w that have this sign: positive inputs with weights of this sign, negative with the others."""
    x, weight = layer.x, sign * layer.weight
    parts = [(x.clamp(min=0), weight.clamp(min=0) * sign)]
    if bool((x < 0).any()):
        parts.append((x.clamp(max=0), weight.clamp(max=0) * sign))
    return parts


def _total(layer: Weighted, parts: list[_Part]) -> Tensor:
    return torch.stack([layer.operation(x, weight) for x, weight in parts]).sum(0)


def _shared(layer: Weighted, parts: list[_Part], total: Tensor, relevance: Tensor) -> Tensor:
    """Relevance in proportion to the parts, of their total."""
    share = per_unit(relevance, total)
    return torch.stack([x * layer.backward(x, weight, share) for x, weight in parts]).sum(0)
