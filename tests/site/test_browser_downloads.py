"""What the small menus of plots, pictures and tables hand out, downloaded for real and read with other programs."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import made_up
import made_up_explanations
import made_up_hierarchies
import numpy as np
import pytest
from browsing import TELEPHONE, Visit
from made_up import HOSTILE, MakeGallery, picture
from made_up_explanations import MakeExplanation
from saving import SVG, downloaded, drawing, offered, pixels, records, table

from layerscope.site.pages import write_site

LAYER, UNIT = "#/menagerie/conv1", "#/menagerie/conv1/3"
IMAGE, MAP = "#/image/owl-7-a33ee988ef", "#/image/owl-7-a33ee988ef/target/deeplift"
REPORT = "#/hierarchy/menagerie"
PAGES = ("#/menagerie", LAYER, UNIT, "#/image", IMAGE, MAP, REPORT, f"{REPORT}/relu1", f"{REPORT}/relu1/3")


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gallery, a report and two explanations of one network, to look at only."""
    folder = tmp_path_factory.mktemp("downloads")
    made_up.write_gallery(folder, folder="gallery/menagerie", layers=("conv1", "conv2"), units=16)
    made_up_hierarchies.write_hierarchy(folder, layers=("relu1", "relu2"))
    made_up_explanations.write_explanation(folder)
    made_up_explanations.write_explanation(folder, "photo 3", scene=False)
    return write_site(folder).parent


# --- every menu


@pytest.mark.parametrize("address", PAGES)
def test_every_menu_of_every_page_hands_out_each_file_that_it_offers(visit: Visit, shelf: Path, address: str):
    page = visit(shelf, address)
    page.evaluate("document.querySelectorAll('details:not(.save)').forEach((one) => { one.open = true })")
    names = []
    for summary in page.query_selector_all("details.save > summary"):
        summary.evaluate("(one) => { one.parentNode.open = true }")
        page.wait_for_selector("details.save[open] li")
        for button in page.query_selector_all("details.save[open] button"):
            if "Python" in button.inner_text():
                continue
            if len(names) % 9 == 8:
                page.wait_for_timeout(1_100)  # Chromium drops what is more than ten downloads in a second
            with page.expect_download() as coming:
                button.evaluate("(one) => one.click()")
            names.append(coming.value.suggested_filename)
            assert Path(coming.value.path()).stat().st_size > 20
        summary.evaluate("(one) => { one.parentNode.open = false }")
    assert len(names) == len(set(names)) >= 1, names
    assert page.locator(".said:not(:empty)").count() == 0


@pytest.mark.parametrize("address", PAGES)
def test_menus_fit_the_window_of_a_telephone(visit: Visit, shelf: Path, address: str):
    page = visit(shelf, address, viewport=TELEPHONE)
    page.evaluate("document.querySelectorAll('details:not(.save)').forEach((one) => { one.open = true })")
    for summary in page.query_selector_all("details.save > summary"):
        summary.scroll_into_view_if_needed()
        summary.evaluate("(one) => { one.parentNode.open = true }")
        page.wait_for_selector("details.save[open] li")
        box = page.query_selector("details.save[open] .offers").bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390
        summary.evaluate("(one) => { one.parentNode.open = false }")


def test_a_menu_opens_by_the_keyboard_and_closes_by_escape_or_a_press_beside_it(visit: Visit, shelf: Path):
    page = visit(shelf, UNIT)
    menus = page.locator("details.save[open]")
    page.focus('summary[aria-label="Save: the ascent"]')
    page.keyboard.press("Enter")
    page.wait_for_selector("details.save[open] li")
    assert menus.locator("button b").all_inner_texts() == ["PNG", "SVG", "CSV", "Python"]
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.innerText.startsWith('PNG')")
    page.keyboard.press("Escape")
    assert menus.count() == 0
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Save: the ascent"
    page.keyboard.press("Space")
    assert menus.count() == 1
    page.mouse.click(4, 4)
    assert menus.count() == 0


def test_the_line_of_python_is_shown_and_copied(visit: Visit, shelf: Path):
    page = visit(shelf, LAYER)
    menu = offered(page, "ratios of score to natural")
    menu.locator("button", has_text="Python").click()
    page.wait_for_selector(".said:not(:empty)")
    assert menu.locator(".said").inner_text() in ("Copied.", "Selected.")
    assert menu.locator("code").inner_text() == (
        "import layerscope as ls; ls.figures.ratios('gallery/menagerie', 'conv1')"
    )


# --- numbers


def test_units_come_as_they_are_filtered_and_sorted(visit: Visit, shelf: Path):
    page = visit(shelf, f"{LAYER}?q=ratio>1.2&sort=saturated&down=0")
    found = records(page, "units")
    assert [int(row["unit"]) for row in found] == [
        int(one.get_attribute("data-unit")) for one in page.query_selector_all(".unit")
    ]
    assert [row["saturated"] for row in found] == sorted((row["saturated"] for row in found), key=float)
    assert all(float(row["ratio"]) > 1.2 for row in found)
    page.fill("#filter", "dead")
    assert [row["unit"] for row in records(page, "units")] == ["13", "6"]


def test_numbers_come_as_the_page_holds_them_not_as_it_writes_them(visit: Visit, shelf: Path):
    """The page writes 0.550 and 9%; the files hold 0.55 and 0.0875."""
    heads, *rows = table(visit(shelf, IMAGE), "deletion curves, probability of owl")
    assert heads == ["share of pixels", "Deeplift", "Gradcam", "random", "edges", "centre"]
    assert rows == [
        ["0", "0.9", "0.9", "0.9", "0.9", "0.9"],
        ["0.5", "0.5", "0.55", "0.6", "0.65", "0.7"],
        ["1", "0.1", "0.1", "0.1", "0.1", "0.1"],
    ]


def test_the_trace_of_a_unit(visit: Visit, shelf: Path):
    heads, *rows = table(visit(shelf, UNIT), "the ascent")
    assert heads == ["step", "value"]
    assert [int(step) for step, _ in rows] == list(range(40))
    expected = 2.2 * (1 - np.exp(-np.arange(40) / 8))
    np.testing.assert_allclose([float(value) for _, value in rows], expected, rtol=1e-4, atol=1e-7)


def test_the_parts_of_a_scene_and_the_maps_of_it(visit: Visit, shelf: Path):
    page = visit(shelf, IMAGE)
    assert [list(row.values()) for row in records(page, "true effects of the parts")] == [
        ["wing", "31", "2.1", "1.9"],
        ["eye", "1", "-0.3", ""],
        ["another background", "", "-0.1", ""],
        ["distractors moved", "", "0.05", ""],
    ]
    maps = records(page, "maps and their checks")
    assert [(row["method"], row["question"]) for row in maps][:5] == [
        *((method, "target") for method in made_up_explanations.METHODS),
        ("deeplift", "versus"),
    ]
    assert maps[1]["check redrawn"] == "poor: notices the top layers"
    assert maps[3]["error"] == "kernelshap needs more passes than there is time for"


def test_the_layers_of_a_report(visit: Visit, shelf: Path):
    (first, second) = records(visit(shelf, REPORT), "what the layers code, beside random twins")
    assert [first["layer"], first["edge"], first["edge of twins"], first["depth"]] == ["relu1", "0.75", "0.03125", "0"]
    assert [second["texture"], second["depth low"], second["depth high"]] == ["0.75", "0.75", "1.25"]


def test_units_of_a_report_as_they_are_filtered(visit: Visit, shelf: Path):
    page = visit(shelf, f"{REPORT}/relu1?label=edge&sort=edge_evidence")
    found = records(page, "units")
    assert [row["unit"] for row in found] == ["9", "1"]
    assert [float(row["edge_evidence"]) for row in found] == [10, 2]


FORMULAS = (
    '=HYPERLINK("//evil")',
    "+1+1",
    "-1+1",
    "@SUM(A1)",
    "\t=1",
    "a,b",
    'say "x"',
    "two\r\nlines",
    " lead",
    "-0.5",
)


def test_hostile_names_stay_cells_and_are_no_formulas(visit: Visit, make_gallery: MakeGallery):
    names = [*FORMULAS, *HOSTILE]
    page = visit(write_site(make_gallery(labels=names)).parent, "#/menagerie/fc")
    rows = records(page, "units")
    assert [int(row["unit"]) for row in rows] == list(range(len(names)))
    for row, name in zip(rows, names, strict=True):
        shown = name.replace("\ud800", "\ufffd")
        guarded = f"'{shown}" if shown[:1] in ("=", "+", "-", "@", "\t") and shown != "-0.5" else shown
        assert row["label"] == guarded


def test_files_of_hostile_names_are_called_plainly(visit: Visit, make_gallery: MakeGallery):
    folder = write_site(make_gallery("../../<b>\u202eNetz ä", folder="g", layers=('"con.txt\\',), units=8)).parent
    page = visit(folder)
    page.evaluate("location.hash = LAYERSCOPE.address(LAYERSCOPE.networks[0], LAYERSCOPE.networks[0].layers[0])")
    page.wait_for_selector(".toolbar .save")
    assert downloaded(page, "units", "CSV")[0] == "b-netz-a-con-txt-units.csv"
    for name in HOSTILE:
        called = page.evaluate("(name) => LAYERSCOPE.fileSlug([name, name, name])", name)
        assert set(called) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
        assert 1 <= len(called) <= 100


# --- drawings


def test_a_drawing_stands_for_itself(visit: Visit, shelf: Path):
    page = visit(shelf, IMAGE)
    root = drawing(page, "deletion curves, probability of owl")
    assert root.tag == f"{SVG}svg"
    title, description, ground, *_ = list(root)
    assert title.text == "Deletion curves, probability of owl · owl 7 · menagerie"
    assert "Seed 3." in description.text
    assert f"Key {page.evaluate('LAYERSCOPE.data[`image:owl-7-a33ee988ef`].key')}." in description.text
    assert (
        "Command: import layerscope as ls; ls.explain(ls.load_model('menagerie'), 'owl 7', seed=3)" in description.text
    )
    assert ground.attrib == {"width": root.get("width"), "height": root.get("height"), "fill": "#ffffff"}
    names = {name for one in root.iter() for name in one.attrib}
    assert not names & {"class", "style", "href", "id"}
    assert not [value for one in root.iter() for value in one.attrib.values() if "var(" in value or "url(" in value]
    lines = [one for one in root.iter(f"{SVG}path") if one.get("stroke-width") == "2.5px"]
    assert [one.get("stroke") for one in lines] == ["rgb(39, 67, 201)"] * 2  # the line picked out, and its key
    words = [one.text for one in root.iter(f"{SVG}text")]
    assert {"25%", "pixels taken away, the most important first", "Deeplift", "random map (control)"} <= set(words)


def test_a_drawing_is_the_same_in_the_dark(visit: Visit, shelf: Path):
    files = [
        downloaded(visit(shelf, REPORT, color_scheme=scheme), "what the layers code, beside random twins", "SVG")
        for scheme in ("light", "dark")
    ]
    assert files[0] == files[1]
    assert files[0][0] == "hierarchy-menagerie-what-the-layers-code-beside-random-twins.svg"
    assert b'fill="rgb(0, 114, 178)"' in files[0][1]  # edges in their own blue


def test_intervals_are_drawn_below_each_other_with_words_and_numbers(visit: Visit, shelf: Path):
    root = drawing(visit(shelf, f"{REPORT}/relu1/3"), "class house")
    words = [one.text for one in root.iter(f"{SVG}text")]
    assert words[1:5] == ["AUC", "0.875", "versus scattered", "0.750 (0.625 to 0.850)"]
    assert len(list(root.iter(f"{SVG}circle"))) == 4


def test_pixels_show_what_the_drawing_shows(visit: Visit, shelf: Path):
    page = visit(shelf, UNIT, color_scheme="dark")
    root, seen = drawing(page, "the ascent"), pixels(page, "the ascent")
    height, width, _ = seen.shape
    assert width >= 2 * int(root.get("width"))
    assert abs(width / height - int(root.get("width")) / int(root.get("height"))) < 0.01
    assert (seen[[0, 0, -1, -1], [0, -1, 0, -1]] == 255).all()
    accent = np.abs(seen.astype(int) - (39, 67, 201)).sum(-1) < 12
    assert 2000 < accent.sum() < 0.1 * accent.size  # the curve, in the colour of light pages
    assert (seen < 100).all(-1).sum() > 500  # words


def test_a_page_leaves_no_trace_of_what_was_saved_from_it(visit: Visit, shelf: Path):
    page = visit(shelf, IMAGE)
    before = page.evaluate("document.querySelectorAll('body *').length")
    page.evaluate("window.kept = document.querySelectorAll('main [style]').length")
    downloaded(page, "agreement of the maps, target", "SVG")
    downloaded(page, "deletion curves, probability of owl", "PNG")
    assert page.locator(".aside").count() == 0
    assert page.evaluate("document.querySelectorAll('main [style]:not(.offers)').length === window.kept")
    assert (
        page.evaluate("document.querySelectorAll('body *').length - document.querySelectorAll('.offers *').length")
        == before
    )


# --- pictures


def test_a_page_from_the_disk_offers_the_sheet_and_says_why(visit: Visit, shelf: Path):
    page = visit(shelf, UNIT)
    menu = offered(page, "picture")
    assert menu.locator("b").all_inner_texts() == ["WebP", "Python"]
    assert "No PNG from the disk" in menu.inner_text()
    link = menu.locator("a").get_attribute("href")
    assert (shelf / link.partition("?")[0]).read_bytes()[8:12] == b"WEBP"


@pytest.fixture
def served(shelf: Path, browser: Any) -> Iterator[Any]:
    """A page of the site as a web server hands it out."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *words: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(shelf)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto(f"http://127.0.0.1:{server.server_port}/index.html")
    page.wait_for_selector("h1")
    yield page
    page.close()
    server.shutdown()
    server.server_close()
    thread.join()


def test_where_it_is_served_a_picture_comes_as_pixels(served: Any):
    served.evaluate("(address) => { location.hash = address }", UNIT)
    served.wait_for_selector(".made canvas[data-painted]")
    seen = pixels(served, "picture").astype(int)
    assert seen.shape[0] == seen.shape[1] >= 1024
    middles = (np.arange(16) + 0.5) * seen.shape[0] / 16
    grid = seen[np.ix_(middles.astype(int), middles.astype(int))]
    assert np.abs(grid - picture(3)).max() <= 2


def test_where_it_is_served_a_map_comes_over_its_image(served: Any):
    served.evaluate("(address) => { location.hash = address }", MAP)
    served.wait_for_selector(".stage img.heat")
    served.evaluate("document.getElementById('opacity').value = 100")
    served.locator("#opacity").dispatch_event("input")
    seen = pixels(served, "Deeplift map").astype(int)
    left, right = seen[512, 8], seen[512, -8]
    assert left[0] - left[2] > 100, left  # orange speaks for
    assert right[2] - right[0] > 100, right  # blue against


# --- plots are drawn to the room they have


@pytest.mark.parametrize(("address", "plot"), [(LAYER, ".plot.ratios"), (UNIT, ".plot.trace"), (IMAGE, ".panel .plot")])
def test_plots_are_drawn_anew_when_the_window_changes(visit: Visit, shelf: Path, address: str, plot: str):
    page = visit(shelf, address)
    width = "(plot) => document.querySelector(plot).viewBox.baseVal.width"
    room = "(plot) => document.querySelector(plot).parentNode.clientWidth"
    page.wait_for_function(f"(plot) => Math.abs(({width})(plot) - ({room})(plot)) < 2", arg=plot)
    wide = page.evaluate(width, plot)
    page.set_viewport_size(TELEPHONE)
    page.wait_for_function(f"(plot) => Math.abs(({width})(plot) - ({room})(plot)) < 2", arg=plot)
    assert page.evaluate(width, plot) < min(wide, 360)


def test_the_line_that_was_picked_out_stays_picked_out_when_curves_are_drawn_anew(
    visit: Visit, make_explanation: MakeExplanation
):
    page = visit(write_site(make_explanation()).parent, IMAGE)
    page.click(".areas button:has-text('Gradcam')")
    page.set_viewport_size(TELEPHONE)
    page.wait_for_function("document.querySelector('.panel .plot').viewBox.baseVal.width < 400")
    assert page.evaluate("[...document.querySelectorAll('.panel .chosen')].map((one) => one.dataset.curve)") == [
        "gradcam",
        "gradcam",
    ]
