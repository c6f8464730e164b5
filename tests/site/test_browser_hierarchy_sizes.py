"""How hierarchy reports fit windows of any width and networks of many layers, in a real browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from browsing import TELEPHONE, Visit
from made_up_hierarchies import MakeHierarchy

from layerscope.site.pages import write_site

REPORT = "#/hierarchy/menagerie"
LAYER = f"{REPORT}/conv2"
WIDTHS = (1280, 1000, 768, 601, 390)
SCALES = "all => all.map((plot) => plot.getBoundingClientRect().width / plot.viewBox.baseVal.width)"
STICKING_OUT = """[...document.querySelectorAll('svg.graph, svg.net, svg.decoding')].flatMap((plot) => {
    const frame = plot.getBoundingClientRect();
    return [...plot.querySelectorAll('text, rect, circle, line')].filter((part) => {
        const box = part.getBoundingClientRect();
        return box.left < frame.left - 1 || box.right > frame.right + 1;
    }).map((part) => `${plot.classList} ${part.textContent}`);
})"""
OVERLAPPING = """(kind) => [...document.querySelectorAll('svg.graph, svg.net, svg.decoding')].flatMap((plot) => {
    const boxes = [...plot.querySelectorAll(kind)].map((one) => [one.textContent, one.getBoundingClientRect()]);
    boxes.sort((a, b) => a[1].left - b[1].left);
    return boxes.slice(1).filter(([, box], turn) => {
        const before = boxes[turn][1];
        return box.left < before.right - 0.5 && box.top < before.bottom && before.top < box.bottom;
    }).map(([words]) => words);
})"""


def drawn(page: Any) -> None:
    """Wait until every plot has the size of the window."""
    page.wait_for_function(
        """[...document.querySelectorAll('.fitted > svg')].every(
            (one) => Math.abs(one.viewBox.baseVal.width - one.parentNode.clientWidth) <= 1)"""
    )


@pytest.mark.parametrize("width", WIDTHS)
def test_plots_are_drawn_at_their_size_and_nothing_sticks_out(visit: Visit, reported: Path, width: int):
    page = visit(reported, REPORT, viewport={"width": width, "height": 800})
    drawn(page)
    assert page.locator(".fitted > svg").evaluate_all(SCALES) == pytest.approx([1.0] * 13, abs=0.02)
    assert page.evaluate(STICKING_OUT) == []
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.evaluate(OVERLAPPING, ".note") == []


def test_a_telephone_that_is_turned_draws_again(visit: Visit, reported: Path):
    page = visit(reported, REPORT, viewport=TELEPHONE)
    drawn(page)
    narrow = page.locator("svg.graph").evaluate("(plot) => plot.viewBox.baseVal.width")
    page.set_viewport_size({"width": 844, "height": 390})
    drawn(page)
    assert narrow < 390 < page.locator("svg.graph").evaluate("(plot) => plot.viewBox.baseVal.width")
    assert page.evaluate(STICKING_OUT) == []


def test_a_telephone_has_a_number_on_each_stack(visit: Visit, reported: Path, make_hierarchy: MakeHierarchy):
    folder = make_hierarchy(layers=[f"conv{place}" for place in range(8)])
    write_site(folder)
    page = visit(folder, REPORT, viewport=TELEPHONE)
    assert page.locator(".graph .thin").all_text_contents() == ["75%"] * 8
    lines = visit(reported, "#/hierarchy").locator(".finding-of").nth(1).locator(".under span").all_inner_texts()
    assert lines == ["conv1 75% edge (early)", "conv4 75% object (late)"]


def test_the_tables_of_all_numbers_fit_a_window(visit: Visit, reported: Path):
    page = visit(reported, REPORT)
    hidden = "[...document.querySelectorAll('.numbers-of .scroller')].map((one) => one.scrollWidth - one.clientWidth)"
    assert page.evaluate(hidden) == [0, 0]
    page.set_viewport_size(TELEPHONE)
    assert min(page.evaluate(hidden)) > 0
    box = page.locator(".numbers-of .scroller").first
    box.evaluate("(one) => { one.scrollLeft = 200; }")
    lefts = box.locator("tr > th:first-child").evaluate_all("all => all.map((one) => one.getBoundingClientRect().left)")
    assert set(lefts) == {16}  # the head stays with its column


def test_sixty_layers_keep_their_words_apart(visit: Visit, make_hierarchy: MakeHierarchy):
    layers = tuple(f"features.{place}.conv" for place in range(60))
    folder = make_hierarchy(units=8, layers=layers)
    write_site(folder)
    for size in ({"width": 1280, "height": 800}, TELEPHONE):
        page = visit(folder, REPORT, viewport=size)
        drawn(page)
        for kind in (".layer-name", ".tiny", ".note", ".thin"):
            assert page.evaluate(OVERLAPPING, kind) == [], (kind, size)
        assert page.evaluate(STICKING_OUT) == []
        assert page.evaluate("document.documentElement.scrollWidth") == size["width"]
        assert page.locator(".graph .layer-name").count() > 10


def test_the_list_of_layers_leads_to_each(visit: Visit, reported: Path):
    page = visit(reported, REPORT)
    assert page.locator(".jumps button").all_inner_texts() == [f"{place} conv{place}" for place in (1, 2, 3, 4)]
    page.locator(".jumps button").nth(2).click()
    block = page.locator(".layer-block").nth(2)
    page.wait_for_function("Math.abs(document.querySelectorAll('.layer-block')[2].getBoundingClientRect().top) < 2")
    assert block.evaluate("(one) => one === document.activeElement")
    assert page.url.endswith(REPORT)


# --- what is small


def test_the_pictures_of_both_groups_are_equally_wide(visit: Visit, reported: Path):
    page = visit(reported, REPORT)
    wide = "[...document.querySelectorAll('.layer-block')[1].querySelectorAll('canvas')].map((one) => one.offsetWidth)"
    assert len(set(page.evaluate(wide))) == 1


def test_labels_stand_on_one_line_with_their_numbers(visit: Visit, reported: Path):
    page = visit(reported, REPORT)
    bottoms = page.locator(".labelled").first.evaluate(
        "(one) => [...one.querySelectorAll('.name, b')].map((part) => part.getBoundingClientRect().bottom)"
    )
    assert bottoms[0] == pytest.approx(bottoms[1], abs=0.6)


def test_the_first_unit_has_no_empty_button(visit: Visit, reported: Path):
    page = visit(reported, f"{LAYER}/0")
    assert not page.locator(".step.none").is_visible()


def test_a_layer_has_a_legend_and_bars_in_no_colour_of_a_label(visit: Visit, reported: Path):
    page = visit(reported, LAYER)
    words = page.locator(".tuning-key").inner_text()
    for word in ("colour-edge", "full, in the colour of its label: passes the test", "hollow: does not"):
        assert word in words
    fill = "(one) => getComputedStyle(one).fill"
    ink = page.evaluate("getComputedStyle(document.body).color")
    assert page.locator(".frequencies .is-passing").first.evaluate(fill) == ink


def test_the_lines_of_twins_can_be_seen(visit: Visit, reported: Path):
    page = visit(reported, REPORT)
    style = page.locator("path.of-twin").first.evaluate(
        "(one) => [+getComputedStyle(one).strokeOpacity, +getComputedStyle(one).strokeWidth.replace('px', '')]"
    )
    assert style[0] >= 0.85
    assert style[1] >= 1
