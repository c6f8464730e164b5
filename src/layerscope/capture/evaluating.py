"""Run a network to measure it, and leave it as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import nn


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
