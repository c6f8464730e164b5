"""What the pages of hierarchy reports claim, in a real browser: nothing that was not found, and every number beside its control."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from browsing import Visit
from made_up_hierarchies import MakeHierarchy, hierarchy_facts, interval

from layerscope.records import write_whole
from layerscope.site.pages import write_site
from layerscope.site.reported_units import hue_colour

REPORT = "#/hierarchy/menagerie"
LAYER = f"{REPORT}/conv2"
LAYERS = ("conv1", "conv2", "conv3", "conv4")
TURNING = "[\u202a-\u202e\u2066-\u2069]"


def whole(layers: tuple[str, ...] = LAYERS) -> dict[str, Any]:
    return hierarchy_facts(layers, 16, ("owl",), True, True, True)


def made(make_hierarchy: MakeHierarchy, facts: dict[str, Any]) -> Path:
    return write_site(make_hierarchy(facts=facts)).parent


# --- beside its control


def test_a_reading_that_is_highest_elsewhere_says_where(visit: Visit, make_hierarchy: MakeHierarchy):
    facts = whole()
    facts["layers"][1]["decodability"]["edge"]["accuracy"] = interval(0.9, 0.04)
    said = visit(made(make_hierarchy, facts), REPORT).locator(".finding").inner_text()
    assert re.search(
        r"edge can be read .* from conv4: 80.0% against 50.0% of the twins, .*; read best from conv2: 90.0%", said
    )
    assert re.search(r"shape can be read .* \(25.0% to 35.0%\)\n", said)


def test_one_number_of_layers_that_code_anything(visit: Visit, make_hierarchy: MakeHierarchy):
    facts = whole()
    facts["layers"][0]["net"]["any"] = interval(0.5, 0.6)  # it has a depth all the same
    page = visit(made(make_hierarchy, facts), REPORT)
    assert page.locator(".tellers dd").nth(1).inner_text() == "3 of 4"
    assert "3 of 4 layers are beyond the twins" in page.locator(".net-of.is-any").inner_text()


def test_the_table_tells_twins_from_what_is_beyond_them(report: Any):
    rows = report.locator(".all-numbers").nth(1).locator("tbody tr")
    cell = rows.nth(3).locator("td").nth(5).inner_text().split("\n")
    assert [line for line in cell if line] == [
        *("80.0%", "76.0% to 84.0%", "twins 50.0%"),
        *("beyond twins +30.0%", "(25.0% to 35.0%)"),
    ]
    assert "not compared with twins" in rows.nth(3).inner_text()


def test_the_worst_layer_of_false_labels_is_named(visit: Visit, make_hierarchy: MakeHierarchy):
    facts = whole()
    facts["layers"][2]["false_rate"] = 0.0625
    said = visit(made(make_hierarchy, facts), REPORT).locator(".finding").inner_text()
    assert "all of these labels are false, at most 6.3% in one layer (conv3)" in said
    assert "In conv3 6.3% of the units of held-out twins are called anything, more than the 5% that is promised" in said


def test_no_layer_is_named_that_keeps_the_promise(report: Any):
    assert "at most" not in report.locator(".tellers").inner_text()
    assert "promised" not in report.locator(".finding").inner_text()


# --- nothing that was not found


@pytest.mark.parametrize(
    ("responds", "passed", "words"),
    [
        (True, True, "Of the textures it likes stripes most, beyond noise of the same spectrum."),
        (False, False, "Strongest of the textures is stripes, but not beyond noise of the same spectrum."),
        (True, False, "but no more beyond noise of the same spectrum than units of random twins."),
    ],
)
def test_a_texture_is_liked_where_its_test_passed(
    visit: Visit, make_hierarchy: MakeHierarchy, responds: bool, passed: bool, words: str
):
    facts = whole()
    facts["units"] |= {"texture_responds": [responds] * 64, "texture_passed": [passed] * 64}
    assert words in visit(made(make_hierarchy, facts), f"{LAYER}/1").locator(".measures-of").inner_text()


def test_a_class_is_told_where_the_test_for_objects_passed(visit: Visit, reported: Path):
    said = visit(reported, f"{LAYER}/1").locator(".measures-of").inner_text()
    assert "Best told of all classes is" in said
    assert "but the test for objects does not pass" in said
    assert (
        "and whole objects from their parts apart" in visit(reported, f"{LAYER}/6").locator(".measures-of").inner_text()
    )


def test_labels_that_change_when_drawn_anew_are_quiet_and_counted(visit: Visit, make_hierarchy: MakeHierarchy):
    facts = whole()
    facts["units"]["confidence"] = [0.3 if unit in (1, 2) else 0.5 for unit in range(16)] * 4
    page = visit(made(make_hierarchy, facts), LAYER)
    assert page.locator(".coded-grid .unsure").all_inner_texts() == ["30.0% of redraws"] * 2
    counted = "2 labels the same in less than half of the redraws"
    assert counted in page.locator(".head").inner_text()
    page.click("#trail a:has-text('menagerie')")
    page.wait_for_selector(".layer-block")
    assert counted in page.locator(".layer-block").first.inner_text()


def test_bars_of_evidence_hide_no_difference(visit: Visit, make_hierarchy: MakeHierarchy):
    facts = whole()
    for test, value in (("object", 13.0), ("part", 60.0), ("texture", 150.0)):
        facts["units"][f"{test}_evidence"] = [value] * 64
    page = visit(made(make_hierarchy, facts), f"{LAYER}/1")
    widths = page.evaluate("[...document.querySelectorAll('.tests .bar-of')].map((one) => one.offsetWidth)")
    assert 0 < widths[0] < widths[1] < widths[2]
    assert page.locator(".bar-of.is-beyond-scale").count() == 1
    assert "not comparable between tests" in page.locator(".why").inner_text()


# --- where links lead


def test_a_layer_says_what_the_report_claims_of_it(visit: Visit, reported: Path):
    page = visit(reported, f"{REPORT}/conv4")
    labels = page.locator(".claims").nth(0).locator("tbody tr").filter(has_text="object").inner_text()
    assert re.sub(r"\s+", " ", labels) == "object 75.0% 3.1% +74.0% 61.5% to 86.5%"
    read = page.locator(".claims").nth(1).locator("tbody tr").filter(has_text="configuration").inner_text()
    assert re.sub(r"\s+", " ", read) == "configuration 80.0% 76.0% to 84.0% 50.0% +30.0% 25.0% to 35.0%"
    assert "depth 3.00 (2.75 to 3.25)" in page.locator(".head").inner_text()


def test_no_link_leads_to_an_empty_filter(report: Any):
    links = report.locator(".finding .standing a").evaluate_all("all => all.map((one) => one.getAttribute('href'))")
    assert f"{REPORT}/conv4?label=object" in links
    assert not [link for link in links if "label=colour" in link]  # nobody has it


def test_a_label_that_nobody_has_can_be_asked_for_and_an_unknown_one_is_none(
    visit: Visit, make_hierarchy: MakeHierarchy
):
    facts = whole()
    facts["units"]["label"] = ["none" if label == "texture" else label for label in facts["units"]["label"]]
    folder = made(make_hierarchy, facts)
    page = visit(folder, f"{LAYER}?label=texture")
    assert page.locator("#label option:checked").inner_text() == "texture (0)"
    assert page.locator(".message").inner_text().startswith("0 units.")
    page = visit(folder, f"{LAYER}?label=nonsense")
    assert page.locator("#label option:checked").inner_text() == "all (16)"
    assert page.locator(".coded-grid .unit").count() == 16


def test_all_files_that_lie_beside_can_be_downloaded(visit: Visit, make_hierarchy: MakeHierarchy):
    folder = make_hierarchy()
    for name in ("hierarchy.png", "hierarchy.svg"):
        write_whole(folder / "hierarchy" / "menagerie" / name, b"picture")
    write_site(folder)
    names = visit(folder, REPORT).locator(".downloads a").all_inner_texts()
    assert names == ["units.csv", "layers.csv", "report.json", "hierarchy.png", "hierarchy.svg"]


# --- hues and names


def test_a_hue_has_its_colour_beside_its_number(visit: Visit, reported: Path):
    page = visit(reported, f"{LAYER}/3")  # 135 degrees
    assert page.locator(".lead .is-hue").evaluate("(one) => one.style.getPropertyValue('--tone')") == hue_colour(135)
    words = page.locator(".hue text").all_text_contents()
    assert words == ["red 0°", "blue 90°", "green 180°", "yellow 270°"]
    assert "colour index: dashed 0, rim 1" in visit(reported, LAYER).locator(".tunings").inner_text()


def test_no_name_turns_the_direction_of_the_words_around_it(visit: Visit, make_hierarchy: MakeHierarchy):
    layers = ("\u202egnp.exe\u202d", "\u2067b\u2069", "c", "d")
    folder = make_hierarchy("\u202enetwork", folder="r", layers=layers, facts=whole(layers))
    page = visit(write_site(folder).parent, "#/hierarchy")
    for step, then in (
        (".finding-of .titled a", ".finding"),
        (".layer-block h3 a", ".coded-grid"),
        (".coded-grid a", ".tests"),
    ):
        page.locator(step).first.click()
        page.wait_for_selector(then)
        assert not re.search(TURNING, page.title()), then
        turning = f"""[...document.querySelectorAll('[aria-label], [title], title, main *')].filter((one) =>
            /{TURNING}/.test((one.ariaLabel ?? '') + (one.title ?? '') + one.textContent)
            && !one.closest('pre') && !one.querySelector('pre')).length"""
        assert page.evaluate(turning) == 0, then
