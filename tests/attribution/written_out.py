"""A small network with each of its layers written out, and one small network in three layouts of its middle."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from small_nets import SmallNet, seeded
from tasks import pictures
from torch import Tensor, nn

from layerscope.models.model import VisionModel, wrap

SIDE = 32
CLASS = 2
"""What is explained."""

Written = tuple[Tensor, Callable[[Tensor], Tensor]]
"""The activation of a layer, and the logit of CLASS [batch] as a function of it."""


def small(dtype: torch.dtype = torch.float64) -> VisionModel:
    return wrap(seeded(SmallNet()).to(dtype), input_size=SIDE)


def images(batch: int = 2, dtype: torch.dtype = torch.float64) -> Tensor:
    return pictures(batch, SIDE, dtype=dtype)


def middle(model: VisionModel, x: Tensor) -> Written:
    """relu#1 of a SmallNet: 8 units of 16 x 16."""
    net = model.module
    y = F.relu(net.bn1(net.conv1(model.normalise(x))))
    y = F.relu(y + net.bn2(net.conv2(y)))
    return y, lambda a: net.fc(F.relu(net.conv3(a)).mean((2, 3)))[:, CLASS]


def before_relu(model: VisionModel, x: Tensor) -> Written:
    """conv3 of a SmallNet, which a ReLU overwrites in the network itself: 12 units of 8 x 8."""
    y, _ = middle(model, x)
    return model.module.conv3(y), lambda a: model.module.fc(F.relu(a).mean((2, 3)))[:, CLASS]


def top(model: VisionModel, x: Tensor) -> Written:
    """relu#2 of a SmallNet, before the global mean and the linear layer: 12 units of 8 x 8."""
    y, _ = before_relu(model, x)
    return F.relu(y), lambda a: model.module.fc(a.mean((2, 3)))[:, CLASS]


LAYERS = {"relu#1": middle, "conv3": before_relu, "relu#2": top}


def activation_and_gradient(layer: str, model: VisionModel, x: Tensor) -> tuple[Tensor, Tensor]:
    activation, head = LAYERS[layer](model, x)
    point = activation.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(head(point).sum(), point)
    return point.detach(), gradient


class Layout(nn.Module):
    """Its layer "site" puts out [batch, units, row, column], [batch, row, column, units], or tokens behind two others."""

    def __init__(self, layout: str) -> None:
        super().__init__()
        self.layout = layout
        self.conv, self.site, self.mix = nn.Conv2d(3, 6, 4, stride=4), nn.ReLU(), nn.Linear(6, 6)
        self.fc = nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        if self.layout == "tokens":
            tokens = torch.cat([torch.ones(len(y), 2, 6).to(y), y.flatten(2).transpose(1, 2)], 1)
            y = self.site(tokens)[:, 2:].transpose(1, 2).unflatten(2, y.shape[2:])
        elif self.layout == "units last":
            y = self.site(y.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        else:
            y = self.site(y)
        y = F.gelu(self.mix(y.permute(0, 2, 3, 1))).permute(0, 3, 1, 2)
        return self.fc(y.mean((2, 3)))


def layouts() -> dict[str, VisionModel]:
    """Three networks that compute the same."""
    names = ("units first", "units last", "tokens")
    return {layout: wrap(seeded(Layout(layout)).double(), input_size=SIDE) for layout in names}
