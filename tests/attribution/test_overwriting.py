"""Networks that overwrite tensors get the same maps as the same networks written without that."""

from __future__ import annotations

from collections.abc import Callable

import planted_nets
import pytest
import torch
import torch.nn.functional as F
from operation_examples import Use, around, constant
from tasks import found, pictures
from torch import Tensor, nn

from layerscope.attribution.deeplift import deeplift
from layerscope.attribution.guided import guided_backprop
from layerscope.attribution.lrp import lrp
from layerscope.attribution.operations import UnsupportedOperationError
from layerscope.attribution.overwriting import Overwritten
from layerscope.attribution.task import Found
from layerscope.models.model import wrap
from layerscope.objectives import channel

METHODS = (deeplift, guided_backprop, lrp)


class Viewed(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.view(x.shape)


def statements(*steps: Callable[[Tensor], object]) -> Use:
    """Steps whose results nobody takes, on a tensor that is then used."""

    def use(x: Tensor) -> Tensor:
        x = F.relu(x) + 0.25 * x
        for step in steps:
            step(x)
        return F.relu(x - 0.1)

    return use


def result(change: Use) -> Use:
    return lambda x: F.relu(change(F.relu(x) + 0.25 * x) - 0.1)


def _columns(x: Tensor, change: Use, *places: int) -> Tensor:
    """x with some channels changed."""
    return torch.stack([change(one) if place in places else one for place, one in enumerate(x.unbind(1))], 1)


def _view_from_before(x: Tensor) -> Tensor:
    view = x[:, 1:3].transpose(2, 3)
    x.mul_(3)
    return torch.cat([view.transpose(2, 3), x], 1)


def _two_names(x: Tensor) -> Tensor:
    y = F.relu_(x)
    y.add_(1)
    x *= 2
    return torch.cat([x, y], 1)


def _neighbours(x: Tensor) -> Tensor:
    first, second = x[:, :2], x[:, 2:]
    second += first
    second[:, 0].mul_(second[:, 1])
    return torch.cat([x, first, second], 1)


def _neighbours_anew(x: Tensor) -> Tensor:
    first, second = x[:, :2], x[:, 2:] + x[:, :2]
    second = torch.stack([second[:, 0] * second[:, 1], second[:, 1]], 1)
    return torch.cat([first, second, first, second], 1)


def _into_a_buffer(x: Tensor) -> Tensor:
    buffer = torch.ones(len(x), 3, 6, 6, dtype=x.dtype)
    row = buffer[:, 1]
    row += x[:, 3]
    buffer[:, 0] = x[:, 2]
    buffer[:, 2].copy_(x[:, 0])
    return buffer


PAIRS: dict[str, tuple[Use, Use]] = {
    "relu_": (statements(F.relu_), result(F.relu)),
    "module": (statements(nn.ReLU(inplace=True)), result(F.relu)),
    "keyword": (statements(lambda x: F.relu(input=x, inplace=True)), result(F.relu)),
    "keyword of a builtin": (statements(lambda x: torch.relu_(input=x)), result(F.relu)),
    "positional": (statements(lambda x: F.leaky_relu(x, 0.2, True)), result(lambda x: F.leaky_relu(x, 0.2))),
    "dropout": (statements(nn.Dropout(inplace=True).eval(), lambda x: x.mul_(2)), result(lambda x: 2 * x)),
    "twice": (statements(lambda x: x.mul_(2), lambda x: x.add_(1), F.relu_), result(lambda x: F.relu(2 * x + 1))),
    "setitem": (statements(lambda x: x.__setitem__((slice(None), 0), -7)), result(lambda x: _columns(x, lambda c: c * 0 - 7, 0))),
    "view": (statements(lambda x: x.view(len(x), -1).add_(1)), result(lambda x: x + 1)),
    "channels": (statements(lambda x: x[:, :2].mul_(2)), result(lambda x: _columns(x, lambda c: 2 * c, 0, 1))),
    "view of a view": (statements(lambda x: x[:, 1:][:, 0].transpose(1, 2).mul_(2)), result(lambda x: _columns(x, lambda c: 2 * c, 1))),
    "strided": (statements(lambda x: x.flatten(2)[:, 3, ::2].zero_()), result(lambda x: torch.cat([x[:, :3], x[:, 3:] * torch.tensor([0, 1] * 18).view(6, 6)], 1))),
    "transposed": (statements(lambda x: F.relu_(x.permute(0, 2, 3, 1))), result(F.relu)),
    "nonlinear view": (statements(lambda x: x[:, 2].sigmoid_()), result(lambda x: _columns(x, torch.sigmoid, 2))),
    "product": (statements(lambda x: x.mul_(x.mean(1, keepdim=True).sigmoid())), result(lambda x: x * x.mean(1, keepdim=True).sigmoid())),
    "itself": (statements(lambda x: x.mul_(x)), result(lambda x: x * x)),
    "norm": (statements(lambda x: x.div_(x.norm(dim=1, keepdim=True))), result(lambda x: x / x.norm(dim=1, keepdim=True))),
    "augmented": (statements(lambda x: x.__iadd__(x.roll(1, 1))), result(lambda x: x + x.roll(1, 1))),
    "part": (statements(lambda x: x[:, 0].copy_(x[:, 1])), result(lambda x: torch.cat([x[:, 1:2], x[:, 1:]], 1))),
    "view from before": (result(_view_from_before), result(lambda x: torch.cat([3 * x[:, 1:3], 3 * x], 1))),
    "two names": (result(_two_names), result(lambda x: torch.cat([2 * F.relu(x) + 2] * 2, 1))),
    "neighbours": (result(_neighbours), result(_neighbours_anew)),
    "buffer": (result(_into_a_buffer), result(lambda x: torch.stack([x[:, 2], x[:, 3] + 1, x[:, 0]], 1))),
    "channels last": (statements(lambda x: x.contiguous(memory_format=torch.channels_last).mul_(2)), result(lambda x: x)),
    "contiguous": (statements(lambda x: x.contiguous().mul_(2)), result(lambda x: 2 * x)),
}  # fmt: skip


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("method", METHODS)
def test_overwriting_changes_nothing(method: Callable[..., Found], name: str) -> None:
    overwriting, written_anew = (around(use) for use in PAIRS[name])
    images = pictures(size=6, dtype=torch.float64)
    assert torch.allclose(overwriting(images), written_anew(images), rtol=1e-12)
    try:
        expected = found(method, written_anew, images, "second", baseline="black")
    except UnsupportedOperationError:
        assert method is lrp  # norms by themselves
        return
    values = found(method, overwriting, images, "second", baseline="black")
    assert torch.allclose(values.values, expected.values, rtol=1e-6 if method is lrp else 1e-9, atol=1e-9)
    if method is not guided_backprop:
        assert torch.allclose(values.expected, expected.expected, rtol=1e-12)


@pytest.mark.parametrize(
    "network",
    [
        planted_nets.InPlace,
        planted_nets.Reused,
        planted_nets.Functional,
        planted_nets.SkipDepth,
        planted_nets.PlusEquals,
    ],
)
@pytest.mark.parametrize("method", METHODS)
def test_planted_networks_get_the_map_of_their_twin(
    method: Callable[..., Found], network: type[planted_nets.Base]
) -> None:
    """The twin computes the same in plain functions."""
    module = network().double().eval()

    class Twin(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = module

        def forward(self, x: Tensor) -> Tensor:
            y = list(module.known(x).values())[-1]
            return y.mean((2, 3)) if y.ndim == 4 else y

    class Pooled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = module

        def forward(self, x: Tensor) -> Tensor:
            y = self.inner(x)
            return y.mean((2, 3)) if y.ndim == 4 else y

    images = planted_nets.image().double()
    models = [wrap(part, input_size=12, class_names=tuple("abcd")) for part in (Pooled(), Twin())]
    try:
        expected = found(method, models[1], images, "c", baseline="black")
    except UnsupportedOperationError:
        with pytest.raises(UnsupportedOperationError):
            found(method, models[0], images, "c", baseline="black")
        return
    assert torch.allclose(
        found(method, models[0], images, "c", baseline="black").values, expected.values, rtol=1e-9, atol=1e-12
    )


@pytest.mark.parametrize("method", [deeplift, lrp])
@pytest.mark.parametrize("layer", ["conv1", "relu", "pair[0]", "view"])
def test_units_are_explained_as_they_were_put_out(method: Callable[..., Found], layer: str) -> None:
    """What is read from inside was not yet overwritten."""

    class Network(planted_nets.Base):
        def __init__(self) -> None:
            super().__init__()
            self.relu, self.view, self.pair = nn.ReLU(inplace=True), Viewed(), planted_nets.TupleOutput.Pair()

        def forward(self, x: Tensor) -> Tensor:
            x = self.relu(self.conv1(x))
            x.mul_(3)
            y = self.view(x)
            y.add_(1)
            return self.conv2(self.pair(x)[0].mul_(2))

    module, images = Network().double().eval(), planted_nets.image().double()
    model = wrap(module, input_size=12, class_names=tuple("abcd"))
    first = module.first(images * 4 - 2)
    relu = first.clamp(min=0)
    known = {"conv1": first, "relu": relu, "view": 3 * relu, "pair[0]": 3 * relu + 2}
    model = wrap(module, input_size=12, mean=(0.5,) * 3, std=(0.25,) * 3, class_names=tuple("abcd"))
    explained = found(method, model, images, f"{layer}:1", baseline="mean")
    at_baseline = {"conv1": module.conv1.bias, "relu": module.conv1.bias.relu()}
    before = {**at_baseline, "view": 3 * at_baseline["relu"], "pair[0]": 3 * at_baseline["relu"] + 2}[layer][1]
    expected = known[layer][:, 1].mean((1, 2)) - (before if method is deeplift else 0)
    assert torch.allclose(explained.expected, expected, rtol=1e-12)
    if method is deeplift:
        assert torch.allclose(explained.values.sum((1, 2, 3)), expected, rtol=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_the_output_itself_may_be_overwritten(method: Callable[..., Found]) -> None:
    """By a statement, so that what the network puts out is the tensor from before."""

    class Network(nn.Module):
        def __init__(self, overwrites: bool) -> None:
            super().__init__()
            self.overwrites, self.fc = overwrites, nn.Linear(12, 2).double()
            self.fc.weight, self.fc.bias = nn.Parameter(constant(2, 12)), nn.Parameter(constant(2))

        def forward(self, x: Tensor) -> Tensor:
            y = self.fc(x.flatten(1))
            if not self.overwrites:
                return F.relu(y) * 3
            F.relu_(y)
            y.mul_(3)
            return y

    models, images = (
        [wrap(Network(overwrites), input_size=2) for overwrites in (True, False)],
        pictures(3, 2, dtype=torch.float64),
    )
    values, expected = (found(method, model, images, 1, baseline="black") for model in models)
    assert torch.allclose(values.values, expected.values, rtol=1e-6)
    assert values.expected is None or torch.allclose(values.expected, expected.expected)


def test_what_is_read_while_the_network_goes_on_is_not_overwritten_either() -> None:
    """A view of what a part got, read together with a later layer."""

    class Network(planted_nets.Base):
        def __init__(self) -> None:
            super().__init__()
            self.view = Viewed()

        def forward(self, x: Tensor) -> Tensor:
            y = self.conv1(x)
            F.relu_(y)
            y = self.view(y)
            y.add_(1)
            return self.conv2(y)

    module, images = Network().double().eval(), planted_nets.image().double()
    model = wrap(module, input_size=12, mean=(0.0,) * 3, std=(1.0,) * 3, class_names=tuple("abcd"))
    explained = found(
        lrp, model, images, channel("view:1") + 0.0 * channel("conv2:0"), options={"composite": "epsilon"}
    )
    assert torch.allclose(explained.expected, module.first(images)[:, 1].relu().mean((1, 2)), rtol=1e-12)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("unsqueeze", lambda x: x.unsqueeze_(1)),
        ("transpose", lambda x: x.transpose_(1, 2)),
        ("squeeze", lambda x: x.squeeze_(0)),
    ],
)
def test_a_change_of_shape_in_place_is_refused(name: str, change: Use) -> None:
    model = around(lambda x: change(F.relu(x)[:1, :, :5]))
    with pytest.raises(UnsupportedOperationError, match=f"has no rule for the operation {name!r}"):
        found(deeplift, model, pictures(size=6, dtype=torch.float64), 0, baseline="black")


def test_who_looks_at_the_same_memory_sees_what_was_written() -> None:
    memory, written = torch.arange(12.0).view(3, 4), Overwritten()
    part, other = memory[1:], memory.t()
    after = written.write(part, part * 10)
    assert torch.equal(after, part * 10)
    assert memory.tolist()[1] == [4, 5, 6, 7]  # the memory itself is as it was
    assert torch.equal(written.now(other)[:, 0], memory[0])
    assert torch.equal(written.now(memory)[1:], after)
    again = written.write(written.now(memory), written.now(memory) + 1)
    assert torch.equal(written.now(part), part * 10 + 1)
    assert torch.equal(written.now(after), part * 10 + 1)
    assert torch.equal(written.now(again), again)
    first = again[:1]
    written.write(first, first * 0)
    assert torch.equal(written.now(memory), torch.cat([memory[:1] * 0, part * 10 + 1]))
    assert [written.version(tensor) - tensor._version for tensor in (memory, part, after, again)] == [3, 3, 2, 1]


def test_memory_that_nobody_looks_at_is_forgotten() -> None:
    written, kept = Overwritten(), torch.zeros(3)
    for _ in range(5):
        tensor = torch.zeros(3)
        written.write(tensor, tensor + 1)
    written.write(kept, kept + 1)
    del tensor
    written.write(torch.zeros(2), torch.ones(2))
    assert len(written._contents) == 2
