"""`layerscope benchmark attribution --truth`: its table and JSON, what it refuses, and what a quick one leaves out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from made_up_boards import facts_of

from layerscope.benchmarks.attribution import trainings, truth
from layerscope.benchmarks.report import Options
from layerscope.cli import main
from layerscope.errors import InputError
from layerscope.models.zoo import NAMES
from layerscope.studies.leaderboard import (
    CORE,
    PICTURED,
    PROVED,
    QUICK,
    QUICK_PROVED,
    QUICK_SCENES,
    SCENES,
    SLOW,
    Leaderboard,
)
from layerscope.types import no_progress


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """Every leaderboard that is asked for, made up; other trainings are names."""
    calls = []

    def make(model, methods, out, *, scenes, images, masks, proved, on_progress):
        models = model if isinstance(model, list) else [model]
        calls.append(([getattr(one, "name", one) for one in models], methods, out, scenes, images, masks, proved))
        return Leaderboard(tmp_path / "made", facts_of(models[0].name), 2, 1.0)

    monkeypatch.setattr(truth, "leaderboard", make)
    monkeypatch.setattr(truth, "trainings", lambda spec, seeds, out, progress: [f"{spec} {seed}" for seed in seeds])
    return calls


def test_three_trainings_of_both_networks_or_one_quickly(asked, tmp_path):
    truth.report_of(Options(truth=True, out=tmp_path), no_progress)
    assert asked == [
        ([name, f"{name} 1", f"{name} 2"], CORE, tmp_path / "leaderboard", SCENES, None, None, PROVED) for name in NAMES
    ]
    asked.clear()
    made = truth.report_of(Options(truth=True, quick=True, networks="menagerie"), no_progress)
    assert asked == [(["menagerie"], QUICK, Path("outputs/leaderboard"), QUICK_SCENES, None, None, QUICK_PROVED)]
    left = [name for name in PICTURED if name not in ("deeplift", "saliency")]
    assert f"left out: {', '.join(left)}" in made.summary
    assert made.manifest["command"] == "layerscope benchmark attribution --truth --quick --networks 'menagerie' --json"
    assert {*CORE, *SLOW} == set(PICTURED)
    assert set(QUICK) < set(CORE)
    assert len(CORE) >= 15
    assert SCENES >= 200


def test_methods_are_checked_before_a_network_is_trained(asked, monkeypatch, tmp_path):
    monkeypatch.setattr(truth, "trainings", lambda *given: pytest.fail("a network is trained"))
    for methods, words in (("deeplift,nope", "no method that draws maps of images: 'nope'"), ("", "no methods")):
        with pytest.raises(InputError, match=words):
            truth.report_of(Options(truth=True, out=tmp_path, methods=methods), no_progress)
    assert asked == []


def test_images_of_a_user_are_judged_on_one_network_with_the_methods_asked_for(asked, tmp_path):
    options = Options(images=tmp_path, masks=tmp_path / "m.json", networks="menagerie", methods="lrp, saliency")
    made = truth.report_of(options, no_progress)
    assert asked == [
        (
            ["menagerie"],
            ("lrp", "saliency"),
            Path("outputs/leaderboard"),
            SCENES,
            tmp_path,
            tmp_path / "m.json",
            PROVED,
        )
    ]
    assert "--images" in made.manifest["command"]
    assert truth.methods_of(Options(methods="all")) == PICTURED


def test_trainings_are_opened_where_they_lie_and_made_where_they_are_missing(monkeypatch, tmp_path):
    made = []

    def make(*, robust, out, seed, on_progress):
        made.append((robust, out.name, seed))
        return out / "weights.safetensors"

    monkeypatch.setattr(trainings, "make_network", make)
    monkeypatch.setattr(trainings, "read", lambda path, name: (path.parent.name, name))
    lying = tmp_path / "menagerie-robust-seed-1" / "weights.safetensors"
    lying.parent.mkdir()
    lying.touch()
    found = trainings.trainings("menagerie:robust", range(1, 3), tmp_path, no_progress)
    assert found == [
        ("menagerie-robust-seed-1", "menagerie:robust, seed 1"),
        ("menagerie-robust-seed-2", "menagerie:robust, seed 2"),
    ]
    assert made == [(True, "menagerie-robust-seed-2", 2)]
    assert trainings.trainings("torchvision:resnet18", range(1, 3), tmp_path, no_progress) == []


def test_the_json_has_rows_and_a_manifest_without_machine_or_time(asked, capsys, tmp_path):
    command = ["benchmark", "attribution", "--truth", "--json", "--out", str(tmp_path)]
    with pytest.raises(InputError, match="no leaderboard below"):  # made up, so that nothing lies on the disk
        truth_site(command)
    said = json.loads(capsys.readouterr().out)
    assert [row["network"] for row in said["rows"]] == [name for name in NAMES for _ in range(3)]
    assert said["rows"][0]["part_rank"] == {"value": 0.5, "low": 0.4, "high": 0.6, "images": 9}
    assert not any("against" in row for row in said["rows"])  # by every measure: too much for a table
    manifest = said["manifest"]
    assert manifest["command"] == "layerscope benchmark attribution --truth --json"
    assert manifest["threads"] == 1
    assert not {"date", "machine", "cores", "system"} & set(manifest)
    assert str(tmp_path) not in json.dumps(said)


def truth_site(command):
    """Run the command and raise what it says of the site."""
    from layerscope.cli.commands import app

    app(command, standalone_mode=False)


def test_the_table_gives_each_measure_with_its_direction_and_interval(asked):
    made = truth.report_of(Options(truth=True, networks="menagerie"), no_progress)
    (title, rows), (proved, tiers) = made.shown.items()
    assert title == "menagerie, 9 scenes of 10, means with 95 % intervals"
    assert rows[0]["part rank ↑"] == "0.50 0.40..0.60"
    assert rows[0]["seconds ↓"] == 0.25
    assert rows[1]["redrawn ↓"] is None
    assert rows[2]["method"] == "(random map)"
    assert proved == "networks whose right answer is provable"
    assert tiers == [{"method": "DeepLift", "Linear: part rank ↑": "0.50 0.40..0.60"}]
    assert "menagerie: A reading." in made.summary
    assert "refused by Rise: no rule" in made.summary


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["attribution", "--truth", "--conformance"], "--truth and --conformance are two benchmarks"),
        (["attribution", "--truth", "--networks", "none"], "'none' names no network; give specs as menagerie"),
        (["attribution", "--truth", "--networks", "menageri"], "menageri"),
        (["attribution", "--out", "x"], "--out is where the records of --truth go"),
        (["capture", "--truth"], "--truth and --out are of attribution"),
        (["passes", "--truth"], "--truth and --out are of attribution"),
        (["world", "--truth"], "the world is measured on one thread"),
    ],
)
def test_options_that_do_not_fit_are_refused(capsys, monkeypatch, tmp_path, options, words):
    monkeypatch.chdir(tmp_path)
    assert main(["benchmark", *options]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert words in said.err
    assert not list(tmp_path.iterdir())
