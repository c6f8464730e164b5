"""Units of hierarchy reports in a real browser: the evidence for what they are called, and the way from one to the next."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browsing import TELEPHONE, Visit
from made_up import HOSTILE, write_gallery
from made_up_hierarchies import PROBE, SIDE, TASKS, MakeHierarchy, hierarchy_facts, label_of, write_hierarchy
from PIL import Image

from layerscope.site.pages import write_site

REPORT, NOTHING = "#/hierarchy/menagerie", "#/hierarchy/untrained"
LAYER = f"{REPORT}/conv2"
UNIT, DEAD = f"{LAYER}/6", f"{LAYER}/0"


# --- units as evidence


def test_telling_units_stand_beside_a_random_sample(report: Any):
    block = report.locator(".layer-block").nth(1)
    assert block.locator("h4").all_inner_texts()[-2:] == ["Most telling", "A random sample"]
    cards = [one.get_attribute("data-unit") for one in block.locator(".coded-unit").all()]
    assert cards == ["1", "2", "0", "7"]
    edge = block.locator(".coded-unit").nth(0).inner_text()
    assert "1.50\u00d7 natural" in edge
    assert "51.0% of redraws" in edge
    assert "bars at 22.5°, 0.125 cycles/px" in edge
    assert "evidence edge 2.00" in edge
    dead = block.locator(".coded-unit").nth(2)
    assert "dead: no picture" in dead.inner_text()
    label = block.locator(".coded-unit").nth(0).locator("canvas").nth(1).get_attribute("aria-label")
    assert label.startswith("Unit 1 of conv2: edge, 51.0% of redraws, edge evidence 2.00; what it sees")


def test_a_crop_shows_what_the_unit_sees_and_nothing_else(visit: Visit, reported: Path):
    page = visit(reported, UNIT)
    canvas = page.locator(".seen-of canvas")
    page.wait_for_function("document.querySelector('.seen-of canvas').dataset.painted === ''")
    shot = np.asarray(Image.open(io.BytesIO(canvas.screenshot())).convert("RGB")).astype(int)
    third = shot.shape[0] / 3
    for place in range(9):
        middle = shot[int((place // 3 + 0.5) * third), int((place % 3 + 0.5) * third)]
        tile = (6 + place) % PROBE
        assert np.abs(middle[1:] - [37 * tile % 256, 91 * tile % 256]).max() <= 3
        assert middle[0] == pytest.approx(255 * 0.5, abs=12)  # the box is from .25 to .75 across
    row = shot[int(third / 2)]
    assert row[3, 0] == pytest.approx(255 * 6 / (SIDE - 1), abs=16)


def test_a_whole_picture_has_a_frame_around_what_the_unit_sees(visit: Visit, reported: Path):
    page = visit(reported, UNIT)
    assert page.locator(".of-nine canvas").count() == 9
    first = page.locator(".of-nine canvas").first
    first.scroll_into_view_if_needed()
    page.wait_for_selector(".of-nine canvas[data-painted]")
    words = "Natural image 1: activation 9.00; it sees 50.0% of the side, from 25.0% of the left and 50.0% of the top"
    assert first.get_attribute("aria-label") == words
    shot = np.asarray(Image.open(io.BytesIO(first.screenshot())).convert("RGB")).astype(int)
    height, width = shot.shape[:2]
    white = shot.min(2) > 120  # no pixel of this picture is
    assert white[int(0.75 * height), int(0.25 * width) - 3 : int(0.25 * width) + 4].any()
    assert white[int(0.5 * height) - 3 : int(0.5 * height) + 4, int(0.5 * width)].any()
    assert not white[int(0.75 * height), int(0.5 * width)]
    assert not white[int(0.25 * height), int(0.5 * width)]


def test_the_page_of_a_unit_has_every_test_beside_its_limits(visit: Visit, reported: Path):
    page = visit(reported, UNIT)
    assert " ".join(page.locator("h1").inner_text().split()) == "conv2:6 object"
    rows = {row.locator(".tag").inner_text(): row.inner_text() for row in page.locator(".tests tbody tr").all()}
    assert list(rows) == ["object", "part", "texture", "colour", "edge"]
    assert [word for word in re.split(r"\s*\t\s*|\n", rows["object"]) if word][2:] == [
        "7.00",
        "yes",
        "yes",
        "passed",
        "turtle AUC 0.875",
    ]
    assert "\u22120.500" in rows["edge"]
    assert "not asked" in rows["edge"]
    assert "not passed" in rows["edge"]
    said = page.locator("main").inner_text()
    assert "same label in 56.0% of redraws: how stable it is" in said
    for words in ("stripes", "turtle", "IoU 0.200 of at most 0.800", "versus scattered", "0.750 0.625 to 0.850"):
        assert words in said
    assert page.locator(".tunings.of-unit svg.plot").count() == 3
    assert "bars at 135° (132° to 138°), selectivity 0.400" in said
    assert "hue 270° (260° to 280°), colour index 0.250" in re.sub(r"\s+", " ", said)
    assert "0.125 cycles per pixel (0.100 to 0.150), bandwidth unknown" in said


def test_a_dead_unit_has_no_curves(visit: Visit, reported: Path):
    page = visit(reported, DEAD)
    assert "It answers to no grating and no hue" in page.locator("main").inner_text()
    assert page.locator(".tunings.of-unit").count() == 0


def test_all_numbers_of_a_unit_can_be_unfolded(visit: Visit, reported: Path):
    page = visit(reported, UNIT)
    page.click(".everything summary")
    facts = dict(
        zip(
            page.locator(".everything dt").all_inner_texts(),
            page.locator(".everything dd").all_inner_texts(),
            strict=True,
        )
    )
    assert facts["object evidence"] == "7"
    assert facts["object passed"] == "yes"
    assert facts["active"] == "0.25"


# --- from page to page


def test_arrow_keys_step_from_unit_to_unit(visit: Visit, reported: Path):
    page = visit(reported, DEAD)
    page.keyboard.press("ArrowLeft")
    assert page.url.endswith("/conv2/0")
    page.keyboard.press("ArrowRight")
    page.wait_for_function("document.querySelector('h1').textContent.startsWith('conv2:1')")
    page.keyboard.press("ArrowLeft")
    page.wait_for_function("document.querySelector('h1').textContent.startsWith('conv2:0')")
    last = visit(reported, f"{LAYER}/15")
    last.keyboard.press("ArrowRight")
    assert last.url.endswith("/conv2/15")


def test_gallery_and_report_link_to_each_other(visit: Visit, reported: Path):
    page = visit(reported, UNIT)
    page.click("text=its picture in the gallery of menagerie")
    page.wait_for_selector(".making pre")
    assert page.url.endswith("#/menagerie/conv2/6")
    page.click(".head a:has-text('hierarchy report')")
    page.wait_for_selector(".tests")
    assert page.url.endswith(UNIT)
    page = visit(reported, "#/menagerie/conv2")
    page.click(".head a:has-text('what its units code')")
    page.wait_for_selector(".coded-grid")
    assert page.url.endswith(LAYER)


def test_what_another_network_or_no_gallery_shows_is_not_linked(visit: Visit, reported: Path):
    assert visit(reported, f"{NOTHING}/conv2/6").locator("a:has-text('gallery')").count() == 0  # another fingerprint
    assert visit(reported, f"{LAYER}/8").locator("a:has-text('gallery')").count() == 0  # the gallery has eight units
    assert visit(reported, f"{REPORT}/conv3/1").locator("a:has-text('gallery')").count() == 0
    assert visit(reported, "#/menagerie/fc/1").locator("a:has-text('hierarchy')").count() == 0


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("#/hierarchy/nobody", "There is no hierarchy report nobody"),
        (f"{REPORT}/conv9", "There is no layer conv9"),
        (f"{LAYER}/16", "There is no unit 16"),
        (f"{LAYER}/-1", "There is no unit -1"),
        (f"{LAYER}/1e0", "There is no unit 1e0"),
        (f"{LAYER}/%3Cimg%20src=x%20onerror=alert(1)%3E", "There is no unit <img src=x onerror=alert(1)>"),
    ],
)
def test_an_address_of_nothing_says_what_there_is(visit: Visit, reported: Path, address: str, words: str):
    page = visit(reported, address)
    assert page.locator("h1").inner_text() == words
    assert page.locator("main a").count() > 0


def test_a_gallery_may_be_called_hierarchy(visit: Visit, tmp_path: Path):
    write_gallery(tmp_path, "hierarchy", units=3)
    write_hierarchy(tmp_path, folder="r")
    write_site(tmp_path)
    assert visit(tmp_path, "#/hierarchy/conv1/1").locator("h1").inner_text() == "conv1:1"
    assert visit(tmp_path, "#/hierarchy/menagerie").locator(".finding").count() == 1


# --- a layer


def units(page: Any) -> list[int]:
    found: list[int] = page.evaluate(
        "[...document.querySelectorAll('.coded-grid .unit')].map((one) => +one.dataset.unit)"
    )
    return found


def test_a_layer_can_be_filtered_by_label_and_sorted_by_evidence(visit: Visit, reported: Path):
    page = visit(reported, LAYER)
    assert units(page) == list(range(16))
    page.select_option("#label", "object")
    assert units(page) == [unit for unit in range(16) if label_of(unit) == "object"]
    assert page.locator(".message").inner_text() == "2 units. 12.5% of the layer."
    page.select_option("#sort", "object_evidence")
    assert units(page) == [14, 6]
    page.locator(".coded-grid", has_text="object evidence 15.0").wait_for()  # cards are filled as they come near
    page.click("#direction")
    assert units(page) == [6, 14]
    assert page.url.endswith("?label=object&sort=object_evidence&down=0")
    again = visit(reported, f"{LAYER}?label=object&sort=object_evidence&down=0")
    assert units(again) == [6, 14]


def test_a_layer_of_many_units_is_quick_and_comes_by_itself(visit: Visit, make_hierarchy: MakeHierarchy):
    folder = make_hierarchy(units=640, layers=("conv1", "wide"))
    write_site(folder)
    page = visit(folder, f"{REPORT}/wide")
    assert len(units(page)) == 640
    assert page.evaluate("document.querySelectorAll('canvas[data-painted]').length") < 300
    scripts = page.evaluate("[...document.scripts].map((one) => one.src).filter((one) => one.includes('/layers/'))")
    assert [script.rpartition("/")[2].partition("?")[0] for script in scripts] == ["wide.js"]


# --- hostile names


def test_no_name_is_ever_run(visit: Visit, tmp_path: Path):
    for turn, name in enumerate(HOSTILE):
        safe = name.replace("\ud800", "?")
        layers = [safe, *(f"{turn} {other}" for other in HOSTILE[:3])]
        made = hierarchy_facts(layers, 16, ("owl",), True, True, True)
        made["units"] |= {
            key: [name] * 64 for key in ("texture", "class", "part_concept", "selective_class", "runner_up")
        }
        made["units"]["label"][3] = name
        made |= {"words": name, "tasks": dict.fromkeys(TASKS, name), "recipe": name}
        header = {"skipped": [name], "command": name, "profile": name}
        write_hierarchy(tmp_path, name, folder=f"r{turn}", layers=layers, facts=made, header=header)
    write_site(tmp_path)
    page = visit(tmp_path, "#/hierarchy", viewport=TELEPHONE)
    links = page.evaluate(
        "[...document.querySelectorAll('.finding-of .titled a')].map((one) => one.getAttribute('href'))"
    )
    assert len(links) == len(HOSTILE)
    for link in links:
        page.evaluate("(link) => { location.hash = link; }", link)
        page.wait_for_selector(".finding")
        assert page.evaluate("document.documentElement.scrollWidth") == 390, link
        for below in page.evaluate(
            "[...document.querySelectorAll('.layer-block h3 a')].slice(0, 1).map((one) => one.hash)"
        ):
            page.evaluate("(link) => { location.hash = link; }", below)
            page.wait_for_selector(".coded-grid")
            assert page.evaluate("document.documentElement.scrollWidth") == 390, below
            page.evaluate("(link) => { location.hash = link; }", f"{below}/3")
            page.wait_for_selector(".tests")
            assert page.evaluate("document.documentElement.scrollWidth") == 390, below
            assert page.locator("main script, main img").count() == 0
        page.evaluate("location.hash = '#/hierarchy'")
        page.wait_for_selector(".findings")
