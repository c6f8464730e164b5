"""Networks whose every cause is known, so that the right answer is known: in float64, for one image and its baseline."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from small_nets import seeded
from tasks import pictures
from torch import Tensor, nn

import layerscope as ls
from layerscope.attribution.methods import METHODS, attribute
from layerscope.attribution.result import Attribution
from layerscope.models.model import VisionModel

CLASSES = ("this", "that")


@dataclass(frozen=True)
class Planted:
    """One network, what it is shown, and how methods are asked about the score "this".

    Attributes:
        pieces: [height, width], the piece of each pixel, for methods that explain pieces.
        layer: for methods that explain a layer or read one.
        options: of those methods that have them.
    """

    model: VisionModel
    image: Tensor
    baseline: Tensor
    pieces: Tensor
    layer: str
    options: dict[str, Any] = field(default_factory=dict)

    def explained(self, name: str) -> Attribution:
        method = METHODS[name]
        given: dict[str, Any] = {"layer": self.layer} if "layer" in method.needs else {}
        if "baseline" in method.needs:
            given["baseline"] = self.baseline
        asked = {"segments": self.pieces} | self.options
        given |= {option: asked[option] for option in method.options() if option in asked}
        return attribute(self.model, self.image, "this", name, checks=False, **given)

    def values(self, name: str) -> Tensor:
        return self.explained(name).values[0].double()


def blocks(size: int, side: int) -> Tensor:
    """[size, size]: the number of the square block of this side that each pixel lies in."""
    places = torch.arange(size) // side
    return places[:, None] * len(places.unique()) + places


def linear() -> Planted:
    """A score that is linear in the pixels, with an offset."""
    net = seeded(nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 2)), seed=1).double()
    options = {"window": 3, "stride": 2, "composite": "epsilon", "epsilon": 0.0}
    return _planted(net, 8, blocks(8, 4), "0", options)


def pooled() -> Planted:
    """A score that is linear in the activations of a layer: their mean over places, weighed."""
    net = nn.Sequential(nn.Conv2d(3, 5, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 2))
    return _planted(seeded(net, seed=1).double(), 8, blocks(8, 4), "1", {"to": "zero"})


class Parts(nn.Module):
    """[batch, part]: one smooth detector each for four of the nine blocks of an image, which see nothing else."""

    places = ((0, 0), (0, 2), (1, 1), (2, 0))
    numbers = (0, 2, 4, 6)  # of the blocks

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.ModuleList(nn.Linear(3 * 4 * 4, 5) for _ in self.places)
        self.outer = nn.ModuleList(nn.Linear(5, 1) for _ in self.places)

    def forward(self, x: Tensor) -> Tensor:
        seen = [x[:, :, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4].flatten(1) for row, column in self.places]
        detectors = zip(self.inner, self.outer, seen, strict=True)
        return torch.cat([outer(torch.tanh(inner(part))) for inner, outer, part in detectors], 1)


def parts() -> Planted:
    """A score that is a sum over parts, and not linear within one."""
    net = seeded(nn.Sequential(Parts(), nn.Linear(4, 2)), seed=2).double()
    options = {"window": 4, "stride": 4, "tolerance": 1e-8, "most_steps": 4096}
    return _planted(net, 12, blocks(12, 4), "0", options)


@dataclass(frozen=True)
class Template(Planted):
    """box: [height, width], the pixels of the patch. cell: row and column of the only activation at the layer."""

    box: Tensor = field(default_factory=lambda: torch.zeros(0))
    cell: tuple[int, int] = (5, 7)


def template() -> Template:
    """A score that answers to one patch, wherever it is; it is at one place."""
    generator = torch.Generator().manual_seed(0)
    patches = torch.rand(2, 1, 4, 4, generator=generator, dtype=torch.float64).round()
    net = nn.Sequential(nn.Conv2d(1, 2, 4), nn.ReLU(), nn.AdaptiveMaxPool2d(1), nn.Flatten()).double()
    with torch.no_grad():
        net[0].weight.copy_(2 * patches - 1)
        net[0].bias.copy_(-0.7 * patches.sum((1, 2, 3)))
    image, box = 0.05 * pictures(1, 16, channels=1, dtype=torch.float64), torch.zeros(16, 16, dtype=torch.bool)
    box[5:9, 7:11] = True
    image[0, 0, box] = patches[0, 0].flatten()
    model = ls.wrap(net.eval(), 16, mean=[0.0], std=[1.0], class_names=CLASSES, name="template")
    assert net[:2](image)[0].nonzero().tolist() == [[0, 5, 7]]  # what is planted is so
    options = {"window": 3, "stride": 1}
    return Template(model, image, torch.zeros_like(image), blocks(16, 6), "1", options, box=box)


@dataclass(frozen=True)
class Scene(Planted):
    """thing: [height, width], the pixels of the object that the score does not depend on."""

    thing: Tensor = field(default_factory=lambda: torch.zeros(0))


def background() -> Scene:
    """A score that depends on the background alone, though all of the image goes through the same convolution."""
    net = seeded(nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 256, 2)), seed=3)
    thing, seeing = torch.zeros(16, 16, dtype=torch.bool), torch.zeros(16, 16, dtype=torch.bool)
    thing[4:12, 4:12] = True
    seeing[3:13, 3:13] = True
    with torch.no_grad():
        net[3].weight.view(2, 6, 16, 16)[:, :, seeing] = 0
    pieces = torch.where(thing, 4, blocks(16, 8))
    planted = _planted(net.double(), 16, pieces, "1", {"window": 3, "stride": 1})
    return Scene(**vars(planted), thing=thing)


class _Cues(nn.Module):
    """Two pixels, and what is made of them; "that" is the first less a quarter of the second."""

    def __init__(self, rule: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.cues, self.rule = nn.Conv2d(1, 1, 1, bias=False).double(), rule
        nn.init.ones_(self.cues.weight)

    def forward(self, x: Tensor) -> Tensor:
        x = self.cues(x)
        first, second = x[:, 0, 1, 1], x[:, 0, 4, 4]
        return torch.stack([self.rule(first, second), first - second / 4], 1)


CUES = torch.zeros(6, 6, dtype=torch.bool)
CUES[1, 1] = CUES[4, 4] = True


def saturated() -> Planted:
    """min(a + b, 1) where a = b = 1: the gradient is zero, and so is the effect of either alone."""
    return _two_cues(lambda a, b: 1 - torch.relu(1 - (a + b)), "saturated")


def rivals() -> Planted:
    """max(a, b) where a = b = 1: either would do."""
    return _two_cues(lambda a, b: b + torch.relu(a - b), "rivals")


def _two_cues(rule: Callable[[Tensor, Tensor], Tensor], name: str) -> Planted:
    image = pictures(1, 6, channels=1, dtype=torch.float64)
    image[0, 0, CUES] = 1.0
    model = ls.wrap(_Cues(rule).eval(), 6, mean=[0.0], std=[1.0], class_names=CLASSES, name=name)
    pieces = torch.zeros(6, 6, dtype=torch.long)
    pieces[1, 1], pieces[4, 4] = 1, 2
    options = {"window": 3, "stride": 3, "noise": 0.0, "tolerance": 1e-3, "most_steps": 4096}
    return Planted(model, image, torch.zeros_like(image), pieces, "cues", options)


def _planted(net: nn.Module, size: int, pieces: Tensor, layer: str, options: dict[str, Any]) -> Planted:
    model = ls.wrap(net.eval(), size, mean=[0.4, 0.5, 0.6], std=[0.2, 0.25, 0.3], class_names=CLASSES, name="planted")
    image, baseline = pictures(2, size, dtype=torch.float64).split(1)
    return Planted(model, image, baseline, pieces, layer, options)
