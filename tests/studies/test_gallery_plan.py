"""Plans of galleries: what they count, what they predict with given rates, and that progress keeps to it."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import pytest
import torch
from PIL import Image

import layerscope as ls
from layerscope.errors import InputError, UnknownNameError
from layerscope.studies import planned_naturals
from layerscope.studies.gallery import gallery
from layerscope.studies.gallery_plan import duration, gallery_plan
from layerscope.studies.natural_paths import layers_before
from layerscope.studies.planned_loads import picked_loads
from layerscope.studies.planned_naturals import NaturalCosts
from layerscope.studies.probe import open_probe
from layerscope.synthesis import cost
from layerscope.synthesis.cost import Rates
from layerscope.synthesis.recipes import recipe_for
from layerscope.types import Counted

RATES = Rates(per_pixel=1e-6, per_mac=1e-9, start=0.5, cores=1.6)


@pytest.fixture
def known_rates(monkeypatch):
    """What is timed: the layers with the least and the most work; and the rates that come of it."""
    timed: list[list[str]] = []

    def calibrate(model, samples, threads):
        timed.append([str(objectives[0]) for _, _, objectives in samples])
        return RATES

    monkeypatch.setattr(cost, "calibrate", calibrate)
    return timed


def test_a_row_says_what_the_layer_takes(model, tmp_path, known_rates):
    plan = gallery_plan(model, "*", tmp_path / "out", recipe="draft", probe=None)
    assert [(row.layer, row.units, row.found) for row in plan.rows] == [("0", 6, 0), ("2", 10, 0), ("6", 3, 0)]
    for row in plan.rows:
        recipe = recipe_for("draft", model.layer(row.layer), model)
        layers = ("",) if row.layer == "6" else (row.layer,)
        ((_, load),) = picked_loads(model, [(recipe, layers)])
        assert (row.recipe, row.load) == (recipe, load)
        assert row.core_seconds == pytest.approx(RATES.call(load, recipe, row.units))
    assert plan.core_seconds == pytest.approx(sum(row.core_seconds for row in plan.rows))
    assert plan.seconds == pytest.approx(plan.core_seconds / RATES.cores)
    assert [[name.split()[-1] for name in names] for names in known_rates] == [["0:0", "2:0", "one"]]
    assert not list(tmp_path.iterdir())


def test_layers_wider_than_a_chunk_take_several_calls(known_rates):
    torch.manual_seed(0)
    wide = ls.wrap(torch.nn.Sequential(torch.nn.Conv2d(3, 69, 3)), 32)
    plan = gallery_plan(wide, "0", recipe="draft", probe=None)
    (row,) = plan.rows
    calls = [RATES.call(row.load, row.recipe, size) for size in (32, 32, 5)]
    assert (row.chunks, row.core_seconds) == (3, pytest.approx(sum(calls)))
    for workers, size, chunks in ((1, 32, 3), (2, 16, 5), (9, 8, 9), (20, 8, 9)):
        shared = gallery_plan(wide, "0", recipe="draft", probe=None, workers=workers)
        whole = sum(RATES.call(row.load, row.recipe, min(size, 69 - start)) for start in range(0, 69, size))
        assert shared.rows[0].chunks == chunks
        assert shared.seconds == pytest.approx(whole / min(workers, chunks))
    three = gallery_plan(wide, "0", recipe="draft", probe=None, seeds=3)
    moved = 69 * 3 * 5 * RATES.per_mac * row.load.macs / 2  # each picture and four moved copies of it
    assert three.core_seconds == pytest.approx(3 * sum(calls) + RATES.call(row.load, row.recipe, 8) + moved)


def test_of_the_climbed_convolution_only_as_many_channels_count_as_climb_at_a_time(model):
    """10 units and a batch of 8: 2 channels of 6 x 3 x 3 weights at 14 x 14 places are left out, there and back."""
    recipe = recipe_for("draft", model.layer("2"), model)
    ((_, whole),), ((_, picked),) = (count(model, [(recipe, ("2",))]) for count in (cost.loads, picked_loads))
    assert (recipe.together, whole.pixels) == (8, picked.pixels)
    rows, columns = model.layer("2").shape[1:]
    assert whole.macs - picked.macs == 2 * 2 * rows * columns * model.module[2].weight[0].numel()
    first, last = (recipe, ("0",)), (recipe, ("",))  # 6 units, and the output: as they are
    assert picked_loads(model, [first, last]) == cost.loads(model, [first, last])


def test_what_is_there_already_costs_nothing(model, tmp_path, known_rates):
    made = gallery(model, ["2:1", "2:7", "6"], tmp_path, recipe="draft", probe=None)
    plan = gallery_plan(model, "*", tmp_path, recipe="draft", probe=None)
    assert {row.layer: row.found for row in plan.rows} == {"0": 0, "2": 2, "6": 3}
    assert plan.rows[2].core_seconds == 0
    assert plan.rows[1].core_seconds == pytest.approx(RATES.call(plan.rows[1].load, plan.rows[1].recipe, 8))
    assert "5 of them there already" in repr(plan)
    for other in ({"seed": 1}, {"recipe": "standard"}, {"probe": "menagerie"}, {"seeds": 2}):
        asked = {"recipe": "draft", "probe": None, **other}
        assert not any(row.found for row in gallery_plan(model, "2", tmp_path, **asked).rows), other
    records = sorted(made.folder.rglob("*.safetensors"))
    assert len(records) == 5
    for record in records:
        record.unlink()
    assert not any(row.found for row in gallery_plan(model, "*", tmp_path, recipe="draft", probe=None).rows)


def test_pictures_of_another_recipe_by_the_same_name_are_not_there(model, tmp_path, known_rates, monkeypatch):
    """As those are that were made on a machine of another number format."""
    asked = {"out": tmp_path, "recipe": "draft", "probe": None}
    gallery(model, ["2:1", "6"], **asked)
    assert [row.found for row in gallery_plan(model, ["2", "6"], **asked).rows] == [1, 3]
    whole = recipe_for

    def elsewhere(name, layer, network):
        made = whole(name, layer, network)
        return made if layer is None or layer.name == "6" else replace(made, precision="bfloat16")

    for module in ("gallery", "gallery_plan"):
        monkeypatch.setattr(f"layerscope.studies.{module}.recipe_for", elsewhere)
    assert [row.found for row in gallery_plan(model, ["2", "6"], **asked).rows] == [0, 3]
    made = gallery(model, ["2:1", "6"], **asked)
    assert (made.made, made.found) == (1, 3)
    assert [row.found for row in gallery_plan(model, ["2", "6"], **asked).rows] == [1, 3]


def test_pictures_beside_other_natural_images_are_not_there(model, tmp_path, known_rates, monkeypatch):
    for number in range(6):
        path = tmp_path / "photos" / f"class {number % 2}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 40), (number, 90, 200)).save(path)
    asked = {"out": tmp_path / "out", "recipe": "draft", "probe": str(tmp_path / "photos")}
    gallery(model, "6", **asked)
    monkeypatch.setattr(planned_naturals, "read_pictures", None)  # no picture is read to find out
    assert gallery_plan(model, "6", **asked).rows[0].found == 3
    path.with_name("another.png").write_bytes(path.read_bytes())
    monkeypatch.undo()
    monkeypatch.setattr(cost, "calibrate", lambda *given: RATES)
    assert gallery_plan(model, "6", **asked).rows[0].found == 0


def test_nothing_is_measured_where_all_is_there(model, tmp_path, known_rates):
    gallery(model, "6", tmp_path, recipe="draft", probe=None)
    plan = gallery_plan(model, "6", tmp_path, recipe="draft", probe=None)
    assert (plan.core_seconds, plan.seconds, known_rates) == (0, 0, [])


def test_natural_images_are_in_the_plan(model, known_rates, monkeypatch):
    monkeypatch.setattr("layerscope.studies.planned_naturals.MENAGERIE_PROBE", 200)
    ticks = iter([10.0, 12.0, 20.0, 24.0, 30.0, 39.0])  # 8 are looked at; 32 are opened, then 128
    monkeypatch.setattr(cost, "core_clock", lambda model: lambda: next(ticks))
    plan = gallery_plan(model, ["0", "2"], recipe="draft", workers=2)
    names = [layer.name for layer in layers_before(model, model.layer("2"))]
    macs = {name: cost.forward_macs(model, model.input_size, [(name,)])[name,] for name in ("0", "2", *names)}
    earlier = {name: layers_before(model, model.layer(name)) for name in ("0", "2")}
    opening = 4 + (9 - 4) / (128 - 32) * (200 - 32)
    shown = NaturalCosts(200, opening, 2 / 8, 2 / 8 / macs["2"], macs, earlier)
    assert names
    assert plan.opening_seconds == pytest.approx(opening)
    assert plan.natural_seconds == pytest.approx(shown.looking({"0": 6, "2": 10}))
    forwards = [row.units * shown.per_mac * row.load.macs / 2 for row in plan.rows]
    compared = [shown.compared("0", 6), shown.compared("2", 10)]
    assert compared[0] == 0 < compared[1]
    assert [row.card_seconds for row in plan.rows] == pytest.approx(
        [sum(one) for one in zip(forwards, compared, strict=True)]
    )
    rows = sum(row.core_seconds for row in plan.rows)
    assert plan.core_seconds == pytest.approx(opening + plan.natural_seconds + rows)
    assert plan.seconds == pytest.approx(opening + (plan.natural_seconds + rows) / 2)


def test_natural_images_are_run_once_for_all_units_that_memory_holds(model, monkeypatch):
    """Against draws of 8 images for each of 3 and 5 units; and once more where memory holds half of their ranks."""
    draw = torch.randint(60, (4000, 8 * 8), generator=torch.Generator().manual_seed(0))
    different = sum(len(set(row)) for row in draw.tolist()) / len(draw)
    earlier = {"a": (), "b": (model.layer("0"),), "c": (model.layer("0"), model.layer("2"))}
    costs = NaturalCosts(60, opening=9, per_image=1e-1, per_mac=1e-3, macs={"0": 40, "2": 70}, earlier=earlier)
    monkeypatch.setattr("layerscope.studies.planned_naturals._PER_ROW", 0)
    assert costs.looking({"a": 30}) == pytest.approx(6)
    assert costs.looking({"b": 3, "c": 5}) == pytest.approx(6 + different * 70e-3, rel=0.01)
    monkeypatch.setattr("layerscope.studies.planned_naturals.MEMORY", (3 * 6 + 5 * 16) * 8)
    assert costs.looking({"b": 3, "c": 5}) == pytest.approx(6 + 2 * different * 70e-3, rel=0.01)


def test_a_folder_of_pictures_is_counted_and_not_all_read(model, tmp_path, known_rates, monkeypatch):
    for number in range(30):
        path = tmp_path / "photos" / f"class {number % 3}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 40), (number, 90, 200)).save(path)
    ticks = iter([0.0, 8.0, 9.0, 9.0, 9.0, 9.0])
    monkeypatch.setattr(cost, "core_clock", lambda model: lambda: next(ticks))
    plan = gallery_plan(model, "2", recipe="draft", probe=str(tmp_path / "photos"))
    assert (plan.opening_seconds, plan.rows[0].units) == (0, 10)
    assert plan.natural_seconds > 30


def test_the_plan_as_json_and_in_words(model, tmp_path, known_rates):
    plan = gallery_plan(model, ["2", "6:1"], tmp_path, recipe="draft", probe=None, workers=3)
    facts = json.loads(json.dumps(plan.facts()))
    row = facts["layers"][0]
    assert row == {
        "layer": "2",
        "units": 10,
        "found": 0,
        "picture": 32,
        "canvas": plan.rows[0].recipe.wander.canvas,
        "shown": 32,
        "steps": 64,
        "batch": 8,
        "macs": plan.rows[0].load.macs,
        "core_seconds": round(plan.rows[0].core_seconds, 3),
        "card_core_seconds": 0,
    }
    assert facts["core_hours"] == pytest.approx(plan.core_seconds / 3600, abs=1e-4)
    assert facts["workers"] == 3
    assert repr(plan).startswith(f"GalleryPlan({model.name!r}: 11 units of 2 layers: ")
    assert repr(plan).endswith(" on 3 workers)")
    assert "<table" in plan._repr_html_()
    assert ls.gallery_plan is gallery_plan


@pytest.mark.parametrize(("seconds", "words"), [(0.04, "0.0 s"), (8.2, "8.2 s"), (80, "80 s"), (90, "1.5 min"), (1000, "17 min"), (5400, "1.5 h"), (1e6, "278 h")])  # fmt: skip
def test_durations(seconds, words):
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [({"units": "conv9"}, UnknownNameError, "no layer 'conv9'"), ({"recipe": "quick"}, UnknownNameError, "no recipe 'quick'"),
     ({"probe": "nowhere"}, InputError, "no folder 'nowhere'"), ({"seeds": 0}, InputError, "^seeds=0; give a whole number from 1 to 1,000"),
     ({"units": 5}, InputError, "^units=5 names no units; give texts"), ({"units": None}, InputError, "^units=None names no units"),
     ({"units": ["2:1", 5]}, InputError, r"^units=\['2:1', 5\] names no units"),
     ({"seed": "a"}, InputError, "^seed='a'; give a whole number of at least 0$"), ({"seed": None}, InputError, "^seed=None; give a whole number"),
     ({"probe": 5}, InputError, "^probe=5 is no path; give a text or a pathlib.Path$"), ({"out": 5}, InputError, "^out=5 is no path"),
     ({"on_progress": "a"}, InputError, "^on_progress='a' is no function; give one that takes")],
)  # fmt: skip
def test_what_cannot_be_planned_is_said(model, arguments, error, message):
    with pytest.raises(error, match=message):
        gallery_plan(model, **arguments)


@pytest.mark.parametrize(
    ("workers", "words"), [(0, "0"), (1.5, "1.5"), (float("nan"), "nan"), ("a", "'a'"), (True, "True")]
)
def test_workers_are_a_whole_number(model, workers, words):
    with pytest.raises(InputError) as caught:
        gallery_plan(model, "2", workers=workers)
    assert str(caught.value) == f"workers={words}; give a whole number of at least 1, or None for this process"


def test_one_of_a_kind_is_said_so(model, tmp_path, known_rates):
    words = gallery_plan(model, "6:1", tmp_path, recipe="draft", probe=None, workers=1).words
    assert words.startswith("1 unit of 1 layer: ")
    assert words.endswith(" on 1 worker")


def test_a_bare_module_is_told_to_be_wrapped(model):
    with pytest.raises(InputError, match="a Sequential is no VisionModel"):
        gallery_plan(model.module)


def test_progress_of_a_gallery_is_told_in_units_and_in_work(model, tmp_path, monkeypatch):
    monkeypatch.setattr("layerscope.studies.gallery.CHUNK", 4)
    gallery(model, "2:3", tmp_path, recipe="draft", probe=None)
    told: list[tuple[Counted, int, str]] = []
    gallery(model, "*", tmp_path, recipe="draft", probe=None, on_progress=lambda *one: told.append(one))
    assert [(int(done), total, what) for done, total, what in told] == [
        (1, 19, "0"), (5, 19, "0"), (7, 19, "0"), (11, 19, "2"), (15, 19, "2"), (16, 19, "2"), (19, 19, "6")
    ]  # fmt: skip
    layers = {name: recipe_for("draft", model.layer(name), model) for name in "026"}
    read = [(layers["0"], ("0",)), (layers["2"], ("2",)), (layers["6"], ("",))]
    work = dict(zip("026", cost.shares(model, read), strict=True))
    whole = 6 * work["0"] + 10 * work["2"] + 3 * work["6"]
    assert told[0][0].share == pytest.approx(work["2"] / whole)
    assert told[3][0].share == pytest.approx((6 * work["0"] + 5 * work["2"]) / whole)
    assert told[-1][0].share == 1


@pytest.mark.slow
@pytest.mark.parametrize("spec", ["torchvision:resnet18", "torchvision:mobilenet_v3_large", "menagerie"])
def test_the_plan_is_right_within_a_quarter(tmp_path, spec, monkeypatch):
    """Core-seconds of this process: planned, and then taken by a gallery of an early, a middle and a deep layer; of the
    bundled network with its natural images."""
    monkeypatch.setattr("layerscope.studies.gallery.open_probe", open_probe)  # all of it, unlike in other tests
    model = ls.load_model(spec, weights=None if spec == "menagerie" else "none")
    convolutions = [layer for layer in model.layers() if layer.kind == "Conv2d"]
    chosen = [convolutions[len(convolutions) * share // 4] for share in (0, 2, 3)]
    units = [f"{layer.name}:{unit}" for layer in chosen for unit in range(min(layer.units, 32))]
    asked = {"recipe": "draft", "probe": "menagerie" if spec == "menagerie" else None}
    gallery(model, units[0], tmp_path / "warm", recipe="draft", probe=None)
    plan = gallery_plan(model, units, tmp_path / "out", **asked)
    began = time.process_time()
    gallery(model, units, tmp_path / "out", **asked)
    taken = time.process_time() - began
    print(f"{spec}: {plan.core_seconds:.1f} s planned, {taken:.1f} s taken, {plan.core_seconds / taken:.2f}")
    assert 1 / 1.25 < plan.core_seconds / taken < 1.25
