"""Cases of a user's own pictures: no causes are known of them, but a method can be asked about them again and again.

What is explained is the class that the network predicts. With masks, it is known where the things are.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from layerscope.attribution.task import count
from layerscope.capture.evaluating import undisturbed
from layerscope.errors import InputError
from layerscope.faithfulness.cases import ASKED, NOISE, NOISES, OTHER, REDRAWN, Case, Question
from layerscope.faithfulness.measures.by_response import noisy
from layerscope.faithfulness.scene_cases import drawn_anew, logits_of
from layerscope.models.model import VisionModel
from layerscope.models.photo_files import PICTURE_SUFFIXES, pictures_below
from layerscope.models.photo_masks import PhotoMasks
from layerscope.models.photos import read_photo
from layerscope.types import Progress, no_progress

MOST = 200
"""Pictures of a folder that are asked about, if nothing else is said."""
_BATCH = 16


@dataclass(frozen=True, eq=False)
class Chosen:
    """Pictures of a folder. numbers: of each among all that are there. found: how many these are."""

    folder: Path
    pictures: tuple[Path, ...]
    numbers: tuple[int, ...]
    found: int
    masks: PhotoMasks | None

    @cached_property
    def fingerprint(self) -> str:
        """sha256 (hex) of the files that count, by their places and bytes: pictures and masks."""
        files = [*self.pictures, *(self.masks.files(self.pictures) if self.masks else ())]
        digest = hashlib.sha256(f"{self.numbers} {len(files)}".encode())
        for path in files:
            digest.update(_digest(path))
        return digest.hexdigest()


def choose(
    folder: str | os.PathLike[str],
    masks: str | os.PathLike[str] | None = None,
    images: int = MOST,
    seed: int = 0,
) -> Chosen:
    """Up to `images` pictures in a folder and below it, drawn by `seed` where there are more, in sorted order.

    Raises InputError for no folder, one without pictures, a number below 1, and as PhotoMasks does.
    """
    if not os.fspath(folder):
        raise InputError("an empty path for a folder of pictures; give the folder")
    place = Path(folder)
    count("images", images)
    count("seed", seed, least=0)
    if not place.is_dir():
        raise InputError(f"no folder {str(place)!r}; give a folder of pictures")
    found = pictures_below(place, but=() if masks is None else (Path(masks),))
    if not found:
        raise InputError(
            f"{str(place)!r} holds no pictures ({', '.join(sorted(PICTURE_SUFFIXES))}); give another folder"
        )
    numbers = sorted(_drawn(len(found), seed)[:images])
    pictures = tuple(found[number] for number in numbers)
    return Chosen(
        place, pictures, tuple(numbers), len(found), None if masks is None else PhotoMasks(masks, place, pictures)
    )


def cases_of(
    model: VisionModel,
    chosen: Chosen,
    *,
    checked: int | None = None,
    seed: int = 0,
    on_progress: Progress = no_progress,
) -> list[Case]:
    """A case for each of the pictures, about the class that is predicted for it.

    The questions are ASKED, OTHER (the runner-up; not for a network of one output), under noise, and REDRAWN, the same
    network for all (not for one that cannot be copied, or without weights).

    Args:
        model: a network of classes, [batch, classes], for images of any size and number of channels.
        chosen: by `choose`.
        checked: most about which more is asked than ASKED, drawn from these; None: all of them.
        seed: of what is random about the cases.

    Raises InputError, in one line, for a picture that cannot be read, masks that do not fit, a network that predicts no
    class, and outputs that are not finite.
    """
    more = set(_drawn(len(chosen.pictures), seed)[:checked])
    read: list[tuple[Tensor, Tensor | None]] = []
    for picture in chosen.pictures:
        photo = read_photo(picture, model.input_size, model.channels)
        thing = None if chosen.masks is None else chosen.masks.regions(picture, photo).thing
        read.append((photo.pixels.float() / 255, thing))
        on_progress(len(read), len(chosen.pictures), "reading pictures")
    other = drawn_anew(model)
    classes = _best(model, [image for image, _ in read], chosen.pictures)
    cases = []
    for turn, ((image, thing), best) in enumerate(zip(read, classes, strict=True)):
        asked = Question(model, image, best[0])
        questions = {ASKED: asked} | (_more(asked, best[1:], other) if turn in more else {})
        cases.append(Case(questions, thing=thing, seed=seed * chosen.found + chosen.numbers[turn]))
    return cases


def _digest(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise InputError(f"cannot read {str(path)!r} ({why}); give a file that can be read") from None


def _drawn(number: int, seed: int) -> list[int]:
    """The numbers below `number` in a random order."""
    order: list[int] = torch.randperm(number, generator=torch.Generator().manual_seed(seed)).tolist()
    return order


def _more(asked: Question, runner_up: Sequence[int], other: VisionModel | None) -> dict[str, Question]:
    """The questions besides ASKED, as far as there are a runner-up and another network."""
    questions = {f"{NOISE}{draw}": replace(asked, image=noisy(asked.image, draw)) for draw in range(NOISES)}
    if runner_up:
        questions[OTHER] = replace(asked, target=runner_up[0])
    if other is not None:
        questions[REDRAWN] = replace(asked, model=other)
    return questions


def _best(model: VisionModel, images: Sequence[Tensor], pictures: Sequence[Path]) -> list[list[int]]:
    """Of each image the class with the largest logit, and the runner-up where there are several classes."""
    found: list[list[int]] = []
    with undisturbed(model.module), torch.no_grad():
        for start in range(0, len(images), _BATCH):
            logits = logits_of(model)(torch.stack(list(images[start : start + _BATCH])))
            if logits.ndim != 2:
                raise InputError(
                    f"{model.name!r} puts out {tuple(logits.shape)}, not [batch, classes]: it predicts no class, and "
                    "methods are judged on classes"
                )
            for logit, picture in zip(logits, pictures[start:], strict=False):
                if not logit.isfinite().all():
                    raise InputError(f"{model.name!r} puts out values that are not finite for {str(picture)!r}")
            found += logits.argsort(dim=1, descending=True, stable=True)[:, :2].tolist()
    return found
