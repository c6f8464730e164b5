"""What a trained network is, in the header of its weights file: so that the file alone opens it again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from safetensors.torch import save
from torch import Tensor, nn

from layerscope.models import zoo
from layerscope.models.datasets import LabelledImages
from layerscope.models.spectrum import Spectrum

_SEEN = 1000  # images that tell the colours and frequencies of pictures


def card_of(module: nn.Module, data: LabelledImages, architecture: str, recipe: Mapping[str, Any]) -> dict[str, Any]:
    """What is known before anything is measured: what `zoo.read` and `maximise` need, and the recipe."""
    spectrum = Spectrum.of(data.pixels[:_SEEN].float() / 255)
    return {
        "architecture": architecture,
        "parameters": sum(parameter.numel() for parameter in module.parameters()),
        "input_size": data.pixels.shape[-1],
        "mean": zoo.MEAN,
        "std": zoo.STD,
        "class_names": data.class_names,
        "recipe": dict(recipe),
        "spectrum": {"colour": spectrum.colour.tolist(), "mean": spectrum.mean.tolist(), "slopes": spectrum.slopes()},
    }


def as_file(state: dict[str, Tensor], card: Mapping[str, Any]) -> bytes:
    """A safetensors file of the weights, with the card in its header."""
    return save(state, {"card": json.dumps(card)})
