"""The pages of explained images in a real browser, opened from the disk: what people see, press and follow."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browsing import FAINT_WORDS, TELEPHONE, Visit, as_shown, fits_a_telephone
from made_up import CLASSES, HOSTILE, MakeGallery, write_gallery
from made_up_explanations import MakeExplanation, explanation_facts, write_explanation
from PIL import Image

from layerscope.site import maps
from layerscope.site.pages import write_site

OWL, PHOTO = "#/image/owl.png", "#/image/photo.jpg"
MAP = f"{OWL}/target/deeplift"
ADDRESSES = ("", "#/image", OWL, f"{OWL}?why=versus", MAP, f"{OWL}/versus/layercam", PHOTO)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scene of which all is known, a photograph unlike any, and the gallery of their network; to look at only."""
    folder = tmp_path_factory.mktemp("explained")
    write_gallery(folder, units=8)
    write_explanation(folder, "owl.png")
    write_explanation(folder, "photo.jpg", scene=False)
    return write_site(folder).parent


@pytest.fixture(scope="module")
def owl(browser: Any, site: Path) -> Iterator[Any]:
    """The page of the scene, to read only."""
    page = browser.new_page()
    page.goto((site / "index.html").as_uri() + OWL)
    page.wait_for_selector(".maps")
    yield page
    page.close()


def titles(page: Any) -> list[str]:
    return page.locator(".maps h3").all_inner_texts()


# --- every page


def each(visit: Visit, site: Path, **options: Any) -> Iterator[tuple[str, Any]]:
    """Every kind of page, one after the other in the same window."""
    page = visit(site, **options)
    for address in ADDRESSES:
        page.goto("about:blank")
        page.goto((site / "index.html").as_uri() + address)
        page.wait_for_selector("h1")
        yield address, page


def test_a_telephone_shows_every_page_without_scrolling_sideways(visit: Visit, site: Path):
    for address, page in each(visit, site, viewport=TELEPHONE, device_scale_factor=2):
        assert page.evaluate("document.documentElement.scrollWidth") == 390, address
        assert page.locator("h1").count() == 1, address
        assert page.title().endswith("Layerscope"), address


def test_no_page_shows_the_word_of_a_language_for_nothing(visit: Visit, site: Path):
    for address, page in each(visit, site):
        assert not re.search(r"\b(null|undefined|NaN)\b", page.locator("main").inner_text()), address


def test_words_stand_out_from_their_ground(visit: Visit, site: Path):
    for address, page in each(visit, site):
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            assert page.evaluate(FAINT_WORDS) == [], (address, scheme)


def test_every_picture_has_words_and_every_control_a_name(visit: Visit, site: Path):
    silent = "[...document.querySelectorAll('canvas, svg[role=img]')].filter((one) => !one.ariaLabel).length"
    nameless = """[...document.querySelectorAll("input, select, button, a")].filter(
        (one) => !(one.labels?.length || one.textContent.trim() || one.ariaLabel || one.querySelector("img[alt]"))
    ).length"""
    wordless = "[...document.querySelectorAll('.overlay')].filter((one) => !one.lastElementChild.alt).length"
    for address, page in each(visit, site):
        assert [page.evaluate(count) for count in (silent, nameless, wordless)] == [0, 0, 0], address


def test_every_image_is_there_and_every_canvas_gets_painted(visit: Visit, site: Path):
    page = visit(site, OWL)
    for canvas in page.query_selector_all("canvas"):
        canvas.scroll_into_view_if_needed()
    page.wait_for_function("[...document.querySelectorAll('canvas')].every((one) => 'painted' in one.dataset)")
    page.evaluate("for (const one of document.images) one.loading = 'eager'")
    page.wait_for_function("[...document.images].every((one) => one.complete && one.naturalWidth > 0)")
    assert page.locator("canvas").count() > 10


# --- the head


def test_the_labels_and_the_margin_in_words(owl: Any):
    assert owl.locator("h1").inner_text() == "Why owl?"
    rows = [row.split("\t") for row in owl.locator(".labels tbody tr").all_inner_texts()]
    assert [[cell.strip() for cell in row if cell.strip()] for row in rows][:2] == [
        ["owl", "90.0%", "80.0%", "3.00"],
        ["zebra", "22.5%", "20.0%", "2.00"],
    ]
    said = owl.locator(".margins").inner_text()
    assert "ahead of zebra\n\n1.00\n\nlogits, 0.770 calibrated" in said
    assert "The margin is larger than that of 34 in 100 images of menagerie" in said
    assert "close call" not in said
    assert "right: the scene shows owl" in owl.locator(".standing").inner_text()
    caption = owl.locator(".poster figcaption").inner_text()
    assert "640 \u00d7 480 px, cut to 480 \u00d7 480 px, seen at 16 \u00d7 16 px, turned as its EXIF says" in caption


def test_an_unlike_image_is_explained_under_a_warning(visit: Visit, site: Path):
    page = visit(site, PHOTO)
    assert page.evaluate("document.querySelector('main').firstElementChild.className") == "warning"
    assert "unlike what the network knows" in page.locator(".warning").inner_text()
    assert visit(site, OWL).locator(".warning").count() == 0


def changed(make: MakeExplanation, **facts: Any) -> Path:
    """The folder of a site of one scene, of which some facts are other ones."""
    folder = make("owl.png", facts=facts)
    write_site(folder)
    return folder


def whole() -> dict[str, Any]:
    return explanation_facts("menagerie", {}, CLASSES, scene=True)


UNIT = {"text": "channel b:3", "label": "channel b:3", "index": None, "score": 0.25, "predicted": False}


def test_a_network_that_puts_out_no_classes(visit: Visit, make_explanation: MakeExplanation):
    alone = {"target": UNIT, "labels": [], "versus": None, "questions": ["target"], "truth": None}
    folder = changed(make_explanation, **alone, flip=None)
    page = visit(folder, OWL)
    assert page.locator("h1").inner_text() == "What speaks for channel b:3?"
    words = "menagerie puts out no classes. You asked about channel b:3, whose score is 0.250."
    assert page.locator(".lead").inner_text() == words
    assert page.locator(".labels, .margins").count() == 0
    assert page.locator(".flow .to").inner_text().split("\n") == ["channel b:3", "", "score 0.250"]
    assert " ".join(visit(folder).locator(".explained .answer").inner_text().split()) == "channel b:3 score 0.250"


def test_a_network_of_one_output(visit: Visit, make_explanation: MakeExplanation):
    label = {"class": "class 0", "index": 0, "logit": -0.5, "probability": None, "calibrated": None}
    target = {"text": "logit 0", "label": "class 0", "index": 0, "score": -0.5, "predicted": True}
    alone = {"target": target, "labels": [label], "versus": None, "questions": ["target"], "truth": None, "flip": None}
    page = visit(changed(make_explanation, **alone), OWL)
    assert page.locator("h1").inner_text() == "What speaks for class 0?"
    assert "menagerie puts out one number, which is no probability." in page.locator(".lead").inner_text()
    assert page.locator(".labels thead").inner_text().split() == ["label", "logit"]
    assert "%" not in page.locator(".poster").inner_text()
    assert "score \u22120.500" in page.locator(".flow .to").inner_text()


def test_a_unit_is_asked_what_speaks_for_it(visit: Visit, make_explanation: MakeExplanation):
    page = visit(changed(make_explanation, target=UNIT, questions=["target"], versus=None), f"{OWL}/target/deeplift")
    assert "what speaks for channel b:3" in page.locator(".summary").inner_text()


def test_a_rival_that_could_not_be_used_is_said(visit: Visit, make_explanation: MakeExplanation):
    note = "The network calls this image owl itself."
    page = visit(changed(make_explanation, versus=None, questions=["target"], versus_note=note), OWL)
    assert note in page.locator(".margins").inner_text()


@pytest.mark.parametrize(("distance", "mark"), [(1.2, "of-good"), (3.1, "of-open")])
def test_an_image_of_which_some_layer_knows_nothing_gets_no_tick(
    visit: Visit, make_explanation: MakeExplanation, distance: float, mark: str
):
    layers = [{"layer": "relu1", "distance": distance, "limit": 2.9}, {"layer": "relu2", "distance": 1, "limit": 2}]
    page = visit(changed(make_explanation, familiar={**whole()["familiar"], "layers": layers}), OWL)
    assert page.locator(".standing li").nth(1).get_attribute("class") == mark


def test_classes_of_one_name_are_told_apart(visit: Visit, make_explanation: MakeExplanation):
    labels = [{**one, "class": "crane"} for one in whole()["labels"]]
    target = {"text": "logit crane (1)", "label": "crane", "index": 1, "score": 2.0, "predicted": False}
    page = visit(changed(make_explanation, labels=labels, target=target), OWL)
    assert page.locator(".labels .asked").count() == 1
    assert "22.5%" in page.locator(".labels .asked").inner_text()
    assert "22.5%" in page.locator(".flow .to").inner_text()


def test_what_is_hardly_anything_is_not_called_nothing(visit: Visit, make_explanation: MakeExplanation):
    first, second, *others = whole()["labels"]
    page = visit(changed(make_explanation, labels=[first, {**second, "probability": 2e-5}, *others]), OWL)
    assert "<0.05%" in page.locator(".labels tbody tr").nth(1).inner_text()


def test_sizes_that_say_nothing_are_left_out(visit: Visit, make_explanation: MakeExplanation):
    shown = {"name": "owl.png", "source": "owl.png", "sha256": "", "original": [16, 16], "crop": [0, 0, 16, 16]}
    page = visit(changed(make_explanation, image={**shown, "notes": [], "scene": None}), OWL)
    assert page.locator(".poster figcaption p").inner_text() == "16 \u00d7 16 px"
    again = visit(changed(make_explanation, image={**shown, "original": [20, 16], "notes": [], "scene": None}), OWL)
    assert again.locator(".poster figcaption p").inner_text() == "20 \u00d7 16 px, cut to 16 \u00d7 16 px"


def test_a_label_that_was_asked_for_and_a_wrong_one(visit: Visit, make_explanation: MakeExplanation):
    target = {"text": "logit zebra", "label": "zebra", "index": 1, "score": 2.0, "predicted": False}
    folder = make_explanation("owl.png", facts={"target": target, "truth": "turtle"})
    write_site(folder)
    page = visit(folder, OWL)
    assert page.locator("h1").inner_text() == "What speaks for zebra?"
    assert "You asked about zebra, whose score is 2.00." in page.locator(".lead").inner_text()
    assert "wrong: the scene shows turtle" in page.locator(".standing").inner_text()
    assert "wrong: it shows turtle" in visit(folder).locator(".explained").inner_text()


def test_what_a_record_does_not_say_is_not_shown(visit: Visit, make_explanation: MakeExplanation):
    versus = {**whole()["versus"], "percentile": 0.001}
    causes = {**whole()["causes"], "note": ""}
    story = {**whole()["story"], "words": ""}
    page = visit(changed(make_explanation, versus=versus, causes=causes, story=story), OWL)
    assert "unnamed" not in page.locator("main").inner_text()
    assert "larger than that of fewer than 1 in 100 images" in page.locator(".margins").inner_text()


# --- the maps


def test_each_map_has_its_marks_in_words_and_its_numbers(owl: Any):
    assert titles(owl) == ["Deeplift", "Gradcam", "Layercam"]
    first = owl.locator(".map").first
    assert first.locator(".tally").inner_text().split() == ["2", "good", "1", "open"]
    assert [" ".join(one.split()) for one in first.locator(".verdicts li").all_inner_texts()] == [
        "good: adds up to the score difference within 2%",
        "good: notices the top layers",
        "open: was not measured under noise",
    ]
    assert first.locator(".verdicts svg").count() == 3
    numbers = dict(zip(*(first.locator(tag).all_inner_texts() for tag in ("dt", "dd")), strict=True))
    assert numbers == {
        "gap ↓": "2.0%",
        "re-drawn → 0": "0.250",
        "noise ↑": "0.875",
        "deletion ↓": "0.210",
        "insertion ↑": "0.720",
        "part rank ↑": "0.900",
    }
    assert "full colour at ±0.010" in first.inner_text()


def test_an_empty_map_says_so_and_a_method_that_refused_says_why(owl: Any):
    assert "No evidence" in owl.locator(".map.empty .nothing").inner_text()
    assert owl.locator(".map.empty img.heat").count() == 0
    assert "This map is zero everywhere." in owl.locator(".map.empty .nothing").inner_text()
    refused = owl.locator(".refused").inner_text()
    assert "1 method refused" in refused
    assert "kernelshap needs more passes than there is time for" in refused


def test_a_method_without_a_sign_and_a_map_without_a_negative_side(visit: Visit, make_explanation: MakeExplanation):
    methods = whole()["methods"]
    methods[0]["signed"] = False
    methods[1]["checks"] |= {"positive": 1.0, "negative": 0.0}
    folder = changed(make_explanation, methods=methods)
    cards = visit(folder, OWL).locator(".map .full").all_inner_texts()
    assert cards[:2] == ["no sign; full colour at 0.010", "all positive on this image; full colour at 0.020"]
    said = [
        visit(folder, f"{OWL}/target/{name}").locator(".stage .small").inner_text() for name in ("deeplift", "gradcam")
    ]
    assert said[0].startswith("This method has no sign: it says where, not whether for or against. 1 on the scale is")
    assert said[1].startswith("Nothing in this map speaks against it. 1 on the scale is 0.020 per pixel")


def colour_at(page: Any, share: float) -> np.ndarray:
    """What is seen of the first map, at a share of its width."""
    shot = page.locator(".map .overlay").first.screenshot()
    seen = np.asarray(Image.open(io.BytesIO(shot)).convert("RGB")).astype(int)
    return seen[seen.shape[0] // 2, int(share * seen.shape[1])]


def slide(page: Any, value: int) -> None:
    page.locator("#opacity").evaluate(
        "(one, value) => { one.value = value; one.dispatchEvent(new Event('input')); }", value
    )


def test_one_slider_lays_all_maps_over_the_image(visit: Visit, site: Path):
    page = visit(site, OWL)
    opacity = "[...document.querySelectorAll('.maps .heat')].map((one) => +getComputedStyle(one).opacity)"
    ground = (
        "[...document.querySelectorAll('.maps .heat')].map((one) => +getComputedStyle(one.previousSibling).opacity)"
    )
    assert page.evaluate(opacity) == [1, 1]
    slide(page, 100)
    assert page.evaluate(ground) == [0, 0]
    assert np.abs(colour_at(page, 0.01) - maps.FOR).max() < 12
    assert np.abs(colour_at(page, 0.985) - maps.AGAINST).max() < 12
    slide(page, 0)
    assert page.evaluate(opacity) == [0, 0]
    assert page.evaluate(ground) == [1, 1]
    slide(page, 25)
    assert page.evaluate(opacity) == [0.5, 0.5]
    page.locator(".map a").first.click()
    page.wait_for_selector(".large")
    assert page.input_value("#opacity") == "25", "the large view keeps what was chosen"
    assert page.evaluate("+getComputedStyle(document.querySelector('.heat')).opacity") == 0.5


def test_the_slider_and_the_switch_by_keyboard(visit: Visit, site: Path):
    page = visit(site, OWL)
    page.focus("#opacity")
    page.keyboard.press("ArrowLeft")
    assert page.input_value("#opacity") == "65"
    assert page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--map')") == "0.65"
    page.focus("#why-target")
    page.keyboard.press("ArrowLeft")
    page.wait_for_timeout(100)
    assert page.url.endswith(f"{OWL}?why=versus"), "the arrows of a control do not lead to another image"
    assert page.locator("#why-versus").is_checked()


def test_the_switch_between_the_questions(visit: Visit, site: Path):
    page = visit(site, OWL)
    assert page.locator(".switch label").all_inner_texts() == ["why owl", "why owl and not zebra"]
    assert re.findall(r"\w+ \w+", page.locator(".sides").inner_text()) == ["against owl", "for owl"]
    first = page.locator(".map a").first.get_attribute("href")
    page.locator(".switch label").nth(1).click()
    assert page.url.endswith("?why=versus")
    assert re.findall(r"\w+ \w+", page.locator(".sides").inner_text()) == ["for zebra", "for owl"]
    assert (first, page.locator(".map a").first.get_attribute("href")) == (MAP, f"{OWL}/versus/deeplift")
    page.locator(".switch label").nth(0).click()
    assert page.url.endswith(OWL)
    again = visit(site, f"{OWL}?why=versus")
    assert again.locator("#why-versus").is_checked()
    assert again.locator(".map a").first.get_attribute("href") == f"{OWL}/versus/deeplift"


def test_without_a_runner_up_there_is_nothing_to_switch(visit: Visit, make_explanation: MakeExplanation):
    nothing = {"versus": None, "questions": ["target"], "story": None, "layer": None, "agreement": {}, "curves": {}}
    folder = make_explanation("photo.jpg", scene=False, facts=nothing)
    write_site(folder)
    page = visit(folder, PHOTO)
    assert page.locator(".switch, .story, .causes, .flip, .agreement, .curves").count() == 0
    assert len(titles(page)) == 3


# --- one map, large


def test_a_map_opens_large_with_its_details(visit: Visit, site: Path):
    page = visit(site, OWL)
    page.locator(".map a").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector(".large")
    assert page.url.endswith(MAP)
    assert page.locator("#trail").inner_text().split() == ["Layerscope", "owl.png", "Deeplift"]
    told = page.locator(".telling").inner_text()
    for words in (
        "What deeplift does.",
        "Somebody et al. 2017",
        "1 backward pass",
        "relu \u00d7 8",
        "silu: by its secant",
    ):
        assert words in told
    assert "the baseline is blurred" in told
    assert "has to be 2.50" in told
    page.keyboard.press("ArrowRight")
    page.wait_for_function("document.querySelector('h1').textContent === 'Gradcam'")
    page.go_back()
    page.go_back()
    page.wait_for_selector(".maps")


def test_a_deep_link_to_a_map(visit: Visit, site: Path):
    page = visit(site, f"{OWL}/versus/gradcam")
    assert page.locator("h1").inner_text() == "Gradcam"
    assert "why owl and not zebra" in page.locator(".summary").inner_text()
    page.locator(".summary a").click()
    page.wait_for_selector(".maps")
    assert page.url.endswith(f"{OWL}?why=versus")


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("#/image/nobody.png", "There is no image nobody.png"),
        (f"{OWL}/target/kernelshap", "There is no map target/kernelshap"),
        (f"{OWL}/never", "There is no map never"),
        ("#/nobody", "There is no network nobody"),
    ],
)
def test_an_address_that_leads_nowhere_says_what_there_is(visit: Visit, site: Path, address: str, words: str):
    page = visit(site, address)
    assert words in page.locator("main").inner_text()
    assert page.locator("main a").count() >= 1


# --- agreement and curves


def test_the_agreement_has_a_number_in_every_cell(owl: Any):
    rows = [row.split("\t") for row in owl.locator(".agreement tbody tr").all_inner_texts()]
    assert rows == [["Deeplift", "", "\u2212.25", "\u2212.25"], ["Gradcam", "\u2212.25", "", "\u2212.25"]]
    assert owl.locator(".agreement td.below").count() == 2
    assert owl.locator(".scroller[tabindex='0'][role=region]").count() == 1


def test_curves_stand_beside_dashed_controls_and_a_row_picks_one_out(visit: Visit, site: Path):
    page = visit(site, OWL)
    assert page.locator(".panel").count() == 2
    for name in ("random", "edges", "centre"):
        dashes = f"getComputedStyle(document.querySelector('.panel [data-curve={name}]')).strokeDasharray"
        assert page.evaluate(dashes) != "none"
    dashes = "getComputedStyle(document.querySelector('.panel [data-curve=deeplift]')).strokeDasharray"
    assert page.evaluate(dashes) == "none"
    cells = [row.split("\t") for row in page.locator(".curves .areas tbody tr").all_inner_texts()]
    assert [cell.strip() for cell in cells[0]] == ["Deeplift", "0.210", "0.720"]
    assert page.locator(".panel .chosen").evaluate_all("all => all.map(one => one.dataset.curve)") == ["deeplift"] * 2
    page.get_by_role("button", name="edges of the image").click()
    assert page.locator(".panel .chosen").evaluate_all("all => all.map(one => one.dataset.curve)") == ["edges"] * 2
    assert page.locator(".areas [aria-pressed=true]").inner_text().startswith("edges of the image")


def test_areas_have_a_scale_and_where_there_are_none_it_is_said_why(
    visit: Visit, make_explanation: MakeExplanation, owl: Any
):
    assert "area under the curve, 0: blur, 1: image" in " ".join(owl.locator(".areas thead").first.inner_text().split())
    curves = whole()["curves"]
    for one in curves["target"]["maps"]:
        one |= {"deletion_area": None, "insertion_area": None, "deletion": [-2, -3, -1], "insertion": [-1, -3, -2]}
    curves["target"] |= {"note": "the fill scores no lower than the image", "of": "score of class 0"}
    page = visit(changed(make_explanation, curves=curves), OWL)
    said = page.locator(".curves").inner_text()
    assert "No areas are given: the fill scores no lower than the image." in said
    assert "The score of class 0, while pixels give way to blur" in said
    path = page.locator(".panel .line").first.get_attribute("d")
    assert all(0 <= float(place) <= 270 for place in re.findall(r" ([-\d.]+)", path))


# --- the story and the causes


def test_the_way_shows_what_speaks_for_it_and_says_where_nothing_does(visit: Visit, make_explanation: MakeExplanation):
    story = whole()["story"]
    first, second = (layer["shown"] for layer in story["layers"])
    first[0]["true"], first[1]["true"] = 0.5, -0.25
    second[0] |= {"predicted": 0.0, "true": 0.0}
    second[1]["true"] = 0.75
    page = visit(changed(make_explanation, story=story), OWL)
    steps = page.locator(".flow > li")
    assert "Where unit relu1:3 fired" in (steps.nth(1).locator("canvas").last.get_attribute("aria-label") or "")
    assert [steps.nth(place).inner_text().split("\n")[-1] for place in (1, 2)] == ["relu1", "changes nothing"]
    assert page.locator(".layer-of").nth(1).locator(".change.none").count() == 2
    second[0]["true"] = 0.25
    again = visit(changed(make_explanation, story=story), OWL)
    assert again.locator(".flow > li").nth(2).inner_text().split("\n")[-1] == "speaks against"
    assert (
        "the first of the units below that speaks for owl, where one does"
        in again.locator(".flow + .small").inner_text()
    )


def test_the_story_leads_from_the_image_over_the_layers_to_the_label(owl: Any):
    steps = [step.split("\n") for step in owl.locator(".flow > li").all_inner_texts()]
    assert [step[-1] for step in steps] == ["the image", "relu1", "relu2", "90.0%"]
    assert owl.locator(".flow .to").inner_text().split() == ["owl", "90.0%"]
    unit = owl.locator(".unit-of").nth(1)
    assert unit.locator(".changes").inner_text().split() == [
        "predicted", "change", "\u22120.800", "true", "change", "+2.25",
    ]  # fmt: skip
    assert unit.locator(".predicted.for").count() == unit.locator(".true.against").count() == 1
    assert "where unit relu1:3 fired, most at row 1 of 4, column 2 of 4".capitalize() in [
        one.get_attribute("aria-label").capitalize() for one in unit.locator("canvas").all()
    ]


def test_a_unit_leads_to_its_page_in_the_gallery(visit: Visit, site: Path):
    page = visit(site, OWL)
    assert page.locator(".unit-of a").first.get_attribute("href") == "#/menagerie/conv1/0"
    assert page.locator(".layer-of").nth(1).locator("a").count() == 0, "relu2 is in no gallery"
    page.locator(".unit-of a").first.click()
    page.wait_for_selector(".numbers")
    assert page.locator("h1").inner_text() == "conv1:0"


def test_the_gallery_of_other_weights_is_not_linked(
    visit: Visit, make_explanation: MakeExplanation, make_gallery: MakeGallery
):
    make_gallery(facts={"network": {"name": "menagerie", "fingerprint": "11" * 32, "input_size": 32}})
    folder = make_explanation("owl.png")
    write_site(folder)
    assert visit(folder, OWL).locator(".unit-of a").count() == 0


def test_a_unit_without_a_picture_says_how_to_make_it(owl: Any):
    assert owl.locator(".layer-of").nth(1).locator(".unmade").all_inner_texts() == ["no picture yet"] * 2
    assert "layerscope gallery menagerie --units relu2" in owl.locator(".story pre").inner_text()


def test_the_command_for_pictures_names_weights_and_folder(visit: Visit, make_explanation: MakeExplanation):
    network = {
        "name": "menagerie",
        "spec": "torchvision:resnet18",
        "weights": "my weights.pth",
        "fingerprint": "0" * 64,
    }
    folder = make_explanation("owl.png", header={"network": network})
    write_site(folder)
    said = visit(folder, OWL).locator(".story pre").inner_text()
    assert said.startswith("layerscope gallery torchvision:resnet18 --weights 'my weights.pth' --units relu2 --out ")
    assert said.endswith(f"--out {folder}")


def test_the_line_of_python_for_what_was_piped_in_says_what_has_to_be_put_in(
    visit: Visit, make_explanation: MakeExplanation
):
    folder = make_explanation("owl.png", header={"command": "ls.explain(model, 'PATH OF THE PICTURE')"})
    write_site(folder)
    words = "The line of Python that makes it again, with the path of the picture put in"
    assert words in visit(folder, OWL).locator(".making .command").inner_text()


def test_the_parts_and_what_they_really_do(owl: Any):
    rows = [row.split() for row in owl.locator(".effects li").all_inner_texts()]
    assert rows == [
        ["wing", "31", "pixels", "true", "2.10", "predicted", "1.90"],
        ["eye", "1", "pixel", "true", "\u22120.300"],
        ["another", "background", "true", "\u22120.100"],
        ["distractors", "moved", "true", "0.050"],
    ]
    bar = owl.locator(".effects .effect.against i").first.bounding_box()
    other = owl.locator(".effects .effect.for i").first.bounding_box()
    assert bar["x"] + bar["width"] == pytest.approx(other["x"], abs=1.5), "both start at zero"
    assert owl.locator(".effects li").first.locator("canvas").get_attribute("aria-label") == "The scene without wing"


def test_the_smallest_change_that_flips_the_label(owl: Any):
    words = owl.locator(".flip").inner_text()
    for one in ("owl", "90.0%", "without wing and eye", "zebra", "70.0%", "57 changes tried"):
        assert one in words


def test_a_flip_among_part_of_its_size_is_not_called_the_only_one(visit: Visit, make_explanation: MakeExplanation):
    flip = {**whole()["flip"], "complete": False}
    words = visit(changed(make_explanation, flip=flip), OWL).locator(".flip").inner_text()
    assert "57 changes tried, from the smallest on, not all of its size" in words


def test_a_part_that_does_nothing_has_no_side(visit: Visit, make_explanation: MakeExplanation):
    causes = whole()["causes"]
    causes["parts"][1]["effect"] = 0.0
    page = visit(changed(make_explanation, causes=causes), OWL)
    assert page.locator(".effects .effect.none").count() == 1


def test_a_label_that_nothing_flips(visit: Visit, make_explanation: MakeExplanation):
    flip = {"found": False, "words": "", "label": None, "probability": None, "tried": 64, "picture": None}
    folder = make_explanation("owl.png", facts={"flip": flip})
    write_site(folder)
    assert "None was found: 64 changes tried" in visit(folder, OWL).locator(".flip").inner_text()


def test_the_line_of_python_can_be_copied(visit: Visit, site: Path):
    page = visit(site, OWL)
    assert page.locator(".making pre").inner_text().startswith("import layerscope as ls; ls.explain(")
    page.locator(".making .copy").click()
    page.wait_for_function("['Copied', 'Selected'].includes(document.querySelector('.making .copy').textContent)")


# --- the first page and the way between images


def test_the_first_page_shows_the_images_beside_the_galleries(visit: Visit, site: Path):
    page = visit(site)
    assert page.locator("article.card").count() == 1
    assert page.locator(".explained").count() == 2
    latest = page.locator(".explained").first
    assert "photo.jpg · menagerie" in latest.inner_text()
    assert "1.00 logits ahead of zebra" in latest.inner_text()
    assert "unlike what the network knows" in latest.inner_text()
    latest.locator("a").click()
    page.wait_for_selector(".poster")
    assert page.url.endswith(PHOTO)


def test_the_first_page_of_explanations_only(visit: Visit, make_explanation: MakeExplanation):
    for turn in range(10):
        folder = make_explanation(f"owl {turn}")
    (lost,) = (folder / "explain" / "menagerie" / "owl-0").rglob("*.safetensors")
    lost.unlink()
    write_site(folder)
    page = visit(folder)
    assert page.locator("h1").inner_text() == "Why this label"
    assert page.locator(".explained").count() == 8
    assert "1 image without a whole record; explain again: owl 0" in page.locator(".absent").inner_text()
    last, more = (page.locator(which).last.bounding_box() for which in (".explained", ".more"))
    assert more["y"] - last["y"] - last["height"] >= 20
    page.get_by_role("link", name="All 9 images").click()
    page.wait_for_function("document.querySelectorAll('.explained').length === 9")
    fits_a_telephone(page)


def test_on_a_telephone_the_way_to_other_images_comes_last_and_no_arrow_hangs_on_the_edge(visit: Visit, site: Path):
    page = visit(site, OWL, viewport=TELEPHONE)
    head, steps, last = (page.locator(f".verdict-of > {one}").bounding_box() for one in ("h1", "nav", ".margins"))
    assert steps["y"] > last["y"] > head["y"]
    assert page.evaluate("getComputedStyle(document.querySelector('.flow')).overflowX") == "clip"


def test_arrows_go_from_image_to_image(visit: Visit, site: Path):
    page = visit(site, PHOTO)
    for key, address in (("ArrowRight", OWL), ("ArrowLeft", PHOTO)):
        page.keyboard.press(key)
        page.wait_for_function("address => location.hash === address", arg=address)
        page.wait_for_selector(".maps")
        assert page.locator(".kicker").text_content() == address.removeprefix("#/image/")


def test_a_network_called_image_keeps_its_pages(
    visit: Visit, make_explanation: MakeExplanation, make_gallery: MakeGallery
):
    make_gallery("image")
    folder = make_explanation("owl.png")
    write_site(folder)
    assert visit(folder, "#/image").locator("h1").inner_text() == "image"
    assert visit(folder, "#/image/conv1/2").locator("h1").inner_text() == "conv1:2"
    assert visit(folder, OWL).locator("h1").inner_text() == "Why owl?"


def test_data_that_is_gone_is_named(browser: Any, make_explanation: MakeExplanation):
    folder = make_explanation("owl.png")
    write_site(folder)
    (folder / "site" / "images" / "owl.png" / "data.js").unlink()
    page = browser.new_page()
    page.goto((folder / "index.html").as_uri() + OWL)
    page.wait_for_selector("h1")
    assert "cannot be read; write the site again" in page.locator("main").inner_text()
    page.close()


# --- hostile names


def test_hostile_names_are_shown_as_they_are(visit: Visit, make_explanation: MakeExplanation):
    for place, name in enumerate(HOSTILE):
        folder = make_explanation(name, network=name, folder=f"explained/{place}", classes=[name, f"{name}2", "owl"])
    write_site(folder)
    page = visit(folder)
    fits_a_telephone(page)
    page.get_by_role("link", name=f"All {len(HOSTILE)} images").click()
    seen = []
    for place in range(len(HOSTILE)):
        page.wait_for_function(f"document.querySelectorAll('.explained').length === {len(HOSTILE)}")
        fits_a_telephone(page)
        page.locator(".explained a").nth(place).click()
        page.wait_for_selector(".poster")
        fits_a_telephone(page)
        seen.append(page.locator("h1 bdi").text_content())
        page.locator(".switch label").nth(1).click()
        page.locator(".map a").first.click()
        page.wait_for_selector(".large")
        fits_a_telephone(page)
        assert page.locator("main script, main iframe").count() == 0
        page.goto(f"{(folder / 'index.html').as_uri()}#/image")
    whole = [as_shown(name) or "unnamed" for name in HOSTILE if len(name) <= 80]
    assert {title for title in seen if not title.endswith("…")} == set(whole)
    assert sum(title.endswith("…") for title in seen) == len(HOSTILE) - len(whole)
