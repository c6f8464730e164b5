"""Render a scene again with one thing changed and every other draw the same.

Changes are re-renders, never holes in pixels, so what a network does with them is the true effect of the change. A part
that goes takes its drop shadow and its relief along, so pixels next to it may change too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor

from layerscope.world.canvas import Frame
from layerscope.world.catalogue import Thing, check_part, find_thing
from layerscope.world.draws import Draws
from layerscope.world.palette import Paints
from layerscope.world.parts import Part, Pen


@dataclass(frozen=True)
class Draft:
    """A batch of scenes of one thing, posed but not yet painted."""

    thing: Thing
    frame: Frame
    draws: Draws
    natural: bool

    @cached_property
    def own(self) -> list[Part]:
        """The thing's parts as first rendered; drawn once, however many changes look at them."""
        return self.draw()

    def draw(self, thing: Thing | None = None, x: Tensor | None = None, y: Tensor | None = None) -> list[Part]:
        """The parts of the thing (or of another in its place), in its own frame or at other coordinates."""
        thing = thing or self.thing
        paints = Paints(self.draws, thing.palette, self.natural)
        pen = Pen(self.frame.x if x is None else x, self.frame.y if y is None else y, self.draws, paints)
        thing.draw(pen)
        return pen.parts


@dataclass(frozen=True)
class Change:
    """No change; the base of all others. As text it says what is different: "without wing and eye"."""

    redraws: ClassVar[bool] = False
    """Whether parts are drawn anew; other changes keep, drop or repaint the scene's own, which scenes can share."""

    @property
    def salts(self) -> Mapping[str, int]:
        """Groups of draws that get new random numbers."""
        return {}

    def parts(self, draft: Draft) -> list[Part]:
        """The changed scene's parts, back to front."""
        return draft.own

    def label(self, thing: Thing) -> str:
        """The class that the changed scene shows."""
        return thing.name

    def __str__(self) -> str:
        return "unchanged"


@dataclass(frozen=True)
class RemoveParts(Change):
    """Leave parts out: `RemoveParts(("wing", "eye"))`; with no name, nothing."""

    names: Sequence[str]

    def __post_init__(self) -> None:
        names = (self.names,) if isinstance(self.names, str) else tuple(self.names)
        object.__setattr__(self, "names", names)

    def parts(self, draft: Draft) -> list[Part]:
        for name in self.names:
            check_part(draft.thing.name, name)
        return [part for part in draft.own if part.name not in self.names]

    def __str__(self) -> str:
        *first, last = self.names or ("nothing",)
        return f"without {', '.join(first)} and {last}" if first else f"without {last}"


@dataclass(frozen=True)
class RemovePart(Change):
    """Leave one part out: `RemovePart("wing")`."""

    part: str

    def parts(self, draft: Draft) -> list[Part]:
        return RemoveParts((self.part,)).parts(draft)

    def __str__(self) -> str:
        return f"without {self.part}"


@dataclass(frozen=True)
class SwapPart(Change):
    """Put another thing's part in the place of one's own, moved and scaled to fit: `SwapPart("head", "cat")`,
    `SwapPart("wheel", "clock", "disc")`."""

    part: str
    donor: str
    donor_part: str | None = None

    redraws: ClassVar[bool] = True

    def parts(self, draft: Draft) -> list[Part]:
        donor, given_name = find_thing(self.donor), self.donor_part or self.part
        check_part(draft.thing.name, self.part)
        check_part(donor.name, given_name)
        own = draft.own
        place = _extent([part for part in own if part.name == self.part], draft.frame)
        source = _extent([part for part in draft.draw(donor) if part.name == given_name], draft.frame)
        scale = source[2] / place[2]
        x, y = (draft.frame.x - place[0]) * scale + source[0], (draft.frame.y - place[1]) * scale + source[1]
        given = [
            replace(part, distance=part.distance / scale, axes=part.axes or (x, y))
            for part in draft.draw(donor, x, y)
            if part.name == given_name
        ]
        first = next(index for index, part in enumerate(own) if part.name == self.part)
        rest = [part for part in own[first:] if part.name != self.part]
        return [*own[:first], *given, *rest]

    def __str__(self) -> str:
        given = self.donor_part or self.part
        return f"with the {self.donor}'s {given}" + ("" if given == self.part else f" for its {self.part}")


def _extent(parts: list[Part], frame: Frame) -> tuple[Tensor, Tensor, Tensor]:
    """Centre x, y and spread of the pixels that the parts cover, each [batch, 1], in the frame's units."""
    cover = torch.stack([part.distance for part in parts]).amin(0) < 0
    share = cover.double() / cover.sum(1, keepdim=True).clamp(min=1)
    x, y = (frame.x * share).sum(1, keepdim=True), (frame.y * share).sum(1, keepdim=True)
    spread = (((frame.x - x) ** 2 + (frame.y - y) ** 2) * share).sum(1, keepdim=True).sqrt().clamp(min=0.02)
    return x.float(), y.float(), spread.float()


@dataclass(frozen=True)
class ScrambleParts(Change):
    """Move every part to a random place: all the pieces, not the thing."""

    seed: int = 1

    redraws: ClassVar[bool] = True

    def parts(self, draft: Draft) -> list[Part]:
        moved = []
        for index, part in enumerate(draft.own):
            group = f"scramble/{self.seed}.{part.name}"
            dx, dy = draft.draws.uniform(f"{group}.x", -0.55, 0.55), draft.draws.uniform(f"{group}.y", -0.55, 0.55)
            x, y = draft.frame.x - dx, draft.frame.y - dy
            shifted = draft.draw(x=x, y=y)[index]
            moved.append(replace(shifted, axes=shifted.axes or (x, y)))
        return moved

    def __str__(self) -> str:
        return "with its parts scattered"


@dataclass(frozen=True)
class Silhouette(Change):
    """Only the outline: every part in one flat dark tone (the part mask still says which part is where)."""

    def parts(self, draft: Draft) -> list[Part]:
        dark = torch.full((1, 3), 0.12, device=draft.frame.x.device)
        flat = {"texture": "plain", "colours": (dark, dark), "relief": 0.0, "lift": 0.0}
        return [replace(part, **flat) for part in draft.own]  # type: ignore[arg-type]

    def __str__(self) -> str:
        return "as a silhouette"


@dataclass(frozen=True)
class NewBackground(Change):
    """Another sky and ground."""

    seed: int = 1

    @property
    def salts(self) -> Mapping[str, int]:
        return {"background": self.seed + 1}

    def __str__(self) -> str:
        return "on another background"


@dataclass(frozen=True)
class MoveDistractors(Change):
    """The same distractors in other places."""

    seed: int = 1

    @property
    def salts(self) -> Mapping[str, int]:
        return {"clutter.place": self.seed + 1}

    def __str__(self) -> str:
        return "with the distractors elsewhere"


@dataclass(frozen=True)
class Recolour(Change):
    """Other colours of the thing; its textures and shape stay."""

    seed: int = 1

    @property
    def salts(self) -> Mapping[str, int]:
        return {"colour": self.seed + 1}

    def __str__(self) -> str:
        return "in other colours"


def changed_parts(draft: Draft, changes: Sequence[Change]) -> list[Part]:
    """The parts of a batch of scenes, each under a change of its own, back to front: each scene shows its own parts.

    A part that several changes leave as it is stands in the list once.
    """
    scenes: dict[Change, list[int]] = {}
    for index, change in enumerate(changes):
        scenes.setdefault(change, []).append(index)
    if len(scenes) == 1:
        return changes[0].parts(draft)
    merged: list[tuple[Part, Tensor]] = []
    for change, members in scenes.items():
        place = 0
        for part in change.parts(draft):
            known = next((at for at in range(place, len(merged)) if merged[at][0] is part), None)
            if known is None:
                merged.insert(place, (part, torch.zeros(len(changes), 1, device=draft.draws.device)))
            place = place if known is None else known
            merged[place][1][members] = 1
            place += 1
    return [replace(part, shown=seen if part.shown is None else part.shown * seen) for part, seen in merged]
