"""Small galleries on disk."""

from __future__ import annotations

import functools
from pathlib import Path

import made_up
import pytest


@pytest.fixture
def make_gallery(tmp_path: Path) -> made_up.MakeGallery:
    """Make one gallery below `tmp_path` and return `tmp_path`; call it again for a second network."""
    return functools.partial(made_up.write_gallery, tmp_path)
