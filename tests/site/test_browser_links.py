"""The ways from a label to what it rests on, and back: maps, units, galleries, reports and images link to each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import made_up
import made_up_explanations
import made_up_hierarchies
import pytest
from browsing import TELEPHONE, Visit
from made_up_explanations import MakeExplanation
from saving import records

from layerscope.site.pages import write_site

OWL = "#/image/owl-7-a33ee988ef"


@pytest.fixture(scope="session")
def linked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """conv1 and conv2 in a gallery, relu1 and relu2 in a report and in the stories of two images; to look at only."""
    folder = tmp_path_factory.mktemp("links")
    made_up.write_gallery(folder, layers=("conv1", "conv2"), units=8)
    made_up_hierarchies.write_hierarchy(folder, layers=("relu1", "relu2"), units=8)
    made_up_explanations.write_explanation(folder)
    made_up_explanations.write_explanation(folder, "photo 3", scene=False, classes=("zebra", "owl"))
    other = {"network": {"name": "other", "fingerprint": "ab" * 32, "spec": None, "class_names": ["owl"]}}
    made_up_explanations.write_explanation(folder, "far", header=other)
    return write_site(folder).parent


def links(page: Any, within: str) -> list[str]:
    return [one.get_attribute("href") for one in page.query_selector_all(f"{within} a[href]:not([tabindex])")]


def test_from_a_label_to_a_map_a_unit_what_it_shows_and_what_it_codes(visit: Visit, linked: Path):
    page = visit(linked, OWL)
    assert f"{OWL}/target/deeplift" in links(page, ".maps")
    first, second = page.query_selector_all(".layer-of")
    hrefs = [one.get_attribute("href") for one in first.query_selector_all("a[href]:not([tabindex])")]
    assert hrefs == [
        "#/menagerie/conv1",
        "#/hierarchy/menagerie/relu1",
        "#/menagerie/conv1/0",
        "#/hierarchy/menagerie/relu1/0",
        "#/menagerie/conv1/3",
        "#/hierarchy/menagerie/relu1/3",
    ]
    # No picture of relu2 was known when the image was explained; the report says whose units they are.
    assert second.query_selector("h3 a").get_attribute("href") == "#/menagerie/conv2"
    page.click(".layer-of >> text=what it codes")
    page.wait_for_selector(".tests")
    assert page.inner_text("h1").startswith("relu1:0")


def test_gallery_and_report_link_to_each_other_across_the_rectifier(visit: Visit, linked: Path):
    page = visit(linked, "#/menagerie/conv1/3")
    page.click("text=hierarchy report")
    page.wait_for_selector(".tests")
    assert page.evaluate("location.hash") == "#/hierarchy/menagerie/relu1/3"
    page.click("text=its picture in the gallery")
    page.wait_for_selector(".numbers")
    assert page.evaluate("location.hash") == "#/menagerie/conv1/3"
    page.evaluate("location.hash = '#/menagerie/conv2'")
    page.wait_for_selector(".unit")
    page.click("text=what its units code")
    page.wait_for_selector(".claims")
    assert page.evaluate("location.hash") == "#/hierarchy/menagerie/relu2"
    page.click("text=pictures of its units")
    page.wait_for_selector("#filter")
    assert page.evaluate("location.hash") == "#/menagerie/conv2"


@pytest.mark.parametrize("address", ["#/menagerie/conv1/3", "#/hierarchy/menagerie/relu1/3"])
def test_a_unit_lists_the_images_in_which_it_mattered_and_by_how_much(visit: Visit, linked: Path, address: str):
    page = visit(linked, address)
    shown = page.locator(".mattered li").all_inner_texts()
    assert sorted(" ".join(one.split()) for one in shown) == [
        "owl 7 +2.25 speaks against owl",
        "photo 3 +2.25 speaks against zebra",
    ]
    assert [(row["unit"], row["true change"]) for row in records(page, "images in which it mattered")] == [
        ("3", "2.25")
    ] * 2
    page.click(".mattered li >> text=owl 7")
    page.wait_for_selector(".story")


def test_a_unit_that_mattered_in_no_image_says_nothing_of_images(visit: Visit, linked: Path):
    assert visit(linked, "#/menagerie/conv1/2").locator(".mattered").count() == 0


@pytest.mark.parametrize(
    ("address", "unit"), [("#/menagerie/conv1", "#/menagerie/conv1"), ("#/hierarchy/menagerie/relu1",) * 2]
)
def test_a_layer_lists_its_images_with_the_unit_that_mattered_most(visit: Visit, linked: Path, address: str, unit: str):
    page = visit(linked, address)
    assert page.inner_text(".mattered > summary") == "Mattered in 2 explained images"
    page.click(".mattered > summary")
    assert sorted(links(page, ".mattered li")) == sorted([OWL, "#/image/photo-3-73fb472478", *[f"{unit}/3"] * 2])


def test_a_class_lists_the_images_that_are_called_by_it(visit: Visit, linked: Path):
    page = visit(linked, "#/menagerie/fc/0")
    assert page.inner_text(".mattered h2") == "Images called owl"
    assert links(page, ".mattered") == [OWL]  # not the owl of another network


def test_every_link_of_every_page_leads_somewhere(visit: Visit, linked: Path):
    page = visit(linked)
    waiting, seen = ["#/"], set[str]()
    while waiting and len(seen) < 60:
        address = waiting.pop(0)
        seen.add(address)
        page.evaluate("(address) => { location.hash = address }", address)
        page.wait_for_function(
            "(address) => location.hash === address && document.querySelector('main h1')", arg=address
        )
        page.wait_for_timeout(40)
        assert page.title() not in ("Not found · Layerscope", "Not readable · Layerscope"), address
        found = page.evaluate("[...document.querySelectorAll('main a[href^=\"#/\"]')].map((one) => one.hash)")
        waiting += [one for one in dict.fromkeys(found) if one not in seen and one not in waiting]
    assert len(seen) > 40


# --- all images


def names(page: Any) -> list[str]:
    return [one.split(" · ")[0] for one in page.locator(".explained > p.small").all_inner_texts()]


@pytest.fixture
def many(make_explanation: MakeExplanation) -> Path:
    labels = [{"class": name, "index": 0, "logit": 1.0, "calibrated": None} for name in ("owl", "zebra", "car")]
    for place, label in enumerate(labels):
        facts = {"labels": [{**label, "probability": 0.5 + place / 10}], "truth": "owl" if place < 2 else None}
        folder = make_explanation(f"i{place}", network=f"net{place % 2}", scene=place < 2, facts=facts)
    return write_site(folder).parent


def test_images_are_filtered_and_sorted_and_the_address_says_how(visit: Visit, many: Path):
    page = visit(many, "#/image")
    assert sorted(names(page)) == ["i0", "i1", "i2"]
    page.select_option("#images-sort", "probability")
    assert names(page) == ["i2", "i1", "i0"]
    page.click("#direction")
    assert names(page) == ["i0", "i1", "i2"]
    page.fill("#filter", "probability>=0.6")
    assert names(page) == ["i1", "i2"]
    page.select_option("#images-network", "net1")
    assert names(page) == ["i1"]
    assert page.evaluate("location.hash") == "#/image?sort=probability&down=0&q=probability%3E%3D0.6&network=net1"
    assert page.inner_text("#count") == "1 of 3 images."
    page.reload()
    page.wait_for_selector(".explained")
    assert names(page) == ["i1"]
    assert [row["image"] for row in records(page, "images")] == ["i1"]


@pytest.mark.parametrize(
    ("only", "expected"), [("wrong", ["i1"]), ("right", ["i0"]), ("unlike", ["i2"]), ("warned", ["i1", "i2"])]
)
def test_images_with_warnings_are_picked_out(visit: Visit, many: Path, only: str, expected: list[str]):
    page = visit(many, f"#/image?only={only}&sort=probability&down=0")
    assert names(page) == expected


def test_a_filter_of_images_that_cannot_be_understood_is_said(visit: Visit, many: Path):
    page = visit(many, "#/image?label=zebra&q=size>3", viewport=TELEPHONE)
    assert "no number is called “size”; there are probability, margin, score" in page.inner_text("#count")
    page.fill("#filter", "")
    assert names(page) == ["i1"]
    assert page.evaluate("document.documentElement.scrollWidth") == 390
