"""The network and image that all tools are timed on, and a tool at one setting."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.util import find_spec

import torch

from layerscope.benchmarks.attribution import peers
from layerscope.benchmarks.attribution.case import blurred, calibrate, smooth
from layerscope.models.model import VisionModel
from layerscope.models.sources import load_model
from layerscope.types import Images


@dataclass(frozen=True, eq=False)
class Subject:
    """One network and one image.

    Attributes:
        model: with its normalisation.
        image, baseline: [1, channel, height, width] in [0, 1].
        layer, early: names of the last stage, and of a layer with few units near the beginning.
    """

    model: VisionModel
    image: Images
    baseline: Images
    target: int = 3
    layer: str = "layer4"
    early: str = "maxpool"

    @cached_property
    def plain(self) -> peers.Asked:
        """What other tools get: the network itself, and the image as it takes it."""
        return peers.Asked(
            copy.deepcopy(self.model.module),
            self.model.normalise(self.image),
            self.model.normalise(self.baseline),
            self.target,
            self.layer,
            self.early,
        )

    @cached_property
    def fast_model(self) -> VisionModel:
        """Ours for the network that others get in `fast`."""
        return replace(self.model, module=self.fast.module)

    @cached_property
    def fast(self) -> peers.Asked:
        """The same with frozen weights and in channels_last."""
        module = copy.deepcopy(self.model.module).requires_grad_(False).to(memory_format=torch.channels_last)
        images = (one.to(memory_format=torch.channels_last) for one in (self.plain.image, self.plain.baseline))
        return replace(self.plain, module=module, image=next(images), baseline=next(images))


def subject(network: str = "torchvision:resnet50", size: int = 224) -> Subject:
    """A network with random weights, its BatchNorm fitted, and one image."""
    model = load_model(network, weights="none")
    calibrate(model.module, model.normalise(smooth(2, model.channels, size, seed=99)))
    image = smooth(1, model.channels, size, seed=0)
    return Subject(model, image, blurred(image))


@dataclass(frozen=True)
class Tool:
    """One tool at one setting.

    Attributes:
        name: of the tool.
        settings: in words; "defaults" where it is called without any.
        prepare: makes of a subject the function that is timed.
        package: which has to be installed.
        note: what a reader has to know.
        right: whether it gives what the method is defined as; what is wrong is no rival.
        fast: whether the network that it gets has frozen weights in channels_last. Ratios are to ours on the same one.
    """

    name: str
    settings: str
    prepare: Callable[[Subject], peers.Run]
    package: str = "torch"
    note: str = ""
    right: bool = True
    fast: bool = False

    @property
    def installed(self) -> bool:
        return find_spec(self.package) is not None


@dataclass(frozen=True)
class Contest:
    """One method, ours first."""

    method: str
    tools: tuple[Tool, ...]
