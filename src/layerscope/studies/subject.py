"""What is explained: one picture, from a file or from the menagerie, as the network gets it."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from layerscope.errors import InputError
from layerscope.models.model import VisionModel
from layerscope.models.photo_files import STANDARD_INPUT, Source, find_photos
from layerscope.models.photos import read_photo
from layerscope.types import Images
from layerscope.world import CLASS_NAMES, Scenes, render
from layerscope.world.interventions import Change
from layerscope.world.scene import SIZES

OURS = ("explain", "gallery", "site")
"""Folders of `out` that hold pictures which Layerscope made."""
NOT_GIVEN = "PATH OF THE PICTURE"
"""Stands where nobody knows the path, or the whole scene; whoever runs the line puts it in."""

_SCENE = re.compile(r"scene:((?P<thing>[a-z]+):)?(?P<seed>\d{1,18})")


@dataclass(frozen=True, eq=False)
class Subject:
    """One picture.

    Attributes:
        name: how pages call it. source: what gives it again, as a line of Python; NOT_GIVEN for what was piped in.
        pixels: uint8 [channels, size, size].
        scene: the rendered scene that it shows, so that its causes can be taken away; None for a photograph.
        facts: what a record says of it, as JSON.
    """

    name: str
    source: str
    pixels: Tensor
    scene: Scenes | None
    facts: dict[str, Any]

    @property
    def image(self) -> Images:
        """float32 [1, channels, size, size], values in [0, 1]."""
        return self.pixels[None].float() / 255

    @property
    def truth(self) -> str | None:
        """The class that a scene shows."""
        return CLASS_NAMES[int(self.scene.labels[0])] if self.scene is not None else None


def read_subject(source: Source | Scenes, model: VisionModel) -> Subject:
    """A picture file ("-" is standard input), "scene:owl:7" or "scene:7" of the menagerie, or a rendered scene.

    Raises InputError for what is none of these, or no picture, and for scenes where the network takes no square RGB
    images of 32 to 256 pixels.
    """
    if isinstance(source, Scenes):
        return _of_scene(source, model)
    if isinstance(source, str) and source.startswith("scene:"):
        return _of_scene(_rendered(source, model), model)
    if not isinstance(source, str | os.PathLike | bytes) and not hasattr(source, "read"):
        raise InputError(
            f"image is a {type(source).__name__}; give the path of one picture, '-', its bytes, an open file, "
            "'scene:owl:7', or one scene of layerscope.world.render"
        )
    photo = read_photo(source, model.input_size, model.channels)
    facts = _facts(photo.name, photo.source, photo.pixels, photo.original, photo.crop, photo.notes)
    again = os.fspath(source) if isinstance(source, str | os.PathLike) and source != STANDARD_INPUT else NOT_GIVEN
    return Subject(photo.name, again, photo.pixels, None, facts)


def find_sources(source: str | os.PathLike[str], out: Path) -> list[str]:
    """A scene as it is written; a file; or the picture files of a folder, but for those that lie in `out` below it.

    Where the folder is `out` itself, what Layerscope made there is passed over.
    """
    if str(source).startswith("scene:") or source == STANDARD_INPUT:
        return [str(source)]
    return find_photos([source], but=[out, *(out / name for name in OURS)])


def _rendered(source: str, model: VisionModel) -> Scenes:
    found = _SCENE.fullmatch(source)
    if found is None:
        raise InputError(f"{source[:80]!r} is no scene; write scene:SEED or scene:THING:SEED, as in 'scene:owl:7'")
    _check_scenes_fit(model)
    return render(1, seed=int(found["seed"]), size=model.input_size, things=found["thing"])


def _of_scene(scene: Scenes, model: VisionModel) -> Subject:
    _check_scenes_fit(model)
    if len(scene.seeds) != 1 or scene.pixels.shape[-1] != model.input_size:
        raise InputError(
            f"{len(scene.seeds)} scenes of {scene.pixels.shape[-1]} px; give one of {model.input_size} px, "
            "as scenes.one(0) of world.render(..., size=model.input_size)"
        )
    thing, seed = scene.recipe.things[0], scene.seeds[0]
    change = scene.recipe.changes[0]
    name = f"{thing} {seed}" if type(change) is Change else f"{thing} {seed}, {change}"
    facts = _facts(name, f"scene:{thing}:{seed}", scene.pixels[0], tuple(scene.pixels.shape[-2:]), None, ())
    again = facts["source"] if type(change) is Change else NOT_GIVEN
    return Subject(name, again, scene.pixels[0], scene, facts | {"scene": {"thing": thing, "seed": seed}})


def _check_scenes_fit(model: VisionModel) -> None:
    if model.channels != 3 or not SIZES[0] <= model.input_size <= SIZES[1]:
        raise InputError(
            f"{model.name!r} takes {model.channels} channels and {model.input_size} px; scenes have 3 channels and "
            f"{SIZES[0]} to {SIZES[1]} px: give a picture file"
        )


def _facts(
    name: str,
    source: str,
    pixels: Tensor,
    original: tuple[int, ...],
    crop: tuple[float, ...] | None,
    notes: Sequence[str],
) -> dict[str, Any]:
    return {
        "name": name,
        "source": Path(source).name if crop is not None else source,  # folders of the user's disk are nobody's business
        "sha256": hashlib.sha256(pixels.numpy().tobytes()).hexdigest(),
        "original": list(original),
        "crop": None if crop is None else [round(side, 2) for side in crop],
        "notes": list(notes),
        "scene": None,
    }
