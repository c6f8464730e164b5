"""The report of the bundled network, whole: minutes."""

from __future__ import annotations

import pytest

from layerscope.models.model import wrap
from layerscope.models.sources import load_model
from layerscope.models.zoo import build
from layerscope.studies.hierarchy import hierarchy


@pytest.mark.slow
def test_the_bundled_network_beside_the_same_one_untrained(tmp_path):
    trained = hierarchy(load_model("menagerie"), out=tmp_path)
    assert trained.false_rate <= 0.05
    untrained = hierarchy(wrap(build("menagerie", 20, seed=7).eval(), 64, name="untrained"), out=tmp_path)
    assert untrained.shown is False
    assert untrained.words.startswith("No hierarchy shown")
    assert untrained.false_rate <= 0.05
    for row in untrained.layers:
        assert all(net["low"] <= 0 for net in row["net"].values()), row["name"]
    assert sum(row["net"]["any"]["value"] for row in trained.layers) > sum(
        row["net"]["any"]["value"] for row in untrained.layers
    )
