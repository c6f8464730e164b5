"""The twenty things: how each is drawn, posed and coloured, and which of them share a shape."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache, partial

import torch

from layerscope.errors import UnknownNameError
from layerscope.world.draws import Draws
from layerscope.world.palette import HSV, Anchor, Paints, Palette
from layerscope.world.parts import Pen
from layerscope.world.things import animals, artefacts, plants


@dataclass(frozen=True)
class Thing:
    """A class of the menagerie.

    draw: draws it with a pen. lean: largest turn in radians. scale: smallest and largest half height, in half images.
    coat: the texture that tells it from its twins of the same `shape`. core: parts that part dropout never takes.
    """

    name: str
    draw: Callable[[Pen], None]
    lean: float
    scale: tuple[float, float]
    palette: Palette = field(default_factory=dict)
    shape: str = ""
    coat: str = ""
    core: tuple[str, ...] = ()


RED, BLACK, WHITE, CREAM, SILVER = (
    (0.005, 0.8, 0.82),
    (0.07, 0.3, 0.1),
    (0.12, 0.04, 0.95),
    (0.115, 0.28, 0.92),
    (0.55, 0.25, 0.85),
)
GREEN, DARK_GREEN, LIME = (0.29, 0.6, 0.58), (0.33, 0.65, 0.28), (0.2, 0.55, 0.62)
BROWN, UMBER, TAN, GOLD = (0.065, 0.55, 0.5), (0.06, 0.6, 0.22), (0.09, 0.4, 0.75), (0.115, 0.65, 0.85)
ORANGE, YELLOW, BLUE, NAVY = (0.065, 0.78, 0.92), (0.135, 0.75, 0.93), (0.58, 0.6, 0.8), (0.62, 0.6, 0.35)
SLATE, VIOLET, MAGENTA, PINK = (0.6, 0.22, 0.45), (0.75, 0.5, 0.75), (0.92, 0.55, 0.88), (0.96, 0.35, 0.92)
BRICK, MOSS, STRAW = (0.04, 0.6, 0.62), (0.3, 0.35, 0.4), (0.12, 0.5, 0.7)


def _pair(first: Anchor, second: Anchor) -> tuple[Anchor, Anchor]:
    return first, second


_INSECT: Palette = {"body": _pair([RED, RED, ORANGE], [BLACK, BLACK, BLACK])}
_QUADRUPED: Palette = {"body": _pair([CREAM, GOLD, TAN], [BLACK, UMBER, UMBER]), "mane": UMBER}
_FISH: Palette = {
    "body": _pair([ORANGE, ORANGE, SILVER], [WHITE, WHITE, NAVY]),
    "fin": _pair([ORANGE, ORANGE, SILVER], [CREAM, CREAM, NAVY]),
}
_HOUSE: Palette = {"wall": _pair([BRICK, BROWN], [CREAM, UMBER]), "roof": _pair([SLATE, MOSS], [BLACK, BLACK])}


def _twins(
    shape: str,
    draw: Callable[..., None],
    lean: float,
    scale: tuple[float, float],
    palette: Palette,
    **coats: str,
) -> list[Thing]:
    """Classes that share shape, pose and palette; only the texture of the coat tells them apart."""
    return [
        Thing(name, partial(draw, coat=coat), lean, scale, palette, shape, coat, core=("body",))
        for name, coat in coats.items()
    ]


def _one(
    draw: Callable[[Pen], None],
    name: str,
    lean: float,
    scale: tuple[float, float],
    core: str,
    **palette: HSV | tuple[Anchor, Anchor],
) -> Thing:
    return Thing(
        name, draw, lean, scale, {key.replace("_", " "): value for key, value in palette.items()}, core=(core,)
    )


_MANY = [
    *_twins("insect", animals.insect, 0.8, (0.6, 1.0), _INSECT, ladybird="dots", beetle="plain"),
    _one(animals.turtle, "turtle", 0.8, (0.6, 1.0), "shell", shell=(LIME, UMBER), skin=GREEN),
    *_twins(
        "quadruped", animals.quadruped, 0.25, (0.65, 1.0), _QUADRUPED, zebra="stripes", horse="fur", leopard="dots"
    ),
    *_twins("fish", animals.fish, 0.4, (0.65, 1.0), _FISH, scalefish="scales", tigerfish="stripes"),
    _one(animals.butterfly, "butterfly", 0.35, (0.75, 1.05), "wing", wing=(BLUE, NAVY), spot=(YELLOW, BLACK)),
    _one(plants.tree, "tree", 0.18, (0.6, 1.0), "crown", crown=(GREEN, DARK_GREEN), trunk=(BROWN, UMBER), fruit=RED),
    _one(plants.flower, "flower", 0.35, (0.6, 1.0), "petal", petal=(MAGENTA, PINK), disc=(YELLOW, UMBER), stem=GREEN),
    _one(plants.mushroom, "mushroom", 0.3, (0.6, 1.0), "cap", cap=(RED, WHITE), stem=CREAM),
    _one(artefacts.umbrella, "umbrella", 0.5, (0.7, 1.0), "canopy", canopy=(VIOLET, YELLOW)),
    Thing("brickhouse", artefacts.brick_house, 0.16, (0.65, 1.0), _HOUSE, core=("wall",)),
    Thing(
        "woodhut",
        artefacts.wood_hut,
        0.16,
        (0.65, 1.0),
        {**_HOUSE, "roof": _pair([STRAW, MOSS], [UMBER, BLACK])},
        core=("wall",),
    ),
    _one(artefacts.car, "car", 0.2, (0.7, 1.0), "body", body=(BLUE, WHITE), tyre=BLACK),
    _one(animals.owl, "owl", 0.3, (0.6, 1.0), "body", body=(TAN, UMBER), wing=(BROWN, UMBER), iris=ORANGE, beak=YELLOW),
    _one(animals.cat, "cat", 0.18, (0.75, 1.05), "head", head=(ORANGE, BROWN), iris=GREEN, nose=PINK),
    _one(artefacts.clock, "clock", 0.5, (0.6, 1.0), "disc", rim=(GOLD, BROWN), hand=BLACK),
    _one(artefacts.cup, "cup", 0.35, (0.65, 1.0), "body", body=(WHITE, BLUE), saucer=WHITE),
]
THINGS: dict[str, Thing] = {thing.name: thing for thing in _MANY}
CLASS_NAMES: tuple[str, ...] = tuple(THINGS)
"""The classes of the menagerie; their order is the numbering of the labels."""


def find_thing(name: str) -> Thing:
    """Raises UnknownNameError, which names the nearest."""
    if name not in THINGS:
        raise UnknownNameError.among("thing", name, CLASS_NAMES)
    return THINGS[name]


@lru_cache
def part_names(name: str) -> tuple[str, ...]:
    """The parts of a thing, back to front."""
    thing, draws = find_thing(name), Draws([0])
    pen = Pen(torch.zeros(1, 1), torch.zeros(1, 1), draws, Paints(draws, thing.palette, natural=True))
    thing.draw(pen)
    return tuple(dict.fromkeys(part.name for part in pen.parts))


def check_part(thing: str, part: str) -> None:
    """Raises UnknownNameError, which lists the thing's parts."""
    if part not in part_names(thing):
        raise UnknownNameError.among(f"part of a {thing}", part, part_names(thing))
