"""Plans of galleries: what they count, what they predict with given rates, and that progress keeps to it."""

from __future__ import annotations

import json
import time

import pytest
import torch

import layerscope as ls
from layerscope.errors import InputError, UnknownNameError
from layerscope.studies.gallery import CHUNK, gallery
from layerscope.studies.gallery_plan import duration, gallery_plan
from layerscope.studies.planned_naturals import NaturalCosts
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
        ((_, load),) = cost.loads(model, [(recipe, layers)])
        assert (row.recipe, row.load) == (recipe, load)
        assert row.core_seconds == pytest.approx(RATES.call(load, recipe, row.units))
    assert plan.core_seconds == pytest.approx(sum(row.core_seconds for row in plan.rows))
    assert plan.seconds == pytest.approx(plan.core_seconds / RATES.cores)
    assert [[name.split()[-1] for name in names] for names in known_rates] == [["0:0", "2:0", "one"]]
    assert not list(tmp_path.iterdir())


def test_layers_wider_than_a_chunk_take_several_calls(known_rates):
    torch.manual_seed(0)
    wide = ls.wrap(torch.nn.Sequential(torch.nn.Conv2d(3, 2 * CHUNK + 5, 3)), 32)
    plan = gallery_plan(wide, "0", recipe="draft", probe=None)
    (row,) = plan.rows
    calls = [RATES.call(row.load, row.recipe, size) for size in (CHUNK, CHUNK, 5)]
    assert row.core_seconds == pytest.approx(sum(calls))
    assert gallery_plan(wide, "0", recipe="draft", probe=None, workers=2).seconds == pytest.approx(sum(calls) / 2)
    assert gallery_plan(wide, "0", recipe="draft", probe=None, workers=9).seconds == pytest.approx(sum(calls) / 3)
    three = gallery_plan(wide, "0", recipe="draft", probe=None, seeds=3)
    assert three.core_seconds == pytest.approx(3 * sum(calls) + RATES.call(row.load, row.recipe, 8))


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


def test_nothing_is_measured_where_all_is_there(model, tmp_path, known_rates):
    gallery(model, "6", tmp_path, recipe="draft", probe=None)
    plan = gallery_plan(model, "6", tmp_path, recipe="draft", probe=None)
    assert (plan.core_seconds, plan.seconds, known_rates) == (0, 0, [])


def test_natural_images_are_in_the_plan(model, known_rates, monkeypatch):
    monkeypatch.setattr("layerscope.studies.planned_naturals.MENAGERIE_PROBE", 50)
    ticks = iter([10.0, 14.0, 16.0])
    monkeypatch.setattr(cost, "core_clock", lambda model: lambda: next(ticks))
    plan = gallery_plan(model, ["0", "2"], recipe="draft", workers=2)
    assert plan.natural_seconds == pytest.approx((16 - 10) / 8 * 50)
    macs = [cost.forward_macs(model, model.input_size, [(name,)])[name,] for name in ("0", "2")]
    per_mac = (16 - 14) / 8 / macs[1]
    shown = NaturalCosts(50, plan.natural_seconds, per_mac, dict(zip("02", macs, strict=True)))
    assert [row.card_seconds for row in plan.rows] == pytest.approx([shown.cards("0", 6), shown.cards("2", 10)])
    pictures = [row.picture_seconds for row in plan.rows]
    assert plan.seconds == pytest.approx(
        plan.natural_seconds + max(sum(pictures) / 2, shown.cards("0", 6) + shown.cards("2", 10))
    )


def test_cards_look_at_each_image_once():
    """Against draws of 24 images for each of 3 units."""
    draw = torch.randint(60, (4000, 3 * 24), generator=torch.Generator().manual_seed(0))
    different = sum(len(set(row)) for row in draw.tolist()) / len(draw)
    costs = NaturalCosts(60, whole=0, per_mac=1e-3, macs={"a": 7})
    assert costs.cards("a", 3) == pytest.approx(different * 7e-3, rel=0.01)


def test_a_folder_of_pictures_is_counted_and_not_all_read(model, tmp_path, known_rates, monkeypatch):
    from PIL import Image

    for number in range(30):
        path = tmp_path / "photos" / f"class {number % 3}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 40), (number, 90, 200)).save(path)
    ticks = iter([0.0, 0.0, 8.0])
    monkeypatch.setattr(cost, "core_clock", lambda model: lambda: next(ticks))
    plan = gallery_plan(model, "2", recipe="draft", probe=str(tmp_path / "photos"))
    assert plan.natural_seconds == pytest.approx(30)


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
     ({"probe": "nowhere"}, InputError, "no folder 'nowhere'"), ({"workers": 0}, InputError, "workers=0 make no gallery; give 1 or more"),
     ({"seeds": 0}, InputError, "seeds=0")],
)  # fmt: skip
def test_what_cannot_be_planned_is_said(model, arguments, error, message):
    with pytest.raises(error, match=message):
        gallery_plan(model, **arguments)


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
def test_the_plan_is_right_within_a_quarter(tmp_path, spec):
    """Core-seconds of this process: planned, and then taken by a gallery of an early, a middle and a deep layer."""
    model = ls.load_model(spec, weights=None if spec == "menagerie" else "none")
    convolutions = [layer for layer in model.layers() if layer.kind == "Conv2d"]
    chosen = [convolutions[len(convolutions) * share // 4] for share in (0, 2, 3)]
    units = [f"{layer.name}:{unit}" for layer in chosen for unit in range(min(layer.units, CHUNK))]
    gallery(model, units[0], tmp_path / "warm", recipe="draft", probe=None)
    plan = gallery_plan(model, units, tmp_path / "out", recipe="draft", probe=None)
    began = time.process_time()
    gallery(model, units, tmp_path / "out", recipe="draft", probe=None)
    taken = time.process_time() - began
    print(f"{spec}: {plan.core_seconds:.1f} s planned, {taken:.1f} s taken, {plan.core_seconds / taken:.2f}")
    assert 1 / 1.25 < plan.core_seconds / taken < 1.25
