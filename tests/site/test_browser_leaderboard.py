"""The leaderboard in a browser: sorting, controls pinned, links to the maps and back, telephones, hostile names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import made_up
import made_up_explanations
import pytest
from browsing import FAINT_WORDS, TELEPHONE, Visit, as_shown, fits_a_telephone
from made_up_leaderboards import CONTROLS, METHODS, leaderboard_facts, rows, write_leaderboard

from layerscope.site.pages import write_site

HOSTILE = "<script>alert(1)</script>\u202e\"'&🦉\ud800"
METHOD_ROWS = ".board-table tbody:not(.pinned) tr"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gallery, an explanation and two leaderboards, one of the explained network."""
    folder = tmp_path_factory.mktemp("leaderboards")
    made_up.write_gallery(folder)
    made_up_explanations.write_explanation(folder)
    write_leaderboard(folder)
    write_leaderboard(folder, "alexnet", refused=[{"method": "lrp", "title": "LRP", "error": "no rule for gelu"}])
    return write_site(folder).parent


def methods_of(page: Any, board: int = 0) -> list[str]:
    return (
        page.locator(".board")
        .nth(board)
        .locator("tbody:not(.pinned) tr")
        .evaluate_all("(rows) => rows.map((row) => row.dataset.method)")
    )


def test_controls_stay_on_top_while_methods_are_sorted_by_any_measure(visit: Visit, site: Path) -> None:
    page = visit(site, "#/leaderboard")
    assert page.title() == "Leaderboard · Layerscope"
    pinned = (
        page.locator(".board")
        .first.locator("tbody.pinned tr")
        .evaluate_all("(rows) => rows.map((row) => row.dataset.method)")
    )
    by_rank = ["deeplift", "kernelshap", "gradcam"]
    assert (pinned, methods_of(page)) == (list(CONTROLS), by_rank)
    head = page.locator(".board").first.locator("th[data-key=deletion]")
    assert head.get_attribute("aria-sort") == "none"
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "ascending"  # the lower the better
    assert methods_of(page) == methods_of(page, 1) == ["kernelshap", "gradcam", "deeplift"]
    assert page.url.endswith("?by=deletion")
    head.locator("button").click()
    assert (head.get_attribute("aria-sort"), methods_of(page)) == ("descending", ["deeplift", "gradcam", "kernelshap"])
    page.get_by_role("radio", name="seconds").check(force=True)
    assert methods_of(page) == ["gradcam", "deeplift", "kernelshap"]
    assert "lower is better" in page.locator(".chosen-measure").inner_text()
    page.reload()
    page.wait_for_selector(".board")
    assert methods_of(page) == ["gradcam", "deeplift", "kernelshap"]


def test_a_bar_says_its_number_and_lies_where_it_says(visit: Visit, site: Path) -> None:
    page = visit(site, "#/leaderboard")
    row = page.locator(f"{METHOD_ROWS}[data-method=deeplift]").first
    bar = row.locator(".interval")
    assert bar.get_attribute("aria-label") == "part rank 0.800, 0.750 to 0.850"
    box, dot = bar.bounding_box(), bar.locator(".dot").bounding_box()
    assert (dot["x"] + dot["width"] / 2 - box["x"]) / box["width"] == pytest.approx(0.9, abs=0.01)  # 0.8 from -1 to 1
    line = bar.locator(".of-edges").bounding_box()
    assert (line["x"] + line["width"] / 2 - box["x"]) / box["width"] == pytest.approx(0.7, abs=0.01)
    band = bar.locator(".band").bounding_box()
    assert band["width"] / box["width"] == pytest.approx(0.05, abs=0.01)
    filled = [page.locator(f"{METHOD_ROWS}[data-method={name}] .interval.beats").count() for name in METHODS]
    assert filled == [2, 0, 0]  # of two boards
    assert "better than every control" in row.inner_text()
    assert "worse than random" in page.locator(f"{METHOD_ROWS}[data-method=gradcam]").first.inner_text()


def test_a_dot_is_filled_by_the_measure_that_is_drawn(visit: Visit, tmp_path: Path) -> None:
    measured = rows("resnet18", {"right": (0.8, 0.5, 0.1), "erasing": (0.1, 0.2, 0.1)})
    page = visit(write_site(write_leaderboard(tmp_path, rows=measured)).parent, "#/leaderboard")
    filled = "[...document.querySelectorAll('.board tr:has(.interval.beats)')].map((row) => row.dataset.method)"
    assert page.evaluate(filled) == ["right"]
    page.get_by_role("radio", name="deletion").check(force=True)
    assert page.evaluate(filled) == ["erasing"]
    words = page.locator(f"{METHOD_ROWS}[data-method=right] th .small").inner_text()
    assert words == "by part rank better than every control"
    page.get_by_role("radio", name="seconds").check(force=True)
    assert page.evaluate(filled) == [], "no control was timed"


def test_what_was_measured_is_said(visit: Visit, site: Path) -> None:
    page = visit(site, "#/leaderboard")
    first, second = page.locator(".board").all()
    words = second.inner_text() if "resnet18" in second.locator("h2").inner_text() else first.inner_text()
    assert "90 scenes" in words
    assert "10 more left out" in words
    assert "97.0% of them named rightly" in words
    assert "Deletion says otherwise." in words
    assert "1 method refused" in page.inner_text("main")
    assert "no rule for gelu" in page.inner_text("main")


def test_from_a_method_to_its_maps_and_from_a_map_back_to_the_method(visit: Visit, site: Path) -> None:
    page = visit(site, "#/leaderboard")
    assert page.locator("[data-method=kernelshap] .shown-with").count() == 0  # it refused the only image
    row = page.locator(f"{METHOD_ROWS}[data-method=deeplift]").first
    row.locator("summary").click()
    row.locator(".shown-with a").first.click()
    page.wait_for_selector(".large")
    assert "/deeplift" in page.url
    assert page.locator(".standing-of").count() == 0  # no leaderboard of that network


def test_a_map_of_a_measured_network_says_where_its_method_stands(visit: Visit, tmp_path: Path) -> None:
    made_up_explanations.write_explanation(tmp_path)
    facts = leaderboard_facts("menagerie")
    fingerprint = json.loads(next(tmp_path.rglob("explanation.json")).read_text())["network"]["fingerprint"]
    write_leaderboard(tmp_path, "menagerie", network={**facts["network"], "fingerprint": fingerprint})
    write_site(tmp_path)
    page = visit(tmp_path, "#/leaderboard")
    page.locator(f"{METHOD_ROWS}[data-method=gradcam] summary").click()
    page.locator(f"{METHOD_ROWS}[data-method=gradcam] .shown-with a").click()
    words = page.locator(".standing-of")
    assert words.inner_text() == (
        "On 90 scenes with known causes its part rank is −0.400 (−0.450 to −0.350), worse than random: place 3 of 3 methods."
    )
    words.locator("a").click()
    page.wait_for_selector("tr.is-wanted")
    assert page.locator("tr.is-wanted").get_attribute("data-method") == "gradcam"
    page.wait_for_function("document.querySelector('tr.is-wanted').getBoundingClientRect().top < innerHeight")


def test_the_first_page_shows_the_best_methods_between_the_controls(visit: Visit, site: Path) -> None:
    page = visit(site)
    best = page.locator(".best-methods .best").first
    assert best.locator("li").count() == 5
    assert "Deeplift" in best.locator("li").first.inner_text()
    assert page.locator(".best-methods li.is-control").count() == 4
    assert "1 of 3 methods on 90 scenes is better than every control." in page.locator(".best-methods").inner_text()
    page.locator(".best-methods h2 a").click()
    page.wait_for_selector(".board")


def test_without_a_leaderboard_the_page_says_how_to_make_one(visit: Visit, tmp_path: Path) -> None:
    made_up.write_gallery(tmp_path)
    write_site(tmp_path)
    page = visit(tmp_path)
    assert page.locator(".best-methods").count() == 0
    page.goto(page.url.split("#")[0] + "#/leaderboard")
    page.wait_for_selector("main pre")
    assert "layerscope benchmark attribution --truth" in page.inner_text("main")


def test_a_telephone_shows_the_chosen_measure_of_all_rows(visit: Visit, site: Path) -> None:
    page = visit(site, "#/leaderboard")
    fits_a_telephone(page)
    page = visit(site, "#/leaderboard?by=deletion", viewport=TELEPHONE)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert page.locator("td.number:visible").count() == 2 * (len(CONTROLS) + len(METHODS))
    assert page.locator("td.number:visible").first.get_attribute("data-head") == "deletion"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_can_be_read(visit: Visit, site: Path, scheme: str) -> None:
    page = visit(site, "#/leaderboard?method=deeplift", color_scheme=scheme)
    assert page.evaluate(FAINT_WORDS) == []


def test_hostile_names_are_text(visit: Visit, tmp_path: Path) -> None:
    hostile = rows(HOSTILE, {HOSTILE: (0.5, 0.5, 0.1)})
    network = {"name": HOSTILE, "fingerprint": HOSTILE}
    write_leaderboard(tmp_path, "x", network=network, rows=hostile, reading=[HOSTILE], command=HOSTILE)
    write_site(tmp_path)
    page = visit(tmp_path, "#/leaderboard")
    assert as_shown(HOSTILE) in page.locator(".board h2").text_content()
    assert page.locator("main script").count() == 0


def test_one_being_measured_says_how_far_it_is(visit: Visit, tmp_path: Path) -> None:
    write_leaderboard(tmp_path, complete=False, methods=[*METHODS, "lime", "rise"])
    write_site(tmp_path)
    page = visit(tmp_path, "#/leaderboard")
    assert "being measured: 3 of 5 methods so far" in page.inner_text("main")
