"""LRP on whole networks: by matrices, merged with BatchNorm, conserved through every kind of operation."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from dense import conv_matrix
from operation_examples import Use, around, constant
from small_nets import SmallNet, seeded
from tasks import found, pictures
from test_deeplift import filled
from test_relevance import alpha_beta, by_pairs, flat, gamma, z_plus
from torch import Tensor, nn

from layerscope.attribution.lrp import lrp
from layerscope.attribution.operations import UnsupportedOperationError
from layerscope.errors import InputError, UnknownNameError
from layerscope.models.model import VisionModel, wrap

COMPOSITES = (
    "epsilon",
    "z+",
    "alpha2-beta1",
    "gamma",
    "flat",
    "epsilon-plus-flat",
    "epsilon-alpha2-beta1-flat",
    "epsilon-gamma-flat",
)


def relevance(model: VisionModel, images: Tensor, target: str | int = 1, **options: object) -> Tensor:
    return found(lrp, model, images, target, options=options).values


def plainly(module: nn.Module, size: int) -> VisionModel:
    """Without normalisation."""
    return wrap(module, input_size=size, mean=(0.0,) * 3, std=(1.0,) * 3)


class Chain(nn.Module):
    def __init__(self, bias: bool = True) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 4, 3, bias=bias), nn.Conv2d(4, 3, 2, stride=2, bias=bias)
        self.fc = nn.Linear(12, 2, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(F.relu(self.conv2(F.max_pool2d(F.relu(self.conv1(x)), 2, 1))).flatten(1))


@pytest.mark.parametrize(
    ("composite", "middle"),
    [("epsilon-plus-flat", z_plus), ("epsilon-alpha2-beta1-flat", alpha_beta(2, 1)), ("epsilon-gamma-flat", gamma)],
)
def test_a_chain_of_layers_by_pairs(composite: str, middle: Callable[..., Tensor]) -> None:
    """Epsilon for the linear layer, the winner takes all in the pooling, another rule in the middle, flat at the image."""
    net, images = filled(Chain()), pictures(1, 7, dtype=torch.float64)
    net.requires_grad_(False)
    a = net.conv1(images)[0]
    b, places = F.max_pool2d(a.relu(), 2, 1, return_indices=True)
    c = net.conv2(b).relu().flatten()
    score = net.fc(c)[1]
    r = c * net.fc.weight[1]  # the share of each input: c w / z, of z
    matrix, shape = conv_matrix(net.conv2.weight, (4, 4), stride=(2, 2))
    r = by_pairs(middle, b.flatten(), matrix, matrix, net.conv2.bias.repeat_interleave(shape[1] * shape[2]), r)
    r = (
        torch.zeros(4, 25)
        .double()
        .index_put((torch.arange(4)[:, None], places.flatten(1)), r.view(4, -1), accumulate=True)
    )
    matrix, shape = conv_matrix(torch.ones_like(net.conv1.weight), (7, 7))
    r = by_pairs(flat, images.flatten(), matrix, matrix, torch.zeros(len(matrix)).double(), r.flatten())
    explained = found(lrp, plainly(net, 7), images, 1, options={"composite": composite})
    assert torch.allclose(explained.values.flatten(), r, rtol=1e-5, atol=1e-9)
    assert torch.allclose(explained.expected, score)
    assert explained.notes == (f"composite {composite}: relevance of the normalised image",)


@pytest.mark.parametrize("network", [Chain, SmallNet])
def test_epsilon_is_input_times_gradient_on_piecewise_linear_networks(network: type[nn.Module]) -> None:
    """Ancona et al. 2018, proposition 1: whatever the biases."""
    size = 7 if network is Chain else 16
    model, images = wrap(filled(network()), input_size=size), pictures(2, size, dtype=torch.float64)
    inputs = model.normalise(images).requires_grad_()
    (gradient,) = torch.autograd.grad(model.module(inputs)[:, 1].sum(), inputs)
    assert torch.allclose(
        relevance(model, images, composite="epsilon", epsilon=0), inputs * gradient, rtol=1e-6, atol=1e-9
    )
    rough = relevance(model, images, composite="epsilon", epsilon=0.1)
    assert not torch.allclose(rough, inputs * gradient, rtol=0.01)


class Merging(nn.Module):
    """A BatchNorm after convolutions and a linear layer: at once, after a ReLU, with a branch between."""

    def __init__(self, folded: bool = False) -> None:
        super().__init__()
        self.conv1, self.conv2, self.fc = (
            nn.Conv2d(3, 4, 3),
            nn.Conv2d(4, 6, 3, padding=1, groups=2, bias=False),
            nn.Linear(6, 5),
        )
        self.norms = nn.ModuleList([nn.BatchNorm2d(4), nn.BatchNorm2d(6), nn.BatchNorm1d(5)])
        self.head = nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norms[0](self.conv1(x)))
        y = self.conv2(x)
        x = F.relu(self.norms[1](y)).mean((2, 3))
        return self.head(F.relu(self.norms[2](self.fc(x))))


def folded(net: Merging) -> nn.Module:
    """The same network with each BatchNorm in the weights before it."""
    other = filled(Merging())
    for number, layer in enumerate((net.conv1, net.conv2, net.fc)):
        norm = net.norms[number]
        factor = norm.weight / (norm.running_var + norm.eps).sqrt()
        bias = norm.bias + ((0 if layer.bias is None else layer.bias) - norm.running_mean) * factor
        weight = layer.weight * factor.view(-1, *(1,) * (layer.weight.ndim - 1))
        mine = (other.conv1, other.conv2, other.fc)[number]
        mine.weight, mine.bias = nn.Parameter(weight.detach()), nn.Parameter(bias.detach())
        other.norms[number] = nn.Identity()
    other.head.load_state_dict(net.head.state_dict())
    return other


@pytest.mark.parametrize("composite", COMPOSITES)
def test_batch_norm_is_merged_into_the_layer_before(composite: str) -> None:
    net, images = filled(Merging()), pictures(2, 8, dtype=torch.float64)
    other = folded(net)
    assert torch.allclose(net(images), other(images))
    expected = relevance(plainly(other, 8), images, composite=composite)
    assert torch.allclose(relevance(plainly(net, 8), images, composite=composite), expected, rtol=1e-6, atol=1e-9)


def test_batch_norm_with_weights_left_out_and_by_position() -> None:
    """As functions are called by hand."""
    mean, variance = constant(4, seed=5), constant(4, seed=6).square() + 1
    plain = around(lambda x: F.relu(F.batch_norm(x, mean, variance, None, None, False, 0.1, 0.5)))
    by_name = around(lambda x: F.relu(F.batch_norm(x, running_mean=mean, running_var=variance, eps=0.5)))
    layer = plain.module.conv
    factor = (variance + 0.5).rsqrt()
    net = around(F.relu)
    net.module.conv.weight, net.module.conv.bias = (
        nn.Parameter((layer.weight * factor.view(-1, 1, 1, 1)).detach()),
        nn.Parameter(((layer.bias - mean) * factor).detach()),
    )
    images = pictures(size=6, dtype=torch.float64)
    for composite in ("epsilon", "gamma"):
        expected = relevance(net, images, composite=composite)
        assert torch.allclose(relevance(plain, images, composite=composite), expected, rtol=1e-6, atol=1e-9)
        assert torch.allclose(relevance(by_name, images, composite=composite), expected, rtol=1e-6, atol=1e-9)


def test_a_batch_norm_by_itself_hands_on_or_shares_with_its_shift() -> None:
    """Before a convolution (as in DenseNet), after a sum, after a transposed convolution, on tokens."""
    mean, variance = constant(4, seed=5) / 2, constant(4, seed=6).square() + 1

    def alone(x: Tensor) -> Tensor:
        return F.relu(F.batch_norm(F.relu(x), mean, variance))

    images = pictures(size=6, dtype=torch.float64)
    for composite in ("z+", "flat", "gamma"):
        values = found(lrp, around(alone, bias=False), images, 1, options={"composite": composite})
        if composite != "gamma":
            assert torch.allclose(values.values.sum((1, 2, 3)), values.expected, rtol=1e-6)
    inputs = images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(around(alone).module(inputs)[:, 1].sum(), inputs)
    assert torch.allclose(
        relevance(around(alone), images, composite="epsilon", epsilon=0), inputs * gradient, rtol=1e-6, atol=1e-9
    )


@pytest.mark.parametrize(
    "layer",
    [
        lambda x: F.conv_transpose2d(x, constant(4, 4, 3, 3)),
        lambda x: F.linear(x, constant(4, 6)),
        lambda x: F.conv2d(x, constant(4, 4, 3, 3)) * 1,
    ],
)
def test_a_batch_norm_that_cannot_be_merged_only_scales(layer: Use) -> None:
    """After a transposed convolution, after a layer of tokens, and where something lies between."""
    factor = constant(4).square() + 0.5

    def normed(x: Tensor) -> Tensor:
        return F.relu(F.batch_norm(layer(F.relu(x)), constant(4) * 0, factor**-2 - 1e-5))

    def scaled(x: Tensor) -> Tensor:
        return F.relu(layer(F.relu(x)) * factor.view(-1, 1, 1))

    images = pictures(size=6, dtype=torch.float64)
    for composite in ("z+", "gamma"):
        expected = relevance(around(scaled), images, composite=composite)
        assert torch.allclose(relevance(around(normed), images, composite=composite), expected, rtol=1e-6, atol=1e-6)


class Entries(nn.Module):
    """Two convolutions see the image, one of them later and after a flip."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right, self.middle = (nn.Conv2d(3, 3, 3, padding=1, bias=False) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.middle(F.relu(self.left(x))))
        return torch.stack([y.mean((1, 2, 3)), F.relu(self.right(2 * x.flip(3))).mean((1, 2, 3))], 1)


def test_all_layers_that_see_the_image_follow_the_first_rule() -> None:
    net, images = filled(Entries()), pictures(1, 5, dtype=torch.float64) - 0.4
    images = images.clamp(0, 1)
    seen, _ = conv_matrix(torch.ones_like(net.right.weight), (5, 5), padding=(1, 1))
    r = net.right(2 * images.flip(3)).relu().flatten() / 75
    expected = (
        by_pairs(flat, images.flip(3).flatten(), seen, seen, torch.zeros(75).double(), r).view(1, 3, 5, 5).flip(3)
    )
    assert torch.allclose(relevance(plainly(net, 5), images), expected, rtol=1e-6)
    assert (expected != 0).any()


class Conserving(nn.Module):
    """Without biases: a skip, a concatenation, a gate, poolings, a channel shuffle, an upsampling."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2, self.conv3 = (nn.Conv2d(width, 4, 3, padding=1, bias=False) for width in (3, 4, 8))
        self.gate, self.fc = nn.Linear(4, 4, bias=False), nn.Linear(16, 3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = F.silu(self.conv1(x))
        x = F.max_pool2d(x + F.gelu(self.conv2(x)), 3, 2, 1)
        x = F.hardswish(self.conv3(F.channel_shuffle(torch.cat([x, 2 * x.roll(1, 1)], 1), 2)))
        x = x * torch.sigmoid(self.gate(x.mean((2, 3))))[:, :, None, None].expand_as(x)
        x = F.interpolate(F.avg_pool2d(x, 2), scale_factor=2, mode="bilinear")
        return self.fc(F.adaptive_avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), 2).flatten(1))


@pytest.mark.parametrize("composite", COMPOSITES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_conserved_without_biases(composite: str, dtype: torch.dtype) -> None:
    model, images = plainly(filled(Conserving()).to(dtype), 8), pictures(2, 8, dtype=dtype)
    explained = found(lrp, model, images, 1, options={"composite": composite, "epsilon": 1e-9})
    with torch.no_grad():
        assert torch.allclose(explained.expected, model(images)[:, 1])
    scale = explained.expected.abs() + explained.values.abs().sum((1, 2, 3)) * 1e-3
    assert ((explained.values.sum((1, 2, 3)) - explained.expected).abs() <= 1e-3 * scale).all()
    assert explained.approximated == {}


class Tokens(nn.Module):
    """A block of a transformer without biases."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, 8, 2, stride=2, bias=False)
        self.norm1, self.norm2 = nn.LayerNorm(8, bias=False), nn.LayerNorm(8, bias=False)
        self.attention = nn.MultiheadAttention(8, 2, bias=False, batch_first=True)
        self.up, self.down, self.fc = (
            nn.Linear(8, 16, bias=False),
            nn.Linear(16, 8, bias=False),
            nn.Linear(8, 3, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x).flatten(2).transpose(1, 2)
        y = self.norm1(x)
        x = x + self.attention(y, y, y, need_weights=False)[0]
        return self.fc((x + self.down(F.gelu(self.up(self.norm2(x))))).mean(1))


@pytest.mark.parametrize("composite", ["epsilon", "z+", "epsilon-plus-flat"])
def test_conserved_through_attention_and_norms(composite: str) -> None:
    model, images = plainly(filled(Tokens()), 6), pictures(2, 6, dtype=torch.float64)
    explained = found(lrp, model, images, 1, options={"composite": composite, "epsilon": 0})
    assert torch.allclose(explained.values.sum((1, 2, 3)), explained.expected, rtol=1e-5)
    assert explained.approximated == {}


def test_attention_and_norms_count_as_weights() -> None:
    """Ali et al. 2022, section 3: the gradient of a copy in which they are constants, times input."""
    net, images = filled(Tokens()), pictures(1, 6, dtype=torch.float64)
    x = images.clone().requires_grad_()
    tokens = net.embed(x).flatten(2).transpose(1, 2)

    def normed(x: Tensor, weight: Tensor) -> Tensor:
        centred = x - x.mean(-1, keepdim=True)
        return centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt().detach() * weight

    y = normed(tokens, net.norm1.weight)
    q, k, v = (
        one.unflatten(2, (2, 4)).transpose(1, 2) for one in F.linear(y, net.attention.in_proj_weight).chunk(3, -1)
    )
    attention = (q @ k.transpose(2, 3) / 2).softmax(-1).detach()
    tokens = tokens + net.attention.out_proj((attention @ v).transpose(1, 2).flatten(2))
    up = net.up(normed(tokens, net.norm2.weight))
    score = net.fc((tokens + net.down(up * (F.gelu(up) / up).detach())).mean(1))[0, 1]
    (gradient,) = torch.autograd.grad(score, x)
    assert torch.allclose(
        relevance(plainly(net, 6), images, composite="epsilon", epsilon=0), x * gradient, rtol=1e-5, atol=1e-9
    )


@pytest.mark.parametrize("swapped", [False, True])
def test_of_a_gate_and_what_it_gates_the_latter_takes_all(swapped: bool) -> None:
    images = pictures(size=6, dtype=torch.float64)

    def gated(x: Tensor, gate: Tensor) -> Tensor:
        return F.relu(gate * x if swapped else x * gate)

    def gate(x: Tensor) -> Tensor:
        return torch.sigmoid(x.mean((2, 3), keepdim=True))

    explained = found(lrp, around(lambda x: gated(x, gate(x))), images, 1)
    constant_gate = found(lrp, around(lambda x: gated(x, gate(x).detach())), images, 1)
    assert torch.allclose(explained.values, constant_gate.values, rtol=1e-6, atol=1e-10)
    assert explained.approximated == {}
    spread = found(lrp, around(lambda x: gated(x.mean((2, 3), keepdim=True), torch.sigmoid(x))), images, 1).values
    assert torch.allclose(spread.sum((1, 2, 3)), constant_gate.values.sum((1, 2, 3)) * 0 + spread.sum((1, 2, 3)))


def test_a_gate_in_a_matrix_product_is_a_weight_too() -> None:
    """Relevance goes to the places that are mixed, not to where the result lies."""
    images = pictures(size=6, dtype=torch.float64)
    explained = found(lrp, around(lambda x: torch.sigmoid(x) @ x), images, 1)
    expected = found(lrp, around(lambda x: torch.sigmoid(x).detach() @ x), images, 1)
    assert torch.allclose(explained.values, expected.values, rtol=1e-6, atol=1e-10)
    explained = found(lrp, around(lambda x: x @ torch.sigmoid(x)), images, 1)
    expected = found(lrp, around(lambda x: x @ torch.sigmoid(x).detach()), images, 1)
    assert torch.allclose(explained.values, expected.values, rtol=1e-6, atol=1e-10)


@pytest.mark.parametrize(
    ("use", "name"),
    [
        (lambda x: F.relu(x) * x.roll(1, 1), "mul"),
        (lambda x: x @ x.transpose(2, 3), "matmul"),
        (lambda x: torch.einsum("bchw,bdhw->bcd", x, x), "einsum"),
        (lambda x: torch.tanh(x) * torch.sigmoid(x), "mul"),
    ],
)
def test_other_products_give_half_to_each_and_say_so(use: Use, name: str) -> None:
    explained = found(
        lrp, around(use, bias=False), pictures(size=6, dtype=torch.float64), 1, options={"composite": "z+"}
    )
    assert explained.approximated == {name: "half of the relevance to each factor"}
    assert torch.allclose(explained.values.sum((1, 2, 3)), explained.expected, rtol=1e-4)


def test_of_a_quotient_the_numerator_takes_all_and_that_is_said() -> None:
    explained = found(
        lrp,
        around(lambda x: x / (x.mean(1, keepdim=True).sigmoid() + 1), bias=False),
        pictures(size=6, dtype=torch.float64),
        1,
        options={"composite": "z+"},
    )
    assert explained.approximated == {"div": "all of the relevance to the numerator"}
    assert torch.allclose(explained.values.sum((1, 2, 3)), explained.expected, rtol=1e-4)


_FIRST = F.pad(torch.diag(torch.tensor([1.0, 0, 0, 0])).double().view(4, 4, 1, 1), (1, 1, 1, 1))
"""The weight of a convolution that passes the first channel alone."""


@pytest.mark.parametrize(
    "use",
    [
        lambda x: F.conv2d(x - F.conv2d(x, _FIRST, padding=1), constant(4, 4, 1, 1)),
        lambda x: (x - x.roll(1, 1)).cumsum(1)[:, -1:] + x,
        lambda x: F.avg_pool2d(F.relu(x - 9), 2) + F.avg_pool2d(x, 2),
    ],
)
def test_sums_that_cancel_do_not_blow_up(use: Use) -> None:
    explained = found(
        lrp, around(use, bias=False), pictures(size=6, dtype=torch.float64), 1, options={"composite": "flat"}
    )
    assert explained.values.isfinite().all()
    assert explained.values.abs().max() < 1e3


def test_relevance_of_zeros_is_shared_evenly() -> None:
    """The flat rule gives relevance to what is zero; means of zeros hand it on."""
    net = nn.Sequential(
        nn.Conv2d(3, 2, 3, bias=False), nn.ReLU(), nn.AvgPool2d(2), nn.Conv2d(2, 2, 2), nn.Flatten(), nn.Linear(2, 2)
    )
    net = filled(net)
    with torch.no_grad():
        net[0].weight[0] = -net[0].weight[0].abs()  # its maps are zero
    explained = found(lrp, plainly(net, 6), pictures(2, 6, dtype=torch.float64), 1, options={"composite": "flat"})
    assert torch.allclose(explained.values.sum((1, 2, 3)), explained.expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("use", "name"),
    [
        (abs, "abs"),
        (lambda x: x**2, "pow"),
        (torch.sqrt, "sqrt"),
        (lambda x: 1 / (x + 9), "reciprocal"),
        (lambda x: x.std((2, 3)), None),
        (torch.cos, "cos"),
    ],
)
def test_functions_that_are_no_activations_are_refused(use: Use, name: str | None) -> None:
    with pytest.raises(
        UnsupportedOperationError,
        match=f"LRP has no rule for the operation {name!r}" if name else "no way from the score",
    ):
        found(lrp, around(use), pictures(size=6, dtype=torch.float64), 1)


def test_a_score_that_is_a_probability_is_refused() -> None:
    with pytest.raises(
        UnsupportedOperationError, match=r"LRP takes a softmax as weights.*explain what comes before it"
    ):
        found(lrp, around(lambda x: torch.softmax(x.flatten(1), 1)), pictures(size=6, dtype=torch.float64), 1)


def test_margins_and_units() -> None:
    model, images = (
        wrap(seeded(SmallNet()).double(), input_size=16, class_names=tuple("abcde")),
        pictures(2, 16, dtype=torch.float64),
    )
    by_class = [relevance(model, images, name, composite="epsilon") for name in "ab"]
    margin = relevance(model, images, "a versus b", composite="epsilon")
    assert torch.allclose(margin, by_class[0] - by_class[1], rtol=1e-4, atol=1e-8)
    unit = found(lrp, model, images, "conv1:3@2,2", options={"composite": "epsilon", "epsilon": 0})
    inputs = model.normalise(images).requires_grad_()
    (gradient,) = torch.autograd.grad(model.module.conv1(inputs)[:, 3, 2, 2].sum(), inputs)
    assert torch.allclose(unit.values, inputs * gradient, rtol=1e-6, atol=1e-9)


def test_options_that_make_no_sense() -> None:
    model, images = around(F.relu), pictures(size=6, dtype=torch.float64)
    for options in ({"epsilon": -1.0}, {"gamma": -0.1}, {"epsilon": float("nan")}):
        with pytest.raises(InputError, match="has to be a number of at least 0"):
            relevance(model, images, **options)
    with pytest.raises(UnknownNameError, match=r"LRP composite 'epsilon-plus'.*epsilon-plus-flat"):
        relevance(model, images, composite="epsilon-plus")
