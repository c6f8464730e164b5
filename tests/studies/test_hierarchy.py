"""Hierarchy reports: nothing is shown where nothing was learned, and an interrupted one goes on, network by network."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from small_exhibits import random_network, small_reports
from small_nets import SmallNet, seeded
from torch import nn

from layerscope.capture.hooks import capture
from layerscope.dissection.labels import CATEGORIES
from layerscope.errors import InputError, UnknownNameError
from layerscope.figures.hierarchy_panels import hierarchy as draw
from layerscope.figures.palette import CATEGORIES as COLOURS
from layerscope.models.model import wrap
from layerscope.studies import hierarchy as study
from layerscope.studies import hierarchy_networks as networks
from layerscope.studies.hierarchy import Profile, hierarchy, plan_hierarchy, twins_for
from layerscope.studies.hierarchy_account import Account
from layerscope.studies.hierarchy_files import MANIFEST
from layerscope.studies.hierarchy_pictures import menagerie_pictures
from layerscope.studies.main_layers import before_rectifier, main_layers
from layerscope.studies.manifest import folder_of


@pytest.fixture(scope="module")
def scenes():
    return menagerie_pictures(random_network(), 5)


@pytest.fixture(scope="module", autouse=True)
def _small(scenes):
    with small_reports(scenes):
        yield


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("hierarchy")


@pytest.fixture(scope="module")
def report(out):
    """The network stays as it was."""
    model = random_network()
    model.module.train()
    before = {name: tensor.clone() for name, tensor in model.module.state_dict().items()}
    state = torch.get_rng_state()
    made = hierarchy(model, out=out)
    assert model.module.training
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.module.state_dict().items())
    assert not any(part._forward_hooks for part in model.module.modules())
    return made


def test_random_weights_show_no_hierarchy(report):
    assert report.shown is False
    assert report.words.startswith("No hierarchy shown: ")
    for row in report.layers:
        for name, net in row["net"].items():
            assert net["low"] <= 0 <= net["high"], (row["name"], name)
    assert report.false_rate <= 0.3  # of few twins of narrow layers
    assert report.honest == (report.false_rate <= 0.05)


def test_rows_tell_of_every_layer_and_unit(report):
    assert [row["name"] for row in report.layers] == ["2", "5", "8", "11"]
    assert [row["before_rectifier"] for row in report.layers] == ["1", "4", "7", "10"]
    assert len(report.units) == 8 + 10 + 12 + 12
    for row in report.layers:
        own = [unit["label"] for unit in report.units if unit["layer"] == row["name"]]
        assert {name: share["units"] for name, share in row["shares"].items()} == {
            name: own.count(name) for name in CATEGORIES
        }
        assert set(row["decodability"]) == {"edge", "texture", "shape", "object", "configuration"}
        assert len(row["decodability"]["object"]["twins"]) == len(row["counts_of_twins"]) == 3
        assert 0 < row["effective_field"] <= row["receptive_field"] + 1
        assert len(row["sample"]) == 4
        coded = [unit for unit, label in enumerate(own) if label not in ("none", "dead")]
        assert set(row["telling"]) <= set(coded)
        assert len(row["telling"]) == min(4, len(coded))
    unit = report.units[0]
    assert {
        "confidence",
        "orientation",
        "hue",
        "texture",
        "class_auc",
        "versus_scattered_auc",
        "versus_silhouette_auc",
        "versus_texture_swapped_auc",
        "versus_texture_swapped_low",
        "versus_texture_swapped_p",
        "part_iou",
        "class_selectivity",
        "hit_rate",
        "object_evidence",
    } <= set(unit)
    assert report.record.arrays["cka"].shape == report.record.arrays["cka_twins"].shape == (4, 4)
    assert np.allclose(np.diag(report.record.arrays["cka"]), 1)


def test_every_unit_has_exemplars_and_curves(report):
    arrays, told = report.record.arrays, report.facts["stimuli"]
    probe = arrays["probe"]
    assert probe.shape[1:] == (32, 32, 3)
    assert (len(told["orientations"]), len(told["frequencies"]), len(told["hues"])) == (8, 3, 8)
    used = set()
    for row in report.layers:
        name, units = row["name"], row["units"]
        numbers, scores = arrays[f"exemplars/{name}"], arrays[f"exemplar_scores/{name}"]
        assert numbers.shape == scores.shape == (units, 9)
        assert (np.diff(scores) <= 0).all()
        assert arrays[f"exemplar_boxes/{name}"].shape == (units, 9, 3)
        for curve, over in (("orientation", 8), ("frequency", 3), ("hue", 8)):
            assert arrays[f"tuning/{name}/{curve}"].shape == (units, over)
        used |= set(numbers.flatten().tolist())
    assert used == set(range(len(probe)))
    model, row = random_network(), report.layers[1]
    with torch.no_grad(), capture(model, row["name"]) as seen:
        model(torch.from_numpy(probe.copy()).permute(0, 3, 1, 2).float() / 255)
    maxima = seen[row["name"]].amax((2, 3)).T.numpy()
    shown = np.take_along_axis(maxima, arrays[f"exemplars/{row['name']}"].astype(np.int64), 1)
    assert np.allclose(arrays[f"exemplar_scores/{row['name']}"], shown, rtol=1e-4, atol=1e-5)
    assert np.allclose(shown[:, 0], maxima.max(1))


def test_the_most_telling_units_tell_of_different_things():
    """Of units with one label for one thing, the surest comes before the others; none tells nothing."""
    labels = ["object", "object", "part", "none", "object", "edge", "edge", "dead"]
    evidence = torch.tensor([9.0, 8, 7, 99, 3, 2, 1, 99])
    verdict = SimpleNamespace(
        labels=[SimpleNamespace(category=label, confidence=1.0) for label in labels],
        evidence=dict.fromkeys(("edge", "object", "part"), evidence),
    )
    table = {"label": labels, "class": ["owl", "owl", "cup", "cup", "cup", "", "", ""], "part_concept": ["eye"] * 8}
    account = SimpleNamespace(_verdicts={"a": verdict}, _tables={"a": table})
    assert Account._telling(account, "a") == [0, 2, 4, 5, 6, 1]
    verdict.labels[0].confidence = 0.5
    assert Account._telling(account, "a") == [1, 2, 4, 5, 6, 0]


def test_tables_and_manifest_lie_beside_the_record(report):
    with (report.folder / "units.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(report.units)
    assert [row["label"] for row in rows] == [unit["label"] for unit in report.units]
    with (report.folder / "layers.csv").open() as file:
        layers = list(csv.DictReader(file))
    assert float(layers[0]["net.any.value"]) == report.layers[0]["net"]["any"]["value"]
    whole = json.loads((report.folder / "report.json").read_text())
    assert whole["units"] == [dict(unit) for unit in report.units]
    assert whole["layers"] == list(report.layers)
    manifest = json.loads((report.folder / "hierarchy.json").read_text())
    assert manifest["complete"] is True
    assert (manifest["kind"], manifest["shown"], manifest["words"]) == ("hierarchy", False, report.words)
    assert (
        manifest["command"] == "import layerscope as ls; "
        "ls.hierarchy(model, probe='menagerie', profile='quick', seed=0)"
    )
    assert manifest["probe"]["controls"] == ["scattered", "silhouette", "texture swapped", "untextured"]
    assert all("[" not in name and "curve" not in name for name in rows[0])


def test_what_was_measured_is_not_measured_again(report, out, monkeypatch):
    monkeypatch.setattr(networks, "measure", None)
    again = hierarchy(random_network(), out=out)
    assert again.made == 0
    assert again.facts == report.facts
    store = {path.stem for path in (report.folder / "records").rglob("*.safetensors")}
    assert len(store) == 2  # the report, and what was measured of the network; the twins are gone
    (report.folder / "units.csv").unlink()
    hierarchy(random_network(), out=out)
    assert (report.folder / "units.csv").is_file()


def test_another_report_of_the_same_name_has_its_own_folder(report, out):
    key = json.loads((report.folder / "hierarchy.json").read_text())["key"]
    assert folder_of(out, random_network(), key, MANIFEST) == report.folder
    assert folder_of(out, random_network(), "ab" * 32, MANIFEST).name == "random-abababab"


def test_narrow_layers_take_more_twins(monkeypatch):
    monkeypatch.setattr(study, "LEAST_NULL_UNITS", 99)
    quick, full = Profile(5, 1, 1, 1, 1), Profile(20, 1, 1, 1, 1)
    layer = main_layers(random_network())[0]
    assert [twins_for(quick, [replace(layer, units=units)]) for units in (1, 8, 24, 25, 32, 256)] == [
        16,
        14,
        6,
        5,
        5,
        5,
    ]
    assert twins_for(full, [replace(layer, units=1)]) == 20


@pytest.mark.parametrize(
    ("how", "error", "message"),
    [
        ({"profile": "quik"}, UnknownNameError, "no profile 'quik'; nearest: quick"),
        ({"probe": "menagery"}, InputError, "no folder 'menagery'; give 'menagerie', or a folder that holds one folder of pictures per class"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said_before_any_work(how, error, message, tmp_path):
    with pytest.raises(error, match=message):
        hierarchy(random_network(), out=tmp_path, **how)
    with pytest.raises(error, match=message):
        plan_hierarchy(random_network(), **how)
    assert not list(tmp_path.iterdir())


def test_the_layer_before_the_rectifier():
    model = wrap(seeded(SmallNet()), 32)
    before = {layer.name: before_rectifier(model, layer) for layer in main_layers(model)}
    assert before["relu#0"] == "bn1"
    assert before["relu#1"] == "/add"
    pooled = wrap(
        seeded(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(900, 2))), 32
    )
    assert before_rectifier(pooled, pooled.layer("2")) == "2"
    assert before_rectifier(pooled, pooled.layer("0")) == "0"


def test_the_figure_has_four_panels_with_the_numbers_of_the_report(report):
    for name in ("hierarchy.png", "hierarchy.svg"):
        assert (report.folder / name).stat().st_size > 10_000
    assert f"key {report.record.key}" in (report.folder / "hierarchy.svg").read_text()
    shares, _, net, read = draw(report).axes
    assert [label.get_text() for label in shares.get_xticklabels()] == ["2", "5", "8", "11"]
    for place, row in enumerate(report.layers):
        wide = [bar for bar in shares.patches if abs(bar.get_x() + bar.get_width() / 2 - (place - 0.13)) < 1e-6]
        assert [bar.get_height() for bar in wide] == pytest.approx([row["shares"][label]["share"] for label in COLOURS])
        assert sum(bar.get_height() for bar in wide) == pytest.approx(1)
    assert min(path.vertices[:, 1].min() for part in net.collections for path in part.get_paths()) == pytest.approx(
        min(one["low"] for row in report.layers for name, one in row["net"].items() if name != "any")
    )
    told = [row["decodability"]["configuration"]["accuracy"]["value"] for row in report.layers]
    assert told in [list(line.get_ydata()) for line in read.lines]


def test_rows_of_layers_are_flat_in_their_table(report):
    with (report.folder / "layers.csv").open() as file:
        names = next(csv.reader(file))
    assert not [name for name in names if name.startswith(("pictures", "counts_of_twins", "telling", "sample"))]
    assert {"net.any.low", "shares.edge.twins", "decodability.object.accuracy.value"} <= set(names)
