"""Scenes rendered again with the thing in other textures, or in none: shape, shading and colours stay."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from layerscope.errors import InputError, UnknownNameError
from layerscope.world.catalogue import THINGS, Thing, check_part
from layerscope.world.interventions import Change, Draft
from layerscope.world.parts import Part
from layerscope.world.textures import TEXTURE_NAMES, texture_index


@dataclass(frozen=True)
class SwapTexture(Change):
    """Give a part another texture; without a part, the coat that decides between twins, which flips the label."""

    texture: str
    part: str | None = None

    def parts(self, draft: Draft) -> list[Part]:
        if self.texture not in TEXTURE_NAMES:
            raise UnknownNameError.among("texture", self.texture, TEXTURE_NAMES)
        if self.part is not None:
            check_part(draft.thing.name, self.part)
        elif not draft.thing.coat:
            raise InputError(
                f"a {draft.thing.name} has no coat to swap, its shape decides; name a part: SwapTexture(texture, part)"
            )
        return [replace(part, texture=self.texture) if self._meant(part) else part for part in draft.own]

    def _meant(self, part: Part) -> bool:
        return part.coat if self.part is None else part.name == self.part

    def label(self, thing: Thing) -> str:
        if self.part is None and thing.coat:
            twins = {twin.coat: twin.name for twin in THINGS.values() if twin.shape == thing.shape}
            return twins.get(self.texture, thing.name)
        return thing.name

    def __str__(self) -> str:
        return f"with {self.texture} texture on its {self.part or 'coat'}"


@dataclass(frozen=True)
class CueConflict(Change):
    """One other texture on the whole thing, so that shape says one thing and texture another (Geirhos et al. 2019).

    It is drawn from those that no part of the scene's thing has, nor the coat of a twin: twins become the same scene.
    "plain" is no texture to be in conflict with.
    """

    seed: int = 1

    def parts(self, draft: Draft) -> list[Part]:
        free = torch.ones(draft.draws.count, len(TEXTURE_NAMES), dtype=torch.bool, device=draft.draws.device)
        twins = [twin.coat for twin in THINGS.values() if twin.coat and twin.shape == draft.thing.shape]
        free[:, [texture_index(name) for name in ("plain", *twins)]] = False
        for part in draft.own:
            numbers = part.texture if isinstance(part.texture, Tensor) else texture_index(part.texture)
            free[torch.arange(len(free)), numbers] = False
        share = draft.draws.uniform(f"conflict/{self.seed}.texture")
        place = (share * free.sum(1, keepdim=True)).floor()  # below the count, since a share is below 1
        drawn = (free & (free.cumsum(1) == place + 1)).int().argmax(1)
        return [replace(part, texture=drawn) for part in draft.own]

    def __str__(self) -> str:
        return "in a texture of other things"


@dataclass(frozen=True)
class NoTextures(Change):
    """The thing's parts in plain colours: outlines, shading and colours stay, textures go."""

    def parts(self, draft: Draft) -> list[Part]:
        return [replace(part, texture="plain") for part in draft.own]

    def __str__(self) -> str:
        return "without textures"
