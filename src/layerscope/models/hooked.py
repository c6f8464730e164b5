"""Modules that somebody has a hand in stay as they are in a private copy."""

from __future__ import annotations

from torch import nn


def hooked(module: nn.Module) -> bool:
    """Whether somebody watches or changes what goes through a module, either way, or has given it another forward."""
    hooks = module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks
    return any(hooks) or "forward" in vars(module)
