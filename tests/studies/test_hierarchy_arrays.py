"""Exemplars and curves as a report keeps them, against literal loops."""

from __future__ import annotations

import numpy as np
import torch
from small_exhibits import small_early
from small_nets import SmallNet, seeded

from layerscope.dissection.early import EarlyStimuli, early_tuning
from layerscope.models.model import wrap
from layerscope.passes.accumulators import Top
from layerscope.studies.exemplars import window
from layerscope.studies.hierarchy_arrays import SIDE, exemplars, stimuli_of, tuning_curves

MODEL = wrap(seeded(SmallNet()), 32)


def tops(*layers: str, images: int = 40, k: int = 3) -> dict[str, Top]:
    generator = torch.Generator().manual_seed(0)
    found = {}
    for name in layers:
        units, height, width = MODEL.layer(name).shape

        def drawn(count: int, units: int = units) -> torch.Tensor:
            return torch.randint(count, (units, k), generator=generator)

        scores = torch.rand(units, k, generator=generator)
        found[name] = Top(scores.sort(descending=True).values, drawn(images) // 2 * 2, drawn(height), drawn(width))
    return found


def test_each_unit_has_its_pictures_and_what_it_sees() -> None:
    layers = [MODEL.layer("relu#0"), MODEL.layer("relu#2")]
    pixels = torch.randint(256, (40, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    given = tops("relu#0", "relu#2")
    found = exemplars(layers, given, pixels)
    shown = sorted({image for top in given.values() for image in top.images.flatten().tolist()})
    assert found["probe"].shape == (len(shown), 32, 32, 3)
    assert all(image % 2 == 0 for image in shown)
    for layer in layers:
        top = given[layer.name]
        numbers, boxes = found[f"exemplars/{layer.name}"], found[f"exemplar_boxes/{layer.name}"]
        assert (numbers.dtype, numbers.shape, boxes.dtype) == (np.int32, (layer.units, 3), np.float32)
        assert found[f"exemplar_scores/{layer.name}"].tolist() == top.scores.tolist()
        for unit in range(layer.units):
            for at in range(3):
                image, row, column = (int(values[unit, at]) for values in (top.images, top.rows, top.columns))
                assert np.array_equal(found["probe"][numbers[unit, at]], pixels[image].permute(1, 2, 0).numpy())
                expected = [value / 32 for value in window(layer, row, column, 32)]
                assert boxes[unit, at].tolist() == expected
    small = found["exemplar_boxes/relu#0"]
    assert (small[..., 2] < 1).all()
    assert (small[..., :2] >= 0).all()
    assert (small[..., :2] + small[..., 2:] <= 1).all()
    assert len(np.unique(small[..., 0])) > 3


def test_a_layer_that_sees_everything_has_the_whole_picture() -> None:
    top = Top(torch.ones(1, 2), torch.tensor([[5, 0]]), torch.zeros(1, 2).long(), torch.zeros(1, 2).long())
    layer = next(one for one in MODEL.layers() if one.status == "whole image")
    found = exemplars([layer], {layer.name: top}, torch.zeros(6, 1, 32, 32, dtype=torch.uint8))
    assert found[f"exemplar_boxes/{layer.name}"].tolist() == [[[0, 0, 1], [0, 0, 1]]]
    assert found[f"exemplars/{layer.name}"].tolist() == [[1, 0]]
    assert found["probe"].shape == (2, 32, 32, 1)


def test_large_pictures_are_kept_small() -> None:
    wide = torch.zeros(2, 3, 192, 192, dtype=torch.uint8)
    wide[1, 0, :, 96:] = 200
    layer = MODEL.layer("relu#0")
    top = Top(torch.ones(1, 1), torch.tensor([[1]]), torch.zeros(1, 1).long(), torch.zeros(1, 1).long())
    found = exemplars([layer], {layer.name: top}, wide)
    assert found["probe"].shape == (1, SIDE, SIDE, 3)
    assert set(found["probe"][0, :, :46, 0].flatten().tolist()) == {0}
    assert set(found["probe"][0, :, 50:, 0].flatten().tolist()) == {200}


def test_curves_and_what_they_run_over() -> None:
    stimuli = small_early()
    module = seeded(SmallNet())
    with torch.no_grad():
        module.conv1.weight[2], module.bn1.bias[2] = 0, 0
    tuned = early_tuning(wrap(module, 32), ["bn1"], stimuli, bootstraps=0)["bn1"]
    found = tuning_curves("relu#0", tuned)
    told = stimuli_of(stimuli)
    assert told == {
        "orientations": [22.5 * k for k in range(8)],
        "frequencies": [0.06, 0.12, 0.24],
        "hues": [45.0 * k for k in range(8)],
    }
    for name, over in (("orientation", "orientations"), ("frequency", "frequencies"), ("hue", "hues")):
        curve = found[f"tuning/relu#0/{name}"]
        assert curve.dtype == np.float32
        assert curve.shape == (8, len(told[over]))
        assert np.isnan(curve).all(1).tolist() == [unit == 2 for unit in range(8)]
    np.testing.assert_allclose(found["tuning/relu#0/frequency"][3].max(), tuned.gratings.drive[3], rtol=1e-6)
    peak = found["tuning/relu#0/hue"][3] @ np.exp(1j * np.deg2rad(told["hues"]))
    assert abs((np.rad2deg(np.angle(peak)) - tuned.colour.hue[3] + 180) % 360 - 180) < 1e-3
    assert found["tuning/relu#0/hue"][3].min() < 0


def test_grey_networks_have_no_hues() -> None:
    stimuli = EarlyStimuli.of(17, 1)
    assert stimuli_of(stimuli)["hues"] is None
    assert len(stimuli_of(stimuli)["frequencies"]) == len(stimuli.gratings.frequencies)
