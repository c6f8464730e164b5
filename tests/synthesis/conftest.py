"""Small networks as vision models."""

from __future__ import annotations

import pytest
from small_nets import SmallNet, seeded

from layerscope.models.model import VisionModel, wrap


@pytest.fixture
def model() -> VisionModel:
    return wrap(seeded(SmallNet()), input_size=32, class_names=("owl", "cat", "hut", "tree", "cup"), name="small")


@pytest.fixture
def grey_model() -> VisionModel:
    return wrap(seeded(SmallNet(1)), input_size=33)
