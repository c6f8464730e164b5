"""A small network that is no trivial one: strides, BatchNorm with statistics, in-place ReLUs, a skip."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from layerscope.models.model import VisionModel, wrap


class SmallNet(nn.Module):
    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 8, 5, stride=2, padding=2, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.conv2 = nn.Conv2d(8, 8, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(8)
        self.conv3 = nn.Conv2d(8, 12, 3, stride=2, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.fc = nn.Linear(12, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(x + self.bn2(self.conv2(x)))
        x = self.relu(self.conv3(x))
        return self.fc(x.mean((2, 3)))


class ViewingNet(SmallNet):
    """The same function, in the words of many a tutorial; `view` takes no map in channels_last."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(x + self.bn2(self.conv2(x)))
        x = self.relu(self.conv3(x))
        return self.fc(x.view(x.size(0), -1).view(x.size(0), 12, -1).mean(2))


class CountingNet(SmallNet):
    """Counts its calls in a buffer."""

    def __init__(self, channels: int = 3) -> None:
        super().__init__(channels)
        self.register_buffer("calls", torch.zeros((), dtype=torch.long))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return super().forward(x)


def seeded(module: nn.Module, seed: int = 0) -> nn.Module:
    """Weights and BatchNorm statistics from a generator; nothing global is used."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            fan = max(parameter[0].numel(), 1)
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / fan**0.5 * 1.4)
        for part in module.modules():
            if isinstance(part, nn.BatchNorm2d) and part.running_mean is not None and part.running_var is not None:
                part.running_mean.copy_(torch.randn(part.num_features, generator=generator) * 0.3)
                part.running_var.copy_(torch.rand(part.num_features, generator=generator) + 0.5)
    return module.eval()


def small_model() -> VisionModel:
    return wrap(seeded(SmallNet()), input_size=32, class_names=("owl", "cat", "hut", "tree", "cup"), name="small")


def small_network() -> VisionModel:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = nn.Sequential(
            nn.Conv2d(3, 6, 5, 2, 2), nn.ReLU(), nn.Conv2d(6, 10, 3, 1, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(10, 3)
        )  # fmt: skip
    return wrap(module.eval(), 32, class_names=["one", "two", "three"], name="small")
