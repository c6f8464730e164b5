"""Class activation maps from gradients: the units of a layer, added up with the weight that the score gives to each.

Selvaraju et al. 2017 and those after them end with a ReLU and stretch each map to [0, 1]. Here all keep sign and scale:
what speaks against the score stays visible. `values.clamp(min=0)` makes up for the ReLU (theirs comes before the map is
enlarged, which differs at the edges of what is positive).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import torch
from torch import Tensor

from layerscope.attribution.at_layer import activation_and_gradient, as_map, on_grid
from layerscope.attribution.task import Found, Method, Task

Combine = Callable[[Tensor, Tensor], Tensor]
"""From activation and gradient [batch, units, rows, columns] to a map [batch, rows, columns]."""

_SIGNED = " Signed: without the final ReLU of the paper, which `values.clamp(min=0)` makes up for."


def grad_cam(task: Task) -> Found:
    """Each unit weighed by the mean of its gradient over the map (Selvaraju et al. 2017, equations 1 and 2)."""
    return _map(task, lambda activation, gradient: _weighed(activation, gradient.mean((2, 3))))


def grad_cam_plus_plus(task: Task) -> Found:
    """Each unit weighed by a mean of its positive gradients (Chattopadhyay et al. 2018).

    Their score is the exponential of ours, so that its derivatives are powers of the gradient; the factor exp(score),
    which an image's weights share, is left out.
    """
    return _map(task, _plus_plus)


def xgrad_cam(task: Task) -> Found:
    """Each unit weighed by the mean of its gradient over where it is active (Fu et al. 2020)."""
    return _map(task, _xgrad)


def hires_cam(task: Task) -> Found:
    """Activation times gradient at each place, added up over units (Draelos and Carin 2020)."""
    return _map(task, lambda activation, gradient: (activation * gradient).sum(1))


def layer_cam(task: Task) -> Found:
    """Activation times the positive part of the gradient, added up over units (Jiang et al. 2021)."""
    return _map(task, lambda activation, gradient: (activation * gradient.clamp(min=0)).sum(1))


def eigen_cam(task: Task) -> Found:
    """What the units have most in common: their first principal component (Muhammad and Yeasin 2020)."""
    note = (
        "The sign of a principal component is arbitrary: it is the one whose product with gradient x activation, added "
        "up over the map, is positive."
    )
    return dataclasses.replace(_map(task, _eigen), notes=(note,))


def guided_grad_cam(task: Task) -> Found:
    """Guided backpropagation times the positive part of Grad-CAM (Selvaraju et al. 2017, section 3.2)."""
    from layerscope.attribution.guided import guided_backprop

    guided = guided_backprop(task)
    positive = _map(task, lambda activation, gradient: _weighed(activation, gradient.mean((2, 3))).clamp(min=0))
    return dataclasses.replace(guided, values=guided.values * positive.values)


def _map(task: Task, combine: Combine) -> Found:
    """The map that `combine` makes of each image, at the size of the image."""
    maps = []
    for images in task.images.split(task.batch):
        activation, gradient = activation_and_gradient(task, images)
        maps.append(combine(on_grid(task.site, activation), on_grid(task.site, gradient)))
    return Found(as_map(torch.cat(maps), task.images))


def _weighed(activation: Tensor, weights: Tensor) -> Tensor:
    """[batch, rows, columns]: the units, each times its weight, added up."""
    return torch.einsum("bkij,bk->bij", activation, weights)


def _plus_plus(activation: Tensor, gradient: Tensor) -> Tensor:
    # alpha = g^2 / (2 g^2 + g^3 sum(A)), with g^2 cancelled, since powers of small gradients underflow
    shares = 2 + gradient * activation.sum((2, 3), keepdim=True)
    alpha = torch.where(shares != 0, 1 / shares, 0)
    return _weighed(activation, (alpha * gradient.clamp(min=0)).sum((2, 3)))


def _xgrad(activation: Tensor, gradient: Tensor) -> Tensor:
    totals = activation.sum((2, 3))
    weights = (activation * gradient).sum((2, 3)) / totals
    return _weighed(activation, torch.where(totals != 0, weights, 0))


def _eigen(activation: Tensor, gradient: Tensor) -> Tensor:
    places = activation.flatten(2).transpose(1, 2)  # [batch, places, units]
    exact = places.to(torch.promote_types(places.dtype, torch.float32))  # no decomposition takes less
    finite = exact.isfinite().all()
    left, scales, _ = torch.linalg.svd(exact if finite else torch.zeros_like(exact), full_matrices=False)
    component = (left[..., 0] * scales[:, :1]).view_as(activation[:, 0]).to(activation)
    component = component if finite else torch.full_like(component, torch.nan)
    agreement = (component * (activation * gradient).sum(1)).sum((1, 2), keepdim=True)
    return torch.where(agreement < 0, -component, component)


METHODS: tuple[Method, ...] = (
    Method(
        name="grad_cam",
        title="Grad-CAM",
        about="The units of a layer, each weighed by the mean of its gradient over the map." + _SIGNED,
        source="Selvaraju et al. 2017, Grad-CAM, arXiv:1610.02391",
        run=grad_cam,
        needs=("layer",),
        cost="1 forward, 1 backward from the layer on",
    ),
    Method(
        name="grad_cam_plus_plus",
        title="Grad-CAM++",
        about="The units of a layer, each weighed by a mean of its positive gradients, wherever they are." + _SIGNED,
        source="Chattopadhyay et al. 2018, Grad-CAM++, arXiv:1710.11063",
        run=grad_cam_plus_plus,
        needs=("layer",),
        cost="1 forward, 1 backward from the layer on",
    ),
    Method(
        name="xgrad_cam",
        title="XGrad-CAM",
        about="The units of a layer, each weighed by the mean of its gradient over where it is active." + _SIGNED,
        source="Fu et al. 2020, Axiom-based Grad-CAM, arXiv:2008.02312",
        run=xgrad_cam,
        needs=("layer",),
        cost="1 forward, 1 backward from the layer on",
    ),
    Method(
        name="hires_cam",
        title="HiResCAM",
        about="Activation times gradient at each place of a layer, added up over units." + _SIGNED,
        source="Draelos and Carin 2020, HiResCAM, arXiv:2011.08891",
        run=hires_cam,
        needs=("layer",),
        cost="1 forward, 1 backward from the layer on",
    ),
    Method(
        name="layer_cam",
        title="LayerCAM",
        about="Activation times the positive part of the gradient at each place, added up over units." + _SIGNED,
        source="Jiang et al. 2021, LayerCAM, IEEE Transactions on Image Processing 30",
        run=layer_cam,
        needs=("layer",),
        cost="1 forward, 1 backward from the layer on",
    ),
    Method(
        name="eigen_cam",
        title="Eigen-CAM",
        about="The first principal component of a layer's units, the same for every target but for its sign." + _SIGNED,
        source="Muhammad and Yeasin 2020, Eigen-CAM, arXiv:2008.00299",
        run=eigen_cam,
        needs=("layer",),
        cost="1 forward, 1 backward from the layer on",
    ),
    Method(
        name="guided_grad_cam",
        title="Guided Grad-CAM",
        about="Guided backpropagation times the positive part of Grad-CAM.",
        source="Selvaraju et al. 2017, Grad-CAM, arXiv:1610.02391",
        run=guided_grad_cam,
        needs=("layer",),
        cost="2 forwards, 2 backwards",
    ),
)
