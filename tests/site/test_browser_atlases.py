"""The pages of atlases in a browser: what the map tells by mouse, by key, on a telephone, and of hostile names."""

from __future__ import annotations

from typing import Any

import pytest
from browsing import FAINT_WORDS, TELEPHONE, Visit, fits_a_telephone
from made_up import CLASSES, HOSTILE, write_gallery
from made_up_atlases import PLACES, cell_facts, write_atlas
from reading import index_of

from layerscope.site.pages import write_site

CHOSEN = ".at[aria-current]"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("atlases")
    write_atlas(write_gallery(out, units=3))
    write_atlas(out, layer="conv3", made=0)
    return write_site(out).parent


def address(folder, place: int = 0) -> str:
    return f"#/atlas/{index_of(folder)['atlases'][place]['slug']}"


def chosen(page: Any) -> int:
    return page.evaluate(f"[...document.querySelectorAll('.at')].indexOf(document.querySelector('{CHOSEN}'))")


def test_cells_lie_where_they_belong_and_tell_their_numbers(visit: Visit, folder):
    page = visit(folder, address(folder))
    boxes = [one.bounding_box() for one in page.query_selector_all(".at")]
    assert len(boxes) == len(PLACES)
    for box, (row, column) in zip(boxes, PLACES, strict=True):
        for other, (below, right) in zip(boxes, PLACES, strict=True):
            assert (box["y"] < other["y"] - 2) == (row < below)
            assert (box["x"] < other["x"] - 2) == (column < right)
    for at in (2, 0):
        page.hover(f".at >> nth={at}")
        told, cell = page.inner_text(".atlas-cell"), cell_facts(at, *PLACES[at])
        assert f"{cell['cosine']:.3f}" in told
        assert "0.300 with another cell, the control" in told
        assert ("none of 5 others" if cell["rank"] == 1 else "2 of 5 others") in told
        assert all(f"{label}\n" in told or label in told for label, _ in cell["classes"])
        assert f"{10 + at} activations" in told
    assert "4.50" in told


def test_dead_pictures_say_so(visit: Visit, folder):
    page = visit(folder, address(folder))
    page.hover(f".at >> nth={len(PLACES) - 1}")
    told = page.inner_text(".atlas-cell")
    assert "The picture excites nothing in this layer." in told
    assert "no gradient reaches it" in told


def test_arrow_keys_go_from_cell_to_cell_and_tab_goes_on(visit: Visit, folder):
    page = visit(folder, address(folder))
    page.focus(CHOSEN)
    assert chosen(page) == 0
    for key, place in (("ArrowRight", 1), ("ArrowDown", 3), ("ArrowLeft", 2), ("ArrowUp", 0), ("ArrowUp", 0)):
        page.keyboard.press(key)
        assert PLACES[chosen(page)] == PLACES[place], key
        assert page.evaluate(f"document.activeElement === document.querySelector('{CHOSEN}')")
    page.keyboard.press("Tab")
    assert page.evaluate("!document.activeElement.closest('.atlas-map')")
    assert page.url.endswith(address(folder))


def test_a_class_lights_up_its_cells_and_is_in_the_address(visit: Visit, folder):
    page = visit(folder, address(folder))
    page.select_option("#filter", "zebra")
    lights = page.evaluate(
        "[...document.querySelectorAll('.at')].map((one) => Number(one.style.getPropertyValue('--light')))"
    )
    shares = [dict(cell_facts(at, *place)["classes"]).get("zebra", 0) / (10 + at) for at, place in enumerate(PLACES)]
    assert lights == pytest.approx([0.08 + 0.92 * share / max(shares) for share in shares], abs=1e-3)
    assert page.url.endswith("?class=zebra")
    again = visit(folder, f"{address(folder)}?class=zebra")
    assert again.input_value("#filter") == "zebra"
    assert CLASSES.index("zebra") == chosen(again)


def test_the_numbers_of_the_map_stand_beside_chance(visit: Visit, folder):
    told = visit(folder, address(folder)).inner_text(".atlas-numbers")
    for words in ("61.0%", "shuffled 1.4%", "0.960", "shuffled 0.500", "4 of 5", "chance 16.7%", "another cell 0.300"):
        assert words in told, words


def test_the_first_page_leads_there(visit: Visit, folder):
    page = visit(folder)
    assert page.locator(".atlas-card").count() == 2
    assert "4 of 5 pictures most like their own cell · 61.0% of neighbours kept" in page.inner_text(".atlases")
    page.click(".atlas-card a >> nth=0")
    page.wait_for_selector(".atlas-map")
    assert page.inner_text("h1") == "conv2 of menagerie"
    page.goto(page.url.partition("#")[0] + "#/atlas")
    page.wait_for_selector("h1:text('2 activation atlases')")


def test_what_is_not_made_and_what_is_not_there_is_said(visit: Visit, folder):
    assert "No cell is made yet" in visit(folder, address(folder, 1)).inner_text("main")
    assert "There is no atlas" in visit(folder, "#/atlas/nowhere").inner_text("main")


def test_an_atlas_alone_is_the_first_page(visit: Visit, tmp_path):
    page = visit(write_site(write_atlas(tmp_path)).parent)
    assert page.locator("h1").all_inner_texts() == ["Activation atlases"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_fit_a_telephone_and_can_be_read(visit: Visit, folder, scheme):
    page = visit(folder, address(folder), color_scheme=scheme)
    fits_a_telephone(page)
    assert page.evaluate(FAINT_WORDS) == []


def test_pages_are_sound_for_people_who_cannot_see(visit: Visit, folder):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    for size in ({"width": 1280, "height": 800}, TELEPHONE):
        for where in (address(folder), "#/atlas", ""):
            found = (
                axe.Axe().run(visit(folder, where, viewport=size), options={"preload": False}).response["violations"]
            )
            assert [one["id"] for one in found] == [], where


def test_hostile_names_are_only_names(visit: Visit, tmp_path):
    for place, name in enumerate(HOSTILE[:4]):
        write_atlas(tmp_path, folder=f"a{place}", labels=[name, "b", "c", "d"], header={
            "layer": {"name": name, "units": 8}, "network": {"name": name}, "probe": {"name": name}, "command": name,
        })  # fmt: skip
    folder = write_site(tmp_path).parent
    for place in range(4):
        page = visit(folder, address(folder, place))
        assert page.locator("main script, main img").count() == 0
