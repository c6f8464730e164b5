"""A last convolution that computes only the units that are climbed.

Each picture of a batch climbs one unit, and the layer that it is in computes all of them: of 64 channels on small
pictures a quarter of the work. Here row r of the batch has its unit at channel r, and there are as many channels as
rows.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from layerscope.capture.hooks import capture
from layerscope.models.memory import out_of_memory

_SAME = 1e-2
"""Of the length of all activations: what the order of a sum may change in bfloat16."""


class SomeChannels(nn.Module):
    """A convolution with `size` of its output channels; which ones may be changed."""

    def __init__(self, conv: nn.Conv2d, size: int) -> None:
        super().__init__()
        self.conv = conv
        self.rows = list(range(size))
        self._cut()

    def pick(self, row: int, unit: int) -> None:
        """Compute the channel `unit` for this row from now on."""
        if self.rows[row] != unit:
            self.rows[row] = unit
            self._cut()

    def forward(self, x: Tensor) -> Tensor:
        picked: Tensor = self.conv._conv_forward(x, self.weight, self.bias)
        return picked

    def _cut(self) -> None:
        layout = torch.channels_last if self.conv.weight.stride(1) == 1 else torch.contiguous_format
        self.weight = self.conv.weight[self.rows].contiguous(memory_format=layout)
        self.bias = None if self.conv.bias is None else self.conv.bias[self.rows]


def picked_in(private: nn.Module, layer: str, size: int) -> SomeChannels | None:
    """Put a picked convolution in the place of a layer of a private copy, and give it.

    None, with nothing changed, where the layer is no plain convolution of more than `size` channels.
    """
    name, _, call = layer.partition("#")
    conv = dict(private.named_modules()).get(name)
    if type(conv) is not nn.Conv2d or call not in ("", "0") or conv.groups > 1 or conv.out_channels <= size:
        return None
    parent, _, last = name.rpartition(".")
    picked = SomeChannels(conv, size)
    setattr(private.get_submodule(parent), last, picked)
    return picked


def picked_alike(private: nn.Module, layer: str, size: int, example: Tensor) -> SomeChannels | None:
    """As `picked_in`, where the network then gives the same at the layer; otherwise None, with nothing changed.

    It does not where the layer has hooks that change its output, or is called past its parent's attribute. `example`
    [batch, channel, height, width] is an input as the network gets it.
    """
    name, whole = layer.partition("#")[0], _values(private, layer, example)
    picked = picked_in(private, layer, size)
    if picked is None:
        return None
    try:
        part = _values(private, layer, example)
        if part.shape == whole[:, :size].shape and bool((part - whole[:, :size]).norm() <= _SAME * whole.norm()):
            return picked
    except Exception as error:  # of any kind: the network itself has just run, so it does not take the change,
        if out_of_memory(error):  # unless memory ran out: with fewer pictures it may
            raise
    parent, _, last = name.rpartition(".")
    setattr(private.get_submodule(parent), last, picked.conv)
    return None


def _values(private: nn.Module, layer: str, example: Tensor) -> Tensor:
    with torch.no_grad(), capture(private, [layer]) as activations:
        private(example.to(next(private.parameters(), example).dtype))
        return activations[layer].float()
