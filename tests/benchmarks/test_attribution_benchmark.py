"""`layerscope benchmark attribution`: the matrix can fail, refuse and say why; the times are of what they say."""

from __future__ import annotations

import dataclasses
import functools
import json
import math

import pytest
import torch
import torch.nn.functional as F
from small_nets import SmallNet, seeded
from torch import Tensor, nn

from layerscope.attribution.methods import METHODS
from layerscope.benchmarks.attribution import case as cases
from layerscope.benchmarks.attribution import contests, hooked, matrix, peers, perturbed, propagated, speed, subject
from layerscope.benchmarks.attribution.case import Case, case_for, chosen, smooth
from layerscope.benchmarks.attribution.catalogue import COLUMNS
from layerscope.benchmarks.attribution.cells import ABSENT, Cell, Given, adds_up_to, cell_of, same_as
from layerscope.benchmarks.attribution.columns import Column
from layerscope.benchmarks.attribution.traced import ELEMENTWISE, NORMS, Traced, slope_of, value_of
from layerscope.cli import main
from layerscope.types import no_progress

CELLS = " (ours | Captum: worst relative error)"
NAMED = {column.name: column for column in COLUMNS}


class Sorted(nn.Module):
    """An operation that has no rule in between."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 4, 3, stride=2), nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.conv(x).sort(1).values.mean((2, 3)))


class Pooled(nn.Module):
    """Overlapping maxima with padding, a gate, several kinds of rectifiers, and a reused in-place ReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.conv = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 6, 3, padding=1)
        self.pool = nn.MaxPool2d(3, 2, padding=1)
        self.relu, self.silu = nn.ReLU(inplace=True), nn.SiLU()
        self.gate, self.fc = nn.Conv2d(6, 6, 1), nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.relu(self.stem(x)))
        x = self.relu(self.conv(x)) + F.hardswish(x)
        x = x * torch.sigmoid(self.gate(x.mean((2, 3), keepdim=True)))
        return self.fc(F.max_pool2d(self.silu(x), 2).mean((2, 3)))


@pytest.fixture(scope="module")
def small() -> Case:
    return case_for("small", seeded(SmallNet()), 32)


@pytest.fixture(scope="module")
def pooled() -> Case:
    return case_for("pooled", seeded(Pooled()), 32)


def wrong(monkeypatch: pytest.MonkeyPatch, method: str, change: object) -> None:
    """Plant a fault: what the method finds is changed."""
    right = METHODS[method]

    @functools.wraps(right.run)
    def run(*given: object, **options: object) -> object:
        return change(right.run(*given, **options))  # type: ignore[operator]

    monkeypatch.setitem(METHODS, method, dataclasses.replace(right, run=run))


def test_every_method_has_a_column():
    assert {column.method for column in COLUMNS} == set(METHODS)


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: column.name)
def test_all_methods_agree_with_their_references_on_a_small_network(small, column):
    entry = matrix.entry_of(small, column)
    assert entry.ours.state == "ok", entry.ours
    assert entry.ours.traces == 0


@pytest.mark.parametrize(
    "name", ["guided_backprop", "deconvolution", "deeplift", "deeplift, complete in float64", "lrp gamma, conserved"]
)
def test_methods_on_operations_agree_where_there_are_many_kinds_of_them(pooled, name):
    entry = matrix.entry_of(pooled, NAMED[name])
    assert entry.ours.state == "ok", entry.ours


def test_captum_is_judged_by_the_same_references(small):
    assert matrix.entry_of(small, NAMED["saliency"]).captum.state == "ok"
    lost = matrix.entry_of(small, NAMED["deeplift"]).captum  # its hooks do not see a ReLU that is used again
    assert (lost.state, str(lost)) == ("error", "error: RuntimeError")
    assert "module is being used more than once" in lost.words
    relevance = matrix.entry_of(small, NAMED["lrp epsilon, conserved"]).captum
    assert (relevance.state, relevance.traces > 0) == ("wrong", True)
    assert str(relevance).startswith("WRONG ")


@pytest.mark.parametrize(
    "name",
    ["saliency", "deeplift", "deeplift, complete in float32", "lrp gamma, conserved", "occlusion", "lime", "rise"],
)
def test_a_wrong_method_is_called_wrong(small, monkeypatch, name):
    column = NAMED[name]
    wrong(monkeypatch, column.method, lambda found: dataclasses.replace(found, values=found.values * 1.01))
    entry = matrix.entry_of(small, column)
    assert entry.ours.state == "wrong"
    assert entry.ours.error == pytest.approx(0.01, rel=0.15)
    assert str(entry.ours) == "WRONG 1e-02"
    said = matrix.summary_of([entry, matrix.Entry("small", column, ABSENT)])
    assert said.startswith("0 of 1 cells agree with their reference, 0 refuse, 1 wrong, 0 fail, 0 leave")
    assert said.endswith(f"; wrong or failing: {name} on small")


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("smoothgrad", {"noise": 0.05}),
        ("vargrad", {"samples": 9}),
        ("gradient_shap", {"noise": 0.1}),
        ("rise", {"keep": 0.9}),
    ],
)
def test_other_draws_than_were_asked_for_are_wrong(small, name, options):
    column = NAMED[name]
    assert matrix.entry_of(small, dataclasses.replace(column, options={**column.options, **options})).ours == Cell(
        "wrong", math.inf
    )


def test_a_refusal_names_the_operation():
    case = case_for("sorted", seeded(Sorted()), 32)
    entry = matrix.entry_of(case, NAMED["deeplift, complete in float32"])
    assert str(entry.ours) == "refused: sort"
    assert matrix.entry_of(case, NAMED["saliency"]).ours.state == "ok"
    assert "0 of 1 cells agree with their reference, 1 refuse, 0 wrong" in matrix.summary_of([entry])


def test_states_of_a_cell():
    net = nn.Identity()
    two = torch.ones(2, 3)

    def cell(values: Tensor) -> Cell:
        return cell_of(lambda: Given.of(values), same_as(two), 1e-3, net)

    assert str(cell(two)) == "ok 0e+00"
    assert str(cell(two * 1.5)) == "WRONG 5e-01"
    assert str(cell(two * math.nan)) == "WRONG nan"
    assert str(cell(torch.ones(2, 4))) == "error: ValueError"
    assert str(ABSENT) == "-"
    off = torch.tensor([[1.0, 1.0, 1.0], [1.0, 1.0, 1.5]])
    assert cell(off).error == 0.5  # of the worst image
    assert cell_of(lambda: Given.of(off), adds_up_to(torch.tensor([3.0, 3.0])), 1, net).error == pytest.approx(0.5 / 3)
    least = adds_up_to(torch.tensor([3.0, 3.0]), least=torch.tensor([1.0, 50.0]))
    assert cell_of(lambda: Given.of(off), least, 1, net).error == pytest.approx(0.5 / 50)


def test_what_a_tool_leaves_behind_is_counted():
    net = nn.Sequential(nn.Linear(3, 3))

    def messy() -> Given:
        net[0].left = 1
        net.register_forward_hook(lambda *given: None)
        return Given.of(torch.ones(1, 1))

    assert cell_of(messy, same_as(torch.ones(1, 1)), 0, net).traces == 2  # an attribute, and what is inside the hooks


def test_a_reference_that_fails_is_an_error_of_the_cell(small):
    def failing(case: Case) -> None:
        raise LookupError("lost\nindeed")

    entry = matrix.entry_of(small, Column("a", "saliency", failing))
    assert entry.ours == Cell("error", words="the reference: LookupError: lost")


def test_a_network_that_cannot_be_made_is_a_row(monkeypatch):
    def failing(spec: str) -> Case:
        raise LookupError("no such thing")

    monkeypatch.setattr(matrix, "case_of", failing)
    (entry,) = matrix.entries_of("alexnet", False, no_progress, [NAMED["saliency"]])
    assert entry.row()["ours"]["words"] == "the network: LookupError: no such thing"
    assert matrix.tables_of([entry]) == {
        f"gradients{CELLS}": [{"network": "alexnet", "saliency": "error: the network | -"}]
    }


def test_networks_of_the_matrix():
    assert len(chosen("*", False)) >= 17
    assert {"torchvision:vit_b_16", "torchvision:swin_t", "torchvision:convnext_tiny"} <= set(chosen("*", False))
    assert set(chosen("*", True)) <= set(chosen("*", False))
    assert len(chosen("*", True)) == 3
    assert chosen("resnet1*", True) == ["torchvision:resnet101", "torchvision:resnet152", "torchvision:resnet18"]


def test_a_case_is_alive_and_has_its_layers():
    case = cases.case_of("torchvision:resnet18")
    assert case.images.shape == (2, 3, 64, 64)
    assert 0 <= float(case.images.min()) < float(case.images.max()) <= 1
    assert (case.layer, case.overwritten) == ("layer4", "layer4.1.bn2")
    assert (case.difference.abs() > 0.05).all()
    assert float(case.model.module.bn1.running_var[0]) != 1.0
    assert case.single.images.dtype == torch.float64
    assert len(case.single.images) == 1
    with torch.no_grad():
        assert not case.unbiased.scores(torch.zeros_like(case.images)).any()


def test_networks_of_timm_are_cases_too():
    pytest.importorskip("timm")
    case = cases.case_of("timm:mobilenetv3_small_050")
    assert matrix.entry_of(case, NAMED["saliency"]).ours.state == "ok"


@pytest.mark.parametrize("kind", ELEMENTWISE)
def test_formulas_of_activation_functions(kind):
    x = torch.linspace(-8, 8, 101, dtype=torch.float64).requires_grad_()
    y = torch.sigmoid(x) if kind == "sigmoid" else getattr(F, kind)(x)
    torch.testing.assert_close(value_of(kind, x.detach()), y.detach())
    torch.testing.assert_close(slope_of(kind, x.detach()), torch.autograd.grad(y.sum(), x)[0])


def test_a_traced_network_knows_its_kinds(pooled):
    traced = Traced(pooled.model.module)
    assert traced.kinds == {"relu", "silu", "hardswish", "sigmoid", "mul", "max_pool2d"}
    with torch.no_grad():
        torch.testing.assert_close(traced(pooled.images, {}), pooled.model.module(pooled.images))
    assert NORMS in Traced(nn.Sequential(nn.Flatten(), nn.LayerNorm(8))).kinds
    assert not propagated.piecewise_linear(pooled)


def test_the_reference_of_deeplift_is_complete(pooled):
    values = propagated.deeplift(pooled.doubled)
    assert values is not None
    torch.testing.assert_close(values.flatten(1).sum(1), pooled.doubled.difference, rtol=1e-10, atol=0)


def test_the_reference_of_shapley_is_exact_where_the_score_is_additive():
    net = seeded(
        nn.Sequential(nn.Conv2d(3, 8, 16, 16), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))
    )
    case = case_for("patches", net, 32).doubled
    values, drops = perturbed.shapley(case, cells=2), perturbed.feature_ablation(case, cells=2)
    torch.testing.assert_close(values, drops)
    torch.testing.assert_close(values.flatten(1).sum(1), case.difference)


def test_a_head_runs_alone_or_the_whole_network_does(small):
    case = small.single
    activation = hooked.at_layer_alone(case, case.images)
    grown = torch.cat(list(hooked._without_units(case, case.images, activation, 1)))
    whole = [
        hooked.from_layer(case, case.layer, case.images, activation * (torch.arange(12) != unit).view(1, -1, 1, 1))
        for unit in range(12)
    ]
    torch.testing.assert_close(grown, torch.cat(whole))


def test_smooth_images_lie_between_zero_and_one():
    images = smooth(2, 3, 48, seed=0)
    assert images.shape == (2, 3, 48, 48)
    assert torch.equal(images, smooth(2, 3, 48, seed=0))
    assert 0 <= float(images.min()) < 0.3 < 0.7 < float(images.max()) <= 1


def test_the_matrix_as_json_and_as_tables(capsys, monkeypatch):
    some = tuple(NAMED[name] for name in ("saliency", "deeplift", "grad_cam_plus_plus"))
    monkeypatch.setattr(matrix, "COLUMNS", some)
    command = ["benchmark", "attribution", "--conformance", "--networks", "squeezenet1_1", "--threads", "1"]
    assert main([*command, "--json", "--verbose"]) == 0
    said = capsys.readouterr()
    made = json.loads(said.out)
    assert [(row["network"], row["method"], row["ours"]["state"]) for row in made["rows"]] == [
        ("torchvision:squeezenet1_1", column.name, "ok") for column in some
    ]
    assert set(made["rows"][0]["captum"]) == {"state", "error", "words", "traces"}
    assert made["rows"][2]["captum"]["state"] == "absent"
    assert made["summary"].startswith("3 of 3 cells agree with their reference, 0 refuse, 0 wrong, 0 fail, 0 leave")
    assert "captum" in made["manifest"]["versions"]
    assert "networks, squeezenet1_1 0/1" in said.err
    assert main(command) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"gradients{CELLS}"
    assert lines[1].split() == ["network", "saliency"]
    assert lines[2].startswith("squeezenet1_1  ok ")
    assert " | ok " in lines[2]
    assert lines[-1] == made["summary"]


@pytest.fixture(scope="module")
def tiny() -> subject.Subject:
    return dataclasses.replace(subject.subject("torchvision:resnet18", 32), layer="layer4")


def test_times_of_all_tools(tiny):
    few = [contest for contest in contests.CONTESTS if contest.method in ("saliency", "deeplift", "grad_cam")]
    rows = speed.rows_of(tiny, 2, False, no_progress, few)
    assert [row["method"] for row in rows] == [contest.method for contest in few for _ in contest.tools]
    assert [row["ratio"] for row in rows if row["settings"] in ("defaults", "layer=layer4") and not row["rival"]] == [
        1.0
    ] * 3
    for row in rows:
        absent = (row["note"] or "").startswith("ModuleNotFoundError")  # other tools are no dependencies
        failed = absent or (row["method"] == "deeplift" and row["tool"] == "captum")
        assert (row["ratio"] is None) == (row["seconds"] is None) == (row["wall"] is None) == failed
        assert absent or not failed or row["note"].startswith("RuntimeError: A Module ReLU")
    assert {row["settings"] for row in rows if row["tool"] == "captum"} == {"defaults", "frozen, channels_last"}


def test_a_tool_that_is_not_installed_or_fails_has_a_row(tiny):
    def failing(subject: subject.Subject) -> peers.Run:
        raise LookupError("lost")

    tools = (
        *contests.ours("saliency"),
        subject.Tool("absent", "defaults", failing, package="no_such_package"),
        subject.Tool("broken", "defaults", failing),
    )
    ours, fast, absent, broken = speed.rows_of(tiny, 1, False, no_progress, [subject.Contest("saliency", tools)])
    assert (ours["ratio"], ours["rival"]) == (fast["ratio"], fast["rival"]) == (1.0, False)
    assert (ours["settings"], fast["settings"]) == ("defaults", "frozen, channels_last")
    assert (absent["note"], absent["seconds"]) == ("ModuleNotFoundError: no_such_package is not installed", None)
    assert (broken["note"], broken["ratio"]) == ("LookupError: lost", None)


def test_a_quick_table_has_few_methods(tiny, monkeypatch):
    monkeypatch.setattr(
        speed, "CONTESTS", [subject.Contest(name, contests.ours("saliency")) for name in ("saliency", "lime")]
    )
    assert [row["method"] for row in speed.rows_of(tiny, 1, True, no_progress)] == ["saliency"] * 2


def test_every_contest_is_of_a_method():
    assert {contest.method for contest in contests.CONTESTS} <= set(METHODS)
    assert {contest.method for contest in contests.CONTESTS} >= contests.QUICK
    for contest in contests.CONTESTS:
        assert contest.tools[0].name == "layerscope"
        assert any(tool.settings == "defaults" and tool.name != "layerscope" for tool in contest.tools)


def test_what_is_said_of_the_times():
    def row(method: str, tool: str, ratio: float | None, rival: bool = True) -> dict[str, object]:
        return {"method": method, "tool": tool, "settings": "defaults", "ratio": ratio, "rival": rival}

    rows = [row("a", "layerscope", 1.0, False), row("a", "captum", 2.0), row("a", "y", 0.96)]
    rows += [row("b", "layerscope", 1.0, False), row("b", "x", 0.5), row("b", "y", 0.8)]
    rows += [row("c", "layerscope", 1.0, False), row("c", "wrong", 0.1, False), row("c", "failing", None)]
    assert speed.summary_of(rows) == (
        "2 of 3 methods are as fast as the fastest other tool, or faster; slower: b (2.00x x, defaults); "
        "times of Captum at its defaults, over ours: a 2.0x"
    )
    assert speed.summary_of(rows[-3:]) == "1 of 1 methods are as fast as the fastest other tool, or faster"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            ["attribution", "--networks", "alexnet"],
            "times are those of one network, resnet50; --networks goes with --conformance",
        ),
        (["attribution", "--rounds", "0"], "no rounds: there is nothing to do"),
        (
            ["attribution", "--conformance", "--networks", "resnet81"],
            "no torchvision network 'resnet81'; nearest: resnet18",
        ),
        (["attribution", "--conformance", "--networks", "none"], "no networks: there is nothing to compare"),
        (["attribution", "--images", "x", "--conformance"], "--images and --conformance are two benchmarks"),
        (["attribution", "--images", "x", "--truth"], "--truth and --images are two benchmarks; give one of them"),
        (["attribution", "--images", "x", "--truth", "--conformance"], "--conformance are three benchmarks"),
        (["attribution", "--masks", "x"], "--masks are of things in --images; give both, or leave the masks out"),
        (["capture", "--images", "x"], "--images, --masks and --methods are of attribution; leave them out"),
        (["passes", "--masks", "x"], "--images, --masks and --methods are of attribution; leave them out"),
        (["world", "--images", "x"], "leave the options to capture and attribution"),
        (["capture", "--conformance"], "--conformance is of attribution"),
        (["world", "--conformance"], "leave the options to capture and attribution"),
        (["atribution"], "no benchmark 'atribution'; nearest: attribution"),
    ],
)
def test_nothing_to_measure(capsys, options, words):
    assert main(["benchmark", *options]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: ")
    assert words in said.err
    assert said.err.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize("network", chosen("*", False))
def test_the_matrix_on_all_networks(network):
    entries = matrix.entries_of(network.partition(":")[2], False, no_progress)
    bad = [
        (entry.column.name, str(entry.ours), entry.ours.words)
        for entry in entries
        if entry.ours.state in ("wrong", "error")
    ]
    assert not bad
    assert not any(entry.ours.traces for entry in entries)


@pytest.mark.slow
@pytest.mark.parametrize("contest", contests.CONTESTS, ids=lambda contest: contest.method)
def test_all_contests_run(contest):
    rows = speed.rows_of(subject.subject("torchvision:resnet50", 64), 1, False, no_progress, [contest])
    notes = [row["note"] for row in rows if row["seconds"] is None]
    assert all("not installed" in note or note.startswith("RuntimeError: A Module ReLU") for note in notes)


def test_ratios_are_to_ours_on_the_same_network(tiny):
    other = subject.Tool("other", "frozen", lambda subject: lambda: None, fast=True)
    entries = [
        (contest, tool)
        for contest in [subject.Contest("saliency", (*contests.ours("saliency"), other))]
        for tool in contest.tools
    ]
    assert [speed._ours_beside(entries, *entry) for entry in entries] == [0, 1, 1]
