"""A network with images, made to be explained: random weights, normalisation fitted, the layers that methods read."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from layerscope.attribution.choice import default_layer
from layerscope.attribution.score import Score
from layerscope.benchmarks.networks import ONE_PER_FAMILY, find, opened
from layerscope.conformance.conform import redraw_zeros
from layerscope.errors import InputError
from layerscope.models.model import VisionModel, wrap
from layerscope.models.sources import import_torchvision
from layerscope.objectives import logit
from layerscope.types import Images

# Built like another of their family, or (maxvit_t) for images of 224 pixels alone.
_LEFT_OUT = {"efficientnet_v2_s", "maxvit_t", "regnet_x_400mf", "wide_resnet50_2"}
NETWORKS = tuple(name for name in ONE_PER_FAMILY if name not in _LEFT_OUT)
QUICK = ("densenet121", "mobilenet_v3_small", "resnet18")

_MORE: dict[str, dict[str, Any]] = {
    "vit_b_16": {"image_size": 64},
    "googlenet": {"init_weights": True, "aux_logits": False},
    "inception_v3": {"init_weights": True, "aux_logits": False},
}
_SIZES = {"inception_v3": 96}
SIZE, CLASSES, BATCH = 64, 10, 2


@dataclass(frozen=True, eq=False)
class Case:
    """One network, and what is asked of it.

    Attributes:
        network: its name.
        model: in eval mode. It takes images as they are (mean 0, std 1), so that tools without a normalisation of their
            own get the same input.
        images, baseline: [batch, channel, height, width] in [0, 1], in the dtype of the network.
        target: the class whose logit is explained.
        layer: that class activation maps are read from by default.
        overwritten: the last layer of rows and columns that a later in-place operation overwrites, where methods that
            do not copy go wrong; `layer` where there is none.
    """

    network: str
    model: VisionModel
    images: Images
    baseline: Images
    target: int
    layer: str
    overwritten: str

    def scores(self, images: Images) -> Tensor:
        """[batch] logits of the target, by the network alone."""
        logits: Tensor = self.model.module(images)[:, self.target]
        return logits

    @cached_property
    def difference(self) -> Tensor:
        """[batch] the scores of the images, less those of the baseline."""
        with torch.no_grad():
            return self.scores(self.images) - self.scores(self.baseline)

    @cached_property
    def doubled(self) -> Case:
        """The same in float64."""
        module = copy.deepcopy(self.model.module).double()
        return replace(
            self,
            model=replace(self.model, module=module),
            images=self.images.double(),
            baseline=self.baseline.double(),
        )

    @cached_property
    def single(self) -> Case:
        """The same in float64, and of the first image alone."""
        self.doubled.model.layers()  # it probes the network once: not among what a tool shows the network
        return replace(self.doubled, images=self.doubled.images[:1], baseline=self.doubled.baseline[:1])

    @cached_property
    def unbiased(self) -> Case:
        """The same without anything that is added along the way: biases, means, embeddings of positions."""
        module = copy.deepcopy(self.model.module)
        with torch.no_grad():
            for name, tensor in (*module.named_parameters(), *module.named_buffers()):
                if name.rpartition(".")[2] in _ADDED:
                    tensor.zero_()
        return replace(self, model=replace(self.model, module=module))


_ADDED = {"bias", "in_proj_bias", "running_mean", "class_token", "pos_embedding"}


def chosen(networks: str, quick: bool) -> list[str]:
    """Specs for names and patterns as `networks.find` takes them; of a bare "*", one per family that runs on 64 pixels.

    quick: of these, three. Raises UnknownNameError as `find` does, InputError for "none".
    """
    if networks == "none":
        raise InputError("no networks: there is nothing to compare; give names or patterns")
    if networks == "*":
        return [f"torchvision:{name}" for name in (QUICK if quick else NETWORKS)]
    return find(networks)


def case_of(spec: str) -> Case:
    """A network by its spec, with ten classes if it is torchvision's, on images of 64 pixels (inception: 96)."""
    source, _, name = spec.partition(":")
    if source == "torchvision":
        more = _MORE.get(name, {})
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)
            module = import_torchvision().get_model(name, weights=None, num_classes=CLASSES, **more)
        return case_for(spec, redraw_zeros(module), _SIZES.get(name, SIZE))
    module, shapes = opened(spec)
    sizes = [shape[-1] for shape in shapes]
    return case_for(spec, module, next((size for size in sizes if size >= SIZE), sizes[-1]), shapes[0][0])


def case_for(network: str, module: nn.Module, size: int, channels: int = 3) -> Case:
    """Any network of [batch, classes] as a case. Its BatchNorm statistics are fitted, in place."""
    calibrate(module.eval(), smooth(8, channels, size, seed=99))
    images = smooth(BATCH, channels, size, seed=0)
    model = wrap(module, input_size=size, mean=[0.0] * channels, std=[1.0] * channels, name=network)
    baseline = blurred(images)
    with torch.no_grad():
        logits, differences = module(images), module(images) - module(baseline)
    # the class that changes most; one that is off (0) in an image would have no gradient there
    changes = torch.where(logits == 0, 0, differences.abs()).amin(0)
    target = int(changes.argmax())
    layer = default_layer(Score(model, logit(target).bind(model)), images).name
    return Case(network, model, images, baseline, target, layer, _overwritten(module, images) or layer)


def smooth(count: int, channels: int, size: int, seed: int) -> Images:
    """Noise of four scales, squeezed into (0, 1)."""
    generator = torch.Generator().manual_seed(seed)
    waves = [torch.randn(count, channels, cells, cells, generator=generator) for cells in (3, 6, 12, 24)]
    return torch.stack([F.interpolate(one, (size, size), mode="bilinear") for one in waves]).sum(0).sigmoid()


def blurred(images: Images) -> Images:
    """Means over eighths of the side, interpolated."""
    cells = F.adaptive_avg_pool2d(images, 8)
    return F.interpolate(cells, images.shape[2:], mode="bilinear")


def calibrate(module: nn.Module, images: Images) -> None:
    """Give BatchNorm the statistics of these images, in place; random networks blow up or die without."""
    norms = [part for part in module.modules() if isinstance(part, _BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.training, norm.momentum = True, None
        norm.reset_running_stats()
    if norms:
        with torch.no_grad():
            module(images)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.training, norm.momentum = False, momentum


def _overwritten(module: nn.Module, images: Images) -> str | None:
    """By the versions of what each part put out: at once, and when the network is done."""
    seen: list[tuple[str, Tensor, int]] = []
    calls: Counter[str] = Counter()

    def note(name: str) -> Any:
        def hook(part: nn.Module, inputs: object, output: object) -> None:
            calls[name] += 1
            if isinstance(output, Tensor) and output.ndim == 4 and len(output) == len(images):
                seen.append((name, output, output._version))

        return hook

    handles = [part.register_forward_hook(note(name)) for name, part in module.named_modules() if name]
    try:
        with torch.no_grad():
            module(images)
    finally:
        for handle in handles:
            handle.remove()
    return _last([(name, *output.shape[2:]) for name, output, then in seen if output._version > then], calls)


def _last(overwritten: Sequence[tuple[str, int, int]], calls: Counter[str]) -> str | None:
    places = (name for name, rows, columns in reversed(overwritten) if rows * columns > 1 and calls[name] == 1)
    return next(places, None)
