"""The leaderboard in a browser: sorting, controls pinned, links to the maps and back, telephones, hostile names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import made_up
import made_up_explanations
import pytest
from browsing import FAINT_WORDS, TELEPHONE, Visit, as_shown, fits_a_telephone
from made_up_leaderboards import (
    CONTROLS,
    FAILING,
    MEASURES,
    METHODS,
    leaderboard_facts,
    rows,
    users_facts,
    write_facts,
    write_leaderboard,
)
from saving import downloaded, records

from layerscope.names import slug
from layerscope.site.pages import write_site

HOSTILE = "<script>alert(1)</script>\u202e\"'&🦉\ud800"
METHOD_ROWS = ".board-table tbody:not(.pinned) tr"
USERS = f"#/leaderboard?board={slug('resnet50 on images of photos')}"
HEADLINE = [name for name, facts in MEASURES.items() if facts[3]]
BEATING = [name for name, (_, right, _) in METHODS.items() if right > 0.46]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gallery, an explanation, leaderboards of two networks, and one of a user's images."""
    folder = tmp_path_factory.mktemp("leaderboards")
    made_up.write_gallery(folder)
    made_up_explanations.write_explanation(folder)
    write_leaderboard(folder, "alexnet")
    write_leaderboard(folder, "resnet18")
    write_facts(folder, users_facts())
    return write_site(folder).parent


def methods_of(page: Any, part: str = METHOD_ROWS) -> list[str]:
    return page.locator(part).evaluate_all("(rows) => rows.map((row) => row.dataset.method)")


def heads_of(page: Any) -> list[str]:
    return page.locator(".board-table th.measure").evaluate_all("(heads) => heads.map((head) => head.dataset.key)")


def best_first(measure: str) -> list[str]:
    """The methods by a measure; what was not measured comes last, equals in the order of the leaderboard."""
    values = {row["method"]: row[measure] for row in rows("x") if not row["control"]}
    sign = -1 if MEASURES[measure][1] == "high" else 1
    number = {
        name: value["value"] if isinstance(value, dict) else value
        for name, value in values.items()
        if value is not None
    }
    known = sorted(number, key=lambda name: sign * number[name])
    return known + [name for name in values if name not in number]


# --- the table


def test_controls_stay_on_top_while_methods_are_sorted_by_any_measure(visit: Visit, site: Path) -> None:
    page = visit(site, "#/leaderboard")
    assert page.title() == "Leaderboard · Layerscope"
    assert heads_of(page) == HEADLINE
    assert (methods_of(page, ".board-table .pinned tr"), methods_of(page)) == (list(CONTROLS), list(METHODS))
    head = page.locator("th[data-key=independence]")
    assert head.get_attribute("aria-sort") == "none"
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "ascending"  # the lower the better
    assert methods_of(page) == best_first("independence") != list(METHODS)
    assert page.url.endswith("?by=independence")
    assert methods_of(page, ".board-table .pinned tr") == list(CONTROLS)
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    assert methods_of(page) == best_first("independence")[::-1]
    page.reload()
    page.wait_for_selector(".board-table tr")
    assert methods_of(page) == best_first("independence")[::-1]
    page.locator("th[data-key=swap] button").click()
    assert methods_of(page) == best_first("swap")
    assert methods_of(page)[-1] == "lime", "what was not measured comes last"


def test_controls_and_heads_stay_in_sight_while_methods_pass(visit: Visit, site: Path) -> None:
    page = visit(site, "#/leaderboard")
    page.locator(f"{METHOD_ROWS}[data-method=saliency]").evaluate("(row) => row.scrollIntoView({ block: 'end' })")
    page.wait_for_timeout(100)
    tops = [
        page.locator(where).first.bounding_box()["y"]
        for where in (".board-table thead", ".pinned [data-method=random]", ".pinned [data-method=exact]")
    ]
    assert tops[0] == pytest.approx(0, abs=1)
    assert 0 < tops[1] < tops[2] < 400
    row = page.locator(f"{METHOD_ROWS}[data-method=saliency]").bounding_box()
    assert tops[2] < row["y"] < 800


def test_all_measures_are_shown_in_groups_when_asked_for(visit: Visit, site: Path) -> None:
    page = visit(site, "#/leaderboard")
    page.get_by_role("radio", name="All 25 measures").check(force=True)
    assert heads_of(page) == list(MEASURES)
    groups = page.locator(".board-table th.group").all_inner_texts()
    assert groups == ["by causes", "by masks", "by curves", "by response", "by cost"]
    assert page.url.endswith("?all=1")
    page.locator("th[data-key=seconds] button").click()
    assert methods_of(page) == best_first("seconds")
    page.get_by_role("radio", name="9 headline measures").check(force=True)
    assert (heads_of(page), methods_of(page)) == (HEADLINE, list(METHODS)), "sorted by what is shown"
    page = visit(site, "#/leaderboard?by=infidelity")
    assert heads_of(page) == list(MEASURES), "an address may ask for one that is no headline"


def test_measures_that_fail_their_check_are_marked_and_no_headline(visit: Visit, site: Path) -> None:
    page = visit(site, "#/leaderboard")
    assert page.locator(".board-table .is-failing").count() == 0
    page = visit(site, "#/leaderboard?all=1")
    marked = page.locator(".board-table th.is-failing")
    assert {one.get_attribute("data-key") for one in marked.all()} == set(FAILING)
    assert "fails its check" in marked.first.inner_text()
    page.locator("th[data-key=max_sensitivity] button").hover()
    said = page.locator(".chosen-measure")
    assert "Fails its check: Tells the exact answer from a random map on 0 of 6 provable networks." in said.inner_text()
    assert "Fails its check:" in page.locator("#words-of-max-sensitivity").inner_text()


def test_a_measure_says_what_it_is_under_the_pointer_and_the_focus(visit: Visit, site: Path) -> None:
    page = visit(site, "#/leaderboard")
    said = page.locator(".chosen-measure")
    assert said.inner_text().startswith("part density, higher is better. What part density is")
    page.locator("th[data-key=mass]").hover()
    assert said.inner_text().startswith("mass on the thing, higher is better.")
    page.mouse.move(4, 4)
    assert said.inner_text().startswith("part density")
    page.locator("th[data-key=swap] button").focus()
    assert said.inner_text().startswith("swap")
    page.keyboard.press("Tab")
    assert said.inner_text().startswith("background independence")
    described = page.evaluate("document.activeElement.getAttribute('aria-describedby')")
    assert page.locator(f"#{described}").inner_text().startswith("What background independence is")
    page.keyboard.press("Enter")
    assert page.url.endswith("?by=background")
    assert page.evaluate("document.activeElement.closest('th').dataset.key") == "background", "the focus stays"
    assert methods_of(page) == best_first("background")


def test_a_cell_has_its_number_its_interval_and_a_bar_where_it_belongs(visit: Visit, site: Path) -> None:
    page = visit(site, "#/leaderboard")
    cell = page.locator(f"{METHOD_ROWS}[data-method=deeplift] td[data-key=density_rank]")
    assert cell.inner_text().split("\n") == ["0.80", "0.74 to 0.86"]
    bar = cell.locator(".interval")
    place = "([bar, mark]) => (mark.left + mark.width / 2 - bar.left) / bar.width"
    boxes = lambda mark: bar.evaluate(  # noqa: E731
        f"(bar) => ({place})([bar, bar.querySelector('{mark}')].map((one) => one.getBoundingClientRect()))"
    )
    assert boxes(".dot") == pytest.approx(0.9, abs=0.02)  # 0.8 from -1 to 1
    assert boxes(".reference") == pytest.approx(0.7, abs=0.02)  # the edge detector, best of those that know nothing
    assert boxes(".band") == pytest.approx(0.5, abs=0.02)
    filled = f"[...document.querySelectorAll('{METHOD_ROWS}:has([data-key=density_rank] .beats)')].map((row) => row.dataset.method)"
    assert page.evaluate(filled) == BEATING
    apart = [one for one in rows("x") if not one["control"] and set(one["against"]["mass"].values()) == {"better"}]
    shown = page.evaluate(filled.replace("density_rank", "mass"))
    assert shown == [one["method"] for one in apart] != BEATING, "each measure by itself"
    assert page.locator(".board-table .pinned .beats").count() == 0
    assert "–" in page.locator(".pinned [data-method=even] td[data-key=density_rank]").inner_text()
    words = page.locator(f"{METHOD_ROWS}[data-method=gradcam], {METHOD_ROWS}[data-method=grad_cam]").inner_text()
    assert "worse than random" in words


def test_the_table_is_handed_out_as_numbers_and_as_a_drawing(visit: Visit, site: Path) -> None:
    page = visit(site, "#/leaderboard?all=1")
    saved = {one["method"]: one for one in records(page, "methods by measures")}
    assert list(saved) == [*METHODS, *CONTROLS]
    assert (saved["deeplift"]["density_rank_low"], saved["exact"]["control"]) == ("0.74", "true")
    assert {"seconds", "infidelity_high"} <= set(saved["lrp"])
    name, data = downloaded(page, "methods by measures", "SVG")
    assert name == "alexnet-leaderboard-methods-by-measures.svg"
    assert data.count(b"<circle") > 600
    assert b"DeepLift" in data
    assert downloaded(page, "methods by measures", "PNG")[1].startswith(b"\x89PNG")


# --- what measures and scenes are worth


def test_the_checks_of_the_measures(visit: Visit, site: Path) -> None:
    page = visit(site, "#/leaderboard")
    part = page.locator(".board-trusted")
    assert "5 of 25 measures fail." in part.inner_text()
    assert part.locator("[data-measure]").count() == len(MEASURES)
    assert {one.get_attribute("data-measure") for one in part.locator("tr.is-failing").all()} == set(FAILING)
    deletion = part.locator("[data-measure=deletion]").inner_text()
    assert "fails" in deletion
    assert "Background only, Shortcut: a texture" in deletion
    assert "0.55\n0.47 to 0.63" in deletion
    assert "scenes: Centre blob" in deletion
    assert "not checked" in part.locator("[data-measure=seconds]").inner_text()
    saved = {one["measure"]: one for one in records(page, "checks of the measures")}
    assert (saved["deletion"]["passes"], saved["deletion"]["missed"]) == ("false", "background; texture")


def test_where_the_answer_is_provable(visit: Visit, site: Path) -> None:
    page = visit(site, "#/leaderboard")
    part = page.locator(".board-provable")
    assert methods_of(page, ".provable-table .pinned tr") == list(CONTROLS)
    shown = methods_of(page, ".provable-table tbody:not(.pinned) tr")
    assert shown == [name for name in METHODS if name != "attention_rollout"], "it was refused by all of them"
    cells = part.locator("[data-method=exact] td")
    assert cells.all_inner_texts() == ["1.00"] * 6
    assert cells.first.evaluate("(cell) => getComputedStyle(cell, '::before').opacity") == "0.42"
    flipped = part.locator("[data-method=inverted] td").first
    assert flipped.inner_text() == "−1.00"
    assert "gradient" in flipped.evaluate("(cell) => getComputedStyle(cell, '::before').backgroundImage")
    assert "A network of which the exact answer is known: background only. Judged by background independence." in (
        part.locator(".tiers").inner_text()
    )
    saved = {one["method"]: one for one in records(page, "provable networks")}
    assert (saved["exact"]["linear"], saved["even"]["linear"]) == ("1", "")
    assert b"<rect" in downloaded(page, "provable networks", "SVG")[1]


def test_whether_changed_scenes_are_familiar(visit: Visit, site: Path) -> None:
    page = visit(site, "#/leaderboard")
    part = page.locator(".board-familiar")
    assert part.locator("tr.group").all_inner_texts() == ["Rendered again", "For comparison"]
    assert [row.get_attribute("data-change") for row in part.locator(".is-hole").all()] == ["blur", "black"]
    assert "31.0%" in part.locator("[data-change=black]").inner_text()
    assert records(page, "familiar scenes")[-1]["unlike_low"] == "0.62"


def test_parts_without_facts_are_left_out(visit: Visit, tmp_path: Path) -> None:
    page = visit(write_site(write_leaderboard(tmp_path, meta=[], tiers=[], familiar=[])).parent, "#/leaderboard")
    assert page.locator(".board > section h3").all_inner_texts() == ["Methods by measures"]
    assert page.locator(".board .jumps, .board-table .is-failing").count() == 0


def test_the_parts_are_reached_by_the_keyboard(visit: Visit, site: Path) -> None:
    page = visit(site, "#/leaderboard")
    page.get_by_role("button", name="Where the answer is provable").focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.textContent") == "Where the answer is provable"
    assert page.evaluate("document.activeElement.getBoundingClientRect().top < 100")


def test_the_table_of_checks_is_folded_on_a_telephone_until_somebody_asks(visit: Visit, site: Path) -> None:
    page = visit(site, "#/leaderboard", viewport=TELEPHONE)
    table, fold = page.locator(".trust-table"), page.locator(".board-trusted summary").first
    assert (table.is_visible(), fold.inner_text()) == (False, "What 25 checks found")
    fold.click()
    assert table.is_visible()
    fold.click()
    page.get_by_role("button", name="Can these measures be trusted?").click()
    assert table.is_visible(), "asked for from the top of the page"
    fold.click()
    page.set_viewport_size({"width": 1280, "height": 800})
    page.wait_for_function("document.querySelector('.trust-table').checkVisibility()")
    assert not fold.is_visible(), "there is nothing to fold where there is room"


def test_provable_networks_name_their_measure_whether_or_not_the_table_has_it(visit: Visit, tmp_path: Path) -> None:
    facts = leaderboard_facts()
    facts["tiers"][0].update(measure="gone", measure_title="a measure not shown", better="low")
    page = visit(write_site(write_facts(tmp_path, facts)).parent, "#/leaderboard")
    assert page.locator(".tiers dd").first.inner_text().endswith(" Judged by 1 less a measure not shown.")


# --- which measure is the first


def test_the_first_measure_is_the_one_that_the_leaderboard_names(visit: Visit, tmp_path: Path) -> None:
    write_leaderboard(tmp_path, first="independence", rows=rows("x", first="independence"))
    page = visit(write_site(tmp_path).parent)
    best = page.locator(".best").first
    assert best.locator("li").first.inner_text().startswith(METHODS[best_first("independence")[0]][0])
    assert "dead patch" in best.locator("h3").inner_text()
    page.goto(page.url.split("#")[0] + "#/leaderboard")
    page.wait_for_selector(".board-table")
    assert page.locator("th[data-key=independence]").get_attribute("aria-sort") == "ascending"
    assert methods_of(page) == best_first("independence")
    assert "where it stands by dead patch" in page.locator(".board-table th.first").inner_text()


def test_where_nothing_could_be_measured_there_is_no_first(visit: Visit, tmp_path: Path) -> None:
    facts = leaderboard_facts(first=None)
    for one in facts["rows"]:
        one.update(rank=None, against_random=None, beats_controls=None, against=None)
    page = visit(write_site(write_facts(tmp_path, facts)).parent, "#/leaderboard")
    assert set(methods_of(page)) == set(METHODS)
    assert page.locator(".board-table .beats").count() == 0
    assert page.locator(".board-table th.first").inner_text() == "Method"
    page = visit(tmp_path, "#/search?q=DeepLift")
    page.wait_for_selector("text=nothing measured")


def test_a_method_without_the_first_measure_comes_last_and_has_no_place(visit: Visit, tmp_path: Path) -> None:
    facts = leaderboard_facts()
    last = next(one for one in facts["rows"] if one["method"] == "deeplift")
    facts["rows"].remove(last)
    facts["rows"].insert(len(METHODS) - 1, {**last, "density_rank": None, "rank": None, "against_random": None})
    page = visit(write_site(write_facts(tmp_path, facts)).parent, "#/leaderboard")
    assert methods_of(page) == [*list(METHODS)[1:], "deeplift"]


def test_a_measure_that_the_page_does_not_know_is_shown_among_others(visit: Visit, tmp_path: Path) -> None:
    facts = leaderboard_facts()
    facts["measures"].append({**facts["measures"][0], "name": "new", "title": "new one"})
    facts["rows"] = [{**one, "new": one["density_rank"]} for one in facts["rows"]]
    page = visit(write_site(write_facts(tmp_path, facts)).parent, "#/leaderboard?all=1")
    assert heads_of(page) == [*MEASURES, "new"]
    assert page.locator(".board-table th.group").last.inner_text() == "others"


# --- which one


def test_what_was_measured_is_said(visit: Visit, site: Path) -> None:
    page = visit(site, "#/leaderboard?board=resnet18")
    words = page.locator(".board").inner_text()
    assert page.locator(".board .summary span").all_inner_texts() == [
        "Measured on 190 scenes of menagerie that no bundled network was trained on.",
        "10 more are left out: fewer than three parts seen, or all of one effect.",
        "97.0% of them are named rightly.",
        "The slower checks are made on 180 of them.",
    ]
    assert "Deletion says otherwise." in words
    assert words.index("By part density DeepLift comes first") < words.index("Measured on 190 scenes")
    assert "3 trainings of this network" in words
    assert "resnet18 of seed 2" in words
    assert "1 method refused" in words
    assert "no rule for gelu" in words


def test_one_leaderboard_is_shown_at_a_time(visit: Visit, site: Path) -> None:
    page = visit(site, "#/leaderboard")
    nav = page.locator(".board-choice")
    assert nav.locator("a").all_inner_texts() == ["alexnet", "resnet18", "resnet50 on images of photos"]
    assert nav.locator("[aria-current]").inner_text() == "alexnet"
    nav.locator("a", has_text="resnet18").click()
    page.wait_for_selector("#board-resnet18")
    assert page.locator(".board").count() == 1
    assert nav.locator("[aria-current]").inner_text() == "resnet18"


def test_images_of_a_user_are_judged_without_causes(visit: Visit, site: Path) -> None:
    page = visit(site, "#/leaderboard")
    page.locator(".board-choice a", has_text="photos").click()
    page.wait_for_selector("h1:has-text('on images of photos')")
    words = page.inner_text("main")
    assert "40 images of photos" in words
    assert "There are no masks of things." in words
    assert "known causes" not in words
    assert heads_of(page) == ["insertion", "redrawn"]
    assert methods_of(page, ".board-table .pinned tr") == ["random", "centre", "edges", "even"]
    assert page.locator(".board > section h3").all_inner_texts() == [
        "Methods by measures",
        "Can these measures be trusted?",
    ]
    assert "where it stands by insertion" in page.locator(".board-table th.first").inner_text()


def test_without_a_leaderboard_the_page_says_how_to_make_one(visit: Visit, tmp_path: Path) -> None:
    made_up.write_gallery(tmp_path)
    write_site(tmp_path)
    page = visit(tmp_path)
    assert page.locator(".best-methods").count() == 0
    page.goto(page.url.split("#")[0] + "#/leaderboard")
    page.wait_for_selector("main pre")
    assert "layerscope benchmark attribution --truth" in page.inner_text("main")


def test_one_being_measured_says_how_far_it_is(visit: Visit, tmp_path: Path) -> None:
    write_leaderboard(tmp_path, complete=False, methods=[*METHODS, "deconvolution", "conductance"])
    write_site(tmp_path)
    page = visit(tmp_path, "#/leaderboard")
    assert "It is still being measured: 25 of 27 methods so far" in page.inner_text("main")


# --- from and to the other pages


def test_from_a_method_to_its_maps_and_from_a_map_back_to_the_method(visit: Visit, site: Path) -> None:
    page = visit(site, "#/leaderboard")
    assert page.locator("[data-method=kernel_shap] .shown-with").count() == 0  # it refused the only image
    row = page.locator(f"{METHOD_ROWS}[data-method=deeplift]")
    row.locator("summary").click()
    row.locator(".shown-with a").first.click()
    page.wait_for_selector(".large")
    assert "/deeplift" in page.url
    assert page.locator(".standing-of").count() == 0  # no leaderboard of that network


def test_a_map_of_a_measured_network_says_where_its_method_stands(visit: Visit, tmp_path: Path) -> None:
    made_up_explanations.write_explanation(tmp_path)
    fingerprint = json.loads(next(tmp_path.rglob("explanation.json")).read_text())["network"]["fingerprint"]
    write_leaderboard(tmp_path, "alexnet")
    trainings = [*leaderboard_facts("menagerie")["networks"], {"name": "shown", "fingerprint": fingerprint}]
    write_leaderboard(tmp_path, "menagerie", networks=trainings)
    write_site(tmp_path)
    page = visit(tmp_path, "#/leaderboard?board=menagerie")
    row = page.locator(f"{METHOD_ROWS}[data-method=deeplift]")
    row.locator("summary").click()
    row.locator(".shown-with a").first.click()
    words = page.locator(".standing-of")
    assert words.inner_text() == (
        "On 190 scenes with known causes its part density is 0.800 (0.740 to 0.860), better than every control: "
        "place 1 of 25 methods."
    )
    words.locator("a").click()
    page.wait_for_selector("#board-menagerie tr.is-wanted")
    assert page.locator("tr.is-wanted").get_attribute("data-method") == "deeplift"
    page.wait_for_function("document.querySelector('tr.is-wanted').getBoundingClientRect().top < innerHeight")


def test_the_first_page_shows_the_best_methods_between_the_controls(visit: Visit, site: Path) -> None:
    page = visit(site)
    boards = page.locator(".best-methods .best")
    assert boards.count() == 3
    best = boards.first
    assert best.locator("li").count() == 5
    assert "DeepLift" in best.locator("li").first.inner_text()
    assert best.locator("li.is-control").count() == 2
    assert "7 of 25 methods on 190 scenes are better than every control." in best.inner_text()
    assert "By insertion; nobody knows the causes in these images." in boards.last.inner_text()
    bar = best.locator(".interval").first
    assert bar.get_attribute("aria-label") == "part density 0.800, 0.740 to 0.860"
    boards.nth(1).locator("li a").first.click()
    page.wait_for_selector("#board-resnet18 tr.is-wanted")


# --- for everybody


def test_a_telephone_scrolls_the_table_and_keeps_the_methods(visit: Visit, site: Path) -> None:
    page = visit(site, "#/leaderboard?all=1&by=deletion", viewport=TELEPHONE)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    frame = page.locator(".board-table")
    assert frame.get_attribute("tabindex") == "0"
    assert frame.evaluate("(frame) => frame.scrollLeft") > 1000, "the measure that it is sorted by is in sight"
    head = page.locator("th[data-key=deletion]").bounding_box()
    first = page.locator(f"{METHOD_ROWS} th").first.bounding_box()
    assert first["x"] == pytest.approx(16, abs=1)
    assert first["x"] + first["width"] <= head["x"]
    assert head["x"] + head["width"] <= 390
    frame.focus()
    before = frame.evaluate("(frame) => frame.scrollLeft")
    page.keyboard.press("ArrowRight")
    page.wait_for_function(f"document.querySelector('.board-table').scrollLeft > {before}")
    assert page.locator(".provable-table").get_attribute("tabindex") == "0"


def test_at_each_width_nothing_is_cut_off(visit: Visit, site: Path) -> None:
    for address in ("#/leaderboard", "#/leaderboard?all=1", USERS):
        page = visit(site, address)
        fits_a_telephone(page)
        page.set_viewport_size(TELEPHONE)
        cut = """() => [...document.querySelectorAll('main :is(h1, h2, h3, h4, p, li, dt, dd, th, td, .small, b)')]
          .filter((one) => one.checkVisibility() && !one.closest('.board-frame, .unseen, .interval-axis, pre'))
          .filter((one) => { const box = one.getBoundingClientRect(); return box.right > 391 || box.left < 0; })
          .map((one) => one.textContent)"""
        assert page.evaluate(cut) == []
    page = visit(site, "#/leaderboard")
    assert page.locator(".board-table").get_attribute("tabindex") is None, "wide enough for the headline"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_can_be_read(visit: Visit, site: Path, scheme: str) -> None:
    page = visit(site, "#/leaderboard?all=1&method=deeplift", color_scheme=scheme)
    assert page.evaluate(FAINT_WORDS) == []


def test_hostile_names_are_text(visit: Visit, tmp_path: Path) -> None:
    facts = leaderboard_facts(
        "x", network={"name": HOSTILE, "fingerprint": HOSTILE}, reading=[HOSTILE], command=HOSTILE
    )
    facts["rows"] = rows(HOSTILE, {HOSTILE: (HOSTILE, 0.5, 0.5)})
    for part, keys in {
        "measures": ("title", "words"),
        "meta": ("words",),
        "tiers": ("tier", "title", "words", "measure", "measure_title"),
        "familiar": ("change", "title"),
        "networks": ("name", "fingerprint"),
        "refused": ("method", "title", "error"),
    }.items():
        for one in facts[part]:
            one.update(dict.fromkeys(keys, HOSTILE))
    write_site(write_facts(tmp_path, facts, "x"))
    page = visit(tmp_path, "#/leaderboard?all=1")
    assert as_shown(HOSTILE) in page.locator(".board h2").text_content()
    assert page.locator("main script").count() == 0
    fits_a_telephone(page)
