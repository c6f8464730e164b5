"""First convolutions over blocks of pixels give what the plain ones give."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from layerscope.models.stem import BlockedStem, blocked_stem, is_stem

SIDES = st.tuples(st.integers(1, 24), st.integers(1, 24))


@settings(deadline=None, max_examples=60)
@given(
    kernel=st.tuples(st.integers(1, 8), st.integers(1, 8)),
    stride=st.integers(2, 5),
    padding=st.tuples(st.integers(0, 4), st.integers(0, 4)),
    sides=SIDES,
    channels=st.integers(1, 4),
    bias=st.booleans(),
    last=st.booleans(),
)
def test_values_and_gradients_are_those_of_the_convolution(
    kernel: tuple[int, int],
    stride: int,
    padding: tuple[int, int],
    sides: tuple[int, int],
    channels: int,
    bias: bool,
    last: bool,
) -> None:
    assume(all(side + 2 * around >= size for side, around, size in zip(sides, padding, kernel, strict=True)))
    conv = _filled(nn.Conv2d(channels, 5, kernel, stride, padding, bias=bias).double())
    x = _noise(2, channels, *sides)
    if last:
        x = x.contiguous(memory_format=torch.channels_last)
    wanted, slope = _with_gradient(lambda y: F.conv2d(y, conv.weight, conv.bias, stride, padding), x)
    assert is_stem(conv)
    got, gradient = _with_gradient(blocked_stem(conv), x)
    torch.testing.assert_close(got, wanted, atol=1e-12, rtol=1e-12)
    torch.testing.assert_close(gradient, slope, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_other_number_formats_and_layouts(dtype: torch.dtype, layout: torch.memory_format) -> None:
    conv = _filled(nn.Conv2d(3, 16, 7, 2, 3).double())
    x = _noise(2, 3, 33, 30)
    stem = BlockedStem(conv).to(dtype).to(memory_format=layout)
    got = stem(x.to(dtype).contiguous(memory_format=layout))
    assert got.dtype == dtype
    assert got.is_contiguous(memory_format=layout)
    wanted = conv(x)
    assert (got.double() - wanted).norm() <= {torch.float32: 1e-6, torch.bfloat16: 2e-2}[dtype] * wanted.norm()


def test_an_image_smaller_than_the_kernel_is_an_error_as_in_the_convolution() -> None:
    conv = nn.Conv2d(3, 4, 7, 2)
    for module in (conv, BlockedStem(conv)):
        with pytest.raises(RuntimeError):
            module(torch.zeros(1, 3, 5, 9))


def test_the_convolution_stays_as_it_is() -> None:
    conv = _filled(nn.Conv2d(3, 4, 3, 2))
    before = conv.weight.detach().clone()
    stem = BlockedStem(conv)
    stem.bias.zero_()
    stem.weight.zero_()
    assert torch.equal(conv.weight, before)
    assert conv.bias.abs().min() > 0
    assert not any(parameter.requires_grad for parameter in stem.parameters())


@pytest.mark.parametrize(
    "module",
    [
        nn.Conv2d(3, 4, 3),
        nn.Conv2d(8, 4, 3, 2),
        nn.Conv2d(3, 4, 3, (2, 1)),
        nn.Conv2d(3, 4, 3, 2, dilation=2),
        nn.Conv2d(3, 6, 3, 2, groups=3),
        nn.Conv2d(3, 4, 3, 2, padding="valid"),
        nn.Conv2d(3, 4, 3, 2, padding=1, padding_mode="reflect"),
        nn.Conv1d(3, 4, 3, 2),
        nn.Linear(3, 4),
    ],
    ids=str,
)
def test_all_else_stays(module: nn.Module) -> None:
    assert blocked_stem(module) is module


def test_a_convolution_with_a_hook_of_its_own_stays() -> None:
    conv = nn.Conv2d(3, 4, 3, 2)
    conv.register_forward_hook(lambda *_: None)
    assert blocked_stem(conv) is conv


def _filled(conv: nn.Conv2d) -> nn.Conv2d:
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in conv.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return conv.requires_grad_(False)


def _noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.float64)


def _with_gradient(call: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    leaf = x.clone().requires_grad_(True)
    y = call(leaf)
    (gradient,) = torch.autograd.grad((y * _noise(*y.shape)).sum(), leaf)
    return y.detach(), gradient
