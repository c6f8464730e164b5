"""From a data set to a network with weights, card and measured quality: what `layerscope train` does."""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from layerscope.errors import InputError, UnknownNameError
from layerscope.models import zoo
from layerscope.models.cards import as_file, card_of
from layerscope.models.datasets import (
    TEST_SEED,
    TRAIN_SEED,
    LabelledImages,
    folder_images,
    menagerie_images,
    picture_files,
)
from layerscope.models.evaluation import predict, recall_per_class, robust_accuracy
from layerscope.models.sources import import_torchvision
from layerscope.models.training import ROBUST, STANDARD, TrainingRecipe, half_state, train
from layerscope.records import write_whole
from layerscope.types import Progress, no_progress

TRAIN_SCENES, TEST_SCENES = 48_000, 4_000
PART_DROPOUT = 1 / 8
_FEW_SCENES = 2048  # rendered also for a shorter training


def make_network(
    data: str = "menagerie",
    *,
    robust: bool = False,
    architecture: str = "menagerie",
    out: Path = Path("outputs/train"),
    images: int | None = None,
    scenes: int = TRAIN_SCENES,
    seed: int = 0,
    on_progress: Progress = no_progress,
) -> Path:
    """Train a network from nothing and measure it on images that it never saw; returns the weights file.

    data: "menagerie", or a folder of class folders (one picture in ten is kept for the test). images: how many the
    network sees in all; of scenes, no more are rendered than that, or 2048. Raises InputError for bad folders,
    UnknownNameError for an architecture that does not exist, CheckpointError for an `out` of another training.
    """
    if data != "menagerie":
        picture_files(Path(data))
    _check_architecture(architecture)
    recipe = replace(ROBUST if robust else STANDARD, seed=seed)
    recipe = recipe if images is None else replace(recipe, images=images)
    began = time.process_time()
    training, test = _data(data, min(scenes, max(recipe.images, _FEW_SCENES)), on_progress)
    spent = time.process_time() - began
    trained = train(training, recipe, out, architecture, cpu_seconds=spent, on_progress=on_progress)
    made = {"cpu_minutes": round(trained.cpu_seconds / 60, 1), "threads": torch.get_num_threads(), "device": "cpu"}
    return _finish(trained.module, training, test, recipe, out, architecture, made)


def _check_architecture(name: str) -> None:
    if name == "menagerie":
        return
    models = import_torchvision()
    known = ["menagerie", *models.list_models(module=models)]
    if name not in known:
        raise UnknownNameError.among("architecture", name, known)
    size = zoo.INPUT_SIZE
    try:
        with torch.device("meta"):
            zoo.build(name, 2).eval()(torch.zeros(2, 3, size, size))
    except (RuntimeError, AssertionError, ValueError) as error:  # how networks refuse a size
        why = str(error).splitlines()[0]
        raise InputError(f"{name!r} does not take images of {size} px ({why}); choose another architecture") from None


def _data(data: str, scenes: int, on_progress: Progress) -> tuple[LabelledImages, LabelledImages]:
    if data != "menagerie":
        return split(folder_images(Path(data), zoo.INPUT_SIZE, on_progress=on_progress))
    training = menagerie_images(scenes, TRAIN_SEED, part_dropout=PART_DROPOUT, on_progress=on_progress)
    return training, menagerie_images(TEST_SCENES, TEST_SEED, on_progress=on_progress)


def split(data: LabelledImages) -> tuple[LabelledImages, LabelledImages]:
    """Every tenth image of each class is for the test, at least one where the class has two."""
    held = torch.zeros(len(data), dtype=torch.bool)
    for label in data.labels.unique():
        members = (data.labels == label).nonzero()[:, 0]
        held[members[9::10] if len(members) >= 10 else members[1:2]] = True
    return tuple(  # type: ignore[return-value]
        replace(data, pixels=data.pixels[part], labels=data.labels[part]) for part in (~held, held)
    )


def _finish(
    module: nn.Module,
    training: LabelledImages,
    test: LabelledImages,
    recipe: TrainingRecipe,
    out: Path,
    architecture: str,
    made: dict[str, Any],
) -> Path:
    """Round to half precision, measure what is left on the test images, and write weights and card."""
    state = half_state(module)
    module.load_state_dict({key: value.float() if value.is_floating_point() else value for key, value in state.items()})
    mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in (zoo.MEAN, zoo.STD))

    def classify(images: Tensor) -> Tensor:
        return module((images - mean) / std)  # type: ignore[no-any-return]

    predicted = predict(classify, test)
    attacked = replace(test, pixels=test.pixels[:500], labels=test.labels[:500])
    card = {
        **card_of(module, training, architecture, asdict(recipe)),
        "data": {"train": training.origin, "test": test.origin},
        "accuracy": (predicted == test.labels).float().mean().item(),
        "recall": recall_per_class(predicted, test),
        "robust_accuracy": {f"L2 {radius}": robust_accuracy(classify, attacked, radius) for radius in (0.5, 1.0, 2.0)},
        "torch": torch.__version__,
        **made,
    }
    path = out / zoo.WEIGHTS
    write_whole(path, as_file(state, card))
    return path
