"""The yardstick for one image: means, distances, probabilities."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from small_nets import small_network

import layerscope as ls
from layerscope.models.datasets import LabelledImages
from layerscope.studies.familiarity import calibration_words, familiar_facts
from layerscope.studies.probe import Probe
from layerscope.studies.reference import Reference, measure_reference


def probe_of(images: torch.Tensor, labels: torch.Tensor, names=("one", "two", "three")) -> Probe:
    return Probe("made up", LabelledImages((images * 255).round().to(torch.uint8), labels, names, {}))


IMAGES = torch.rand(150, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def reference() -> Reference:
    model = small_network()
    labels = model((IMAGES * 255).round() / 255).argmax(1)
    return measure_reference(model, [model.layer("1"), model.layer("3")], probe_of(IMAGES, labels))


def test_means_are_those_of_plain_forwards(reference):
    model = small_network()
    with torch.no_grad(), ls.capture(model, ["1", "3"], stop=False) as activations:
        logits = model((IMAGES * 255).round() / 255)
    assert torch.allclose(reference.means["3"], activations["3"].mean((2, 3)), atol=1e-5)
    assert torch.allclose(reference.unit_means("1"), activations["1"].mean((0, 2, 3)), atol=1e-5)
    assert torch.allclose(reference.logits, logits, atol=1e-5)
    assert reference.images == 150


def test_the_limit_holds_for_other_images_of_the_kind(reference):
    model = small_network()
    others = torch.rand(100, 3, 32, 32, generator=torch.Generator().manual_seed(9))
    beyond = 0
    for number in range(100):
        found = reference.strangeness(model, others[number : number + 1])
        beyond += all(one.distance > one.limit for one in found)
    assert beyond <= 3


def test_the_distance_is_mahalanobis(reference):
    """With so many images and so few units, shrinkage hardly matters."""
    model, image = small_network(), IMAGES[7:8]
    fitted = reference.means["3"][::2].double()
    with torch.no_grad(), ls.capture(model, "3") as activations:
        model(image)
    step = activations["3"].mean((2, 3))[0].double() - fitted.mean(0)
    alive = fitted.std(0) > 0
    covariance = torch.cov(fitted[:, alive].T)
    expected = (step[alive] @ torch.linalg.inv(covariance) @ step[alive] / alive.sum()).sqrt()
    found = {one.layer: one for one in reference.strangeness(model, image)}
    assert found["3"].distance == pytest.approx(expected.item(), rel=0.2)


def test_too_few_images_say_nothing():
    model = small_network()
    few = measure_reference(model, [model.layer("1")], probe_of(IMAGES[:20], torch.zeros(20, dtype=torch.long)))
    assert few.strangeness(model, IMAGES[:1]) == ()
    facts = familiar_facts(model, IMAGES[:1], few)
    assert (facts["checked"], facts["unlike"]) == (False, False)
    assert "20 images of made up are too few" in facts["words"]


def test_noise_of_another_contrast_is_unlike_and_the_probes_own_are_not(reference):
    model = small_network()
    usual = familiar_facts(model, IMAGES[3:4], reference)
    strange = familiar_facts(
        model, torch.ones(1, 3, 32, 32) * torch.tensor([1.0, 0.0, 1.0]).view(1, 3, 1, 1), reference
    )
    assert (usual["checked"], usual["unlike"]) == (True, False)
    assert strange["unlike"]
    assert usual["words"].endswith("That is no proof: images that it does not know may pass this test too.")
    of_scenes = familiar_facts(model, IMAGES[3:4], replace(reference, probe="menagerie"))
    assert "about 30 % of photographs, which it does not know, pass this test too" in of_scenes["words"]
    assert "unlike anything that the network knows: in 2 of 2 layers" in strange["words"]
    unknown = familiar_facts(model, IMAGES[3:4], None)
    assert (unknown["checked"], unknown["unlike"]) == (False, False)
    assert "Not checked" in unknown["words"]


def _reference(logits: torch.Tensor, labels: torch.Tensor | None) -> Reference:
    return Reference("made up", len(logits), {}, logits, labels)


def test_temperature_makes_the_network_as_sure_as_it_is_right():
    generator = torch.Generator().manual_seed(0)
    truth = torch.randn(4000, 5, generator=generator) * 2
    labels = torch.multinomial(truth.softmax(1), 1, generator=generator)[:, 0]
    assert _reference(truth, labels).temperature == pytest.approx(1, rel=0.1)
    assert _reference(truth * 7, labels).temperature == pytest.approx(7, rel=0.1)
    sure = _reference(torch.eye(4)[torch.arange(400) % 4] * 2, torch.arange(400) % 4)
    assert (sure.logits / sure.temperature).softmax(1).amax(1).mean().item() == pytest.approx(401 / 402, abs=1e-3)
    assert _reference(truth, None).temperature is None


def test_calibration_does_not_hold_for_what_is_unlike():
    known = _reference(torch.eye(4)[torch.arange(400) % 4] * 2, torch.arange(400) % 4)
    assert calibration_words(known, unlike=False).startswith("Calibrated on 400 images of made up: logits divided by")
    unlike = "Calibrated on 400 images of made up, which this image is unlike: calibration does not hold here."
    assert calibration_words(known, unlike=True) == unlike
    assert calibration_words(None, unlike=False).startswith("Not calibrated")


def test_labels_are_those_of_the_network_or_none(reference):
    assert reference.labels is not None
    model, labels = small_network(), torch.tensor([0, 1])
    layers = [model.layer("1")]
    turned = measure_reference(model, layers, probe_of(IMAGES[:2], labels, ("three", "one")))
    assert turned.labels.tolist() == [2, 0]
    assert measure_reference(model, layers, probe_of(IMAGES[:2], labels, ("dog", "one"))).labels is None


def test_share_below_a_margin():
    logits = torch.tensor([[0.0, 1.0], [0.0, 2.0], [5.0, 2.0], [0.0, 0.5]])
    assert _reference(logits, None).share_below(1.5) == 0.5
