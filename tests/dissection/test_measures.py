"""All that is measured of a network, against what the network does; and nothing stays on it."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from small_exhibits import small_exhibits, small_pictures
from small_nets import SmallNet, seeded
from torch import nn

from layerscope.capture.hooks import capture
from layerscope.dissection.areas import RATES, Areas, _thresholds, measure_areas
from layerscope.dissection.early import early_tuning
from layerscope.dissection.measures import EXEMPLARS, LayerMeasures, Site, measure
from layerscope.dissection.pictures import UNTEXTURED, Concept, Control, TruthMasks
from layerscope.errors import InputError
from layerscope.models.model import wrap

SITES = (Site("relu#0", "bn1"), Site("relu#2", "conv3"))


def network():
    return wrap(seeded(SmallNet()), input_size=32, name="small")


@pytest.fixture(scope="module")
def exhibits():
    return small_exhibits()


@pytest.fixture(scope="module")
def measured(exhibits):
    return measure(network(), SITES, exhibits, draws=3)


def test_means_and_maxima_are_those_of_a_plain_forward(measured, exhibits):
    model = network()
    with torch.no_grad(), capture(model, ["relu#0", "relu#2"]) as seen:
        model(exhibits.pictures.pixels.float() / 255)
    for site in SITES:
        torch.testing.assert_close(measured[site.name].means, seen[site.name].mean((2, 3)))
        torch.testing.assert_close(measured[site.name].maxima, seen[site.name].amax((2, 3)))
        torch.testing.assert_close(measured[site.name].active, (seen[site.name] > 0).double().mean((0, 2, 3)))
    with torch.no_grad(), capture(model, "relu#2") as seen:
        model(exhibits.pictures.controls[0].twins.float() / 255)
    torch.testing.assert_close(measured["relu#2"].controls["flipped/twins/maxima"], seen["relu#2"].amax((2, 3)))


def test_the_strongest_pictures_of_every_unit_and_where(measured, exhibits):
    """Of the pictures alone: their twins excite some units more."""
    model = network()
    with torch.no_grad(), capture(model, [site.name for site in SITES]) as seen:
        model(exhibits.pictures.pixels.float() / 255)
    for site in SITES:
        top, maps = measured[site.name].top, seen[site.name]
        maxima = maps.amax((2, 3)).T
        images = maxima.argsort(dim=1, descending=True, stable=True)[:, :EXEMPLARS]
        torch.testing.assert_close(top.scores, maxima.gather(1, images))
        assert torch.equal(top.images, images)
        for unit, image, row, column, score in [
            (unit, *(int(values[unit, at]) for values in (top.images, top.rows, top.columns)), top.scores[unit, at])
            for unit in range(measured[site.name].units)
            for at in range(EXEMPLARS)
        ]:
            assert float(maps[image, unit, row, column]) == pytest.approx(float(score))


def test_edges_are_measured_before_the_rectifier(measured, exhibits):
    alone = early_tuning(network(), ["bn1"], exhibits.early)["bn1"]
    for field in fields(alone.gratings):
        np.testing.assert_array_equal(
            getattr(measured["relu#0"].early.gratings, field.name), getattr(alone.gratings, field.name)
        )


def test_records_hold_all_of_it(measured, exhibits):
    for one in measured.values():
        arrays = one.arrays()
        again = LayerMeasures.of(arrays, exhibits.textures.families)
        assert arrays.keys() == again.arrays().keys()
        for name, array in again.arrays().items():
            np.testing.assert_array_equal(array, arrays[name])
        assert again.texture.families == ("stripes", "dots", "fur")
        for field in fields(one.top):
            assert torch.equal(getattr(again.top, field.name), getattr(one.top, field.name))


def test_iou_is_that_of_network_dissection(exhibits):
    """Thresholds chosen on the first half for each pair, counted literally on the second, in float64."""
    model, pictures = network(), exhibits.pictures
    areas = measure_areas(model, ["relu#0"], pictures, blocks=4)["relu#0"]
    thresholds = _thresholds(model, ["relu#0"], pictures)["relu#0"]
    with torch.no_grad(), capture(model, "relu#0") as seen:
        model(pictures.pixels.float() / 255)
    maps, masks = seen["relu#0"], pictures.masks[0 : len(pictures)]
    covered = nn.functional.adaptive_avg_pool2d(masks.double(), maps.shape[-2:])

    def iou(images: slice, unit: int, threshold: float, concept: int) -> float:
        on = (maps[images, unit] > torch.tensor(threshold).to(maps)).double()
        both, label = (on * covered[images, concept]).sum(), covered[images, concept]
        return float(both / (on.sum() + label.sum() - both))

    half = pictures.chosen
    for unit in (0, 3, 7):
        for concept in (0, 2, 4):
            rates = [iou(slice(0, half), unit, float(one), concept) for one in thresholds[unit]]
            best = int(np.argmax(rates))
            assert float(areas.rate[unit, concept]) == pytest.approx(RATES[best])
            expected = iou(slice(half, None), unit, float(thresholds[unit, best]), concept)
            assert float(areas.iou()[unit, concept]) == pytest.approx(expected, rel=1e-6)
    assert areas.labelled.shape == (4, 6)
    torch.testing.assert_close(areas.iou(torch.arange(4)), areas.iou())
    assert bool((areas.iou() <= areas.ceiling() + 1e-9).all())


def test_overlap_with_a_part_has_to_last_without_textures(exhibits):
    """Nothing is left where the twins show nothing of the unit, and all where they are the images; else what is less."""
    model, pictures = network(), exhibits.pictures
    scored = pictures.pixels[pictures.chosen :]
    plain = measure_areas(model, ["relu#0"], pictures, blocks=2)["relu#0"]
    assert torch.equal(plain.lasting_iou(), plain.iou())

    def beside(twins: torch.Tensor) -> Areas:
        controls = (*pictures.controls, Control(UNTEXTURED, twins))
        steps: list[int] = []
        both = replace(pictures, controls=controls)
        found = measure_areas(
            model, ["relu#0"], both, blocks=2, on_progress=lambda done, total, what: steps.append(done)
        )
        assert steps == sorted(steps)
        assert steps[-1] == both.for_masks == both.forwards - len(both) - 2 * len(scored)
        assert torch.equal(found["relu#0"].iou(), plain.iou())
        return found["relu#0"]

    assert torch.equal(beside(scored).lasting_iou(), plain.iou())
    flipped = beside(scored.flip(-1))
    alone = measure_areas(
        model, ["relu#0"], replace(pictures, pixels=torch.cat([pictures.pixels[: pictures.chosen], scored.flip(-1)]))
    )["relu#0"]
    torch.testing.assert_close(flipped.lasting_iou(), torch.minimum(plain.iou(), alone.iou()))
    assert bool((flipped.lasting_iou() < plain.iou()).any())
    some = torch.tensor([0, 0])
    assert bool((flipped.lasting_iou(some) <= flipped.iou(some)).all())


def test_no_masks_no_areas(exhibits):
    found = measure(network(), SITES[:1], replace(exhibits, pictures=small_pictures(masks=False)))
    one = found["relu#0"]
    assert one.areas is None
    assert one.draws == {}
    assert one.top is None
    assert LayerMeasures.of(one.arrays(), ("stripes", "dots", "fur")).top is None


def test_units_that_never_move_are_dead(exhibits):
    module = seeded(SmallNet())
    with torch.no_grad():
        module.bn1.weight[2], module.bn1.bias[2] = 0, 0.5  # always the same
        module.bn1.weight[5], module.bn1.bias[5] = 0.01, -50  # never above 0
    found = measure(wrap(module, input_size=32), SITES[:1], exhibits)["relu#0"]
    assert (~found.alive).nonzero()[:, 0].tolist() == [2, 5]


def test_nothing_stays_and_progress_reaches_its_end(exhibits):
    model, seen = network(), []
    before = {name: tensor.clone() for name, tensor in model.module.state_dict().items()}
    measure(model, SITES, exhibits, on_progress=lambda done, total, what: seen.append((done, total)))
    assert seen[-1] == (exhibits.forwards, exhibits.forwards)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert all(not part._forward_hooks for part in model.module.modules())
    for name, tensor in model.module.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_draws_vary_about_the_measure(measured):
    one = measured["relu#0"]
    drive = one.draws["drive"]
    assert drive.shape == (3, 8)
    assert not np.array_equal(drive[0], drive[1])
    assert np.all(np.abs(np.log2(drive / one.early.gratings.drive)) < 1)
    assert one.draws["texture_modulation"].shape == (3, 8)


def test_pictures_need_classes_and_enough_of_each():
    with pytest.raises(
        InputError, match="3 classes, the smallest with 4 pictures in one of two halves; give 2 classes or more, 10"
    ):
        small_pictures(per_class=4)
    with pytest.raises(InputError, match="1 classes"):
        small_pictures(classes=1)
    pictures = small_pictures()
    with pytest.raises(InputError, match="0 controls of 15 images"):
        replace(pictures, controls=())
    renamed = replace(pictures, controls=(replace(pictures.controls[0], name="other"),))
    assert renamed.fingerprint() != pictures.fingerprint()
    assert pictures.fingerprint() == small_pictures().fingerprint() != small_pictures(seed=1).fingerprint()


def test_concepts_at_one_place_are_related():
    """Half of the smaller one inside of the other is enough, in all images together; what is nowhere is related to none."""
    shell = torch.zeros(2, 8, 8, dtype=torch.uint8)
    shell[0, :4, :4] = 1
    colour = torch.zeros_like(shell)
    colour[0, :2, :4] = 1  # half of the shell
    colour[1] = 1
    thing = torch.zeros_like(shell)
    thing[0, :4, :2] = 2
    thing[1, :, 4:] = 2
    concepts = [
        Concept("part", "shell", 1),
        Concept("colour", "green", 1),
        Concept("object", "turtle", 2),
        Concept("part", "wing", 7),
    ]
    found = TruthMasks({"part": shell, "colour": colour, "object": thing}, concepts).related()
    assert torch.equal(found, found.T)
    assert found[:3, :3].tolist() == [[True, True, True], [True, True, True], [True, True, True]]
    assert not found[3].any()
    colour[0, 1] = 0
    assert not TruthMasks({"part": shell, "colour": colour, "object": thing}, concepts).related()[0, 1]
