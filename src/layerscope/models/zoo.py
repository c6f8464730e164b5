"""The bundled networks, trained from nothing by `layerscope train` on the menagerie.

Eight convolutions of growing width; the last spans the whole map, so that its units know where things are, and one
linear layer reads the classes from it. 64 px input.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from layerscope.errors import CheckpointError, UnknownNameError
from layerscope.models.checkpoints import fit
from layerscope.models.model import VisionModel

NAMES = {"menagerie": "menagerie.safetensors", "menagerie:robust": "menagerie-robust.safetensors"}
_NEEDED = {"architecture", "class_names", "input_size", "mean", "std"}  # of a card, to build its network
WEIGHTS = "weights.safetensors"
"""What `layerscope train` calls the weights of a trained network; those of one in training are called by their step."""
INPUT_SIZE = 64
MEAN, STD = (0.45, 0.45, 0.45), (0.25, 0.25, 0.25)
_WIDTHS = (32, 48, 64, 96, 128, 192, 256, 256)
_POOLED = (2, 4, 6)  # a 2 x 2 maximum follows these convolutions


class Menagerie(nn.Sequential):
    """conv1 .. conv8 (each with norm and relu), flatten, logits: images [batch, 3, 64, 64] -> [batch, classes]."""

    def __init__(self, classes: int = 20, channels: int = 3):
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        before = channels
        for index, width in enumerate(_WIDTHS, start=1):
            kernel, stride = {1: (7, 2), 8: (4, 1)}.get(index, (3, 1))
            padding = 0 if index == len(_WIDTHS) else kernel // 2
            layers[f"conv{index}"] = nn.Conv2d(before, width, kernel, stride, padding, bias=False)
            layers[f"norm{index}"] = nn.BatchNorm2d(width)
            layers[f"relu{index}"] = nn.ReLU()
            if index in _POOLED:
                layers[f"pool{index}"] = nn.MaxPool2d(2)
            before = width
        layers["flatten"] = nn.Flatten()
        layers["logits"] = nn.Linear(before, classes)
        super().__init__(layers)


def load(name: str) -> VisionModel:
    """A bundled network with its weights and card. Raises UnknownNameError for any other name."""
    if name not in NAMES:
        raise UnknownNameError.among("bundled network", name, NAMES)
    with as_file(files("layerscope.models") / "weights" / NAMES[name]) as path:
        return read(path, name)


def read(path: Path, name: str) -> VisionModel:
    """A network that `layerscope train` wrote, with its card: safetensors, half precision, facts in the header.

    Raises CheckpointError for a file that is not there, is damaged, was not written so, or holds other weights.
    """
    state, card = _contents(path)
    module = build(card["architecture"], len(card["class_names"]))
    fit(module, state, path)
    return VisionModel(
        module.eval(),
        name,
        card["input_size"],
        mean=tuple(card["mean"]),
        std=tuple(card["std"]),
        class_names=tuple(card["class_names"]),
        card=card,
    )


def _contents(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    if not path.is_file():
        raise CheckpointError(f"no weights file {str(path)!r}; give one that `layerscope train` wrote")
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get("card")
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (safe_open is not a mapping)
    except SafetensorError as error:
        raise CheckpointError(f"{str(path)!r} cannot be read as safetensors: {error}") from error
    card = _card(text)
    if card is None:
        raise CheckpointError(
            f"{str(path)!r} does not say of which network it is, as files of `layerscope train` do; "
            f"name the network, with weights={str(path)!r}"
        )
    return state, card


def _card(text: str | None) -> dict[str, Any] | None:
    """What a header says, or None where it does not say what the network is."""
    try:
        card = json.loads(text or "null")
    except ValueError:
        return None
    return card if isinstance(card, dict) and set(card) >= _NEEDED else None


def build(architecture: str, classes: int, seed: int = 0) -> nn.Module:
    """An untrained network: "menagerie", or any classifier of torchvision by its name."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if architecture == "menagerie":
            return Menagerie(classes)
        from layerscope.models.sources import build_torchvision

        return build_torchvision(architecture, classes)
