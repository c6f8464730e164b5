"""Captum's own methods on a case, called as its documentation says. Each takes a case and gives values [batch, ...]."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import captum.attr
import torch
from torch import Tensor

from layerscope.benchmarks.attribution.case import Case
from layerscope.benchmarks.attribution.hooked import units_first
from layerscope.benchmarks.attribution.perturbed import grid

Run = Callable[[Case], Tensor]


def plain(name: str, baseline: bool = False, **options: Any) -> Run:
    """A method of images: `captum.attr.NAME(network).attribute(images, target=..)`."""

    def run(case: Case) -> Tensor:
        method = getattr(captum.attr, name)(case.model.module)
        return _values(method, case, **_baseline(case, baseline), **options)

    return run


def occlusion(window: int, stride: int) -> Run:
    """Squares over all channels, which all get the same value: it is given once."""

    def run(case: Case) -> Tensor:
        method, channels = captum.attr.Occlusion(case.model.module), case.images.shape[1]
        shapes = {"sliding_window_shapes": (channels, window, window), "strides": (channels, stride, stride)}
        return _values(method, case, **_baseline(case, True), **shapes)[:, :1]

    return run


def of_pieces(name: str, cells: int, **options: Any) -> Run:
    """A method of pieces of the image. Its value of a piece, which all pixels there get, is spread over the piece."""

    def run(case: Case) -> Tensor:
        pieces = grid(case, cells)
        values = _values(
            getattr(captum.attr, name)(case.model.module),
            case,
            **_baseline(case, True),
            feature_mask=pieces[None, None].contiguous(),
            **options,
        )
        return values[:, :1] / pieces.flatten().bincount()[pieces]

    return run


def tunnel(kind: str, **options: Any) -> Run:
    """SmoothGrad and its kin: gradients, with their sign, through `NoiseTunnel`."""

    def run(case: Case) -> Tensor:
        method = captum.attr.NoiseTunnel(captum.attr.Saliency(case.model.module))
        return _values(method, case, nt_type=kind, abs=False, **options)

    return run


def of_layer(name: str, layer: Callable[[Case], str], baseline: bool = False, **options: Any) -> Run:
    """A method of a layer. Captum knows modules and no calls: of a module that is used again it takes what it takes."""

    def run(case: Case) -> Tensor:
        method = getattr(captum.attr, name)(case.model.module, _part(case, layer(case)))
        values = _values(method, case, **_baseline(case, baseline), **options)
        return units_first(case, layer(case), values)

    return run


def grad_cam(case: Case) -> Tensor:
    """Enlarged to the size of the images, bilinearly."""
    method = captum.attr.LayerGradCam(case.model.module, _part(case, case.layer))
    values: Tensor = captum.attr.LayerAttribution.interpolate(_values(method, case), case.images.shape[2:], "bilinear")
    return values


def guided_grad_cam(case: Case) -> Tensor:
    """Enlarged bilinearly, which is not its default."""
    method = captum.attr.GuidedGradCam(case.model.module, _part(case, case.layer))
    return _values(method, case, interpolate_mode="bilinear")


def _part(case: Case, layer: str) -> torch.nn.Module:
    return case.model.module.get_submodule(layer.partition("#")[0])


def _baseline(case: Case, wanted: bool) -> dict[str, Tensor]:
    return {"baselines": case.baseline} if wanted else {}


def _values(method: Any, case: Case, **options: Any) -> Tensor:
    values = method.attribute(case.images.clone(), target=case.target, **options)
    tensor: Tensor = values[0] if isinstance(values, tuple) else values
    return tensor.detach()
