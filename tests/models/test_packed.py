"""Convolutions with packed weights give what the plain ones give, for one shape after another."""

from __future__ import annotations

import copy
import itertools

import pytest
import torch
from torch import Tensor, nn

from layerscope.models import packed as module_of_it
from layerscope.models.packed import PackedConv, can_pack, packed
from layerscope.models.private_copy import private_copy

needs_packing = pytest.mark.skipif(
    not can_pack(), reason="this torch has no oneDNN operations that take packed weights of a convolution"
)
SHAPES = [(2, 17, 20), (2, 17, 20), (5, 17, 20), (1, 8, 9), (2, 17, 20)]
KINDS = {
    "plain": nn.Conv2d(6, 10, 3),
    "padded": nn.Conv2d(6, 10, 3, padding=1),
    "strided": nn.Conv2d(6, 10, 3, stride=2, padding=1),
    "strides and sides that leave rows out": nn.Conv2d(6, 10, (2, 3), stride=(3, 2), padding=(0, 1)),
    "dilated": nn.Conv2d(6, 10, 3, padding=2, dilation=2),
    "dilated and strided": nn.Conv2d(6, 10, (3, 2), stride=2, padding=(2, 1), dilation=(2, 3)),
    "pointwise": nn.Conv2d(6, 10, 1, bias=False),
    "pointwise with a stride": nn.Conv2d(6, 10, 1, stride=2),
    "as text": nn.Conv2d(6, 10, 3, padding="valid"),
    "in groups": nn.Conv2d(6, 12, 3, groups=2),
}


@needs_packing
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("kind", KINDS)
def test_values_and_gradients_for_one_shape_after_another(kind: str, layout: torch.memory_format) -> None:
    conv = _filled(KINDS[kind])
    plain, fast = copy.deepcopy(conv).double(), packed(conv.to(memory_format=layout))
    assert isinstance(fast, PackedConv) == (kind not in ("as text", "in groups"))
    for batch, height, width in SHAPES:
        x = _noise(batch, 6, height, width).contiguous(memory_format=layout)
        wanted, slope = _with_gradient(plain, x.double())
        got, gradient = _with_gradient(fast, x)
        torch.testing.assert_close(got.double(), wanted, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(gradient.double(), slope, atol=1e-5, rtol=1e-5)


@needs_packing
def test_gradients_of_two_shapes_that_are_under_way_together() -> None:
    """A part that is called twice in a forward, on maps of two sizes."""
    conv = _filled(nn.Conv2d(6, 6, 3, stride=2, padding=1))
    slopes = []
    for call in (conv, packed(conv)):
        leaf = _noise(2, 6, 19, 18).requires_grad_(True)
        slopes += torch.autograd.grad(call(call(leaf)).square().sum() + call(leaf[:1]).sum(), leaf)
    torch.testing.assert_close(slopes[1], slopes[0], atol=1e-4, rtol=1e-4)


@needs_packing
def test_weights_are_packed_once_for_a_shape() -> None:
    fast = packed(_filled(nn.Conv2d(6, 10, 3)))
    assert isinstance(fast, PackedConv)
    packs = []
    for batch, height, width in SHAPES:
        fast(_noise(batch, 6, height, width))
        packs.append(fast.packed)
    assert [one is other for one, other in itertools.pairwise(packs)] == [True, False, False, False]


@needs_packing
def test_a_gradient_that_lies_otherwise_is_taken() -> None:
    """That of a mean is one number, expanded."""
    conv = _filled(nn.Conv2d(6, 10, 3, padding=1))
    for score in (Tensor.mean, lambda y: y[:, 3].sum(), lambda y: y.permute(0, 2, 3, 1).flatten()[::7].sum()):
        slopes = []
        for call in (conv, packed(conv)):
            leaf = _noise(2, 6, 9, 9).requires_grad_(True)
            slopes += torch.autograd.grad(score(call(leaf)), leaf)
        torch.testing.assert_close(slopes[1], slopes[0], atol=1e-6, rtol=1e-5)


@needs_packing
def test_only_what_is_not_asked_for_is_packed() -> None:
    module = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3)).eval()
    private = private_copy(module, _noise(1, 3, 16, 16), ["2"], blocked=True)
    assert [type(private[at]) for at in (0, 2, 4)] == [PackedConv, nn.Conv2d, PackedConv]
    assert type(module[0]) is nn.Conv2d
    torch.testing.assert_close(private(_noise(1, 3, 16, 16)), module(_noise(1, 3, 16, 16)), atol=1e-5, rtol=1e-5)


def test_without_the_operations_nothing_is_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module_of_it, "_OPERATIONS", ("no such operation",))
    assert not can_pack()
    private = private_copy(
        nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten()).eval(), _noise(1, 3, 8, 8), [""], blocked=True
    )
    assert type(private[0]) is nn.Conv2d


def _filled(conv: nn.Conv2d) -> nn.Conv2d:
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in conv.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / 5)
    return conv.requires_grad_(False)


def _noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.float32)


def _with_gradient(call: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    leaf = x.clone().requires_grad_(True)
    y = call(leaf)
    (gradient,) = torch.autograd.grad((y * _noise(*y.shape).to(y.dtype)).sum(), leaf)
    return y.detach(), gradient
