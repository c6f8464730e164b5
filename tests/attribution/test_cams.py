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
from tasks import found
from torch import Tensor
from written_out import CLASS, LAYERS, SIDE, activation_and_gradient, images, layouts, small

from layerscope.attribution import cams
from layerscope.attribution.at_layer import as_map
from layerscope.attribution.guided import guided_backprop
from layerscope.capture.interventions import replace
from layerscope.conformance.trace import differences, state_of
from layerscope.errors import CaptureError, InputError
from layerscope.models.model import wrap

Cam = Callable[[Any], Any]


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
    activation, gradient = activation_and_gradient(layer, model, x)
    expected = torch.stack([REFERENCES[method](a, g) for a, g in zip(activation, gradient, strict=True)])
    result = found(method, model, x, CLASS, layer=layer)
    assert result.values.shape == (2, 1, SIDE, SIDE)
    torch.testing.assert_close(result.values, as_map(expected, x), rtol=1e-9, atol=1e-12)
    assert result.expected is None


def test_what_speaks_against_the_score_stays_visible() -> None:
    model, x = small(), images()
    with torch.no_grad():
        model.module.fc.weight[2] = -model.module.fc.weight[2].abs()
    for method in (cams.grad_cam, cams.xgrad_cam, cams.hires_cam, cams.eigen_cam):
        assert (found(method, model, x, CLASS, layer="relu#2").values <= 0).all()


def test_units_that_are_off_have_no_weight() -> None:
    model, x = small(), images(1)
    with torch.no_grad():
        model.module.conv3.bias[:6] = -1e3
    for method in REFERENCES:
        values = found(method, model, x, CLASS, layer="relu#2").values
        assert values.isfinite().all()
        assert values.any()


def test_small_gradients_do_not_vanish_in_powers() -> None:
    model, x = small(torch.float32), images(1, torch.float32)
    large = found(cams.grad_cam_plus_plus, model, x, CLASS, layer="relu#1").values
    with torch.no_grad():
        model.module.fc.weight *= 1e-20
    little = found(cams.grad_cam_plus_plus, model, x, CLASS, layer="relu#1").values
    assert little.abs().max() > 1e-21
    assert np.corrcoef(large.flatten(), little.flatten())[0, 1] > 0.9


# --- what can be proved


def test_before_a_global_mean_and_a_linear_layer_three_are_one_and_add_up_to_the_logit() -> None:
    """Grad-CAM, HiResCAM and XGrad-CAM are equal there, without any factor; the cells add up to the logit less bias."""
    model, x = small(), images()
    one, two, three = (
        found(method, model, x, CLASS, layer="relu#2").values
        for method in (cams.grad_cam, cams.hires_cam, cams.xgrad_cam)
    )
    torch.testing.assert_close(one, two, rtol=1e-10, atol=1e-13)
    torch.testing.assert_close(one, three, rtol=1e-10, atol=1e-13)
    logit = model(x)[:, 2].detach() - model.module.fc.bias[2].detach()
    cells = (SIDE // 4) ** 2  # a mean over pixels is a mean over cells where the sides are multiples
    torch.testing.assert_close(one.mean((1, 2, 3)) * cells, logit, rtol=1e-10, atol=1e-12)


def test_a_difference_of_classes_is_the_difference_of_their_maps() -> None:
    model, x = small(), images()
    for method in (cams.grad_cam, cams.hires_cam):
        first, second, both = (
            found(method, model, x, target, layer="relu#1").values for target in (1, 3, "1 versus 3")
        )
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
        found(cams.grad_cam, model, x, CLASS, layer="conv3").values, as_map(expected[:, 0], x), rtol=1e-9, atol=1e-12
    )


@pytest.mark.parametrize("name", ["GradCAM", "GradCAMPlusPlus", "XGradCAM", "HiResCAM", "LayerCAM"])
def test_pytorch_grad_cam_makes_the_same_of_activation_and_gradient(name: str) -> None:
    peer = pytest.importorskip("pytorch_grad_cam", reason="pytorch-grad-cam (pip: grad-cam) is not installed")
    ours = dict(zip(["GradCAM", "GradCAMPlusPlus", "XGradCAM", "HiResCAM", "LayerCAM"], REFERENCES, strict=False))[name]
    model, x = small(), images()
    activation, gradient = activation_and_gradient("relu#1", model, x)
    gradient = 1e3 * gradient  # theirs adds 1e-6 to squares of gradients
    cam = getattr(peer, name)(model.module, [model.module.relu])
    theirs = cam.get_cam_image(None, None, None, activation.numpy(), gradient.numpy(), False)
    expected = torch.stack([REFERENCES[ours](a, g) for a, g in zip(activation, gradient, strict=True)])
    torch.testing.assert_close(torch.from_numpy(theirs), expected, rtol=1e-3, atol=1e-6)


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
    activation, gradient = activation_and_gradient("conv3", model, x)
    expected = REFERENCES[ours](activation[0], gradient[0]).clamp(min=0)
    torch.testing.assert_close(theirs.detach().view(8, 8), expected, rtol=1e-3, atol=1e-5)


# --- every kind of layer


@pytest.mark.parametrize("method", REFERENCES)
def test_units_and_places_are_found_on_any_axis(method: Cam) -> None:
    x, models = images(), layouts()
    assert [model.layer("site").unit_axis for model in models.values()] == [1, 3, 2]
    first, *others = (found(method, model, x, CLASS, layer="site").values for model in models.values())
    for other in others:
        torch.testing.assert_close(other, first, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("layer", ["conv1", "relu", "relu#1", "bn2", "/add", "/relu", "conv3"])
def test_layers_that_are_overwritten_or_called_again(layer: str) -> None:
    """The gradient by moving the activation a little, and the activation from a copy that never works in place."""
    model, x = small(), images(1)
    if layer == "/relu":
        model = wrap(seeded(planted.Functional()).double(), input_size=SIDE)
    task_layer = model.layer(f"{layer}#0" if layer == "/relu" else layer).name
    values = found(cams.hires_cam, model, x, CLASS, layer=task_layer).values
    still = planted.out_of_place(model.module)
    points: list[Tensor] = []

    def keep(activation: Tensor) -> Tensor:
        points[:] = [activation.detach().clone()]
        return activation

    def run() -> Tensor:
        return still(model.normalise(x))[:, 2].reshape(len(x), -1).mean(1)

    with torch.no_grad(), replace(still, {task_layer: keep}):
        run()
    point = points[0].clone().requires_grad_()
    with replace(still, {task_layer: lambda _: point}):
        (gradient,) = torch.autograd.grad(run().sum(), point)
    torch.testing.assert_close(values, as_map((points[0] * gradient).sum(1), x), rtol=1e-9, atol=1e-12)


def test_a_unit_is_a_target_too() -> None:
    model, x = small(), images()
    activation, _ = activation_and_gradient("relu#1", model, x)
    point = activation.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(F.relu(model.module.conv3(point))[:, 7].mean((1, 2)).sum(), point)
    values = found(cams.grad_cam, model, x, "relu#2:7", layer="relu#1").values
    torch.testing.assert_close(
        values, as_map((gradient.mean((2, 3), keepdim=True) * activation).sum(1), x), rtol=1e-9, atol=1e-12
    )


# --- what every method keeps


@pytest.mark.parametrize("method", [*REFERENCES, cams.guided_grad_cam])
def test_an_image_has_its_map_in_any_company(method: Cam) -> None:
    model, x = small(), images(3)
    together = found(method, model, x, CLASS, layer="relu#1", batch=2).values
    for number in range(3):
        alone = found(method, model, x[number : number + 1], 2, layer="relu#1", batch=1).values
        torch.testing.assert_close(alone[0], together[number], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("method", [*REFERENCES, cams.guided_grad_cam])
def test_nothing_is_left_on_the_network(method: Cam) -> None:
    model, x = small(), images(1)
    model.module.train()
    before = state_of(model.module)
    result = found(method, model, x, CLASS, layer="relu#1")
    assert differences(before, state_of(model.module)) == ()
    assert not result.values.requires_grad


def test_guided_grad_cam_is_the_product() -> None:
    model, x = small(), images()
    activation, gradient = activation_and_gradient("relu#1", model, x)
    cam = torch.stack([by_grad_cam(a, g) for a, g in zip(activation, gradient, strict=True)]).clamp(min=0)
    result = found(cams.guided_grad_cam, model, x, CLASS, layer="relu#1")
    torch.testing.assert_close(result.values, found(guided_backprop, model, x, CLASS).values * as_map(cam, x))
    assert result.covered


def test_eigen_cam_says_how_its_sign_came_about() -> None:
    (note,) = found(cams.eigen_cam, small(), images(1), 2, layer="relu#2").notes
    assert note.startswith("The sign of a principal component is arbitrary: it is the one whose")


@pytest.mark.parametrize("method", REFERENCES)
def test_networks_of_half_precision(method: Cam) -> None:
    model, x = small(torch.float32), images(1, torch.float32)
    expected = found(method, model, x, CLASS, layer="relu#2").values
    rough = found(method, small(torch.bfloat16), x.bfloat16(), CLASS, layer="relu#2").values
    assert rough.dtype == torch.bfloat16
    torch.testing.assert_close(rough.float(), expected, rtol=0, atol=0.1 * float(expected.abs().max()))


def test_frozen_networks() -> None:
    model, x = small(), images(1)
    expected = found(cams.grad_cam, model, x, CLASS, layer="relu#1").values
    frozen = wrap(copy.deepcopy(model.module).requires_grad_(False), input_size=SIDE)
    torch.testing.assert_close(found(cams.grad_cam, frozen, x, CLASS, layer="relu#1").values, expected)


def test_words_for_what_is_wrong() -> None:
    model, x = small(), images(1)
    with pytest.raises(InputError, match=r"layer 'fc' puts out \(5,\) per image, without rows and columns .* name an"):
        found(cams.grad_cam, model, x, CLASS, layer="fc")
    with pytest.raises(
        CaptureError, match="what is explained is computed before layer 'relu#2'; name an earlier layer"
    ):
        found(cams.grad_cam, model, x, "conv2:3", layer="relu#2")

    class Aside(SmallNet):
        def forward(self, x: Tensor) -> Tensor:
            self.conv2(self.bn1(self.conv1(x)))
            return super().forward(x)

    aside = wrap(seeded(Aside()).double(), input_size=SIDE)
    with pytest.raises(CaptureError, match="layer 'conv2#0' has no gradient: what is explained does not depend on it"):
        found(cams.grad_cam, aside, x, CLASS, layer="conv2#0")


def test_methods_are_described() -> None:
    names = [method.name for method in cams.METHODS]
    assert names == [run.__name__ for run in (*REFERENCES, cams.guided_grad_cam)]
    for method in cams.METHODS:
        assert method.needs == ("layer",)
        assert method.claims is None
        assert not method.layered
        assert not method.options()
