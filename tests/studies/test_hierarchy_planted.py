"""Whole reports on networks of which all is known: one in which a hierarchy was planted, and ones that learned nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from planted_hierarchy import PlantedNet, planted_early, planted_exhibits, planted_model, planted_pictures
from small_nets import seeded
from torch import nn

from layerscope.dissection.early import EarlyStimuli
from layerscope.dissection.stimuli.textures import Textures
from layerscope.models.model import VisionModel, wrap
from layerscope.studies import hierarchy as study
from layerscope.studies.hierarchy import PROFILES, Hierarchy, hierarchy

LAYERS = ("rectified", "energised", "textured", "matched", "fired")


@pytest.fixture(scope="module", autouse=True)
def _cheap() -> Iterator[None]:
    """The planted scenes in place of those of the menagerie, and a profile that takes seconds."""
    pictures = planted_pictures()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PROFILES, "quick", replace(PROFILES["quick"], exemplars=18, draws=5, splits=2))
        patch.setattr(study, "LEAST_NULL_UNITS", 0)
        patch.setattr(study, "menagerie_pictures", lambda *given, **more: pictures)
        patch.setattr(study, "Textures", partial(Textures, families=planted_exhibits().textures.families))
        patch.setattr(EarlyStimuli, "of", lambda *given, **more: planted_early(8))
        yield


def untrained(seed: int, widths: tuple[int, ...] = (24, 32, 48, 64, 64)) -> VisionModel:
    parts: list[nn.Module] = []
    for before, width in zip((3, *widths), widths, strict=False):
        parts += [nn.Conv2d(before, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
    module = nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], 4))
    return wrap(seeded(module, seed), 64, name=f"untrained {seed}")


def beyond(report: Hierarchy) -> list[tuple[str, str]]:
    """Which labels of which layers have a net share whose interval does not hold 0."""
    return [
        (row["name"], name)
        for row in report.layers
        for name, net in row["net"].items()
        if not net["low"] <= 0 <= net["high"]
    ]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_shown_of_a_network_that_learned_nothing(seed: int, tmp_path: Path) -> None:
    report = hierarchy(untrained(seed), out=tmp_path)
    assert len(report.layers) == 5
    assert not report.shown
    assert report.words.startswith("No hierarchy shown: ")
    assert beyond(report) == []
    assert report.false_rate <= 0.06


@pytest.mark.slow
def test_what_was_planted_is_in_the_report(tmp_path: Path) -> None:
    model = planted_model()
    module = model.module
    assert isinstance(module, PlantedNet)
    report = hierarchy(model, out=tmp_path)
    assert [row["name"] for row in report.layers if row["name"] in LAYERS] == list(LAYERS)
    for layer in LAYERS:
        called = [unit["label"] for unit in report.units if unit["layer"] == layer]
        for unit, known in enumerate(module.known[layer]):
            if known.label not in ("none", "spectral"):
                assert called[unit] == known.label, (layer, unit)
    assert {("rectified", "edge"), ("energised", "edge"), ("fired", "object")} <= {*beyond(report)}
