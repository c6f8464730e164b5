"""Objectives: what they compute, how they add up, what they refuse."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

import layerscope.objectives as ob
from layerscope.capture.hooks import capture
from layerscope.capture.positions import at_centre
from layerscope.capture.units import Unit
from layerscope.errors import InputError, UnknownNameError
from layerscope.models.model import VisionModel, wrap
from layerscope.objectives import units

NAMES = ("owl", "crane", "crane", "cat")


class Tokens(nn.Module):
    """[batch, 3, 16, 16] -> one class token and 16 patch tokens, [batch, 17, 6]."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 6, 4, stride=4)
        self.mix = nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([tokens.mean(1, keepdim=True), tokens], 1)
        return self.mix(tokens).mean(1)


@pytest.fixture
def model() -> VisionModel:
    layers = [nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(4 * 16, 4)]
    return wrap(nn.Sequential(*layers), input_size=8, class_names=NAMES)


def activations(model: VisionModel, *layers: str, count: int = 3) -> dict[str, Tensor]:
    images = torch.rand(count, 3, model.input_size, model.input_size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad(), capture(model, list(layers)) as found:
        model(images)
        return {layer: found[layer] for layer in layers}


def test_channel_is_the_mean_over_positions(model: VisionModel) -> None:
    seen = activations(model, "0")
    torch.testing.assert_close(ob.channel("0:2").bind(model)(seen), seen["0"][:, 2].mean((1, 2)))


def test_neuron_reads_its_position(model: VisionModel) -> None:
    seen = activations(model, "0")
    assert torch.equal(ob.neuron("0:1@7,2").bind(model)(seen), seen["0"][:, 1, 7, 2])


def test_neuron_without_position_is_the_mean_of_four_middle_cells_of_an_even_map(model: VisionModel) -> None:
    seen = activations(model, "0")
    torch.testing.assert_close(ob.neuron("0:1").bind(model)(seen), seen["0"][:, 1, 3:5, 3:5].mean((1, 2)))


def test_centre_of_an_odd_map_is_its_middle_cell() -> None:
    units = torch.arange(2 * 25.0).view(1, 2, 5, 5)
    assert at_centre(units).tolist() == [[12.0, 37.0]]


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 1, 1)])
def test_single_values_are_their_own_centre(shape: tuple[int, ...]) -> None:
    units = torch.rand(shape)
    assert torch.equal(at_centre(units), units.view(2, 3))


def test_flattened_layers_have_channels_and_neurons(model: VisionModel) -> None:
    seen = activations(model, "3")
    for make in (ob.channel, ob.neuron):
        assert torch.equal(make("3:5").bind(model)(seen), seen["3"][:, 5])


def test_tokens_units_are_features_not_tokens() -> None:
    model = wrap(Tokens(), input_size=16)
    seen = activations(model, "mix")
    assert seen["mix"].shape == (3, 17, 6)
    torch.testing.assert_close(ob.channel("mix:4").bind(model)(seen), seen["mix"][:, :, 4].mean(1))
    patches = seen["mix"][:, 1:, 4].view(3, 4, 4)
    torch.testing.assert_close(ob.neuron("mix:4").bind(model)(seen), patches[:, 1:3, 1:3].mean((1, 2)))
    torch.testing.assert_close(ob.neuron("mix:4@3,0").bind(model)(seen), patches[:, 3, 0])


def test_direction_is_the_mean_projection_on_a_vector_of_length_one(model: VisionModel) -> None:
    seen = activations(model, "0")
    wanted = (seen["0"] * torch.tensor([3.0, 0, 4, 0]).view(1, 4, 1, 1) / 5).sum(1).mean((1, 2))
    torch.testing.assert_close(ob.direction("0", [3.0, 0, 4, 0]).bind(model)(seen), wanted)
    torch.testing.assert_close(ob.direction("0", torch.tensor([6.0, 0, 8, 0])).bind(model)(seen), wanted)


def test_logits_by_name_and_index_and_their_margin(model: VisionModel) -> None:
    seen = activations(model, "")
    assert torch.equal(ob.logit("owl").bind(model)(seen), seen[""][:, 0])
    assert torch.equal(ob.logit(3).bind(model)(seen), seen[""][:, 3])
    torch.testing.assert_close(ob.margin("owl", 3).bind(model)(seen), seen[""][:, 0] - seen[""][:, 3])
    log_probability = (ob.logit(1) - ob.any_class()).bind(model)(seen)
    torch.testing.assert_close(log_probability, seen[""].log_softmax(1)[:, 1])


def test_energy_is_the_mean_square(model: VisionModel) -> None:
    seen = activations(model, "1")
    torch.testing.assert_close(ob.layer_energy("1").bind(model)(seen), seen["1"].square().mean((1, 2, 3)))


def test_diversity_is_the_mean_cosine_of_gram_matrices_to_the_others(model: VisionModel) -> None:
    seen = {"0": activations(model, "0")["0"].double()}
    grams = [(a.flatten(1) @ a.flatten(1).T).flatten() for a in seen["0"]]
    cosine = [[float(a @ b / (a.norm() * b.norm())) for b in grams] for a in grams]
    wanted = [sum(cosine[i][j] for j in range(3) if j != i) / 2 for i in range(3)]
    assert ob.diversity("0").bind(model)(seen).tolist() == pytest.approx(wanted)


def test_diversity_of_equal_images_is_one_and_alone_zero(model: VisionModel) -> None:
    image = activations(model, "0", count=1)["0"]
    objective = ob.diversity("0").bind(model)
    assert objective({"0": image}).tolist() == [0.0]
    assert objective({"0": image.repeat(3, 1, 1, 1)}).tolist() == pytest.approx([1.0] * 3)


weights = st.floats(-4, 4, allow_nan=False).map(lambda w: round(w, 2))


@given(weights, weights, weights)
def test_algebra_is_that_of_numbers(a: float, b: float, c: float) -> None:
    model = wrap(nn.Sequential(nn.Conv2d(3, 4, 3)), input_size=8)
    seen = {"0": torch.rand(2, 4, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))}
    x, y, z = ob.channel("0:0"), ob.neuron("0:1"), ob.layer_energy("0")
    score = (a * x - (b * y + z) * c + sum([x, y]) - -z).bind(model)(seen)
    vx, vy, vz = (part.bind(model)(seen) for part in (x, y, z))
    torch.testing.assert_close(score, a * vx - (b * vy + vz) * c + vx + vy + vz)


def test_no_operation_changes_its_operands() -> None:
    objective = ob.channel("0:1") - 0.5 * ob.diversity("0")
    before = str(objective)
    _ = objective * 3 + objective - ob.logit(1), -objective, sum([objective, objective])
    assert str(objective) == before == "channel 0:1 - 0.5 * diversity 0"


def test_text_tells_what_is_sought() -> None:
    assert str(ob.channel(Unit("conv3", 5))) == "channel conv3:5"
    assert str(-ob.neuron("conv3:5@1,2") * 2 + ob.logit("owl")) == "-2 * neuron conv3:5@1,2 + logit owl"
    assert str(ob.margin("owl", "cat")) == "logit owl - logit cat"
    assert str(ob.direction("a", [1, 0])) != str(ob.direction("a", [0, 1]))


def test_bound_logits_have_one_text_per_class(model: VisionModel) -> None:
    texts = [str(ob.logit(index).bind(model)) for index in range(4)]
    assert texts == ["logit owl", "logit crane (1)", "logit crane (2)", "logit cat"]
    assert str(ob.logit("owl").bind(model)) == texts[0]


def test_layers_are_those_it_reads() -> None:
    assert (ob.channel("b:1") - ob.diversity("a") + ob.logit(1)).layers == ("", "a", "b")
    assert ob.diversity("a").grouped
    assert not ob.channel("a:1").grouped
    assert (ob.neuron("a:1@0,0") - ob.channel("a:1")).positioned
    assert not ob.neuron("a:1").positioned


def test_an_unbound_objective_says_so(model: VisionModel) -> None:
    seen = activations(model, "0", "")
    for objective in (ob.channel("0:1"), ob.logit("owl"), ob.layer_energy("0")):
        with pytest.raises(InputError, match=r"is not bound to a network; call objective.bind\(model\)"):
            objective(seen)


@pytest.mark.parametrize(
    ("objective", "message"),
    [
        (ob.channel("0:4"), "no unit '0:4'; 0 has units 0 to 3"),
        (ob.channel("Conv:1"), "no layer 'Conv'"),
        (ob.neuron("0:1@8,0"), "no position 8,0; the map here is 8 x 8"),
        (ob.neuron("3:1@0,0"), "no position 0,0; the map here is one value"),
        (ob.direction("0", [1.0]), "a direction of 1 value does not fit 0; it has 4 units"),
        (ob.direction("0", [1.0, 2.0]), "a direction of 2 values does not fit 0; it has 4 units"),
        (ob.logit("dog"), "no class 'dog'"),
    ],
)
def test_binding_refuses_what_is_not_there(model: VisionModel, objective: ob.Objective, message: str) -> None:
    with pytest.raises(InputError, match=message):
        objective.bind(model)
    with pytest.raises(InputError, match=message):
        (2 * objective + ob.logit(0)).bind(model)


def test_a_class_beyond_the_output_is_refused() -> None:
    model = wrap(nn.Sequential(nn.Flatten(), nn.Linear(12, 2)), input_size=2)
    with pytest.raises(UnknownNameError, match="no class 2; the network's output has classes 0 to 1"):
        ob.logit(2).bind(model)(activations(model, ""))


def test_a_channel_has_no_position() -> None:
    with pytest.raises(InputError, match="a channel is a mean over positions, but '0:1@2,3' names one"):
        ob.channel("0:1@2,3")


@pytest.mark.parametrize("vector", [[0.0, 0.0], [float("nan"), 1.0], []])
def test_a_direction_needs_a_length(vector: list[float]) -> None:
    with pytest.raises(InputError, match="a direction needs finite values that are not all zero"):
        ob.direction("0", vector)


def test_only_objectives_and_numbers_combine() -> None:
    with pytest.raises(TypeError):
        ob.channel("0:1") + 1
    with pytest.raises(TypeError):
        ob.channel("0:1") * ob.channel("0:2")  # type: ignore[operator]


def test_moved_reads_elsewhere(model: VisionModel) -> None:
    seen = activations(model, "0", "1")
    moved = (2 * ob.channel("1:2") - ob.diversity("1")).moved("1", "0").bind(model)
    assert moved.layers == ("0",)
    torch.testing.assert_close(moved(seen), (2 * ob.channel("0:2") - ob.diversity("0")).bind(model)(seen))


def test_an_excitation_is_the_mean_of_the_positive_part_and_leaks_when_climbed() -> None:
    values = torch.tensor([[[[1.0, -3.0], [2.0, 0.0]]]], requires_grad=True)
    excited = units._Excitation("x", 1, 0)
    assert excited({"x": values}).item() == pytest.approx(0.75)
    assert excited.leaky(0.05)({"x": values}).item() == pytest.approx(0.75)  # the plain mean is 0
    (2 * excited - units._Channel("x", 1, 0)).leaky(0.05)({"x": values}).sum().backward()
    slopes = values.grad.flatten() * 4
    assert slopes.tolist() == pytest.approx([2 + 0.1 - 1, 0.1 - 1, 2 + 0.1 - 1, slopes[3].item()])
    with pytest.raises(InputError, match=r"a channel is a mean over positions, but 'x:0@1,1' names one"):
        ob.excitation("x:0@1,1")
