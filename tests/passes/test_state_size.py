"""All convolutions of a large network at once: what is kept of them is bounded, and small."""

from __future__ import annotations

import torch
from torch import nn
from torchvision.models import resnet50

from layerscope.passes.accumulators import TopK
from layerscope.passes.class_sums import ClassSums
from layerscope.passes.histogram import Histogram
from layerscope.passes.moments import Moments


def test_all_units_of_resnet50_are_kept_in_150_mb() -> None:
    with torch.device("meta"):
        network = resnet50()
    widths = [part.out_channels for part in network.modules() if isinstance(part, nn.Conv2d)]
    assert sum(widths) == 26_560
    labels = torch.arange(36) % 20
    kept: dict[str, int] = {}
    for width in widths:
        histogram = Histogram(torch.zeros(width), torch.ones(width), bins=1024)
        for accumulator in (histogram, TopK(9), Moments(), ClassSums(labels)):
            for first in (0, 12, 24):  # more images do not make it larger
                accumulator.update(torch.zeros(12, width, 2), first)
            kept[type(accumulator).__name__] = kept.get(type(accumulator).__name__, 0) + accumulator.nbytes
    assert sum(kept.values()) <= 150e6
    assert kept["Histogram"] == 26_560 * 1026 * 4 + 53 * 8
    assert kept["TopK"] == 26_560 * 9 * 16
