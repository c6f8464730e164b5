"""The site in a real browser, opened from the disk: what people see, press and follow."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browsing import FAINT_WORDS, TELEPHONE, Visit, as_shown, fits_a_telephone
from made_up import HOSTILE, MakeGallery, picture, write_gallery
from PIL import Image

from layerscope.site.pages import write_site

LAYER = "#/menagerie/conv1"
ADDRESSES = ("", "#/menagerie", LAYER, f"{LAYER}/3", "#/menagerie/fc/1", f"{LAYER}?with=robust")


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two networks with the same layers, of which the second is half made; to look at only."""
    folder = tmp_path_factory.mktemp("site")
    write_gallery(folder, units=12)
    write_gallery(folder, "robust", units=12, made=lambda index: index < 9)
    return write_site(folder).parent


def shown(page: Any) -> list[int]:
    return [int(one.get_attribute("data-unit")) for one in page.query_selector_all(".unit")]


# --- every page


@pytest.mark.parametrize("address", ADDRESSES)
def test_every_page_draws_pictures_with_a_number_under_each(visit: Visit, site: Path, address: str):
    page = visit(site, address)
    for link in page.query_selector_all(".contact li, .half > a, .made"):
        assert link.query_selector("canvas[role=img]").get_attribute("aria-label").startswith("Unit ")
        assert re.search(r"\d\.\d\d\u00d7|score \d", link.inner_text()), link.inner_text()
    assert page.title().endswith("Layerscope")
    assert page.locator("h1").count() == 1


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_telephone_shows_every_page_without_scrolling_sideways(visit: Visit, site: Path, address: str):
    page = visit(site, address, viewport=TELEPHONE, device_scale_factor=2)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert page.evaluate("getComputedStyle(document.body).fontSize") == "15px"


@pytest.mark.parametrize("address", ADDRESSES)
def test_words_stand_out_from_their_ground(visit: Visit, site: Path, address: str):
    page = visit(site, address)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert page.evaluate(FAINT_WORDS) == [], scheme


def test_pictures_are_painted_with_their_own_colours(visit: Visit, site: Path):
    page = visit(site, LAYER)
    page.wait_for_function("document.querySelectorAll('.unit canvas[data-painted]').length === 24")
    shot = page.locator(".unit[data-unit='5'] canvas").first.screenshot()
    seen = np.asarray(Image.open(io.BytesIO(shot)).convert("RGB")).astype(int)
    middle = seen[seen.shape[0] // 2, seen.shape[1] // 2]
    assert np.abs(middle[1:] - picture(5)[8, 8, 1:]).max() <= 2


# --- addresses


def test_from_the_first_page_to_a_unit_and_back(visit: Visit, site: Path):
    page = visit(site)
    page.click("article.card h2 a")
    page.click("table.layers tr:nth-child(2) a")
    page.click(".unit[data-unit='4'] a")
    page.wait_for_selector(".numbers")
    assert page.url.endswith("#/menagerie/conv2/4")
    assert page.locator("#trail").inner_text().split() == ["Layerscope", "menagerie", "conv2", "#4"]
    page.go_back()
    page.wait_for_selector(".grid")
    assert len(shown(page)) == 12


def test_a_deep_link_opens_its_unit_with_every_number(visit: Visit, site: Path):
    page = visit(site, f"{LAYER}/3")
    assert page.locator("h1").inner_text() == "conv1:3"
    rows = {row[0]: row[1] for row in (one.inner_text().split("\t") for one in page.query_selector_all(".numbers tr"))}
    expected = {"score": "2.20", "control": "0.250", "natural": "2.00", "ratio": "1.10\u00d7", "saturated": "17.0%"}
    assert rows["status"].strip() == "weak"
    assert {name: rows[name].strip() for name in expected} == expected
    assert page.locator(".exemplars li").count() == 3
    assert page.locator(".exemplars li").first.inner_text().split() == ["house", "2.00"]
    assert page.locator(".trace path.curve").count() == 1
    assert "ls.maximise(ls.load_model('menagerie'), [ls.channel('conv1:3')]" in page.locator("pre").inner_text()
    assert "why it is weak" in page.locator(".numbers").inner_text()


def test_the_line_of_python_can_be_copied(visit: Visit, site: Path):
    page = visit(site, f"{LAYER}/3")
    page.click(".copy")
    page.wait_for_function("['Copied', 'Selected'].includes(document.querySelector('.copy').textContent)")
    assert page.locator(".copy").inner_text() in ("Copied", "Selected")


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("#/nobody", "There is no network nobody"),
        ("#/menagerie/conv9", "There is no layer conv9"),
        ("#/menagerie/conv1/999", "This unit is not made; 12 of 12 of its layer are."),
        ("#/robust/conv1/11", "This unit is not made; 9 of 12 of its layer are."),
        ("#/%", "There is no network %"),
    ],
)
def test_an_address_that_leads_nowhere_says_what_there_is(visit: Visit, site: Path, address: str, words: str):
    page = visit(site, address)
    assert words in page.locator("main").inner_text()
    assert page.locator("main a").count() >= 1


def test_a_layer_whose_file_is_gone_says_so(browser: Any, make_gallery: MakeGallery):
    site = write_site(make_gallery()).parent
    (site / "site" / "layers" / "menagerie" / "conv1.js").unlink()
    page = browser.new_page()
    page.goto((site / "index.html").as_uri() + LAYER)
    page.wait_for_selector("h1")
    assert "site/layers/menagerie/conv1.js" in page.locator("main").inner_text()
    assert "cannot be read; write the site again" in page.locator("main").inner_text()
    page.close()


def test_what_is_not_made_yet_is_counted(visit: Visit, site: Path):
    page = visit(site)
    assert "9 of 12 made" in visit(site, "#/robust/conv1").locator(".summary").inner_text()
    assert "22 of 28 made" in page.locator("article.card").nth(1).inner_text()


def test_a_gallery_of_which_nothing_is_made(visit: Visit, make_gallery: MakeGallery):
    folder = make_gallery(made=lambda index: False)
    write_site(folder)
    assert "nothing made yet" in visit(folder).locator(".hierarchy").inner_text()
    assert "0 of 10 made" in visit(folder, "#/menagerie").locator("table").inner_text()
    assert "Nothing is made yet" in visit(folder, LAYER).locator("#count").inner_text()


def test_without_natural_images_the_score_stands_under_the_picture(visit: Visit, make_gallery: MakeGallery):
    folder = make_gallery(natural=False, facts={"probe": None})
    write_site(folder)
    for address in ("", "#/menagerie/conv1", "#/menagerie"):
        visit(folder, address)
    assert "score 1.00" in visit(folder, LAYER).locator(".unit").first.inner_text()
    page = visit(folder, "#/menagerie/conv1/0")
    assert "no ratio: no natural images were looked at" in page.locator(".made").inner_text()
    assert "made without a probe set" in page.locator(".natural").inner_text()


# --- the grid


FILTERS = {
    "7": [7],
    "#11": [11],
    "weak": [3, 7, 11],
    "dead": [6],
    "ratio>1.2": [4, 5, 6, 7, 8, 9, 10, 11],
    "ratio >= 1.3 ratio<=1.7x": [4, 5, 6],
    "saturated<10%": [11],
    "score=2.2": [3],
    "unit<3 owl": [0, 2],
    "converged unit>8": [9, 10],
    "why it is dead": [6],
    "nonsense": [],
    "": list(range(12)),
}


def test_the_filter(visit: Visit, site: Path):
    page = visit(site, LAYER)
    for words, units in FILTERS.items():
        page.fill("#filter", words)
        assert shown(page) == units, words
        count = page.locator("#count").inner_text()
        assert count == {0: "No unit matches the filter.", 12: "12 units."}.get(
            len(units), f"{len(units)} of 12 units."
        )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("weight>1", "no number is called “weight”; there are unit, ratio,"),
        ("ratio>high", "ratio> wants a number, as in ratio>1.2"),
    ],
)
def test_a_filter_that_means_nothing_says_why(visit: Visit, site: Path, words: str, message: str):
    page = visit(site, LAYER)
    page.fill("#filter", words)
    assert message in page.locator("#count").inner_text()
    assert len(shown(page)) == 12


def test_a_class_is_found_by_its_label_only(visit: Visit, site: Path):
    page = visit(site, "#/menagerie/fc")
    page.fill("#filter", "zeb")
    assert shown(page) == [1]


def test_sorting_by_any_number_both_ways(visit: Visit, site: Path):
    page = visit(site, LAYER)
    page.select_option("#sort", "ratio")
    assert shown(page) == list(range(11, -1, -1))
    page.click("#direction")
    assert shown(page) == list(range(12))
    page.select_option("#sort", "saturated")
    assert shown(page) == list(range(12))
    assert "saturated 20.0%" in page.locator(".unit").first.inner_text()
    options = page.locator("#sort option").all_inner_texts()
    assert options == ["unit", "ratio", "score", "control", "natural", "saturated"]


def test_a_view_is_part_of_the_address(visit: Visit, site: Path):
    page = visit(site, LAYER)
    page.fill("#filter", "ratio>1.2 weak")
    page.select_option("#sort", "score")
    again = visit(site, "#" + page.url.partition("#")[2])
    assert again.input_value("#filter") == "ratio>1.2 weak"
    assert shown(again) == shown(page) == [11, 7]


def test_exemplars_are_there_by_default_and_can_be_put_away(visit: Visit, site: Path):
    page = visit(site, LAYER)
    assert page.locator(".natural-strip").first.is_visible()
    assert "natural 2.00" in page.locator(".natural-strip").first.inner_text()
    page.uncheck("#exemplars")
    assert not page.locator(".natural-strip").first.is_visible()


def test_the_same_layer_of_another_network_beside(visit: Visit, site: Path):
    page = visit(site, LAYER)
    page.select_option("#compare", label="robust")
    page.wait_for_selector(".grid.paired")
    assert page.url.endswith("?with=robust")
    assert page.locator(".unit").first.locator(".half").count() == 2
    assert page.locator(".unit").last.inner_text().count("not made") == 1
    assert "Both have the same weights" in page.locator("#count").inner_text(), "made up with one fingerprint"


def test_standard_beside_robust_on_the_first_page(visit: Visit, site: Path):
    page = visit(site)
    row = page.locator(".row").first
    assert [row.locator(".contact").nth(place).locator("li").count() for place in (0, 1)] == [6, 6]
    page.select_option("#choose-beside", "")
    assert page.locator(".row").first.locator(".contact li").count() == 12
    page.select_option("#choose-main", label="robust")
    assert page.locator(".row").first.locator(".contact li").count() == 9


# --- keys, theme, people who do not see


def test_the_filter_by_keyboard(visit: Visit, site: Path):
    page = visit(site, LAYER)
    page.keyboard.press("f")
    page.keyboard.type("weak")
    assert page.evaluate("document.activeElement.id") == "filter"
    assert shown(page) == [3, 7, 11]
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.id") != "filter"
    assert page.input_value("#filter") == "weak"
    page.keyboard.press("f")
    page.keyboard.type("dead")
    assert shown(page) == [6], "what is there is replaced by what is typed"


def test_arrows_go_from_unit_to_unit(visit: Visit, site: Path):
    page = visit(site, "#/menagerie/conv1/1")
    for key, unit in (("ArrowRight", 2), ("ArrowRight", 3), ("ArrowLeft", 2), ("ArrowLeft", 1), ("ArrowLeft", 0)):
        page.keyboard.press(key)
        page.wait_for_function(f"document.querySelector('h1').textContent === 'conv1:{unit}'")
        assert page.url.endswith(f"/conv1/{unit}")
    page.keyboard.press("ArrowLeft")
    page.wait_for_timeout(100)
    assert page.url.endswith("/conv1/0")


def test_the_theme_follows_the_system_until_somebody_chooses(visit: Visit, site: Path):
    ground = "getComputedStyle(document.body).backgroundColor"
    light, dark = visit(site), visit(site, color_scheme="dark")
    assert light.evaluate(ground) == "rgb(255, 255, 255)"
    assert dark.evaluate(ground) == "rgb(19, 20, 22)"
    light.click("#theme")
    assert light.evaluate(ground) == dark.evaluate(ground)
    light.reload()
    light.wait_for_selector("h1")
    assert light.evaluate(ground) == dark.evaluate(ground), "the choice is remembered"


def test_every_picture_has_words_and_every_control_a_name(visit: Visit, site: Path):
    for address in ADDRESSES:
        page = visit(site, address)
        assert all(one.get_attribute("aria-label") for one in page.query_selector_all("canvas, svg[role=img]"))
        nameless = """[...document.querySelectorAll("input, select, button")].filter(
            (one) => !(one.labels?.length || one.textContent.trim() || one.ariaLabel)).length"""
        assert page.evaluate(nameless) == 0


# --- hostile names


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_shown_as_they_are(visit: Visit, make_gallery: MakeGallery, name: str):
    folder = make_gallery(name, folder="gallery", layers=[name], labels=[name, "owl"], units=3)
    make_gallery("other", layers=[name], units=3)
    write_site(folder)
    page = visit(folder)
    for step, then in (("article.card h2 a", ".layers"), (".layers th a", ".grid"), (".unit a", ".numbers")):
        fits_a_telephone(page)
        page.locator(step).first.click()
        page.wait_for_selector(then)
    fits_a_telephone(page)
    title = page.locator("h1 bdi").first.text_content()
    assert title == (as_shown(name) or "unnamed") or (len(name) > 80 and name.startswith(title[:-1]))
    assert not re.search("[\u202a-\u202e\u2066-\u2069]", page.title())
    page.reload()
    page.wait_for_selector(".numbers")
    assert page.locator("main script, main img, main iframe").count() == 0
