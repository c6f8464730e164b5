"""The units that mattered: exact where the rest of the network is linear, and found where they were planted."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import layerscope as ls
from layerscope.attribution.baselines import blurred
from layerscope.attribution.score import Score, as_objective
from layerscope.capture.evaluating import evaluating
from layerscope.conformance.trace import differences, state_of
from layerscope.studies.familiarity import story_words
from layerscope.studies.main_layers import main_layers
from layerscope.studies.reference import Reference
from layerscope.studies.story import OTHERS, SHOWN, tell

IMAGE = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(3))


class Linear(nn.Module):
    """After `relu` everything is linear: what a unit contributes is known."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.conv, self.relu, self.fc = nn.Conv2d(3, 40, 3, padding=1), nn.ReLU(inplace=True), nn.Linear(40, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.relu(self.conv(x)).mean((2, 3)))


def linear() -> ls.VisionModel:
    return ls.wrap(Linear().eval(), 16, class_names=["a", "b", "c"])


def story(model, target="a", layers=("relu",), reference=None, **more):
    score = Score(model, as_objective(model, target))
    with evaluating(model.module, gradients=True):
        return tell(score, IMAGE, [model.layer(name) for name in layers], reference, **more)


def reference_of(means: Tensor) -> Reference:
    return Reference("made up", 2, {"relu": means}, torch.zeros(2, 3), None)


def test_where_the_rest_is_linear_prediction_and_ablation_are_the_same_and_right():
    model = linear()
    means = torch.rand(2, 40, generator=torch.Generator().manual_seed(1))
    (chapter,) = story(model, reference=reference_of(means))
    with torch.no_grad():
        activation = model.module.relu(model.module.conv(model.normalise(IMAGE))).mean((2, 3))[0]
        change = model.module.fc.weight[0] * (means.mean(0) - activation)
    assert [one.unit for one in chapter.shown] == change.abs().argsort(descending=True)[:SHOWN].tolist()
    for one in chapter.shown:
        assert one.predicted == pytest.approx(change[one.unit].item(), abs=1e-6)
        assert one.true == pytest.approx(change[one.unit].item(), abs=1e-5)
        assert one.mean == pytest.approx(means.mean(0)[one.unit].item())
    assert chapter.agreement == pytest.approx(1.0)
    assert chapter.within == 1.0
    assert chapter.tried == SHOWN + OTHERS


def relu_of(model: ls.VisionModel, images: Tensor) -> Tensor:
    """[unit, row, column]"""
    with torch.no_grad():
        return model.module.relu(model.module.conv(model.normalise(images)))[0]


def test_without_a_reference_the_mean_is_that_over_the_blurred_image():
    """The head reads means of maps, so that the mean over a unit's own map would change nothing."""
    model = linear()
    (chapter,) = story(model)
    sharp, soft = (relu_of(model, images).mean((1, 2)) for images in (IMAGE, blurred(IMAGE)))
    change = model.module.fc.weight[0].detach() * (soft - sharp)
    for one in chapter.shown:
        assert one.mean == pytest.approx(soft[one.unit].item(), abs=1e-6)
        assert one.true == pytest.approx(change[one.unit].item(), abs=1e-5)
        assert abs(one.true) > 1e-3
    assert (chapter.changing, chapter.foretold) == (SHOWN, SHOWN)
    words = story_words([chapter], None, "a")
    assert "set to its mean over this image blurred" in words
    assert f"the sign was as predicted for {SHOWN} of {SHOWN} units." in words


def test_rounding_is_no_change_and_counts_for_nothing():
    model = linear()
    own = relu_of(model, IMAGE).mean((1, 2))
    own[7] += 3.0  # one unit really changes the score
    (chapter,) = story(model, reference=reference_of(own.expand(2, -1)))
    assert [one.unit for one in chapter.shown if one.true or one.predicted] == [7]
    assert (chapter.changing, chapter.foretold, chapter.within) == (1, 1, 1.0)
    words = story_words([chapter], reference_of(own.expand(2, -1)), "a")
    assert f"the sign was as predicted for 1 of 1 units ({SHOWN - 1} changed nothing)." in words
    own[7] -= 3.0
    (still,) = story(model, reference=reference_of(own.expand(2, -1)))
    assert {one.true for one in still.shown} == {one.predicted for one in still.shown} == {0.0}
    assert still.within is None
    assert story_words([still], None, "channel 2:3").endswith("measured again: it changed for none.")
    assert "speaks most for or against channel 2:3:" in story_words([still], None, "channel 2:3")


def test_some_of_the_units_shown_speak_for_the_score_however_strong_the_others_are():
    model = linear()
    with torch.no_grad():
        model.module.fc.weight[0] = -torch.linspace(1, 2, 40)
        model.module.fc.weight[0, :3] = torch.tensor([0.001, 0.003, 0.002])
        strength = relu_of(model, IMAGE).mean((1, 2)) * model.module.fc.weight[0]
    (chapter,) = story(model, reference=reference_of(torch.zeros(2, 40)))
    units = [one.unit for one in chapter.shown]
    speaking = [one.unit for one in chapter.shown if one.true < 0]
    assert speaking == sorted(range(3), key=lambda unit: -strength[unit])[:2]
    assert units == [*strength.abs().argsort(descending=True)[: SHOWN - 2].tolist(), *speaking]


def test_where_a_unit_fired_and_how_strongly():
    model = linear()
    (chapter,) = story(model, reference=reference_of(torch.zeros(2, 40)))
    with torch.no_grad():
        activation = model.module.relu(model.module.conv(model.normalise(IMAGE)))[0]
    for one in chapter.shown:
        assert torch.equal(one.fired, activation[one.unit])
        row, column = one.peak
        assert one.fired[row, column] == activation[one.unit].max() == one.strongest


def test_a_layer_without_a_map_has_none_and_one_after_the_objective_is_left_out():
    model = linear()
    (chapter,) = story(model, layers=("fc",))
    assert chapter.shown[0].fired.shape == (1, 1)
    assert chapter.shown[0].fired.item() == chapter.shown[0].strongest
    assert chapter.shown[0].peak is None
    assert [chapter.layer.name for chapter in story(model, "relu:3", ("conv", "relu", "fc"))] == ["conv", "relu"]


def test_the_others_are_drawn_by_the_seed_and_batches_do_not_matter():
    model, means = linear(), reference_of(torch.zeros(2, 40))
    one, same, other = (
        story(model, reference=means, seed=seed, batch=batch)[0] for seed, batch in ((0, 3), (0, 32), (5, 32))
    )
    assert one.agreement == pytest.approx(same.agreement)
    assert (
        [unit.unit for unit in one.shown] == [unit.unit for unit in same.shown] == [unit.unit for unit in other.shown]
    )


def test_nothing_stays_on_the_network():
    model = linear()
    before = state_of(model.module)
    story(model)
    assert differences(before, state_of(model.module)) == ()


def test_ablations_agree_with_the_public_one():
    model = ls.load_model("menagerie")
    image = ls.world.render(1, seed=7, things="owl").images
    score = Score(model, as_objective(model, "owl"))
    with evaluating(model.module, gradients=True):
        (chapter,) = tell(score, image, [model.layer("relu5")], None)
    for one in chapter.shown[:2]:
        with torch.no_grad(), ls.ablate(model, f"relu5:{one.unit}", to=one.mean):
            changed = score(image)
        with torch.no_grad():
            assert one.true == pytest.approx((changed - score(image)).item(), abs=1e-4)


@pytest.mark.parametrize(
    ("spec", "names"),
    [
        ("menagerie", [f"relu{number}" for number in range(1, 9)]),
        ("torchvision:resnet18", ["relu", "layer1", "layer2", "layer3", "layer4"]),
        ("torchvision:mobilenet_v2", ["features.1", "features.3", "features.6", "features.13", "features.17"]),
    ],
)
def test_the_main_layers(spec, names):
    model = ls.load_model(spec) if spec == "menagerie" else ls.load_model(spec, weights="none")
    assert [layer.name for layer in main_layers(model)] == names


def test_a_network_without_parts_has_no_main_layers():
    class Mean(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.mean((2, 3))

    assert main_layers(ls.wrap(Mean(), 16)) == ()


def test_the_main_layers_of_a_transformer_are_evenly_spaced_blocks():
    from torchvision.models import vit_b_32

    with torch.device("meta"):
        module = vit_b_32(weights=None, image_size=64).eval()
    layers = main_layers(ls.wrap(module, 64))
    assert len(layers) == 8
    assert all(layer.kind == "EncoderBlock" for layer in layers)
    assert layers[-1].name.endswith("encoder_layer_11")
