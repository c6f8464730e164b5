"""Methods that look again without a part of the image: against literal float64 references and Captum's own defaults."""

from __future__ import annotations

import pytest
import torch
from captum.attr import FeatureAblation, Occlusion
from provable import (
    by_patch,
    check_alone,
    check_rude,
    check_traceless,
    double_model,
    effects_of_patches,
    linear_model,
    patch_model,
    patches,
    slopes,
)
from small_nets import SmallNet, seeded, small_model
from tasks import found, pictures
from torch import Tensor

from layerscope.attribution.perturbations import METHODS, feature_ablation, occlusion
from layerscope.attribution.score import Score
from layerscope.attribution.superpixels import superpixels
from layerscope.errors import InputError
from layerscope.models.model import VisionModel, wrap
from layerscope.objectives import channel, logit

IMAGES = pictures(3)
PRECISE, REFERENCES = pictures(2, dtype=torch.float64), pictures(2, seed=1, dtype=torch.float64)
SMALL, OTHERS = pictures(2, 16, dtype=torch.float64), pictures(2, 16, seed=1, dtype=torch.float64)
RUNS = [method.run for method in METHODS]
FEW = {occlusion: {"window": 8}, feature_ablation: {"segments": 9}}


def score(model: VisionModel, image: Tensor, target: int = 1) -> float:
    with torch.no_grad():
        return float(model(image[None])[0, target])


def occluded_by_hand(model: VisionModel, image: Tensor, reference: Tensor, window: int, stride: int) -> Tensor:
    """[height, width], by two loops over squares."""
    height, width = image.shape[1:]
    drops, covered = torch.zeros(2, height, width, dtype=torch.float64)
    for top in range(0, height - window + stride, stride):
        for left in range(0, width - window + stride, stride):
            hidden = image.clone()
            hidden[:, top : top + window, left : left + window] = reference[:, top : top + window, left : left + window]
            drops[top : top + window, left : left + window] += score(model, image) - score(model, hidden)
            covered[top : top + window, left : left + window] += 1
    return drops / covered


# --- occlusion


@pytest.mark.parametrize(("window", "stride"), [(8, 8), (8, 4), (5, 3), (7, 6), (32, 32), (1, 1)])
def test_occlusion_is_the_mean_drop_over_the_squares_of_a_pixel(window, stride):
    model, size = double_model(), 32 if window > 1 else 6
    images, references = PRECISE[..., :size, :size], REFERENCES[..., :size, :size]
    options = {"window": window, "stride": stride}
    values = found(occlusion, model, images, "cat", baseline=references, options=options).values
    assert values.shape == (2, 1, size, size)
    for image, reference, value in zip(images, references, values, strict=True):
        wanted = occluded_by_hand(model, image, reference, window, stride)
        torch.testing.assert_close(value[0], wanted, rtol=1e-6, atol=1e-9)  # Captum divides in float32


def test_the_default_window_is_a_seventh_of_the_side_and_the_stride_half_of_it():
    model, images = double_model(), pictures(1, 42, dtype=torch.float64)
    default = found(occlusion, model, images, "cat", baseline="black").values
    given = found(occlusion, model, images, "cat", baseline="black", options={"window": 6, "stride": 3}).values
    assert torch.equal(default, given)


def test_occlusion_is_that_of_captum():
    model = small_model()
    inputs = model.normalise(IMAGES)
    wanted = Occlusion(model.module).attribute(
        inputs, target=1, sliding_window_shapes=(3, 8, 8), strides=(3, 4, 4), baselines=model.normalise(IMAGES * 0)
    )
    values = found(occlusion, model, IMAGES, "cat", baseline="black", options={"window": 8, "stride": 4}).values
    torch.testing.assert_close(values.expand_as(wanted), wanted, rtol=1e-4, atol=1e-5)


def test_occlusion_of_a_linear_network_is_its_share():
    model = linear_model()
    shares = (slopes(model) * (SMALL - OTHERS)).sum(1, keepdim=True)
    values = found(occlusion, model, SMALL, "owl", baseline=OTHERS, options={"window": 1, "stride": 1}).values
    torch.testing.assert_close(values, shares, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("target", [logit("cat"), channel("conv2:3"), channel("conv1:0") - 0.5 * channel("conv3:2")])
def test_any_objective_can_be_explained(target):
    model = double_model()
    bound = target.bind(model)
    values = found(occlusion, model, PRECISE[:1], bound, baseline=REFERENCES[:1], options={"window": 32}).values
    with torch.no_grad():
        scores = [float(Score(model, bound)(images)) for images in (PRECISE[:1], REFERENCES[:1])]
    assert float(values[0, 0, 0, 0]) == pytest.approx(scores[0] - scores[1], rel=1e-6)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"window": 0}, "window=0; it has to be a whole number of at least 1"),
        ({"window": 2.5}, "window=2.5; it has to be a whole number of at least 1"),
        ({"stride": 0}, "stride=0; it has to be a whole number of at least 1"),
        ({"window": 33}, "window=33 and stride=16 for images of 32 px; give a window that fits and a stride"),
        ({"window": 4, "stride": 5}, "window=4 and stride=5 for images of 32 px; give a window that fits and a stride"),
    ],
)
def test_windows_that_make_no_sense(options, words):
    with pytest.raises(InputError, match=f"^{words}"):
        found(occlusion, small_model(), IMAGES, "cat", baseline="blur", options=options)


# --- pieces


def test_feature_ablation_is_the_drop_spread_over_the_piece():
    model, numbers = double_model(), (patches(32, 8) * 3) % 7  # pieces that are not connected
    values = found(feature_ablation, model, PRECISE, "cat", baseline=REFERENCES, options={"segments": numbers}).values
    for image, reference, value in zip(PRECISE, REFERENCES, values, strict=True):
        for number in range(7):
            inside = numbers == number
            drop = score(model, image) - score(model, torch.where(inside, reference, image))
            torch.testing.assert_close(
                value[0][inside], torch.full((int(inside.sum()),), drop).double() / inside.sum(), rtol=1e-6, atol=1e-9
            )


def test_feature_ablation_is_that_of_captum_before_it_is_spread():
    model, numbers = small_model(), patches(32, 8)
    wanted = FeatureAblation(model.module).attribute(
        model.normalise(IMAGES), target=1, baselines=model.normalise(IMAGES * 0), feature_mask=numbers[None, None]
    )
    values = found(feature_ablation, model, IMAGES, "cat", baseline="black", options={"segments": numbers}).values
    torch.testing.assert_close((values * 64).expand_as(wanted), wanted, rtol=1e-4, atol=1e-5)


def test_pieces_are_superpixels_of_each_image():
    model = double_model()
    values = found(feature_ablation, model, PRECISE, "cat", baseline=REFERENCES, options={"segments": 12}).values
    for image, value in zip(PRECISE, values, strict=True):
        pieces = superpixels(image, 12)
        given = found(
            feature_ablation, model, image[None], "cat", baseline=REFERENCES[:1], options={"segments": pieces}
        ).values
        for number in range(int(pieces.max()) + 1):
            assert value[0][pieces == number].unique().numel() == 1
        assert given.shape == (1, 1, 32, 32)


@pytest.mark.parametrize(
    ("segments", "words"),
    [
        (0, "segments=0; it has to be a whole number of at least 1"),
        (4.0, "segments=4.0; it has to be a whole number of at least 1"),
        (
            torch.zeros(16, 16, dtype=torch.long),
            r"segments of shape \(16, 16\) and dtype torch.int64 for images of \(32, 32\)",
        ),
        (torch.zeros(32, 32), r"segments of shape \(32, 32\) and dtype torch.float32 for images of"),
    ],
)
def test_pieces_that_make_no_sense(segments, words):
    with pytest.raises(InputError, match=f"^{words}"):
        found(feature_ablation, small_model(), IMAGES, "cat", baseline="blur", options={"segments": segments})


def test_a_sum_over_patches_is_found_exactly():
    model, numbers = patch_model(), patches()
    options = {"segments": numbers}
    values = found(feature_ablation, model, SMALL, "cat", baseline=OTHERS, options=options).values
    torch.testing.assert_close(
        by_patch(values, numbers), effects_of_patches(model, SMALL, OTHERS), rtol=1e-9, atol=1e-12
    )


def test_numbers_with_gaps_and_a_single_piece():
    gaps = patches(32, 16) * 7 - 3
    values = [
        found(feature_ablation, small_model(), IMAGES, "cat", baseline="blur", options={"segments": segments}).values
        for segments in (gaps, gaps.to(torch.int16), patches(32, 16))
    ]
    assert torch.equal(values[0], values[1])
    assert torch.equal(values[0], values[2])
    one = torch.zeros(32, 32, dtype=torch.uint8)
    whole = found(feature_ablation, small_model(), IMAGES, "cat", baseline="black", options={"segments": one}).values
    difference = (small_model()(IMAGES) - small_model()(IMAGES * 0))[:, 1].detach()
    torch.testing.assert_close(whole.sum((1, 2, 3)), difference, rtol=1e-4, atol=1e-5)


# --- what holds for all


@pytest.mark.parametrize("run", RUNS)
def test_an_image_does_not_depend_on_its_company(run):
    check_alone(run, IMAGES, **FEW[run])


@pytest.mark.parametrize("run", RUNS)
def test_nothing_is_left_behind(run):
    check_traceless(run, IMAGES, **FEW[run])


@pytest.mark.parametrize("run", RUNS)
def test_frozen_networks_that_work_in_place(run):
    check_rude(run, pictures(2, 16), **FEW[run])


@pytest.mark.parametrize("run", RUNS)
def test_one_channel_and_oblong_images(run):
    model = wrap(seeded(SmallNet(1)), input_size=32, mean=(0.5,), std=(0.5,), name="grey")
    result = found(run, model, pictures(2, 32, channels=1)[..., :20], 1, baseline="blur", options=FEW[run])
    assert result.values.shape == (2, 1, 32, 20)


def test_methods_say_what_they_are():
    assert [method.name for method in METHODS] == [run.__name__ for run in RUNS]
    assert all(method.needs == ("baseline",) for method in METHODS)
    assert [method.claims for method in METHODS] == [None, None]
