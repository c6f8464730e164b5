"""Recipes follow the depth of a layer, for any network."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from small_nets import seeded
from torch import nn

import layerscope.objectives as ob
from layerscope.capture.layers import Layer
from layerscope.capture.units import Unit
from layerscope.errors import UnknownNameError
from layerscope.models.model import VisionModel, wrap
from layerscope.models.spectrum import Spectrum
from layerscope.synthesis.images import Fourier, PhaseOnly, Pixels
from layerscope.synthesis.recipes import (
    Recipe,
    climbed,
    default_objective,
    parametrisation,
    recipe_for,
    stage_of,
)


def layer(field: int | None, shape: tuple[int, ...] = (8, 4, 4), name: str = "x") -> Layer:
    return Layer(name, "Conv2d", shape, 1, shape[0], 4, field, 0.0, "exact")


@pytest.mark.parametrize(
    ("field", "stage"), [(7, "texture"), (29, "texture"), (44, "texture"), (45, "thing"), (105, "thing")]
)
def test_the_stage_follows_the_reach(model: VisionModel, field: int, stage: str) -> None:
    big = dataclasses.replace(model, input_size=64)
    assert stage_of(_listed(big, layer(field)), big) == stage


def _listed(model: VisionModel, *layers: Layer) -> Layer:
    vars(model)["_layers"] = (*layers, layer(None, (5,), "fc"))
    return layers[0]


@pytest.mark.parametrize(
    ("name", "size", "field", "view"),
    [
        ("standard", 64, 7, 48),
        ("standard", 64, 49, 64),
        ("standard", 64, 105, 64),
        ("draft", 64, 105, 64),
        ("standard", 33, 20, 33),
        ("standard", 224, 7, 48),
        ("standard", 224, 99, 112),
        ("standard", 224, 435, 128),
        ("draft", 224, 435, 96),
        ("fine", 224, 435, 224),
        ("standard", 224, None, 128),
    ],
)
def test_the_view_follows_the_receptive_field(
    model: VisionModel, name: str, size: int, field: int | None, view: int
) -> None:
    sized = dataclasses.replace(model, input_size=size)
    assert recipe_for(name, _listed(sized, layer(field)), sized).view == view


def test_the_output_is_a_class(model: VisionModel) -> None:
    assert stage_of(None, model) == stage_of(model.layer("fc"), model) == "class"
    assert recipe_for("standard", None, model).parametrisation == "phase"
    assert recipe_for("standard", None, model).view == 32


def test_what_functions_between_modules_give_has_a_depth_too(model: VisionModel) -> None:
    assert stage_of(model.layer("/add"), model) == stage_of(model.layer("conv2"), model)
    pooled, logits = model.layer("/mean"), model.layer("fc")
    assert (stage_of(pooled, model), stage_of(logits, model)) == ("thing", "class")  # of 12 means come 5 logits


def test_draft_is_shorter_and_fine_is_longer(model: VisionModel) -> None:
    draft, standard, fine = (recipe_for(name, model.layer("conv2"), model) for name in ("draft", "standard", "fine"))
    assert draft.steps < standard.steps < fine.steps
    assert draft.lr > standard.lr > fine.lr


def test_an_unknown_recipe_is_refused(model: VisionModel) -> None:
    with pytest.raises(UnknownNameError, match=r"no recipe 'fin'; nearest: fine"):
        recipe_for("fin", None, model)


def test_default_objectives_excitation_early_neuron_late_logit_last(model: VisionModel) -> None:
    assert str(default_objective(Unit("conv1", 1), model)) == "excitation conv1:1"
    assert str(default_objective(Unit("conv1", 1, (2, 2)), model)) == "neuron conv1:1@2,2"
    assert str(default_objective(Unit("fc", 1), model)) == "logit cat"
    deep = wrap(seeded(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 9, padding=4))), input_size=9)
    assert str(default_objective(Unit("1", 1), deep)) == "neuron 1:1"
    for wrong in ("fc:5", "conv1:8"):
        with pytest.raises(UnknownNameError, match="no unit"):
            default_objective(Unit.parse(wrong), model)


def test_logits_climb_against_the_other_classes_but_a_margin_does_not(model: VisionModel) -> None:
    recipe = Recipe("r", "phase", lse_weight=0.3)
    logits = {"": torch.randn(4, 5, generator=torch.Generator().manual_seed(0))}
    single = ob.logit(2).bind(model)
    wanted = logits[""][:, 2] - 0.3 * logits[""].logsumexp(1)
    torch.testing.assert_close(climbed(single, recipe)(logits), wanted)
    assert climbed(ob.margin(1, 2), recipe).layers == ("",)
    torch.testing.assert_close(
        climbed(ob.margin(1, 2).bind(model), recipe)(logits), logits[""][:, 1] - logits[""][:, 2]
    )
    assert str(climbed(ob.channel("conv1:1"), recipe)) == "channel conv1:1"


@pytest.mark.parametrize(("kind", "made"), [("fourier", Fourier), ("phase", PhaseOnly), ("pixels", Pixels)])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_each_parametrisation_can_be_asked_for(kind: str, made: type, channels: int) -> None:
    recipe = Recipe("r", kind, view=15, decay=None if kind == "phase" else 1.0)  # type: ignore[arg-type]
    images = parametrisation(recipe, Spectrum.natural(channels))
    assert type(images) is made
    assert (images.height, images.axes) == (recipe.wander.canvas, channels)


def test_chroma_weakens_colour_axes_but_not_plain_channels() -> None:
    recipe = Recipe("r", "fourier", chroma=0.5)
    colour = parametrisation(recipe, Spectrum.natural(3)).contrast.colour
    torch.testing.assert_close(colour, Spectrum.natural(3).colour * torch.tensor([1.0, 0.5, 0.5]))
    assert torch.equal(parametrisation(recipe, Spectrum.natural(4)).contrast.colour, torch.eye(4))
