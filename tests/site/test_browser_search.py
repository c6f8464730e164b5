"""Search and keys in a real browser: what is found from where, by keyboard alone, and that no key is stolen."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from browsing import TELEPHONE, Visit, as_shown, fits_a_telephone
from made_up import HOSTILE, MakeGallery, write_gallery
from made_up_hierarchies import write_hierarchy
from made_up_leaderboards import write_leaderboard

from layerscope.site.pages import write_site

LAYER = "#/menagerie/conv1"


def search(page: Any, words: str) -> None:
    """Type into the dialog and wait for what is found."""
    if not page.locator("dialog.search[open]").count():
        page.keyboard.press("/")
    page.wait_for_selector("dialog.search[open]")
    page.fill("#search-input", words)
    page.wait_for_function("document.querySelector('.said').textContent.trim() !== ''")


def found(page: Any, kind: str) -> list[str]:
    return page.locator(f"[id^='found-{kind}-'] .found-title").all_inner_texts()


def active(page: Any) -> str:
    """The title of the option that the input names as active, which has to be the selected one."""
    named = page.get_attribute("#search-input", "aria-activedescendant")
    assert page.locator("[role=option][aria-selected=true]").get_attribute("id") == named
    return page.locator(f"#{named} .found-title").inner_text()


# --- what is found


FOUND = (
    ("conv2:7", "units", ["conv2:7"] * 4, "1.90\u00d7"),
    ("7 conv1 robust", "units", ["conv1:7"], "1.90\u00d7"),
    ("#3", "units", ["conv1:3", "conv2:3", "fc:3", "conv1:3", "conv2:3", "fc:3"], "1.10\u00d7"),
    ("conv2", "layers", ["conv2", "conv2"], "median"),
    ("zebra", "classes", ["zebra", "zebra"], "0.70\u00d7"),
    ("stripes", "concepts", ["texture: stripes"], "stable in"),
    ("wing conv3", "units", ["conv3:13", "conv3:13", "conv3:5", "conv3:5"], "stable in 63.0% of redraws"),
    ("orientation 45", "concepts", ["colour-edge: orientation 45°, hue 90°"], "stable in"),
    ("robust", "networks", ["robust"], "accuracy 99.1%"),
    ("flower", "images", ["flower.png"], "%"),
    ("hierarchy untrained", "reports", ["Hierarchy of untrained"], "p = 1.00"),
    ("gradcam", "methods", ["Gradcam"], "checks good"),
    ("compare", "pages", ["Compare"], ""),
)


def test_everything_is_found_with_its_number(visit: Visit, whole: Path):
    page = visit(whole)
    for words, kind, titles, number in FOUND:
        search(page, words)
        assert found(page, kind)[: len(titles)] == titles, words
        assert number in page.locator(f"[id^='found-{kind}-'] .found-number").first.inner_text(), words


CLIPPED = """() => [...document.querySelectorAll('dialog.search :not(.unseen)')]
  .filter((one) => one.scrollWidth > one.clientWidth + 1 && getComputedStyle(one).display !== 'inline')
  .map((one) => one.className || one.tagName)"""


@pytest.mark.parametrize("viewport", [{"width": 1280, "height": 800}, TELEPHONE])
def test_nothing_in_the_dialog_is_clipped(visit: Visit, whole: Path, viewport: dict[str, int]):
    page = visit(whole, viewport=viewport)
    for words in ("orientation", "conv3", "a"):
        search(page, words)
        page.wait_for_selector("[role=option]")
        assert page.evaluate(CLIPPED) == [], words


def test_a_concept_of_units_that_nobody_drew_again_is_not_called_unstable(visit: Visit, whole: Path):
    page = visit(whole)
    search(page, "stripes")
    told = """(known) => {
      const data = structuredClone(LAYERSCOPE.data.search);
      for (const layer of data.reports.flat()) if (!known) layer.confidence.fill(null);
      const found = LAYERSCOPE.findAll(LAYERSCOPE.prepareSearch(data), "texture: stripes", 1);
      return found.find((one) => one.kind === "concepts").found[0];
    }"""
    assert page.evaluate(told, True)["measured"].startswith("stable in")
    assert page.evaluate(told, False)["measured"] == ""


def test_numbers_are_numbers_of_units_and_not_parts_of_them(visit: Visit, whole: Path):
    page = visit(whole)
    search(page, "conv1:1")
    assert set(found(page, "units")) == {"conv1:1"}, "neither unit 10 nor unit 11"
    search(page, "conv1:11")
    assert found(page, "units") == ["conv1:11"] * 3, "of menagerie and of two reports: robust has only 9"


def test_the_layer_that_is_called_so_comes_first(visit: Visit, make_gallery: MakeGallery):
    folder = write_site(make_gallery(layers=("conv12", "conv1"), units=3)).parent
    page = visit(folder)
    search(page, "conv1:2")
    assert found(page, "units") == ["conv1:2", "conv12:2"]


def test_nothing_found_says_what_can_be_searched(visit: Visit, whole: Path):
    page = visit(whole)
    search(page, "xyzzy")
    page.wait_for_function("document.querySelector('.said').textContent.includes('xyzzy')")
    said = page.locator(".said").inner_text()
    assert "Nothing here is called “xyzzy”" in said
    assert "units (conv3:26 or 26), layers, classes, concepts" in said
    assert "conv1:0, owl, edge: orientation" in said
    assert page.locator("[role=option]").count() == 0
    assert page.get_attribute("#search-input", "aria-expanded") == "false"


def test_the_index_is_loaded_on_first_use_and_once(visit: Visit, whole: Path):
    page = visit(whole)
    loaded = "[...document.scripts].filter((one) => one.src.includes('site/search.js')).length"
    assert page.evaluate(loaded) == 0
    search(page, "owl")
    page.keyboard.press("Escape")
    search(page, "zebra")
    assert page.evaluate(loaded) == 1


def test_an_index_that_is_gone_says_so(browser: Any, make_gallery: MakeGallery):
    site = write_site(make_gallery()).parent
    (site / "site" / "search.js").unlink()
    page = browser.new_page()
    page.goto((site / "index.html").as_uri())
    page.wait_for_selector("h1")
    page.click("#search")
    page.wait_for_function("document.querySelector('.said')?.textContent.includes('site/search.js')")
    assert "cannot be read; write the site again" in page.locator(".said").inner_text()
    page.close()


def test_methods_with_their_standing_on_the_leaderboard(visit: Visit, make_gallery: MakeGallery):
    page = visit(write_site(write_leaderboard(make_gallery(units=2))).parent)
    search(page, "deeplift")
    assert page.locator("[id^='found-methods-'] .found-number").all_inner_texts() == ["part density 0.800"]
    page.keyboard.press("Enter")
    page.wait_for_selector("h1:has-text('Which explanations are right')")
    assert page.evaluate("location.hash") == "#/leaderboard?method=deeplift"


# --- by keyboard


def test_by_keyboard_from_anywhere_to_a_unit(visit: Visit, whole: Path):
    page = visit(whole, f"{LAYER}/3")
    page.keyboard.press("/")
    page.keyboard.type("conv2:5")
    page.wait_for_function("document.querySelectorAll('[role=option]').length === 5")
    assert active(page) == "conv2:5"
    page.keyboard.press("ArrowUp")
    assert active(page) == "All 4 results", "from the first option round to the last"
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_function("document.querySelector('h1').textContent === 'conv2:5'")
    assert page.url.endswith("#/menagerie/conv2/5")
    assert page.locator("dialog[open]").count() == 0
    assert page.evaluate("document.activeElement.id") == "main"


def test_escape_closes_and_the_focus_is_where_it_was(visit: Visit, whole: Path):
    page = visit(whole, LAYER)
    page.focus("#sort")
    page.evaluate("document.querySelector('.unit a').focus()")
    for key, kind in (("/", "search"), ("?", "keys")):
        page.keyboard.press(key)
        page.wait_for_selector(f"dialog.{kind}[open]")
        page.keyboard.press("Escape")
        assert page.locator("dialog[open]").count() == 0
        assert page.evaluate("document.activeElement === document.querySelector('.unit a')"), kind
    assert page.url.endswith(LAYER)


def test_buttons_open_what_the_keys_open(visit: Visit, whole: Path):
    page = visit(whole)
    for button, kind in (("#search", "search"), (".search-box", "search"), ("#keys", "keys")):
        page.click(button)
        page.wait_for_selector(f"dialog.{kind}[open]")
        page.click(f"dialog.{kind} button")
        assert page.locator("dialog[open]").count() == 0
    assert "/" in page.locator("#search kbd").inner_text()


def test_no_key_is_taken_from_people_who_type(visit: Visit, whole: Path):
    page = visit(whole, LAYER)
    page.keyboard.press("f")
    page.keyboard.type("h/f?")
    assert page.input_value("#filter") == "h/f?"
    assert page.locator("dialog[open]").count() == 0
    page.fill("#filter", "")
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    page.keyboard.type("h?/f")
    assert page.input_value("#search-input") == "h?/f"
    assert page.url.endswith(LAYER)


def test_h_goes_home_and_arrows_from_layer_to_layer(visit: Visit, whole: Path):
    page = visit(whole, LAYER)
    page.keyboard.press("ArrowRight")
    page.wait_for_function("document.querySelector('h1').textContent === 'conv2'")
    page.keyboard.press("ArrowLeft")
    page.wait_for_function("document.querySelector('h1').textContent === 'conv1'")
    page.keyboard.press("h")
    page.wait_for_selector(".intro")
    assert page.url.endswith("#/")
    page.keyboard.press("f")
    assert page.evaluate("document.activeElement.id") == "main", "there is nothing to filter"


# --- the page


def test_all_results_are_a_page_with_an_address(visit: Visit, whole: Path):
    page = visit(whole)
    search(page, "stripes")
    page.click("#found-all")
    page.wait_for_selector(".found-kind")
    assert page.url.endswith("#/search?q=stripes")
    again = visit(whole, "#/search?q=stripes")
    assert again.input_value("#filter") == "stripes"
    heads = again.locator(".found-kind h2").all_inner_texts()
    assert [head.lower().split()[0] for head in heads] == ["concepts", "units"]
    again.fill("#filter", "zebra")
    assert again.evaluate("location.hash") == "#/search?q=zebra"
    assert again.locator(".found-list .found-title").first.inner_text() == "zebra"


def test_a_concept_leads_to_the_units_that_code_it(visit: Visit, whole: Path):
    page = visit(whole)
    search(page, "texture: stripes")
    page.click("#found-concepts-0")
    page.wait_for_selector(".found-kind")
    units = page.locator(".found-kind").nth(1).locator("a")
    assert units.count() == 16, "two of 16 units, in four layers of two reports"
    units.first.click()
    page.wait_for_selector("h1:has-text('conv')")
    assert "#/hierarchy/" in page.url


def test_a_telephone_shows_dialog_and_page(visit: Visit, whole: Path):
    page = visit(whole, "#/search?q=conv1", viewport=TELEPHONE)
    fits_a_telephone(page)
    page.set_viewport_size(TELEPHONE)
    search(page, "owl")
    box = page.locator("dialog.search").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390


# --- hostile names


def test_hostile_names_are_found_as_text(visit: Visit, tmp_path: Path):
    for turn, name in enumerate(HOSTILE):
        write_gallery(tmp_path, name, folder=f"{turn}", layers=[name], labels=[f"{turn} {name}"], units=3)
        write_hierarchy(
            tmp_path, f"{turn}", layers=[f"{turn} {other}" for other in HOSTILE[:3]], classes=[HOSTILE[turn % 6], "owl"]
        )
    page = visit(write_site(tmp_path).parent)
    for turn, name in enumerate(HOSTILE):
        search(page, f"{turn} {name[:40].partition(chr(0))[0]}")  # what no keyboard types is no query
        page.wait_for_selector("#found-classes-0")
        title = page.locator("#found-classes-0 .found-title bdi").text_content()
        assert title == as_shown(f"{turn} {name}") or as_shown(f"{turn} {name}").startswith(title[:-1])
        assert page.locator("dialog script, dialog img, dialog iframe").count() == 0
        page.click("#found-classes-0")
        page.wait_for_selector(".numbers")
        assert page.url.startswith((tmp_path / "index.html").as_uri() + "#/")
    page.goto((tmp_path / "index.html").as_uri() + "#/search?q=1")
    page.wait_for_selector(".found-kind")
    assert page.locator("main script, main img, main iframe").count() == 0
    assert not re.search("[\u202a-\u202e\u2066-\u2069]", page.locator("main").inner_text())
    fits_a_telephone(page)
