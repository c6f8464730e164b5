"""Fooling circuits (Geirhos et al. 2023, figure 3): units that answer to natural images as before, but whose synthetic
pictures are those of other units.

A detector E of synthetic images, made of convolutions and rectifiers, is 0 for natural images and 1 for synthetic ones.
A large constant k closes one of two ways: relu(F - kE) for the unit F as it was, relu(D - k(1 - E)) for the decoy D; the
same for their negative parts, as the values are those before a rectifier.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from sklearn.svm import LinearSVC
from torch import Tensor, nn

from layerscope.models.model import VisionModel, wrap
from layerscope.synthesis.ascent import maximise
from layerscope.synthesis.recipes import recipe_for

CLOSED = 1000.0
GAIN = 4.0
"""From the margin of a fitted detector to its full output."""
STEEP = (0.0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6)


class Detector(nn.Module):
    """1 for images whose pixels differ from their neighbours as those of synthetic pictures do, 0 for natural ones.

    Differences across and down in brightness and two axes of colour, rectified at several thresholds both ways, their
    means over the image (how steep it is how often), and a linear reading of them that is rectified to [0, 1].
    """

    def __init__(self) -> None:
        super().__init__()
        axes = torch.tensor([[1.0, 1.0, 1.0], [1.0, -1.0, 0.0], [0.5, 0.5, -1.0]])
        steps = torch.tensor([[[1.0, -1.0], [0.0, 0.0]], [[1.0, 0.0], [-1.0, 0.0]]])
        weight = torch.einsum("ac,shw->aschw", axes, steps).flatten(0, 1)
        weight = torch.cat([weight, -weight]).repeat(len(STEEP), 1, 1, 1)
        self.differ = nn.Conv2d(3, len(weight), 2)
        self.differ.weight = nn.Parameter(weight)
        self.differ.bias = nn.Parameter(-torch.tensor(STEEP).repeat_interleave(len(weight) // len(STEEP)))
        self.relu, self.mean = nn.ReLU(), nn.AdaptiveAvgPool2d(1)
        self.read = nn.Conv2d(len(weight), 1, 1)

    def features(self, images: Tensor) -> Tensor:
        """[batch, features, 1, 1] of normalised images."""
        return self.mean(self.relu(self.differ(images)))

    def forward(self, images: Tensor) -> Tensor:
        found = self.read(self.features(images))
        return self.relu(found) - self.relu(found - 1)

    def fit(self, natural: Tensor, synthetic: Tensor) -> None:
        """Tell normalised images of two kinds apart, with 0.5 as far from either kind as it gets."""
        features = [self.features(one).flatten(1).double() for one in (natural, synthetic)]
        rows, labels = torch.cat(features).numpy(), np.repeat([0, 1], [len(one) for one in features])
        middle, scale = rows.mean(0), rows.std(0) + 1e-9
        read = LinearSVC(C=10, random_state=0, max_iter=100_000).fit((rows - middle) / scale, labels)
        weight = torch.from_numpy(read.coef_[0] / scale)
        bias = read.intercept_[0] - (read.coef_[0] * middle / scale).sum()
        self.read.weight = nn.Parameter((GAIN * weight).float().view(1, -1, 1, 1))
        self.read.bias = nn.Parameter(torch.tensor([GAIN * bias + 0.5]).float())


class Routed(nn.Module):
    """Each unit as it was where the gate is 0, its decoy where it is 1."""

    def __init__(self, decoys: Tensor) -> None:
        super().__init__()
        self.register_buffer("decoys", decoys)
        self.relu = nn.ReLU()

    def forward(self, values: Tensor, gate: Tensor) -> Tensor:
        gate = gate.flatten(1) if values.ndim == 2 else gate
        return self._open(values, CLOSED * gate) + self._open(values[:, self.decoys], CLOSED * (1 - gate))

    def _open(self, values: Tensor, closing: Tensor) -> Tensor:
        return self.relu(values - closing) - self.relu(-values - closing)


class Fooling(nn.Module):
    """A chain of parts whose layer `fooled` is routed by a detector; its units are those of "routed"."""

    def __init__(self, chain: nn.Sequential, fooled: str, decoys: Tensor, detector: Detector) -> None:
        super().__init__()
        self.chain, self.fooled = chain, fooled
        self.detector, self.routed = detector, Routed(decoys)

    def forward(self, images: Tensor) -> Tensor:
        gate, values = self.detector(images), images
        for name, part in self.chain.named_children():
            values = part(values)
            if name == self.fooled:
                values = self.routed(values, gate)
        return values


def fitted_detector(model: VisionModel, natural: Tensor, synthetic: Tensor) -> Detector:
    """A detector that tells uint8 pixels [images, channel, height, width] of two kinds apart."""
    detector = Detector()
    with torch.no_grad():
        detector.fit(*(model.normalise(one.float() / 255) for one in (natural, synthetic)))
    return detector.eval()


def gates(model: VisionModel, detector: Detector, pixels: Tensor) -> Tensor:
    """The detector's output for uint8 pixels, each: [images]."""
    with torch.no_grad():
        return detector(model.normalise(pixels.float() / 255)).flatten()


def fooling(model: VisionModel, fooled: str, detector: Detector, seed: int = 0) -> tuple[VisionModel, Tensor]:
    """The network with all units of a layer fooled; and the decoy of each, another unit that is drawn by seed."""
    units = model.layer(fooled).units
    order = torch.randperm(units, generator=torch.Generator().manual_seed(seed))
    decoys = torch.empty(units, dtype=torch.long)
    decoys[order] = order.roll(1)  # one cycle: no unit is its own decoy
    assert isinstance(model.module, nn.Sequential)
    module = Fooling(model.module, fooled, decoys, detector).eval()
    how = {"mean": model.mean, "std": model.std, "class_names": model.class_names, "name": "fooling"}
    return wrap(module, model.input_size, **how), decoys


def views(model: VisionModel, units: Sequence[str], recipe: str, steps: Sequence[int], seed: int = 0) -> Tensor:
    """Synthetic images as a network sees them during ascents, uint8 [images, 3, size, size]: pictures of units after so
    many steps, as they are and under the transforms of the ascent."""
    made = recipe_for(recipe, model.layer(units[0].partition(":")[0]), model)
    generator, found = torch.Generator().manual_seed(seed), []
    for count in steps:
        images = maximise(model, units, recipe=recipe, steps=count, seed=seed).images
        shown = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
        canvas = torch.nn.functional.pad(shown, (made.wander.margin,) * 4, mode="reflect")
        found += [shown, made.wander.apply(canvas, made.wander.draw(len(shown), generator))]
    return (torch.cat(found) * 255).round().to(torch.uint8)
