"""Run a network to measure it, and leave it as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext

import torch
from torch import nn

from layerscope.capture.forward import eager
from layerscope.capture.probe_forward import as_it_came


@contextmanager
def evaluating(module: nn.Module, gradients: bool = False) -> Iterator[None]:
    """Eval mode inside, for measuring a network itself, and no gradients, or gradients whatever the mode around it is.

    Each part gets its own flag back.
    """
    flags = [(part, part.training) for part in module.modules()]
    try:
        for part, _ in flags:
            part.training = False
        # inference mode records no gradients, whatever is said about gradients inside of it
        with torch.inference_mode(False) if gradients else nullcontext(), torch.set_grad_enabled(gradients):
            yield
    finally:
        for part, flag in flags:
            part.training = flag


@contextmanager
def undisturbed(module: nn.Module) -> Iterator[None]:
    """Eval mode with gradients inside, uncompiled and in the network's own precision, whatever is set around it.

    Afterwards everything is as it came: flags, buffers, attributes, random states.
    """
    devices = {weight.device.type for weight in module.parameters()} | {"cpu"}
    with ExitStack() as undo:
        undo.enter_context(evaluating(module, gradients=True))
        undo.enter_context(as_it_came(module, training=False))
        undo.enter_context(eager(module))
        for device in devices:
            if torch.is_autocast_enabled(device):
                undo.enter_context(torch.autocast(device, enabled=False))
        yield


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """No gradients of weights inside, which a backward to the input has no use for: it costs a little less then.

    Each weight gets its own flag back.
    """
    # an inference tensor would not take its flag back
    trained = [weight for weight in module.parameters() if weight.requires_grad and not weight.is_inference()]
    try:
        for weight in trained:
            weight.requires_grad = False
        yield
    finally:
        for weight in trained:
            weight.requires_grad = True
