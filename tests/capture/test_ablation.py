from __future__ import annotations

from collections.abc import Callable

import planted_nets as planted
import pytest
import torch
import torch.nn.functional as F
from planted_nets import image, traces
from torch import Tensor, nn

from layerscope.capture.hooks import capture
from layerscope.capture.interventions import ablate, replace
from layerscope.capture.units import Unit
from layerscope.errors import CaptureError, InputError, LayerscopeError, UnknownNameError
from layerscope.models.model import wrap


class Linear(nn.Module):
    """A network whose output is a known sum over units, so that the effect of each unit is known."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.relu = nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True)
        self.register_buffer("weight", torch.tensor([1.0, -2.0, 3.0, 5.0]))

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.conv(x))
        x = x + 1
        return x.mean((2, 3)) @ self.weight


@pytest.fixture
def net() -> nn.Module:
    torch.manual_seed(0)
    return Linear().eval()


def units(net: nn.Module) -> Tensor:
    return F.conv2d(image(), net.conv.weight, net.conv.bias).clamp(min=0).detach()


def score(values: Tensor, net: nn.Module) -> Tensor:
    return (values + 1).mean((2, 3)) @ net.weight


def with_unit(net: nn.Module, index: int, value: float | Tensor) -> Tensor:
    changed = units(net)
    changed[:, index] = value
    return score(changed, net)


MEAN = "mean"
TO: dict[str, tuple[object, Callable[[Tensor], float | Tensor]]] = {
    "zero": ("zero", lambda unit: 0.0),
    "mean": (MEAN, lambda unit: unit.mean()),
    "number": (0.25, lambda unit: 0.25),
    "scalar": (torch.tensor(0.5), lambda unit: 0.5),
    "per unit": (torch.tensor([2.0]), lambda unit: 2.0),
    "per position": (torch.arange(100.0).view(10, 10), lambda unit: torch.arange(100.0).view(10, 10)),
    "per image": (torch.tensor([1.0, 2.0]).view(2, 1, 1, 1), lambda unit: torch.tensor([1.0, 2.0]).view(2, 1, 1)),
}


@pytest.mark.parametrize("wrapped", [True, False])
@pytest.mark.parametrize("to", TO)
def test_the_effect_of_a_unit_is_the_known_one(net: nn.Module, to: str, wrapped: bool) -> None:
    level, known = TO[to]
    before, plain = traces(net), net(image())
    model = wrap(net, input_size=12) if wrapped else net
    with ablate(model, "relu:2", to=level):  # type: ignore[arg-type]
        ablated = net(image())
    torch.testing.assert_close(ablated, with_unit(net, 2, known(units(net)[:, 2])))
    torch.testing.assert_close(net(image()), plain, rtol=0, atol=0)
    assert traces(net) == before


def test_several_units_layers_and_positions(net: nn.Module) -> None:
    with (
        ablate(net, [Unit("relu", 0), "relu:3@2,5", "conv:1"], to=torch.tensor(7.0)),
        torch.no_grad(),
        capture(net, ["conv", "relu"]) as activations,
    ):
        net(image())
    expected = units(net)
    assert (activations["conv"][:, 1] == 7).all()
    expected[:, 0], expected[:, 1], expected[:, 3, 2, 5] = 7, 7, 7
    torch.testing.assert_close(activations["relu"], expected)
    with ablate(net, ["relu:0", "relu:3@2,5"], to=torch.tensor([8.0, 4.0])), capture(net, "relu") as activations:
        net(image())
    expected = units(net)
    expected[:, 0], expected[:, 3, 2, 5] = 8, 4
    torch.testing.assert_close(activations["relu"], expected)


def test_the_mean_over_a_reference_does_not_depend_on_company(net: nn.Module) -> None:
    reference = image(batch=5)
    level = F.conv2d(reference, net.conv.weight, net.conv.bias)[:, 1].mean().detach()
    for model, images in ((net, reference), (wrap(net, 12, mean=0, std=1), reference)):
        with ablate(model, "conv:1", to="mean", reference=images), capture(net, "conv", stop=False) as activations:
            alone = net(image()[:1])
            torch.testing.assert_close(activations["conv"][:, 1], level.expand(1, 10, 10))
            torch.testing.assert_close(net(image())[:1], alone)


def test_the_order_of_entering_does_not_matter(net: nn.Module) -> None:
    with capture(net, ["relu", "/add"]) as activations, ablate(net, ["relu:1", "/add:2"]):
        net(image())
    assert (activations["relu"][:, 1] == 0).all()
    assert (activations["/add"][:, 2] == 0).all()
    with ablate(net, "relu:1", to=3.0), ablate(net, "relu:1", to=4.0), capture(net, "relu") as activations:
        net(image())
    assert activations["relu"][:, 1].unique().tolist() in ([3.0], [4.0])


def test_gradients_pass_through_an_ablated_layer(net: nn.Module) -> None:
    images = image().requires_grad_()
    with ablate(net, "conv:2"):
        net(images).sum().backward()
    assert net.conv.weight.grad is not None
    assert (net.conv.weight.grad[2] == 0).all()
    assert (net.conv.weight.grad[3] != 0).any()


def test_an_intervention_does_not_reach_back(net: nn.Module) -> None:
    skip = planted.SkipDepth().eval()
    with ablate(skip, "identity:1"), capture(skip, ["conv2", "identity"], stop=False) as activations:
        output = skip(image())
    known = skip.known(image())
    torch.testing.assert_close(activations["conv2"], known["conv2"].detach())
    assert (activations["identity"][:, 1] == 0).all()
    torch.testing.assert_close(output[:, 1].detach(), known["conv1"][:, 1].detach())


def test_ablating_what_is_passed_on_leaves_other_users_of_it_alone() -> None:
    net = planted.SkipDepth().eval()
    net.forward = lambda x: (lambda y: y + net.identity(y))(net.conv1(x))
    with torch.no_grad(), ablate(net, "identity:1"):
        torch.testing.assert_close(net(image())[:, 1], net.first(image())[:, 1])


@pytest.mark.parametrize("key", ["conv1", "/relu", "/relu#1", "conv2"])
@pytest.mark.parametrize("grad", [True, False])
def test_replacing_anything(key: str, grad: bool) -> None:
    net = planted.Functional().eval()
    if key == "/relu#1" and grad:
        net = planted.Reused().eval()
        key = "relu#1"
    with (
        torch.set_grad_enabled(grad),
        replace(net, {key: lambda activation: -2 * activation}),
        capture(net, key, stop=False) as activations,
    ):
        net(image())
    torch.testing.assert_close(activations[key], -2 * net.known(image())[{"/relu": "/relu#0"}.get(key, key)].detach())


def test_replacing_tensors_in_nested_outputs_and_by_patterns() -> None:
    net = planted.Nested().eval()
    known = net.known(image())
    value = torch.full_like(known["conv1"], 0.5)
    with replace(net, {"heads[aux][both][1]": value}), capture(net, ["heads[out][2][0]", "conv2"]) as activations:
        net(image())
    torch.testing.assert_close(activations["conv2"], net.second(2 * known["conv1"] + 0.5).detach())
    torch.testing.assert_close(activations["heads[out][2][0]"], 2 * known["conv1"].detach())
    chain = nn.Sequential(nn.ReLU(), nn.Identity(), nn.Identity()).eval()
    with replace(chain, {"[12]": lambda x: x + 1}) if False else replace(chain, {"*": lambda x: x + 1}):
        torch.testing.assert_close(chain(image()), image() + 3)


def test_functions_for_effect_alone_change_without_gradients() -> None:
    class ForEffect(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            y = x * 2
            y.add_(1)
            return y * 10

    net = ForEffect()
    with torch.no_grad(), replace(net, {"/add": torch.zeros(())}):
        assert (net(image()) == 0).all()


def test_units_of_other_layouts() -> None:
    from torchvision.models import swin_t

    swin = wrap(swin_t(weights=None).eval(), 64)
    with (
        ablate(swin, "features.1.0.mlp.0:5"),
        torch.no_grad(),
        capture(swin, ["features.1.0.mlp.0"]) as activations,
    ):
        swin(torch.rand(1, 3, 64, 64))
    values = activations["features.1.0.mlp.0"]
    assert values.ndim == 4
    assert (values[..., 5] == 0).all()
    assert (values[..., 4] != 0).any()


def test_the_output_and_single_values(net: nn.Module) -> None:
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 6)).eval()
    with ablate(head, [":4", "1:0"], to=9.0), capture(head, ["", "1"]) as activations:
        output = head(image())
    assert (output[:, 4] == 9).all()
    assert (activations["1"][:, 0] == 9).all()
    assert torch.equal(activations[""], output.detach())
    with ablate(head, "2:0", to="mean"), pytest.raises(InputError, match=r"the mean of one value .*give reference="):
        head(image(batch=1))


WRONG: list[tuple[Callable[[nn.Module], object], type[LayerscopeError], str]] = [
    (lambda net: ablate(net, "conv"), InputError, r"'conv' is no unit; write layer:channel"),
    (lambda net: ablate(net, "conv:4"), InputError, r"no unit 'conv:4'; 'conv' has units 0 to 3"),
    (lambda net: ablate(net, "conv:1@10,0"), InputError, r"no position 10,0; the map here is 10 x 10"),
    (lambda net: ablate(net, "canv:1"), UnknownNameError, r"no layer 'canv'; nearest: conv"),
    (lambda net: ablate(net, "conv:1", to="nil"), UnknownNameError, r"no level to ablate to: 'nil'; .*zero, mean"),
    (lambda net: ablate(net, ["conv:1", "conv:2"], to=torch.ones(3)), InputError, r"to= has shape \(3,\); 2 units of"),
    (lambda net: replace(net, {"conv": torch.ones(9)}), CaptureError, r"shape \(9,\), which does not broadcast to"),
    (lambda net: replace(net, {"conv": torch.ones((), dtype=torch.float64)}), CaptureError, r"float64.*\.to\(activ"),
    (lambda net: replace(net, {"conv": lambda x: None}), CaptureError, r"is a NoneType; it has to be a tensor"),
    (lambda net: replace(net, {"relu#1": torch.zeros(())}), CaptureError, r"'relu' was called 1 times"),
    (lambda net: replace(net, {"/mul": torch.zeros(())}), CaptureError, r"no function that the network itself ran: 'm"),
]


@pytest.mark.parametrize("wrapped", [True, False])
@pytest.mark.parametrize(("wrong", "kind", "words"), WRONG)
def test_words_for_what_is_wrong(net: nn.Module, wrong, kind, words: str, wrapped: bool) -> None:  # type: ignore[no-untyped-def]
    before = traces(net)
    with pytest.raises(kind, match=words), wrong(wrap(net, input_size=12) if wrapped else net):
        net(image())
    assert traces(net) == before


def test_a_wrong_unit_of_a_measured_model_is_said_before_any_forward(net: nn.Module) -> None:
    with pytest.raises(InputError, match=r"no unit 'conv:4'"), ablate(wrap(net, 12), "conv:4"):
        raise AssertionError
