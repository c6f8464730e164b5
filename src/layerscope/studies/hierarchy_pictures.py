"""The pictures of a hierarchy report: scenes of the menagerie with their truth, or a folder of classes, with twins."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from layerscope.dissection.pictures import (
    LEAST_PER_CLASS,
    TEXTURE_SWAPPED,
    UNTEXTURED,
    Concept,
    Control,
    Pictures,
    TruthMasks,
    check_halves,
)
from layerscope.dissection.stimuli.scrambled import phase_randomised, tile_shuffled
from layerscope.errors import InputError
from layerscope.models.datasets import PROBE_SEED, picture_files, read_pictures
from layerscope.models.model import VisionModel
from layerscope.studies.probe import as_taken
from layerscope.types import Progress, Steps, no_progress
from layerscope.world.catalogue import CLASS_NAMES
from layerscope.world.interventions import Change, ScrambleParts, Silhouette
from layerscope.world.palette import COLOUR_NAMES
from layerscope.world.parts import PART_NAMES
from layerscope.world.scene import NO_EDGE, ORIENTATIONS, SIZES, Scenes, render
from layerscope.world.texture_changes import CueConflict, NoTextures

MENAGERIE = "menagerie"
MOST = 4000
"""Pictures of a folder that are used, or as few of each class as will do: more are passed over, in every class."""
CHANGES: dict[str, Change] = {
    "scattered": ScrambleParts(),
    "silhouette": Silhouette(),
    TEXTURE_SWAPPED: CueConflict(),
    UNTEXTURED: NoTextures(),
}
"""What is changed in the twins of scenes, by the name of the control; the first one breaks the configuration."""
_SCENE_SEED = PROBE_SEED + 100_000  # scenes that no gallery shows, and no network of ours was trained or tested on
_BLOCK = 400  # scenes that are rendered at once
_CHUNK = 8 * 64**2  # pixels painted at once: with scattered parts, about 12 KiB of memory each
_NO_OBJECT = 255
_TRUTH = {"colour": COLOUR_NAMES, "part": PART_NAMES, "object": CLASS_NAMES}
_NO_PARTS = ("background", "clutter")
_LEAST_SEEN = 8  # images in each half that show a concept


def menagerie_pictures(
    model: VisionModel, per_class: int, *, seed: int = 0, on_progress: Progress = no_progress
) -> Pictures:
    """`per_class` scenes of each class that choose, and as many that score; these also changed as CHANGES says.

    Scenes go through the classes in turn, each with a seed of its own.
    """
    size = min(max(model.input_size, SIZES[0]), SIZES[1])
    chunk = max(1, _CHUNK // size**2)
    half = per_class * len(CLASS_NAMES)
    step = Steps(on_progress, half * (2 + len(CHANGES)))
    starts = [start for block in (0, half) for start in range(block, block + half, _BLOCK)]
    blocks = []
    for start in starts:
        count = min(_BLOCK, half - start % half)
        things = [CLASS_NAMES[(start + at) % len(CLASS_NAMES)] for at in range(count)]
        first = _SCENE_SEED + seed * 2 * half + start
        blocks.append(render(count, seed=first, size=size, things=things, chunk=chunk))
        step.on(count)
        step(0, 0, "rendering scenes")
    scored, controls = blocks[len(blocks) // 2 :], []
    for name, change in CHANGES.items():
        twins = []
        for block in scored:
            twins.append(as_taken(block.again(change).pixels, model))
            step.on(len(block.seeds))
            step(0, 0, "rendering scenes")
        controls.append(Control(name, torch.cat(twins)))
    masks = _masks(blocks, half)
    return Pictures(
        MENAGERIE,
        torch.cat([as_taken(block.pixels, model) for block in blocks]),
        torch.cat([block.labels for block in blocks]),
        CLASS_NAMES,
        half,
        tuple(controls),
        masks,
        _contour(torch.cat([block.edge for block in blocks])),
    )


@dataclass(frozen=True)
class FolderFiles:
    """The pictures of a folder that a report is made of, before any is read.

    Attributes:
        name: what the folder is called.
        paths: of the pictures; the first ones choose, the others score.
        labels: int64 [pictures].
        class_names: what the labels mean.
        chosen: how many choose.
    """

    name: str
    paths: tuple[Path, ...]
    labels: Tensor
    class_names: tuple[str, ...]
    chosen: int

    @property
    def forwards(self) -> int:
        """How many images a network is shown for them: for each that scores three more, in two controls."""
        return self.chosen + 4 * (len(self.paths) - self.chosen)


def folder_files(folder: str | Path) -> FolderFiles:
    """Which pictures of a folder of class folders are used: of each class as many, every second one chooses.

    Raises InputError where there is no such folder, or it holds no classes, or too few pictures of one.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(
            f"no folder {str(folder)!r}; give {MENAGERIE!r}, or a folder that holds one folder of pictures per class"
        )
    paths, numbers, names = picture_files(folder)
    labels = torch.tensor(numbers)
    chosen, scored = _halves(labels, MOST // 2)
    check_halves(folder.name, labels[chosen], labels[scored], len(names))
    order = torch.cat([chosen, scored])
    used = tuple(paths[place] for place in order.tolist())
    return FolderFiles(folder.name, used, labels[order], names, len(chosen))


def folder_pictures(
    folder: str | Path, model: VisionModel, *, seed: int = 0, on_progress: Progress = no_progress
) -> Pictures:
    """The pictures of a folder of class folders: every second one of a class chooses, the others score.

    These also with their tiles shuffled, and with random phases. There are no masks. Raises as `folder_files` does,
    and InputError for a file that is no picture.
    """
    files = folder_files(folder)
    pixels = read_pictures(files.paths, model.input_size, model.channels, on_progress)
    scored = pixels[files.chosen :]
    shuffled, rescaled, randomised = [], [], []
    for start in range(0, len(scored), 64):
        batch = scored[start : start + 64].float() / 255
        numbers = range(start, start + len(batch))
        shuffled.append(_bytes(tile_shuffled(batch, seed=seed, numbers=numbers)))
        pair = phase_randomised(batch, seed, numbers, seamless=True)
        rescaled.append(_bytes(pair.images))
        randomised.append(_bytes(pair.twins))
        on_progress(start + len(batch), len(scored), "making twins")
    controls = (
        Control("tiles shuffled", torch.cat(shuffled)),
        Control("phases random", torch.cat(randomised), torch.cat(rescaled)),
    )
    return Pictures(files.name, pixels, files.labels, files.class_names, files.chosen, controls)


def _halves(labels: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """Numbers of the images that choose, and of those that score: alternately within each class."""
    classes = int(labels.max()) + 1
    each = max(LEAST_PER_CLASS, most // classes)
    members = [(labels == one).nonzero()[:, 0][: 2 * each] for one in range(classes)]
    return torch.cat([own[::2] for own in members]), torch.cat([own[1::2] for own in members])


def _masks(blocks: list[Scenes], half: int) -> TruthMasks:
    thing = torch.cat([block.thing for block in blocks])
    labels = torch.cat([block.labels for block in blocks]).to(torch.uint8)[:, None, None]
    truth = {
        "colour": torch.cat([block.colour for block in blocks]),
        "part": torch.cat([block.part for block in blocks]),
        "object": torch.where(thing > 0, labels, torch.full_like(labels, _NO_OBJECT)),
    }
    concepts = [
        Concept(category, name, value)
        for category, names in _TRUTH.items()
        for value, name in enumerate(names)
        if name not in _NO_PARTS
    ]
    masks = TruthMasks(truth, concepts)
    seen = masks.seen()
    return masks.only((seen[:half].sum(0) >= _LEAST_SEEN) & (seen[half:].sum(0) >= _LEAST_SEEN))


def _contour(edge: Tensor) -> Tensor:
    """int64 [images], in which quarter of half a turn most edge pixels run."""
    eighths = torch.stack([((edge == eighth) & (edge != NO_EDGE)).sum((1, 2)) for eighth in range(ORIENTATIONS)], 1)
    found: Tensor = eighths.unflatten(1, (-1, 2)).sum(2).argmax(1)
    return found


def _bytes(images: Tensor) -> Tensor:
    return (images * 255).round().to(torch.uint8)
