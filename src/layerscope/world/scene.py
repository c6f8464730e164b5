"""Scenes: one thing on a textured background among distractors, with dense truth."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from layerscope.errors import InputError, UnknownNameError
from layerscope.types import Images
from layerscope.world.canvas import Canvas, Frame
from layerscope.world.catalogue import CLASS_NAMES, THINGS, Thing, find_thing, part_names
from layerscope.world.draws import Draws
from layerscope.world.fields import box, direction, ellipse, trapezium, turn
from layerscope.world.interventions import Change, Draft, changed_parts
from layerscope.world.light import lit
from layerscope.world.palette import Paints, Palette, name_colours
from layerscope.world.parts import Part, choose_texture
from layerscope.world.textures import TEXTURE_NAMES

ColourMode = Literal["natural", "random"]
SIZES = (32, 256)
NO_EDGE = 255
ORIENTATIONS = 8
"""Edge orientations are counted in eighths of half a turn, counter-clockwise: 0 is horizontal, 4 vertical."""


@dataclass(frozen=True)
class Scenes:
    """Rendered scenes and their truth.

    pixels: uint8 [batch, 3, size, size]. labels: int64 [batch], indices into CLASS_NAMES. seeds: one per scene.
    Truth, each uint8 [batch, size, size]: thing (1 where the thing is seen), part (index into PART_NAMES), texture
    (into TEXTURE_NAMES), colour (of the paint, before light; into COLOUR_NAMES), edge (orientation in eighths of half
    a turn, NO_EDGE where there is none).
    """

    pixels: Tensor
    labels: Tensor
    thing: Tensor
    part: Tensor
    texture: Tensor
    colour: Tensor
    edge: Tensor
    seeds: tuple[int, ...]
    recipe: SceneRecipe

    def __repr__(self) -> str:
        count = len(self.seeds)
        seeds = f"seed {self.seeds[0]}" if count == 1 else f"seeds {self.seeds[0]} to {self.seeds[-1]}"
        return f"Scenes({count} of {self.recipe.size} px, {seeds})"

    def _repr_html_(self) -> str:
        """The pictures with their labels, and what share of each the thing and its parts cover."""
        from layerscope.figures.value_cards import scenes_card

        return scenes_card(
            self.pixels.permute(0, 2, 3, 1).cpu().numpy(),
            [CLASS_NAMES[label] for label in self.labels.tolist()],
            self.seeds,
            self.thing.float().mean((1, 2)).tolist(),
            [len(part[thing > 0].unique()) for part, thing in zip(self.part, self.thing, strict=True)],
        )

    @property
    def images(self) -> Images:
        """float32 [batch, 3, size, size], values in [0, 1]."""
        return self.pixels.float() / 255

    @property
    def class_names(self) -> tuple[str, ...]:
        return CLASS_NAMES

    def again(self, change: Change) -> Scenes:
        """The scenes as first rendered, with this one thing changed; changes do not add up over several calls."""
        return self.variants([change])

    def variants(self, changes: Sequence[Change]) -> Scenes:
        """Every scene, as first rendered, under each of these changes: scene 0 under all of them, then scene 1, ...

        Changes that only remove or repaint parts are painted together: about five times as fast as one by one.
        """
        for change in changes:
            if not isinstance(change, Change):
                raise InputError(f"{change!r} is no change; give for example RemovePart('wing') or NewBackground()")
        if not changes:
            raise InputError("no changes to render the scenes with; give at least one")
        seeds = tuple(seed for seed in self.seeds for _ in changes)
        things = tuple(name for name in self.recipe.things for _ in changes)
        return _render(seeds, replace(self.recipe, things=things, changes=(*changes,) * len(self.seeds)))

    def one(self, number: int) -> Scenes:
        """Scene `number` alone, as a batch of one."""
        if not 0 <= number < len(self.seeds):
            raise InputError(f"no scene {number}; scenes count from 0 to {len(self.seeds) - 1}")
        tensors = {
            field.name: value[number : number + 1]
            for field in fields(self)
            if isinstance(value := getattr(self, field.name), Tensor)
        }
        things, changes = (self.recipe.things[number],), (self.recipe.changes[number],)
        recipe = replace(self.recipe, things=things, changes=changes)
        return replace(self, **tensors, seeds=(self.seeds[number],), recipe=recipe)


@dataclass(frozen=True)
class SceneRecipe:
    """All that scenes depend on besides their seeds. things, changes: one per scene."""

    things: tuple[str, ...]
    size: int
    colours: ColourMode
    part_dropout: float
    changes: tuple[Change, ...]
    chunk: int
    device: str


def render(
    count: int,
    *,
    seed: int = 0,
    size: int = 64,
    things: str | Sequence[str] | None = None,
    change: Change | None = None,
    colours: ColourMode = "natural",
    part_dropout: float = 0.0,
    chunk: int = 32,
    device: str = "cpu",
) -> Scenes:
    """Render `count` scenes with the seeds seed, seed + 1, ...; the same seed always gives the same bytes.

    size: 32 to 256 pixels. things: one name for all scenes, or one per scene; by default each scene draws its own.
    part_dropout: the share of scenes that miss one part. chunk: scenes painted at once (no influence on the result).
    Raises InputError for a size or count out of range and UnknownNameError for a thing that does not exist.
    """
    if count < 1:
        raise InputError(f"cannot render {count} scenes; ask for at least 1")
    if not isinstance(size, int) or not SIZES[0] <= size <= SIZES[1]:
        raise InputError(f"size {size} is out of range; scenes are {SIZES[0]} to {SIZES[1]} pixels wide")
    if colours not in ("natural", "random"):
        raise UnknownNameError.among("colours", colours, ("natural", "random"))
    if chunk < 1 or not 0 <= part_dropout <= 1 or not -(2**62) < seed < 2**62:
        raise InputError(
            f"chunk={chunk}, part_dropout={part_dropout}, seed={seed}; "
            "chunk is at least 1, part_dropout a share from 0 to 1, seed of at most 62 bits"
        )
    seeds = tuple(range(seed, seed + count))
    names = _names(things, seeds)
    changes = (change or Change(),) * count
    return _render(seeds, SceneRecipe(names, size, colours, part_dropout, changes, chunk, device))


def _names(things: str | Sequence[str] | None, seeds: tuple[int, ...]) -> tuple[str, ...]:
    if things is None:
        return tuple(CLASS_NAMES[index] for index in Draws(seeds).pick("thing/class", len(CLASS_NAMES)).tolist())
    names = (things,) * len(seeds) if isinstance(things, str) else tuple(things)
    if len(names) != len(seeds):
        raise InputError(f"{len(names)} things for {len(seeds)} scenes; give one name, or one per scene")
    return tuple(find_thing(name).name for name in names)


def _render(seeds: tuple[int, ...], recipe: SceneRecipe) -> Scenes:
    shape = (len(seeds), recipe.size, recipe.size)
    pixels = torch.empty(shape[0], 3, *shape[1:], dtype=torch.uint8)
    truth = {name: torch.empty(shape, dtype=torch.uint8) for name in ("thing", "part", "texture", "colour", "edge")}
    labels = torch.empty(shape[0], dtype=torch.int64)
    for name, members in _alike(recipe):
        for start in range(0, len(members), recipe.chunk):
            chosen = members[start : start + recipe.chunk]
            changes = [recipe.changes[index] for index in chosen]
            labels[chosen] = torch.tensor([CLASS_NAMES.index(change.label(THINGS[name])) for change in changes])
            image, masks = _paint(THINGS[name], [seeds[index] for index in chosen], changes, recipe)
            pixels[chosen] = image.cpu()
            for key, mask in masks.items():
                truth[key][chosen] = mask.cpu()
    return Scenes(pixels, labels, **truth, seeds=seeds, recipe=recipe)


def _alike(recipe: SceneRecipe) -> list[tuple[str, list[int]]]:
    """Thing and numbers of scenes that can be painted together: their changes share salts, and draw no other parts."""
    groups: dict[Hashable, tuple[str, list[int]]] = {}
    for index, (name, change) in enumerate(zip(recipe.things, recipe.changes, strict=True)):
        key = name, tuple(sorted(change.salts.items())), change if change.redraws else None
        groups.setdefault(key, (name, []))[1].append(index)
    return list(groups.values())


@torch.no_grad()
def _paint(
    thing: Thing, seeds: list[int], changes: list[Change], recipe: SceneRecipe
) -> tuple[Tensor, dict[str, Tensor]]:
    draws = Draws(seeds, changes[0].salts, torch.device(recipe.device))
    canvas, natural = Canvas(draws, recipe.size), recipe.colours == "natural"
    _paint_background(canvas, natural)
    for index in range(3):
        _paint_distractor(canvas, f"{index}", 0.75, (0.12, 0.36))
    frame = _pose(canvas, thing)
    parts = changed_parts(Draft(thing, frame, draws, natural), changes)
    for part in _without_one(parts, thing, draws, recipe.part_dropout):
        canvas.paint(part, frame, of_thing=True)
    _paint_distractor(canvas, "front", 0.3, (0.08, 0.17))
    image = (lit(canvas) * 255 + 0.5).to(torch.uint8)
    return image, _truth(canvas, image)


def _paint_background(canvas: Canvas, natural: bool) -> None:
    """Two textured half planes, often sky over ground."""
    draws, frame = canvas.draws, canvas.frame
    palette: Palette = {"sky": (0.56, 0.32, 0.92), "ground": (0.25, 0.4, 0.6)}
    paints = Paints(draws, palette, natural, group="background")
    horizon = draws.uniform("background/horizon", -0.5, 1.6) + draws.uniform("background/tilt", -0.25, 0.25) * frame.x
    everywhere = torch.full_like(frame.x, -9.0)
    textures = (*(name for name in TEXTURE_NAMES if name != "rings"), "cloud", "fur", "foliage")
    for name, distance in (("sky", everywhere), ("ground", horizon - frame.y)):
        base = paints.one(name, (0.35, 0.95), (0.0, 0.45), share=0.5)
        other = paints.one(name + ".other", (0.15, 1.0), (0.0, 0.4))
        colours = (base, base + (other - base) * draws.uniform(f"background/{name}.contrast", 0.15, 0.6))
        texture = choose_texture(draws, f"background/{name}.texture", textures)
        period, angle = (
            draws.uniform(f"background/{name}.period", 0.18, 0.5),
            draws.uniform(f"background/{name}.angle", -3.14, 3.14),
        )
        part = Part("background", distance, texture, colours, period, angle, relief=0.0, key=name)
        canvas.paint(part, frame, of_thing=False)


def _paint_distractor(canvas: Canvas, name: str, probability: float, radii: tuple[float, float]) -> None:
    """A small ellipse, box or wedge of any texture, somewhere; in some scenes."""
    draws, frame = canvas.draws, canvas.frame
    x = frame.x - draws.uniform(f"clutter.place/{name}.x", -1.05, 1.05)
    y = frame.y - draws.uniform(f"clutter.place/{name}.y", -1.05, 1.05)
    x, y = turn(x, y, draws.uniform(f"clutter.place/{name}.turn", -3.14, 3.14))
    group = f"clutter/{name}"
    radius, aspect = draws.uniform(f"{group}.radius", *radii), draws.uniform(f"{group}.aspect", 0.4, 1.0)
    wedge = trapezium(x, y, -radius, radius * 0.7, radius * 0, radius * aspect)
    kind = draws.pick(f"{group}.kind", 3)[:, None]
    round_or_box = torch.where(
        kind == 0, ellipse(x, y, radius, radius * aspect), box(x, y, radius, radius * aspect, 0.03)
    )
    part = Part(
        "clutter",
        torch.where(kind == 2, wedge, round_or_box),
        choose_texture(draws, f"{group}.texture", TEXTURE_NAMES),
        Paints(draws, {}, natural=False, group="clutter").pair(name),
        draws.uniform(f"{group}.period", 0.12, 0.32),
        axes=(x, y),
        relief=draws.uniform(f"{group}.relief", 0, 0.12),
        bevel=0.1,
        shown=draws.chance(f"{group}.shown", probability),
        key=group,
    )
    canvas.paint(part, frame, of_thing=False)


def _pose(canvas: Canvas, thing: Thing) -> Frame:
    """The thing's own frame: scaled, placed so that it stays in sight, turned, sheared, perhaps mirrored."""
    draw = canvas.draws.uniform
    scale = draw("pose/scale", *thing.scale)
    room = (1.04 - scale).clamp(0.04, 0.4)
    x, y = canvas.frame.x - draw("pose/x", -1, 1) * room, canvas.frame.y - draw("pose/y", -1, 1) * room
    x, y = turn(x, y, draw("pose/turn", -thing.lean, thing.lean))
    mirror = 1 - 2 * canvas.draws.chance("pose/mirror", 0.5)
    aspect = draw("pose/aspect", 0.88, 1.14)
    return Frame((x + draw("pose/shear", -0.12, 0.12) * y) * mirror / (scale * aspect), y * aspect / scale, scale)


def _without_one(parts: list[Part], thing: Thing, draws: Draws, share: float) -> list[Part]:
    """The parts, one of which is hidden in a `share` of the scenes; never the core by which the thing is known."""
    names = [name for name in part_names(thing.name) if name not in thing.core]
    if not share or not names:
        return parts
    lost = torch.where(draws.chance("dropout/on", share)[:, 0] > 0, draws.pick("dropout/part", len(names)), -1)
    kept: list[Part] = []
    for part in parts:
        if part.name in names:
            here = (lost != names.index(part.name)).float()[:, None]
            part = replace(part, shown=here if part.shown is None else part.shown * here)
        kept.append(part)
    return kept


def _truth(canvas: Canvas, image: Tensor) -> dict[str, Tensor]:
    shape = (canvas.draws.count, canvas.size, canvas.size)
    return {
        "thing": (canvas.thing > 0.5).to(torch.uint8).view(shape),
        "part": canvas.part.view(shape),
        "texture": canvas.texture.view(shape),
        "colour": name_colours(canvas.albedo).view(shape),
        "edge": _edges(image),
    }


def _edges(image: Tensor, least: float = 24.0) -> Tensor:
    """Orientation of the edges seen in the picture: uint8 [batch, size, size].

    Scharr gradients of the luminance; an edge is where a step of `least` of 255 grey levels or more is seen.
    """
    weights = torch.tensor([0.299, 0.587, 0.114], device=image.device)
    grey = F.pad((image.float() * weights[:, None, None]).sum(1, keepdim=True), (1, 1, 1, 1), mode="replicate")[:, 0]
    smooth_y = (3 * grey[:, :-2] + 10 * grey[:, 1:-1] + 3 * grey[:, 2:]) / 16
    smooth_x = (3 * grey[:, :, :-2] + 10 * grey[:, :, 1:-1] + 3 * grey[:, :, 2:]) / 16
    across, down = smooth_y[:, :, 2:] - smooth_y[:, :, :-2], smooth_x[:, 2:] - smooth_x[:, :-2]
    # An edge runs across its gradient (and y points down), so the gradient's (down, across) is the edge's (x, y).
    eighth = _eighth(across, down)
    return torch.where(across * across + down * down >= least * least, eighth, torch.full_like(eighth, NO_EDGE))


def _eighth(y: Tensor, x: Tensor) -> Tensor:
    """The direction of the line through (x, y), in eighths of half a turn, nearest: uint8."""
    eighths = direction(y, x) * (2 * ORIENTATIONS)
    return torch.floor(eighths + 0.5).remainder(ORIENTATIONS).to(torch.uint8)
