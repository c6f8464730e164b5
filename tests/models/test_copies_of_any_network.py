"""Networks in the wild: what they do inside must neither break the copy nor change what it computes."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import pytest
import torch
from small_nets import SmallNet, seeded
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from layerscope.capture.hooks import capture
from layerscope.models.private_copy import private_copy
from layerscope.models.watch import watch

SAME = 1e-5
"""Of the length of all activations: rounding alone."""
IMAGES = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(5))


def test_a_batchnorm_goes_with_the_convolution_it_reads_and_no_other() -> None:
    """DenseNet's BatchNorms read concatenations that are gone soon, and later maps get their ids."""
    from torchvision.models import densenet121

    module = seeded(densenet121(weights=None))
    pairs = watch(module, IMAGES[:1], [""]).pairs
    names = [name for name, part in module.named_modules() if isinstance(part, nn.Conv2d)]
    firsts = [name for name in names if name.endswith(("conv0", "conv1"))]  # the others' maps are concatenated
    assert pairs == [(conv, conv.replace("conv0", "norm0").replace("conv1", "norm2")) for conv in firsts]


def test_a_batchnorm_that_is_called_by_keyword_is_left() -> None:
    class Keyword(SmallNet):
        def forward(self, x: Tensor) -> Tensor:
            return self.fc(self.conv3(self.bn1(input=self.conv1(x))).mean((2, 3)))

    assert _apart(seeded(Keyword()), "conv3") < SAME


class Attributes(SmallNet):
    def forward(self, x: Tensor) -> Tensor:
        assert self.conv1.out_channels == self.conv2.in_channels == 8
        return super().forward(x)


class Contiguous(SmallNet):
    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x)
        if not x.is_contiguous():
            raise ValueError("maps must be contiguous")
        return self.fc(self.conv3(x).mean((2, 3)))


class InPlace(SmallNet):
    def forward(self, x: Tensor) -> Tensor:
        x -= 0.5
        return super().forward(x)


class Masks(SmallNet):
    def forward(self, x: Tensor) -> dict[str, Tensor]:
        y = super().forward(x)
        return {"scores": y, "mask": y > 0, "best": y.argmax(1), "none": y[:, :0]}  # type: ignore[dict-item]


@pytest.mark.parametrize("kind", [Attributes, Contiguous, InPlace, Masks])
def test_what_networks_do(kind: type[SmallNet]) -> None:
    assert _apart(seeded(kind()), "conv3") < SAME
    assert _apart(seeded(kind()), "conv1") < SAME


def test_a_network_that_changes_its_input_is_still_folded() -> None:
    private = private_copy(seeded(InPlace()), IMAGES[:1].clone(), ["conv3"], blocked=True)
    assert not [part for part in private.modules() if isinstance(part, nn.BatchNorm2d)]


def test_the_example_is_not_changed() -> None:
    example = IMAGES[:1].clone()
    private_copy(seeded(InPlace()), example, ["conv3"], precision="bfloat16", blocked=True)
    assert torch.equal(example, IMAGES[:1])


def test_activations_that_a_network_keeps_are_no_obstacle() -> None:
    class Keeping(SmallNet):
        def forward(self, x: Tensor) -> Tensor:
            self.seen = {"first": [self.conv1(x)]}
            return super().forward(x)

    module = seeded(Keeping())
    module(IMAGES).sum().backward()
    seen = module.seen["first"][0]
    assert _apart(module, "conv3") < SAME
    assert module.seen["first"][0] is not seen  # of the forward in the check itself
    assert seen.grad_fn is not None


def test_weight_norm_of_the_old_kind_is_copied() -> None:
    module = seeded(SmallNet())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        nn.utils.weight_norm(module.conv2)
    module(IMAGES).sum().backward()
    assert module.conv2.weight.grad_fn is not None
    assert _apart(module, "conv3") < SAME


class Products(TorchDispatchMode):
    """How many matrices each batched product has."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: list[int] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.bmm.default:
            self.counts.append(len(args[0]))
        return func(*args, **(kwargs or {}))


def test_weights_of_attention_are_not_copied_for_every_token() -> None:
    """Frozen, they would be: a matrix product for each of the tokens, with the same result."""

    class Attending(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.attend = nn.Conv2d(3, 8, 4, 4), nn.MultiheadAttention(8, 2, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            tokens = self.conv(x).flatten(2).transpose(1, 2)
            return self.attend(tokens, tokens, tokens, need_weights=False)[0]

    module = seeded(Attending())
    private = private_copy(module, IMAGES[:1], [""])
    largest, slopes = [], []
    for one in (private, copy.deepcopy(private).requires_grad_(False)):
        leaf = IMAGES.clone().requires_grad_(True)
        with Products() as products:
            slopes += torch.autograd.grad(one(leaf).square().sum(), leaf)
        largest.append(max(products.counts, default=0))
    assert largest == [0, 64]  # tokens
    torch.testing.assert_close(*slopes, atol=1e-4, rtol=1e-4)
    assert not private.conv.weight.requires_grad
    torch.testing.assert_close(private(IMAGES), module(IMAGES), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("leak", [0.0, 1e-9])
@pytest.mark.parametrize("in_place", [True, False])
@pytest.mark.parametrize(
    "layers",
    [["conv1", "bn1", "relu#0"], ["bn1", "conv3"], ["relu#0", "relu#1"], ["conv2", "bn2", "relu#1"], ["bn1", ""]],
)
def test_values_and_gradients_of_several_layers_at_once(layers: list[str], in_place: bool, leak: float) -> None:
    """The ReLUs are in place and BatchNorms are folded away: a kept value is the one before what comes after."""
    module = seeded(SmallNet())
    module.relu.inplace = in_place
    private = private_copy(module, IMAGES[:1], layers, leak=leak, blocked=True)
    plain = copy.deepcopy(module).double()
    plain.relu.inplace = False
    values, gradient = _joint(plain, layers, IMAGES.double())
    got, slope = _joint(private, layers, IMAGES)
    for layer in layers:
        torch.testing.assert_close(got[layer].double(), values[layer], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(slope.double(), gradient, atol=1e-5, rtol=1e-4)
    assert layers[0] == "relu#0" or (values[layers[0]] < 0).any()


def _joint(module: nn.Module, layers: list[str], images: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    leaf = images.clone().requires_grad_(True)
    with capture(module, layers, detach=False) as activations:
        module(leaf * 1)
        values = {layer: activations[layer] for layer in layers}
        score = sum(((place + 2) * value.square()).mean() for place, value in enumerate(values.values()))
    (gradient,) = torch.autograd.grad(score, leaf)
    return {layer: value.detach() for layer, value in values.items()}, gradient


@pytest.mark.parametrize("run", [2, 3, 4, 5])
@pytest.mark.parametrize("words", ["can't allocate memory", "not enough memory: you tried to allocate"])
def test_memory_that_is_short_for_a_faster_copy_is_no_reason_for_a_slower_one(run: int, words: str) -> None:
    """Another copy rounds otherwise, so the same picture would have other bytes without a word about it."""
    runs = 0

    class Short(SmallNet):
        def forward(self, x: Tensor) -> Tensor:
            nonlocal runs
            runs += 1
            if runs == run:
                raise RuntimeError(f"DefaultCPUAllocator: {words}")
            return super().forward(x)

    with pytest.raises(RuntimeError, match=words):
        private_copy(seeded(Short()), IMAGES[:1], ["conv3"], precision="bfloat16", blocked=True)
    assert runs == run


def _apart(module: nn.Module, layer: str) -> float:
    """How far the private copy's activations are from the network's own, in lengths of these; inf for another shape."""
    private = private_copy(module, IMAGES[:1].clone(), [layer], blocked=True)
    values = []
    for one in (module, private):
        with torch.no_grad(), capture(one, [layer]) as activations:
            one(IMAGES.clone())
        values.append(activations[layer])
    own, copied = values
    return float((copied - own).norm() / own.norm()) if copied.shape == own.shape else float("inf")
