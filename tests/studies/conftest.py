"""A small network with known parts, and a short probe, so that galleries take seconds."""

from __future__ import annotations

import functools

import pytest
import torch
from torch import nn

from layerscope.models.model import VisionModel, wrap
from layerscope.studies import gallery as gallery_module
from layerscope.studies.probe import open_probe


def small_network() -> VisionModel:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = nn.Sequential(
            nn.Conv2d(3, 6, 5, 2, 2), nn.ReLU(), nn.Conv2d(6, 10, 3, 1, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(10, 3)
        )  # fmt: skip
    return wrap(module.eval(), 32, class_names=["one", "two", "three"], name="small")


@pytest.fixture
def model() -> VisionModel:
    return small_network()


@pytest.fixture(autouse=True)
def _short_probe(monkeypatch):
    monkeypatch.setattr(gallery_module, "open_probe", functools.partial(open_probe, count=48))
