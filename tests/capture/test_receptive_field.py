"""Claimed windows against measured ones: a linear network of positive weights lets through what it sees, and only that."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, note, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from layerscope.capture.fields.field import Field, Span
from layerscope.capture.fields.receptive_field import FieldTracker

SIZE = 32
Step = Callable[[Tensor], Tensor]


def weights(units: int, channels: int, kernel: int) -> Tensor:
    return torch.full((units, channels, kernel, kernel), 1 / (channels * kernel**2), dtype=torch.float64)


def conv(x: Tensor, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1, groups: int = 1) -> Tensor:
    weight = weights(x.shape[1], x.shape[1] // groups, kernel)
    return F.conv2d(x, weight, None, stride, padding, dilation, groups)


def transposed(x: Tensor, kernel: int, stride: int, padding: int, dilation: int, more: int) -> Tensor:
    padding, more = min(padding, dilation * (kernel - 1)), min(more, max(stride, dilation) - 1)
    return F.conv_transpose2d(x, weights(x.shape[1], 4, kernel), None, stride, padding, more, 1, dilation)


def shortcut(x: Tensor, kernel: int, stride: int) -> Tensor:
    """A residual block whose shortcut is a 1x1 convolution of the same stride."""
    return conv(conv(x, kernel, stride, kernel // 2), 3, 1, 1) + conv(x, 1, stride)


def concatenation(x: Tensor, kernel: int, dilation: int, part: slice) -> Tensor:
    """Two branches side by side, and a part of the units of both."""
    wide = conv(x, kernel, 1, dilation * (kernel // 2), dilation, groups=2)
    return torch.cat([x, wide], 1)[:, part]


def resized(x: Tensor, factor: float, mode: str, by_size: bool, corners: bool, smooth: bool) -> Tensor:
    smooth_modes = mode in ("bilinear", "bicubic")
    how = {"align_corners": corners, "antialias": smooth} if smooth_modes else {}
    if by_size:
        return F.interpolate(x, size=[max(1, round(length * factor)) for length in x.shape[2:]], mode=mode, **how)
    return F.interpolate(x, scale_factor=factor, mode=mode, **how)


def u_shape(x: Tensor, mode: str) -> Tensor:
    """Down, up to the size of before, and beside what was there before: strides need not fit."""
    down = conv(F.avg_pool2d(x, 2), 3, 1, 1)
    return torch.cat([x, F.interpolate(down, size=x.shape[2:], mode=mode)], 1)


small, flags = st.integers(1, 3), st.booleans()
factors = st.sampled_from([0.5, 0.3, 0.75, 1.0, 1.5, 1.7, 2.0, 3.0])
modes = st.sampled_from(["nearest", "nearest-exact", "bilinear", "bicubic", "area"])
parts = st.sampled_from([slice(0, None), slice(0, 2), slice(-2, None), slice(1, -1)])


def step(
    function: Callable[..., Tensor], *arguments: st.SearchStrategy[object]
) -> st.SearchStrategy[tuple[object, ...]]:
    return st.tuples(st.just(function), *arguments)


STEPS = st.one_of(
    step(conv, st.integers(1, 5), small, st.integers(0, 3), small, st.sampled_from([1, 2])),
    step(lambda x, k, s, p, ceil: F.avg_pool2d(x, k, s, min(p, k // 2), ceil), small, small, st.integers(0, 1), flags),
    step(lambda x, a, b, c, d: F.pad(x, (a, b, c, d)), *[st.integers(-2, 3)] * 4),
    step(lambda x, a, b, s: x[:, :, a::s, b:], small, small, small),
    step(shortcut, st.sampled_from([1, 3, 5]), small),
    step(concatenation, st.sampled_from([1, 3]), small, parts),
    step(resized, factors, modes, flags, flags, flags),
    step(transposed, small, small, st.integers(0, 2), small, st.integers(0, 2)),
    step(u_shape, st.sampled_from(["nearest", "bilinear"])),
    step(lambda x, size: F.adaptive_avg_pool2d(x, size), st.integers(1, 9)),
    step(lambda x: F.pixel_shuffle(conv(x.repeat_interleave(4, 1)[:, : 4 * x.shape[1]], 1), 2)),
    step(lambda x: F.pixel_unshuffle(x, 2)[:, :4]),
)  # fmt: skip


class Chain(nn.Module):
    def __init__(self, steps: list[tuple[Callable[..., Tensor], object]]) -> None:
        super().__init__()
        self.steps = steps
        self.narrow = False  # whether a map was one position wide: its rows can be mistaken for units

    def forward(self, x: Tensor) -> Tensor:
        for function, *arguments in self.steps:
            x = function(x, *arguments)
            self.narrow |= 1 in x.shape[2:]
            if x.shape[1] % 2:
                x = torch.cat([x, x], 1)
        return x


def claimed(module: nn.Module, size: int = SIZE) -> Field:
    image = torch.zeros(1, 2, size, size, dtype=torch.float64)
    with torch.no_grad(), FieldTracker(image) as tracker:
        field = tracker.field(module(image))
    assert field is not None
    return field


def measured(module: nn.Module, axis: int, size: int = SIZE) -> Tensor:
    """[pixel, position]: whether a row (axis 2) or column (3) of pixels reaches a row or column of positions.

    The network is linear without a bias: what lines of ones leave at a position is the sum of its gradient there.
    """
    lines = torch.zeros(size, 2, size, size, dtype=torch.float64)
    for line, image in enumerate(lines):
        image.select(axis - 1, line).fill_(1)
    with torch.no_grad():
        return module(lines).abs().amax((1, 5 - axis)) > 1e-13


def check(field: Field, module: nn.Module, size: int = SIZE) -> list[bool]:
    """Every position sees no more than is claimed; returns for rows and columns whether one sees exactly that."""
    assert field.window is not None
    attained = []
    for axis, span in zip((2, 3), field.window, strict=True):
        seen, exactly = measured(module, axis, size), False
        for position, pixels in enumerate(seen.T):
            places = pixels.nonzero()[:, 0].tolist()
            first, last = span.first + position * span.stride, span.last + position * span.stride
            assert not places or first <= places[0] <= places[-1] <= last, (axis, position, span, places)
            exactly |= bool(places) and (first, last) == (places[0], places[-1])
        attained.append(exactly)
    return attained


@settings(max_examples=40, deadline=None)
@given(st.lists(STEPS, min_size=1, max_size=5))
def test_random_networks_see_what_is_claimed(steps: list[tuple[Callable[..., Tensor], object]]) -> None:
    assert fault(steps) == ""


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(st.lists(STEPS, min_size=1, max_size=6))
def test_many_random_networks_see_what_is_claimed(steps: list[tuple[Callable[..., Tensor], object]]) -> None:
    assert fault(steps) == ""


def fault(steps: list[tuple[Callable[..., Tensor], object]]) -> str:
    """What is wrong with the window claimed for a network of these steps; "" where all is right."""
    module = Chain(steps)
    try:
        shape = module(torch.zeros(1, 2, SIZE, SIZE, dtype=torch.float64)).shape
    except (RuntimeError, ValueError):  # too small for the next step
        assume(False)
    assume(min(shape[2:]) >= 2 and max(shape[2:]) < 64)
    field = claimed(module)
    note(f"{field}")
    if field.window is None:
        return "" if module.narrow else "no window, though no map was one position wide"
    attained = check(field, module)
    small = field.exact and (field.size or SIZE) <= SIZE // 3
    return "exact, and no position sees that much" if small and attained != [True, True] else ""


@pytest.mark.parametrize(
    ("mode", "antialias"),
    [
        *itertools.product(["bilinear", "bicubic"], [False, True]),
        *((mode, False) for mode in ("nearest", "nearest-exact", "area")),
    ],
)
def test_resizing_to_every_size(mode: str, antialias: bool) -> None:
    for size, corners in itertools.product((1, 2, 3, 5, 7, 9, 10, 11, 15, 20, 23, 30), (False, True)):
        how = {"align_corners": corners, "antialias": antialias} if mode in ("bilinear", "bicubic") else {}
        module = Chain(
            [(lambda x, how=how, size=size: F.interpolate(conv(x, 3), size=(size, size), mode=mode, **how),)]
        )
        field = claimed(module, 12)
        if mode == "area" and size == 1:
            assert field.whole
            continue
        check(field, module, 12)
        taps = {"bilinear": 2, "bicubic": 4}.get(mode, 1)
        step = 9 / max(size - 1, 1) if corners and taps > 1 else 10 / size
        assert field.size is not None
        assert field.size <= 3 + taps * max(1, step) + 1


@pytest.mark.parametrize(
    ("function", "size", "stride", "exact"),
    [
        (lambda x: F.interpolate(conv(x, 3), scale_factor=2), 3, None, False),
        (lambda x: F.interpolate(conv(x, 3, 4), scale_factor=2), 5, 2, False),
        (lambda x: F.interpolate(conv(x, 3), scale_factor=0.5), 3, 2, True),
        (lambda x: F.interpolate(conv(x, 3, 4), scale_factor=2, mode="bilinear"), 3 + 6, 2, False),
        (lambda x: transposed(conv(x, 4, 4), 2, 2, 0, 1, 0), 4 + 2, 2, False),
        (lambda x: transposed(conv(x, 4, 4), 3, 1, 1, 1, 0), 12, 4, True),
        (lambda x: F.adaptive_avg_pool2d(conv(x, 3, padding=1), 8), 3 + 3, 4, True),
        (lambda x: F.adaptive_avg_pool2d(conv(x, 3, padding=1), 7), 8, None, False),
        (lambda x: F.pixel_unshuffle(x, 2), 2, 2, True),
        (lambda x: F.pad(conv(x, 3, 2), (3, 3, 3, 3), mode="reflect"), 3, 2, True),
        (lambda x: F.avg_pool2d(conv(x, 3, 2), 3, 2, ceil_mode=True), 7, 4, True),
        (lambda x: torch.cat([x, conv(x, 5, 1, 2)], 1)[:, :2], 5, 1, False),
        (lambda x: torch.cat([conv(x, 5, 1, 2), conv(x, 5, 1, 2)], 1)[:, :2], 5, 1, True),
        (lambda x: conv(torch.cat([x, conv(x, 5, 1, 2)], 1), 1)[:, :2], 5, 1, True),
        (lambda x: x * conv(x, 3, 1, 1).mean(1, keepdim=True).sigmoid(), 3, 1, True),
        (lambda x: torch.einsum("bchw,cd->bdhw", conv(x, 3), torch.ones(2, 5, dtype=torch.float64)), 3, 1, True),
        (lambda x: torch.stack([x, conv(x, 3, 1, 1)], 1).amax(1), 3, 1, True),
    ],
)  # fmt: skip
def test_windows_of_single_operations(function: Step, size: int, stride: int | None, exact: bool) -> None:
    field = claimed(Chain([(function,)]))
    assert (field.size, field.stride, field.status) == (size, stride, "exact" if exact else "upper bound")


def test_a_row_that_is_chosen_stays_where_it_is() -> None:
    """Two rows put side by side as units: what is made of both sees both, far apart as they are."""

    def far_apart(x: Tensor) -> Tensor:
        y = conv(x, 3, padding=1)
        return torch.stack([y[:, :, 4], y.unbind(2)[30]], 2).sum(2)

    field = claimed(Chain([(far_apart,)]))
    assert field.window == (Span(3, 31, 0), Span(-1, 1, 1))
    assert (field.size, field.stride, field.offset) == (29, None, None)


@pytest.mark.parametrize("write", [lambda x, y: x.view(-1).copy_(y.view(-1)), lambda x, y: x[0].add_(y[0])])
def test_a_write_through_a_view_is_seen_by_all_views(write: Callable[[Tensor, Tensor], object]) -> None:
    def to_what_was_seen(x: Tensor) -> Tensor:
        y = conv(x, 1)
        older = y.detach()
        write(y, conv(x, 5, padding=2))
        return older * 1

    def to_a_constant(x: Tensor) -> Tensor:
        z = torch.zeros_like(x)
        write(z, conv(x, 5, padding=2))
        return conv(x, 1) + z

    assert claimed(Chain([(to_what_was_seen,)])).status == "unknown"
    assert claimed(Chain([(to_a_constant,)])).status == "unknown"


def test_a_write_elsewhere_changes_nothing() -> None:
    def forward(x: Tensor) -> Tensor:
        y, z = conv(x, 1), conv(x, 3, padding=1)
        z += conv(x, 5, padding=2)
        return y + z

    for device in ("cpu", "meta"):
        image = torch.zeros(1, 2, SIZE, SIZE, dtype=torch.float64, device=device)
        with torch.no_grad(), torch.device(device), FieldTracker(image) as tracker:
            field = tracker.field(forward(image))
        assert field is not None
        assert (field.size, field.status) == (5, "exact")


def test_a_cyclic_shift_of_rows_is_not_worked_out_and_keeps_the_arrangement() -> None:
    field = claimed(Chain([(lambda x: torch.roll(conv(x, 3), (1, 1), (2, 3)),)]))
    assert (field.status, field.is_map) == ("unknown", True)
    assert claimed(Chain([(lambda x: torch.roll(conv(x, 3), 1, 1),)])).status == "exact"


@pytest.mark.parametrize(
    "leaves",
    [
        lambda x: x.abs().max().item(),
        lambda x: float(x.mean()),
        lambda x: x.tolist()[0][0][0][0],
        lambda x: x.numpy().max(),
        lambda x: np.asarray(x).max(),
        lambda x: torch.from_dlpack(x).max(),
        lambda x: (x > 0).nonzero().shape[0],
        lambda x: x[x > 0].shape[0],
        lambda x: x.masked_select(x > 0).shape[0],
        lambda x: 2 if x.mean() > 0 else 1,
        lambda x: 2 if torch.equal(x, x + 1) else 1,
    ],
)
def test_no_window_after_values_left_the_tensors(leaves: Callable[[Tensor], object]) -> None:
    with_a_number = Chain([(lambda x: conv(x, 3) * (1 + leaves(x)),)])
    assert claimed(with_a_number).status == "unknown"
    assert claimed(Chain([(lambda x: [conv(x, 3), leaves(x)][0],)])).size == 3  # what was there before stays


@pytest.mark.parametrize("leaves", [lambda x: torch.ones(3).tolist(), lambda x: x[:, [1, 0]], lambda x: x.shape[0]])
def test_constants_may_leave(leaves: Callable[[Tensor], object]) -> None:
    def forward(x: Tensor) -> Tensor:
        leaves(x)
        return conv(x, 3)

    assert claimed(Chain([(forward,)])).status == "exact"


def test_a_write_by_numpy_is_seen() -> None:
    def forward(x: Tensor) -> Tensor:
        y = conv(x, 3)
        y.numpy()[:] = y.numpy()[:, :, ::-1].copy()
        return y

    assert claimed(Chain([(forward,)])).status == "unknown"


def windows(x: Tensor, side: int, attention: Step) -> Tensor:
    """[b, c, h, w] in windows of tokens [b * windows, side * side, c] and back."""
    b, c, h, w = x.shape
    x = x.view(b, c, h // side, side, w // side, side).permute(0, 2, 4, 3, 5, 1).reshape(-1, side**2, c)
    x = attention(x).view(b, h // side, w // side, side, side, c)
    return x.permute(0, 5, 1, 3, 2, 4).reshape(b, c, h, w)


def by_products(x: Tensor) -> Tensor:
    return (x @ x.mT).softmax(-1) @ x


def fused(x: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(x, x, x)


@pytest.mark.parametrize(
    ("function", "status"),
    [
        (lambda x: windows(x, 8, fused), "unknown"),
        (lambda x: windows(x, 8, by_products), "unknown"),
        (lambda x: windows(x, SIZE, fused), "whole image"),
        (lambda x: windows(x, SIZE, by_products), "whole image"),
        (lambda x: windows(x, SIZE, lambda tokens: tokens @ tokens.mT @ tokens), "whole image"),
        (lambda x: windows(x, SIZE, lambda tokens: (tokens @ tokens.mT)[..., :2]), "unknown"),
        (lambda x: windows(x, 8, fused).mean((2, 3)), "whole image"),
        (lambda x: fused(torch.cat([torch.ones_like(x[..., 0])[..., :1], x.flatten(2)], 2).mT), "whole image"),
        (lambda x: torch.cat([torch.ones_like(x[..., 0])[..., :1], x.flatten(2)], 2).mT, "unknown"),
        (lambda x: torch.cat([torch.ones(1, 1, 2), x.flatten(2).mT], 1)[:, :1].mean(1), "unknown"),
        (lambda x: x.mean(2), "unknown"),
        (lambda x: x.mean(2).mean(2), "whole image"),
        (lambda x: x[:, :, 3].mean(2), "unknown"),
        (lambda x: x.softmax(3), "unknown"),
        (lambda x: F.layer_norm(x, x.shape[3:]), "unknown"),
        (lambda x: F.layer_norm(x, x.shape[2:]), "whole image"),
        (lambda x: F.instance_norm(x), "whole image"),
        (lambda x: x * x.mean((2, 3), keepdim=True), "whole image"),
        (lambda x: F.linear(x, torch.ones(4, SIZE, dtype=x.dtype)), "unknown"),
        (lambda x: F.linear(x.flatten(1), torch.ones(4, 2 * SIZE**2, dtype=x.dtype)), "whole image"),
        (lambda x: x.flatten(1), "unknown"),
        (lambda x: x.flip(3), "unknown"),
        (lambda x: x.repeat_interleave(2, 2), "unknown"),
        (lambda x: x.view(1, 2, SIZE // 2, 2, SIZE // 2, 2).mean((3, 5)), "unknown"),
        (lambda x: F.adaptive_avg_pool2d(x, (1, 4)), "unknown"),
        (lambda x: F.adaptive_avg_pool2d(x, (1, 1)), "whole image"),
        (lambda x: torch.ops.higher_order.cond(x.sum() > 0, torch.sin, torch.cos, (x,)), "unknown"),
    ],
)  # fmt: skip
def test_only_what_mixes_all_positions_sees_the_whole_image_step_by_step(function: Step, status: str) -> None:
    image = torch.zeros(1, 2, SIZE, SIZE, dtype=torch.float64)
    with torch.no_grad(), FieldTracker(image) as tracker:
        field = tracker.field(function(image))
    assert field is not None
    assert (field.status, field.size) == (status, None)


def test_no_stride_where_one_position_is_computed() -> None:
    how = {"size": (1, 1), "mode": "bilinear", "align_corners": True}
    assert claimed(Chain([(lambda x: F.interpolate(conv(x, 3), **how),)])).stride is None


def test_spans_of_different_strides() -> None:
    one, other = Span(-1, 1, 2), Span(0, 3, Fraction(7, 3))
    union = one.union(other, 9)
    for position in range(9):
        for span in (one, other):
            assert union.first + position * union.stride <= span.first + position * span.stride
            assert union.last + position * union.stride >= span.last + position * span.stride
    assert one.union(Span(-4, 0, 2), 9) == Span(-4, 1, 2)
