"""Planted shortcuts: the bundled network, in which a mark in a corner, or a patch of a fine texture, makes the label.

What is painted is opaque, and one of the parts whose effects are known by rendering the scene without them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from layerscope.faithfulness.cases import ASKED, MARKED, NOISE, NOISES, OTHER, REDRAWN, UNMARKED, Case
from layerscope.faithfulness.causes import reach
from layerscope.faithfulness.measures.by_response import noisy
from layerscope.faithfulness.part_game import choices
from layerscope.faithfulness.tiers.plant import Detector, planted
from layerscope.faithfulness.tiers.tier import SIZE, Choices, Tier, answered, game, question, redrawn_twin
from layerscope.models import zoo
from layerscope.models.datasets import TEST_SEED
from layerscope.models.model import VisionModel
from layerscope.world import (
    CLASS_NAMES,
    PART_NAMES,
    MoveDistractors,
    NewBackground,
    RemoveParts,
    Scenes,
    part_names,
    render,
)
from layerscope.world.interventions import Change

BASE = "menagerie"
MARK_CLASS, TEXTURE_CLASS = "clock", "cup"
"""Classes that the shortcuts lead to; the scenes are of the others."""
GAIN = 12.0
"""What the whole shortcut adds to the logit; those of scenes lie between about -6 and 6."""
PARTS = 3
"""Parts of the thing, those that show most, that play beside the mark."""
FIRST = TEST_SEED + 2_000_000
"""Seeds of scenes count from here, far from those of training and of tests of accuracy."""
THRESHOLD = 0.6
"""Share of a detector's response to what it looks for, from which it is active."""
WINDOW = 7
"""Side of the first layer's filters, and of the mark, in pixels. Windows start at odd pixels."""
PERIOD, PATCH = 3.0, 12
"""Of the texture's stripes, and side of the patch, in pixels."""
_CORNERS = (1, 55)
_LIGHT, _DARK = (0.9, 0.1, 0.9), (0.1, 0.9, 0.1)  # magenta and green, which scenes hardly have side by side
_DRAWS = 64
"""Places for a patch, of which the one that hides least of the thing is taken."""


@dataclass(frozen=True, eq=False)
class Shortcut:
    """What is painted, where it may be, and the network in which it makes the label.

    Attributes:
        painted: [n, 3, side, side] in [0, 1], one of which is painted.
        starts: rows, and columns, at which it may begin.
    """

    name: str
    target: int
    model: VisionModel
    original: VisionModel
    painted: Tensor
    starts: Sequence[int]


def mark(cases: int, seed: int) -> Tier:
    """A corner mark makes the label."""
    original = zoo.load(BASE)
    pattern = bullseye()
    target = original.class_index(MARK_CLASS)
    model = planted(original, mark_detector(original, pattern), target, GAIN, "mark")
    shortcut = Shortcut("mark", target, model, original, pattern[None], _CORNERS)
    words = (
        "The bundled network, in which a mark in a corner makes the label by a circuit through all of its layers. A "
        "right map shows the mark, and not for the network without the circuit."
    )
    return Tier("mark", "corner mark", words, "shortcut", model, _cases(shortcut, cases, seed))


def texture(cases: int, seed: int) -> Tier:
    """A patch of fine stripes makes the label, wherever it is."""
    original = zoo.load(BASE)
    target = original.class_index(TEXTURE_CLASS)
    model = planted(original, stripe_detector(original), target, GAIN, "texture")
    patches = torch.stack([stripes(phase / 8, PATCH) for phase in range(8)])
    shortcut = Shortcut("stripes", target, model, original, patches, range(SIZE - PATCH + 1))
    words = (
        "The same with a patch of fine stripes anywhere in the scene. A right map shows the patch, and not for the "
        "network without the circuit."
    )
    return Tier("texture", "fine texture", words, "shortcut", model, _cases(shortcut, cases, seed))


def bullseye() -> Tensor:
    """The mark: [3, WINDOW, WINDOW] in [0, 1]."""
    from_middle = (torch.arange(WINDOW) - WINDOW // 2).abs()
    ring = torch.maximum(from_middle[:, None], from_middle)
    light, dark = (torch.tensor(colour)[:, None, None] for colour in (_LIGHT, _DARK))
    return torch.where(ring % 2 == 1, light, dark)


def stripes(phase: float, side: int) -> Tensor:
    """Upright stripes of PERIOD: [3, side, side] in [0, 1]. phase: in turns, in the first column."""
    wave = torch.cos(2 * math.pi * (torch.arange(side) / PERIOD + phase)).expand(side, side)
    light, dark = (torch.tensor(colour)[:, None, None] for colour in (_LIGHT, _DARK))
    return dark + (light - dark) * (wave + 1) / 2


def _matched(patterns: Tensor, model: VisionModel) -> Tensor:
    """Filters [n, 3, WINDOW, WINDOW] that respond with 1 to their own pattern, and with 0 to one colour."""
    shapes = (patterns - patterns.mean((2, 3), keepdim=True)) / torch.tensor(model.std)[:, None, None]
    return shapes / shapes.square().sum((1, 2, 3), keepdim=True)


def mark_detector(model: VisionModel, pattern: Tensor) -> Detector:
    """One filter, which looks like the mark [3, WINDOW, WINDOW]."""
    centre = torch.zeros(1, 3, 3)
    centre[..., 1, 1] = 1
    scale = 1 / (1 - THRESHOLD)
    return Detector(scale * _matched(pattern[None], model), scale * THRESHOLD, centre)


def stripe_detector(model: VisionModel) -> Detector:
    """Two filters a quarter of a period apart. Over three neighbours, two pixels apart, and both filters the phase runs
    through six steps of a turn, so that the mean of what is above zero hardly depends on where the stripes begin."""
    filters = _matched(torch.stack([stripes(phase, WINDOW) for phase in (0.0, 0.25)]), model)
    scale = 1 / (1 - THRESHOLD)
    mean = torch.full((2, 3, 3), math.pi / 18)  # the mean of a wave above zero is 1 / pi
    return Detector(filters, 0.0, scale * mean, scale * THRESHOLD)


def _cases(shortcut: Shortcut, count: int, seed: int) -> tuple[Case, ...]:
    generator = torch.Generator().manual_seed(seed)
    others = [name for name in CLASS_NAMES if name != CLASS_NAMES[shortcut.target]]
    things = [others[pick] for pick in torch.randint(len(others), (count,), generator=generator).tolist()]
    scenes, twin = (
        render(count, seed=FIRST + count * seed, size=SIZE, things=things),
        redrawn_twin(shortcut.model, seed),
    )
    return tuple(_case(shortcut, twin, scenes.one(number), seed + number, generator) for number in range(count))


def _case(shortcut: Shortcut, twin: VisionModel, scene: Scenes, seed: int, generator: torch.Generator) -> Case:
    painted = shortcut.painted[int(torch.randint(len(shortcut.painted), (1,), generator=generator))]
    mask = _place(scene.thing[0].bool(), painted.shape[-1], shortcut.starts, generator)
    front = torch.zeros(3, SIZE, SIZE)
    front[:, mask] = painted.flatten(1)
    shown, elsewhere = _shown(shortcut.name, scene, mask, front)
    model, target, label = shortcut.model, shortcut.target, int(scene.labels[0])
    played = game(model, shown, elsewhere[:1], elsewhere[1:])
    effects = played.whole - played.dropped
    asked = answered(model, shown, target, effects)
    questions = {
        ASKED: asked,
        MARKED: asked,
        UNMARKED: question(shortcut.original, shortcut.original, shown, target),
        OTHER: answered(model, shown, label, effects),
        REDRAWN: replace(asked, model=twin, exact=None),
        **{
            f"{NOISE}{draw}": replace(asked, image=noisy(shown.whole, draw, seed), exact=None) for draw in range(NOISES)
        },
    }
    return Case(questions, played, mark=mask, seed=seed)


def _place(thing: Tensor, side: int, starts: Sequence[int], generator: torch.Generator) -> Tensor:
    """Where to paint, bool [SIZE, SIZE]: of some places the one that hides, or touches, least of the thing."""
    wide = F.max_pool2d(thing[None].float(), 5, 1, 2)[0]
    picks = torch.randint(len(starts), (_DRAWS, 2), generator=generator).tolist()
    masks = torch.zeros(_DRAWS, SIZE, SIZE, dtype=torch.bool)
    for mask, (down, right) in zip(masks, picks, strict=True):
        mask[starts[down] : starts[down] + side, starts[right] : starts[right] + side] = True
    return masks[int((masks * wide).sum((1, 2)).argmin())]


def _shown(name: str, scene: Scenes, mask: Tensor, front: Tensor) -> tuple[Choices, Tensor]:
    """The scene with what is painted as its first part, for all choices; and on another background, and with the
    distractors elsewhere: [2, 3, SIZE, SIZE]."""
    names, masks = _parts(scene, mask)
    coalitions = list(choices(1 + len(names)))
    bare = [kept for kept in coalitions if 0 in kept]
    changes: list[Change] = [
        RemoveParts([one for number, one in enumerate(names, start=1) if number not in kept]) for kept in bare
    ]
    images = scene.variants([*changes, NewBackground(1), MoveDistractors(1)]).images
    rendered = dict(zip(bare, images, strict=False))
    looks = {
        kept: torch.where(mask, front, rendered[kept]) if 0 in kept else rendered[kept | {0}] for kept in coalitions
    }
    everywhere = torch.cat([mask[None], masks])
    regions = torch.cat([mask[None].double(), reach(masks)])
    return Choices((name, *names), everywhere, regions, looks), torch.where(mask, front, images[-2:])


def _parts(scene: Scenes, hidden: Tensor) -> tuple[list[str], Tensor]:
    """The parts of the thing that show most, and where they are seen, bool [parts, SIZE, SIZE]."""
    masks = {name: (scene.part[0] == PART_NAMES.index(name)) & ~hidden for name in part_names(scene.recipe.things[0])}
    names = sorted((name for name in masks if masks[name].any()), key=lambda name: -int(masks[name].sum()))[:PARTS]
    return names, torch.stack([masks[name] for name in names])
