"""Guided backpropagation and deconvolution against a copy of the network in which each rectifier is another function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from operation_examples import around, constant
from planted_nets import out_of_place
from small_nets import SmallNet, seeded
from tasks import found, pictures
from torch import Tensor, fx, nn

from layerscope.attribution.guided import deconvolution, guided_backprop
from layerscope.attribution.operations import UnsupportedOperationError
from layerscope.attribution.task import Found
from layerscope.models.model import wrap

ReLU = Callable[[Tensor], Tensor]


class Guided(torch.autograd.Function):
    """Springenberg et al. 2015, figure 1c."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx: Any, *above: Tensor) -> Tensor:
        return (ctx.saved_tensors[0] > 0) * (above[0] > 0) * above[0]


class Deconvolved(torch.autograd.Function):
    """Zeiler & Fergus 2014: the signal from above goes through a ReLU."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx: Any, *above: Tensor) -> Tensor:
        return above[0].clamp(min=0)


def guided_relu(x: Tensor) -> Tensor:
    return Guided.apply(x)


def deconvolved_relu(x: Tensor) -> Tensor:
    return Deconvolved.apply(x)


METHODS = {guided_backprop: guided_relu, deconvolution: deconvolved_relu}


def rewritten(module: nn.Module, relu: ReLU) -> nn.Module:
    """A traced copy that works out of place, with `relu` in the place of each ReLU: modules, functions, methods."""
    graph = fx.symbolic_trace(out_of_place(module))
    for node in list(graph.graph.nodes):
        part = graph.get_submodule(node.target) if node.op == "call_module" else None
        function = node.op in ("call_function", "call_method") and str(
            getattr(node.target, "__name__", node.target)
        ).strip("_")
        if isinstance(part, nn.ReLU) or function == "relu":
            with graph.graph.inserting_after(node):
                new = graph.graph.call_function(relu, (node.args[0],))
            node.replace_all_uses_with(new)
            graph.graph.erase_node(node)
    graph.recompile()
    return graph


class Rectifying(nn.Module):
    """A ReLU as a module, reused and in place; as a function; as a method; with a product and a skip between them."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.relu, self.gate, self.fc = nn.ReLU(inplace=True), nn.Linear(4, 4), nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(self.relu(self.conv1(x)), 3, 2)
        y = torch.relu(self.conv2(x)) - 0.5 * x
        y = F.relu(y, inplace=True)
        gate = torch.sigmoid(self.gate(y.mean((2, 3))))
        return self.fc(self.relu(x - y * gate[:, :, None, None]).relu().mean((2, 3)))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("network", [SmallNet, Rectifying])
def test_networks_with_relus_get_the_map_of_the_literal_copy(network: type[nn.Module], method: Any) -> None:
    module, images = seeded(network()).double(), pictures(size=16, dtype=torch.float64)
    model, leaf = wrap(module, input_size=16), images.clone().requires_grad_()
    copied = rewritten(module, METHODS[method])(model.normalise(leaf))[:, 2]
    (expected,) = torch.autograd.grad(copied.sum(), leaf)
    values = found(method, model, images, 2).values
    assert torch.allclose(values, expected, rtol=1e-10, atol=1e-12)
    (gradient,) = torch.autograd.grad(model(leaf)[:, 2].sum(), leaf)
    assert not torch.allclose(values, gradient, rtol=0.1)


def test_by_hand() -> None:
    """Two layers, from the score down in matrices."""
    first, second = constant(6, 12, seed=1), constant(2, 6, seed=2)
    module = nn.Sequential(nn.Flatten(), nn.Linear(12, 6, bias=False), nn.ReLU(), nn.Linear(6, 2, bias=False)).double()
    with torch.no_grad():
        module[1].weight.copy_(first)
        module[3].weight.copy_(second)
    image = pictures(1, 2, dtype=torch.float64)
    model = wrap(module, input_size=2, mean=(0.0,) * 3, std=(1.0,) * 3)
    above = second[1]
    passed, on = above.clamp(min=0), (first @ image.flatten() > 0).double()
    assert torch.allclose(found(guided_backprop, model, image, 1).values.flatten(), first.T @ (passed * on))
    assert torch.allclose(found(deconvolution, model, image, 1).values.flatten(), first.T @ passed)
    assert not torch.equal(passed * on, passed)


@pytest.mark.parametrize(
    ("use", "name", "published"),
    [
        (lambda x: x.clamp(min=0), "clamp", True),
        (lambda x: x.clamp_min(0), "clamp_min", True),
        (lambda x: x.clip(0.0, 6), "clip", True),
        (lambda x: F.threshold(x, 0, 0), "threshold", True),
        (nn.ReLU6(inplace=True), "hardtanh", True),
        (F.relu6, "relu6", True),
        (F.gelu, "gelu", False),
        (nn.SiLU(), "silu", False),
        (nn.Hardswish(), "hardswish", False),
        (lambda x: F.leaky_relu(x, 0.2), "leaky_relu", False),
        (F.softplus, "softplus", False),
        (lambda x: F.prelu(x, constant(4).abs()), "prelu", False),
    ],
)  # fmt: skip
def test_rectifiers_by_other_names(use: Callable[[Tensor], Tensor], name: str, published: bool) -> None:
    model, images = around(use), pictures(size=6, dtype=torch.float64)
    explained = found(guided_backprop, model, images, 1)
    assert explained.covered == {name: 1}
    assert set(explained.approximated) == (set() if published else {name})
    point = model.module.conv(images).detach().requires_grad_()
    (slope,) = torch.autograd.grad(use(point * 1).sum(), point)
    above = constant(144, 2)[:, 1].view(4, 6, 6).clamp(min=0) * slope
    expected = F.conv_transpose2d(above, model.module.conv.weight, padding=1)
    assert torch.allclose(explained.values, expected, rtol=1e-10)
    above = constant(144, 2)[:, 1].view(1, 4, 6, 6).clamp(min=0)
    expected = F.conv_transpose2d(above, model.module.conv.weight, padding=1).expand_as(images)
    assert torch.allclose(found(deconvolution, model, images, 1).values, expected, rtol=1e-10)


@pytest.mark.parametrize(
    "use",
    [
        torch.tanh,
        lambda x: x.clamp(min=0.1),
        lambda x: x.clamp(max=0),
        lambda x: x.clamp(min=x.mean(1, keepdim=True)),
        lambda x: x.clamp(min=torch.zeros(6).to(x)),
        lambda x: F.prelu(x, x.mean((0, 2, 3)).sigmoid()),
        F.hardtanh,
        lambda x: F.threshold(x, 0, 1),
        abs,
        torch.sigmoid,
        lambda x: F.layer_norm(x, (6,)),
    ],
)
def test_networks_without_rectifiers_are_refused(use: Callable[[Tensor], Tensor]) -> None:
    with pytest.raises(UnsupportedOperationError, match=r"no rectifier .* before what is explained.*use 'saliency'"):
        found(guided_backprop, around(use), pictures(size=6, dtype=torch.float64), 1)


def test_only_rectifiers_before_what_is_explained_count() -> None:
    module = seeded(SmallNet()).double()
    model = wrap(module, input_size=16)
    with pytest.raises(UnsupportedOperationError, match="no rectifier"):
        found(guided_backprop, model, pictures(size=16, dtype=torch.float64), "conv1:2")
    assert found(guided_backprop, model, pictures(size=16, dtype=torch.float64), "conv2:2").covered == {"relu": 1}


@pytest.mark.parametrize(
    ("method", "title"), [(guided_backprop, "guided backpropagation"), (deconvolution, "deconvolution")]
)
def test_what_cannot_be_seen_is_refused(method: Callable[..., Found], title: str) -> None:
    """It may be a rectifier."""

    class Own(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            return torch.sin(x) * 2

        @staticmethod
        def backward(ctx: Any, *above: Tensor) -> Tensor:
            return above[0] * 7

    with pytest.raises(UnsupportedOperationError, match=f"^{title} cannot see into 'Own'"):
        found(method, around(lambda x: Own.apply(F.relu(x))), pictures(size=6, dtype=torch.float64), 1)
