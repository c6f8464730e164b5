"""A short probe and small chunks, so that galleries take seconds and every worker has some."""

from __future__ import annotations

import functools

import pytest

from layerscope.passes import spread
from layerscope.studies import gallery as gallery_module
from layerscope.studies.probe import open_probe


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    monkeypatch.setattr(gallery_module, "open_probe", functools.partial(open_probe, count=48))
    monkeypatch.setattr(gallery_module, "CHUNK", 3)
    monkeypatch.setattr(spread.sweep_over, "__kwdefaults__", {**spread.sweep_over.__kwdefaults__, "shard": 16})
