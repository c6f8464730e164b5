"""`layerscope benchmark`: tables and JSON of each subject, made small."""

from __future__ import annotations

import json

import pytest
import torch
from small_nets import SmallNet

from layerscope.benchmarks import conformance, methods, networks, overhead, passes
from layerscope.benchmarks.report import Options, manifest, threads
from layerscope.cli import main
from layerscope.conformance.conform import Conformance
from layerscope.errors import InputError, UnknownNameError
from layerscope.models.model import wrap
from layerscope.types import no_progress


def test_conformance_as_json_and_as_a_table(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "1000")  # narrower ones get several lines for each row
    command = ["benchmark", "capture", "--networks", "mobilenet_v3_small", "--rounds", "0", "--threads", "1"]
    assert main([*command, "--json", "--verbose"]) == 0
    said = capsys.readouterr()
    made = json.loads(said.out)
    (row,) = made["rows"]
    assert (row["network"], row["conforms"], row["size"], row["wrong"]) == (
        "torchvision:mobilenet_v3_small",
        True,
        32,
        0,
    )
    assert row["calls"] > row["overwritten"] > 0
    assert made["summary"] == "1 of 1 conform"
    assert made["manifest"]["threads"] == 1
    assert made["manifest"]["versions"]["torch"] in torch.__version__
    assert "conformance torchvision 1/1" in said.err
    assert main(command) == 0
    table = capsys.readouterr().out.splitlines()
    assert table[0].split()[:3] == ["network", "conforms", "size"]
    assert table[-1] == "1 of 1 conform"


def test_a_network_that_cannot_be_made_or_compared_is_a_row(monkeypatch):
    def failing(spec):
        raise LookupError("no such thing\nindeed")

    monkeypatch.setattr(conformance, "opened", failing)
    rows = conformance.rows_of("alexnet,vgg11", False, no_progress)
    assert [(row["conforms"], row["error"]) for row in rows] == [(False, "the network: LookupError: no such thing")] * 2
    assert conformance.summary_of(rows) == "0 of 2 conform; not: torchvision:alexnet, torchvision:vgg11"


def test_what_is_wrong_is_in_the_row(monkeypatch):
    found = Conformance(32, sites=3, calls=9, wrong=tuple("abcdefg"), output_same=True, worst=0.123456)
    monkeypatch.setattr(conformance, "opened", lambda spec: (torch.nn.Identity(), [(3, 32, 32)]))
    monkeypatch.setattr(conformance, "conform", lambda module, shape, batch: found)
    (row,) = conformance.rows_of("alexnet", False, no_progress)
    assert (row["wrong"], row["faults"], row["worst"]) == (7, {"wrong": tuple("abcde")}, 0.12)


def test_a_comparison_that_shows_too_little_says_so(monkeypatch):
    found = Conformance(32, sites=3, calls=9, unturned=4, gradients_zero=("a",), output_same=True)
    monkeypatch.setattr(conformance, "opened", lambda spec: (torch.nn.Identity(), [(3, 32, 32)]))
    monkeypatch.setattr(conformance, "conform", lambda module, shape, batch: found)
    (row,) = conformance.rows_of("alexnet", False, no_progress)
    assert not row["conforms"]
    assert row["faults"]["untelling"].startswith(
        "of 9 calls, 4 could not be compared without in-place operations, and 1"
    )


def test_a_larger_image_is_tried_where_gradients_vanish(monkeypatch):
    def found(module, shape, batch):
        return Conformance(shape[1], calls=1, gradients_zero=("a",) if shape[1] < 96 else (), output_same=True)

    monkeypatch.setattr(
        conformance, "opened", lambda spec: (torch.nn.Identity(), [(3, n, n) for n in (32, 64, 96, 128)])
    )
    monkeypatch.setattr(conformance, "conform", found)
    (row,) = conformance.rows_of("alexnet", False, no_progress)
    assert (row["size"], row["gradients_zero"], row["conforms"]) == (96, 0, True)


def test_networks_by_name_and_pattern():
    assert networks.find("none") == []
    resnets = ["torchvision:resnet101", "torchvision:resnet152", "torchvision:resnet18"]
    assert networks.find("vgg11, resnet1*") == ["torchvision:vgg11", *resnets]
    assert len(networks.find("*")) >= 80
    assert networks.find("*", quick=True) == [f"torchvision:{name}" for name in networks.ONE_PER_FAMILY]
    assert set(networks.find("*", quick=True)) <= set(networks.find("*"))
    with pytest.raises(UnknownNameError, match=r"no torchvision network 'resnet81'; nearest: resnet18"):
        networks.find("resnet81")
    with pytest.raises(UnknownNameError, match=r"no source of networks 'keras'; there are: torchvision, timm"):
        networks.find("keras:resnet50")


def test_networks_of_timm_by_the_names_of_their_weights():
    pytest.importorskip("timm")
    assert networks.find("timm:vit_tiny_patch16_224") == ["timm:vit_tiny_patch16_224"]
    assert networks.find("timm:resnet50.a1_in1k") == ["timm:resnet50.a1_in1k"]
    assert not any("." in name for name in networks.find("timm:resnet5?"))
    with pytest.raises(UnknownNameError, match=r"no timm network 'resnet81'"):
        networks.find("timm:resnet81")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["capture", "--networks", ""], "'' names no network; give names or patterns"),
        (["capture", "--networks", " , "], "' , ' names no network"),
        (["capture", "--networks", "none", "--rounds", "0"], "no networks and no rounds: there is nothing to do"),
        (["world", "--networks", "alexnet"], "the world is measured on one thread and without networks"),
        (["world", "--quick"], "leave the options to capture"),
    ],
)
def test_nothing_to_measure(capsys, options, words):
    assert main(["benchmark", *options]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: ")
    assert words in said.err
    assert said.err.count("\n") == 1


def test_overhead_of_all_methods():
    rows = {row["method"]: row for row in overhead.rows_of(2, no_progress, network="torchvision:resnet18", size=32)}
    assert len(rows) == len(methods.METHODS) + len(methods.LAST) - 1
    assert rows["plain forward"]["wall"] == "1.00x"
    assert (rows["hooks on leaves, copy"]["calls"], rows["hooks on leaves, copy"]["wrong"]) == ("60 of 60", 0)
    assert rows["hooks on leaves, no copy"]["wrong"] > 0
    for ours in ("layerscope, stored", "layerscope, means", "layerscope, means and maxima"):
        assert (rows[ours]["calls"], rows[ours]["wrong"], rows[ours]["traces"]) == ("60 of 60", 0, 0)
    assert rows["layerscope, means"]["MiB"] < rows["layerscope, stored"]["MiB"]
    for method in (*methods.METHODS, *methods.LAST):
        assert (rows[method.name]["note"] is None) == method.installed == (rows[method.name]["wall"] is not None)


def test_a_tool_that_is_not_installed_has_a_row(monkeypatch):
    absent = methods.Method("absent", methods.PLAIN.prepare, package="no_such_package")
    monkeypatch.setattr(overhead, "METHODS", (methods.PLAIN, absent))
    monkeypatch.setattr(overhead, "LAST", (methods.PLAIN,))
    plain, other = overhead.rows_of(1, no_progress, network="torchvision:resnet18", size=32)
    assert (plain["note"], other["note"], other["wall"]) == (None, "not installed", None)


def test_a_tool_that_fails_has_a_row_that_says_how(monkeypatch):
    def failing(net, images):
        raise LookupError("lost")

    monkeypatch.setattr(overhead, "METHODS", (methods.PLAIN, methods.Method("broken", failing)))
    monkeypatch.setattr(overhead, "LAST", (methods.PLAIN,))
    _, broken = overhead.rows_of(1, no_progress, network="torchvision:resnet18", size=32)
    assert (broken["note"], broken["wall"]) == ("LookupError: lost", None)


def test_threads_are_put_back():
    before = torch.get_num_threads()
    with threads(before + 1):
        assert manifest()["threads"] == before + 1
    assert torch.get_num_threads() == before
    with pytest.raises(ZeroDivisionError), threads(before + 1):
        _ = 1 / 0
    assert torch.get_num_threads() == before


def test_the_world_is_measured(monkeypatch):
    from layerscope.benchmarks import world

    monkeypatch.setattr(world, "SIZES", ((32, 4),))
    made = world.measure(Options(), no_progress)
    assert made.tables["rows"][0]["images_per_second_per_core"] > 0


def test_passes_are_timed_beside_a_plain_forward():
    torch.manual_seed(0)
    model = wrap(SmallNet().eval(), 32)
    plain, *alone, together = passes.rows_of(model, 2, no_progress)
    assert (plain["pass"], plain["units"], plain["state_mb"], plain["times"]) == ("plain forward", 0, 0, 1)
    assert [row["units"] for row in (*alone, together)] == [28] * 5
    assert together["state_mb"] == pytest.approx(sum(row["state_mb"] for row in alone), abs=0.2)
    assert together["state_mb"] == pytest.approx(28 * 1026 * 4 / 1e6, abs=0.1)
    with pytest.raises(InputError, match="passes are timed on torchvision:resnet50 alone"):
        passes.measure(Options(networks="resnet18"), no_progress)


def test_a_pass_says_whether_it_keeps_within_its_bounds():
    row = {"units": 7, "state_mb": 151.0, "times": 1.3}
    assert passes._summary([row]) == ("7 units in one pass: more than 150 MB of state, at most 1.3 times the forward")
