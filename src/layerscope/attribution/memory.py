"""How many images may run at once within a budget of memory: the one knob for batching."""

from __future__ import annotations

from math import prod

from layerscope.capture.memory import bytes_of
from layerscope.errors import InputError
from layerscope.models.model import VisionModel
from layerscope.types import Images

MOST = 256
"""More at once is no faster."""


def budget_of(memory: float | str) -> int:
    """Bytes, at least one. Raises InputError for what is no budget."""
    budget = bytes_of(memory, "memory")
    if budget is None or budget <= 0:
        raise InputError(f"memory={memory!r} is no budget; give bytes, or text as '1 GiB'")
    return budget


def batch_within(model: VisionModel, images: Images, memory: float | str) -> int:
    """The number of images whose activations together, kept for a backward pass, take about `memory`; at least 1.

    Estimated from the activations of all leaf layers at the network's input size. Raises InputError for a budget that
    is none.
    """
    budget = budget_of(memory)
    names = {layer.name for layer in model.layers()}
    parents = {name.rpartition(".")[0] for name in names}
    kept = sum(prod(layer.shape) for layer in model.layers() if layer.name not in parents)
    area = images.shape[-1] * images.shape[-2] / model.input_size**2
    return max(1, min(MOST, int(budget / (max(kept, 1) * area * images.element_size()))))
