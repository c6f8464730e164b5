"""Pictures of images: accentuated, held near, caricatured."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor

import layerscope.objectives as ob
from layerscope.errors import InputError
from layerscope.models.model import VisionModel
from layerscope.synthesis.accentuation import ACCENTUATION, accentuate, caricature

FEW = 24


def images(count: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    coarse = torch.rand(count, 3, 5, 5, generator=generator)
    return torch.nn.functional.interpolate(coarse, (32, 32), mode="bilinear").mul(255).round() / 255


def shown(pictures: np.ndarray) -> Tensor:
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255


def test_scores_and_controls_are_the_objective_alone_on_the_picture_and_the_image(model: VisionModel) -> None:
    art = accentuate(model, images(), "owl", steps=FEW)
    with torch.no_grad():
        before, after = model(images())[:, 0], model(shown(art.images))[:, 0]
    assert art.controls.tolist() == pytest.approx(before.tolist(), abs=1e-4)
    assert art.scores.tolist() == pytest.approx(after.tolist(), abs=1e-4)
    assert (art.scores > art.controls).all()
    assert art.images.shape == (2, 32, 32, 3)
    assert art.objectives[0].startswith("logit owl, climbed less ")


def test_without_a_step_worth_taking_the_picture_is_the_image(model: VisionModel) -> None:
    art = accentuate(model, images(), "owl", recipe=dataclasses.replace(ACCENTUATION, lr=0.0), steps=2)
    assert torch.equal(shown(art.images), images())


def test_the_more_is_kept_the_nearer_the_layer_stays(model: VisionModel) -> None:
    known = ob.activations_of(model, images(1), "conv2")[0]
    far, score = [], []
    for keep in (0.0, 3.0, 300.0):
        art = accentuate(model, images(1), "owl", keep=keep, layer="conv2", steps=FEW)
        found = {"conv2": ob.activations_of(model, shown(art.images), "conv2")}
        far.append(float(ob.distance("conv2", known).bind(model)(found)))
        score.append(float(art.scores[0]))
    assert far[0] > 1.2 * far[1] > 1.2 * far[2]
    assert score[0] > score[2]


def test_the_price_is_the_gain_of_a_change_as_large_as_the_contrast(model: VisionModel) -> None:
    image = images(1).double()
    exact = dataclasses.replace(model, module=model.module.double())
    leaf = image.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(exact(leaf)[0, 1], leaf)
    expected = float(gradient.norm() * (image - image.mean((2, 3), keepdim=True)).norm())
    model.module.float()
    art = accentuate(
        model, images(1), "cat", keep=2.0, layer="conv1", recipe=dataclasses.replace(ACCENTUATION, leak=0.0), steps=1
    )
    told = float(art.objectives[0].removeprefix("logit cat, climbed less ").split(" * ")[0])
    assert told == pytest.approx(2 * expected, rel=0.01)


def test_each_image_has_its_own_objective_and_its_own_bytes(model: VisionModel) -> None:
    both = accentuate(model, images(), ["owl", "cat"], steps=6)
    alone = accentuate(model, images()[1:], "cat", steps=6)
    assert both.images[1].tobytes() == alone.images[0].tobytes()
    assert both.scores[1] == alone.scores[0]


def test_a_caricature_has_the_image_as_its_control(model: VisionModel) -> None:
    art = caricature(model, images(), "conv2", steps=60)
    known = ob.activations_of(model, images(), "conv2")
    lengths = known.flatten(1).norm(dim=1)
    assert art.controls.tolist() == pytest.approx(lengths.tolist(), rel=1e-4)
    found = ob.activations_of(model, shown(art.images), "conv2")
    for score, row, reference in zip(art.scores, found, known, strict=True):
        along = float((row * reference).sum() / reference.norm())
        assert score == pytest.approx(along * along / float(row.norm()), rel=1e-3)
    for score, control, note in zip(art.scores, art.controls, art.notes, strict=True):
        assert ("not exaggerated" in note) == (score < control)


def test_a_caricature_can_start_from_the_image(model: VisionModel) -> None:
    art = caricature(model, images(), "conv2", recipe=dataclasses.replace(ACCENTUATION, lr=0.1), steps=FEW)
    assert (art.scores > art.controls).all()


@pytest.mark.parametrize("ask", [accentuate, lambda model, images, _: caricature(model, images, "conv2")])
def test_images_that_do_not_fit_are_refused(model: VisionModel, ask) -> None:
    for wrong in (torch.rand(1, 3, 31, 31), torch.rand(3, 32, 32), torch.rand(1, 1, 32, 32), torch.rand(0, 3, 32, 32)):
        with pytest.raises(InputError, match=r"do not fit 'small'; give \[1 or more, 3, 32, 32\]"):
            ask(model, wrong, "owl")
    with pytest.raises(InputError, match=r"go from 0 to 255; give values in \[0, 1\]"):
        ask(model, torch.stack([torch.zeros(3, 32, 32), torch.full((3, 32, 32), 255.0)]), "owl")


def test_what_else_is_refused(model: VisionModel) -> None:
    with pytest.raises(InputError, match="3 objectives for 2 images"):
        accentuate(model, images(), ["owl", "cat", "hut"])
    with pytest.raises(InputError, match="keep=-1"):
        accentuate(model, images(), "owl", keep=-1)
