"""DeepLift against multipliers written out layer by layer, from the image up and the score down, in float64."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from captum.attr import DeepLift
from dense import conv_matrix
from operation_examples import Use, around, constant
from tasks import found, pictures
from torch import Tensor, nn

from layerscope.attribution.deeplift import deeplift, rescaled
from layerscope.attribution.operations import UnsupportedOperationError
from layerscope.models.model import wrap

Back = Callable[[Tensor], Tensor]
"""From multipliers of the score with respect to an output to those with respect to the input."""


def secant(function: Use, x: Tensor, x0: Tensor) -> Tensor:
    """One value after the other: difference out over difference in."""
    slopes = []
    for value, before in zip(x.flatten(), x0.flatten(), strict=True):
        if value == before:
            point = value.detach().requires_grad_()
            slopes.append(torch.autograd.grad(function(point), point)[0])
        else:
            slopes.append((function(value) - function(before)) / (value - before))
    return torch.stack(slopes).reshape(x.shape)


def convolved(x: Tensor, x0: Tensor, weight: Tensor, bias: Tensor, **geometry: object) -> tuple[Tensor, Tensor, Back]:
    matrix, shape = conv_matrix(weight, tuple(x.shape[1:]), **geometry)
    y, y0 = ((matrix @ one.flatten()).reshape(shape) + bias.view(-1, 1, 1) for one in (x, x0))
    return y, y0, lambda m: (matrix.T @ m.flatten()).reshape(x.shape)


def pooled(x: Tensor, x0: Tensor, kernel: int, stride: int) -> tuple[Tensor, Tensor, Back]:
    """The cross-maximum: the change of the maximum goes by way of the larger of both maxima."""
    rows, columns = ((size - kernel) // stride + 1 for size in x.shape[1:])
    windows = list(itertools.product(range(len(x)), range(rows), range(columns)))
    y, y0 = torch.zeros(len(x), rows, columns).double(), torch.zeros(len(x), rows, columns).double()
    places: list[tuple[tuple[int, ...], tuple[int, ...]]] = []
    for c, row, column in windows:
        inside = [(c, row * stride + i, column * stride + j) for i in range(kernel) for j in range(kernel)]
        best, best0 = max(inside, key=lambda place: x[place].item()), max(inside, key=lambda place: x0[place].item())
        y[c, row, column], y0[c, row, column] = x[best], x0[best0]
        places.append((best, best0))

    def back(m: Tensor) -> Tensor:
        contributions = torch.zeros_like(x)
        for window, (best, best0) in zip(windows, places, strict=True):
            larger = max(y[window], y0[window])
            contributions[best] += m[window] * (larger - y0[window])
            contributions[best0] += m[window] * (y[window] - larger)
        return torch.where(x == x0, 0.0, contributions / (x - x0))

    return y, y0, back


class Plain(nn.Module):
    """Overlapping pooling, a strided and a grouped convolution, three functions."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.conv2 = nn.Conv2d(4, 6, 3, padding=1, groups=2)
        self.fc = nn.Linear(54, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.conv1(x)), 3, 2)
        return self.fc(torch.sigmoid(self.conv2(x)).flatten(1)).tanh()


def test_plain_network() -> None:
    net = filled(Plain())
    image, before = pictures(1, 15, dtype=torch.float64)[0], pictures(1, 15, seed=1, dtype=torch.float64)[0]
    a, a0, conv1 = convolved(image, before, net.conv1.weight, net.conv1.bias, stride=(2, 2), padding=(1, 1))
    b, b0, pool = pooled(a.relu(), a0.relu(), 3, 2)
    c, c0, conv2 = convolved(b, b0, net.conv2.weight, net.conv2.bias, padding=(1, 1), groups=2)
    d, d0 = (net.fc(one.sigmoid().flatten())[1] for one in (c, c0))
    m = net.fc.weight[1] * (d.tanh() - d0.tanh()) / (d - d0)
    m = conv2(m.reshape(c.shape) * secant(torch.sigmoid, c, c0))
    m = conv1(pool(m) * secant(torch.relu, a, a0))
    assert close(attributed(net, image, before), m * (image - before))


class Gated(nn.Module):
    """A residual sum, and a product with a gate that sees the same tensor (squeeze and excite)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.gate, self.fc = nn.Conv2d(3, 4, 3, padding=1), nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        y = F.relu(y + y * torch.sigmoid(self.gate(y.mean((2, 3))))[:, :, None, None])
        return self.fc(y.mean((2, 3)))


def test_residual_sum_and_gate() -> None:
    net = filled(Gated())
    image, before = pictures(1, 5, dtype=torch.float64)[0], pictures(1, 5, seed=1, dtype=torch.float64)[0]
    y, y0, conv = convolved(image, before, net.conv.weight, net.conv.bias, padding=(1, 1))
    h, h0 = (net.gate(one.mean((1, 2))) for one in (y, y0))
    s, s0 = h.sigmoid().view(-1, 1, 1), h0.sigmoid().view(-1, 1, 1)
    m = (net.fc.weight[1] / 25).view(-1, 1, 1) * secant(torch.relu, y + y * s, y0 + y0 * s0)
    to_gate = (m * (y + y0) / 2).sum((1, 2)) * secant(torch.sigmoid, h, h0)
    m = m + m * (s + s0) / 2 + (net.gate.weight.T @ to_gate).view(-1, 1, 1) / 25
    assert close(attributed(net, image, before), conv(m) * (image - before))


class Normed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.fc = nn.Linear(12, 5), nn.LayerNorm(5), nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.norm(self.first(x.flatten(1))))


def test_layer_norm() -> None:
    """y = c / s means that c = y s, of which each factor gets half of the interaction; s is the root of mean c^2."""
    net = filled(Normed())
    image, before = pictures(1, 2, dtype=torch.float64)[0], pictures(1, 2, seed=1, dtype=torch.float64)[0]
    c, c0 = (one - one.mean() for one in (net.first(image.flatten()), net.first(before.flatten())))
    s, s0 = ((one.square().mean() + net.norm.eps).sqrt() for one in (c, c0))
    m = net.fc.weight[1] * net.norm.weight
    to_deviation = -(m * (c / s + c0 / s0) / 2).sum() / ((s + s0) / 2)
    m = m / ((s + s0) / 2) + to_deviation / (s + s0) * (c + c0) / len(c)
    m = net.first.weight.T @ (m - m.mean())
    assert close(attributed(net, image, before), m.reshape(image.shape) * (image - before))


class Attending(nn.Module):
    """One head over the rows of the image."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v, self.fc = (nn.Linear(9, width) for width in (4, 4, 3, 2))

    def forward(self, x: Tensor) -> Tensor:
        rows = x.permute(0, 2, 1, 3).flatten(2)
        attended = F.scaled_dot_product_attention(self.q(rows), self.k(rows), self.v(rows))
        return attended.sum(1) @ self.fc.weight[:, :3].T


def test_attention() -> None:
    net = filled(Attending())
    image, before = pictures(1, 3, dtype=torch.float64)[0], pictures(1, 3, seed=1, dtype=torch.float64)[0]
    x, x0 = (one.permute(1, 0, 2).flatten(1) for one in (image, before))
    (q, q0), (k, k0), (v, v0) = (((part(x), part(x0))) for part in (net.q, net.k, net.v))
    z, z0 = q @ k.T / 2, q0 @ k0.T / 2
    p, p0 = z.softmax(1), z0.softmax(1)
    m = net.fc.weight[1, :3].expand(3, 3)  # of what is attended to
    to_v, to_p = (p + p0).T / 2 @ m, m @ (v + v0).T / 2
    to_z = torch.stack([_softmaxed(*rows) for rows in zip(to_p, z, z0, p, p0, strict=True)])
    to_q, to_k = to_z @ (k + k0) / 2 / 2, to_z.T @ (q + q0) / 2 / 2
    m = to_q @ net.q.weight + to_k @ net.k.weight + to_v @ net.v.weight
    assert close(attributed(net, image, before), (m * (x - x0)).reshape(3, 3, 3).permute(1, 0, 2))


def _softmaxed(m: Tensor, z: Tensor, z0: Tensor, p: Tensor, p0: Tensor) -> Tensor:
    """p = exp(z - t) with t the logarithm of a sum of exponentials: three functions, each with its secant."""
    total, total0 = z.exp().sum(), z0.exp().sum()
    t, t0 = total.log(), total0.log()
    slope = (p - p0) / ((z - t) - (z0 - t0))
    of_total = (z.exp() - z0.exp()) / (z - z0) * (t - t0) / (total - total0)
    return m * slope - (m * slope).sum() * of_total


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_linear_networks_get_weight_times_difference(dtype: torch.dtype) -> None:
    class Linear(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm, self.fc = nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.BatchNorm2d(4), nn.Linear(8, 2)

        def forward(self, x: Tensor) -> Tensor:
            x = self.norm(self.conv(F.interpolate(x, scale_factor=2, mode="bilinear")))
            return self.fc(torch.cat([F.avg_pool2d(x, 3, 2).mean((2, 3)), x[:, :, 0, 1] - 2], 1))

    net = filled(Linear()).to(dtype)
    image, before = pictures(1, 8, dtype=dtype)[0], pictures(1, 8, seed=1, dtype=dtype)[0]
    leaf = image[None].clone().requires_grad_()
    (weight,) = torch.autograd.grad(net(leaf)[0, 1], leaf)
    assert torch.allclose(
        attributed(net, image, before), weight[0] * (image - before), rtol=1e-5 if dtype == torch.float32 else 1e-12
    )


def test_sums_of_functions_get_the_difference_of_each() -> None:
    """f(x) = sum over i of w_i g(a_i x_i): the share of x_i can only be w_i (g(a_i x_i) - g(a_i b_i))."""
    a, w = constant(3, 4, 4), constant(3, 4, 4, seed=1)

    class Sum(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.unused = nn.Linear(1, 1).double()

        def forward(self, x: Tensor) -> Tensor:
            return (w * g(a * x)).sum((1, 2, 3))[:, None].expand(-1, 2)

    def g(x: Tensor) -> Tensor:
        return F.gelu(x) + x**3 + F.layer_norm(torch.stack([x, -x], -1), (2,), eps=1.0)[..., 0]

    image, before = pictures(1, 4, dtype=torch.float64)[0], pictures(1, 4, seed=1, dtype=torch.float64)[0]
    assert close(attributed(Sum(), image, before), w * (g(a * image) - g(a * before)))


def test_captum_agrees_where_it_is_right() -> None:
    """On a chain of modules without pooling, none of them used twice."""
    net = filled(
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.Sigmoid(), nn.Flatten(), nn.Linear(64, 2))
    )
    image, before = pictures(1, 8, dtype=torch.float64), pictures(1, 8, seed=1, dtype=torch.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = DeepLift(net).attribute(image.clone().requires_grad_(), before, target=1)
    assert torch.allclose(attributed(net, image[0], before[0]), expected[0], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("kernel", [(2, 2), (3, 1), (3, 2), (5, 3)])
@pytest.mark.parametrize("changed", [1.0, 0.5, 0.1])
def test_pooling_is_the_cross_maximum(kernel: tuple[int, int], changed: float) -> None:
    """Also where most values are as they were, and where several are the largest."""
    generator = torch.Generator().manual_seed(0)
    before = torch.randint(4, (2, 9, 9), generator=generator).double() / 4
    image = torch.where(
        torch.rand(2, 9, 9, generator=generator) < changed, torch.rand(2, 9, 9, generator=generator).double(), before
    )
    y, _, back = pooled(image, before, *kernel)
    weight = constant(*y.shape)
    found_multipliers, *_ = rescaled(
        lambda x: (F.max_pool2d(x, *kernel) * weight).sum((1, 2, 3)), image[None], before[None]
    )
    assert close(found_multipliers[0] * (image - before), back(weight) * (image - before))


@pytest.mark.parametrize(
    "use",
    [
        lambda x: F.layer_norm(x, x.shape[1:], eps=1e-6),
        lambda x: F.group_norm(x, 2, eps=1e-6),
        lambda x: F.normalize(x, dim=1),
        lambda x: F.rms_norm(x, (6,), eps=1e-6),
    ],
)
def test_a_baseline_without_variance_costs_no_precision(use: Use) -> None:
    """There a norm multiplies by its largest factor, 1 / sqrt(eps), which must not cancel against itself."""
    model = around(lambda x: use(use(use(x) + 0.1 * x) + 0.1 * x), bias=False)
    model.module.float()
    explained = found(deeplift, model, pictures(size=6), "second", baseline="black")
    gap = (explained.values.sum((1, 2, 3)) - explained.expected).abs() / explained.expected.abs()
    assert gap.max() < 2e-5


@pytest.mark.parametrize("scale", [1.0, 30.0, 1e3])
def test_a_peaked_softmax_costs_no_precision(scale: float) -> None:
    model = around(lambda x: torch.softmax(scale * x, 1) + F.scaled_dot_product_attention(scale * x, x, x))
    model.module.float()
    explained = found(deeplift, model, pictures(size=6), "second", baseline="black")
    assert explained.values.isfinite().all()
    gap = (explained.values.sum((1, 2, 3)) - explained.expected).abs() / explained.expected.abs()
    assert gap.max() < 1e-3


@pytest.mark.parametrize(
    "function", [torch.sqrt, torch.relu, lambda x: x.norm(dim=1), lambda x: F.normalize(x), lambda x: x**0.5]
)
def test_values_that_do_not_change_stay_finite_where_slopes_are_not(function: Use) -> None:
    def use(x: Tensor) -> Tensor:
        return function((x * 1e3).relu() * torch.tensor([0.0, 1, 1, 0]).view(-1, 1, 1))

    explained = found(deeplift, around(use), pictures(size=6, dtype=torch.float64), "second", baseline="black")
    assert explained.values.isfinite().all()
    assert torch.allclose(explained.values.sum((1, 2, 3)), explained.expected, rtol=1e-9)


@pytest.mark.parametrize(
    "use",
    [torch.sigmoid, lambda x: torch.softmax(x, 1), lambda x: F.layer_norm(x, (6,)), lambda x: F.max_pool2d(x, 3, 2), lambda x: x * x.mean(1, keepdim=True)],
)  # fmt: skip
@pytest.mark.parametrize("steps", [0, 1, -3])
def test_next_to_each_other_multipliers_are_gradients(use: Use, steps: int) -> None:
    """Also where a difference is no more than the rounding of a value."""
    model, image = around(use), pictures(1, 6, dtype=torch.float64)
    inputs = model.module.conv(image).detach()

    def run(x: Tensor) -> Tensor:
        return use(x).flatten(1) @ constant(use(inputs).numel())

    leaf = inputs.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(run(leaf).sum(), leaf)
    multipliers, *_ = rescaled(run, inputs, inputs * (1 + steps * 2.0**-52))
    assert torch.allclose(multipliers, gradient, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    ("first", "then", "words"),
    [
        (lambda x: F.relu(F.relu(x)), F.relu, r"nothing more on one and 'relu' of \(1, 3, 4, 4\) on the other"),
        (F.relu, lambda x: F.relu(F.relu(x)), r"'relu' of \(1, 3, 4, 4\) on one and nothing more on the other"),
        (F.relu, torch.sigmoid, r"'sigmoid' of .* on one and 'relu' of"),
        (
            lambda x: F.relu(x[:, :1]),
            lambda x: F.relu(x[:, 1:]),
            r"'relu' of \(1, 2, 4, 4\) on one and 'relu' of \(1, 1,",
        ),
    ],
)
def test_a_network_that_does_something_else_in_its_second_run_is_refused(first: Use, then: Use, words: str) -> None:
    """It counts its runs."""
    calls, images = [first, then], pictures(1, 4, dtype=torch.float64)
    with pytest.raises(UnsupportedOperationError, match=words):
        rescaled(lambda x: calls.pop(0)(x).sum((1, 2, 3)), images, images / 2)


def test_scores_are_read_as_they_are_by_now() -> None:
    def run(x: Tensor) -> Tensor:
        scores = x.sum((1, 2, 3))
        scores.mul_(scores)
        return scores

    image, before = pictures(1, 4, dtype=torch.float64), pictures(1, 4, seed=1, dtype=torch.float64)
    multipliers, score, score_before, _ = rescaled(run, image, before)
    assert torch.allclose(score, image.sum() ** 2)
    assert torch.allclose(score_before, before.sum() ** 2)
    assert torch.allclose((multipliers * (image - before)).sum(), score - score_before)


def test_what_is_masked_out_gets_nothing() -> None:
    mask = torch.tensor([True, True, False, True, False, False])
    model = around(lambda x: torch.softmax(x.masked_fill(~mask, -torch.inf), -1))
    explained = found(deeplift, model, pictures(size=6, dtype=torch.float64), "second", baseline="black")
    assert explained.values.isfinite().all()
    assert torch.allclose(explained.values.sum((1, 2, 3)), explained.expected, rtol=1e-9)
    assert explained.values[..., 4:].abs().max() > 0  # by way of the convolution
    assert explained.values[..., 5].abs().max() == 0  # which does not reach that far


def test_the_baseline_may_be_the_image_itself() -> None:
    images = pictures(size=15, dtype=torch.float64)
    explained = found(deeplift, wrap(filled(Plain()), input_size=15), images, 1, baseline=images)
    assert explained.values.abs().max() == 0
    assert explained.expected.abs().max() == 0


def test_what_was_covered_is_counted() -> None:
    explained = found(
        deeplift, wrap(filled(Plain()), input_size=15), pictures(size=15, dtype=torch.float64), 1, baseline="blur"
    )
    assert explained.covered == {"relu": 1, "max_pool2d": 1, "sigmoid": 1, "tanh": 1}
    assert explained.approximated == {"max_pool2d": "shared by which value each window has let pass"}


def filled(net: nn.Module) -> nn.Module:
    """In float64, with weights and statistics of a normal distribution."""
    with torch.no_grad():
        for number, weight in enumerate(net.parameters()):
            weight.copy_(constant(*weight.shape, seed=number) / max(weight[0].numel(), 1) ** 0.5)
        for number, buffer in enumerate(net.buffers()):
            if buffer.is_floating_point():
                buffer.copy_(constant(*buffer.shape, seed=number).square() + 0.5)
    return net.double().eval()


def attributed(net: nn.Module, image: Tensor, before: Tensor) -> Tensor:
    """Of the second output, for one image [channel, height, width]."""
    model = wrap(net, input_size=image.shape[-1], mean=(0.0,) * 3, std=(1.0,) * 3)
    return found(deeplift, model, image[None], 1, baseline=before[None]).values[0]


def close(a: Tensor, b: Tensor) -> bool:
    return torch.allclose(a, b.detach(), rtol=1e-9, atol=1e-12)
