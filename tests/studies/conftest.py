"""A small network with known parts, and a short probe, so that galleries take seconds."""

from __future__ import annotations

import functools

import pytest
from small_nets import small_network

from layerscope.models.model import VisionModel
from layerscope.studies import gallery as gallery_module
from layerscope.studies.probe import open_probe


@pytest.fixture
def model() -> VisionModel:
    return small_network()


@pytest.fixture(autouse=True)
def _short_probe(monkeypatch):
    monkeypatch.setattr(gallery_module, "open_probe", functools.partial(open_probe, count=48))
