"""What a gallery does where the work of workers is given up: it makes all else first, and then says what is missing."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lost_work import DIED, Deadly
from small_nets import small_model

from layerscope.errors import WorkerError
from layerscope.studies.crew import Crew
from layerscope.studies.exemplars import find_naturals
from layerscope.studies.gallery import gallery
from layerscope.studies.natural_paths import NaturalPaths, natural_paths
from layerscope.studies.outcome_cards import other_pictures
from layerscope.studies.probe import open_probe
from layerscope.synthesis.recipes import EFFORTS


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    monkeypatch.setitem(EFFORTS, "draft", dataclasses.replace(EFFORTS["draft"], steps=0.1))
    monkeypatch.setattr("layerscope.studies.gallery.CHUNK", 4)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


ASKED = {"recipe": "draft", "probe": None, "seeds": 2}


def test_without_pictures_of_other_units_the_other_layers_are_made(model, tmp_path):
    whole = gallery(model, "*", tmp_path / "whole", **ASKED)
    asked = []

    def deadly(task: Any, layer: Any) -> bool:
        asked.extend([layer.name] if task is other_pictures else [])
        return task is other_pictures and layer.name == "0"

    with Deadly(deadly) as executor, pytest.raises(WorkerError) as error:
        gallery(model, "*", tmp_path / "parts", executor=executor, **ASKED)
    assert str(error.value) == f"0:0 to 3, 0:4 to 5 could not be made: {DIED}; all others are kept"
    assert asked == ["0", "2", "6"]  # of the lost layer once, not for each chunk
    rest = gallery(model, "*", tmp_path / "parts", **ASKED)
    assert (rest.made, rest.found) == (6, 13)
    assert files(rest.folder) == files(whole.folder)


def test_without_a_look_at_natural_images_those_that_need_none_of_them_are_made(model, tmp_path):
    with (
        Deadly(lambda task, first: task.__name__ == "_batch_ranks") as executor,
        pytest.raises(WorkerError) as error,
    ):
        gallery(model, "*", tmp_path / "parts", recipe="draft", executor=executor)
    assert str(error.value) == f"2:0 to 3, 2:4 to 7, 2:8 to 9 could not be made: {DIED}; all others are kept"
    rest = gallery(model, "*", tmp_path / "parts", recipe="draft")
    assert (rest.made, rest.found) == (10, 9)  # the others are compared with no layer before theirs
    assert files(rest.folder) == files(gallery(model, "*", tmp_path / "whole", recipe="draft").folder)


def test_a_look_that_is_given_up_costs_those_who_need_it_and_nobody_else():
    network = small_model()
    probe = open_probe("menagerie", network, count=48)
    naturals = find_naturals(network, [network.layer("conv3")], probe)["conv3"]
    asked = [(naturals, [unit]) for unit in range(5)]
    wanted = list(natural_paths(Crew(network), asked, 0, memory=1))
    looks = iter([False, True])  # one for all images of a unit

    with Deadly(lambda task, first: next(looks, False)) as executor:
        found = list(natural_paths(Crew.of(network, executor), asked, 0, memory=1))
    assert [str(one) if isinstance(one, WorkerError) else None for one in found] == [None, DIED, None, None, None]
    for one, other in zip(found, wanted, strict=True):
        if isinstance(one, NaturalPaths):
            assert (one.own, one.other) == (other.own, other.other)
            assert all(np.array_equal(one.ranks[name], ranks) for name, ranks in other.ranks.items())
