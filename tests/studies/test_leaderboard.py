"""The leaderboard: planted methods come out in their true order, records go on where they stopped, input is checked."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from small_nets import SmallNet

from layerscope.attribution.methods import attribute
from layerscope.errors import InputError, UnknownNameError
from layerscope.faithfulness.intervals import Mean, mean_over_images
from layerscope.faithfulness.measures import MEASURES, exact_answer, judge
from layerscope.models.model import wrap
from layerscope.records import Store
from layerscope.studies import leaderboard as study
from layerscope.studies.leaderboard_rows import CONTROLS, KNOWING_NOTHING, Measured, against, rows_of
from layerscope.world import CLASS_NAMES

SCENES = 6


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(5)
    return wrap(SmallNet().eval(), 32, name="small", class_names=["a", "b", "c", "d", "e"])


@dataclass
class Made:
    """What a planted method gives."""

    maps: torch.Tensor
    checks: tuple


@pytest.fixture
def planted(monkeypatch, model):
    """`attribute` that knows the answers: deeplift is exact, saliency its negative, lrp shuffled, occlusion refuses."""
    bench = study._Bench(model, SCENES + 1, 0)
    answers = {case.image.sum().item(): exact_answer(case.effects) for _, case in bench.cases}
    asked = []

    def fake(model_, images, targets, method, *, seed, checks):
        asked.append(method)
        if method == "occlusion":
            raise InputError("no rule for an operation")
        maps = torch.stack([answers[image.sum().item()] for image in images])
        if method == "saliency":
            maps = -maps
        if method == "lrp":
            order = torch.randperm(32 * 32, generator=torch.Generator().manual_seed(len(asked)))
            maps = maps.flatten(1)[:, order].view_as(maps)
        return Made(maps, tuple(type("C", (), {"redrawn": -0.25 if checks else None}) for _ in images))

    monkeypatch.setattr(study, "attribute", fake)
    return asked


def by_name(made):
    return {row["method"]: row for row in made.rows}


def test_a_right_method_leads_and_its_flipped_and_shuffled_twins_fall(planted, model, tmp_path):
    """Mutation: the order is that of the truth, whatever the methods are called."""
    made = study.leaderboard(model, ["saliency", "lrp", "deeplift", "occlusion"], tmp_path, scenes=SCENES)
    assert [row["method"] for row in made.rows] == ["deeplift", "lrp", "saliency", *CONTROLS]
    rows = by_name(made)
    assert rows["deeplift"]["part_rank"]["value"] == pytest.approx(1)
    assert rows["saliency"]["part_rank"]["value"] == pytest.approx(-1)
    assert [rows[name]["against_random"] for name in ("deeplift", "lrp", "saliency")] == ["better", "overlaps", "worse"]
    assert [rows[name]["beats_controls"] for name in ("deeplift", "lrp", "saliency")] == [True, False, False]
    assert [rows[name]["rank"] for name in ("deeplift", "lrp", "saliency")] == [1, 2, 3]
    assert (rows["exact"]["part_rank"]["value"], rows["inverted"]["part_rank"]["value"]) == (
        pytest.approx(1),
        pytest.approx(-1),
    )
    assert rows["deeplift"]["redrawn"]["value"] == 0.25  # the size of the correlation, whatever its sign
    assert rows["random"]["redrawn"]["value"] == 1
    assert rows["exact"]["redrawn"] is None
    assert [row["network"] for row in made.rows] == ["small"] * len(made.rows)
    assert set(MEASURES) < set(rows["lrp"])
    assert made.facts["refused"] == [{"method": "occlusion", "title": "Occlusion", "error": "no rule for an operation"}]
    assert made.facts["complete"]
    assert "By part rank DeepLift comes first: 1.00 (1.00 to 1.00)" in made.words
    assert "Better than every control: 1 of 3 methods (DeepLift)." in made.words
    assert "Worse than random: Saliency." in made.words


def test_what_is_written_is_what_each_map_was_judged_to_be(model, tmp_path):
    made = study.leaderboard(model, ["saliency"], tmp_path, scenes=SCENES)
    bench = study._Bench(model, SCENES, 0)
    values, redrawn = [], []
    for number, case in bench.cases:
        found = attribute(model, case.image[None], bench.labels[number], "saliency")
        values.append(judge({"map": found.maps[0]}, case)["map"])
        redrawn.append(abs(found.checks[0].redrawn))
    row = by_name(made)["saliency"]
    for measure in ("part_rank", "cosine", "mass", "deletion", "insertion"):
        expected = mean_over_images([one[measure] for one in values])
        assert row[measure]["value"] == pytest.approx(expected.value, rel=1e-3, abs=1e-4), measure
        assert row[measure]["low"] == pytest.approx(expected.low, rel=1e-3, abs=1e-4), measure
    assert row["redrawn"]["value"] == pytest.approx(np.mean(redrawn[: len(values) // 2]), rel=1e-3, abs=1e-4)
    assert row["seconds"] > 0
    assert made.facts["scenes"]["telling"] == len(values) <= SCENES == made.facts["scenes"]["asked"]
    assert made.facts["scenes"]["accuracy"] is None  # its classes are not those of the scenes


def test_accuracy_is_the_share_of_right_labels(model):
    named = wrap(SmallNet().eval(), 32, class_names=[*CLASS_NAMES[:4], "other"])
    assert study._Bench(named, 4, 0).accuracy is None
    net = SmallNet().eval()
    net.fc = torch.nn.Linear(12, len(CLASS_NAMES))
    with torch.no_grad():
        net.fc.weight.zero_()
        net.fc.bias.copy_(torch.arange(len(CLASS_NAMES)) == 3)
    bench = study._Bench(wrap(net, 32, class_names=CLASS_NAMES), 40, 0)
    assert bench.accuracy == (bench.rendered.labels == 3).sum().item() / 40 > 0


def test_it_goes_on_where_it_was_stopped_and_comes_out_the_same(planted, model, tmp_path, monkeypatch):
    methods = ["saliency", "deeplift", "lrp"]
    calls = []

    def stopped(*given, **more):
        calls.append(given[3])
        if given[3] == "lrp":
            raise KeyboardInterrupt
        return fake(*given, **more)

    fake = study.attribute
    monkeypatch.setattr(study, "attribute", stopped)
    with pytest.raises(KeyboardInterrupt):
        study.leaderboard(model, methods, tmp_path / "a", scenes=SCENES)
    halfway = json.loads((tmp_path / "a" / "small" / "leaderboard.json").read_text())
    assert not halfway["complete"]
    assert {row["method"] for row in halfway["rows"] if not row["control"]} == {"saliency", "deeplift"}
    monkeypatch.setattr(study, "attribute", fake)
    planted.clear()
    made = study.leaderboard(model, methods, tmp_path / "a", scenes=SCENES)
    assert (set(planted), made.made) == ({"lrp"}, 1)
    planted.clear()
    again = study.leaderboard(model, methods, tmp_path / "a", scenes=SCENES)
    assert (planted, again.made, again.rows) == ([], 0, made.rows)
    other = study.leaderboard(model, methods[:2], tmp_path / "b", scenes=SCENES)
    same = lambda row: {key: value for key, value in row.items() if key not in ("seconds", "rank")}  # noqa: E731
    for name in ("saliency", "deeplift", *CONTROLS):
        assert same(by_name(other)[name]) == same(by_name(made)[name])


def test_it_grows_and_other_scenes_get_a_folder_of_their_own(planted, model, tmp_path):
    first = study.leaderboard(model, ["saliency"], tmp_path, scenes=SCENES)
    grown = study.leaderboard(model, ["deeplift"], tmp_path, scenes=SCENES)
    assert grown.folder == first.folder == tmp_path / "small"
    assert grown.facts["methods"] == ["saliency", "deeplift"]
    assert "methods=['saliency', 'deeplift']" in grown.facts["command"]
    other = study.leaderboard(model, ["deeplift"], tmp_path, scenes=SCENES + 1)
    assert other.folder.parent == tmp_path
    assert other.folder != first.folder
    (first.folder / "leaderboard.json").write_text("[")
    assert study.leaderboard(model, ["deeplift"], tmp_path, scenes=SCENES).facts["methods"] == ["deeplift"]
    for path in Path(first.folder).glob("records/*/*.safetensors"):
        path.write_bytes(b"damaged")
    again = study.leaderboard(model, ["deeplift"], tmp_path, scenes=SCENES)
    assert (again.made, again.rows[0]["method"]) == (1, "deeplift")


def test_scenes_of_other_seeds_are_other_scenes(model):
    one, two = study._Bench(model, 5, 0).rendered.seeds, study._Bench(model, 5, 1).rendered.seeds
    assert not set(one) & set(two)
    assert study._Bench(model, 5, 0).key("lrp") != study._Bench(model, 5, 1).key("lrp")
    assert min(one) > 9_020_000  # after the last scene that the bundled networks were tested on


def test_progress_counts_all_methods(planted, model, tmp_path):
    said = []
    study.leaderboard(model, ["saliency", "lrp"], tmp_path, scenes=SCENES, on_progress=lambda *told: said.append(told))
    assert {total for _, total, _ in said} == {3 * SCENES}
    assert [done for done, *_ in said] == sorted(done for done, *_ in said)
    assert list(dict.fromkeys(what for *_, what in said)) == ["controls", "saliency", "lrp"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"methods": "lrp"}, r"methods='lrp' is one text; give a list of names, as \['lrp'\]"),
        ({"methods": []}, "no methods to measure"),
        ({"methods": ["conductance"]}, "no method that draws maps of images: 'conductance'"),
        ({"scenes": 3}, "scenes=3; give a whole number from 4"),
        ({"scenes": True}, "scenes=True"),
        ({"seed": -1}, "seed=-1; give a whole number from 0 to 9999"),
    ],
)
def test_bad_input_is_said_before_anything_is_written(model, tmp_path, given, words):
    with pytest.raises((InputError, UnknownNameError), match=words):
        study.leaderboard(model, **{"methods": ["lrp"], "out": tmp_path / "out", "scenes": 4, **given})
    assert not (tmp_path / "out").exists()


def test_networks_that_cannot_be_asked_are_refused(tmp_path):
    with pytest.raises(InputError, match="a SmallNet is no VisionModel"):
        study.leaderboard(SmallNet(), out=tmp_path)
    with pytest.raises(InputError, match="takes 1 channels of 32 px; scenes have 3"):
        study.leaderboard(wrap(SmallNet(1).eval(), 32, mean=(0.5,), std=(0.5,)), out=tmp_path)
    blind = SmallNet().eval()
    torch.nn.init.zeros_(blind.fc.weight)
    with pytest.raises(
        InputError, match=r"0 of 4 scenes show 3 parts or more whose effects on .* differ; 4 are needed"
    ):
        study.leaderboard(wrap(blind, 32), ["saliency"], tmp_path, scenes=4)


# --- rows


def values(mean, spread=0.0):
    return np.array([mean - spread, mean + spread] * 6)


def rows_with(**deletion):
    pinned = {
        f"{name}/{measure}": values(0.0, 0.01)
        for name in CONTROLS
        for measure in ("part_rank", "cosine", "mass", "deletion", "insertion")
    }
    pinned["exact/part_rank"], pinned["edges/part_rank"] = values(1.0), values(0.4, 0.01)
    methods = [
        Measured(
            name,
            name.title(),
            None,
            {"part_rank": values(rank, 0.01), "deletion": values(area, 0.01), "redrawn": values(drawn)},
        )
        for name, (rank, area, drawn) in deletion.items()
    ]
    return rows_of("net", methods, pinned, 0)


def test_the_reading_says_what_the_numbers_say():
    rows, reading = rows_with(good=(0.9, 0.5, 0.1), fair=(0.3, -0.5, 0.2), lost=(0.0, -0.9, 0.99), bad=(-0.5, 0.2, 0.1))
    assert [row["method"] for row in rows] == ["good", "fair", "lost", "bad", *CONTROLS]
    words = " ".join(reading)
    assert "Better than every control: 1 of 4 methods (Good)." in words
    assert "Better than random, but not than every control: Fair." in words
    assert "Not told apart from random: Lost." in words
    assert "Worse than random: Bad." in words
    assert (
        "Deletion finds 2 of 4 methods better than a random map and 2 better than an edge detector; "
        "it puts Lost first, which by part rank is not better than every control."
    ) in words
    assert "Hardly changed by drawing the top layers anew (above 0.7): Lost." in words
    assert "Insertion" not in words  # no method has it
    _, best = rows_with(good=(0.9, -0.9, 0.1))
    assert "it puts Good first." in " ".join(best)
    _, none = rows_with(lost=(0.0, 0.0, 0.1))
    assert "Better than every control: none of 1 method." in " ".join(none)


def test_without_controls_there_are_no_rows_and_without_methods_no_reading():
    assert rows_of("net", [], {}, 0) == ([], [])
    rows, reading = rows_with()
    assert [row["method"] for row in rows] == list(CONTROLS)
    assert reading == []
    assert tuple(CONTROLS)[:3] == KNOWING_NOTHING


def test_intervals_are_beside_above_or_below():
    own, other = Mean(1.0, 0.9, 1.1, 9), Mean(0.0, -0.1, 0.1, 9)
    assert (against(own, other, "high"), against(own, other, "low"), against(other, own, "high")) == (
        "better",
        "worse",
        "worse",
    )
    assert against(own, own, "high") == "overlaps"
    assert against(None, own, "high") is None


def test_the_record_holds_a_value_for_each_scene(planted, model, tmp_path):
    made = study.leaderboard(model, ["deeplift"], tmp_path, scenes=SCENES)
    record = Store(made.folder).find(study._Bench(model, SCENES, 0).key("deeplift"))
    assert record.arrays["part_rank"].shape == (made.facts["scenes"]["telling"],)
