from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import planted_nets as planted
import pytest
import torch
import torch.nn.functional as F
from captum.attr import LayerGradCam
from small_nets import SmallNet, seeded
from tasks import found, pictures
from torch import Tensor, nn

from layerscope.attribution import cams
from layerscope.attribution.at_layer import as_map
from layerscope.attribution.guided import guided_backprop
from layerscope.capture.interventions import replace
from layerscope.conformance.trace import differences, state_of
from layerscope.errors import CaptureError, InputError
from layerscope.models.model import VisionModel, wrap

SIDE = 32
Cam = Callable[[Any], Any]


def small(dtype: torch.dtype = torch.float64) -> VisionModel:
    return wrap(seeded(SmallNet()).to(dtype), input_size=SIDE)


def images(batch: int = 2, dtype: torch.dtype = torch.float64) -> Tensor:
    return pictures(batch, SIDE, dtype=dtype)


def middle(model: VisionModel, x: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """Of a SmallNet, written out: the activation of relu#1, and class 2 as a function of it."""
    net = model.module
    y = F.relu(net.bn1(net.conv1(model.normalise(x))))
    y = F.relu(y + net.bn2(net.conv2(y))).detach()
    return y, lambda a: net.fc(F.relu(net.conv3(a)).mean((2, 3)))[:, 2]


def top(model: VisionModel, x: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """As `middle`, of relu#2: the last one, before the global mean."""
    y, _ = middle(model, x)
    return F.relu(model.module.conv3(y)).detach(), lambda a: model.module.fc(a.mean((2, 3)))[:, 2]


LAYERS = {"relu#1": middle, "relu#2": top}


def parts(name: str, model: VisionModel, x: Tensor) -> tuple[Tensor, Tensor]:
    activation, head = LAYERS[name](model, x)
    point = activation.requires_grad_()
    (gradient,) = torch.autograd.grad(head(point).sum(), point)
    return activation.detach(), gradient


# --- the formulas of the papers, for one image [units, rows, columns], in loops


def places(a: Tensor) -> list[tuple[int, int]]:
    return [(i, j) for i in range(a.shape[1]) for j in range(a.shape[2])]


def weighted(a: Tensor, weights: list[Tensor]) -> Tensor:
    result = torch.zeros_like(a[0])
    for weight, unit in zip(weights, a, strict=True):
        result += weight * unit
    return result


def by_grad_cam(a: Tensor, g: Tensor) -> Tensor:
    return weighted(a, [sum(g[k][at] for at in places(a)) / len(places(a)) for k in range(len(a))])


def by_grad_cam_plus_plus(a: Tensor, g: Tensor) -> Tensor:
    weights = []
    for k in range(len(a)):
        total, weight = sum(a[k][at] for at in places(a)), torch.zeros(()).double()
        for at in places(a):
            below = 2 * g[k][at] ** 2 + total * g[k][at] ** 3
            alpha = g[k][at] ** 2 / below if below != 0 else 0
            weight = weight + alpha * max(g[k][at], torch.zeros(()))
        weights.append(weight)
    return weighted(a, weights)


def by_xgrad_cam(a: Tensor, g: Tensor) -> Tensor:
    weights = []
    for k in range(len(a)):
        total = sum(a[k][at] for at in places(a))
        weights.append(sum(a[k][at] / total * g[k][at] for at in places(a)) if total != 0 else torch.zeros(()))
    return weighted(a, weights)


def by_hires_cam(a: Tensor, g: Tensor) -> Tensor:
    result = torch.zeros_like(a[0])
    for at in places(a):
        result[at] = sum(a[k][at] * g[k][at] for k in range(len(a)))
    return result


def by_layer_cam(a: Tensor, g: Tensor) -> Tensor:
    result = torch.zeros_like(a[0])
    for at in places(a):
        result[at] = sum(a[k][at] * max(g[k][at], torch.zeros(())) for k in range(len(a)))
    return result


def by_eigen_cam(a: Tensor, g: Tensor) -> Tensor:
    matrix = a.numpy().reshape(len(a), -1).T
    values, vectors = np.linalg.eigh(matrix.T @ matrix)
    component = torch.from_numpy(matrix @ vectors[:, values.argmax()]).view_as(a[0])
    return component if float((component * by_hires_cam(a, g)).sum()) > 0 else -component


REFERENCES = {
    cams.grad_cam: by_grad_cam,
    cams.grad_cam_plus_plus: by_grad_cam_plus_plus,
    cams.xgrad_cam: by_xgrad_cam,
    cams.hires_cam: by_hires_cam,
    cams.layer_cam: by_layer_cam,
    cams.eigen_cam: by_eigen_cam,
}


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("method", REFERENCES)
def test_the_formula_of_the_paper(method: Cam, layer: str) -> None:
    model, x = small(), images()
    activation, gradient = parts(layer, model, x)
    expected = torch.stack([REFERENCES[method](a, g) for a, g in zip(activation, gradient, strict=True)])
    result = found(method, model, x, 2, layer=layer)
    assert result.values.shape == (2, 1, SIDE, SIDE)
    torch.testing.assert_close(result.values, as_map(expected, x), rtol=1e-9, atol=1e-12)
    assert bool((expected < 0).any()) is (method is not cams.layer_cam) or method is cams.eigen_cam
    assert result.expected is None


def test_units_that_are_off_have_no_weight() -> None:
    model, x = small(), images(1)
    with torch.no_grad():
        model.module.conv3.bias[:6] = -1e3
    for method in REFERENCES:
        values = found(method, model, x, 2, layer="relu#2").values
        assert values.isfinite().all()
        assert values.any()


def test_small_gradients_do_not_vanish_in_powers() -> None:
    model, x = small(torch.float32), images(1, torch.float32)
    large = found(cams.grad_cam_plus_plus, model, x, 2, layer="relu#1").values
    with torch.no_grad():
        model.module.fc.weight *= 1e-20
    little = found(cams.grad_cam_plus_plus, model, x, 2, layer="relu#1").values
    assert little.abs().max() > 1e-21
    assert np.corrcoef(large.flatten(), little.flatten())[0, 1] > 0.9


# --- what can be proved


def test_before_a_global_mean_and_a_linear_layer_three_are_one_and_add_up_to_the_logit() -> None:
    """Grad-CAM, HiResCAM and XGrad-CAM are equal there, without any factor; the cells add up to the logit less bias."""
    model, x = small(), images()
    one, two, three = (
        found(method, model, x, 2, layer="relu#2").values for method in (cams.grad_cam, cams.hires_cam, cams.xgrad_cam)
    )
    torch.testing.assert_close(one, two, rtol=1e-10, atol=1e-13)
    torch.testing.assert_close(one, three, rtol=1e-10, atol=1e-13)
    logit = model(x)[:, 2].detach() - model.module.fc.bias[2].detach()
    cells = (SIDE // 4) ** 2  # a mean over pixels is a mean over cells where the sides are multiples
    torch.testing.assert_close(one.mean((1, 2, 3)) * cells, logit, rtol=1e-10, atol=1e-12)


def test_a_difference_of_classes_is_the_difference_of_their_maps() -> None:
    model, x = small(), images()
    for method in (cams.grad_cam, cams.hires_cam):
        first, second, both = (found(method, model, x, target, layer="relu#1").values for target in (1, 3, "1 versus 3"))
        torch.testing.assert_close(both, first - second, rtol=1e-10, atol=1e-13)


def test_the_map_is_stretched_evenly() -> None:
    x = images(1)
    torch.testing.assert_close(as_map(torch.full((1, 4, 4), 0.3), x), torch.full((1, 1, SIDE, SIDE), 0.3))
    cells = torch.arange(16.0).view(1, 4, 4)
    stretched = as_map(cells, x)
    assert stretched[0, 0, 0, 0] == 0
    assert stretched[0, 0, -1, -1] == 15
    torch.testing.assert_close(stretched.mean(), cells.mean())


# --- what others make of it


def test_captum_agrees_where_nothing_works_in_place() -> None:
    model, x = small(), images()
    other = planted.out_of_place(model.module)
    expected = LayerGradCam(other, other.conv3).attribute(model.normalise(x), target=2).detach()
    torch.testing.assert_close(
        found(cams.grad_cam, model, x, 2, layer="conv3").values, as_map(expected[:, 0], x), rtol=1e-9, atol=1e-12
    )


def stretched(values: Tensor) -> Tensor:
    """As others show maps: what is positive, in [0, 1]."""
    positive = values.clamp(min=0).flatten(1)
    low, high = positive.amin(1, keepdim=True), positive.amax(1, keepdim=True)
    return (positive - low) / (high - low)


@pytest.mark.parametrize("name", ["GradCAM", "GradCAMPlusPlus", "XGradCAM", "HiResCAM", "LayerCAM"])
def test_pytorch_grad_cam_agrees(name: str) -> None:
    peer = pytest.importorskip("pytorch_grad_cam", reason="pytorch-grad-cam (pip: grad-cam) is not installed")
    targets = pytest.importorskip("pytorch_grad_cam.utils.model_targets")
    ours = dict(zip(["GradCAM", "GradCAMPlusPlus", "XGradCAM", "HiResCAM", "LayerCAM"], REFERENCES, strict=False))[name]
    model, x = small(torch.float32), images(dtype=torch.float32)
    other = planted.out_of_place(model.module)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with getattr(peer, name)(other, [other.conv3]) as cam:
            theirs = torch.from_numpy(cam(model.normalise(x), [targets.ClassifierOutputTarget(2)] * 2))
    torch.testing.assert_close(
        stretched(found(ours, model, x, 2, layer="conv3").values), theirs.flatten(1), rtol=0, atol=0.02
    )


@pytest.mark.parametrize("name", ["GradCAM", "XGradCAM", "LayerCAM"])
def test_torch_cam_agrees(name: str) -> None:
    peer = pytest.importorskip("torchcam.methods", reason="torch-cam (pip: torchcam) is not installed")
    ours = {"GradCAM": cams.grad_cam, "XGradCAM": cams.xgrad_cam, "LayerCAM": cams.layer_cam}[name]
    model, x = small(torch.float32), images(1, dtype=torch.float32)
    other = planted.out_of_place(model.module)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with getattr(peer, name)(other, "conv3") as cam:
            (theirs,) = cam(2, other(model.normalise(x).requires_grad_()), normalized=False)
    torch.testing.assert_close(
        as_map(theirs.detach().view(1, 8, 8), x),
        as_map(_cells(ours, model, x, "conv3").clamp(min=0), x),
        rtol=1e-3,
        atol=1e-5,
    )


def _cells(method: Cam, model: VisionModel, x: Tensor, layer: str) -> Tensor:
    """A map before it is stretched: of an image as large as the map of the layer, it is its own."""
    values: Tensor = found(method, model, x, 2, layer=layer).values
    return F.avg_pool2d(values, 4)[:, 0] if False else F.interpolate(values, (8, 8), mode="nearest")[:, 0]
