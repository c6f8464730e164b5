from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import planted_nets as planted
import pytest
import torch
import torch.nn.functional as F
from captum.attr import (
    InternalInfluence,
    LayerConductance,
    LayerGradientXActivation,
    LayerIntegratedGradients,
    NeuronConductance,
    NeuronGradient,
    NeuronIntegratedGradients,
)
from small_nets import SmallNet, seeded, small_model
from tasks import found, task_for
from torch import Tensor, nn
from written_out import CLASS, LAYERS, SIDE, activation_and_gradient, images, layouts, small

from layerscope.attribution import layers
from layerscope.attribution.baselines import blurred
from layerscope.attribution.completeness import completeness_gaps
from layerscope.attribution.score import Score, as_objective
from layerscope.attribution.steps import gauss_legendre, until_complete
from layerscope.capture.evaluating import evaluating
from layerscope.capture.head import Head
from layerscope.conformance.trace import differences, state_of
from layerscope.errors import CaptureError, InputError
from layerscope.models.model import VisionModel, wrap

METHODS = [
    layers.layer_gradient_x_activation,
    layers.layer_integrated_gradients,
    layers.layer_deeplift,
    layers.conductance,
    layers.internal_influence,
]
FEW: dict[Any, dict[str, Any]] = {
    layers.layer_integrated_gradients: {"steps": 5, "most_steps": 5},
    layers.conductance: {"steps": 5, "most_steps": 5},
    layers.internal_influence: {"steps": 5},
}
EVERY_LAYER = pytest.mark.parametrize("layer", LAYERS)


def assert_same(a: Tensor, b: Tensor, tolerance: float = 1e-9) -> None:
    torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance * float(b.abs().max()))


def values(run: Callable[..., Any], model: VisionModel, x: Tensor, layer: str, **more: Any) -> Tensor:
    result: Tensor = found(
        run, model, x, CLASS, layer=layer, options=FEW.get(run), **{"baseline": "blur", **more}
    ).values
    return result


# --- the definitions, written out: one image and one step at a time


def line(model: VisionModel, x: Tensor, layer: str, place: float) -> tuple[Tensor, Tensor]:
    """Activation and gradient at a place of the line from the blurred images to the images."""
    return activation_and_gradient(layer, model, blurred(x) + place * (x - blurred(x)))


def by_integral(model: VisionModel, x: Tensor, layer: str, steps: int) -> Tensor:
    here, head = LAYERS[layer](model, x)
    there, _ = LAYERS[layer](model, blurred(x))
    total = torch.zeros_like(here)
    for place, weight in zip(*gauss_legendre(steps, x), strict=True):
        point = (there + place * (here - there)).detach().requires_grad_()
        (gradient,) = torch.autograd.grad(head(point).sum(), point)
        total = total + weight * gradient
    return ((here - there) * total).detach()


def by_conductance(model: VisionModel, x: Tensor, layer: str, steps: int) -> Tensor:
    total: Any = 0
    for step in range(steps):
        (before, first), (after, second) = (line(model, x, layer, place / steps) for place in (step, step + 1))
        total = total + (after - before) * (first + second) / 2
    return torch.as_tensor(total)


def by_influence(model: VisionModel, x: Tensor, layer: str, steps: int) -> Tensor:
    pairs = zip(*gauss_legendre(steps, x), strict=True)
    return torch.as_tensor(sum(weight * line(model, x, layer, place)[1] for place, weight in pairs))


@EVERY_LAYER
def test_gradient_times_activation(layer: str) -> None:
    model, x = small(), images()
    activation, gradient = activation_and_gradient(layer, model, x)
    assert_same(values(layers.layer_gradient_x_activation, model, x, layer), activation * gradient)


@EVERY_LAYER
@pytest.mark.parametrize("batch", [1, 4, 16])
@pytest.mark.parametrize(
    ("run", "reference"),
    [
        (layers.layer_integrated_gradients, by_integral),
        (layers.conductance, by_conductance),
        (layers.internal_influence, by_influence),
    ],
)
def test_the_definition(run: Callable[..., Any], reference: Callable[..., Tensor], layer: str, batch: int) -> None:
    model, x = small(), images()
    assert_same(values(run, model, x, layer, batch=batch), reference(model, x, layer, 5))


def test_the_places_of_gauss_and_legendre() -> None:
    places, weights = gauss_legendre(4, images())
    for power in range(8):
        assert float((weights * places**power).sum()) == pytest.approx(1 / (power + 1), rel=1e-12)
    assert abs(float((weights * places**8).sum()) - 1 / 9) > 1e-6


# --- what can be proved


@EVERY_LAYER
def test_they_add_up_as_steps_rise(layer: str) -> None:
    model, x = small(), images()
    expected = (model(x) - model(blurred(x)))[:, CLASS].detach()
    for run in (layers.layer_integrated_gradients, layers.conductance):
        options = {"steps": 2, "most_steps": 512, "tolerance": 1e-3}
        result = found(run, model, x, CLASS, layer=layer, baseline="blur", options=options)
        assert result.expected is not None
        torch.testing.assert_close(result.expected, expected)
        assert (completeness_gaps(result.values, expected, expected) <= 1e-3).all()


def test_behind_the_last_nonlinearity_all_are_the_contributions_of_the_units() -> None:
    model, x = small(), images()
    here, there = (LAYERS["relu#2"](model, one)[0].detach() for one in (x, blurred(x)))
    weights = model.module.fc.weight[CLASS].detach().view(-1, 1, 1) / 64
    assert_same(values(layers.layer_gradient_x_activation, model, x, "relu#2"), weights * here)
    assert_same(values(layers.layer_integrated_gradients, model, x, "relu#2"), weights * (here - there))
    assert_same(values(layers.layer_deeplift, model, x, "relu#2"), weights * (here - there))
    assert_same(values(layers.conductance, model, x, "relu#2"), weights * (here - there))
    assert_same(values(layers.internal_influence, model, x, "relu#2"), weights.expand(2, 12, 8, 8))


def test_conductance_at_the_first_layer_is_integrated_gradients_of_it() -> None:
    """Of an affine map of the image, both lines are the same."""
    model, x = small(), images()
    options = {"steps": 400, "most_steps": 400, "tolerance": 1.0}
    one, two = (
        found(run, model, x, CLASS, layer="bn1", baseline="blur", options=options).values
        for run in (layers.conductance, layers.layer_integrated_gradients)
    )
    torch.testing.assert_close(one, two, rtol=0, atol=0.02 * float(two.abs().max()))


# --- what goes around the layer


class _Around(nn.Module):
    """x goes through "inside" and around it."""

    def __init__(self) -> None:
        super().__init__()
        self.inside, self.outside = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return (self.inside(x) * self.outside(x)).mean((2, 3))


def test_what_goes_around_the_layer_is_said() -> None:
    model, x = wrap(seeded(_Around()).double(), input_size=SIDE), images()
    net, low = model.module, blurred(x)
    here, there, outside = (
        net.inside(model.normalise(x)),
        net.inside(model.normalise(low)),
        net.outside(model.normalise(x)),
    )
    result = found(layers.layer_integrated_gradients, model, x, CLASS, layer="inside", baseline="blur")
    expected = ((here - there) * outside)[:, CLASS].mean((1, 2)).detach()
    assert result.expected is not None
    torch.testing.assert_close(result.expected, expected)
    torch.testing.assert_close(result.values.sum((1, 2, 3)), expected)
    around = (
        "Part of the score goes around layer 'inside': the values add up to what the layer makes of the difference "
    )
    assert result.own_notes == ((f"{around}between image and baseline.",),) * 2
    lifted = found(layers.layer_deeplift, model, x, CLASS, layer="inside", baseline="blur")
    torch.testing.assert_close(lifted.values.sum((1, 2, 3)), expected)
    assert lifted.own_notes == result.own_notes
    flow = found(layers.conductance, model, x, CLASS, layer="inside", baseline="blur", options={"steps": 3})
    assert flow.expected.isnan().all()
    assert flow.own_notes == (("Part of the score goes around layer 'inside': the values need not add up.",),) * 2
    middle = net.outside(model.normalise((x + low) / 2))  # of a product of two affine maps, the mean along the line
    torch.testing.assert_close(
        flow.values.sum((1, 2, 3)), ((here - there) * middle)[:, CLASS].mean((1, 2)).detach(), rtol=1e-9, atol=1e-12
    )


# --- what Captum makes of it, where nothing works in place


def assert_same_as_captum(ours: Tensor, theirs: Tensor, tolerance: float = 1e-6) -> None:
    assert_same(ours, theirs.detach(), tolerance)


@pytest.mark.parametrize("layer", ["bn2", "conv3"])
def test_captum_agrees(layer: str) -> None:
    model, x = small(), images()
    other = planted.out_of_place(model.module)
    part, inputs, low = other.get_submodule(layer), model.normalise(x), model.normalise(blurred(x))
    assert_same_as_captum(
        values(layers.layer_gradient_x_activation, model, x, layer),
        LayerGradientXActivation(other, part).attribute(inputs, CLASS),
    )
    assert_same_as_captum(
        values(layers.layer_integrated_gradients, model, x, layer),
        LayerIntegratedGradients(other, part).attribute(inputs, low, CLASS, n_steps=5),
    )
    assert_same_as_captum(
        values(layers.internal_influence, model, x, layer),
        InternalInfluence(other, part).attribute(inputs, low, CLASS, n_steps=5),
    )
    options = {"steps": 200, "most_steps": 200, "tolerance": 1.0}
    ours = found(layers.conductance, model, x, CLASS, layer=layer, baseline="blur", options=options).values
    theirs = LayerConductance(other, part).attribute(inputs, low, CLASS, n_steps=200, method="riemann_trapezoid")
    assert_same_as_captum(ours, theirs, 0.02)


def test_a_neuron_is_a_target_of_any_method() -> None:
    model, x = small(), images()
    other = planted.out_of_place(model.module)
    inputs, low = model.normalise(x), model.normalise(blurred(x))
    task = task_for(model, x, "conv3:7@2,5")
    leaf = x.clone().requires_grad_()
    with evaluating(model.module, gradients=True):
        (gradient,) = torch.autograd.grad(task.score(leaf).sum(), leaf)
    per_input = NeuronGradient(other, other.conv3).attribute(inputs.clone().requires_grad_(), (7, 2, 5))
    assert_same_as_captum(gradient * torch.tensor(model.std).view(-1, 1, 1), per_input)
    options = {"tolerance": 1e-3}
    result = found(layers.conductance, model, x, "conv3:7@2,5", layer="relu#1", baseline="blur", options=options)
    along = NeuronIntegratedGradients(other, other.conv3).attribute(inputs, (7, 2, 5), low, n_steps=300)
    torch.testing.assert_close(result.values.sum((1, 2, 3)), along.sum((1, 2, 3)).detach(), rtol=0.01, atol=0)


def test_the_inputs_of_a_neuron_share_its_conductance() -> None:
    model, x = small(), images(1)
    other = planted.out_of_place(model.module)
    shares = NeuronConductance(other, other.conv3).attribute(
        model.normalise(x), (7, 2, 5), target=CLASS, baselines=model.normalise(blurred(x)), n_steps=400
    )
    options = {"steps": 400, "most_steps": 400, "tolerance": 1.0}
    result = found(layers.conductance, model, x, CLASS, layer="conv3", baseline="blur", options=options)
    assert float(result.values[0, 7, 2, 5]) == pytest.approx(float(shares.sum()), rel=0.01)


# --- steps


def test_steps_rise_for_those_images_alone_that_need_them() -> None:
    asked: list[tuple[int, list[int]]] = []

    def run(steps: int, numbers: Tensor) -> Tensor:
        asked.append((steps, numbers.tolist()))
        return torch.tensor([1 + error / steps for error in (0.0, 0.1, 1.0)])[numbers][:, None]

    made, notes = until_complete(run, torch.ones(3), torch.ones(3), steps=4, most_steps=100, tolerance=0.02)
    assert asked == [(4, [0, 1, 2]), (8, [1, 2]), (16, [2]), (32, [2]), (64, [2])]
    torch.testing.assert_close(made[:, 0], torch.tensor([1, 1 + 0.1 / 8, 1 + 1 / 64]))
    assert notes == ((), ("It took 8 steps, more than 4, to add up.",), ("It took 64 steps, more than 4, to add up.",))


def test_what_does_not_add_up_is_said() -> None:
    made, notes = until_complete(
        lambda steps, numbers: torch.tensor([[1.5], [math.nan], [1.0]])[numbers],
        torch.ones(3),
        torch.ones(3),
        steps=4,
        most_steps=10,
        tolerance=0.01,
    )
    assert made[0] == 1.5
    assert notes == (
        ("It does not add up after 10 steps: the gap is 0.5; most_steps= allows more.",),
        ("It does not add up after 10 steps: the gap is nan; most_steps= allows more.",),
        (),
    )


def test_where_there_is_nothing_to_add_up_to_steps_stay() -> None:
    asked: list[list[int]] = []

    def run(steps: int, numbers: Tensor) -> Tensor:
        asked.append(numbers.tolist())
        return torch.zeros(len(numbers), 1)

    expected = torch.tensor([math.nan, 1.0])
    _, notes = until_complete(run, expected, torch.ones(2), steps=4, most_steps=8, tolerance=0.01)
    assert asked == [[0, 1], [1]]
    assert [len(own) for own in notes] == [0, 1]


def test_only_what_comes_after_the_layer_runs_again() -> None:
    """In either order of memory; 50 steps through the whole network would take ten times as long."""
    model = small_model()
    for layout in (torch.channels_last, torch.contiguous_format):
        score = Score(model, as_objective(model, CLASS), layout)
        assert Head(model.module, "relu#2", score, torch.rand(1, 3, 32, 32)).fast


# --- what every method keeps


@pytest.mark.parametrize("run", METHODS)
def test_units_come_first_whatever_the_layout(run: Callable[..., Any]) -> None:
    x = images()
    first, last, tokens = (values(run, model, x, "site") for model in layouts().values())
    assert first.shape == (2, 6, 8, 8)
    assert_same(last, first)
    assert tokens.shape == (2, 6, 66)
    assert_same(tokens[..., 2:].unflatten(2, (8, 8)), first)
    assert (tokens[..., :2] == 0).all()


@pytest.mark.parametrize("layer", ["conv1", "relu#0", "bn2", "/add", "conv3", "relu#2"])
@pytest.mark.parametrize("run", METHODS)
def test_in_place_operations_change_nothing(run: Callable[..., Any], layer: str) -> None:
    model, x = small(), images(1)
    still = wrap(planted.out_of_place(model.module), input_size=SIDE)
    assert_same(values(run, model, x, layer), values(run, still, x, layer))


@pytest.mark.parametrize("run", METHODS)
def test_an_image_has_its_values_in_any_company_and_batch(run: Callable[..., Any]) -> None:
    model, x = small(), images(3)
    together = values(run, model, x, "relu#1", batch=4)
    for number in range(3):
        assert_same(values(run, model, x[number : number + 1], "relu#1", batch=1)[0], together[number])


@pytest.mark.parametrize("run", METHODS)
def test_nothing_is_left_on_the_network(run: Callable[..., Any]) -> None:
    model, x = small(), images(1)
    model.module.train()
    before = state_of(model.module)
    assert not values(run, model, x, "relu#1").requires_grad
    assert differences(before, state_of(model.module)) == ()


@pytest.mark.parametrize("run", METHODS)
def test_words_for_what_is_wrong(run: Callable[..., Any]) -> None:
    model, x = small(), images(1)
    for target in ("conv2:3", "conv2:3@1,1"):
        with pytest.raises(CaptureError, match="computed before layer 'relu#2'; name an earlier layer"):
            found(run, model, x, target, layer="relu#2", baseline="blur")

    class Aside(SmallNet):
        def forward(self, x: Tensor) -> Tensor:
            self.conv2(F.relu(self.bn1(self.conv1(x))))
            return super().forward(x)

    aside = wrap(seeded(Aside()).double(), input_size=SIDE)
    with pytest.raises(CaptureError, match="layer 'conv2#0' has no gradient: what is explained does not depend on it"):
        found(run, aside, x, CLASS, layer="conv2#0", baseline="blur")
    if run in FEW:
        with pytest.raises(InputError, match="steps=0; it has to be a whole number of at least 1"):
            found(run, model, x, CLASS, layer="relu#1", baseline="blur", options={"steps": 0})


def test_methods_are_described() -> None:
    assert [method.name for method in layers.METHODS] == [run.__name__ for run in METHODS]
    assert all(method.layered and "layer" in method.needs for method in layers.METHODS)
    assert [method.claims for method in layers.METHODS] == [None, "difference", "difference", "difference", None]
