"""bfloat16 where the processor has it and the network computes nearly the same in it; else float32."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from small_nets import SmallNet, seeded, small_model
from torch import Tensor, nn

from layerscope.models import precision
from layerscope.models.model import wrap
from layerscope.models.precision import fast_precision
from layerscope.models.private_copy import private_copy
from layerscope.synthesis.recipes import recipe_for

IMAGES = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(5))
CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("avx", "amx", "fast"), [(True, False, True), (False, True, True), (False, False, False), (None, None, False)]
)
def test_the_processor_decides(monkeypatch: pytest.MonkeyPatch, avx: bool | None, amx: bool | None, fast: bool) -> None:
    for name, has in (("_is_avx512_bf16_supported", avx), ("_is_amx_tile_supported", amx)):
        monkeypatch.delattr(torch.cpu, name, raising=False)
        if has is not None:
            monkeypatch.setattr(torch.cpu, name, lambda has=has: has, raising=False)
    assert fast_precision(CPU) == ("bfloat16" if fast else "float32")


@pytest.mark.parametrize(("capability", "wanted"), [((7, 5), "float32"), ((8, 0), "bfloat16"), ((9, 0), "bfloat16")])
def test_the_graphics_card_decides(monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], wanted: str) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert fast_precision(torch.device("cuda")) == wanted
    assert fast_precision(torch.device("meta")) == "float32"


@pytest.mark.parametrize("has", [True, False])
def test_recipes_of_large_networks_ask_for_it(monkeypatch: pytest.MonkeyPatch, has: bool) -> None:
    monkeypatch.setattr(precision, "_processor_has_bfloat16", lambda: has)
    small = small_model()
    large = dataclasses.replace(small, input_size=128)
    assert recipe_for("draft", None, large).precision == ("bfloat16" if has else "float32")
    assert recipe_for("draft", None, small).precision == "float32"


def test_the_copy_is_in_bfloat16_and_close() -> None:
    module = seeded(SmallNet())
    private = private_copy(module, IMAGES[:1], ["conv3"], precision="bfloat16")
    assert {value.dtype for value in private.parameters()} == {torch.bfloat16}
    got, wanted = private(IMAGES.bfloat16()).float(), module(IMAGES)
    assert 0 < (got - wanted).norm() < 0.05 * wanted.norm()


class Attribute(SmallNet):
    """A tensor that is no buffer stays in float32, and the next convolution refuses the sum."""

    def __init__(self) -> None:
        super().__init__()
        self.shift = torch.full((1, 3, 1, 1), 0.1)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x + self.shift)


class Refusing(SmallNet):
    def forward(self, x: Tensor) -> Tensor:
        assert x.dtype == torch.float32, "images in float32, please"
        return super().forward(x)


class Cancelling(SmallNet):
    """What is left of a large number is lost in bfloat16, without a word."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward((x + 1000) - 1000)


@pytest.mark.parametrize("kind", [Attribute, Refusing, Cancelling])
def test_networks_that_fail_or_differ_in_it_stay_in_float32(kind: type[SmallNet]) -> None:
    module = seeded(kind())
    private = private_copy(module, IMAGES[:1], ["conv3"], precision="bfloat16")
    assert {value.dtype for value in private.parameters()} == {torch.float32}
    torch.testing.assert_close(private(IMAGES), module(IMAGES), atol=1e-3, rtol=1e-3)


def test_a_layer_that_is_looked_at_is_compared_too() -> None:
    """The network's output is 0 in any format; the layer's is not the same."""

    class Hidden(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.relu = nn.Conv2d(3, 4, 3, padding=1), nn.ReLU()

        def forward(self, x: Tensor) -> Tensor:
            return self.relu((self.conv(x) + 1000) - 1000) * 0

    module = seeded(Hidden())
    formats = [
        next(private_copy(module, IMAGES[:1], [layer], precision="bfloat16").parameters()).dtype
        for layer in ("conv", "relu")
    ]
    assert formats == [torch.bfloat16, torch.float32]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_networks_of_any_format_are_copied(dtype: torch.dtype) -> None:
    module = seeded(SmallNet()).to(dtype)
    private = private_copy(module, IMAGES[:1], ["conv3"])
    assert {value.dtype for value in private.parameters()} == {torch.float32}
    assert {value.dtype for value in module.parameters()} == {dtype}
    assert wrap(module, 32).dtype == dtype
