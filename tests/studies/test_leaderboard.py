"""The leaderboard: planted methods come out in their true order, records go on where they stopped, input is checked."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from small_nets import SmallNet

from layerscope.attribution.methods import attribute
from layerscope.errors import InputError, UnknownNameError
from layerscope.faithfulness.cases import ASKED, exact_answer
from layerscope.faithfulness.explainers import CONTROLS
from layerscope.faithfulness.intervals import mean_over_images
from layerscope.faithfulness.measures.catalogue import JUDGED, MEASURES, judge
from layerscope.models.model import wrap
from layerscope.records import Store
from layerscope.studies import leaderboard as study
from layerscope.studies import leaderboard_study, leaderboard_tiers
from layerscope.studies.leaderboard_sources import CHECKED, SceneSource
from layerscope.studies.leaderboard_tiers import Provable
from layerscope.types import no_progress
from layerscope.world import CLASS_NAMES

SCENES = 6


def network(seed, **more):
    torch.manual_seed(seed)
    return wrap(SmallNet().eval(), 32, name="small", class_names=["a", "b", "c", "d", "e"], **more)


@pytest.fixture(scope="module")
def model():
    return network(5)


@pytest.fixture(scope="module")
def cases(model):
    found, _ = SceneSource(SCENES + 1, 0, 32).cases(model, no_progress)
    return dict(found)


def _key(question):
    return question.image.sum().item(), question.target


@pytest.fixture
def planted(monkeypatch, cases):
    """Methods that know the answers: deeplift is right, saliency has its sign flipped, lrp its pixels shuffled,
    smoothgrad explains the next class, occlusion refuses. Lists what was asked."""
    asked = []
    games = {case.asked.image.sum().item(): case.game for case in cases.values()}

    def answer(name, question):
        if question.exact is None:
            return torch.randn(32, 32, generator=torch.Generator().manual_seed(int(1e3 * question.image.sum())))
        if name == "saliency":
            return -question.exact
        if name == "lrp":
            order = torch.randperm(32 * 32, generator=torch.Generator().manual_seed(len(asked)))
            return question.exact.flatten()[order].view(32, 32)
        game = games.get(question.image.sum().item())
        if name == "smoothgrad" and game is not None:
            return exact_answer(game.effects((question.target + 1) % 5))
        return question.exact

    def fake(name, seed):
        def explain(questions):
            asked.append(name)
            if name == "occlusion":
                raise InputError("no rule for an operation")
            return [answer(name, question) for question in questions]

        return explain

    monkeypatch.setattr(leaderboard_study, "of_method", fake)
    return asked


def board(model, methods, out, **more):
    return study.leaderboard(model, methods, out, **{"scenes": SCENES, "proved": 0, **more})


def by_name(made):
    return {row["method"]: row for row in made.rows}


MUTANTS = ("saliency", "lrp", "smoothgrad")


def test_a_right_method_leads_and_its_mutants_fall(planted, model, tmp_path):
    """Mutation: a sign flipped, a map shuffled, a target off by one; whatever the methods are called."""
    made = board(model, [*MUTANTS, "deeplift", "occlusion"], tmp_path)
    rows = by_name(made)
    assert made.rows[0]["method"] == "deeplift"
    assert [row["method"] for row in made.rows if row["control"]] == list(CONTROLS)
    for measure in ("density_rank", "part_rank", "cosine", "target"):
        right = rows["deeplift"][measure]["value"]
        assert all(right > rows[mutant][measure]["value"] for mutant in MUTANTS), measure
    for mutant in MUTANTS:
        assert rows[mutant]["part_rank"]["high"] < rows["deeplift"]["part_rank"]["low"]
    assert (rows["deeplift"]["part_rank"]["value"], rows["saliency"]["part_rank"]["value"]) == (
        pytest.approx(1),
        pytest.approx(-1),
    )
    assert (rows["exact"]["part_rank"]["value"], rows["inverted"]["part_rank"]["value"]) == (
        pytest.approx(1),
        pytest.approx(-1),
    )
    assert rows["shares"]["shapley_rank"]["value"] == pytest.approx(1)
    assert rows["deeplift"]["against_random"] == "better"
    assert rows["saliency"]["against_random"] == "worse"
    assert rows["deeplift"]["beats_controls"]
    assert not rows["saliency"]["beats_controls"]
    assert [row["rank"] for row in made.rows if not row["control"]] == [1, 2, 3, 4]
    assert [row["network"] for row in made.rows] == ["small"] * len(made.rows)
    assert made.facts["refused"] == [{"method": "occlusion", "title": "Occlusion", "error": "no rule for an operation"}]
    assert made.facts["complete"]
    assert "By part density DeepLift comes first: " in made.words
    assert "Better than all of the 4 controls that know nothing: 1 of 4 methods (DeepLift)." in made.words
    assert "Worse than random: " in made.words


def test_controls_that_know_nothing_are_told_so(planted, model, tmp_path):
    rows = by_name(board(model, ["deeplift"], tmp_path))
    for control in ("centre", "edges", "even"):
        assert rows[control]["target"]["value"] == 0  # the same map for every class
        assert rows[control]["max_sensitivity"]["value"] < 0.2
    assert rows["even"]["density_rank"]["value"] == 0
    assert rows["centre"]["redrawn"]["value"] == pytest.approx(1)
    assert rows["random"]["max_sensitivity"]["value"] > 0.8  # another map for every question
    assert rows["exact"]["distractors"]["value"] == pytest.approx(0, abs=1e-9)
    assert rows["even"]["mass"]["value"] == pytest.approx(1)


def test_what_is_written_is_what_each_map_was_judged_to_be(model, cases, tmp_path):
    made = board(model, ["saliency"], tmp_path)
    values = []
    for number, case in cases.items():
        if number < SCENES:
            found = attribute(model, case.asked.image[None], case.asked.target, "saliency", checks=False)
            values.append(judge(case, {ASKED: found.maps[0]}))
    row = by_name(made)["saliency"]
    for measure in ("part_rank", "shapley_rank", "cosine", "mass", "pointing", "deletion", "insertion"):
        expected = mean_over_images([one[measure] for one in values])
        if expected is None:  # the score hardly falls from image to fill
            assert row[measure] is None, measure
            continue
        assert row[measure]["value"] == pytest.approx(expected.value, rel=1e-3, abs=1e-4), measure
        assert row[measure]["images"] == expected.images
    assert row["seconds"] > 0
    assert made.facts["scenes"]["telling"] == len(values) <= SCENES == made.facts["scenes"]["asked"]
    assert made.facts["scenes"]["accuracy"] is None  # its classes are not those of the scenes
    assert made.facts["familiar"] == []


def test_accuracy_is_the_share_of_right_labels():
    named = wrap(SmallNet().eval(), 32, class_names=[*CLASS_NAMES[:4], "other"])
    assert SceneSource(4, 0, 32)._accuracy(named) is None
    net = SmallNet().eval()
    net.fc = torch.nn.Linear(12, len(CLASS_NAMES))
    with torch.no_grad():
        net.fc.weight.zero_()
        net.fc.bias.copy_(torch.arange(len(CLASS_NAMES)) == 12)
    source = SceneSource(40, 0, 32)
    found = source._accuracy(wrap(net, 32, class_names=CLASS_NAMES))
    assert found == (source.rendered.labels == 12).sum().item() / 40 > 0


def test_it_goes_on_where_it_was_stopped_and_comes_out_the_same(planted, model, tmp_path, monkeypatch):
    methods = ["saliency", "deeplift", "lrp"]
    fake = leaderboard_study.of_method

    def stopped(name, seed):
        if name == "lrp":
            raise KeyboardInterrupt
        return fake(name, seed)

    monkeypatch.setattr(leaderboard_study, "of_method", stopped)
    with pytest.raises(KeyboardInterrupt):
        board(model, methods, tmp_path / "a")
    halfway = json.loads((tmp_path / "a" / "small" / "leaderboard.json").read_text())
    assert not halfway["complete"]
    assert {row["method"] for row in halfway["rows"] if not row["control"]} == {"saliency", "deeplift"}
    monkeypatch.setattr(leaderboard_study, "of_method", fake)
    planted.clear()
    made = board(model, methods, tmp_path / "a")
    assert (set(planted), made.made) == ({"lrp"}, 1)
    planted.clear()
    again = board(model, methods, tmp_path / "a")
    assert (planted, again.made, again.rows) == ([], 0, made.rows)
    other = board(model, methods[:2], tmp_path / "b")
    same = lambda row: {key: value for key, value in row.items() if key not in ("seconds", "rank")}  # noqa: E731
    for name in ("saliency", "deeplift", *CONTROLS):
        assert same(by_name(other)[name]) == same(by_name(made)[name])


def test_it_grows_and_other_scenes_get_a_folder_of_their_own(planted, model, tmp_path):
    first = board(model, ["saliency"], tmp_path)
    grown = board(model, ["deeplift"], tmp_path)
    assert grown.folder == first.folder == tmp_path / "small"
    assert grown.facts["methods"] == ["saliency", "deeplift"]
    assert "methods=['saliency', 'deeplift']" in grown.facts["command"]
    other = board(model, ["deeplift"], tmp_path, scenes=SCENES + 1)
    assert other.folder.parent == tmp_path
    assert other.folder != first.folder
    (first.folder / "leaderboard.json").write_text("[")
    assert board(model, ["deeplift"], tmp_path).facts["methods"] == ["deeplift"]
    for path in tmp_path.glob("records/*/*.safetensors"):
        path.write_bytes(b"damaged")
    again = board(model, ["deeplift"], tmp_path)
    assert (again.made, again.rows[0]["method"]) == (2, "deeplift")


def test_several_trainings_are_one_table_whose_intervals_know_it(planted, model, tmp_path):
    other = network(6)
    alone = board(model, ["saliency", "deeplift", "lrp"], tmp_path / "b")
    made = board([model, other], ["saliency", "deeplift", "lrp"], tmp_path / "b")
    assert (alone.made, made.made) == (4, 4)  # what is known of the first network is found
    assert [one["name"] for one in made.facts["networks"]] == ["small", "small"]
    records = Store(tmp_path / "b")
    keys = [key for key in records.keys() if "part_rank" in records.find(key).arrays]  # noqa: SIM118
    assert len(keys) == 6
    assert by_name(made)["deeplift"]["mass"]["value"] != by_name(alone)["deeplift"]["mass"]["value"]
    with pytest.raises(InputError, match="two of the networks are the same"):
        board([model, model], ["saliency"], tmp_path / "c")
    with pytest.raises(InputError, match="no networks to ask"):
        board([], ["saliency"], tmp_path / "c")
    larger = wrap(SmallNet().eval(), 64)
    with pytest.raises(InputError, match="several networks have to be trainings of one"):
        board([model, larger], ["saliency"], tmp_path / "c")


def test_where_the_answer_is_provable_measures_are_checked(model, tmp_path):
    made = board(model, ["deeplift", "saliency"], tmp_path, proved=4)
    meta = {row["measure"]: row for row in made.facts["meta"]}
    assert list(meta) == list(JUDGED)
    assert meta["part_rank"]["missed"] == []
    assert {"linear", "additive"} <= set(meta["part_rank"]["told"])
    assert meta["swap"]["passes"] is None  # no provable network has parts of another class
    tiers = {tier["tier"]: tier for tier in made.facts["tiers"]}
    right = {name: {row["method"]: row["right"] for row in tier["rows"]} for name, tier in tiers.items()}
    assert right["linear"]["exact"]["value"] == pytest.approx(1)
    assert right["linear"]["deeplift"]["value"] > 0.9 > right["linear"]["saliency"]["value"]
    assert tiers["background"]["better"] == "low"  # and yet 1 is right, an even map 0
    assert right["background"]["exact"]["value"] == pytest.approx(1, abs=1e-6)
    assert right["background"]["even"]["value"] == pytest.approx(0, abs=1e-6)
    assert right["background"]["centre"]["value"] < -0.5
    assert by_name(made)["exact"]["shortcut"]["value"] == pytest.approx(1, abs=0.01)
    failing = {row["measure"] for row in made.facts["meta"] if row["passes"] is False}
    assert failing
    assert not any(one["headline"] for one in made.facts["measures"] if one["name"] in failing)
    again = board(network(7), ["deeplift"], tmp_path, proved=4)  # the same provable networks serve every leaderboard
    assert again.facts["meta"][0]["apart"] == made.facts["meta"][0]["apart"]


def test_proofs_are_of_the_weights_that_shortcuts_are_planted_in(monkeypatch, tmp_path):
    provable = Provable(Store(tmp_path), 4, 0)
    key = provable._key("lrp")
    assert provable._key("lrp") == key != provable._key("saliency")
    monkeypatch.setattr(leaderboard_tiers, "load", lambda name: network(1))
    assert provable._key("lrp") != key


@pytest.mark.parametrize(("scenes", "checked"), [(4, 4), (6, 4), (20, 10), (200, CHECKED), (5000, CHECKED)])
def test_few_scenes_are_checked_by_halves(model, scenes, checked):
    assert study._source(model, scenes, None, None, 0).checked == checked


def test_scenes_of_other_seeds_are_other_scenes():
    one, two = SceneSource(5, 0, 32).rendered.seeds, SceneSource(5, 1, 32).rendered.seeds
    assert not set(one) & set(two)
    assert SceneSource(5, 0, 32).identity != SceneSource(5, 1, 32).identity
    assert min(one) > 9_020_000  # after the last scene that the bundled networks were tested on


def test_progress_never_goes_back_and_ends_at_all_of_it(planted, model, tmp_path):
    said = []
    board(model, ["saliency", "lrp"], tmp_path, on_progress=lambda *told: said.append(told))
    assert {total for _, total, _ in said} == {3 * SCENES}
    assert [done for done, *_ in said] == sorted(done for done, *_ in said)
    assert {"saliency", "lrp", "causes", "even"} <= {what for *_, what in said}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"methods": "lrp"}, r"methods='lrp' is one text; give a list of names, as \['lrp'\]"),
        ({"methods": []}, "no methods to measure"),
        ({"methods": ["conductance"]}, "no method that draws maps of images: 'conductance'"),
        ({"scenes": 3}, "scenes=3; give a whole number from 4"),
        ({"scenes": True}, "scenes=True"),
        ({"seed": -1}, "seed=-1; give a whole number from 0 to 9999"),
        ({"proved": -1}, "proved=-1; give a whole number from 0 to 1000"),
        ({"methods": 5}, "methods=5 is a int; give a list of names"),
        ({"images": ""}, "an empty path for a folder of pictures"),
        ({"masks": "m.json"}, "masks='m.json' without images; give the folder that they are of"),
        ({"images": "nowhere"}, "nowhere"),
    ],
)
def test_bad_input_is_said_in_one_line(model, tmp_path, given, words):
    with pytest.raises((InputError, UnknownNameError), match=words) as said:
        study.leaderboard(model, **{"methods": ["lrp"], "out": tmp_path / "out", "scenes": 4, "proved": 0, **given})
    assert "\n" not in str(said.value)


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
        study.leaderboard(wrap(blind, 32), ["saliency"], tmp_path, scenes=4, proved=0)


def test_the_record_holds_a_value_for_each_scene(planted, model, tmp_path):
    made = board(model, ["deeplift"], tmp_path)
    (record,) = [
        one
        for key in Store(tmp_path).keys()  # noqa: SIM118
        if "part_rank" in (one := Store(tmp_path).find(key)).arrays
    ]
    assert set(record.arrays) == set(MEASURES)
    assert all(values.shape == (SCENES,) for values in record.arrays.values())
    assert np.isfinite(record.arrays["part_rank"]).sum() == made.facts["scenes"]["telling"]
