"""Small networks as vision models."""

from __future__ import annotations

import pytest
from small_nets import SmallNet, seeded, small_model

from layerscope.models.model import VisionModel, wrap


@pytest.fixture
def model() -> VisionModel:
    return small_model()


@pytest.fixture
def grey_model() -> VisionModel:
    return wrap(seeded(SmallNet(1)), input_size=33)
