"""Hierarchy reports in a real browser, opened from the disk: what people see, press and follow."""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browsing import FAINT_WORDS, TELEPHONE, Visit, fits_a_telephone
from made_up_hierarchies import MakeHierarchy, hierarchy_facts

from layerscope.site.pages import write_site

REPORT, NOTHING, GREY = "#/hierarchy/menagerie", "#/hierarchy/untrained", "#/hierarchy/grey"
LAYER = f"{REPORT}/conv2"
UNIT, DEAD = f"{LAYER}/6", f"{LAYER}/0"
UNFINISHED = "1 hierarchy report is not finished, being made or interrupted (the same command goes on)"
ADDRESSES = (
    *("", "#/hierarchy", REPORT, NOTHING, GREY, LAYER, f"{NOTHING}/conv1", UNIT, DEAD),
    *(f"{LAYER}/1", f"{LAYER}/7", f"{GREY}/conv1/4", "#/menagerie/conv1", "#/menagerie/conv1/3"),
)


def each(
    visit: Visit, reported: Path, addresses: tuple[str, ...] = ADDRESSES, **options: Any
) -> Iterator[tuple[str, Any]]:
    """Every kind of page, one after the other in the same window."""
    page = visit(reported, **options)
    for address in addresses:
        page.goto("about:blank")
        page.goto((reported / "index.html").as_uri() + address)
        page.wait_for_selector("h1")
        yield address, page


# --- every page


def test_a_telephone_shows_every_page_without_scrolling_sideways(visit: Visit, reported: Path):
    for address, page in each(visit, reported, viewport=TELEPHONE, device_scale_factor=2):
        assert page.evaluate("document.documentElement.scrollWidth") == 390, address
        assert page.locator("h1").count() == 1, address
        assert page.title().endswith("Layerscope"), address


def test_no_page_shows_the_word_of_a_language_for_nothing(visit: Visit, reported: Path):
    for address, page in each(visit, reported):
        assert not re.search(r"\b(null|undefined|NaN|Infinity)\b", page.locator("main").inner_text()), address
        assert "NaN" not in page.locator("main").inner_html(), address


def test_words_stand_out_from_their_ground(visit: Visit, reported: Path):
    for address, page in each(visit, reported):
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            assert page.evaluate(FAINT_WORDS) == [], (address, scheme)


def test_every_picture_and_plot_has_words_and_every_control_a_name(visit: Visit, reported: Path):
    silent = "[...document.querySelectorAll('canvas, svg[role=img]')].filter((one) => !one.ariaLabel).length"
    hidden = "[...document.querySelectorAll('main svg')].filter((one) => !one.role && !one.ariaHidden).length"
    nameless = """[...document.querySelectorAll("input, select, button, a")].filter(
        (one) => !(one.labels?.length || one.textContent.trim() || one.ariaLabel || one.querySelector("[aria-label]"))
    ).length"""
    for address, page in each(visit, reported):
        assert [page.evaluate(count) for count in (silent, hidden, nameless)] == [0, 0, 0], address


FOLLOWED = """async (links) => {
  const titles = {};
  for (const link of links) {
    const [before, started] = [document.querySelector("main > *"), performance.now()];
    location.hash = link;
    while (document.querySelector("main > *") === before && performance.now() - started < 10_000)
      await new Promise((go) => setTimeout(go, 2));
    titles[link] = document.querySelector("main > *") === before ? "Not readable" : document.title;
  }
  return titles;
}"""
"""The title of the page behind each address; "Not readable" where none came."""


def test_every_link_goes_somewhere(visit: Visit, reported: Path):
    links: set[str] = set()
    for _, page in each(visit, reported):
        links |= set(
            page.evaluate("[...document.querySelectorAll('main a, #trail a')].map((one) => one.getAttribute('href'))")
        )
    files = {link for link in links if not link.startswith("#")}
    assert {urllib.parse.unquote(link).rpartition("/")[2] for link in files} == {
        "units.csv",
        "layers.csv",
        "report.json",
    }
    for link in files:
        assert (reported / urllib.parse.unquote(link)).is_file(), link
    assert len(links) > 60
    titles = visit(reported).evaluate(FOLLOWED, sorted(links - files - {"#/"}))
    lost = ("Not found", "Not made", "Not readable")
    assert [link for link, title in titles.items() if title.split(" \u00b7 ")[0] in lost] == []
    assert len(titles) > 60


def test_every_canvas_gets_painted(visit: Visit, reported: Path):
    for address, page in each(visit, reported, (REPORT, LAYER, UNIT)):
        assert page.locator("canvas").count() > 8, address
        for canvas in page.query_selector_all("canvas"):
            canvas.scroll_into_view_if_needed()
        page.wait_for_function("[...document.querySelectorAll('canvas')].every((one) => 'painted' in one.dataset)")


def test_pages_are_dark_and_light_by_the_button(visit: Visit, reported: Path):
    page = visit(reported, REPORT)
    ground = "getComputedStyle(document.body).backgroundColor"
    fill = "getComputedStyle(document.querySelector('.graph .share.is-none')).fill"
    light = [page.evaluate(ground), page.evaluate(fill)]
    page.click("#theme")
    dark = [page.evaluate(ground), page.evaluate(fill)]
    assert light[0] != dark[0]
    assert light[1] != dark[1]


# --- the finding


def test_the_banner_says_what_was_found_and_what_was_not(report: Any):
    assert report.locator("h1").inner_text() == "A hierarchy is shown"
    said = report.locator(".finding").inner_text()
    assert "Deeper layers code more demanding things.\n" in said  # its numbers are those of the facts
    assert "rank correlation of depth and layer, 1.00 to 1.00, p = 0.040" in said
    assert "3.1%" in said
    assert "of the units of held-out random twins are called anything: all of these labels are false" in said
    assert re.search(
        r"object\s+units beyond the twins in 1 of 4 layers, most in conv4: \+74.0% \(61.5% to 86.5%\)", said
    )
    assert re.search(
        r"configuration can be read better than from twins in 3 of 4 layers, furthest beyond them from conv4: "
        r"80.0% against 50.0% of the twins, \+30.0% \(25.0% to 35.0%\)",
        said,
    )
    assert re.search(r"No\s+colour\s+units for sure; most in conv1: 0% \(\u221212.5% to 12.5%\)", said)
    assert "left out" not in said
    assert report.locator(".finding.is-shown").count() == 1


def test_a_network_without_a_hierarchy_looks_another_way(visit: Visit, reported: Path):
    page = visit(reported, NOTHING)
    assert page.locator("h1").inner_text() == "No hierarchy is shown"
    said = page.locator(".finding").inner_text()
    assert "0 of 4 layers code anything beyond their random twins, and a trend needs 4." in said
    assert "No label of any layer, and nothing that can be read from it, is beyond the twins for sure." in said
    assert "units beyond the twins in" not in said
    border = "getComputedStyle(document.querySelector('.finding')).borderTopStyle"
    assert page.evaluate(border) == "dashed"
    assert visit(reported, REPORT).evaluate(border) == "solid"


def test_what_was_left_out_is_said(visit: Visit, reported: Path):
    said = visit(reported, GREY).locator(".finding").inner_text()
    assert "left out: parts: the folder has no masks, so there is no test for them" in said


def test_too_many_false_labels_are_not_hidden(visit: Visit, make_hierarchy: MakeHierarchy):
    folder = make_hierarchy(facts={"false_rate": 0.081})
    write_site(folder)
    said = visit(folder, REPORT).locator(".finding").inner_text()
    assert "8.1% false labels are more than the 5% that is promised" in said


# --- the plots


def test_stacks_are_as_high_as_the_shares_are_large(report: Any):
    first = report.evaluate(
        """[...document.querySelectorAll('.graph > .share')].slice(0, 2).map((one) =>
            [one.dataset.of, Number(one.getAttribute('height')), one.querySelector('title').textContent])"""
    )
    assert [one[0] for one in first] == ["edge", "none"]
    assert first[0][1] / first[1][1] == pytest.approx(3, rel=0.02)
    assert first[0][2] == "conv1: edge 75.0%"
    twins = report.locator(".graph .beside").first.locator(".share title").all_text_contents()
    assert twins == ["conv1, mean of the twins: edge 3.1%", "conv1, mean of the twins: none 96.9%"]
    label = report.locator(".graph").get_attribute("aria-label")
    assert "conv4: object 75.0%, twins 3.1%; depth 3.00" in label
    assert report.locator(".graph .depths .point").count() == 4


def test_net_shares_are_full_where_they_are_above_zero_for_sure(report: Any):
    panel = report.locator(".net-of.is-object")
    assert panel.locator(".is-beyond").count() == 1
    assert panel.locator(".is-within").count() == 3
    assert panel.locator(".is-beyond title").text_content() == "conv4: +74.0%, 61.5% to 86.5%; twins 3.1%"
    assert "1 of 4 layers are beyond the twins, most in conv4 +74.0% (61.5% to 86.5%)" in panel.inner_text()
    assert "No layer is beyond the twins" in report.locator(".net-of.is-colour").inner_text()
    low, point, high = (
        float(panel.locator(f".is-beyond {part}").get_attribute(name))
        for part, name in ((".interval", "y1"), (".point", "cy"), (".interval", "y2"))
    )
    assert low > point > high
    assert low - point == pytest.approx(point - high)


def test_readers_have_a_line_for_each_twin_their_mean_shuffled_labels_and_chance(report: Any):
    assert report.locator(".reads h3").all_inner_texts() == ["configuration", "edges", "textures", "shapes", "objects"]
    plot = report.locator(".decoding.of-configuration")
    counts = {
        kind: plot.locator(f"path.of-{kind}").count() for kind in ("network", "twin", "twins", "shuffled", "chance")
    }
    assert counts == {"network": 1, "twin": 3, "twins": 1, "shuffled": 1, "chance": 1}
    lines = [path.get_attribute("d") for path in plot.locator("path.of-twin").all()]
    assert len(set(lines)) == 3
    assert lines[0] == plot.locator("path.of-twins").get_attribute("d")  # the first twin is as the mean
    assert plot.locator(".interval").count() == 4
    told = plot.get_attribute("aria-label")
    assert "conv4 80.0% (76.0% to 84.0%), twins 50.0%, shuffled 49.0%, chance 50.0%" in told
    textures = report.locator(".reads").nth(2)
    assert "not compared with twins" in textures.inner_text()
    assert textures.locator("path.of-twin").count() == 0


def test_no_interval_leaves_its_plot(visit: Visit, make_hierarchy: MakeHierarchy):
    made = hierarchy_facts(("conv1", "conv2", "conv3", "conv4"), 16, ("owl",), True, True, True)
    for layer in made["layers"]:
        layer["net"]["edge"] |= {"low": -1.5, "high": 1.5}
        for read in layer["decodability"].values():
            read["accuracy"] |= {"low": -2.0, "high": 3.0}
    folder = make_hierarchy(facts={"layers": made["layers"]})
    write_site(folder)
    outside = """[...document.querySelectorAll('svg.decoding, svg.net, svg.graph')].filter((plot) => {
        const frame = plot.getBoundingClientRect();
        return [...plot.querySelectorAll('line, path, rect, circle')].some((part) => {
            const box = part.getBoundingClientRect();
            return box.top < frame.top - 1 || box.bottom > frame.bottom + 1;
        });
    }).length"""
    assert visit(folder, REPORT).evaluate(outside) == 0


def test_similarities_are_numbers_on_shades(report: Any):
    own, twins = (report.locator(".alike").nth(place).locator("tbody td").all_inner_texts() for place in (0, 1))
    assert own[:4] == ["1.00", ".75", ".50", ".25"]
    assert twins[0] == ".10"
    assert twins[2] == "\u2212.15"
    assert report.locator(".alike").nth(1).locator("td.below").count() == 12


def test_a_dot_for_each_unit_whose_tuning_is_known(report: Any):
    block = report.locator(".layer-block").nth(0)
    assert block.locator(".orientations .dot").count() == 14  # of 16 two are dead
    assert block.locator(".orientations .dot.is-edge").count() == 2
    assert block.locator(".orientations .dot.is-other").count() == 10
    assert block.locator(".hues .dot.is-colour").count() == 2
    assert "14 of 16 units have a known orientation, 4 of them pass as edges" in block.inner_text()
    unit = block.locator(".orientations .dot").filter(has_text="#4 ").first  # its bars stand upright
    assert float(unit.get_attribute("cx")) == pytest.approx(0, abs=1e-6)
    assert float(unit.get_attribute("cy")) < -50


def test_a_network_without_colours_has_no_hues(visit: Visit, reported: Path):
    page = visit(reported, GREY)
    assert page.locator(".orientations").count() == 4
    assert page.locator(".hues").count() == 0


# --- the first page


def test_the_first_page_tells_of_every_report(visit: Visit, reported: Path):
    page = visit(reported)
    section = page.locator(".measured-of")
    assert section.locator(".finding-of h3").all_inner_texts() == ["grey", "menagerie", "untrained"]
    said = section.inner_text()
    assert f"{UNFINISHED}: resnet18" in said
    assert "False labels on held-out random twins: 3.1%." in said
    stacks = section.locator(".finding-of").nth(1).locator(".stacks")
    assert "conv4: object 75.0%, twins 3.1%" in stacks.get_attribute("aria-label")
    section.locator(".finding-of.is-not-shown a").click()
    page.wait_for_selector(".finding.is-not-shown")


def test_a_site_of_reports_alone_has_a_first_page(visit: Visit, make_hierarchy: MakeHierarchy):
    folder = make_hierarchy()
    write_site(folder)
    page = visit(folder)
    assert page.locator("h1").all_inner_texts() == ["The hierarchy, measured"]
    page.click(".finding-of a")
    page.wait_for_selector(".finding")
    fits_a_telephone(page)


def test_a_site_of_a_report_that_is_being_made_says_so(visit: Visit, make_hierarchy: MakeHierarchy):
    folder = make_hierarchy(complete=False)
    write_site(folder)
    assert f"{UNFINISHED}: menagerie" in visit(folder).locator("main").inner_text()
    assert "There is no hierarchy report" in visit(folder, REPORT).locator("h1").inner_text()
