"""What can be read from a layer: each task from the images that it is about, and none without its truth."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from scipy.stats import t as student
from small_exhibits import small_early, small_pictures
from small_nets import SmallNet, seeded

from layerscope.dissection.curves import TASKS, decodabilities
from layerscope.dissection.measures import Exhibits, LayerMeasures, Site, measure
from layerscope.dissection.pictures import TEXTURE_SWAPPED, Control, Pictures
from layerscope.dissection.stimuli.textures import Textures
from layerscope.models.model import wrap

TEXTURES = Textures(32, 3, 6, ("stripes", "dots", "fur"))
PER_CLASS = 20


@pytest.fixture(scope="module")
def pictures() -> Pictures:
    plain = small_pictures(per_class=PER_CLASS)
    swapped = Control(TEXTURE_SWAPPED, plain.controls[0].twins)
    labels = torch.cat([plain.labels[: plain.chosen], plain.labels[plain.chosen :].sort().values])  # the halves differ
    return replace(plain, labels=labels, controls=(*plain.controls, swapped))


@pytest.fixture(scope="module")
def measured(pictures: Pictures) -> LayerMeasures:
    model = wrap(seeded(SmallNet()), 32)
    return measure(model, [Site("relu#0", "bn1")], Exhibits(small_early(), TEXTURES, pictures))["relu#0"]


def told(measures: LayerMeasures, pictures: Pictures, *in_what: str, seed: int = 0) -> LayerMeasures:
    """Measures of noise, but that the class can be read from the images of these names ("" is the pictures)."""
    generator = torch.Generator().manual_seed(seed)
    code = 5 * torch.eye(3)

    def drawn(name: str, labels: torch.Tensor) -> torch.Tensor:
        noise = torch.randn(len(labels), measures.units, generator=generator)
        if name in in_what:
            noise[:, :3] += code[labels]
        return noise

    controls = {
        name: drawn(name.split("/")[0], pictures.scored_labels) if name.endswith("maxima") else torch.zeros_like(values)
        for name, values in measures.controls.items()
    }
    means, maxima = torch.zeros_like(measures.means), drawn("", pictures.labels)
    return replace(measures, means=means, maxima=maxima, controls=controls)


def read(own: LayerMeasures, twins: list[LayerMeasures], pictures: Pictures):
    return decodabilities({"layer": own}, [{"layer": one} for one in twins], pictures, TEXTURES, splits=4)["layer"]


def test_shape_is_read_from_what_is_in_other_textures_and_nothing_else(measured, pictures):
    twins = [told(measured, pictures, seed=seed) for seed in (1, 2, 3)]
    shape = read(told(measured, pictures, TEXTURE_SWAPPED), twins, pictures)
    assert tuple(shape) == tuple(TASKS) == ("edge", "texture", "shape", "object", "configuration")
    assert shape["shape"].accuracy.value > 0.9
    assert shape["shape"].beyond_twins.value > 0.4
    assert shape["shape"].beyond_shuffled.value > 0.4
    assert shape["shape"].chance == pytest.approx(1 / 3)
    assert abs(shape["object"].accuracy.value - 1 / 3) < 0.25
    whole = read(told(measured, pictures, "", "flipped"), twins, pictures)
    assert whole["object"].accuracy.value > 0.9
    assert abs(whole["shape"].accuracy.value - 1 / 3) < 0.25
    assert whole["shape"].beyond_twins.low < 0.1


def test_a_random_layer_from_which_shape_can_be_read_counts_against_it(measured, pictures):
    both = [told(measured, pictures, TEXTURE_SWAPPED, seed=seed) for seed in (0, 1, 2, 3)]
    found = read(both[0], both[1:], pictures)["shape"]
    assert found.accuracy.value > 0.9
    assert found.beyond_twins.low <= 0 <= found.beyond_twins.high


def test_tasks_without_truth_are_left_out(measured, pictures):
    without = replace(pictures, controls=pictures.controls[:1], contour=None)
    assert not without.twins(TEXTURE_SWAPPED)
    own = told(measured, pictures)
    assert tuple(read(own, [own], without)) == ("texture", "object", "configuration")


def test_what_is_beyond_the_twins_holds_together_for_all_layers_and_tasks(measured, pictures):
    """Two layers with five tasks each: ten intervals, so each is wider than that of one alone, and accuracies are not."""
    twin = told(measured, pictures, seed=1)
    own = told(measured, pictures, TEXTURE_SWAPPED)
    one = read(own, [twin], pictures)["shape"]
    two = decodabilities({"a": own, "b": own}, [{"a": twin, "b": twin}], pictures, TEXTURES, splits=4)["a"]["shape"]
    wider = student.ppf(1 - 0.05 / 20, 3) / student.ppf(1 - 0.05 / 10, 3)  # of one twin: three degrees, of the splits
    half, alone = (found.beyond_twins.high - found.beyond_twins.value for found in (two, one))
    assert half == pytest.approx(wider * alone)
    assert two.accuracy == one.accuracy
