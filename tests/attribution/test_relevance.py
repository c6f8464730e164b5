"""The rules of LRP against the formulas of the papers, for one pair of an input and an output after the other."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from dense import conv_matrix, conv_transpose_matrix
from operation_examples import constant
from torch import Tensor

from layerscope.attribution.call import Call
from layerscope.attribution.lrp import weighted
from layerscope.attribution.relevance import (
    Rule,
    Weighted,
    alpha_beta_rule,
    epsilon_rule,
    flat_rule,
    gamma_rule,
    stabilised,
    z_plus_rule,
)

Share = Callable[[Tensor, Tensor, Tensor, Tensor, float], Tensor]
"""From inputs, weights and connections (1 or 0) of one output, its bias and value to the shares of the inputs."""


def epsilon(x: Tensor, w: Tensor, seen: Tensor, bias: Tensor, rms: float) -> Tensor:
    """Bach et al. 2015, equation 58, with epsilon in units of the root mean square."""
    z = (x * w).sum() + bias
    return x * w / (z + 0.1 * rms * (1 if z >= 0 else -1))


def z_plus(x: Tensor, w: Tensor, seen: Tensor, bias: Tensor, rms: float) -> Tensor:
    """Montavon et al. 2017, equation 17, for inputs of both signs."""
    return alpha_beta(1, 0)(x, w, seen, bias, rms)


def alpha_beta(alpha: float, beta: float) -> Share:
    """Bach et al. 2015, equation 60."""

    def share(x: Tensor, w: Tensor, seen: Tensor, bias: Tensor, rms: float) -> Tensor:
        up, down = (x * w).clamp(min=0), (x * w).clamp(max=0)
        if up.sum() == 0 and down.sum() == 0:
            return x * 0
        if up.sum() == 0:
            return down / down.sum()
        if down.sum() == 0:
            return up / up.sum()
        return alpha * up / up.sum() - beta * down / down.sum()

    return share


def gamma(x: Tensor, w: Tensor, seen: Tensor, bias: Tensor, rms: float) -> Tensor:
    """Montavon et al. 2019, section 10.2.3, for inputs and outputs of both signs as in Andéol et al. 2021."""
    z = (x * w).sum() + bias
    side = 1 if z >= 0 else -1
    strengthened = [(one, 0.25 if side * one > 0 else 0.0) for one in (x * w).tolist()]
    terms = torch.tensor([one * (1 + factor) for one, factor in strengthened], dtype=x.dtype)
    total = terms.sum() + bias * (1.25 if side * bias > 0 else 1)
    return terms / total if total != 0 else terms * 0


def flat(x: Tensor, w: Tensor, seen: Tensor, bias: Tensor, rms: float) -> Tensor:
    """Lapuschkin et al. 2017: evenly."""
    return seen / seen.sum() if seen.sum() else seen


RULES: dict[str, tuple[Rule, Share]] = {
    "epsilon": (epsilon_rule(0.1), epsilon),
    "z+": (z_plus_rule(), z_plus),
    "alpha2-beta1": (alpha_beta_rule(2, 1), alpha_beta(2, 1)),
    "alpha1.5-beta0.5": (alpha_beta_rule(1.5, 0.5), alpha_beta(1.5, 0.5)),
    "gamma": (gamma_rule(0.25), gamma),
    "flat": (flat_rule(), flat),
}


def by_pairs(share: Share, x: Tensor, matrix: Tensor, seen: Tensor, bias: Tensor, relevance: Tensor) -> Tensor:
    """Of one image: x [inputs], matrix and seen [outputs, inputs], bias and relevance [outputs]."""
    rms = float((matrix @ x + bias).square().mean().sqrt())
    below = torch.zeros_like(x)
    for j in range(len(matrix)):
        shares = share(x, matrix[j], seen[j], bias[j], rms)
        for i in range(len(x)):
            below[i] += shares[i] * relevance[j]
    return below


GEOMETRIES: dict[str, dict[str, object]] = {
    "plain": {},
    "strided": {"stride": (2, 1), "padding": (1, 0)},
    "dilated": {"dilation": (1, 2), "padding": (1, 1)},
    "grouped": {"groups": 2, "padding": (0, 1)},
    "depthwise": {"groups": 4, "stride": (2, 2), "padding": (2, 2)},
}


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("inputs", ["positive", "both signs"])
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_convolutions(name: str, inputs: str, geometry: str) -> None:
    options = GEOMETRIES[geometry]
    groups = int(options.get("groups", 1))
    x = constant(2, 4, 4, 5, seed=1)
    x = x.relu() if inputs == "positive" else x
    weight, bias = constant(4, 4 // groups, 2, 3, seed=2), constant(4, seed=3)
    if geometry == "plain":
        weight[0], bias[1] = weight[0].abs(), 0.0  # an output with parts of one sign
    z = F.conv2d(x, weight, bias, **options)
    relevance = constant(*z.shape, seed=4)
    layer = Weighted(lambda x, weight: F.conv2d(x, weight, **options), x, weight, bias)
    matrix, shape = conv_matrix(weight, (4, 5), **options)
    seen, _ = conv_matrix(torch.ones_like(weight), (4, 5), **options)
    rule, share = RULES[name]
    _assert_shared_alike(
        rule(layer, z, relevance), share, layer, matrix, seen, bias.repeat_interleave(shape[1] * shape[2]), relevance
    )


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("with_bias", [True, False])
def test_linear_layers(name: str, with_bias: bool) -> None:
    x, weight, bias = constant(3, 7, seed=1), constant(5, 7, seed=2), constant(5, seed=3) * with_bias
    layer = Weighted(F.linear, x, weight, bias if with_bias else None)
    z = F.linear(x, weight, bias)
    relevance = constant(3, 5, seed=4)
    rule, share = RULES[name]
    _assert_shared_alike(rule(layer, z, relevance), share, layer, weight, torch.ones_like(weight), bias, relevance)


@pytest.mark.parametrize("name", RULES)
def test_transposed_convolutions(name: str) -> None:
    """With a stride beyond the kernel, so that some outputs see nothing."""
    x, weight, bias = constant(2, 3, 2, 3, seed=1), constant(3, 2, 2, 2, seed=2), constant(2, seed=3)
    layer = Weighted(lambda x, w: F.conv_transpose2d(x, w, stride=3), x, weight, bias, transposed=True)
    z = F.conv_transpose2d(x, weight, bias, stride=3)
    relevance = constant(*z.shape, seed=4)
    matrix, shape = conv_transpose_matrix(weight, (2, 3), stride=(3, 3))
    seen, _ = conv_transpose_matrix(torch.ones_like(weight), (2, 3), stride=(3, 3))
    rule, share = RULES[name]
    _assert_shared_alike(
        rule(layer, z, relevance), share, layer, matrix, seen, bias.repeat_interleave(shape[1] * shape[2]), relevance
    )


def _assert_shared_alike(
    found: Tensor, share: Share, layer: Weighted, matrix: Tensor, seen: Tensor, bias: Tensor, relevance: Tensor
) -> None:
    for image in range(len(found)):
        expected = by_pairs(share, layer.x[image].flatten(), matrix, seen, bias, relevance[image].flatten())
        assert torch.allclose(found[image].flatten(), expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", RULES)
def test_rules_conserve_without_bias(name: str) -> None:
    """But for what epsilon takes."""
    x, weight = constant(3, 7, seed=1), constant(5, 7, seed=2)
    relevance = constant(3, 5, seed=3)
    rule = epsilon_rule(0.0) if name == "epsilon" else RULES[name][0]
    below = rule(Weighted(F.linear, x, weight, None), F.linear(x, weight), relevance)
    assert torch.allclose(below.sum(1), relevance.sum(1), rtol=1e-10)


def test_an_output_of_nothing_gets_no_infinite_shares() -> None:
    for rule, _ in RULES.values():
        below = rule(Weighted(F.linear, torch.zeros(2, 3), torch.ones(4, 3), None), torch.zeros(2, 4), torch.ones(2, 4))
        assert below.isfinite().all()


def test_stabilising_is_per_image() -> None:
    z = torch.tensor([[3.0, -4.0, 0.0], [300.0, -400.0, 0.0]], dtype=torch.float64)
    step = 0.1 * (25 / 3) ** 0.5
    assert torch.allclose(
        stabilised(z, 0.1), z + torch.tensor([[step, -step, step], [100 * step, -100 * step, 100 * step]]).double()
    )
    assert torch.allclose(stabilised(torch.tensor([2.0, -3.0]), 0.5), torch.tensor([3.0, -4.5]))


@pytest.mark.parametrize(
    ("call", "transposed"),
    [
        (lambda x, w, b: (F.conv2d, (x, w, b, 2, 1), {}), False),
        (lambda x, w, b: (F.conv2d, (x, w), {"bias": b, "stride": 2, "padding": 1}), False),
        (lambda x, w, b: (F.conv2d, (), {"input": x, "weight": w, "bias": b, "stride": (2, 2), "padding": 1}), False),
        (lambda x, w, b: (F.conv2d, (x,), {"weight": w, "padding": "same"}), False),
        (lambda x, w, b: (F.conv_transpose2d, (x, w, b, 2), {"output_padding": 1}), True),
    ],
)
def test_calls_of_layers_in_all_their_forms(
    call: Callable[..., tuple[Callable[..., Tensor], tuple, dict]], transposed: bool
) -> None:
    x, w, b = constant(2, 4, 5, 5, seed=1).requires_grad_(), constant(4, 4, 3, 3, seed=2), constant(4, seed=3)
    function, args, kwargs = call(x, w, b)
    layer = weighted(Call(function, args, kwargs, lambda tensor: tensor))
    bias = 0.0 if layer.bias is None else layer.bias.view(-1, 1, 1)
    assert torch.allclose(layer.operation(layer.x, layer.weight) + bias, function(*args, **kwargs))
    assert layer.transposed is transposed
