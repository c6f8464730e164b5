"""What is compared: units of resnet50, on the terms of Lucent and on canvases that fit their receptive fields."""

from __future__ import annotations

import copy
import dataclasses
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck

from layerscope.models.model import VisionModel
from layerscope.models.precision import fast_precision
from layerscope.models.sources import load_model
from layerscope.models.spectrum import power_law
from layerscope.synthesis.recipes import STAGES, Recipe, together

NETWORK = "torchvision:resnet50"
CANVAS, SHOWN = 128, 224
"""Sides of a picture of Lucent, and of what it shows the network, pixels: its defaults."""
BRANCH = 0.25
LUCENT_STEPS, LUCENT_RATE = 512, 0.05
"""Of Lucent's ascent, its defaults. Their product is the length of the path that Adam can go."""


@dataclass(frozen=True)
class Target:
    """A layer, the side of the canvas that fits it [pixels], and how many times cheaper a step has to be."""

    layer: str
    view: int
    like: float
    """On the terms of Lucent."""
    fitted: float
    """On the canvas that fits."""


TARGETS = (
    Target("layer1.1.conv2", 48, 8.0, 100.0),
    Target("layer2.1.conv2", 64, 6.0, 60.0),
    Target("layer3.2.conv2", 96, 4.5, 25.0),
    Target("layer4.1.conv2", 96, 4.5, 20.0),
)
QUICK = (TARGETS[0], TARGETS[2])


def like_for_like(model: VisionModel, canvas: int = CANVAS, shown: int = SHOWN) -> Recipe:
    """The terms of Lucent: its canvas, enlarged as it does; its steps and learning rate, no gradient through closed
    ReLUs, free magnitudes with its decay of 1. The contrast is fixed, at about what its pictures have at the end.

    Turns, zooms and shifts are as wide as Lucent's, though not framed with grey.
    """
    return Recipe(
        f"like for like {canvas} {shown}",
        "fourier",
        view=canvas,
        magnify=shown / canvas,
        steps=LUCENT_STEPS,
        lr=LUCENT_RATE,
        flatten=0.0,
        decay=1.0,
        chroma_decay=0.0,
        chroma=1.0,
        scale=(0.9, 1.1),
        shift=0.045,
        leak=0.0,
        precision=fast_precision(model.device),
        together=together(shown, model.device),
    )


def fitted(model: VisionModel, view: int) -> Recipe:
    """The recipe for textures, which climbs a whole channel as Lucent does, on a canvas of `view` pixels."""
    return dataclasses.replace(
        STAGES["texture"],
        name=f"fitted {view}",
        view=view,
        precision=fast_precision(model.device),
        together=together(view, model.device),
    )


def calibrated(spec: str = NETWORK, seed: int = 0, images: int = 16) -> VisionModel:
    """A resnet with random weights whose BatchNorms hold the statistics of 1/f noise, as a trained one's do of photos.

    Without them activations grow or die with depth. Residual branches have a quarter of their strength, as early in
    training (Goyal et al. 2017 begin with none): at full strength random gradients of deep layers are white noise
    (Balduzzi et al. 2017), which no ascent climbs by.
    """
    model = load_model(spec, weights="none", seed=seed)
    for part in model.module.modules():
        if isinstance(part, BasicBlock | Bottleneck):
            nn.init.constant_((part.bn2 if isinstance(part, BasicBlock) else part.bn3).weight, BRANCH)
    noise = coloured_noise(images, model.input_size, seed)
    norms = [part for part in model.module.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]
    kept = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over the batches
        norm.train()
    with torch.no_grad():
        for some in noise.split(8):
            model.module(model.normalise(some))
    for norm, momentum in zip(norms, kept, strict=True):
        norm.momentum = momentum
        norm.eval()
    return model


def coloured_noise(count: int, side: int, seed: int = 0) -> Tensor:
    """Images [count, 3, side, side] in [0, 1] whose magnitudes fall as 1/f, each channel on its own."""
    generator = torch.Generator().manual_seed(seed)
    magnitude = power_law(side, side, [1.0] * 3)
    waves = torch.randn(count, *magnitude.shape, dtype=torch.complex64, generator=generator) * magnitude
    planes: Tensor = torch.fft.irfft2(waves, s=(side, side))
    planes = planes - planes.mean((2, 3), keepdim=True)
    return (0.5 + 0.2 * planes / planes.std((2, 3), keepdim=True)).clamp(0, 1)


def spread(units: int, count: int) -> list[int]:
    """So many channels, evenly spaced over all: chosen by nothing that they do."""
    chosen = min(count, units)
    return [int((place + 0.5) * units / chosen) for place in range(chosen)]


def own_copy(model: VisionModel) -> nn.Module:
    """A copy of the network, for tools that leave something on it."""
    return copy.deepcopy(model.module)
