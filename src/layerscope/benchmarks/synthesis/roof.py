"""How near an ascent comes to what the processor's convolutions can do (roofline: Williams et al. 2009).

The roof is the fastest of a few 3 x 3 convolutions of the sizes that a resnet50 has, forward and backward to the data,
measured in the same rounds as the ascent. What the ascent achieves counts the convolutions up to its layer alone,
forward and backward to the image; all else that it does is time without work.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from layerscope.benchmarks.synthesis.settings import own_copy
from layerscope.capture.hooks import capture
from layerscope.models.model import VisionModel
from layerscope.synthesis.picked import picked_in

SHAPES = ((16, 64, 48), (16, 128, 24), (16, 256, 24), (16, 256, 12), (16, 512, 12))
"""Images, channels (in and out), and side of the map."""
BOUND = 0.6


def roof(
    dtype: torch.dtype, shapes: tuple[tuple[int, int, int], ...] = SHAPES, device: str = "cpu"
) -> Callable[[], float]:
    """Measures operations per second (a multiplication and an addition are two) of the fastest shape: of processor
    time, on another device of wall time."""
    cases = [_case(dtype, *shape, device) for shape in shapes]
    for case in cases:
        case()  # the first call chooses and prepares the kernel
    return lambda: max(case() for case in cases)


def flops_of(model: VisionModel, layer: str, side: int, together: int) -> int:
    """Operations of one image-step: convolutions and matrix products up to `layer` of one image of `side` pixels,
    forward and backward to the image, with nothing for the weights. Of a last convolution only what is done: as many
    of its units as pictures climb together."""
    module = own_copy(model).requires_grad_(False)
    picked_in(module, layer, together)
    image = torch.zeros(1, model.channels, side, side, requires_grad=True)
    with FlopCounterMode(display=False) as counter, capture(module, [layer], detach=False) as activations:
        module(image)
        activations[layer].sum().backward()
    return int(counter.get_total_flops())


def _case(dtype: torch.dtype, images: int, channels: int, side: int, device: str) -> Callable[[], float]:
    generator = torch.Generator().manual_seed(0)
    weight, maps = (
        torch.randn(shape, generator=generator).to(device, dtype).contiguous(memory_format=torch.channels_last)
        for shape in ((channels, channels, 3, 3), (images, channels, side, side))
    )
    work = 2 * 2 * images * (channels * side) ** 2 * 9
    clock = time.process_time if device == "cpu" else _waiting_clock

    def rate() -> float:
        began = clock()
        _there_and_back(maps, weight)
        return work / (clock() - began)

    return rate


def _waiting_clock() -> float:
    torch.cuda.synchronize()
    return time.perf_counter()


def _there_and_back(maps: Tensor, weight: Tensor) -> None:
    maps = maps.detach().requires_grad_(True)
    out = F.conv2d(maps, weight, padding=1)
    torch.autograd.grad(out, maps, out.detach())
