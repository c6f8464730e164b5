"""One forward pass per batch over a set of images, for all layers and accumulators at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from layerscope.capture.evaluating import evaluating
from layerscope.capture.hooks import capture
from layerscope.capture.keeping import Reduce
from layerscope.capture.layers import units_first
from layerscope.capture.taps import refuse_batch_statistics
from layerscope.errors import InputError
from layerscope.objectives import OUTPUT
from layerscope.passes.base import Accumulator
from layerscope.types import Images, Progress, no_progress

if TYPE_CHECKING:
    from layerscope.models.model import VisionModel


def sweep(
    model: VisionModel,
    images: Images | Iterable[Images],
    accumulators: Mapping[str, Sequence[Accumulator[Any]]],
    *,
    batch_size: int = 64,
    first: int = 0,
    on_progress: Progress = no_progress,
) -> int:
    """Show images in [0, 1] to the network and each layer's activations to its accumulators; gives how many were seen.

    `images`: [n, channel, height, width], cut into batches of `batch_size`; or an iterable of batches, taken as it is.
    `accumulators`: by layer name ("" is the network's output). `first`: the number of the first image, for shards of
    a set. No gradients; the network runs in eval mode, and has its flags back afterwards. Progress counts images; the
    total is 0 where an iterable does not tell. Raises UnknownNameError for a layer that does not exist, InputError for
    no images.
    """
    if batch_size < 1:
        raise InputError(f"batch_size={batch_size}; at least 1 is needed")
    axes = {name: 1 if name == OUTPUT else model.layer(name).unit_axis for name in accumulators}
    total = len(images) if isinstance(images, Tensor) else 0
    seen = 0

    def taken_by(name: str) -> Reduce:
        def take(activation: Tensor) -> None:
            units = units_first(activation, axes[name])  # one for all, so that they share what is computed of it
            for accumulator in accumulators[name]:
                accumulator.update(units, first + seen)

        return take

    with ExitStack() as stack:
        stack.enter_context(evaluating(model.module))
        refuse_batch_statistics(model.module)  # once, instead of by each capture in each forward
        for name in accumulators:  # nothing is stored: each layer is taken in while the forward runs
            stack.enter_context(capture(model, name, reduce=taken_by(name), batch_statistics=True))
        for batch in _batches(images, batch_size):
            model(batch)
            seen += len(batch)
            on_progress(seen, total, "images")
    if not seen:
        raise InputError("no images to sweep; give at least one")
    return seen


def _batches(images: Images | Iterable[Images], batch_size: int) -> Iterator[Images]:
    if isinstance(images, Tensor):
        yield from torch.split(images, batch_size) if len(images) else ()
    else:
        yield from (batch for batch in images if len(batch))
