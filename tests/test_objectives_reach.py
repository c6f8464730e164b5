"""Directions, references, rows and penalties: what they compute, against the same literally, and how they are told."""

from __future__ import annotations

import math

import pytest
import torch
from small_nets import small_model
from torch import Tensor
from torchvision.models import VisionTransformer

import layerscope.objectives as ob
from layerscope.capture.hooks import capture
from layerscope.errors import InputError, UnknownNameError
from layerscope.models.model import VisionModel, wrap
from layerscope.synthesis.ascent import maximise
from layerscope.synthesis.recipes import Recipe


@pytest.fixture
def model() -> VisionModel:
    return small_model()


def images(model: VisionModel, count: int = 3) -> Tensor:
    return torch.rand(count, 3, model.input_size, model.input_size, generator=torch.Generator().manual_seed(0))


def seen(model: VisionModel, *layers: str, count: int = 3) -> dict[str, Tensor]:
    with torch.no_grad(), capture(model, list(layers)) as found:
        model(images(model, count))
        return {layer: found[layer].double() for layer in layers}


VECTOR = [float(value) for value in range(-3, 5)]


@pytest.mark.parametrize("power", [0.0, 1.0, 2.0])
def test_a_direction_position_by_position(model: VisionModel, power: float) -> None:
    found = seen(model, "conv2")
    length = math.sqrt(sum(value * value for value in VECTOR))
    expected = []
    for image in found["conv2"]:
        total = 0.0
        for row in range(16):
            for column in range(16):
                values = image[:, row, column].tolist()
                along = sum(a * b for a, b in zip(values, VECTOR, strict=True)) / length
                cosine = along / (math.sqrt(sum(value * value for value in values)) + 1e-6)
                total += along * max(cosine, 0.1) ** power
        expected.append(total / 256)
    assert ob.direction("conv2", VECTOR, power=power).bind(model)(found).tolist() == pytest.approx(expected, rel=1e-6)


def test_a_direction_at_a_place_is_the_neurons_weighted(model: VisionModel) -> None:
    found = seen(model, "conv2")
    weights = torch.tensor(VECTOR).double() / torch.tensor(VECTOR).double().norm()
    for at, place in (((3, 7), "@3,7"), ("centre", "")):
        neurons = torch.stack([ob.neuron(f"conv2:{unit}{place}").bind(model)(found) for unit in range(8)])
        one = ob.direction("conv2", VECTOR, at=at).bind(model)
        torch.testing.assert_close(one(found), weights @ neurons)
        assert one.positioned == (at != "centre")
    one_hot = ob.direction("conv2", [0, 0, 1, 0, 0, 0, 0, 0]).bind(model)(found)
    torch.testing.assert_close(one_hot, ob.channel("conv2:2").bind(model)(found))


def test_inhibition_is_the_excitation_of_the_negative(model: VisionModel) -> None:
    found = seen(model, "conv2")
    against = ob.excitation("conv2:3").bind(model)({"conv2": -found["conv2"]})
    one = ob.inhibition("conv2:3").bind(model)
    torch.testing.assert_close(one(found), against)
    values = torch.full((1, 8, 4, 4), 2.0, requires_grad=True)  # off everywhere: a gradient all the same, downwards
    one.leaky(0.05)({"conv2": values}).sum().backward()
    assert values.grad is not None
    assert values.grad[0, 3].flatten().tolist() == pytest.approx([-0.05 / 16] * 16)


def test_likeness_and_distance_literally(model: VisionModel) -> None:
    found = seen(model, "conv2")
    reference = ob.activations_of(model, images(model, 2)[1:], "conv2")[0]
    flat, own = found["conv2"].flatten(1).tolist(), reference.flatten().double().tolist()
    length = math.sqrt(sum(value * value for value in own))
    like, far = [], []
    for values in flat:
        along = sum(a * b for a, b in zip(values, own, strict=True)) / length
        cosine = along / math.sqrt(sum(value * value for value in values))
        like.append(along * max(cosine, 0.1) ** 2)
        far.append(sum((a - b) ** 2 for a, b in zip(values, own, strict=True)) / length**2)
    assert ob.likeness("conv2", reference, power=2).bind(model)(found).tolist() == pytest.approx(like, rel=1e-4)
    assert ob.distance("conv2", reference).bind(model)(found).tolist() == pytest.approx(far, rel=1e-4, abs=1e-9)
    assert far[1] == pytest.approx(0, abs=1e-9)
    assert like[1] == pytest.approx(length, rel=1e-4)


def test_interpolation_and_alignment_literally(model: VisionModel) -> None:
    found = seen(model, "conv2", "conv1", count=5)
    first, second = ob.channel("conv2:1"), ob.channel("conv1:2")
    row = ob.interpolation(first, second).bind(model)(found)
    ends = [one.bind(model)(found) for one in (first, second)]
    expected = [(1 - i / 4) * float(ends[0][i]) + i / 4 * float(ends[1][i]) for i in range(5)]
    assert row.tolist() == pytest.approx(expected)
    flat = found["conv2"].flatten(1)
    apart = [
        -sum(float((flat[i] - flat[j]).square().mean()) / 2 ** abs(i - j) for j in range(5) if j != i)
        / float(flat.square().mean())
        for i in range(5)
    ]
    assert ob.alignment("conv2").bind(model)(found).tolist() == pytest.approx(apart)


def test_a_penalised_objective_scores_without_and_climbs_with_its_penalty(model: VisionModel) -> None:
    found = seen(model, "conv1", "conv2")
    both = ob.penalised(ob.channel("conv2:1"), 0.5 * ob.layer_energy("conv1")).bind(model)
    plain, energy = ob.channel("conv2:1").bind(model)(found), ob.layer_energy("conv1").bind(model)(found)
    torch.testing.assert_close(both(found), plain)
    torch.testing.assert_close(both.leaky(0.05)(found), plain - 0.5 * energy)
    assert both.layers == ("conv1", "conv2")


def test_a_joint_objective_of_two_layers_is_the_sum_and_climbs_both(model: VisionModel) -> None:
    joint = ob.neuron("conv2:1") + 2 * ob.neuron("conv3:2")
    recipe = Recipe("joint", "fourier", view=32, steps=40)
    art = maximise(model, [joint], recipe=recipe)
    shown = torch.from_numpy(art.images).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad(), capture(model, ["conv2", "conv3"]) as found:
        model(shown)
        parts = [float(ob.neuron(unit).bind(model)(found)) for unit in ("conv2:1", "conv3:2")]
    assert art.scores[0] == pytest.approx(parts[0] + 2 * parts[1], rel=1e-4)
    before = seen(model, "conv2", "conv3")
    assert all(
        part > float(ob.neuron(unit).bind(model)(before).mean())
        for part, unit in zip(parts, ("conv2:1", "conv3:2"), strict=True)
    )


def test_negative_pictures_go_below_what_positive_ones_start_from(model: VisionModel) -> None:
    recipe = Recipe("negative", "fourier", view=32, steps=40)
    art = maximise(model, [-ob.neuron("conv2:1"), ob.neuron("conv2:1"), ob.inhibition("conv2:1")], recipe=recipe)
    assert art.scores[0] > art.controls[0]
    assert -art.scores[0] < 0 < art.scores[1]
    assert art.scores[2] > art.controls[2]


def test_texts_tell_what_differs(model: VisionModel) -> None:
    one, other = ob.activations_of(model, images(model, 2), "conv2")
    different = [
        ob.direction("conv2", VECTOR),
        ob.direction("conv2", VECTOR[::-1]),
        ob.direction("conv2", VECTOR, power=1),
        ob.direction("conv2", VECTOR, power=1.0000001),
        ob.direction("conv2", VECTOR, at="centre"),
        ob.direction("conv2", VECTOR, at=(1, 2)),
        ob.likeness("conv2", one),
        ob.likeness("conv2", other),
        ob.likeness("conv2", one, power=2),
        ob.distance("conv2", one),
        ob.distance("conv2", other),
        ob.interpolation(ob.channel("conv2:1"), ob.channel("conv2:2")),
        ob.interpolation(ob.channel("conv2:2"), ob.channel("conv2:1")),
        ob.penalised(ob.channel("conv2:1"), ob.channel("conv2:2")),
        ob.inhibition("conv2:1"),
        ob.excitation("conv2:1"),
        ob.alignment("conv2"),
        ob.diversity("conv2"),
    ]
    assert len({str(objective) for objective in different}) == len(different)
    assert str(ob.likeness("conv2", one)) == str(ob.likeness("conv2", one.clone()))
    assert ob.distance("conv2", one) == ob.distance("conv2", one.clone()) != ob.distance("conv2", other)
    assert str(ob.direction("conv3", [1.0] * 12)).startswith("direction conv3 (12 values, ")


def test_what_the_logits_of_a_class_are_weighted_with(model: VisionModel) -> None:
    assert ob.logit("owl").logits == 1
    assert ob.margin("owl", "cat").logits == 0
    assert ob.channel("conv2:1").logits == 0
    assert ob.interpolation(0.5 * ob.logit("owl"), 0.1 * ob.logit("cat")).logits == pytest.approx(0.3)
    assert ob.penalised(2 * ob.logit("owl"), ob.layer_energy("conv1")).logits == 2


def test_what_is_refused(model: VisionModel) -> None:
    one = ob.activations_of(model, images(model, 1), "conv2")[0]
    with pytest.raises(InputError, match=r"none of conv3, which gives \[12, 8, 8\] per image"):
        ob.likeness("conv3", one).bind(model)
    with pytest.raises(InputError, match="nothing can be compared"):
        ob.distance("conv2", torch.zeros(8, 16, 16))
    with pytest.raises(InputError, match="power=-1"):
        ob.likeness("conv2", one, power=-1)
    with pytest.raises(InputError, match="no position 3,99"):
        ob.direction("conv2", VECTOR, at=(3, 99)).bind(model)
    with pytest.raises(InputError, match="depends on its group already"):
        ob.interpolation(ob.channel("conv2:1") - ob.diversity("conv2"), ob.channel("conv2:1"))
    with pytest.raises(InputError, match="not bound"):
        ob.alignment("conv2")({"conv2": torch.zeros(2, 8, 4, 4)})
    with pytest.raises(UnknownNameError, match="nowhere"):
        ob.activations_of(model, images(model), "nowhere")


def transformer() -> VisionModel:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = VisionTransformer(
            image_size=32, patch_size=8, num_layers=2, num_heads=2, hidden_dim=24, mlp_dim=40, num_classes=3
        )
        torch.nn.init.normal_(net.heads[0].weight)
    return wrap(net.eval(), input_size=32, mean=[0.5] * 3, std=[0.25] * 3)


LAST = "encoder.layers.encoder_layer_1.mlp.0"


def test_a_transformer_is_climbed_along_its_features_and_not_its_tokens() -> None:
    model = transformer()
    layer = model.layer(LAST)
    assert (layer.shape, layer.unit_axis, layer.units) == ((17, 40), 2, 40)
    vector = torch.zeros(40)
    vector[30] = 1
    unit = f"{LAST}:30"  # more than there are tokens
    art = maximise(
        model,
        [ob.channel(unit), ob.neuron(f"{unit}@1,2"), ob.direction(LAST, vector), ob.direction(LAST, vector, at=(1, 2))],
        recipe=Recipe("vit", "fourier", view=32, steps=30),
    )
    shown = torch.from_numpy(art.images).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad(), capture(model, [LAST]) as found:
        model(shown)
    tokens = found[LAST]
    token = 1 + 1 * 4 + 2
    expected = [tokens[0, :, 30].mean(), tokens[1, token, 30], tokens[2, :, 30].mean(), tokens[3, token, 30]]
    assert art.scores.tolist() == pytest.approx([float(value) for value in expected], rel=1e-4)
    assert (art.scores > art.controls).all()
    with pytest.raises(UnknownNameError, match="units 0 to 39"):
        ob.channel(f"{LAST}:40").bind(model)
