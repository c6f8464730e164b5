"""Other tools as their documentation calls them: each takes what is asked and gives the function that is timed."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

Run = Callable[[], object]


@dataclass(frozen=True, eq=False)
class Asked:
    """A network, an image and a baseline as it takes them [1, ...], a class, and the names of two of its layers."""

    module: nn.Module
    image: Tensor
    baseline: Tensor
    target: int
    layer: str
    early: str

    @property
    def stage(self) -> nn.Module:
        return self.module.get_submodule(self.layer)

    def pieces(self, side: int) -> Tensor:
        """[1, 1, height, width]: squares of so many pixels, by their numbers."""
        height, width = self.image.shape[2:]
        rows, columns = (torch.arange(length) // side for length in (height, width))
        return (rows[:, None] * (columns[-1] + 1) + columns)[None, None]


def captum(name: str, baseline: bool = False, **options: Any) -> Callable[[Asked], Run]:
    """A method of images."""

    def prepare(asked: Asked) -> Run:
        method = getattr(import_module("captum.attr"), name)(asked.module)
        return _attribute(method, asked, baseline, options)

    return prepare


def captum_noise(**options: Any) -> Callable[[Asked], Run]:
    """SmoothGrad."""

    def prepare(asked: Asked) -> Run:
        attr = import_module("captum.attr")
        return _attribute(attr.NoiseTunnel(attr.Saliency(asked.module)), asked, False, {"abs": False, **options})

    return prepare


def captum_layer(name: str, baseline: bool = False, **options: Any) -> Callable[[Asked], Run]:
    """A method of the last stage."""

    def prepare(asked: Asked) -> Run:
        method = getattr(import_module("captum.attr"), name)(asked.module, asked.stage)
        return _attribute(method, asked, baseline, options)

    return prepare


def captum_grad_cam(asked: Asked) -> Run:
    """Enlarged to the size of the image, as the other tools do."""
    attr = import_module("captum.attr")
    method = attr.LayerGradCam(asked.module, asked.stage)

    def run() -> object:
        values = method.attribute(asked.image, target=asked.target)
        return attr.LayerAttribution.interpolate(values, asked.image.shape[2:], "bilinear")

    return run


def captum_occlusion(window: int, **options: Any) -> Callable[[Asked], Run]:
    """Squares side by side."""

    def prepare(asked: Asked) -> Run:
        method, channels = import_module("captum.attr").Occlusion(asked.module), asked.image.shape[1]
        shapes = {"sliding_window_shapes": (channels, window, window), "strides": (channels, window, window)}
        return _attribute(method, asked, True, {**shapes, **options})

    return prepare


def captum_pieces(name: str, side: int, **options: Any) -> Callable[[Asked], Run]:
    """A method of pieces of the image: squares of so many pixels."""

    def prepare(asked: Asked) -> Run:
        method = getattr(import_module("captum.attr"), name)(asked.module)
        return _attribute(method, asked, True, {"feature_mask": asked.pieces(side), **options})

    return prepare


def grad_cam(name: str, early: bool = False, **options: Any) -> Callable[[Asked], Run]:
    """A method of pytorch-grad-cam."""

    def prepare(asked: Asked) -> Run:
        tool, module = import_module("pytorch_grad_cam"), copy.deepcopy(asked.module).requires_grad_()
        layer = module.get_submodule(asked.early if early else asked.layer)
        method = getattr(tool, name)(model=module, target_layers=[layer])
        for option, value in options.items():
            setattr(method, option, value)
        targets = [import_module("pytorch_grad_cam.utils.model_targets").ClassifierOutputTarget(asked.target)]
        return lambda: method(input_tensor=asked.image, targets=targets)

    return prepare


def grad_cam_guided(asked: Asked) -> Run:
    """Guided backpropagation of pytorch-grad-cam."""
    module = copy.deepcopy(asked.module).requires_grad_()
    method = import_module("pytorch_grad_cam").GuidedBackpropReLUModel(model=module)
    return lambda: method(asked.image, target_category=asked.target)


def torch_cam(name: str, early: bool = False) -> Callable[[Asked], Run]:
    """A method of torch-cam: a forward with hooks, then the map of a class, enlarged."""

    def prepare(asked: Asked) -> Run:
        module = copy.deepcopy(asked.module).requires_grad_()
        method = getattr(import_module("torchcam.methods"), name)(module, asked.early if early else asked.layer)

        def run() -> object:
            (map_,) = method(asked.target, module(asked.image))
            return nn.functional.interpolate(map_[None], asked.image.shape[2:], mode="bilinear")

        return run

    return prepare


def zennit_lrp(asked: Asked) -> Run:
    """Epsilon in linear layers, z+ in convolutions, flat in the first, with the canonizer that ResNets need."""
    composites, networks = import_module("zennit.composites"), import_module("zennit.torchvision")
    composite = composites.EpsilonPlusFlat(canonizers=[networks.ResNetCanonizer()])
    attributor, module = import_module("zennit.attribution").Gradient, copy.deepcopy(asked.module)

    def run() -> object:
        with attributor(model=module, composite=composite) as explain:
            output = module(asked.image)
            return explain(asked.image, torch.eye(output.shape[1])[[asked.target]])

    return run


def _attribute(method: Any, asked: Asked, baseline: bool, options: dict[str, Any]) -> Run:
    more = {"baselines": asked.baseline, **options} if baseline else options
    return lambda: method.attribute(asked.image, target=asked.target, **more)
