"""Small made-up results on disk, to draw."""

from __future__ import annotations

from pathlib import Path

import made_up
import made_up_explanations
import made_up_hierarchies
import pytest


@pytest.fixture(scope="session")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Layers conv1 and conv2 of 40 units, and fc of four classes; ratios are 0.5, 0.7, 0.9, ..."""
    out = tmp_path_factory.mktemp("gallery")
    made_up.write_gallery(out, units=40)
    return out / "menagerie"


@pytest.fixture(scope="session")
def explanation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("explanation")
    made_up_explanations.write_explanation(out, folder="owl")
    return out / "owl"


@pytest.fixture(scope="session")
def hierarchy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("hierarchy")
    made_up_hierarchies.write_hierarchy(out, folder="menagerie")
    return out / "menagerie"
