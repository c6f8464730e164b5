"""Effective receptive fields: how much of what a position could see really moves it (Luo, Li, Urtasun and Zemel 2016).

They fall off like a Gaussian, much narrower than the window that arithmetic gives. The side of the square with as many
pixels as two standard deviations hold (their section 4: 95.45 %) is the measure here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Protocol

import torch
from torch import Tensor

from layerscope.capture.forward import bare_module
from layerscope.capture.hooks import capture
from layerscope.capture.layers import trace_layers
from layerscope.capture.probe_forward import as_it_came
from layerscope.capture.sites import split
from layerscope.errors import InputError
from layerscope.types import HasModule, Images, Progress, no_progress

SHARE = 0.9545  # of a Gaussian, within two standard deviations
NOISE_IMAGES = 16


class ImageModel(HasModule, Protocol):
    """A network with what its images have to be, as a VisionModel."""

    @property
    def input_size(self) -> int: ...

    @property
    def channels(self) -> int: ...

    def normalise(self, images: Images) -> Images: ...


def effective_receptive_fields(
    model: ImageModel,
    layers: Sequence[str] | str,
    *,
    images: Images | None = None,
    batch_size: int = 4,
    seed: int = 0,
    on_progress: Progress = no_progress,
) -> dict[str, float]:
    """The effective receptive field of each of `layers`, in pixels: the side of a square.

    The square has as many pixels as the smallest set that holds 95.45 % of E|dA/dx|: the size of the gradient, summed
    over the channels of the image and averaged over images, of A, a random sum (signs +1 and -1, drawn for each image)
    of all units at the central position (row height // 2, column width // 2).

    Args:
        model: a VisionModel. Its weights, .grad and requires_grad are left alone; it runs in eval mode.
        layers: names and patterns as in `capture`; the keys of the result are the keys of `capture`.
        images: [batch, channel, height, width] in [0, 1]; they may be larger than model.input_size. Default: 16 images
            of Gaussian noise (mean 0, deviation 1) in the space of the network's input, that is after normalisation:
            noise favours no place and no scale, needs no data, and is what Luo and others measured with.
        batch_size: images that run together. The result depends on it no more than floating point does.
        seed: of the signs and of the noise.
        on_progress: called after each backward pass.

    Layers without rows and columns (after flattening or global pooling, tokens beside a class token) have no central
    position and are left out, as are functions between modules. nan where no image had any gradient at all.
    Raises what `capture` raises, and InputError for no images or a batch size below 1.
    """
    inputs = _noise(model, seed) if images is None else model.normalise(images)
    if len(inputs) == 0 or batch_size < 1:
        raise InputError(f"{len(inputs)} images in batches of {batch_size}; give at least one image, and one per batch")
    centres = _centres(model, inputs)
    sums: dict[str, Tensor] = {}
    for start in range(0, len(inputs), batch_size):
        batch = inputs[start : start + batch_size]
        central, pixels = _forward(model, batch, layers, centres)
        done, total = start * len(central), len(inputs) * len(central)
        known: dict[object, Tensor] = {}
        for number, (name, (units, origin)) in enumerate(central.items(), start=1):
            if origin not in known:
                signs = _signs(len(inputs), units.shape[1], seed)[start : start + len(batch)]
                known[origin] = _gradient(units, signs, pixels)
            sums[name] = sums[name] + known[origin] if name in sums else known[origin]
            on_progress(done + number * len(batch), total, "effective receptive fields")
    return {name: _side(total) for name, total in sums.items()}


_Place = tuple[str, int, str]  # a module, the number of its call, the path of one tensor in its output
_Index = tuple[int | slice, ...]


def _noise(model: ImageModel, seed: int) -> Tensor:
    weights = (weight for weight in model.module.parameters() if weight.is_floating_point())
    like = next(weights, torch.empty(0))
    shape = (NOISE_IMAGES, model.channels, model.input_size, model.input_size)
    return torch.randn(shape, generator=torch.Generator().manual_seed(2 * seed)).to(like)


def _signs(images: int, units: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(2 * seed + 1)
    return torch.randint(0, 2, (images, units), generator=generator) * 2 - 1


def _centres(model: ImageModel, inputs: Tensor) -> dict[_Place, _Index]:
    """The central position of each layer that has one; a name without a path finds the first of several tensors."""
    _, channels, height, width = inputs.shape
    found: dict[_Place, _Index] = {}
    for layer, centre in trace_layers(model, (channels, height, width)):
        if centre is not None and centre[0] is None:
            index = tuple(slice(None) if place is None else place for place in centre)
            name, call, path = split(layer.name)
            found[name, call or 0, path] = index
            found.setdefault((name, call or 0, ""), index)
    return found


def _forward(
    model: ImageModel, batch: Tensor, layers: Sequence[str] | str, centres: Mapping[_Place, _Index]
) -> tuple[dict[str, tuple[Tensor, object]], Tensor]:
    """The units at the central position of each layer [batch, units], each with where it came from; and the pixels."""
    with ExitStack() as context:
        context.enter_context(torch.inference_mode(False))
        context.enter_context(torch.enable_grad())
        context.enter_context(as_it_came(bare_module(model), training=False))
        pixels = batch.detach().clone().requires_grad_()
        activations = context.enter_context(capture(model, layers, detach=False))
        model.module(pixels.clone())  # a copy, which the network may overwrite
        central: dict[str, tuple[Tensor, object]] = {}
        for key, activation in activations.items():
            name, call, path = split(key)
            index = centres.get((name, call or 0, path))
            if index is not None and len(activation) == len(batch):
                central[key] = (activation[index].flatten(1), _origin(activation))
    return central, pixels


def _origin(activation: Tensor) -> object:
    """The step that computed an activation, the same for copies: a container puts out what its last part did."""
    node, place = activation.grad_fn, activation.output_nr
    while node is not None and node.name() == "CloneBackward0":
        node, place = node.next_functions[0]
    return (node or id(activation), place)


def _gradient(units: Tensor, signs: Tensor, pixels: Tensor) -> Tensor:
    """The size of the gradient of a sum of units, over channels and images [height, width]."""
    if not units.requires_grad:
        return torch.zeros(pixels.shape[2:], dtype=torch.float64)
    (gradient,) = torch.autograd.grad(units, pixels, signs.to(units), retain_graph=True)
    return gradient.abs().sum((0, 1), dtype=torch.float64).cpu()


def _side(size: Tensor) -> float:
    """Of the square with as many pixels as the smallest set that holds SHARE of `size`; nan where all is zero."""
    falling = size.flatten().sort(descending=True).values.cumsum(0)
    if falling[-1] == 0:
        return math.nan
    return math.sqrt(int((falling < SHARE * falling[-1]).sum()) + 1)
