"""The menagerie: rendered scenes of twenty things made of parts and textures, with dense truth and exact changes.

scenes = layerscope.world.render(64, seed=0, size=96)
without_wings = scenes.again(layerscope.world.RemovePart("wing"))
"""

from layerscope.world.catalogue import CLASS_NAMES, THINGS, part_names
from layerscope.world.interventions import (
    Change,
    MoveDistractors,
    NewBackground,
    Recolour,
    RemovePart,
    RemoveParts,
    ScrambleParts,
    Silhouette,
    SwapPart,
)
from layerscope.world.palette import COLOUR_NAMES
from layerscope.world.parts import PART_NAMES
from layerscope.world.scene import NO_EDGE, ORIENTATIONS, Scenes, render
from layerscope.world.texture_changes import CueConflict, NoTextures, SwapTexture
from layerscope.world.textures import TEXTURE_NAMES

__all__ = [
    "CLASS_NAMES",
    "COLOUR_NAMES",
    "NO_EDGE",
    "ORIENTATIONS",
    "PART_NAMES",
    "TEXTURE_NAMES",
    "THINGS",
    "Change",
    "CueConflict",
    "MoveDistractors",
    "NewBackground",
    "NoTextures",
    "Recolour",
    "RemovePart",
    "RemoveParts",
    "Scenes",
    "ScrambleParts",
    "Silhouette",
    "SwapPart",
    "SwapTexture",
    "part_names",
    "render",
]
