"""Variants of an image that are run where they differ only: the same numbers as whole variants, from less work."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
import torchvision.models
from hypothesis import given, settings
from hypothesis import strategies as st
from provable import double_model
from small_nets import seeded
from tasks import pictures
from torch import Tensor, nn

from layerscope.attribution import variants as variants_module
from layerscope.attribution.locality import RULES, variants_of
from layerscope.attribution.spans import Span, Window
from layerscope.attribution.variants import Run, Variants

PLACES = [(0, 0), (20, 9), (23, 23), (4, 23)]  # of squares of 9 px in 32: corners, borders, the middle


def squares(image: Tensor, side: int = 9, places: list[tuple[int, int]] | None = None) -> Tensor:
    """Variants of an image with a grey square each, and the image itself as the last one."""
    places = places or PLACES
    variants = image.repeat(len(places) + 1, 1, 1, 1)
    for variant, (row, column) in zip(variants, places, strict=False):
        variant[:, row : row + side, column : column + side] = 0.3
    return variants


IMAGE = pictures(1, dtype=torch.float64)
WEIGHT = pictures(4, 3, seed=1, dtype=torch.float64) - 0.5
GROUPED = pictures(6, 3, channels=1, seed=1, dtype=torch.float64) - 0.5
EVEN = pictures(4, 4, seed=1, dtype=torch.float64) - 0.5
TRANSPOSED = pictures(3, 3, channels=4, seed=1, dtype=torch.float64) - 0.5
FACTORS = torch.tensor([0.5, 2.0, -1.0], dtype=torch.float64)


def in_place_on_a_view(x: Tensor) -> Tensor:
    x = F.conv2d(x, WEIGHT, padding=1)
    x[:, :2].mul_(3.0)
    x.flatten(2)[:, :, 5].zero_()
    return x.relu_()


def in_place_on_two_names(x: Tensor) -> Tensor:
    x = F.conv2d(x, WEIGHT, padding=1)
    other = x
    other.add_(1.0).clamp_(min=0.7)
    return x + other.detach()


def residual(x: Tensor) -> Tensor:
    out = F.conv2d(x, WEIGHT[:3], padding=1)
    out += x
    return F.conv2d(out, WEIGHT, padding=1) - F.max_pool2d(F.conv2d(x, WEIGHT, padding=1), 3, 1, 1)


def forked(x: Tensor) -> Tensor:
    a, b = F.conv2d(x, WEIGHT, stride=2, padding=1), F.conv2d(x, EVEN, stride=2, padding=1)
    return F.conv2d(torch.cat([a, b], 1).relu_(), WEIGHT.repeat(1, 3, 1, 1)[:, :8])


LOCAL: dict[str, Callable[[Tensor], Tensor]] = {
    "convolution": lambda x: F.conv2d(x, WEIGHT),
    "padded": lambda x: F.conv2d(x, WEIGHT, padding=1),
    "strided": lambda x: F.conv2d(x, WEIGHT, stride=2, padding=1),
    "stride larger than kernel": lambda x: F.conv2d(x, WEIGHT, stride=5),
    "dilated": lambda x: F.conv2d(x, WEIGHT, padding=2, dilation=2),
    "even kernel": lambda x: F.conv2d(x, EVEN, stride=2, padding=1),
    "uneven": lambda x: F.conv2d(x, WEIGHT[:, :, :1], stride=(2, 1), padding=(0, 2)),
    "grouped": lambda x: F.conv2d(x, GROUPED, groups=3, padding=1),
    "one by one": lambda x: F.conv2d(x, WEIGHT[:, :, :1, :1]),
    "one by one, strided": lambda x: F.conv2d(x, WEIGHT[:, :, :1, :1], stride=2),
    "with a bias": lambda x: F.conv2d(x, WEIGHT, WEIGHT[:, 0, 0, 0], padding=1),
    "maximum": lambda x: F.max_pool2d(x - 2, 3, 2, 1),
    "maximum, overlapping, ceil": lambda x: F.max_pool2d(x, 3, 2, ceil_mode=True),
    "mean": lambda x: F.avg_pool2d(x, 3, 2, 1),
    "batch norm": lambda x: F.batch_norm(x, FACTORS, FACTORS.abs(), FACTORS, FACTORS),
    "activations": lambda x: F.silu(F.hardswish(F.gelu(F.relu6(x * 3) - 0.5))),
    "numbers": lambda x: (2 - x) / 3 + x * 0.5,
    "residual": residual,
    "forked": forked,
    "two names": in_place_on_two_names,
    "several": lambda x: F.max_pool2d(F.conv2d(F.conv2d(x, WEIGHT[:3], padding=1).relu_(), WEIGHT, stride=2), 2),
}
IN_FULL: dict[str, Callable[[Tensor], Tensor]] = {
    "transposed": lambda x: F.conv_transpose2d(x, TRANSPOSED, stride=2),
    "mean, ceil": lambda x: F.avg_pool2d(x, 3, 2, 1, ceil_mode=True),
    "mean without padding": lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
    "statistics of the batch": lambda x: F.batch_norm(x, None, None, training=True),
    "factors": lambda x: x * FACTORS.view(3, 1, 1),
    "factors in place": lambda x: (x + 0).mul_(FACTORS.view(3, 1, 1)),
    "excited": lambda x: x * torch.sigmoid(x.mean((2, 3), keepdim=True)),
    "rolled": lambda x: F.conv2d(x.roll(3, 2), WEIGHT),
    "along rows": lambda x: torch.cat([x, x], dim=2),
    "with others": lambda x: torch.cat([x, torch.ones(len(x), 1, 32, 32, dtype=x.dtype)], dim=1),
    "view": in_place_on_a_view,
    "kernels from the image": lambda x: F.conv2d(x[:1], x[:, :, :3, :3]),
    "large": lambda x: F.conv2d(x, pictures(4, 31, seed=1, dtype=torch.float64), padding=15),
}


@pytest.mark.parametrize("last", [False, True], ids=["contiguous", "channels_last"])
@pytest.mark.parametrize("name", [*LOCAL, *IN_FULL])
def test_every_operation_gives_what_it_gives_for_whole_variants(name, last):
    operation = {**LOCAL, **IN_FULL}[name]
    image = IMAGE.contiguous(memory_format=torch.channels_last) if last else IMAGE
    run = Run(RULES)
    for places in (PLACES, PLACES[1:2], PLACES):  # what was computed for the image serves the next batch
        variants = squares(image, places=places)
        given = image.clone()
        with torch.no_grad():
            wanted = operation(variants.clone())
            result = operation(variants_of(image, variants, run))
        assert (isinstance(result, Variants) and result.full is None) == (name in LOCAL)
        whole = variants_module._in_full(result)
        assert whole.shape == wanted.shape
        torch.testing.assert_close(whole, wanted, rtol=1e-12, atol=1e-13)
        assert torch.equal(image, given)


FAMILIES = "squeezenet1_1 resnet18 densenet121 googlenet mobilenet_v3_small shufflenet_v2_x0_5 regnet_y_400mf"


@pytest.mark.parametrize("family", FAMILIES.split())
def test_networks_of_torchvision(family):
    more = {"init_weights": False} if family == "googlenet" else {}
    network = seeded(getattr(torchvision.models, family)(weights=None, num_classes=5, **more)).double()
    image = pictures(1, 64, dtype=torch.float64).contiguous(memory_format=torch.channels_last)
    variants = squares(image, 9, [(0, 0), (30, 20), (55, 5)])
    with torch.no_grad():
        wanted, result = network(variants), network(variants_of(image, variants, Run(RULES)))
    assert float(wanted.std(0).max()) > 0
    torch.testing.assert_close(result, wanted, rtol=1e-9, atol=1e-9 * float(wanted.abs().max()))


def test_what_does_not_differ_is_run_once_for_all_batches():
    ran: list[tuple[int, ...]] = []
    convolution = torch.ops.aten.convolution.default

    def counted(x: Tensor, *rest: object) -> Tensor:
        ran.append(tuple(x.shape))
        return convolution(x, *rest)

    run = Run({**RULES, convolution: lambda operation, *args: RULES[operation](counted, *args)})
    model = double_model()
    for _ in range(3):
        with torch.no_grad():
            model.module.conv1(variants_of(IMAGE, squares(IMAGE, 4), run))
    assert ran == [(1, 3, 32, 32), *[(5, 3, 11, 11)] * 3]  # 4 px touch 4 outputs of stride 2, which read 11 px


def test_what_is_not_asked_for_again_is_forgotten():
    run = Run(RULES)
    for _ in range(4):
        run.begin()
        for weight in (WEIGHT, WEIGHT.clone()):  # the second is a new one each time, as a normalised weight is
            run.for_image(F.conv2d, IMAGE, weight)
    assert len(run._now) == 2
    assert len(run._before) == 2


def test_variants_that_differ_nearly_everywhere_are_run_whole():
    variants = squares(IMAGE, 30, [(1, 1)])
    assert variants_of(IMAGE, variants, Run(RULES)) is variants
    mixed = squares(IMAGE, 3, [(0, 0), (29, 29)])
    mixed[0, :, 31, 31] = 0.0  # two corners of one variant
    assert variants_of(IMAGE, mixed, Run(RULES)) is mixed


def test_the_same_activations_whatever_they_are_asked_for():
    run = Run(RULES)
    x = variants_of(IMAGE, squares(IMAGE), run)
    assert isinstance(x, Variants)
    assert x.shape == (5, 3, 32, 32)
    assert x.stride() == IMAGE.expand(5, -1, -1, -1).contiguous().stride()
    assert torch.equal(variants_module._in_full(x), squares(IMAGE))
    assert variants_module._in_full(x) is variants_module._in_full(x)


# --- the plan, without tensors


@settings(max_examples=300, deadline=None)
@given(
    extent=st.integers(1, 40),
    window=st.builds(Window, st.integers(1, 7), st.integers(1, 4), st.integers(0, 3), st.integers(1, 3)),
    data=st.data(),
)
def test_readers_are_all_outputs_that_read_what_differs(extent, window, data):
    outputs = (extent + 2 * window.padding - (window.kernel - 1) * window.dilation - 1) // window.stride + 1
    if outputs < 1:
        return
    size = data.draw(st.integers(1, extent))
    span = Span(size, tuple(data.draw(st.lists(st.integers(0, extent - size), min_size=1, max_size=3))))
    readers, reads = window.readers(span, outputs), window.read(window.readers(span, outputs))
    assert not readers.beyond(outputs)
    for start, first, read in zip(span.starts, readers.starts, reads.starts, strict=True):
        inside = set(range(first, first + readers.size))
        for output in range(outputs):
            taps = {output * window.stride - window.padding + k * window.dilation for k in range(window.kernel)}
            if taps & set(range(start, start + size)):
                assert output in inside
            if output in inside:
                assert taps <= set(range(read, read + reads.size))


@given(data=st.data(), extent=st.integers(1, 30), count=st.integers(1, 4))
@settings(max_examples=100, deadline=None)
def test_a_union_holds_all(data, extent, count):
    spans = []
    for _ in range(data.draw(st.integers(1, 3))):
        size = data.draw(st.integers(1, extent))
        starts = st.lists(st.integers(0, extent - size), min_size=count, max_size=count)
        spans.append(Span(size, tuple(data.draw(starts))))
    union = Span.union(spans, extent)
    assert not union.beyond(extent)
    for span in spans:
        for number in range(count):
            assert union.starts[number] <= span.starts[number]
            assert union.ends[number] >= span.ends[number]


def test_the_rules_are_for_operations_of_this_torch():
    assert len(RULES) > 30
    assert all(isinstance(operation, torch._ops.OpOverload) for operation in RULES)


def test_a_module_that_is_no_function_of_tensors_alone_is_left_to_fail():
    class Numpy(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.from_numpy(x.numpy().copy())

    with pytest.raises(RuntimeError):
        Numpy()(variants_of(IMAGE, squares(IMAGE), Run(RULES)))
