"""One forward of a network to learn something about it, after which it is as it came."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from layerscope.errors import CaptureError


def black_images(module: nn.Module, input_shape: tuple[int, int, int], count: int = 1) -> Tensor:
    """Zeros [count, channel, height, width] in the dtype and on the device of the weights.

    Raises CaptureError where `input_shape` is not (channel, height, width).
    """
    if len(input_shape) != 3 or min(input_shape) < 1:
        raise CaptureError(f"input shape {input_shape} is not (channel, height, width)")
    weight = next((weight for weight in module.parameters() if weight.is_floating_point()), torch.empty(0))
    return torch.zeros(count, *input_shape, dtype=weight.dtype, device=weight.device)


@contextmanager
def as_it_came(module: nn.Module, training: bool) -> Iterator[None]:
    """Train or eval mode for a while. Then flags, buffers, attributes and random states are what they were.

    Of attributes that are plain dicts, lists and sets (caches) the entries are what they were, in the same objects.

    Meanwhile the network has copies of its buffers, so that nothing, not even a version counter, moves in its own.
    Scripted parts keep their buffers out of reach of Python: theirs are not copied.
    """
    weights = [*module.parameters(), *module.buffers()]
    devices = list({weight.device for weight in weights if weight.is_cuda})
    states = random.getstate(), np.random.get_state()
    with ExitStack() as undo, torch.random.fork_rng(devices=devices):
        undo.callback(random.setstate, states[0])
        undo.callback(np.random.set_state, states[1])
        copies: dict[int, Tensor] = {}
        for part in module.modules():
            if not isinstance(part, torch.jit.ScriptModule):
                undo.enter_context(_own_dictionaries(part, copies))
            undo.callback(setattr, part, "training", part.training)
            part.training = training
        yield


@contextmanager
def _own_dictionaries(part: nn.Module, copies: dict[int, Tensor]) -> Iterator[None]:
    """Attributes and what they hold (registers of parameters, buffers and parts, caches) afterwards as now.

    Meanwhile buffers are copies.
    """
    attributes = dict(vars(part))
    plain = (value for name, value in attributes.items() if type(value) in (dict, list, set) or name in _REGISTERS)
    held = [(value, value.copy()) for value in plain]
    try:
        for name, buffer in part._buffers.items():
            if buffer is not None:
                part._buffers[name] = copies.setdefault(id(buffer), buffer.clone())
        yield
    finally:
        for value, before in held:
            _restore(value, before)
        _restore(vars(part), attributes)


def _restore(value: Any, before: Any) -> None:
    """Give a dict, list or set its entries of before. It is never empty meanwhile: this may be interrupted."""
    if isinstance(value, list):
        value[:] = before
        return
    value.update(before)
    remove = value.pop if isinstance(value, dict) else value.remove
    for new in [key for key in value if key not in before]:
        remove(new)
    if isinstance(value, dict) and [*map(id, value)] != [*map(id, before)]:  # entries that were removed are last now
        try:
            for key in before:
                value[key] = value.pop(key)
        finally:
            value.update(before)


_REGISTERS = ("_parameters", "_buffers", "_modules")
