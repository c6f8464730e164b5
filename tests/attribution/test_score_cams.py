from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import planted_nets as planted
import pytest
import torch
import torch.nn.functional as F
from tasks import found
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from written_out import CLASS, SIDE, images, layouts, middle, small, top

from layerscope.attribution import score_cams
from layerscope.attribution.at_layer import as_map
from layerscope.attribution.baselines import blurred
from layerscope.conformance.trace import differences, state_of
from layerscope.errors import CaptureError, InputError, UnknownNameError
from layerscope.models.model import VisionModel

METHODS = [score_cams.ablation_cam, score_cams.score_cam]


# --- the formulas of the papers, in loops


def by_ablation(model: VisionModel, x: Tensor, level: Tensor | None = None) -> Tensor:
    """[batch, rows, columns]"""
    activation, head = middle(model, x)
    maps = torch.zeros_like(activation[:, 0])
    for number in range(len(x)):
        image = activation[number : number + 1]
        for unit in range(image.shape[1]):
            without = image.clone()
            without[0, unit] = 0 if level is None else level[number, unit]
            maps[number] += (head(image) - head(without)) * image[0, unit]
    return maps


def by_score(model: VisionModel, x: Tensor, weights: str, units: int | None = None) -> Tensor:
    activation = middle(model, x)[0].detach()
    maps = torch.zeros_like(activation[:, 0])
    for number in range(len(x)):
        chosen = list(range(activation.shape[1]))
        if units is not None:
            chosen = sorted(chosen, key=lambda unit: -float(activation[number, unit].std()))[:units]
        inputs, scores = model.normalise(x[number : number + 1]), []
        for unit in chosen:
            mask = F.interpolate(activation[number, unit][None, None], (SIDE, SIDE), mode="bilinear")
            low, high = mask.min(), mask.max()
            mask = (mask - low) / (high - low) if high > low else torch.zeros_like(mask)
            scores.append(model.module(inputs * mask)[0, 2].detach())
        base = model.module(torch.zeros_like(inputs))[0, 2].detach()
        increase = torch.stack(scores) - base
        shares = increase.exp() / increase.exp().sum() if weights == "softmax" else increase
        for share, unit in zip(shares, chosen, strict=True):
            maps[number] += share * activation[number, unit]
    return maps


def with_dead_units(model: VisionModel) -> VisionModel:
    with torch.no_grad():
        model.module.bn2.bias[:2] = -1e3
        model.module.bn1.bias[:2] = -1e3
    return model


@pytest.mark.parametrize("make", [small, lambda: with_dead_units(small())])
def test_ablation_cam_is_the_formula_of_the_paper(make: Callable[[], VisionModel]) -> None:
    model, x = make(), images()
    values = found(score_cams.ablation_cam, model, x, CLASS, layer="relu#1").values
    torch.testing.assert_close(values, as_map(by_ablation(model, x), x), rtol=1e-9, atol=1e-12)


def test_ablation_to_what_a_unit_is_for_a_baseline() -> None:
    model, x = small(), images()
    level, _ = middle(model, blurred(x))
    values = found(score_cams.ablation_cam, model, x, CLASS, layer="relu#1", options={"to": "blur"}).values
    torch.testing.assert_close(values, as_map(by_ablation(model, x, level), x), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("weights", ["softmax", "difference"])
@pytest.mark.parametrize("make", [small, lambda: with_dead_units(small())])
def test_score_cam_is_the_formula_of_the_paper(make: Callable[[], VisionModel], weights: str) -> None:
    model, x = make(), images()
    result = found(score_cams.score_cam, model, x, CLASS, layer="relu#1", options={"weights": weights})
    torch.testing.assert_close(result.values, as_map(by_score(model, x, weights), x), rtol=1e-9, atol=1e-12)
    assert not result.approximated


def test_score_cam_of_some_units_says_so() -> None:
    model, x = small(), images()
    result = found(score_cams.score_cam, model, x, CLASS, layer="relu#1", options={"top": 3})
    torch.testing.assert_close(result.values, as_map(by_score(model, x, "softmax", 3), x), rtol=1e-9, atol=1e-12)
    assert result.approximated == {"units": "3 of 8, those that vary most over the map"}
    every = found(score_cams.score_cam, model, x, CLASS, layer="relu#1", options={"top": 8})
    assert not every.approximated
    torch.testing.assert_close(every.values, as_map(by_score(model, x, "softmax"), x), rtol=1e-9, atol=1e-12)


def test_the_fast_copy_of_a_float32_network_gives_the_same() -> None:
    slow, fast, x = small(), small(torch.float32), images()
    expected = found(score_cams.score_cam, slow, x, "relu#2:3", layer="relu#1").values
    values = found(score_cams.score_cam, fast, x.float(), "relu#2:3", layer="relu#1").values
    torch.testing.assert_close(values, expected.float(), rtol=1e-4, atol=1e-6)


# --- what can be proved


def test_before_a_linear_head_a_unit_weighs_what_it_contributes() -> None:
    model, x = small(), images()
    y = top(model, x)[0].detach()
    contributions = model.module.fc.weight[2].detach() * y.mean((2, 3))
    torch.testing.assert_close(
        contributions.sum(1), model(x)[:, 2].detach() - model.module.fc.bias[2].detach(), rtol=1e-9, atol=1e-12
    )
    values = found(score_cams.ablation_cam, model, x, CLASS, layer="relu#2").values
    cells = torch.einsum("bkij,bk->bij", y, contributions)
    torch.testing.assert_close(values, as_map(cells, x), rtol=1e-9, atol=1e-12)


def test_only_what_comes_after_the_layer_runs_for_each_unit() -> None:
    class Convolutions(TorchDispatchMode):
        images = 0

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            self.images += len(args[0]) if "convolution" in str(func) else 0
            return func(*args, **(kwargs or {}))

    model, alive, x = small(), with_dead_units(small()), images(1)
    assert model.layers() == alive.layers()  # measured before anything is counted
    with Convolutions() as last:
        found(score_cams.ablation_cam, model, x, CLASS, layer="relu#2")
    assert last.images == 3
    with Convolutions() as earlier:
        found(score_cams.ablation_cam, model, x, CLASS, layer="relu#1")
    assert earlier.images == 3 + 2 + 8  # the image, two copies of it to check the head, and conv3 for each unit
    with Convolutions() as without:
        found(score_cams.ablation_cam, alive, x, CLASS, layer="relu#1")
    assert without.images == 3 + 2 + 6


# --- what others make of it


def test_pytorch_grad_cam_agrees_on_ablation() -> None:
    peer = pytest.importorskip("pytorch_grad_cam", reason="pytorch-grad-cam (pip: grad-cam) is not installed")
    targets = pytest.importorskip("pytorch_grad_cam.utils.model_targets")
    model, x = small(torch.float32), images(1, torch.float32)
    other = planted.out_of_place(model.module)
    with torch.no_grad():
        activation = other.conv3(middle(model, x)[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cam = peer.AblationCAM(other, [other.conv3])
        inputs, wanted = model.normalise(x), [targets.ClassifierOutputTarget(2)]
        cam.activations_and_grads(inputs)
        weights = cam.get_cam_weights(inputs, other.conv3, wanted, activation.numpy(), None)
        cam.activations_and_grads.release()
    score = float(model(x)[0, 2].detach())
    expected = torch.einsum("kij,k->ij", activation[0], torch.from_numpy(weights).view(-1).float()) * score
    values = found(score_cams.ablation_cam, model, x, CLASS, layer="conv3").values
    torch.testing.assert_close(values[0], as_map(expected[None], x)[0], rtol=1e-3, atol=1e-4)


def test_torch_cam_agrees_on_score() -> None:
    peer = pytest.importorskip("torchcam.methods", reason="torch-cam (pip: torchcam) is not installed")
    model, x = small(torch.float32), images(1, torch.float32)
    other = planted.out_of_place(model.module)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        with peer.ScoreCAM(other, "relu") as cam:  # the last call
            (theirs,) = cam(2, other(model.normalise(x)), normalized=False)
    ours = found(score_cams.score_cam, model, x, CLASS, layer="relu#2").values
    # it stretches a mask before it enlarges it rather than after
    torch.testing.assert_close(ours, as_map(theirs.view(1, 8, 8), x), rtol=0.02, atol=0)


# --- what every method keeps


@pytest.mark.parametrize("method", METHODS)
def test_units_and_places_are_found_on_any_axis(method: Callable[..., Any]) -> None:
    x = images()
    first, *others = (found(method, model, x, CLASS, layer="site").values for model in layouts().values())
    for other in others:
        torch.testing.assert_close(other, first, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_an_image_has_its_map_in_any_company_and_batch(method: Callable[..., Any]) -> None:
    model, x = small(), images(3)
    together = found(method, model, x, CLASS, layer="relu#1", batch=3).values
    for number in range(3):
        alone = found(method, model, x[number : number + 1], 2, layer="relu#1", batch=1).values
        torch.testing.assert_close(alone[0], together[number], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("method", METHODS)
def test_nothing_is_left_on_the_network(method: Callable[..., Any], dtype: torch.dtype) -> None:
    model, x = small(dtype), images(1, dtype)
    model.module.train()
    before = state_of(model.module)
    result = found(method, model, x, CLASS, layer="relu#1")
    assert differences(before, state_of(model.module)) == ()
    assert not result.values.requires_grad


def test_words_for_what_is_wrong() -> None:
    model, x = small(), images(1)
    for method in METHODS:
        with pytest.raises(CaptureError, match="computed before layer 'relu#2'; name an earlier layer"):
            found(method, model, x, "conv2:3", layer="relu#2")
        with pytest.raises(InputError, match=r"layer 'fc' puts out \(5,\) per image, without rows and columns"):
            found(method, model, x, CLASS, layer="fc")
    with pytest.raises(UnknownNameError, match=r"no level to ablate to: 'nil'; .*zero, blur, black"):
        found(score_cams.ablation_cam, model, x, CLASS, layer="relu#1", options={"to": "nil"})
    with pytest.raises(UnknownNameError, match=r"no kind of weights: 'raw'; .*softmax, difference"):
        found(score_cams.score_cam, model, x, CLASS, layer="relu#1", options={"weights": "raw"})
    with pytest.raises(InputError, match=r"top=0; it has to be .*at least 1"):
        found(score_cams.score_cam, model, x, CLASS, layer="relu#1", options={"top": 0})
