"""What a network does on images that it knows: the yardstick for one image.

Measured once over a probe set: how strong each unit is on average, how far images lie from the average of each layer,
and, where the probe's classes are the network's, how its logits have to be scaled to mean probabilities.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from sklearn.covariance import LedoitWolf
from torch import Tensor

from layerscope.capture.hooks import capture
from layerscope.capture.layers import Layer, units_first
from layerscope.models.model import VisionModel
from layerscope.objectives import OUTPUT
from layerscope.passes.accumulators import ImageMeans
from layerscope.passes.sweep import sweep
from layerscope.studies.probe import Probe
from layerscope.types import Images, Progress, no_progress

UNLIKE = 0.995
"""Of the probe images, this share lies nearer to the average than what counts as unlike them."""

_SCALES = torch.logspace(-2, 2, 401)
"""Temperatures that are tried."""


LEAST = 50
"""Probe images below which nothing is said of what is unlike them."""


@dataclass(frozen=True, eq=False)
class Strange:
    """How far an image lies from what a layer does on the probe images.

    distance: Mahalanobis distance of the units' means over positions (Lee et al. 2018, section 2), with the shrunk
    covariance of Ledoit & Wolf 2004, per square root of the number of units. limit: UNLIKE of those probe images that
    were not used to fit it are nearer.
    """

    layer: str
    distance: float
    limit: float


@dataclass(frozen=True, eq=False)
class Reference:
    """What was measured over a probe set.

    Attributes:
        probe: its name, and how many images it has.
        means: by layer [images, units], each unit's mean over positions on each image.
        logits: [images, classes].
        labels: int64 [images] in the network's numbering; None where the probe's classes are not the network's.
    """

    probe: str
    images: int
    means: Mapping[str, Tensor]
    logits: Tensor
    labels: Tensor | None

    def unit_means(self, layer: str) -> Tensor:
        """[units]: over all images and positions."""
        return self.means[layer].mean(0)

    @cached_property
    def temperature(self) -> float | None:
        """What logits have to be divided by so that the network is as sure as it is right: on average over the probe
        images, the probability of the predicted class is (right + 1) / (images + 2), by the rule of succession.

        The least negative log-likelihood (Guo et al. 2017) would be at 0 where all are right. None without labels.
        """
        if self.labels is None:
            return None
        right = int((self.logits.argmax(1) == self.labels).sum())
        sure = torch.stack([(self.logits / scale).softmax(1).amax(1).mean() for scale in _SCALES])
        return float(_SCALES[(sure - (right + 1) / (self.images + 2)).abs().argmin()])

    def share_below(self, margin: float) -> float:
        """The share of probe images whose two largest logits differ by less."""
        two = self.logits.topk(2, dim=1).values
        return float(((two[:, 0] - two[:, 1]) < margin).double().mean())

    def strangeness(self, model: VisionModel, image: Images) -> tuple[Strange, ...]:
        """How far one image [1, channel, height, width] lies from the probe images, layer by layer.

        Nothing where there are fewer than LEAST probe images.
        """
        if self.images < LEAST:
            return ()
        with torch.no_grad(), capture(model, list(self.means)) as activations:
            model(image)
        return tuple(self._strange(model.layer(name), activations[name]) for name in self.means)

    def _strange(self, layer: Layer, activation: Tensor) -> Strange:
        own = units_first(activation, layer.unit_axis).reshape(1, layer.units, -1).mean(2)
        usual = self._usual[layer.name]
        return Strange(layer.name, float(usual.distance(own.cpu())[0]), usual.limit)

    @cached_property
    def _usual(self) -> Mapping[str, _Usual]:
        return {name: _Usual.of(means.double()) for name, means in self.means.items()}


@dataclass(frozen=True, eq=False)
class _Usual:
    """What a layer usually does: centre and spread of each unit [units], precision of the standardised units."""

    centre: Tensor
    spread: Tensor
    precision: Tensor
    limit: float

    @classmethod
    def of(cls, means: Tensor) -> _Usual:
        """Fitted to every second image [images, units]; the limit is that of the others."""
        fitted, others = means[::2], means[1::2]
        centre, spread = fitted.mean(0), fitted.std(0)
        alive = spread > 0
        covariance = LedoitWolf().fit(((fitted - centre) / spread)[:, alive].numpy())
        usual = cls(centre, spread, torch.from_numpy(covariance.precision_), 0.0)
        return replace(usual, limit=float(torch.quantile(usual.distance(others), UNLIKE)))

    def distance(self, means: Tensor) -> Tensor:
        """[images] of [images, units]."""
        steps = ((means.double() - self.centre) / self.spread)[:, self.spread > 0]
        return ((steps @ self.precision * steps).sum(1) / max(steps.shape[1], 1)).clamp(min=0).sqrt()


def measure_reference(
    model: VisionModel, layers: Sequence[Layer], probe: Probe, on_progress: Progress = no_progress
) -> Reference:
    """One sweep over the probe images."""
    kept = {name: [ImageMeans()] for name in (*(layer.name for layer in layers), OUTPUT)}
    batches = (chunk.float() / 255 for chunk in probe.data.pixels.split(64))
    sweep(
        model,
        batches,
        kept,
        on_progress=lambda done, total, what: on_progress(done, len(probe.data), "probe images"),
    )
    found = {name: accumulators[0].compute() for name, accumulators in kept.items()}
    logits = found.pop(OUTPUT)
    return Reference(probe.name, len(probe.data), found, logits, _labels(model, probe))


def _labels(model: VisionModel, probe: Probe) -> Tensor | None:
    """The probe's labels in the numbering of the network's classes."""
    names = probe.data.class_names
    if model.class_names is None or not set(names) <= set(model.class_names):
        return None
    numbers = torch.tensor([model.class_names.index(name) for name in names])
    return numbers[probe.data.labels]
