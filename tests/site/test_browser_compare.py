"""Two networks side by side, and tables that sort and filter, in a real browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from browsing import FAINT_WORDS, TELEPHONE, Visit, as_shown, fits_a_telephone
from made_up import HOSTILE, MakeGallery, gallery_facts, write_gallery
from made_up_hierarchies import write_hierarchy

from layerscope.site.pages import write_site

MINUS, TIMES = "\u2212", "\u00d7"
RECIPE = {"architecture": "menagerie", "recipe": {"seed": 0, "images": 6400}, "spectrum": {"slopes": [1.0]}}


def network(name: str, fingerprint: str, **card: Any) -> dict[str, Any]:
    facts = gallery_facts(name, [])["network"]
    return {"network": {**facts, "fingerprint": fingerprint, "card": {**facts["card"], **card}}}


@pytest.fixture(scope="session")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two networks with galleries and reports, and one with a report alone; to look at only."""
    folder = tmp_path_factory.mktemp("two")
    first, second = network("first", "aa", parameters=1000), network("second", "bb", parameters=1500, accuracy=0.951)
    write_gallery(folder, "first", units=12, facts=first)
    write_gallery(folder, "second", layers=("conv1", "extra"), units=12, made=lambda index: index < 9, facts=second)
    write_hierarchy(folder, "first", header=first)
    write_hierarchy(folder, "second", header=second, shown=False)
    write_hierarchy(folder, "third", header=network("third", "cc"))
    return write_site(folder).parent


def section(page: Any, title: str) -> Any:
    return page.locator("section.compared", has=page.locator(f"h2:text-is('{title}')"))


def rows(table: Any) -> list[list[str]]:
    return [[cell.strip() for cell in row.split("\t")] for row in table.locator("tbody tr").all_inner_texts()]


def test_facts_and_their_differences(visit: Visit, two: Path):
    page = visit(two, "#/compare/first/second")
    assert page.locator("h1").inner_text() == "first beside second"
    facts = {row[0]: row[1:] for row in rows(section(page, "What is known of them").locator("table"))}
    assert facts["Parameters"] == ["1,000", "1,500", "+500"]
    assert facts["Accuracy"] == ["99.1%", "95.1%", f"{MINUS}4.0 points"]


def test_layers_by_name_with_the_difference(visit: Visit, two: Path):
    page = visit(two, "#/compare/first/second")
    told = rows(section(page, "Layers").locator("table"))
    assert [row[0] for row in told] == ["conv1", "conv2", "fc", "extra"]
    # Ratios are 0.5, 0.7, ...: the median of 12 is 1.6, that of the first 9 is 1.3.
    assert told[0][1:4] == [f"1.60{TIMES}", f"1.30{TIMES}", f"{MINUS}0.30{TIMES}"]
    # Of 12 units 8 converged, of the first 9 six: both two thirds.
    assert told[0][-1] == "0.0 points"
    assert told[1][1:4] == [f"1.60{TIMES}", "\u2013", "\u2013"]
    assert told[3][1:4] == ["\u2013", f"1.30{TIMES}", "\u2013"]


def test_pictures_of_the_same_layer_and_of_the_same_class(visit: Visit, two: Path):
    page = visit(two, "#/compare/first/second")
    pictures = section(page, "Pictures of the same layer")
    assert [row.count() for row in pictures.locator(".row").nth(0).locator(".contact").all()] == [1, 1]
    assert "no layer of this name" in pictures.locator(".row").nth(1).inner_text()
    pairs = section(page, "The same class").locator(".class-pairs li")
    assert pairs.count() == 4
    links = [link.get_attribute("href") for link in pairs.nth(1).locator("a").all()]
    assert links == ["#/first/fc/1", "#/second/fc/1"]
    assert pairs.nth(1).inner_text().count("zebra") == 2


def test_shares_and_readers_with_intervals(visit: Visit, two: Path):
    page = visit(two, "#/compare/first/second")
    coded = section(page, "What their units code")
    assert coded.locator("svg.stacks").count() == 2
    told = rows(coded.locator("table").first)
    assert told[0] == ["conv1", "+74.0% 61.5% to 86.5%", f"0% {MINUS}12.5% to 12.5%", f"{MINUS}74.0 points, apart"]
    page.select_option("#coded", "part")
    page.wait_for_function("location.hash.includes('label=part')")
    page.wait_for_function("document.querySelectorAll('.compared table')[2].textContent.includes('+74.0%')")
    told = rows(section(page, "What their units code").locator("table").first)
    assert [row[-1].endswith("apart") for row in told] == [False, False, True, False], "layer 2 codes parts"
    readers = section(page, "What their units code").locator(".readers-of-both tbody tr")
    assert readers.count() == 5
    assert "of the twins" in readers.first.inner_text()


def test_what_only_one_has_is_said(visit: Visit, two: Path):
    page = visit(two, "#/compare/first/third")
    assert "There is no gallery of third" in page.locator("main").inner_text()
    assert section(page, "What their units code").locator("svg.stacks").count() == 2


def test_both_are_chosen_and_swapped(visit: Visit, two: Path):
    page = visit(two, "#/compare")
    assert page.locator("h1").inner_text() == "first beside second"
    page.click("text=Swap")
    page.wait_for_function("document.querySelector('h1').textContent === 'second beside first'")
    assert page.url.endswith("#/compare/second/first")
    assert page.locator("#second option").all_inner_texts() == ["first", "third"], "nobody is compared with himself"
    page.select_option("#second", label="third")
    page.wait_for_function("document.querySelector('h1').textContent === 'second beside third'")


def test_links_lead_to_the_comparison(visit: Visit, two: Path):
    for address, words, pair in (
        ("", "compare their numbers", "first beside second"),
        ("#/first", "second", "first beside second"),
        ("#/hierarchy/third", "first", "third beside first"),
    ):
        page = visit(two, address)
        page.locator("main a[href^='#/compare/']", has_text=words).first.click()
        page.wait_for_selector(".choosing")
        assert page.locator("h1").inner_text() == pair


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("#/compare/first/nobody", "There is no network nobody"),
        ("#/compare/nobody", "There is no network nobody"),
        ("#/compare/first/first", "first beside second"),
    ],
)
def test_addresses_that_compare_nothing(visit: Visit, two: Path, address: str, words: str):
    assert words in visit(two, address).locator("main").inner_text()


def test_one_network_alone_has_nobody_to_be_compared_with(visit: Visit, make_gallery: MakeGallery):
    folder = write_site(make_gallery(units=3)).parent
    assert "There is only menagerie" in visit(folder, "#/compare").locator("main").inner_text()
    assert visit(folder).locator("a[href^='#/compare']").count() == 0


SAMENESS = (
    (
        RECIPE | {"step": 10},
        RECIPE | {"step": 3125},
        "aa",
        "bb",
        "Two states of one training by their cards (step 10 and step 3,125)",
    ),
    (RECIPE | {"step": 10}, RECIPE, "aa", "bb", "(step 10 and the end)"),
    (RECIPE | {"step": 10}, RECIPE | {"step": 10, "recipe": {"seed": 1}}, "aa", "bb", "trained apart"),
    (RECIPE, RECIPE | {"recipe": {"seed": 1}}, "aa", "bb", "trained apart"),
    (RECIPE, RECIPE | {"step": 3, "spectrum": {"slopes": [2.0]}}, "aa", "bb", "from the same seed (0) by their cards"),
    (RECIPE, RECIPE | {"recipe": {"seed": 0, "radius": 4}}, "aa", "bb", "began as one and may still be alike"),
    ({}, {}, "aa", "bb", "Nothing says that these are two states of one training"),
    ({}, {}, "aa", "aa", "Both have the same weights"),
)


def test_what_is_known_of_units_of_the_same_number(visit: Visit, tmp_path: Path):
    for place, (first, second, one, other, words) in enumerate(SAMENESS):
        folder = tmp_path / str(place)
        write_gallery(folder, "first", layers=(), facts=network("first", one, **first))
        write_gallery(folder, "second", layers=(), facts=network("second", other, **second))
        page = visit(write_site(folder).parent, "#/compare/first/second")
        assert words in page.locator(".head .lines").inner_text(), place


# --- tables


@pytest.fixture(scope="session")
def deep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of 14 layers, every other one of them with half of its units; to look at only."""
    folder = tmp_path_factory.mktemp("deep")
    layers = [f"conv{place}" for place in range(13)]
    write_gallery(folder, "deep", layers=layers, units=4)
    return write_site(folder).parent


def names(page: Any) -> list[str]:
    return page.locator(".layers tbody th").all_inner_texts()


def sort(page: Any, head: str) -> None:
    page.locator(".sorter", has_text=head).click()


def sorted_by(page: Any) -> dict[str, str]:
    heads = page.locator(".layers th[aria-sort]")
    told = {head.inner_text().strip(): head.get_attribute("aria-sort") for head in heads.all()}
    return {head: order for head, order in told.items() if order != "none"}


def test_a_click_on_a_head_sorts_and_another_turns_round(visit: Visit, two: Path):
    page = visit(two, "#/second")
    assert names(page) == ["conv1", "extra", "fc"]
    assert sorted_by(page) == {"layer": "ascending"}
    sort(page, "median ratio")  # 1.30, 1.30 and 0.80
    assert (names(page), sorted_by(page)) == (["conv1", "extra", "fc"], {"median ratio": "descending"})
    sort(page, "median ratio")
    assert (names(page), sorted_by(page)) == (["fc", "conv1", "extra"], {"median ratio": "ascending"})
    assert page.evaluate("location.hash") == "#/second?sort=median&down=0"
    again = visit(two, page.evaluate("location.hash"))
    assert (names(again), sorted_by(again)) == (["fc", "conv1", "extra"], {"median ratio": "ascending"})
    sort(again, "layer")
    assert names(again) == ["conv1", "extra", "fc"]
    sort(again, "stride")  # 4, 4 and none, which comes last either way
    assert names(again)[-1] == "fc"
    sort(again, "stride")
    assert names(again)[-1] == "fc"


def test_a_long_table_has_a_filter_and_a_short_one_has_none(visit: Visit, two: Path, deep: Path):
    assert visit(two, "#/first").locator("#filter").count() == 0
    page = visit(deep, "#/deep")
    page.keyboard.press("f")
    for words, expected, said in (
        ("conv1 linear", [], "No layer matches the filter."),
        ("linear", ["fc"], "1 of 14 layers."),
        ("conv1", ["conv1", "conv10", "conv11", "conv12"], "4 of 14 layers."),
        ("stride>3 conv12", ["conv12"], "1 of 14 layers."),
        ("converged<70%", [], "No layer matches the filter."),
        ("", [*(f"conv{place}" for place in range(13)), "fc"], ""),
    ):
        page.fill("#filter", words)
        assert (names(page), page.locator("#count").inner_text()) == (expected, said), words
    page.fill("#filter", "weight>1")
    assert (
        "no number is called “weight”; there are units, field, stride, median, converged"
        in page.locator("#count").inner_text()
    )
    page.fill("#filter", "linear")
    assert names(visit(deep, page.evaluate("location.hash"))) == ["fc"]


def test_a_telephone_sorts_by_a_choice(visit: Visit, two: Path):
    page = visit(two, "#/second", viewport=TELEPHONE)
    assert not page.locator(".layers thead").is_visible()
    page.select_option("#order", "median")
    assert names(page) == ["conv1", "extra", "fc"]
    page.select_option("#order", "unit")
    assert page.evaluate("location.hash").endswith("?sort=unit")


# --- people


def test_words_stand_out_and_a_telephone_shows_it_all(visit: Visit, two: Path):
    page = visit(two, "#/compare/first/second")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert page.evaluate(FAINT_WORDS) == [], scheme
    fits_a_telephone(page)


def test_hostile_names_side_by_side(visit: Visit, tmp_path: Path):
    for turn, name in enumerate(HOSTILE):
        card = network(name, f"{turn:02d}")
        write_gallery(tmp_path, name, folder=f"{turn:02d}", layers=[name], labels=[name, "owl"], units=2, facts=card)
    page = visit(write_site(tmp_path).parent, "#/compare")
    count = page.locator("#second option").count()
    assert count == len(HOSTILE) - 1
    for place in range(count):
        page.select_option("#second", index=place)
        name = HOSTILE[place + 1]
        shown = as_shown(name)[:59] or "unnamed"
        page.wait_for_function(
            "(shown) => document.querySelectorAll('h1 bdi')[1]?.textContent.startsWith(shown)", arg=shown
        )
        assert page.locator("main script, main img, main iframe").count() == 0
        assert page.url.startswith((tmp_path / "index.html").as_uri() + "#/compare/")
    fits_a_telephone(page)
    page.reload()
    page.wait_for_selector(".choosing")
