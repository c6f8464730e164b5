"""Reports that are stopped and go on, and what is said where a network, a seed or a folder does not do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from lost_work import DIED, Deadly
from small_exhibits import random_network, small_reports
from small_nets import seeded
from torch import nn

from layerscope.errors import InputError, StorageError, WorkerError
from layerscope.models.model import wrap
from layerscope.records import Record, Store
from layerscope.studies import hierarchy as study
from layerscope.studies import hierarchy_networks as networks
from layerscope.studies import hierarchy_synthesis as synthesis
from layerscope.studies.hierarchy import Hierarchy, hierarchy
from layerscope.studies.hierarchy_pictures import menagerie_pictures


@pytest.fixture(scope="module", autouse=True)
def _small():
    with small_reports(menagerie_pictures(random_network(), 5)):
        yield


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    return hierarchy(random_network(), out=tmp_path_factory.mktemp("hierarchy"))


class NoNumbers(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.relu() / 0


def test_an_interrupted_report_goes_on_and_is_the_same(report, tmp_path, monkeypatch):
    made, whole = [], networks.measure

    def interrupted(*given: object, **how: object) -> object:
        if len(made) == 2:
            raise KeyboardInterrupt
        made.append(1)
        return whole(*given, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(networks, "measure", interrupted)
    with pytest.raises(KeyboardInterrupt):
        hierarchy(random_network(), out=tmp_path)
    assert json.loads((tmp_path / "random" / "hierarchy.json").read_text())["complete"] is False
    monkeypatch.setattr(networks, "measure", whole)
    after = hierarchy(random_network(), out=tmp_path)
    assert after.made == 2
    assert after.facts == report.facts


def test_a_report_that_was_stopped_while_twins_went_is_cleared_up(tmp_path, monkeypatch):
    def stopped(store: Store, key: str) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Store, "remove", stopped)
        with pytest.raises(KeyboardInterrupt):
            hierarchy(random_network(), out=tmp_path)
    again = hierarchy(random_network(), out=tmp_path)
    assert again.made == 0
    assert len(Store(again.folder).keys()) == 2


def test_layers_whose_pictures_are_given_up_cost_no_others(report, tmp_path, monkeypatch):
    def deadly(task: object, objectives: object) -> bool:
        return task is synthesis._drawn and objectives[0].layers == ("5",)  # type: ignore[index]

    with Deadly(deadly) as executor, pytest.raises(WorkerError) as error:
        hierarchy(random_network(), out=tmp_path, executor=executor)
    assert str(error.value) == f"pictures of 5 could not be made: {DIED}; all others are kept"
    assert json.loads((tmp_path / "random" / "hierarchy.json").read_text())["complete"] is False
    asked, drawn = [], synthesis._drawn

    def counted(model: object, objectives: object, *given: object) -> object:
        asked.append(objectives[0].layers)  # type: ignore[index]
        return drawn(model, objectives, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(synthesis, "_drawn", counted)
    after = hierarchy(random_network(), out=tmp_path)
    assert asked == [("5",)]
    assert after.facts == report.facts
    assert {name: array.tobytes() for name, array in after.record.arrays.items()} == {
        name: array.tobytes() for name, array in report.record.arrays.items()
    }
    assert len(Store(after.folder).keys()) == 2


def test_a_whole_report_is_read_where_nothing_can_be_written(report, monkeypatch):
    def full(path: Path) -> None:
        raise StorageError("cannot write")

    monkeypatch.setattr("layerscope.studies.hierarchy_files.check_writable", full)
    assert hierarchy(random_network(), out=report.folder.parent).made == 0
    with pytest.raises(StorageError, match="cannot write"):
        hierarchy(random_network(), out=report.folder / "below")


def test_a_dead_layer_is_told_of_as_any_other(tmp_path):
    model = random_network()
    for part in (model.module[3], model.module[4]):
        torch.nn.init.zeros_(part.weight)
    torch.nn.init.zeros_(model.module[4].bias)
    report = hierarchy(model, out=tmp_path)
    row = report.layers[1]
    assert (row["shares"]["dead"]["share"], row["dead"], row["effective_field"]) == (1.0, 1.0, None)
    assert {unit["label"] for unit in report.units if unit["layer"] == "5"} == {"dead"}
    assert report.record.facts["layers"][1]["telling"] == []


def test_activations_that_are_no_numbers_are_said(tmp_path):
    model = random_network()
    model.module[5] = NoNumbers()
    message = "layer '5' of 'random' gives NaN or infinity for 200 of 200 pictures; mend the network"
    with pytest.raises(InputError, match=message):
        hierarchy(model, out=tmp_path)


@pytest.mark.parametrize("seed", [-1, 2**32, True, 1.5, "a"])
def test_seeds_are_whole_numbers_that_all_libraries_take(seed, tmp_path):
    with pytest.raises(InputError, match="give a whole number from 0 to 4,294,967,295"):
        hierarchy(random_network(), out=tmp_path, seed=seed)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"profile": []}, r"^no profile '\[\]'; there are: quick, full$"),
        ({"probe": 5}, "^probe=5 is no path; give a text or a pathlib.Path$"),
        ({"out": None}, "^out=None is no path; give a text or a pathlib.Path$"),
        (
            {"executor": "zz"},
            "^executor='zz' is no executor; give one of concurrent.futures, or what open_engine gives$",
        ),
        ({"on_progress": "a"}, r"^on_progress='a' is no function; give one that takes \(done, total, what\)$"),
    ],
)
def test_what_no_hierarchy_can_be_made_of_is_said(how, message, tmp_path):
    with pytest.raises(InputError, match=message):
        hierarchy(random_network(), **{"out": tmp_path, **how})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("layers", "words"), [(1, "1 layer"), (8, "8 layers")])
def test_a_report_says_how_many_layers_it_tells_of(layers, words):
    report = Hierarchy(Path("here"), Record("", {"words": "Shown.", "layers": [{}] * layers}, {}), 0, 0.0)
    assert repr(report) == f"Hierarchy('Shown.', {words}, in 'here')"


def test_networks_without_layers_and_what_is_no_network(tmp_path):
    single = wrap(seeded(nn.Conv2d(3, 4, 3)), 32, name="single")
    with pytest.raises(InputError, match="'single' has no layers before its output; a hierarchy needs some"):
        hierarchy(single, out=tmp_path)
    with pytest.raises(InputError, match="a ReLU is no VisionModel; open it with load_model"):
        hierarchy(nn.ReLU(), out=tmp_path)


def test_a_folder_that_cannot_be_written_is_said_before_the_work(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(study, "menagerie_pictures", None)
    with pytest.raises(StorageError, match="is a file, not a folder"):
        hierarchy(random_network(), out=tmp_path / "file")
