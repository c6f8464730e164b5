"""A network of one's own: its definition here, its weights in a checkpoint file beside it.

`network()` is what `layerscope ... own_network.py:network` opens; `train()` makes the checkpoint, in half a minute.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import layerscope as ls

CHECKPOINT = Path(__file__).with_name("own_network.pth")
SIDE = 64
SCENES, EPOCHS, BATCH = 2000, 5, 50


class Block(nn.Module):
    """Two convolutions with a way around them."""

    def __init__(self, before: int, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(before, width, 3, stride=2, padding=1, bias=False)
        self.second = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.around = nn.Conv2d(before, width, 1, stride=2, bias=False)
        self.norm1, self.norm2 = nn.BatchNorm2d(width), nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        y = F.silu(self.norm1(self.first(x)))
        return F.silu(self.norm2(self.second(y)) + self.around(x))


class OwnNetwork(nn.Module):
    """Four blocks, a mean over positions and one linear layer: images [batch, 3, 64, 64] -> [batch, 20]."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.Sequential(Block(3, 24), Block(24, 48), Block(48, 96), Block(96, 128))
        self.classes = nn.Linear(128, len(ls.world.CLASS_NAMES))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classes(self.blocks(x).mean((2, 3)))
        return logits


def network() -> ls.VisionModel:
    """The network with the weights of its checkpoint."""
    module = OwnNetwork()
    module.load_state_dict(torch.load(CHECKPOINT, weights_only=True))
    names = ls.world.CLASS_NAMES
    return ls.wrap(module.eval(), SIDE, mean=0.5, std=0.25, class_names=names, name="own network")


def train(seed: int = 0, scenes: int = SCENES, epochs: int = EPOCHS) -> None:
    """Train from nothing on rendered scenes, and write the checkpoint."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module, data = OwnNetwork(), ls.world.render(scenes, seed=20_000_000 + seed)
        steps = epochs * (scenes // BATCH)
        optimiser = torch.optim.AdamW(module.parameters(), weight_decay=0.05)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=steps)
        for _ in range(epochs):
            for chosen in torch.randperm(scenes)[: scenes // BATCH * BATCH].split(BATCH):
                logits = module((data.pixels[chosen].float() / 255 - 0.5) / 0.25)
                loss = F.cross_entropy(logits, data.labels[chosen])
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                schedule.step()
    torch.save(module.state_dict(), CHECKPOINT)
