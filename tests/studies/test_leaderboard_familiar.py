"""Whether changed scenes are familiar: the changes are those that their names say, and rows are what was found."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_nets import SmallNet

from layerscope.faithfulness.part_game import seen_parts
from layerscope.models.model import wrap
from layerscope.studies import leaderboard_familiar as study
from layerscope.types import no_progress
from layerscope.world import PART_NAMES, THINGS, RemoveParts, part_names, render

OWL = render(1, seed=5, size=32, things="owl")


def made(name, scene=OWL):
    return study.CHANGES[name][2](scene)


def without(names, scene=OWL):
    return scene.again(RemoveParts(names)).images[0]


def test_parts_go_as_the_names_say():
    seen, core = list(seen_parts(OWL)[0]), THINGS["owl"].core
    rest = [name for name in seen if name not in core]
    assert core
    assert len(rest) > 2
    torch.testing.assert_close(made("untouched"), OWL.images[0])
    torch.testing.assert_close(made("part"), without(rest[:1]))
    torch.testing.assert_close(made("core"), without([name for name in seen if name in core]))
    torch.testing.assert_close(made("half"), without(seen[::2]))
    torch.testing.assert_close(made("largest"), without(seen[1:]))
    torch.testing.assert_close(made("none"), without(list(part_names("owl"))))


@pytest.mark.parametrize("name", [name for name in study.CHANGES if name != "untouched"])
def test_every_change_changes_the_image_the_same_way_each_time(name):
    image = made(name)
    assert image.shape == (3, 32, 32)
    assert (image - OWL.images[0]).abs().max() > 0.05
    torch.testing.assert_close(made(name), image)


def test_holes_are_in_the_largest_part_alone():
    largest = OWL.part[0] == PART_NAMES.index(seen_parts(OWL)[0][0])
    for name in ("blurred", "black"):
        changed = (made(name) != OWL.images[0]).any(0)
        assert changed.any()
        assert not (changed & ~largest).any()
    assert made("black")[:, largest].max() == 0


@pytest.mark.parametrize("thing", THINGS)
def test_a_part_is_swapped_for_that_of_a_thing_of_another_shape_and_never_a_core(thing):
    own = THINGS[thing]
    change = study._swapped(list(part_names(thing)), own)
    if change is None:
        others = {
            name for one in THINGS.values() if one != own for name in part_names(one.name) if name not in one.core
        }
        assert not others & set(part_names(thing)) - set(own.core)
        return
    donor = THINGS[change.donor]
    assert donor != own
    assert donor.shape != own.shape or not own.shape
    assert change.part not in (*own.core, *donor.core)


@pytest.fixture
def rows(monkeypatch):
    monkeypatch.setattr(study, "SCENES", 5)
    monkeypatch.setattr(study, "open_probe", lambda *given: None)
    monkeypatch.setattr(study, "measure_reference", lambda *given: None)
    checked = {"checked": False, "unlike": False}
    monkeypatch.setattr(study, "familiar_facts", lambda model, image, reference: checked)
    torch.manual_seed(5)
    model = wrap(SmallNet().eval(), 32, class_names=["a", "b", "c", "d", "e"])
    found = study.familiar_rows(model, render(7, seed=1, size=32), no_progress)
    return model, {row["change"]: row for row in found}


def test_rows_hold_means_over_the_scenes(rows):
    model, found = rows
    assert list(found) == list(study.CHANGES)
    scenes = [render(7, seed=1, size=32).one(number) for number in range(5)]
    logits = [model(scene.images).detach()[0] for scene in scenes]
    assert found["untouched"]["scenes"] == 5
    assert found["untouched"]["same"]["value"] == 1
    sure = np.mean([float(one.softmax(0).max()) for one in logits])
    assert found["untouched"]["probability"]["value"] == pytest.approx(sure, rel=1e-3)
    noise = [
        int(model(made("noise", scene)[None]).argmax()) == int(one.argmax())
        for scene, one in zip(scenes, logits, strict=True)
    ]
    assert found["noise"]["same"]["value"] == pytest.approx(np.mean(noise))
    assert [found[name]["natural"] for name in ("part", "none", "black", "noise")] == [True, True, False, False]


def test_what_was_not_checked_is_not_called_familiar(rows):
    _, found = rows
    assert all(row["unlike"] is None for row in found.values())
