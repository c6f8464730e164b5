"""Galleries: whole or resumable, the same bytes either way, and every number measured."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from small_nets import small_model
from torch import nn

from layerscope.capture.hooks import capture
from layerscope.errors import InputError, StorageError, UnknownNameError
from layerscope.figures.contact_sheet import write_sheet
from layerscope.figures.galleries import spread
from layerscope.models.model import wrap
from layerscope.records import Store
from layerscope.site.pages import write_site
from layerscope.studies.exemplars import window
from layerscope.studies.gallery import gallery
from layerscope.studies.probe import named_probe, open_probe
from layerscope.studies.selection import choose_units
from layerscope.synthesis.ascent import maximise


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_pattern_means_convolutions_and_logits(model):
    chosen = {layer.name: len(units) for layer, units in choose_units(model, ["*"])}
    assert chosen == {"0": 6, "2": 10, "6": 3}
    assert [(layer.name, units) for layer, units in choose_units(model, ["2:7", "2:3"])] == [("2", [3, 7])]
    assert [layer.name for layer, _ in choose_units(model, ["1"])] == ["1"]


def test_a_pattern_with_a_slash_means_functions_between_modules():
    network = small_model()
    assert {layer.name: units for layer, units in choose_units(network, ["/a*", "/add:3"])} == {"/add": list(range(8))}
    assert [layer.name for layer, _ in choose_units(network, ["fc", "/mean:1", "conv1:0"])] == ["conv1", "/mean", "fc"]
    assert [layer.name for layer, _ in choose_units(network, ["*", "/add:3"]) if "/" in layer.name] == ["/add"]
    with pytest.raises(UnknownNameError, match="no layer '\\*mean'"):
        choose_units(network, ["/add:3", "*mean"])


def test_a_gallery_of_a_function_stays_when_modules_are_asked_for(tmp_path):
    network = small_model()
    first = gallery(network, ["/add:3"], tmp_path, recipe="draft", probe=None)
    assert (first.made, first.layers) == (1, ("/add",))
    second = gallery(network, ["conv2:1"], tmp_path, recipe="draft", probe=None)
    manifest = json.loads((second.folder / "gallery.json").read_text())
    assert [layer["name"] for layer in manifest["layers"]] == ["conv2", "/add"]
    assert manifest["layers"][1]["indices"] == [3]


@pytest.mark.parametrize(
    ("units", "message"),
    [("conv9*", r"no layer 'conv9\*'; there are: 0, 1, 2.*patterns take \* and \?"), ("2:99", "no unit '2:99'; 2 has units 0 to 9"),
     ("2:x", "'2:x' is no unit; write layer:channel"), ("2:3@1,1", "'2:3@1,1' names a position, a gallery shows whole channels")],
)  # fmt: skip
def test_unknown_units_are_said(model, tmp_path, units, message):
    with pytest.raises(InputError, match=message):
        gallery(model, units, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"units": 5}, "^units=5 names no units; give texts, as 'layer4.\\*' for layers or 'layer4.1.conv2:37'$"),
        ({"units": None}, "^units=None names no units"),
        ({"units": ["2:1", 5]}, r"^units=\['2:1', 5\] names no units"),
        ({"first": 5}, "^first=5 names no units"),
        ({"seed": "a"}, "^seed='a'; give a whole number of at least 0$"),
        ({"seed": -1}, "^seed=-1; give a whole number of at least 0$"),
        (
            {"seeds": 1 << 70},
            r"^seeds=\d+; give a whole number from 1 to 1,000, or None for as many as the recipe has$",
        ),
        ({"probe": 5}, "^probe=5 is no path; give a text or a pathlib.Path$"),
        ({"out": None}, "^out=None is no path; give a text or a pathlib.Path$"),
        ({"probe": "a\0b"}, "^probe=.* is no path; give a text or a pathlib.Path$"),
        (
            {"executor": "zz"},
            "^executor='zz' is no executor; give one of concurrent.futures, or what open_engine gives$",
        ),
        ({"on_progress": "a"}, r"^on_progress='a' is no function; give one that takes \(done, total, what\)$"),
        ({"recipe": []}, r"^no recipe '\[\]'; there are: draft, standard, fine$"),
    ],
)
def test_what_no_gallery_can_be_made_of_is_said(model, tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        gallery(model, **{"units": "2:1", "out": tmp_path, "probe": None, **options})
    assert not list(tmp_path.iterdir())


def test_a_path_is_a_folder_of_natural_images_whatever_its_name_is(tmp_path):
    assert named_probe("menagerie") == "menagerie"
    assert named_probe(Path("menagerie")) == os.path.join(".", "menagerie")  # noqa: PTH118 (Path drops the dot)
    assert named_probe(tmp_path) == str(tmp_path)


def test_units_are_rows_of_what_was_measured(model, tmp_path):
    made = gallery(model, ["0:1", "0:4", "6"], tmp_path, recipe="draft", probe=None)
    assert [(row["layer"], row["unit"]) for row in made.units] == [("0", 1), ("0", 4), ("6", 0), ("6", 1), ("6", 2)]
    again = maximise(model, ["0:1"], recipe="draft")
    assert (made.units[0]["score"], made.units[0]["status"]) == (again.scores[0], again.status[0])


def test_unknown_recipes_are_said_before_any_work(model, tmp_path):
    with pytest.raises(UnknownNameError, match="no recipe 'drafty'; nearest: draft"):
        gallery(model, "2", tmp_path, recipe="drafty")
    assert not list(tmp_path.iterdir())


def test_what_was_found_is_not_made_again(model, tmp_path):
    first = gallery(model, "*", tmp_path, recipe="draft")
    before = files(tmp_path)
    second = gallery(model, "*", tmp_path, recipe="draft")
    assert (first.made, first.found, second.made, second.found) == (19, 0, 0, 19)
    assert files(tmp_path) == before


def test_an_interrupted_gallery_ends_with_the_same_bytes(model, tmp_path, monkeypatch):
    monkeypatch.setattr("layerscope.studies.gallery.CHUNK", 4)
    gallery(model, "*", tmp_path / "whole", recipe="draft")

    def stop(done: int, total: int, what: str) -> None:
        if total == 19 and done >= 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        gallery(model, "*", tmp_path / "halves", recipe="draft", on_progress=stop)
    monkeypatch.setattr("layerscope.studies.gallery.CHUNK", 3)  # other company, the same pictures
    rest = gallery(model, "*", tmp_path / "halves", recipe="draft")
    assert rest.found >= 8
    assert rest.made == 19 - rest.found
    assert files(tmp_path / "whole") == files(tmp_path / "halves")


def test_a_killed_gallery_ends_with_the_same_bytes(tmp_path):
    """`kill -9` in the middle, then the same command again."""
    network = tmp_path / "net.py"
    network.write_text(
        "import torch\nfrom torch import nn\nimport layerscope as ls\n\n\ndef net():\n"
        "    return ls.wrap(nn.Sequential(nn.Conv2d(3, 40, 5, 2, 2), nn.ReLU(), nn.Conv2d(40, 8, 3)), 32, name='net')\n"
    )
    command = [
        sys.executable,
        "-m",
        "layerscope",
        "gallery",
        f"{network}:net",
        "--recipe",
        "draft",
        "--probe",
        "none",
        "--out",
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([*command, str(tmp_path / "whole")], check=True, env=environment, capture_output=True)

    killed = tmp_path / "killed"
    running = subprocess.Popen(
        [*command, str(killed)], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while not list(killed.rglob("records/*/*.safetensors")) and time.monotonic() < deadline:
        assert running.poll() is None, "the gallery ended before it could be killed"
        time.sleep(0.02)
    running.send_signal(signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL
    made = len(list(killed.rglob("records/*/*.safetensors")))
    assert 0 < made < 48
    again = subprocess.run([*command, str(killed)], check=True, env=environment, capture_output=True, text=True)
    assert f"{made} found" in again.stdout or "found" in again.stdout
    whole, resumed = (
        {name: content for name, content in files(tmp_path / place).items() if not name.endswith(".partial")}
        for place in ("whole", "killed")
    )
    assert whole == resumed


def test_an_executor_changes_no_byte(model, tmp_path):
    gallery(model, "2", tmp_path / "here", recipe="draft")
    with ThreadPoolExecutor(2) as executor:
        gallery(model, "2", tmp_path / "there", recipe="draft", executor=executor)
    assert files(tmp_path / "here") == files(tmp_path / "there")


def all_keys(out: Path) -> set[str]:
    return {key for folder in out.iterdir() for key in Store(folder).keys()}  # noqa: SIM118


def test_other_settings_are_other_records_in_folders_of_their_own(model, tmp_path):
    for arguments in ({}, {"seed": 1}, {"recipe": "standard"}, {"probe": None}):
        gallery(model, "2:3", tmp_path, **{"recipe": "draft", **arguments})
    assert len(all_keys(tmp_path)) == len(list(tmp_path.iterdir())) == 4
    gallery(model, "2:3", tmp_path, recipe="draft", seed=1)
    assert len(list(tmp_path.iterdir())) == 4


def test_whatever_changes_a_picture_or_its_numbers_changes_its_key(model, tmp_path):
    """Other weights, another forward of the same weights, other colours on the card, other names of probe classes."""

    class Turned(nn.Sequential):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return -super().forward(x)

    Turned.__name__ = "Sequential"
    gallery(model, "2:3", tmp_path, recipe="draft")
    turned = dataclasses.replace(model, module=Turned(*model.module))
    assert turned.fingerprint == model.fingerprint
    spectrum = {"colour": torch.eye(3).tolist(), "mean": [0.5] * 3, "slopes": [1.0] * 3}
    for other in (turned, dataclasses.replace(model, card={"spectrum": spectrum})):
        assert gallery(other, "2:3", tmp_path, recipe="draft").made == 1
    with torch.no_grad():
        model.module[0].weight += 0.01
    assert gallery(model, "2:3", tmp_path, recipe="draft").made == 1
    probe = open_probe("menagerie", model, count=8)
    renamed = dataclasses.replace(probe, data=dataclasses.replace(probe.data, class_names=probe.data.class_names[::-1]))
    assert probe.fingerprint != renamed.fingerprint


def test_a_gallery_grows_when_more_is_asked_for(model, tmp_path):
    gallery(model, "2:3", tmp_path, recipe="draft")
    made = gallery(model, ["0:1", "2:1"], tmp_path, recipe="draft")
    facts = json.loads((made.folder / "gallery.json").read_text())
    assert [(layer["name"], layer["indices"]) for layer in facts["layers"]] == [("0", [1]), ("2", [1, 3])]
    assert all(Store(made.folder).find(key) for layer in facts["layers"] for key in layer["keys"])
    assert "units=['2:3', '0:1', '2:1']" in facts["command"]


def test_names_that_are_no_folders_never_share_one(model, tmp_path):
    first, second = (
        gallery(dataclasses.replace(model, name=name), "2:3", tmp_path, recipe="draft", probe=None)
        for name in ("日本", "../中国")
    )
    assert first.folder != second.folder
    assert first.folder.parent == second.folder.parent == tmp_path


def test_networks_of_any_number_of_channels(tmp_path):
    for channels in (1, 2, 4):
        model = wrap(nn.Sequential(nn.Conv2d(channels, 2, 5, 2, 2), nn.ReLU()), 32, name=f"c{channels}")
        made = gallery(model, "0", tmp_path, recipe="draft")
        assert made.made == 2
        assert write_sheet(made.folder).is_file()
    assert write_site(tmp_path).is_file()


def test_a_bare_module_is_told_to_be_wrapped(model, tmp_path):
    with pytest.raises(InputError, match=r"a Sequential is no VisionModel; open it with load_model, or wrap\(module\)"):
        gallery(model.module, "0", tmp_path)


def test_numbers_are_what_the_network_says(model, tmp_path):
    """Score, control and natural value of a unit, measured again by hand on the stored picture and the probe."""
    gallery(model, ["0:2", "6:1"], tmp_path, recipe="draft")
    store = Store(tmp_path / "small")
    records = {record.facts["layer"]: record for record in (store.find(key) for key in store.keys())}  # noqa: SIM118
    record = records["0"]
    picture = torch.from_numpy(record.arrays["picture"]).permute(2, 0, 1)[None].float() / 255
    with torch.no_grad(), capture(model, "0") as activations:
        model(picture)
    unit = activations["0"][0, 2]
    assert record.facts["score"] == pytest.approx(unit.clamp(min=0).mean().item(), rel=1e-4)
    assert record.facts["score"] > record.facts["control"]
    probe = open_probe("menagerie", model, count=48)
    with torch.no_grad(), capture(model, "0") as activations:
        model(probe.data.pixels.float() / 255)
    values = activations["0"][:, 2]
    assert record.facts["natural"] == pytest.approx(values.clamp(min=0).mean((1, 2)).max().item(), rel=1e-4)
    assert record.facts["ratio"] == pytest.approx(record.facts["score"] / record.facts["natural"])
    best = values.flatten(1).amax(1).argsort(descending=True)[:8].tolist()
    assert [entry["image"] for entry in record.facts["exemplars"]] == best
    assert records["6"].facts["label"] == "two"
    assert records["6"].arrays["trace"].ndim == 1


def test_no_probe_means_no_ratio(model, tmp_path):
    gallery(model, "2:3", tmp_path, recipe="draft", probe=None)
    store = Store(tmp_path / "small")
    facts = store.find(store.keys()[0]).facts
    assert facts["natural"] is None
    assert facts["ratio"] is None
    assert facts["exemplars"] == []


def test_the_manifest_tells_how_to_make_it_again(model, tmp_path):
    gallery(model, "2", tmp_path, recipe="draft", seed=3)
    facts = json.loads((tmp_path / "small" / "gallery.json").read_text())
    assert facts["layers"][0]["indices"] == list(range(10))
    assert (facts["recipe"], facts["seed"], facts["probe"]["images"]) == ("draft", 3, 48)
    assert facts["network"]["fingerprint"] == model.fingerprint


def test_a_place_that_cannot_be_written_is_said_before_any_work(model, tmp_path, monkeypatch):
    monkeypatch.setattr("layerscope.studies.gallery.open_probe", lambda *_, **__: pytest.fail("images are opened"))
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(StorageError, match="is a file, not a folder"):
        gallery(model, "2:3", blocked, recipe="draft")


def test_windows_are_receptive_fields_inside_the_image(model):
    first = model.layer("0")
    assert window(first, 8, 4, 32) == (6, 14, 5)  # centre 2 * place, half width 2
    assert window(first, 0, 0, 32) == (0, 0, 5)
    assert window(model.layer("6"), 0, 0, 32) == (0, 0, 32)


def test_the_sheet_shows_every_layer(model, tmp_path):
    made = gallery(model, "*", tmp_path, recipe="draft")
    from PIL import Image

    with Image.open(write_sheet(made.folder)) as sheet:
        assert sheet.width > 1000
        pixels = np.asarray(sheet)
    assert (pixels.std((0, 1)) > 20).all()
    assert spread(192, 12) == list(range(0, 192, 16))
    assert spread(3, 12) == [0, 1, 2]
    with pytest.raises(InputError, match=r"no folder '.*/nowhere'; give the folder that holds a gallery\.json"):
        write_sheet(tmp_path / "nowhere")
