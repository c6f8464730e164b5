"""PG-2: a network whose units are known over five layers, and the scenes of parts that its last two layers know.

Edges and colours -> energy of orientations -> textures (and units that only measure energy) -> parts -> objects. In each
layer there are also units of random weights, which read nothing that is planted, and dead ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from planted_filters import LUMINANCE, blob, colour_of, gabor, seen_as_they_are
from torch import Tensor, nn

from layerscope.dissection.early import EarlyStimuli
from layerscope.dissection.measures import Exhibits, Site
from layerscope.dissection.pictures import Concept, Control, Pictures, TruthMasks
from layerscope.dissection.stimuli.gratings import Baselines, Gratings
from layerscope.dissection.stimuli.hues import Hues
from layerscope.dissection.stimuli.textures import Textures
from layerscope.models.model import VisionModel

SIZE, KERNEL, STRIDE = 64, 13, 2
FREQUENCY = 0.15
"""Cycles per pixel of the bars that parts are drawn with, and of the units that measure energy."""
PARTS = ("ring", "star", "square")
APART = 12
"""Pixels between the middle of an object and each of its two parts."""
CLASSES = {
    "cart": (("ring", -APART, 0), ("star", APART, 0)),
    "tower": (("ring", 0, -APART), ("star", 0, APART)),
    "flag": (("square", -APART, 0), ("star", APART, 0)),
    "kite": (("square", 0, -APART), ("ring", 0, APART)),
}
"""Of which parts each is made, and where these are from its middle: columns, rows. The first two differ in this alone."""
SITES = (
    Site("rectified", "edges"),
    Site("energised", "energies"),
    Site("textured", "textures"),
    Site("matched", "spread"),
    Site("fired", "objects"),
)
RANDOM, DEAD = 8, 2
"""Units of each layer that are not planted."""
_REACH = 4  # of the templates of parts to each side, in cells of STRIDE pixels
_ASIDE = APART // (2 * STRIDE)  # of the parts of an object, in cells of 2 STRIDE pixels
_RADIUS = 7.0  # of parts, pixels
_PART_AT, _OBJECT_AT = 0.45, 1.35  # thresholds: a template that fits gives about 1, and both parts of an object 2
_ENOUGH = 0.2  # beyond its threshold, what a part is there for sure with
_PAINT = 0.3  # how much lines add to an image
_RIDGE = 1e-2
_CLUTTER = 14  # short bars in each scene, so that edges are no sign of parts
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Known:
    """What a unit is. orientation, hue: degrees; frequency: cycles per pixel; NaN where it has none."""

    label: str
    orientation: float = math.nan
    frequency: float = math.nan
    hue: float = math.nan
    name: str = ""


class PlantedNet(nn.Module):
    """The network. known: by layer of SITES, what each unit is."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        first, filters = _first_layer(np.random.default_rng(seed))
        oriented = [Known("edge", 22.5 * k, FREQUENCY) for k in range(8)]
        textures = [Known("texture")] * 5 + [Known("spectral")] * 2
        parts = [Known("part", name=one) for one in PARTS * 2]
        objects = [Known("object", name=one) for one in [*CLASSES] * 2]
        rest = [Known("none")] * RANDOM + [Known("dead")] * DEAD
        planted = (first, oriented, textures, parts, objects)
        self.known = {site.name: [*units, *rest] for site, units in zip(SITES, planted, strict=True)}
        edges, energies, textures_, parts_, objects_ = (len(units) for units in self.known.values())
        self.edges = nn.Conv2d(3, edges, KERNEL, STRIDE, KERNEL // 2, bias=False, padding_mode="replicate")
        self.rectified = nn.ReLU()
        self.energies, self.energised = nn.Conv2d(edges, energies, 1, bias=False), nn.ReLU()
        self.uncrossed = nn.Conv2d(energies, energies, 1, bias=False)
        self.textures, self.textured = nn.Conv2d(2 * energies, textures_, 1, bias=False), nn.ReLU()
        self.parts = nn.Conv2d(energies, parts_, 2 * _REACH + 1, padding=_REACH)
        self.spread, self.matched = nn.MaxPool2d(7, 2, 3), nn.ReLU()
        self.objects, self.fired = nn.Conv2d(parts_, objects_, 2 * _ASIDE + 1, padding=_ASIDE), nn.ReLU()
        self.told = nn.Linear(objects_, len(CLASSES))
        self.eval().requires_grad_(False)
        self._plant(torch.from_numpy(filters).float(), torch.Generator().manual_seed(seed))

    def forward(self, images: Tensor) -> Tensor:
        edges = self.edges(images)
        self.rectified(edges)
        energies = self.energised(self.energies(edges.square()))
        self.textured(self.textures(torch.cat([F.relu(self.uncrossed(energies)), energies], 1)))
        parts = self.matched(self.spread(self.parts(energies)))
        return self.told(self.fired(self.objects(parts.clamp(max=_ENOUGH))).amax((2, 3)))

    def _plant(self, filters: Tensor, random: torch.Generator) -> None:
        for part in (self.energies, self.uncrossed, self.textures, self.parts, self.objects):
            _random_block(part, random)
        self.edges.weight.copy_(filters)
        pairs = len(filters) - RANDOM - DEAD - 16
        for k in range(8):
            self.energies.weight[k, pairs + 2 * k : pairs + 2 * k + 2] = 1
        self.uncrossed.weight[:8, :8, 0, 0] = torch.eye(8) - 3 * torch.eye(8).roll(4, 1)
        self._plant_textures()
        self._plant_parts()
        self._plant_objects()
        self.told.weight.copy_(torch.eye(len(CLASSES)).repeat(1, 5)[:, : self.told.in_features])
        self.told.weight[:, 2 * len(CLASSES) :] = 0
        self.told.bias.zero_()

    def _plant_textures(self) -> None:
        """Bars that are not crossed, of all orientations and of two; all energy; energy of one orientation."""
        weight, width = self.textures.weight, self.energies.out_channels
        weight[0, :8] = 1
        for k in range(4):
            weight[1 + k, [k, k + 4]] = 1
        weight[5, width : width + 8] = 1
        weight[6, width] = 1

    def _plant_parts(self) -> None:
        """Least squares on clean drawings: 1 in the middle of a unit's own part, 0 elsewhere and for other things."""
        middle, planted = SIZE // 2, len(PARTS)
        things = [*PARTS * 4, *map(str, range(0, 180, 15))]
        shifts = [(k // planted // 2 % 2, k // planted % 2) for k in range(len(things))]  # within a cell
        drawn = [_drawn([(thing, middle + x, middle + y)]) for thing, (x, y) in zip(things, shifts, strict=True)]
        clean = torch.from_numpy(_PAINT * np.stack(drawn)).float()[:, None].expand(-1, 3, -1, -1)
        energies = self.energies(self.edges(clean).square())[:, :8]
        seen = F.unfold(energies, 2 * _REACH + 1, padding=_REACH).unflatten(2, (SIZE // STRIDE, SIZE // STRIDE))
        at, cells = middle // STRIDE, torch.arange(-9.0, 10.0)
        patches = seen[:, :, at - 9 : at + 10, at - 9 : at + 10].permute(0, 2, 3, 1).flatten(0, 2).double()
        away = torch.hypot(*torch.meshgrid(cells, cells, indexing="ij")).flatten()
        for unit, part in enumerate(PARTS):
            is_it = torch.tensor([thing == part for thing in things])[:, None]
            own, near = is_it & (away == 0), is_it & (away < 3)
            weights = torch.where(own, 20.0, torch.where(near, 0.0, 1.0)).double().flatten()
            weighted = weights[:, None] * patches
            gram = patches.T @ weighted
            gram += torch.eye(len(gram)) * gram.diagonal().mean() * _RIDGE
            template = torch.linalg.solve(gram, weighted.T @ own.flatten().double())
            self.parts.weight[[unit, planted + unit], :8] = template.view(8, 2 * _REACH + 1, -1).float()
        self.parts.bias[:planted], self.parts.bias[planted : 2 * planted] = -_PART_AT, -_PART_AT - 0.05

    def _plant_objects(self) -> None:
        for unit, parts in enumerate([*CLASSES.values()] * 2):
            for part, right, down in parts:
                row, column = (_ASIDE + pixels // (2 * STRIDE) for pixels in (down, right))
                self.objects.weight[unit, PARTS.index(part), row, column] = 1 / _ENOUGH
            self.objects.bias[unit] = -_OBJECT_AT - (0.2 if unit >= len(CLASSES) else 0)


def planted_model(seed: int = 0) -> VisionModel:
    return seen_as_they_are(PlantedNet(seed), SIZE)


def planted_early(phases: int = 4) -> EarlyStimuli:
    frequencies = (0.06, 0.09, 0.135, 0.2, 0.3)
    light = Gratings(SIZE, 3, frequencies, orientations=8, phases=phases)
    axes = ("red-green", "blue-yellow")
    along = tuple(Gratings(SIZE, 3, frequencies[::2], axis, orientations=8, phases=3) for axis in axes)
    return EarlyStimuli(light, along, Hues(SIZE, hues=8), Baselines(SIZE, 3, 32))


def planted_exhibits(seed: int = 0) -> Exhibits:
    textures = Textures(SIZE, 3, 18, ("stripes", "dots", "rings"))
    return Exhibits(planted_early(), textures, planted_pictures(seed=seed))


def planted_pictures(per_class: int = 10, seed: int = 0) -> Pictures:
    """Scenes of CLASSES with clutter; in the twins each part is somewhere else."""
    random = np.random.default_rng([seed, 11])
    names, images = tuple(CLASSES), 2 * per_class * len(CLASSES)
    labels = np.arange(images) % len(CLASSES)
    pixels, twins = np.empty((images, 3, SIZE, SIZE), np.uint8), []
    truth = {name: np.full((images, SIZE, SIZE), 255, np.uint8) for name in ("part", "object")}
    for image, label in enumerate(labels):
        parts = CLASSES[names[label]]
        intact = _placed(parts, random)
        background, sign, paint = _background(random), random.choice([-1, 1]), _paint(random)
        pixels[image] = _painted(background, sign * _drawn([*intact, *_clutter(intact, random)]), paint)
        for part, column, row in intact:
            there = _distance(column, row) <= _RADIUS + 2
            truth["part"][image][there] = PARTS.index(part)
            truth["object"][image][there] = label
        if image >= images // 2:
            apart = _scattered(parts, random)
            twins.append(_painted(background, sign * _drawn([*apart, *_clutter(apart, random)]), paint))
    concepts = [Concept("part", one, at) for at, one in enumerate(PARTS)]
    concepts += [Concept("object", one, at) for at, one in enumerate(names)]
    masks = TruthMasks({name: torch.from_numpy(one) for name, one in truth.items()}, concepts)
    scattered = Control("scattered", torch.from_numpy(np.stack(twins)))
    return Pictures(
        "planted",
        torch.from_numpy(pixels),
        torch.from_numpy(labels),
        names,
        images // 2,
        (scattered,),
        masks,
        torch.from_numpy(labels % 2),
    )


def _first_layer(random: np.random.Generator) -> tuple[list[Known], Floats]:
    """Edges, colours and both, spots of light, quadrature pairs, random ones and dead ones; of norm 1."""
    nothing = math.nan
    known, filters = [], []
    for kind, count in {"edge": 6, "colour": 6, "colour-edge": 6, "none": 2}.items():
        for _ in range(count):
            orientation, hue, phase = random.uniform(0, 180), random.uniform(0, 360), random.uniform(0, 2 * np.pi)
            frequency = math.exp(random.uniform(math.log(0.09), math.log(0.22)))
            bars = gabor(orientation, frequency, phase, KERNEL)
            spot = blob(random.uniform(1.5, 3), KERNEL)
            if kind == "edge":
                known.append(Known(kind, orientation, frequency))
                filters.append(bars * LUMINANCE[:, None, None])
            elif kind == "colour-edge":
                known.append(Known(kind, orientation, frequency, hue))
                filters.append(bars * colour_of(hue)[:, None, None])
            else:
                known.append(Known(kind, hue=hue if kind == "colour" else nothing))
                filters.append(spot * (colour_of(hue) if kind == "colour" else LUMINANCE)[:, None, None])
    for k in range(8):
        for phase in (0, np.pi / 2):
            known.append(Known("edge", 22.5 * k, FREQUENCY))
            filters.append(gabor(22.5 * k, FREQUENCY, phase, KERNEL) * LUMINANCE[:, None, None])
    noise = random.normal(size=(RANDOM, 3, KERNEL, KERNEL))
    filters += list(noise - noise.mean((1, 2, 3), keepdims=True))  # so that light and dark scenes leave them alive
    filters = [one / np.linalg.norm(one) for one in filters]
    return known, np.stack(filters + [np.zeros((3, KERNEL, KERNEL))] * DEAD)


def _random_block(layer: nn.Conv2d, random: torch.Generator) -> None:
    """Random units read random units only, the last but the dead; all others get nothing yet."""
    layer.weight.zero_()
    if layer.bias is not None:
        layer.bias.zero_()
    units = slice(-RANDOM - DEAD, -DEAD)
    shape = layer.weight[units, units].shape
    layer.weight[units, units] = torch.randn(shape, generator=random) / math.sqrt(shape[1:].numel())


def _distance(column: float, row: float) -> Floats:
    rows, columns = np.mgrid[:SIZE, :SIZE]
    return np.hypot(columns - column, rows - row)


def _drawn(things: Sequence[tuple[str, float, float]]) -> Floats:
    """[height, width]: lines of height 1, about half a period of FREQUENCY wide."""
    rows, columns = np.mgrid[:SIZE, :SIZE]
    found = np.zeros((SIZE, SIZE))
    for thing, column, row in things:
        x, y = columns - column, rows - row
        away = (
            {
                "ring": np.hypot(x, y) - _RADIUS + 1,
                "star": np.minimum.reduce([_from_bar(x, y, turn, 2 * _RADIUS) for turn in (0, 45, 90, 135)]),
                "square": np.maximum(np.abs(x), np.abs(y)) - _RADIUS + 1.5,
            }[thing]
            if thing in PARTS
            else _from_bar(x, y, float(thing), _RADIUS)
        )
        found = np.maximum(found, np.exp(-(away**2) / (2 * 1.3**2)))
    return found


def _from_bar(x: Floats, y: Floats, turn: float, length: float) -> Floats:
    """Distance from a bar at `turn` degrees."""
    cosine, sine = math.cos(math.radians(turn)), math.sin(math.radians(turn))
    return np.hypot(np.maximum(np.abs(x * cosine - y * sine) - length / 2, 0), x * sine + y * cosine)


def _clutter(parts: Sequence[tuple[str, float, float]], random: np.random.Generator) -> list[tuple[str, float, float]]:
    """Short bars beside the parts, named by their turn."""
    found: list[tuple[str, float, float]] = []
    while len(found) < _CLUTTER:
        x, y = random.integers(4, SIZE - 4, 2)
        if all(math.hypot(column - x, row - y) > _RADIUS + 6 for _, column, row in parts):
            found.append((str(random.choice([0.0, 90.0, random.uniform(0, 180)])), x, y))
    return found


def _placed(parts: Sequence[tuple[str, int, int]], random: np.random.Generator) -> list[tuple[str, float, float]]:
    right, down = (max(abs(part[axis]) for part in parts) for axis in (1, 2))
    margin = _RADIUS + 3
    x = random.integers(right + margin, SIZE - right - margin)
    y = random.integers(down + margin, SIZE - down - margin)
    return [(part, x + dx, y + dy) for part, dx, dy in parts]


def _scattered(parts: Sequence[tuple[str, int, int]], random: np.random.Generator) -> list[tuple[str, float, float]]:
    """The same parts apart from each other, but not as in any class."""
    margin = _RADIUS + 3
    while True:
        (x, y), (other_x, other_y) = random.integers(margin, SIZE - margin, (2, 2))
        dx, dy = other_x - x, other_y - y
        near = min(math.hypot(dx - 2 * APART, dy), math.hypot(dx, dy - 2 * APART))
        if math.hypot(dx, dy) > 2 * _RADIUS + 6 and near > 16:
            return [(parts[0][0], x, y), (parts[1][0], other_x, other_y)]


def _background(random: np.random.Generator) -> Floats:
    coarse = random.normal(0, 0.02, (3, SIZE // 4, SIZE // 4)).repeat(4, 1).repeat(4, 2)
    return random.uniform(0.45, 0.55) + coarse


def _paint(random: np.random.Generator) -> Floats:
    """How much lines add to each channel."""
    return _PAINT + random.uniform(-0.05, 0.05, 3)


def _painted(background: Floats, lines: Floats, paint: Floats) -> NDArray[np.uint8]:
    image = background + paint[:, None, None] * lines
    return (image.clip(0, 1) * 255).round().astype(np.uint8)
