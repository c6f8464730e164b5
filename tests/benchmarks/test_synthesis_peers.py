"""Lucent as `layerscope benchmark synthesis` runs it, and how pictures are judged beside it."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from small_nets import SmallNet

from layerscope.benchmarks.synthesis import exactness, judged, lucent, objective, settings, trained
from layerscope.conformance.trace import differences, state_of
from layerscope.models.model import wrap
from layerscope.models.sources import load_model
from layerscope.synthesis.recipes import Recipe
from layerscope.types import no_progress


def small():
    torch.manual_seed(0)
    return wrap(SmallNet().eval(), 32)


@pytest.fixture
def with_lucent():
    pytest.importorskip("lucent")
    if why := lucent.why_not():
        pytest.skip(why)


def test_leaving_out_what_follows_changes_no_picture(with_lucent):
    model = load_model("torchvision:resnet18", weights="none")
    short, whole = (
        lucent.draw(model, "layer2.0.conv2", [3, 70], 3, canvas=32, shown=64, whole=one) for one in (False, True)
    )
    assert short.shape == (2, 32, 32, 3)
    assert np.array_equal(short, whole)
    assert not np.array_equal(short[0], short[1])
    longer = lucent.draw(model, "layer2.0.conv2", [3, 70], 4, canvas=32, shown=64)
    assert not np.array_equal(short, longer)


def test_lucent_leaves_nothing_on_the_network_or_the_process(with_lucent):
    model = small()
    lucent.draw(model, "conv2", [1], 1)  # what is imported stays
    before, state, numbers = state_of(model.module), torch.get_rng_state(), np.random.get_state()[1].tolist()
    lucent.draw(model, "conv2", [1], 2)
    assert lucent.clock(model, "conv2", 1)(1) > 0
    assert not differences(before, state_of(model.module))
    assert torch.equal(state, torch.get_rng_state())
    assert np.random.get_state()[1].tolist() == numbers


def test_lucent_is_timed_as_it_is_by_default(with_lucent, monkeypatch):
    from lucent.optvis import render

    asked = []
    monkeypatch.setattr(
        render, "render_vis", lambda module, objective, **more: asked.append((module, objective.description, more))
    )
    model = small()
    lucent.clock(model, "conv2", 5)(7)
    (module, objective, more) = asked[0]
    assert objective == "Channel [conv2, 5, None]"
    assert more == {"thresholds": (7,), "show_image": False, "progress": False}
    assert module is not model.module
    assert all(weight.requires_grad for weight in module.parameters())


def test_lucent_sees_a_network_normalised_as_it_was_trained(with_lucent):
    seen = []
    model = wrap(SmallNet().eval(), 32, mean=(0.4, 0.4, 0.4), std=(0.2, 0.2, 0.2))
    transforms = lucent._transforms(model)
    seen = transforms[-1](torch.full((1, 3, 4, 4), 0.6))
    assert seen == pytest.approx(torch.ones(1, 3, 4, 4))
    assert len(transforms) == 6


def test_why_lucent_cannot_run(monkeypatch, with_lucent):
    import kornia

    with monkeypatch.context() as patched:
        patched.delattr(kornia, "get_rotation_matrix2d")
        assert lucent.why_not().startswith(
            f"kornia {kornia.__version__} is too new for Lucent: pip install torch-lucent"
        )
    monkeypatch.setattr(lucent, "find_spec", lambda name: None)
    assert lucent.why_not().startswith("Lucent is not installed: pip install torch-lucent")
    monkeypatch.undo()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert "hide it" in lucent.why_not()


def test_pictures_score_the_mean_of_their_own_channel_at_the_asked_side():
    model = small()
    pictures = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    found = judged.scores_of(model, pictures, "conv2", [3, 6], 32)
    net = SmallNet().eval()
    net.load_state_dict(model.module.state_dict())
    net.double()
    images = torch.nn.functional.interpolate(
        torch.from_numpy(pictures).permute(0, 3, 1, 2).double() / 255, size=32, mode="bilinear"
    )
    mean, std = (torch.tensor(value, dtype=torch.float64).view(3, 1, 1) for value in (model.mean, model.std))
    out = net.conv2(net.relu(net.bn1(net.conv1((images - mean) / std))))
    assert found == pytest.approx([out[0, 3].mean().item(), out[1, 6].mean().item()], rel=1e-4)


def test_the_interval_of_a_ratio_is_over_units():
    ones = np.ones(8, np.float32)
    assert judged.ratio_of_means(2 * ones, ones) == {"value": 2.0, "low": 2.0, "high": 2.0}
    spread = judged.ratio_of_means(np.arange(1, 9, dtype=np.float32), ones)
    assert spread["value"] == 4.5
    assert 2.5 < spread["low"] < 3.5 < 5.5 < spread["high"] < 6.5


def test_contrast_is_around_each_pictures_own_colour():
    flat = np.full((1, 2, 2, 3), 200, np.uint8)
    split = np.array([0, 102], np.uint8).reshape(1, 1, 2, 1).repeat(2, 1).repeat(3, 3)
    assert (objective.contrast(flat), objective.contrast(split)) == (0.0, 0.2)


def test_ours_are_judged_beside_those_of_lucent(monkeypatch):
    target, pictures = settings.Target("conv2", 16, 1, 1), np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3))
    made = {
        "like": pictures[::-1].astype(np.uint8),
        "fitted": pictures.astype(np.uint8),
        "lucent": pictures.astype(np.uint8),
    }
    monkeypatch.setattr(objective, "pictures_of", lambda *_: made)
    wide, fitted = objective.rows_of(small(), [target], 4, 7, no_progress)
    assert (wide["shown_at"], fitted["shown_at"], fitted["held"]) == (224, 16, None)
    assert wide["fitted_by_lucent"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert wide["held"] is (wide["like"] / wide["lucent"] >= 1)
    assert wide["like"] != wide["lucent"] == wide["fitted"]
    del made["lucent"]
    alone, _ = objective.rows_of(small(), [target], 4, 7, no_progress)
    assert (alone["lucent"], alone["like_by_lucent"], alone["lucent_contrast"], alone["held"]) == (None,) * 4


HALF = torch.arange(32) < 16
RECIPE = Recipe("tried", "fourier", view=32, steps=6, leak=0.0)


def test_the_literal_loop_makes_the_same_pictures():
    model = small()
    target = settings.Target("conv2", 32, 1, 1)
    rows = exactness.judged(exactness.rows_of(model, [target], 3, 6, no_progress))
    ascents = {row["ascent"]: row for row in rows}
    assert [*ascents][:2] == ["literal, float64", "fast, float32"]
    for name in [*ascents][:2]:
        assert abs(ascents[name]["worst_percent"]) < 0.5
        assert ascents[name]["step_percent"] < 1e-3
        assert ascents[name]["least_cosine"] > 0.9999
    assert (ascents["literal, float64"]["held"], ascents["fast, float32"]["held"]) == (None, True)


def test_the_literal_loop_is_an_ascent_of_its_own():
    model = small()
    one, other = (exactness.literal_path(model, "conv2", channel, RECIPE) for channel in (1, 2))
    fast = exactness.maximise(model, exactness._objectives("conv2", [1]), recipe=RECIPE)
    assert one.picture.shape == (32, 32, 3)
    assert np.abs(one.picture.astype(int) - fast.images[0]).max() <= 1
    assert np.abs(one.picture.astype(int) - other.picture).max() > 20
    assert len(one.views) == len(one.values) == len(one.gradients) == 6
    np.testing.assert_allclose(one.values, fast.trace[0], rtol=1e-3)


@pytest.mark.parametrize("turned", ["value", "gradient"])
def test_a_network_that_is_another_is_told_along_the_path(turned):
    """Of twice the values, which has the same direction of the gradient; and of a part of the image without one."""
    model = small()
    path = exactness.literal_path(model, "conv2", 1, RECIPE)
    other = copy.deepcopy(model.module)
    if turned == "value":
        other.get_submodule("conv2").weight.data.mul_(2)
        other.get_submodule("conv2").bias.data.mul_(2)
    else:
        other.register_forward_pre_hook(lambda module, inputs: (inputs[0].detach().where(HALF, inputs[0]),))
    told = exactness.along(other, model, "conv2", [1], [path])
    assert told["step_percent"] == pytest.approx(100 if turned == "value" else 0, abs=0.5)
    assert (told["least_cosine"] > 0.9999) is (turned == "value")


def test_changes_are_told_in_percent_and_the_worst_with_its_sign():
    told = exactness.at_the_end(np.array([1.0, 2.0, 2.7], np.float32), np.array([1.0, 2.0, 3.0], np.float32))
    assert (told["end_percent"], told["worst_percent"]) == (-5.0, -10.0)


@pytest.mark.parametrize(
    ("end", "step", "cosine", "rounding", "held"),
    [
        (0.9, 0.1, 0.98, 0.1, True),
        (1.1, 0.1, 0.98, 0.1, False),
        (-4.0, 0.1, 0.98, -8.0, True),
        (0.0, 1.2, 0.98, -8.0, False),
        (0.0, 0.1, 0.96, -8.0, False),
    ],
)
def test_where_rounding_alone_changes_the_end_each_step_is_judged(end, step, cosine, rounding, held):
    layers = [{"network": "a", "layer": "conv1"}, {"network": "a", "layer": "conv2"}]
    names = "end_percent", "step_percent", "least_cosine", "worst_percent"
    ascents = {exactness.DOUBLE: (0.0, 0.0, 0.98, rounding), exactness.FAST: (end, step, cosine, 50.0)}
    rows = [
        layer | {"ascent": ascent} | dict(zip(names, values, strict=True))
        for layer in layers
        for ascent, values in ascents.items()
    ]
    rows[0]["worst_percent"] = 0.0
    told = [row["held"] for row in exactness.judged(rows)]
    assert told[2:] == [None, held]
    assert told[:2] == [None, abs(end) <= 1 and step <= 1 and cosine > 0.97]  # where rounding changes nothing


def test_the_sheet_shows_the_pictures(tmp_path):
    from PIL import Image

    colours = {"lucent, 64 px": (255, 0, 0), "layerscope, 48 px": (0, 0, 255)}
    pictures = {name: np.full((8, 8, 3), colour, np.uint8) for name, colour in colours.items()}
    scores = {name: {224: 1.0, 48: 2.0} for name in colours}
    pair = trained.Pair("menagerie", "conv4", 7, pictures, scores, (224, 48))
    path = trained.write_sheet([pair, pair], tmp_path)
    shown = np.asarray(Image.open(path).convert("RGB")).astype(int)
    red, blue = ((np.abs(shown - colour).sum(2) < 9) for colour in colours.values())
    assert min(red.sum(), blue.sum()) > 2 * 200**2
    assert np.nonzero(red)[1].max() < np.nonzero(blue)[1].min()
    assert [(row["unit"], row["picture"], row["score_at_own"]) for row in pair.rows()] == [
        ("conv4:7", name, 2.0) for name in colours
    ]
