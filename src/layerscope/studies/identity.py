"""What pictures of a network depend on, whatever study makes them: the part of their keys that they share."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import torch

from layerscope.capture.evaluating import evaluating
from layerscope.capture.hooks import capture
from layerscope.models.model import VisionModel
from layerscope.studies.manifest import SCHEMA


def common_facts(model: VisionModel, seed: int, probe: str | None) -> dict[str, Any]:
    """Versions, the network's weights and what it makes of noise, the colours of its pictures, seed and probe, which is
    a fingerprint."""
    return {
        "schema": SCHEMA,
        "layerscope": version("layerscope"),
        "network": model.fingerprint,
        "behaviour": _behaviour(model),
        "spectrum": model.card.get("spectrum"),
        "seed": seed,
        "probe": probe,
    }


def _behaviour(model: VisionModel) -> list[str]:
    """What the network makes of noise, in two digits: a changed forward of the same weights is another network."""
    shape = (2, model.channels, model.input_size, model.input_size)
    some = next(iter(model.module.parameters()), torch.empty(0))
    noise = torch.rand(shape, generator=torch.Generator().manual_seed(0)).to(some.device, some.dtype)
    with evaluating(model.module), capture(model, "") as activations:
        model(noise)
    output = activations[""].double()
    return [f"{value:.2g}" for value in (output.mean(), output.abs().mean(), output.amin(), output.amax())]
